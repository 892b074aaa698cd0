//! One request head, checked more strictly than actix checks it.
//!
//! Pure: bytes in, verdict out. It must not decode anything: percent escapes and UTF-8 belong to the extractor.
//! The verdict on a prefix is `NeedMore` or the verdict on the whole, so it does not matter how bytes are split.

use super::Limits;
use super::fields::{self, Fields};
use super::refusal::{self, Refusal};
use super::rewrite;

/// `http` 0.2 refuses a longer target (`uri/mod.rs`, `MAX_LEN`), and actix would answer that with an empty 400.
const LONGEST_URI: usize = 65_534;

/// Longest method that is passed on; what the application does not know it answers with 405.
const LONGEST_METHOD: usize = 32;

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes follow the head.
    Length(u64),
    /// Chunks follow the head.
    Chunked,
}

/// What is known about the head so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is not complete, and nothing is wrong with it yet.
    NeedMore,
    /// It may pass.
    Accepted {
        /// Bytes of the head, the empty line included.
        head_len: usize,
        /// How its body is delimited.
        body: Framing,
        /// What to pass on instead, where the original would be misread downstream.
        rewritten: Option<Vec<u8>>,
    },
    /// It must not pass.
    Refused(Refusal),
}

/// Why a scan ended before its goal.
#[derive(Debug)]
pub(super) enum Stop {
    NeedMore,
    Refused(Refusal),
}

pub(super) fn malformed(reason: &'static str) -> Stop {
    Stop::Refused(Refusal::Malformed(reason))
}

/// The request line, as positions in the head.
pub(super) struct RequestLine {
    pub(super) method_end: usize,
    /// What is passed on of the target: for an absolute one, all behind the authority.
    pub(super) target: std::ops::Range<usize>,
    pub(super) absolute: bool,
    /// Bytes of the target that must be percent-encoded.
    pub(super) escapes: usize,
    pub(super) minor: u8,
    pub(super) end: usize,
}

/// Looks at everything received since the end of the previous request.
pub fn check(input: &[u8], limits: &Limits) -> Progress {
    match parse(input, limits) {
        Ok((line, fields)) => Progress::Accepted {
            head_len: fields.end,
            body: fields.framing(),
            rewritten: rewrite::rewrite(input, &line, &fields),
        },
        Err(Stop::NeedMore) => Progress::NeedMore,
        Err(Stop::Refused(refusal)) => Progress::Refused(refusal),
    }
}

fn parse(input: &[u8], limits: &Limits) -> Result<(RequestLine, Fields), Stop> {
    let line = request_line(input, limits)?;
    let fields = fields::scan(input, line.end, limits)?;
    fields.agree(line.minor)?;
    Ok((line, fields))
}

fn request_line(input: &[u8], limits: &Limits) -> Result<RequestLine, Stop> {
    let method_end = method(input)?;
    let start = method_end + 1;
    let scanned = scan_target(&input[start..], limits.max_target_bytes)?;
    let target_end = start + scanned.len;
    let target = &input[start..target_end];
    let skipped = match target {
        b"*" if &input[..method_end] == b"OPTIONS" => 0,
        [b'/', ..] => 0,
        _ => authority_end(target)?,
    };
    if target.len() - skipped + 2 * scanned.escapes + 1 > LONGEST_URI {
        return Err(Stop::Refused(Refusal::TargetTooLong));
    }
    let minor = version(&input[target_end + 1..])?;
    Ok(RequestLine {
        method_end,
        target: start + skipped..target_end,
        absolute: skipped > 0,
        escapes: scanned.escapes,
        minor,
        end: target_end + 1 + VERSION_LINE,
    })
}

fn method(input: &[u8]) -> Result<usize, Stop> {
    for (at, &byte) in input.iter().enumerate() {
        match byte {
            b' ' if at > 0 && &input[..at] == b"CONNECT" => {
                return Err(malformed(refusal::CONNECT));
            }
            b' ' if at > 0 => return Ok(at),
            _ if at < LONGEST_METHOD && is_in_method(byte) => {}
            _ => return Err(malformed(refusal::METHOD)),
        }
    }
    Err(Stop::NeedMore)
}

/// Token characters but `#$%&'`: `http` 0.2 (`method.rs`, `METHOD_CHARS`) has none of these, and actix would answer them with
/// an empty 400.
fn is_in_method(byte: u8) -> bool {
    fields::is_token(byte) && !matches!(byte, b'#'..=b'\'')
}

struct Scanned {
    len: usize,
    escapes: usize,
}

fn scan_target(input: &[u8], max: usize) -> Result<Scanned, Stop> {
    let mut query = false;
    let mut escapes = 0;
    let plain = plain_chunks(&input[..input.len().min(max)]);
    for (at, &byte) in input
        .iter()
        .enumerate()
        .take(max.saturating_add(1))
        .skip(plain)
    {
        match TARGET[usize::from(byte)] {
            Class::Plain => {}
            Class::End if byte == b' ' && at > 0 => return Ok(Scanned { len: at, escapes }),
            Class::End => return Err(malformed(refusal::TARGET_BYTE)),
            Class::Question => query = true,
            class => escapes += usize::from(class.is_escaped(query)),
        }
    }
    if input.len() > max {
        Err(Stop::Refused(Refusal::TargetTooLong))
    } else {
        Err(Stop::NeedMore)
    }
}

/// So many bytes at the front are [`Class::Plain`], looked at sixteen at once: mostly all but the last few.
fn plain_chunks(input: &[u8]) -> usize {
    let is_plain = |b: u8| {
        (b > b' ')
            & (b < 0x7F)
            & (b != b'?')
            & (b != b'`')
            & (b != b'"')
            & (b != b'#')
            & (b != b'<')
            & (b != b'>')
    };
    let chunks = input.as_chunks::<16>().0.iter();
    let every = |chunk: &&[u8; 16]| chunk.iter().fold(true, |every, &b| every & is_plain(b));
    16 * chunks.take_while(every).count()
}

/// Where the path of an absolute target begins; the authority is only checked, because nothing here is routed by host.
fn authority_end(target: &[u8]) -> Result<usize, Stop> {
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| {
            target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme)
        })
        .ok_or_else(|| malformed(refusal::TARGET_FORM))?;
    let rest = &target[scheme.len()..];
    let len = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    // User information in a request target is how one host is made to look like another (RFC 9110, 4.2.4).
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(byte);
    if len == 0 || !rest[..len].iter().all(plain) {
        return Err(malformed(refusal::AUTHORITY));
    }
    Ok(scheme.len() + len)
}

const VERSION_LINE: usize = b"HTTP/1.1\r\n".len();

fn version(input: &[u8]) -> Result<u8, Stop> {
    for (at, &byte) in input.iter().take(VERSION_LINE).enumerate() {
        let right = if at == 7 {
            matches!(byte, b'0' | b'1')
        } else {
            byte == b"HTTP/1.x\r\n"[at]
        };
        if !right {
            return Err(malformed(refusal::VERSION));
        }
    }
    if input.len() < VERSION_LINE {
        Err(Stop::NeedMore)
    } else {
        Ok(input[7] - b'0')
    }
}

/// What `http` 0.2 does with a byte of a target (`uri/path.rs`, `PathAndQuery::from_shared`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Plain,
    /// The end of the target: a space, or a control character that no target may hold.
    End,
    Question,
    InPath,
    InQuery,
    Always,
}

impl Class {
    pub(super) fn is_escaped(self, query: bool) -> bool {
        match self {
            Self::Plain | Self::End | Self::Question => false,
            Self::InPath => !query,
            Self::InQuery => query,
            Self::Always => true,
        }
    }
}

pub(super) static TARGET: [Class; 256] = target_classes();

const fn target_classes() -> [Class; 256] {
    let mut table = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            0..=0x20 => Class::End,
            b'?' => Class::Question,
            b'`' => Class::InPath,
            b'"' => Class::InQuery,
            // A `#` would cut the message: `http` treats it as the start of a fragment and drops the rest.
            b'#' | b'<' | b'>' | 0x7F.. => Class::Always,
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests;
