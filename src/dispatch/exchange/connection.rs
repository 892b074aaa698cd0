//! One connection: a request is written to it, and one answer read.

use std::io;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::body::{Body, Progress};
use super::head::{self, Head, Unusable};

/// Interim answers before the one that counts (threats.md F-21).
const MAX_INTERIM: usize = 8;
/// What is read at once, at least: most answers are shorter.
const READ_BYTES: usize = 2048;

/// Bytes both ways, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// An open connection of which no answer is outstanding.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    made: Instant,
}

/// An answer.
pub(in crate::dispatch) struct Response {
    /// Its head.
    pub(in crate::dispatch) head: Head,
    /// Its body, at most as much of it as was asked for.
    pub(in crate::dispatch) body: Bytes,
    /// Whether there was more of the body, or it broke off.
    pub(in crate::dispatch) truncated: bool,
    /// Whether the next answer on this connection would be the next request's.
    pub(super) keeps_alive: bool,
}

impl Connection {
    pub(super) fn new(stream: Box<dyn Stream>, made: Instant) -> Self {
        Self { stream, made }
    }

    /// When it was opened.
    pub(super) fn made(&self) -> Instant {
        self.made
    }

    /// Whether nothing has come since the last answer, not even the connection's end.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut unasked = [0];
        self.stream.read(&mut unasked).now_or_never().is_none()
    }

    /// Writes a whole request. Where this fails, the other side cannot have had all of it.
    pub(super) async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        // Without TLS there is nothing to flush.
        self.stream.flush().await
    }

    /// Reads the answer to the request that was sent.
    pub(super) async fn receive(&mut self, max_body_bytes: usize) -> Result<Response, Unusable> {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let head = self.head(&mut buffer).await?;
        let mut body = Body::new(head.framing()?, max_body_bytes);
        let ended = loop {
            match body.advance(&mut buffer) {
                Progress::More if self.more(&mut buffer).await => {}
                Progress::More => break body.end(std::mem::take(&mut buffer)),
                ended => break ended,
            }
        };
        let (body, truncated) = match ended {
            Progress::Whole(body) => (body, false),
            Progress::Cut(body) => (body, true),
            // No body says so at its end.
            Progress::More => return Err(Unusable),
        };
        Ok(Response {
            keeps_alive: head.keeps_alive() && !truncated && buffer.is_empty(),
            head,
            body,
            truncated,
        })
    }

    /// Reads the head of the answer itself.
    async fn head(&mut self, buffer: &mut BytesMut) -> Result<Head, Unusable> {
        let (mut searched, mut interim) = (0, 0);
        loop {
            match head::take(buffer, &mut searched)? {
                Some(head) if !head.is_interim() => return Ok(head),
                // After it another protocol would be spoken, which nobody asked for.
                Some(head) if head.status == 101 => return Err(Unusable),
                Some(_) if interim == MAX_INTERIM => return Err(Unusable),
                Some(_) => interim += 1,
                None if self.more(buffer).await => {}
                None => return Err(Unusable),
            }
        }
    }

    /// Reads something; that there is nothing more, however the connection ended, is `false`.
    async fn more(&mut self, buffer: &mut BytesMut) -> bool {
        buffer.reserve(READ_BYTES);
        matches!(self.stream.read_buf(buffer).await, Ok(1..))
    }
}
