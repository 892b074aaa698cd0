//! Percent-decoding and base64url: the one place where the bytes of a URL become text.
//!
//! Decoding happens exactly once and is never lossy: a `%` that does not begin an escape stays as it is
//! ("100% done" must arrive), and bytes that are not UTF-8 are an error that knows where they begin.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memchr;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What RFC 3986 calls unreserved stays as it is; everything else is escaped.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Why bytes of a URL are not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The decoded bytes are not UTF-8 from `offset` on.
    #[error("not UTF-8 from byte {offset} of the decoded text on")]
    NotUtf8 {
        /// Position in the decoded bytes, from 0.
        offset: usize,
    },
    /// The text of a `/b64/` URL is not base64url.
    #[error("not base64url")]
    NotBase64,
}

/// Decodes a path segment: `%41` is `A`, a stray `%` and `+` stay.
///
/// # Errors
/// [`DecodeError::NotUtf8`] with the offset in the decoded bytes.
pub fn decode(raw: &[u8]) -> Result<Cow<'_, str>, DecodeError> {
    into_text(unescaped(raw))
}

/// Decodes a form field of a query: like [`decode`], and `+` is a space.
///
/// # Errors
/// As [`decode`].
pub fn decode_form(raw: &[u8]) -> Result<Cow<'_, str>, DecodeError> {
    if !raw.contains(&b'+') {
        return decode(raw);
    }
    let spaced: Vec<u8> = raw
        .iter()
        .map(|&b| if b == b'+' { b' ' } else { b })
        .collect();
    decode(&spaced).map(|text| Cow::Owned(text.into_owned()))
}

/// Decodes the text of a `/b64/` URL: base64url, padding optional (as `=` or `%3D`).
///
/// # Errors
/// [`DecodeError::NotBase64`], or [`DecodeError::NotUtf8`] with the offset in the decoded bytes.
pub fn decode_base64url(raw: &[u8]) -> Result<String, DecodeError> {
    let unescaped = unescaped(raw);
    let text = unescaped.trim_ascii_end();
    let padding = text.iter().rev().take_while(|&&b| b == b'=').count();
    if padding > 2 {
        return Err(DecodeError::NotBase64);
    }
    let bytes = URL_SAFE_NO_PAD
        .decode(&text[..text.len() - padding])
        .map_err(|_| DecodeError::NotBase64)?;
    into_text(Cow::Owned(bytes)).map(Cow::into_owned)
}

/// Writes any text as one path segment or query value.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Writes any text as base64url without padding, the form for `/b64/`.
#[must_use]
pub fn encode_base64url(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// What `percent_encoding` makes of it, with one allocation and half the work.
fn unescaped(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'%', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(&byte) = rest.next() {
        out.push(match byte {
            b'%' => after_percent(&mut rest),
            _ => byte,
        });
    }
    Cow::Owned(out)
}

/// The byte of the escape, or the `%` where none begins.
fn after_percent(rest: &mut std::slice::Iter<'_, u8>) -> u8 {
    if let [high, low, after @ ..] = rest.as_slice()
        && let (Some(high), Some(low)) = (digit(*high), digit(*low))
    {
        *rest = after.iter();
        return high << 4 | low;
    }
    b'%'
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn into_text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, DecodeError> {
    let not_utf8 = |offset| DecodeError::NotUtf8 { offset };
    match bytes {
        Cow::Borrowed(raw) => std::str::from_utf8(raw)
            .map(Cow::Borrowed)
            .map_err(|e| not_utf8(e.valid_up_to())),
        Cow::Owned(raw) => String::from_utf8(raw)
            .map(Cow::Owned)
            .map_err(|e| not_utf8(e.utf8_error().valid_up_to())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_pass_and_no_repair() {
        let table: &[(&str, &str)] = &[
            ("Build%20%2342", "Build #42"),
            ("a+b", "a+b"),
            ("%252F", "%2F"),
            ("%%32%46", "%2F"),
            ("%25%32%46", "%2F"),
            ("100%", "100%"),
            ("100% done", "100% done"),
            ("%zz%2", "%zz%2"),
            ("%u0041", "%u0041"),
            ("%F0%9F%8E%89", "🎉"),
            ("\u{1F389}", "🎉"),
        ];
        for (raw, text) in table {
            assert_eq!(decode(raw.as_bytes()).unwrap(), *text, "{raw}");
        }
    }

    /// B1: what is not UTF-8 is named by its offset and never becomes U+FFFD.
    #[test]
    fn bytes_that_are_not_utf8_are_an_error_with_an_offset() {
        for (raw, offset) in [
            ("%FF", 0),
            ("ab%C0%AF", 2),
            ("%E0%80%AF", 0),
            ("abc%ED%A0%80", 3),
            ("%F5%80%80%80", 0),
            ("%F0%9F%8E", 0),
            ("ok%80", 2),
        ] {
            assert_eq!(
                decode(raw.as_bytes()),
                Err(DecodeError::NotUtf8 { offset }),
                "{raw}"
            );
        }
    }

    #[test]
    fn form_fields_have_spaces_for_plus() {
        assert_eq!(decode_form(b"a+b%2Bc").unwrap(), "a b+c");
    }

    #[test]
    fn base64url_with_any_padding() {
        for raw in ["4pyTIG9r", "YQ", "YQ==", "YQ%3D%3D", "YWI=", "YWI"] {
            assert!(decode_base64url(raw.as_bytes()).is_ok(), "{raw}");
        }
        for raw in ["YQ===", "a", "Y+Q", "Y/Q", "YQ==YQ"] {
            assert_eq!(
                decode_base64url(raw.as_bytes()),
                Err(DecodeError::NotBase64),
                "{raw}"
            );
        }
        assert_eq!(
            decode_base64url(b"YWL_"),
            Err(DecodeError::NotUtf8 { offset: 2 })
        );
    }

    /// Any bytes, and many that begin, cut short or spoil an escape.
    fn bytes_with_escapes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            any::<u8>(),
            Just(b'%'),
            proptest::sample::select(&b"0123456789abcdefABCDEFgG+"[..]),
        ];
        proptest::collection::vec(byte, 0..200)
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert_eq!(decode(encoded.as_bytes()).unwrap(), text.as_str());
            prop_assert_eq!(decode_form(encoded.as_bytes()).unwrap(), text.as_str());
            prop_assert_eq!(decode_base64url(encode_base64url(&text).as_bytes()).unwrap(), text);
        }

        /// B3: a second decode never happens.
        #[test]
        fn decoding_is_a_single_pass(text in any::<String>()) {
            let twice = encode(&encode(&text));
            prop_assert_eq!(decode(twice.as_bytes()).unwrap(), encode(&text));
        }

        #[test]
        fn escapes_are_those_of_percent_encoding(raw in bytes_with_escapes()) {
            let theirs: Vec<u8> = percent_encoding::percent_decode(&raw).collect();
            let text = String::from_utf8(theirs.clone());
            let faulty = |e: std::string::FromUtf8Error| DecodeError::NotUtf8 { offset: e.utf8_error().valid_up_to() };

            prop_assert_eq!(&*unescaped(&raw), theirs);
            prop_assert_eq!(decode(&raw).map(Cow::into_owned), text.map_err(faulty));
        }

        #[test]
        fn arbitrary_bytes_never_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&raw).is_ok() | decode_form(&raw).is_ok() | decode_base64url(&raw).is_ok();
        }
    }
}
