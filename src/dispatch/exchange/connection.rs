//! One connection: a request is written to it, and one answer read.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::task::unconstrained;

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
        // Once a task has had its share of what there is to read, tokio lets it find nothing more: a hundred connections
        // that a restart has closed are that much.
        let read = unconstrained(self.stream.read(&mut unasked));
        read.now_or_never().is_none()
    }

    /// Sends a request, and reads its answer at the same time: who refuses a request need not read it to its end.
    /// `is_written` then says whether the other side can have had all of it.
    pub(super) async fn exchange(
        &mut self,
        request: &[u8],
        max_body_bytes: usize,
        late: impl Future<Output = ()>,
        is_written: &Cell<bool>,
    ) -> Result<Response, Unusable> {
        is_written.set(false);
        let stream = RefCell::new(&mut self.stream);
        let (mut from, mut to) = (Half(&stream), Half(&stream));
        let written = pin!(async {
            to.write_all(request).await?;
            // Without TLS there is nothing to flush.
            to.flush().await?;
            is_written.set(true);
            io::Result::Ok(())
        });
        let answer = pin!(receive(&mut from, max_body_bytes, late));
        let answer = match select(written, answer).await {
            // Even where writing failed: who closes may have answered before.
            Either::Left((_, answer)) => answer.await,
            Either::Right((answer, _)) => answer,
        };
        answer.map(|answer| Response {
            keeps_alive: answer.keeps_alive && is_written.get(),
            ..answer
        })
    }
}

/// A stream that is read and written at the same time by one task: neither holds it while it waits.
struct Half<'a, S>(&'a RefCell<S>);

impl<S: Stream> AsyncRead for Half<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, into)
    }
}

impl<S: Stream> AsyncWrite for Half<'_, S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}

/// Reads one answer. When it is late and its head has come, the head is the answer, with what there is of the body.
pub(super) async fn receive(
    from: &mut (impl AsyncRead + Unpin),
    max_body_bytes: usize,
    late: impl Future<Output = ()>,
) -> Result<Response, Unusable> {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let head = final_head(from, &mut buffer).await?;
    let mut body = Body::new(head.framing()?, max_body_bytes);
    let mut late = pin!(late);
    let ended = loop {
        match body.advance(&mut buffer) {
            Progress::More => {}
            ended => break ended,
        }
        let is_more = match select(pin!(more(from, &mut buffer)), late.as_mut()).await {
            Either::Left((is_more, _)) => Some(is_more),
            Either::Right(_) => None,
        };
        match is_more {
            Some(true) => {}
            Some(false) => break body.end(buffer.split()),
            None => break body.cut(buffer.split()),
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
async fn final_head(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<Head, Unusable> {
    let (mut searched, mut interim) = (0, 0);
    loop {
        match head::take(buffer, &mut searched)? {
            Some(head) if !head.is_interim() => return Ok(head),
            // After it another protocol would be spoken, which nobody asked for.
            Some(head) if head.status == 101 => return Err(Unusable),
            Some(_) if interim == MAX_INTERIM => return Err(Unusable),
            Some(_) => interim += 1,
            None if more(from, buffer).await => {}
            None => return Err(Unusable),
        }
    }
}

/// Reads something; that there is nothing more, however the connection ended, is `false`.
async fn more(from: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> bool {
    buffer.reserve(READ_BYTES);
    matches!(from.read_buf(buffer).await, Ok(1..))
}
