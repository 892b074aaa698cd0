//! PURE: the head of an answer. What it says of the body's end decides what belongs to this answer (RFC 9112, 6.3).

use bytes::{Bytes, BytesMut};
use memchr::memmem;

/// The most bytes of a head; platforms send 2 KB.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most fields of a head.
const MAX_FIELDS: usize = 96;

/// How the end of an answer's body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// The status allows none.
    Bodiless,
    /// So many bytes.
    Sized(u64),
    /// Each chunk says how long it is.
    Chunked,
    /// All that comes until the connection ends.
    UntilClose,
}

/// What was read is no answer to anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no usable HTTP answer")]
pub(super) struct Unusable;

/// The head of an answer.
#[derive(Debug)]
pub(in crate::dispatch) struct Head {
    /// The status.
    pub(in crate::dispatch) status: u16,
    bytes: Bytes,
    /// Where in them each field's name and value stand.
    fields: Vec<[Span; 2]>,
    is_http_10: bool,
}

/// From here to there.
type Span = (usize, usize);

/// Takes the head off the beginning of what was read; `None` while its end is still to come.
///
/// `searched` is how much was looked at before, so that a head that comes byte by byte is read through once.
pub(super) fn take(buffer: &mut BytesMut, searched: &mut usize) -> Result<Option<Head>, Unusable> {
    let found = match may_end(buffer, std::mem::replace(searched, buffer.len())) {
        true => parse(buffer)?,
        false => None,
    };
    let length = found.as_ref().map_or(buffer.len(), |found| found.length);
    if length > MAX_HEAD_BYTES {
        return Err(Unusable);
    }
    let Some(found) = found else {
        return Ok(None);
    };
    *searched = 0;
    Ok(Some(Head {
        status: found.status,
        bytes: buffer.split_to(found.length).freeze(),
        fields: found.fields,
        is_http_10: found.is_http_10,
    }))
}

/// Whether a head may end in what was not looked at before. Most come in one piece.
fn may_end(buffer: &[u8], searched: usize) -> bool {
    let new = buffer.get(searched.saturating_sub(3)..).unwrap_or_default();
    let ends = |end: &[u8]| memmem::find(new, end).is_some();
    searched == 0 && !buffer.is_empty() || ends(b"\n\r\n") || ends(b"\n\n")
}

struct Found {
    status: u16,
    is_http_10: bool,
    length: usize,
    fields: Vec<[Span; 2]>,
}

fn parse(buffer: &[u8]) -> Result<Option<Found>, Unusable> {
    let mut room = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        // So old a habit that whoever passes an answer on is told to mend it (RFC 9112, 5.1).
        .allow_spaces_after_header_name_in_responses(true)
        .parse_response_with_uninit_headers(&mut response, buffer, &mut room)
        .map_err(|_| Unusable)?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let span = |part: &[u8]| {
        let start = part.as_ptr().addr().wrapping_sub(buffer.as_ptr().addr());
        // An empty value may stand anywhere, and then reads as empty.
        (start, start.wrapping_add(part.len()))
    };
    let field = |field: &httparse::Header<'_>| [span(field.name.as_bytes()), span(field.value)];
    Ok(Some(Found {
        status: response.code.filter(|&code| code >= 100).ok_or(Unusable)?,
        is_http_10: response.version == Some(0),
        length,
        fields: response.headers.iter().map(field).collect(),
    }))
}

impl Head {
    /// Whether the answer itself is still to come.
    pub(super) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }

    /// The values of a field, in the order in which they came.
    pub(in crate::dispatch) fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let fields = self.fields.iter();
        let named = fields.filter(move |[field, _]| is(self.part(*field), name));
        named.map(|&[_, value]| self.part(value))
    }

    fn part(&self, (start, end): Span) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// How the body's end is known.
    pub(super) fn framing(&self) -> Result<Framing, Unusable> {
        if self.is_interim() || matches!(self.status, 204 | 304) {
            return Ok(Framing::Bodiless);
        }
        // Of HTTP/1.1 before RFC 7230, and none.
        let mut codings = self
            .words("transfer-encoding")
            .filter(|coding| !is(coding, "identity"));
        match (codings.next(), codings.next()) {
            (None, _) => {}
            (Some(coding), None) if is(coding, "chunked") => return Ok(Framing::Chunked),
            // No other coding was asked for, so none is known here.
            _ => return Err(Unusable),
        }
        match self.length()? {
            Some(length) => Ok(Framing::Sized(length)),
            // It may have none (RFC 9110, 15.3.6), and some servers then leave the connection open.
            None if self.status == 205 => Ok(Framing::Bodiless),
            None => Ok(Framing::UntilClose),
        }
    }

    /// Whether the connection may be used again once the body is read.
    pub(super) fn keeps_alive(&self) -> bool {
        let ends_itself = match self.status {
            204 | 304 => true,
            _ => self.is_named("content-length") != self.is_named("transfer-encoding"),
        };
        ends_itself && !self.is_http_10 && !self.words("connection").any(|word| is(word, "close"))
    }

    /// What all values of `Content-Length` say.
    fn length(&self) -> Result<Option<u64>, Unusable> {
        let mut length = None;
        for value in self.all("content-length") {
            let said = digits(value)?;
            if length.replace(said).is_some_and(|before| before != said) {
                return Err(Unusable);
            }
        }
        Ok(length)
    }

    fn is_named(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The words of a field that is a list, in which there may be empty ones (RFC 9110, 5.6.1).
    fn words(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let words = self.all(name).flat_map(|value| value.split(|&b| b == b','));
        words
            .map(<[u8]>::trim_ascii)
            .filter(|word| !word.is_empty())
    }
}

fn is(word: &[u8], other: &str) -> bool {
    word.eq_ignore_ascii_case(other.as_bytes())
}

/// A length, of digits alone.
fn digits(value: &[u8]) -> Result<u64, Unusable> {
    let is_number = value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| is_number);
    text.and_then(|text| text.parse().ok()).ok_or(Unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, Unusable> {
        take(&mut BytesMut::from(text), &mut 0)
    }

    fn read(lines: &str) -> Head {
        head(&format!("HTTP/1.1 {lines}\r\n\r\n")).unwrap().unwrap()
    }

    #[test]
    fn what_follows_the_head_stays() {
        let mut buffer = BytesMut::from("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");

        let head = take(&mut buffer, &mut 0).unwrap().unwrap();

        assert_eq!((head.status, &buffer[..]), (201, &b"ok"[..]));
        assert_eq!(head.all("content-length").next(), Some(&b"2"[..]));
    }

    #[test]
    fn a_head_may_come_byte_by_byte() {
        let text = "HTTP/1.1 200 OK\r\nX:\r\nRetry-After: 3 \r\nx: 2\r\n\r\n";
        let (mut buffer, mut searched) = (BytesMut::new(), 0);
        for (at, byte) in text.bytes().enumerate() {
            let whole = take(&mut buffer, &mut searched).unwrap();
            assert!(whole.is_none(), "{at}");
            buffer.extend_from_slice(&[byte]);
        }

        let head = take(&mut buffer, &mut searched).unwrap().unwrap();

        assert_eq!(head.all("RETRY-AFTER").next(), Some(&b"3"[..]));
        assert_eq!(head.all("x").collect::<Vec<_>>(), [&b""[..], b"2"]);
        assert!(buffer.is_empty());
    }

    /// F-8, F-21: RFC 9112, 6.3 in its order.
    #[test]
    fn the_head_says_how_the_body_ends() {
        use Framing::{Bodiless, Chunked, Sized, UntilClose};
        for (lines, framing, keeps_alive) in [
            ("200 OK\r\nContent-Length: 2", Ok(Sized(2)), true),
            (
                "200\r\ncontent-length: 2\r\nCONTENT-LENGTH: 2",
                Ok(Sized(2)),
                true,
            ),
            (
                "200 OK\r\nContent-Length: 2\r\nContent-Length: 3",
                Err(Unusable),
                true,
            ),
            ("200 OK\r\nContent-Length: -2", Err(Unusable), true),
            ("200 OK\r\nContent-Length: +2", Err(Unusable), true),
            ("200 OK\r\nContent-Length:", Err(Unusable), true),
            (
                "200 OK\r\nContent-Length: 99999999999999999999",
                Err(Unusable),
                true,
            ),
            ("200 OK\r\nTransfer-Encoding: Chunked", Ok(Chunked), true),
            (
                "200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2",
                Ok(Chunked),
                false,
            ),
            (
                "200 OK\r\nTransfer-Encoding: gzip, chunked",
                Err(Unusable),
                true,
            ),
            ("200 OK\r\nTransfer-Encoding: xchunked", Err(Unusable), true),
            ("200 OK\r\nTransfer-Encoding: chunked, ,", Ok(Chunked), true),
            (
                "200 OK\r\nTransfer-Encoding: chunked, chunked",
                Err(Unusable),
                true,
            ),
            (
                "200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2",
                Ok(Sized(2)),
                false,
            ),
            ("200 OK\r\nContent-Length : 2", Ok(Sized(2)), true),
            (
                "200 OK\r\nContent-Length: 2\r\nConnection: x, Close",
                Ok(Sized(2)),
                false,
            ),
            ("200 OK", Ok(UntilClose), false),
            ("205 Reset Content", Ok(Bodiless), false),
            ("205 Reset Content\r\nContent-Length: 2", Ok(Sized(2)), true),
            ("204 No Content\r\nContent-Length: 2", Ok(Bodiless), true),
            ("304 Not Modified", Ok(Bodiless), true),
            ("103 Early Hints", Ok(Bodiless), false),
        ] {
            let head = read(lines);
            assert_eq!(head.framing(), framing, "{lines}");
            assert_eq!(head.keeps_alive(), keeps_alive, "{lines}");
        }
        let old = head("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!((old.framing(), old.keeps_alive()), (Ok(Sized(2)), false));
    }

    #[test]
    fn what_is_no_head_is_refused_and_so_is_a_flood() {
        assert!(head("hello\r\n\r\n").is_err());
        assert!(head("HTTP/1.1 2000 OK\r\n\r\n").is_err());
        assert!(head("HTTP/1.1 099 OK\r\n\r\n").is_err());
        assert!(head("HTTP/1.1 200 OK\r\nX\r\n\r\n").is_err());
        assert!(head(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(96))).is_ok());
        assert!(head(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(97))).is_err());
        let long = |bytes| format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(bytes));
        assert!(head(&long(60_000)).unwrap().is_none());
        assert!(head(&long(70_000)).is_err());
        assert!(head(&(long(70_000) + "\r\n\r\n")).is_err());
    }
}
