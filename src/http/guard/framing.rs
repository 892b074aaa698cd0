//! A chunked body, followed byte by byte so that its end is known.
//!
//! Pure. Chunks pass as they came; trailer fields end here. It must not collect anything: bodies are unbounded.

use super::fields;

/// Longest chunk extension, the semicolon included.
const EXTENSION_BYTES: usize = 256;
/// Digits of a chunk size: chunks of up to 4 GiB.
const SIZE_DIGITS: usize = 8;
const TRAILER_FIELDS: usize = 16;
const TRAILER_BYTES: usize = 4096;

/// What to do with the next bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// How many bytes this is about; never 0 for input that is not empty.
    pub len: usize,
    /// Whether they are passed on; trailer fields are not.
    pub forward: bool,
    /// Whether the body ends with them.
    pub ended: bool,
}

/// The body is not chunked as RFC 9112, 7.1 says; the text says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub &'static str);

/// Where in a chunked body we are.
#[derive(Clone, Debug, Default)]
pub struct Chunked {
    state: State,
    /// Rest of the present chunk's data.
    left: u64,
    /// Digits or extension bytes of the present size line.
    count: usize,
    trailer_fields: usize,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Ended,
}

impl State {
    fn is_trailer(self) -> bool {
        matches!(
            self,
            Self::TrailerName | Self::TrailerValue | Self::TrailerLf
        )
    }
}

impl Chunked {
    /// Takes the longest run of bytes that share one fate.
    ///
    /// # Errors
    /// `Broken` when the very next byte is wrong; what came before it has been reported by an earlier call.
    pub fn advance(&mut self, input: &[u8]) -> Result<Piece, Broken> {
        let mut at = 0;
        let mut forward = true;
        while at < input.len() && self.state != State::Ended {
            let before = self.clone();
            let len = match self.bite(&input[at..]) {
                Ok(len) => len,
                Err(broken) if at == 0 => return Err(broken),
                Err(_) => {
                    // The same byte fails again in the next call, behind the bytes that are fine.
                    *self = before;
                    break;
                }
            };
            let fate = !(before.state.is_trailer() || self.state.is_trailer());
            if at > 0 && fate != forward {
                *self = before;
                break;
            }
            forward = fate;
            at += len;
        }
        Ok(Piece {
            len: at,
            forward,
            ended: self.state == State::Ended,
        })
    }

    /// Takes one byte, or as much data of the chunk as there is.
    fn bite(&mut self, input: &[u8]) -> Result<usize, Broken> {
        if self.state == State::Data {
            let here = u64::try_from(input.len()).unwrap_or(u64::MAX);
            let taken = self.left.min(here);
            self.left -= taken;
            if self.left == 0 {
                self.state = State::DataCr;
            }
            return Ok(usize::try_from(taken).unwrap_or(input.len()));
        }
        let before = self.state;
        self.state = self.next(input[0])?;
        if before.is_trailer() || self.state.is_trailer() {
            self.trailer_bytes += 1;
            if self.trailer_bytes > TRAILER_BYTES {
                return Err(Broken("the trailer is too long"));
            }
        }
        Ok(1)
    }

    fn next(&mut self, byte: u8) -> Result<State, Broken> {
        match (self.state, byte) {
            (State::Size, _) => self.size(byte),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, b' '..=b'~') if self.count < EXTENSION_BYTES => {
                self.count += 1;
                Ok(State::Extension)
            }
            (State::SizeLf, b'\n') => {
                self.count = 0;
                Ok(if self.left == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart, _) if fields::is_token(byte) => {
                self.trailer_fields += 1;
                if self.trailer_fields > TRAILER_FIELDS {
                    return Err(Broken("too many trailer fields"));
                }
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerName, _) if fields::is_token(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Ended),
            (State::Extension, _) => Err(Broken(
                "a chunk extension is too long or holds a control character",
            )),
            (State::DataCr | State::DataLf, _) => Err(Broken("a chunk is longer than its size")),
            (State::SizeLf | State::TrailerLf | State::EndLf, _) => {
                Err(Broken("a line does not end in CRLF"))
            }
            _ => Err(Broken("a trailer field is malformed")),
        }
    }

    fn size(&mut self, byte: u8) -> Result<State, Broken> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.count > 0 => return Ok(State::SizeLf),
            b';' if self.count > 0 => {
                self.count = 1;
                return Ok(State::Extension);
            }
            _ => return Err(Broken("a chunk size is not hexadecimal")),
        };
        if self.count == SIZE_DIGITS {
            return Err(Broken("a chunk size has too many digits"));
        }
        self.count += 1;
        self.left = self.left << 4 | u64::from(digit);
        Ok(State::Size)
    }
}

#[cfg(test)]
mod tests;
