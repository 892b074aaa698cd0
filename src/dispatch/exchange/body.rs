//! PURE: the body of an answer, from the bytes that come, up to a cap.

use bytes::{Buf as _, Bytes, BytesMut};

use super::head::{Framing, Unusable};

/// The most bytes of one line between chunks: a size with its extensions, or a trailer field.
const MAX_LINE_BYTES: usize = 4096;
/// The most lines of a trailer.
const MAX_TRAILER_LINES: usize = 64;

/// What has come of a body so far.
pub(super) struct Body {
    framing: Framing,
    max_bytes: usize,
    /// Of a chunked body: its chunks, one after the other.
    whole: BytesMut,
    part: Part,
}

/// Where in a chunked body we are.
#[derive(Clone, Copy)]
enum Part {
    Size,
    Data(u64),
    DataEnd,
    Trailer(usize),
}

/// Whether there is more to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More must come.
    More,
    /// This is all of it.
    Whole(Bytes),
    /// It is longer than the cap, or broken: what came of it.
    Cut(Bytes),
}

impl Body {
    pub(super) fn new(framing: Framing, max_bytes: usize) -> Self {
        Self {
            framing,
            max_bytes,
            whole: BytesMut::new(),
            part: Part::Size,
        }
    }

    /// Looks at all that was read and not yet taken.
    pub(super) fn advance(&mut self, buffer: &mut BytesMut) -> Progress {
        match self.framing {
            Framing::Bodiless => Progress::Whole(Bytes::new()),
            Framing::Sized(length) => match usize::try_from(length) {
                Ok(length) if length <= self.max_bytes && buffer.len() >= length => {
                    Progress::Whole(buffer.split_to(length).freeze())
                }
                Ok(length) if length <= self.max_bytes => Progress::More,
                _ => self.until_cap(buffer, self.max_bytes),
            },
            // One byte more than the cap shows that it is exceeded.
            Framing::UntilClose => self.until_cap(buffer, self.max_bytes + 1),
            Framing::Chunked => match self.chunks(buffer) {
                Ok(false) => Progress::More,
                Ok(true) => Progress::Whole(self.whole.split().freeze()),
                Err(Unusable) => Progress::Cut(self.whole.split().freeze()),
            },
        }
    }

    /// The connection has ended: whether that is the body's end, too.
    pub(super) fn end(&mut self, mut buffer: BytesMut) -> Progress {
        match self.framing {
            // How the connection ended says nothing; what came is judged.
            Framing::UntilClose => Progress::Whole(buffer.split().freeze()),
            Framing::Chunked | Framing::Bodiless | Framing::Sized(_) => self.cut(buffer),
        }
    }

    /// Nobody waits for the rest.
    pub(super) fn cut(&mut self, mut buffer: BytesMut) -> Progress {
        let came = match self.framing {
            Framing::Chunked => &mut self.whole,
            Framing::Bodiless | Framing::Sized(_) | Framing::UntilClose => &mut buffer,
        };
        Progress::Cut(came.split().freeze())
    }

    fn until_cap(&self, buffer: &mut BytesMut, enough: usize) -> Progress {
        if buffer.len() < enough {
            return Progress::More;
        }
        Progress::Cut(buffer.split_to(self.max_bytes).freeze())
    }

    /// Takes what there is of the chunks, and says whether the last one has come.
    fn chunks(&mut self, buffer: &mut BytesMut) -> Result<bool, Unusable> {
        loop {
            self.part = match self.part {
                Part::Data(0) => Part::DataEnd,
                Part::Data(left) => {
                    let here = usize::try_from(left)
                        .unwrap_or(usize::MAX)
                        .min(buffer.len());
                    if here == 0 {
                        return Ok(false);
                    }
                    self.take(buffer, here)?;
                    Part::Data(left - here as u64)
                }
                Part::Size | Part::DataEnd | Part::Trailer(_) => {
                    let Some(line) = line(buffer)? else {
                        return Ok(false);
                    };
                    match self.part.after(&line)? {
                        Some(part) => part,
                        None => return Ok(true),
                    }
                }
            };
        }
    }

    fn take(&mut self, buffer: &mut BytesMut, bytes: usize) -> Result<(), Unusable> {
        let room = self.max_bytes - self.whole.len();
        let data = buffer.split_to(bytes);
        self.whole
            .extend_from_slice(data.get(..room.min(bytes)).unwrap_or_default());
        match bytes > room {
            true => Err(Unusable),
            false => Ok(()),
        }
    }
}

impl Part {
    /// What follows a line; nothing follows the last.
    fn after(self, line: &[u8]) -> Result<Option<Self>, Unusable> {
        match self {
            Self::Size => match size(line)? {
                0 => Ok(Some(Self::Trailer(0))),
                size => Ok(Some(Self::Data(size))),
            },
            Self::DataEnd | Self::Data(_) => match line.is_empty() {
                true => Ok(Some(Self::Size)),
                false => Err(Unusable),
            },
            Self::Trailer(_) if line.is_empty() => Ok(None),
            Self::Trailer(MAX_TRAILER_LINES..) => Err(Unusable),
            Self::Trailer(lines) => Ok(Some(Self::Trailer(lines + 1))),
        }
    }
}

/// Takes a line without its end; `None` while the end is still to come.
fn line(buffer: &mut BytesMut) -> Result<Option<BytesMut>, Unusable> {
    let seen = buffer
        .get(..MAX_LINE_BYTES.min(buffer.len()))
        .unwrap_or_default();
    let Some(end) = memchr::memchr(b'\n', seen) else {
        return match buffer.len() >= MAX_LINE_BYTES {
            true => Err(Unusable),
            false => Ok(None),
        };
    };
    let mut line = buffer.split_to(end);
    buffer.advance(1);
    if line.last() != Some(&b'\r') {
        return Err(Unusable);
    }
    line.truncate(end - 1);
    Ok(Some(line))
}

/// The size of a chunk, in hexadecimal digits; extensions may follow, which nobody here knows.
fn size(line: &[u8]) -> Result<u64, Unusable> {
    let digits = line.split(|&b| b == b';').next().unwrap_or_default();
    let digits = digits.trim_ascii_end();
    let is_number = digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number);
    text.and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or(Unusable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds a body in pieces of so many bytes, and then ends the connection.
    fn read(framing: Framing, max_bytes: usize, input: &[u8], piece: usize) -> (Progress, Vec<u8>) {
        let mut body = Body::new(framing, max_bytes);
        let mut buffer = BytesMut::new();
        let mut pieces = input.chunks(piece.max(1));
        loop {
            match body.advance(&mut buffer) {
                Progress::More => match pieces.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => return (body.end(buffer), Vec::new()),
                },
                ended => {
                    let left = buffer.iter().copied().chain(pieces.flatten().copied());
                    return (ended, left.collect());
                }
            }
        }
    }

    fn whole(body: &'static str) -> Progress {
        Progress::Whole(Bytes::from_static(body.as_bytes()))
    }

    fn cut(body: &'static str) -> Progress {
        Progress::Cut(Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        use Framing::{Bodiless, Chunked, Sized, UntilClose};
        for (framing, input, want, left) in [
            (Bodiless, "next", whole(""), "next"),
            (Sized(0), "next", whole(""), "next"),
            (Sized(2), "oknext", whole("ok"), "next"),
            (Sized(4), "abcd", whole("abcd"), ""),
            (Sized(4), "abc", cut("abc"), ""),
            (Sized(9), "abcdefghi", cut("abcd"), "efghi"),
            (Sized(u64::MAX), "abcdefghi", cut("abcd"), "efghi"),
            (UntilClose, "abcd", whole("abcd"), ""),
            (UntilClose, "", whole(""), ""),
            (UntilClose, "abcde", cut("abcd"), "e"),
            (
                Chunked,
                "1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\nnext",
                whole("abc"),
                "next",
            ),
            (Chunked, "00 \r\nA: b\r\nC: d\r\n\r\n", whole(""), ""),
            (Chunked, "4\r\nabcd\r\n0\r\n\r\n", whole("abcd"), ""),
        ] {
            for piece in 1..=input.len() {
                let (ended, rest) = read(framing, 4, input.as_bytes(), piece);
                assert_eq!(ended, want, "{input:?} by {piece}");
                assert_eq!(rest, left.as_bytes(), "{input:?} by {piece}");
            }
        }
    }

    /// F-8: what broke off, or was never well-formed, is told from what is whole.
    #[test]
    fn chunks_that_break_off_are_cut() {
        for (input, came) in [
            ("", ""),
            ("1\r\na\r\n", "a"),
            ("3\r\nab", "ab"),
            ("1\r\na\r\n0\r\n", "a"),
            ("1\r\na\r\n0\r\nA: b\r\n", "a"),
            ("1\r\na\r\nzz\r\n", "a"),
            ("1\r\nab\r\n0\r\n\r\n", "a"),
            ("1\na\n0\n\n", ""),
            ("\r\n", ""),
            ("+1\r\na\r\n0\r\n\r\n", ""),
            ("0x1\r\na\r\n0\r\n\r\n", ""),
            ("10000000000000000\r\na", ""),
            ("5\r\nabcde\r\n0\r\n\r\n", "abcd"),
        ] {
            for piece in 1..=input.len().max(1) {
                let (ended, _) = read(Framing::Chunked, 4, input.as_bytes(), piece);
                assert_eq!(ended, Progress::Cut(came.into()), "{input:?} by {piece}");
            }
        }
    }

    /// E5.
    #[test]
    fn what_is_between_chunks_has_a_cap() {
        for flood in [
            format!("1;{}", "x".repeat(10_000)),
            format!("0\r\n{}", "A: b\r\n".repeat(1000)),
            format!("0\r\n{}", "x".repeat(10_000)),
        ] {
            let mut body = Body::new(Framing::Chunked, 4);
            let mut buffer = BytesMut::from(&*flood);
            assert_eq!(body.advance(&mut buffer), cut(""));
        }
    }

    proptest! {
        #[test]
        fn any_chunking_of_any_body_reads_the_same(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            piece in 1_usize..50,
        ) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\nnext");

            let (ended, left) = read(Framing::Chunked, 1000, &input, piece);

            prop_assert_eq!(ended, Progress::Whole(chunks.concat().into()));
            prop_assert_eq!(left, b"next");
        }

        #[test]
        fn no_bytes_give_more_than_the_cap(input: Vec<u8>, piece in 1_usize..50, max in 0_usize..20) {
            for framing in [Framing::Chunked, Framing::UntilClose, Framing::Sized(7)] {
                let (ended, _) = read(framing, max, &input, piece);
                if let Progress::Whole(body) | Progress::Cut(body) = ended {
                    prop_assert!(body.len() <= max, "{framing:?}");
                }
            }
        }
    }
}
