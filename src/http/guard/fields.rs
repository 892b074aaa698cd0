//! The header section of a request head: its size, its syntax, and the fields that decide the framing.
//!
//! Pure. It must not care about any other field: those are the application's.

use memchr::memchr;

use super::Limits;
use super::head::{Framing, Stop, malformed};
use super::refusal::{self, Refusal};
use crate::domain::scan;

/// What the header section says about framing.
#[derive(Default)]
pub(super) struct Fields {
    /// Position behind the empty line.
    pub(super) end: usize,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    /// There is an `Upgrade` field, or `Connection` names it: dropped, because this proxy never upgrades.
    pub(super) upgrade: bool,
    hosts: usize,
}

impl Fields {
    pub(super) fn framing(&self) -> Framing {
        match self.length {
            _ if self.chunked => Framing::Chunked,
            None | Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
        }
    }

    /// Rules that hold between fields, or between fields and the version `1.minor`.
    pub(super) fn agree(&self, minor: u8) -> Result<(), Stop> {
        match self.hosts {
            0 if minor == 1 => return Err(malformed(refusal::NO_HOST)),
            0 | 1 => {}
            _ => return Err(malformed(refusal::TWO_HOSTS)),
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(malformed(refusal::LENGTH_AND_ENCODING)),
            (true, None) if minor == 0 => Err(malformed(refusal::ENCODING_1_0)),
            _ => Ok(()),
        }
    }

    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Stop> {
        // Most fields are told apart by length alone.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts += 1,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            10 if name.eq_ignore_ascii_case(b"connection") => self.upgrade |= names_upgrade(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() {
                    return Err(malformed(refusal::TWO_LENGTHS));
                }
                self.length = Some(number(value)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(malformed(refusal::ENCODING));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads the header section that begins at `start`.
pub(super) fn scan(input: &[u8], start: usize, limits: &Limits) -> Result<Fields, Stop> {
    let mut found = Fields::default();
    let mut at = start;
    let mut count = 0;
    // Nothing behind the byte limit is looked at, so that the verdict does not depend on how much has arrived.
    let limit = start.saturating_add(limits.max_header_bytes);
    let window = &input[..input.len().min(limit)];
    loop {
        if let Some(end) = section_end(&input[at..])? {
            found.end = at + end;
            return Ok(found);
        }
        if count == limits.max_header_fields {
            return Err(Stop::Refused(Refusal::HeadersTooLarge));
        }
        let field = field(&window[at..]).map_err(|stop| match stop {
            Stop::NeedMore if window.len() == limit => Stop::Refused(Refusal::HeadersTooLarge),
            stop => stop,
        })?;
        found.note(field.name, field.value)?;
        at += field.len;
        count += 1;
    }
}

/// The length of the empty line that ends the section, if it is here.
fn section_end(input: &[u8]) -> Result<Option<usize>, Stop> {
    match input {
        [] | [b'\r'] => Err(Stop::NeedMore),
        [b'\r', b'\n', ..] => Ok(Some(2)),
        [b'\r', ..] => Err(malformed(refusal::BARE_CR)),
        [b'\n', ..] => Err(malformed(refusal::BARE_LF)),
        [b' ' | b'\t', ..] => Err(malformed(refusal::FOLDED)),
        _ => Ok(None),
    }
}

/// One header line.
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    /// Without the white space around it.
    pub(super) value: &'a [u8],
    /// The CRLF included.
    pub(super) len: usize,
}

/// Reads one header line, or says that it is not complete.
pub(super) fn field(input: &[u8]) -> Result<Field<'_>, Stop> {
    let colon = input
        .iter()
        .position(|byte| !is_token(*byte))
        .ok_or(Stop::NeedMore)?;
    if colon == 0 || input[colon] != b':' {
        return Err(malformed(refusal::FIELD_NAME));
    }
    let rest = &input[colon + 1..];
    let len = first_control(rest).ok_or(Stop::NeedMore)?;
    match &rest[len..] {
        [b'\r'] => Err(Stop::NeedMore),
        [b'\r', b'\n', ..] => Ok(Field {
            name: &input[..colon],
            value: trim(&rest[..len]),
            len: colon + 1 + len + 2,
        }),
        [b'\r', ..] => Err(malformed(refusal::BARE_CR)),
        [b'\n', ..] => Err(malformed(refusal::BARE_LF)),
        _ => Err(malformed(refusal::FIELD_VALUE)),
    }
}

/// Only space and tab are white space here: anything more would be another reading than that of a proxy in front.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn number(value: &[u8]) -> Result<u64, Stop> {
    let digit = |number: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    let parsed = value.iter().try_fold(0, digit);
    parsed
        .filter(|_| !value.is_empty())
        .ok_or_else(|| malformed(refusal::LENGTH))
}

fn names_upgrade(value: &[u8]) -> bool {
    options(value).any(is_upgrade)
}

/// The entries of a `Connection` field.
pub(super) fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(trim)
        .filter(|option| !option.is_empty())
}

pub(super) fn is_upgrade(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"upgrade")
}

/// Characters of methods and names (RFC 9110, 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Where the first control character is. Most values hold none before the CR that ends them: that is looked at sixteen
/// bytes at once.
fn first_control(input: &[u8]) -> Option<usize> {
    let is_plain = |byte: u8| ((byte >= b' ') & (byte != 0x7F)) | (byte == b'\t');
    match memchr(b'\r', input) {
        Some(end) if scan::all(&input[..end], is_plain) => Some(end),
        _ => input.iter().position(|&byte| !is_plain(byte)),
    }
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(
            byte as u8,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.'
                | b'^'..=b'_' | b'`' | b'|' | b'~'
        );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_control_character_is_found(
            value in proptest::collection::vec(
                prop_oneof![9 => b' '..=b'~', 1 => any::<u8>(), 1 => Just(b'\r')], 0..60),
        ) {
            let is_control = |byte: &u8| matches!(byte, 0..=8 | 0x0A..=0x1F | 0x7F);
            prop_assert_eq!(first_control(&value), value.iter().position(is_control));
        }
    }
}
