//! The way out: writes that may not stand still, and a close that lets the last answer arrive.
//!
//! It must not look at what is written, except to tell an interim answer from a real one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{DISCARD_BYTES, Guarded};

/// actix's interim answer: the real one is still to come.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, data);
        if matches!(written, Poll::Ready(Ok(1..))) && data != CONTINUE {
            this.flow.wrote();
        }
        this.in_time(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        ready!(this.in_time(cx, flushed))?;
        if this.flow.flushed() {
            if let Some(reader) = this.reader.take() {
                reader.wake();
            }
            if !this.flow.is_between_requests() {
                // The rest of the body has a deadline from now on, and only a read can keep it.
                cx.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.write_closed {
            let closed = Pin::new(&mut this.io).poll_shutdown(cx);
            ready!(this.in_time(cx, closed))?;
            this.write_closed = true;
        }
        this.poll_linger(cx).map(Ok)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Guarded<T> {
    /// Waits for the peer to close, so that our close does not become a reset that destroys the answer on its way.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        while !self.peer_closed && self.discarded < 2 * DISCARD_BYTES {
            let mut scratch = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut scratch) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {
                    self.discarded += scratch.filled().len();
                    self.peer_closed = scratch.filled().is_empty();
                }
            }
        }
        if self.peer_closed {
            return Poll::Ready(());
        }
        self.linger_alarm.set(self.limits.linger);
        self.linger_alarm.poll(cx)
    }

    /// The result of a write, or an error if writes have stood still for too long.
    fn in_time<R>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.write_alarm.clear();
            return written;
        }
        self.write_alarm.set(self.limits.write_deadline);
        self.write_alarm
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}
