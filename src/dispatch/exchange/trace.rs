//! An answer without a socket: what would be read of given bytes. For fuzzing and tests.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::{Connection, Response};
use super::head::Unusable;

const MAX_BODY_BYTES: usize = 64;

/// A connection whose other side has said all that it will say, so many bytes at a time, and hangs up.
pub(super) struct Said {
    bytes: Vec<u8>,
    at: usize,
    step: usize,
}

impl Said {
    pub(super) fn new(bytes: &[u8], step: usize) -> Self {
        Self {
            bytes: bytes.to_vec(),
            at: 0,
            step: step.max(1),
        }
    }
}

impl AsyncRead for Said {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let now = left.len().min(self.step).min(buffer.remaining());
        buffer.put_slice(left.get(..now).unwrap_or_default());
        self.at += now;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Said {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What is read of these bytes; `None` if reading waited for more, which it never does here.
pub(super) fn receive(
    bytes: &[u8],
    step: usize,
    max_body_bytes: usize,
    made: Instant,
) -> Option<Result<Response, Unusable>> {
    let mut connection = Connection::new(Box::new(Said::new(bytes, step)), made);
    connection.receive(max_body_bytes).now_or_never()
}

/// Entry of the fuzz target: whether the same bytes are the same answer however they are split, within the cap.
pub fn fuzz_answer(data: &[u8], made: Instant) -> bool {
    let read = |step| match receive(data, step, MAX_BODY_BYTES, made)? {
        Ok(answer) if answer.body.len() > MAX_BODY_BYTES => None,
        Ok(answer) => Some(Some((answer.head.status, answer.body, answer.truncated))),
        Err(Unusable) => Some(None),
    };
    let whole = read(data.len());
    let step = data.last().map_or(1, |&byte| usize::from(byte % 16) + 1);
    whole.is_some() && whole == read(step)
}
