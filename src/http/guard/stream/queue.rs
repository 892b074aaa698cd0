//! Bytes that go out in the order they came in, from one allocation that an idle connection does not keep.

use tokio::io::ReadBuf;

/// A larger buffer is given back when it has been emptied.
const KEPT_BYTES: usize = 4096;

/// A first-in, first-out buffer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    /// Where the first byte is; all before it has been taken.
    start: usize,
}

impl From<Vec<u8>> for Queue {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }
}

impl Queue {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    pub(super) fn push(&mut self, more: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(more);
    }

    pub(super) fn take(&mut self, len: usize) {
        self.start = self.bytes.len().min(self.start + len);
        if self.is_empty() {
            self.start = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
        }
    }

    /// Takes as much as `out` has room for.
    pub(super) fn move_into(&mut self, out: &mut ReadBuf<'_>) {
        let len = self.bytes().len().min(out.remaining());
        out.put_slice(&self.bytes()[..len]);
        self.take(len);
    }
}
