//! An answer without a socket: what would be read of given bytes. For fuzzing and tests.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, ReadBuf};

use super::connection::{Response, receive};
use super::head::Unusable;

const MAX_BODY_BYTES: usize = 64;

/// What the other side says, so many bytes at a time, before it hangs up.
struct Said<'a> {
    left: &'a [u8],
    step: usize,
}

impl AsyncRead for Said<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let now = self.left.len().min(self.step).min(buffer.remaining());
        let (said, left) = self.left.split_at(now);
        buffer.put_slice(said);
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

/// What is read of these bytes; `None` if reading waited for more, which it never does here.
pub(super) fn read(
    bytes: &[u8],
    step: usize,
    max_body_bytes: usize,
) -> Option<Result<Response, Unusable>> {
    let mut said = Said { left: bytes, step };
    receive(&mut said, max_body_bytes, pending()).now_or_never()
}

/// Entry of the fuzz target: whether the same bytes are the same answer however they are split, within the cap.
pub fn fuzz_answer(data: &[u8]) -> bool {
    let by = |step| match read(data, step, MAX_BODY_BYTES)? {
        Ok(answer) if answer.body.len() > MAX_BODY_BYTES => None,
        Ok(answer) => Some(Some((answer.head.status, answer.body, answer.truncated))),
        Err(Unusable) => Some(None),
    };
    let whole = by(data.len());
    let step = data.last().map_or(1, |&byte| usize::from(byte % 16) + 1);
    whole.is_some() && whole == by(step)
}
