//! The stream that actix reads and writes instead of the socket.
//!
//! It does the I/O and keeps the time; what the bytes mean is `flow`'s. It must not copy or allocate for a request that
//! arrives whole: such a one is read into the caller's buffer and judged there.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Limits;
use super::admission::{Charge, HeadBudget, Permit};
use super::flow::{Flow, Step};
use super::refusal::{self, Refusal};
use alarm::Alarm;
use queue::Queue;

mod alarm;
mod queue;
mod write;

/// Read and thrown away behind a refused head or an early answer, and again while closing; beyond it the peer is made to
/// wait.
const DISCARD_BYTES: usize = 256 * 1024;

/// A connection behind the guard.
#[derive(Debug)]
pub struct Guarded<T> {
    io: T,
    limits: Limits,
    flow: Flow,
    mode: Mode,
    /// Read from the peer and not passed on yet.
    held: Queue,
    /// Ours, to be passed on before `held`.
    staged: Queue,
    /// `held` is the beginning of a head; nothing can be done before more arrives.
    starved: bool,
    /// No head has been complete yet on this connection.
    first: bool,
    peer_closed: bool,
    /// Who waits for the present request to be answered.
    reader: Option<Waker>,
    discarded: usize,
    write_closed: bool,
    head_alarm: Alarm,
    refusal_alarm: Alarm,
    write_alarm: Alarm,
    linger_alarm: Alarm,
    rest_alarm: Alarm,
    charge: Charge,
    _permit: Option<Permit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    /// A head was refused; what still comes is thrown away.
    Refused,
    /// Downstream has been told, or is to be told, that the input has ended.
    Ended,
}

/// How a turn of the read loop came out, where it does not go on.
enum Turn {
    Again,
    Done,
    Wait,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Guarded<T> {
    /// Takes over an accepted connection; the permit is given back when the stream is dropped.
    pub fn new(io: T, limits: Limits, budget: Arc<HeadBudget>, permit: Option<Permit>) -> Self {
        Self {
            io,
            limits,
            flow: Flow::new(limits),
            mode: Mode::Open,
            held: Queue::default(),
            staged: Queue::default(),
            starved: false,
            first: true,
            peer_closed: false,
            reader: None,
            discarded: 0,
            write_closed: false,
            head_alarm: Alarm::default(),
            refusal_alarm: Alarm::default(),
            write_alarm: Alarm::default(),
            linger_alarm: Alarm::default(),
            rest_alarm: Alarm::default(),
            charge: Charge::new(budget),
            _permit: permit,
        }
    }

    /// Whether a request has been answered while its body goes on. actix reads such a body to its end, however long that
    /// takes: it would hold the connection for good.
    fn has_rest(&self) -> bool {
        self.mode == Mode::Open && self.flow.is_answered() && !self.flow.is_between_requests()
    }

    /// Whether the rest of a body has had its time, or has grown too large.
    fn is_rest_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.has_rest() {
            self.rest_alarm.clear();
            if self.mode == Mode::Open {
                self.discarded = 0;
            }
            return false;
        }
        self.rest_alarm.set(self.limits.linger);
        self.discarded > DISCARD_BYTES || self.rest_alarm.poll(cx).is_ready()
    }

    fn turn(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> io::Result<Turn> {
        if !self.staged.is_empty() {
            self.staged.move_into(out);
            return Ok(Turn::Done);
        }
        match self.mode {
            Mode::Open if self.held.is_empty() || self.starved => self.receive(cx, out),
            Mode::Open => {
                let step = self.flow.step(self.held.bytes(), out.remaining());
                Ok(self.act(step, cx, out))
            }
            Mode::Refused => self.discard(cx, out),
            Mode::Ended => Ok(Turn::Done),
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> io::Result<Turn> {
        if self.peer_closed {
            return Ok(self.on_end(cx));
        }
        let before = out.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, out) {
            Poll::Pending => return Ok(self.on_nothing_to_read(cx)),
            Poll::Ready(read) => read?,
        }
        let new = &out.filled()[before..];
        if new.is_empty() {
            self.peer_closed = true;
            return Ok(self.on_end(cx));
        }
        self.starved = false;
        if !self.held.is_empty() {
            self.held.push(new);
            out.set_filled(before);
            return Ok(Turn::Again);
        }
        let step = self.flow.step(new, new.len());
        if let Step::Pass(passed) = step {
            self.held.push(&new[passed..]);
            out.set_filled(before + passed);
            self.on_passed();
            return Ok(Turn::Done);
        }
        self.held.push(new);
        out.set_filled(before);
        Ok(self.act(step, cx, out))
    }

    /// Does to `held` what `flow` says.
    fn act(&mut self, step: Step, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Turn {
        match step {
            Step::Pass(passed) => {
                out.put_slice(&self.held.bytes()[..passed]);
                self.take(passed);
                self.on_passed();
                Turn::Done
            }
            Step::Skip(skipped) => {
                self.take(skipped);
                if !self.first {
                    // The carriage return of an empty line may have started it.
                    self.head_alarm.clear();
                }
                Turn::Again
            }
            Step::Replace { used, with } => {
                self.take(used);
                self.on_passed();
                self.staged = Queue::from(with);
                Turn::Again
            }
            Step::NeedMore => self.on_unfinished_head(),
            Step::Hold => {
                self.charge.set(self.held.bytes().len());
                self.reader = Some(cx.waker().clone());
                Turn::Wait
            }
            Step::Refuse(refusal) => self.refuse(refusal),
            // Not an invalid chunk: that makes actix drop the connection, and the answer with it.
            Step::Cut => self.end(),
        }
    }

    fn take(&mut self, len: usize) {
        self.held.take(len);
        if self.held.is_empty() {
            self.charge.set(0);
        }
    }

    fn on_passed(&mut self) {
        self.first = false;
        self.head_alarm.clear();
    }

    fn on_unfinished_head(&mut self) -> Turn {
        self.starved = true;
        if !self.charge.set(self.held.bytes().len()) {
            let late = Refusal::HeadTimeout;
            return self.refuse(self.flow.too_large().unwrap_or(late));
        }
        if !self.first && !self.head_alarm.is_set() {
            // From here our deadline holds. An empty line, which parsers skip, ends actix's keep-alive timer.
            self.staged = Queue::from(b"\r\n".to_vec());
        }
        self.head_alarm.set(self.limits.head_deadline);
        Turn::Again
    }

    fn on_nothing_to_read(&mut self, cx: &mut Context<'_>) -> Turn {
        if !self.starved && !self.first {
            return Turn::Wait;
        }
        if let Some(refusal) = self.flow.too_large() {
            self.refusal_alarm.set(self.limits.refused_deadline);
            if self.refusal_alarm.poll(cx).is_ready() {
                return self.refuse(refusal);
            }
        }
        self.head_alarm.set(self.limits.head_deadline);
        match self.head_alarm.poll(cx) {
            Poll::Pending => Turn::Wait,
            Poll::Ready(()) if self.starved => self.refuse(Refusal::HeadTimeout),
            Poll::Ready(()) => self.end(),
        }
    }

    fn on_end(&mut self, cx: &mut Context<'_>) -> Turn {
        if self.starved {
            let cut = Refusal::Malformed(refusal::TRUNCATED);
            return self.refuse(self.flow.too_large().unwrap_or(cut));
        }
        if self.flow.is_between_requests() && !self.flow.is_answered() {
            // N-8: whoever half-closes behind a request still gets its answer.
            self.reader = Some(cx.waker().clone());
            return Turn::Wait;
        }
        self.end()
    }

    fn refuse(&mut self, refusal: Refusal) -> Turn {
        self.mode = Mode::Refused;
        self.staged = Queue::from(refusal.as_request(self.held.bytes()));
        self.forget();
        Turn::Again
    }

    fn end(&mut self) -> Turn {
        self.mode = Mode::Ended;
        self.forget();
        Turn::Done
    }

    fn forget(&mut self) {
        self.held = Queue::default();
        self.charge.set(0);
        self.head_alarm.clear();
        self.refusal_alarm.clear();
    }

    /// Lets the peer finish sending, so that it comes to reading the answer.
    fn discard(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> io::Result<Turn> {
        let before = out.filled().len();
        while !self.peer_closed && self.discarded < DISCARD_BYTES {
            match Pin::new(&mut self.io).poll_read(cx, out) {
                Poll::Pending => break,
                Poll::Ready(read) => read?,
            }
            let read = out.filled().len() - before;
            out.set_filled(before);
            self.discarded += read;
            self.peer_closed = read == 0;
        }
        // The end of the input is not told: actix closes by itself behind the answer.
        Ok(Turn::Wait)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_rest_overdue(cx) {
            this.end();
        }
        let before = out.filled().len();
        let is_rest = this.has_rest();
        while out.remaining() > 0 {
            match this.turn(cx, out)? {
                Turn::Again => {}
                Turn::Done => break,
                Turn::Wait => return Poll::Pending,
            }
        }
        if is_rest {
            this.discarded += out.filled().len() - before;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
