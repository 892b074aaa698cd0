//! The course of one connection: head, body, next head, and when the next head may go.
//!
//! Pure. It decides about bytes that somebody else has read; it must not do I/O, keep time or hold bytes.

use memchr::memmem;

use super::Limits;
use super::framing::Chunked;
use super::head::{self, Framing, Progress};
use super::refusal::{self, Refusal};

/// Empty lines that old clients send behind a body (RFC 9112, 2.2).
const BLANK_LINES: u8 = 2;

/// An unfinished head is looked at again after so many more bytes, or at a line's end.
///
/// Each look begins at the front; looking at every byte would let one-byte segments cost quadratic time.
const LOOK_AGAIN: usize = 256;

/// What to do with the bytes at the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Pass so many on as they are.
    Pass(usize),
    /// Drop so many.
    Skip(usize),
    /// Drop `used` and pass `with` on.
    Replace { used: usize, with: Vec<u8> },
    /// Nothing can be said before more bytes come.
    NeedMore,
    /// The next request waits until the one before has been answered.
    Hold,
    /// This request is not passed on, nor anything behind it.
    Refuse(Refusal),
    /// The body that is being passed on is cut off here.
    Cut,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Flow {
    limits: Limits,
    phase: Phase,
    blank_lines: u8,
    /// Length of the head at the last look at it; 0: not looked at.
    looked_at: usize,
    too_large: Option<Refusal>,
    answer: Answer,
}

#[derive(Debug)]
enum Phase {
    Head,
    /// So many bytes pass unseen; then chunks follow, or a head.
    Verbatim {
        left: u64,
        chunked: bool,
    },
    Chunked(Chunked),
}

/// Whether the latest request has been answered.
///
/// One request at a time goes downstream. actix keeps version, method and `Connection` of the request it decoded last
/// and encodes every answer with them, so a `HEAD` that is decoded early would strip the answer before it of its body;
/// and what it has not decoded when the peer half-closes, it forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    Begun,
    Given,
}

impl Flow {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Head,
            blank_lines: 0,
            looked_at: 0,
            too_large: None,
            answer: Answer::Given,
        }
    }

    /// Judges `input`, all that has been read and not yet been taken, of which `room` bytes can be passed on now.
    pub(super) fn step(&mut self, input: &[u8], room: usize) -> Step {
        match &mut self.phase {
            Phase::Head if input.is_empty() => Step::NeedMore,
            Phase::Head if self.answer != Answer::Given => Step::Hold,
            Phase::Head => self.head(input, room),
            Phase::Verbatim { .. } => self.verbatim(input.len().min(room)),
            Phase::Chunked(body) => match body.advance(&input[..input.len().min(room)]) {
                Err(_) => Step::Cut,
                Ok(piece) => {
                    if piece.ended {
                        self.phase = Phase::Head;
                    }
                    if piece.forward {
                        Step::Pass(piece.len)
                    } else {
                        Step::Skip(piece.len)
                    }
                }
            },
        }
    }

    fn head(&mut self, input: &[u8], room: usize) -> Step {
        if input.starts_with(b"\r\n") {
            self.blank_lines += 1;
            return match self.blank_lines {
                ..=BLANK_LINES => Step::Skip(2),
                _ => Step::Refuse(Refusal::Malformed(refusal::BLANK_LINES)),
            };
        }
        if let Some(refusal) = self.too_large {
            return self.read_on(refusal, input);
        }
        if input == b"\r" || !self.is_worth_a_look(input) {
            return Step::NeedMore;
        }
        match head::check(input, &self.limits) {
            Progress::NeedMore => {
                self.looked_at = input.len();
                Step::NeedMore
            }
            Progress::Refused(refusal) if refusal.is_of_size() => {
                self.looked_at = 0;
                self.read_on(refusal, input)
            }
            Progress::Refused(refusal) => Step::Refuse(refusal),
            Progress::Accepted {
                head_len,
                body,
                rewritten,
            } => {
                self.accept(if rewritten.is_none() { head_len } else { 0 }, body);
                match rewritten {
                    Some(with) => Step::Replace {
                        used: head_len,
                        with,
                    },
                    None => self.verbatim(input.len().min(room)),
                }
            }
        }
    }

    /// A head that is too large is refused at its end, if that comes soon: its answer depends on some of its fields.
    fn read_on(&mut self, refusal: Refusal, input: &[u8]) -> Step {
        const END: &[u8] = b"\r\n\r\n";
        let new = self.looked_at.saturating_sub(END.len() - 1);
        let is_whole = memmem::find(input.get(new..).unwrap_or_default(), END).is_some();
        if is_whole || input.len() >= self.limits.max_refused_bytes {
            return Step::Refuse(refusal);
        }
        self.looked_at = input.len();
        self.too_large = Some(refusal);
        Step::NeedMore
    }

    /// What will be said of the head that is being read, if it is too large already.
    pub(super) fn too_large(&self) -> Option<Refusal> {
        self.too_large
    }

    fn is_worth_a_look(&self, input: &[u8]) -> bool {
        match input.get(self.looked_at..) {
            Some(new) if self.looked_at > 0 => new.len() >= LOOK_AGAIN || new.contains(&b'\n'),
            _ => true,
        }
    }

    fn accept(&mut self, head_len: usize, body: Framing) {
        self.looked_at = 0;
        self.blank_lines = 0;
        self.answer = Answer::Awaited;
        let head = u64::try_from(head_len).unwrap_or(u64::MAX);
        let (left, chunked) = match body {
            Framing::None => (head, false),
            Framing::Length(length) => (head.saturating_add(length), false),
            Framing::Chunked => (head, true),
        };
        self.phase = Phase::Verbatim { left, chunked };
        self.leave_verbatim();
    }

    fn verbatim(&mut self, available: usize) -> Step {
        let Phase::Verbatim { left, .. } = &mut self.phase else {
            return Step::NeedMore;
        };
        let passed = usize::try_from(*left).map_or(available, |left| left.min(available));
        *left -= u64::try_from(passed).unwrap_or(*left);
        self.leave_verbatim();
        Step::Pass(passed)
    }

    fn leave_verbatim(&mut self) {
        match self.phase {
            Phase::Verbatim {
                left: 0,
                chunked: true,
            } => self.phase = Phase::Chunked(Chunked::default()),
            Phase::Verbatim {
                left: 0,
                chunked: false,
            } => self.phase = Phase::Head,
            _ => {}
        }
    }

    /// Whether the next byte belongs to a head, not to a body.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(self.phase, Phase::Head)
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answer == Answer::Given
    }

    /// Bytes of an answer went out.
    pub(super) fn wrote(&mut self) {
        if self.answer == Answer::Awaited {
            self.answer = Answer::Begun;
        }
    }

    /// All that was to be written has been; says whether that lets the next request go.
    pub(super) fn flushed(&mut self) -> bool {
        let begun = self.answer == Answer::Begun;
        if begun {
            self.answer = Answer::Given;
        }
        begun
    }
}

#[cfg(test)]
mod tests;
