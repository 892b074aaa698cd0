//! What the guard refuses, and how the application learns of it: as a tiny request of the guard's own making.
//!
//! Pure apart from the nonce. It must not write answers: only the application knows problem documents.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::OnceLock;

use super::fields;

/// Why a request head was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The head breaks HTTP/1.x or is ambiguous: 400. The text says how and holds nothing of the request.
    Malformed(&'static str),
    /// The request target is longer than allowed: 414.
    TargetTooLong,
    /// Too many header fields, or too many bytes of them: 431.
    HeadersTooLarge,
    /// The head did not arrive in time, or too many bytes of unfinished heads are held already: 408.
    HeadTimeout,
}

pub(super) const METHOD: &str =
    "the method is not 1 to 32 letters, digits or !*+-.^_`|~ followed by one space";
pub(super) const CONNECT: &str = "CONNECT is not served here";
pub(super) const TARGET_FORM: &str =
    "the target is neither a path, an http(s) URL nor the * of OPTIONS";
pub(super) const TARGET_BYTE: &str = "the target is empty or holds a control character";
pub(super) const AUTHORITY: &str = "the URL in the request line has no plain host";
pub(super) const VERSION: &str = "the request line does not end in HTTP/1.0 or HTTP/1.1";
pub(super) const BLANK_LINES: &str = "too many empty lines before the request line";
pub(super) const BARE_CR: &str = "a carriage return without a line feed";
pub(super) const BARE_LF: &str = "a line feed without a carriage return";
pub(super) const FOLDED: &str = "a header line begins with white space";
pub(super) const FIELD_NAME: &str =
    "a header name is empty or holds something that is no token character";
pub(super) const FIELD_VALUE: &str = "a header value holds a control character";
pub(super) const NO_HOST: &str = "an HTTP/1.1 request needs a Host header";
pub(super) const TWO_HOSTS: &str = "more than one Host header";
pub(super) const LENGTH: &str = "Content-Length is not one decimal number";
pub(super) const TWO_LENGTHS: &str = "more than one Content-Length header";
pub(super) const ENCODING: &str = "Transfer-Encoding is not exactly chunked";
pub(super) const ENCODING_1_0: &str = "HTTP/1.0 has no Transfer-Encoding";
pub(super) const LENGTH_AND_ENCODING: &str = "both Content-Length and Transfer-Encoding";
pub(super) const TRUNCATED: &str = "the connection was half closed inside a request head";
const UNNAMED: &str = "the request head is malformed";

/// The index in this table travels in the path of the synthetic request, so the text comes back `'static`.
const REASONS: &[&str] = &[
    UNNAMED,
    METHOD,
    CONNECT,
    TARGET_FORM,
    TARGET_BYTE,
    AUTHORITY,
    VERSION,
    BLANK_LINES,
    BARE_CR,
    BARE_LF,
    FOLDED,
    FIELD_NAME,
    FIELD_VALUE,
    NO_HOST,
    TWO_HOSTS,
    LENGTH,
    TWO_LENGTHS,
    ENCODING,
    ENCODING_1_0,
    LENGTH_AND_ENCODING,
    TRUNCATED,
];

/// The fields on which every answer depends: its `X-Request-Id`, and whether it is JSON or a line.
const KEPT: [&[u8]; 2] = [b"x-request-id", b"accept"];
/// A longer value of these is left out.
const LONGEST_KEPT: usize = 256;

impl Refusal {
    /// The request that goes downstream instead of the refused one.
    ///
    /// It takes the refused request's place in the pipeline, so actix answers it behind what came before, and closes. Of
    /// `head`, as much of it as is known, it has the fields on which every answer depends.
    pub(super) fn as_request(self, head: &[u8]) -> Vec<u8> {
        let code = self.code();
        let mut request = format!(
            "GET /{}/{code} HTTP/1.1\r\nhost: guard\r\nconnection: close\r\n",
            nonce()
        )
        .into_bytes();
        for name in KEPT {
            if let Some(value) = value_of(head, name) {
                request.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
            }
        }
        request.extend_from_slice(b"\r\n");
        request
    }

    /// Whether the head would have been taken if it were smaller.
    pub(super) fn is_of_size(self) -> bool {
        matches!(self, Self::TargetTooLong | Self::HeadersTooLarge)
    }

    fn code(self) -> String {
        match self {
            Self::TargetTooLong => "t".to_owned(),
            Self::HeadersTooLarge => "h".to_owned(),
            Self::HeadTimeout => "d".to_owned(),
            Self::Malformed(reason) => {
                let index = REASONS
                    .iter()
                    .position(|known| *known == reason)
                    .unwrap_or(0);
                format!("m{index}")
            }
        }
    }

    fn from_code(code: &str) -> Option<Self> {
        match code {
            "t" => Some(Self::TargetTooLong),
            "h" => Some(Self::HeadersTooLarge),
            "d" => Some(Self::HeadTimeout),
            _ => {
                let index: usize = code.strip_prefix('m')?.parse().ok()?;
                REASONS.get(index).copied().map(Self::Malformed)
            }
        }
    }
}

/// The first plain value of a field in a head that may be malformed or unfinished.
fn value_of<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = |line: &'a [u8]| {
        let (named, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        let value = value.strip_suffix(b"\r").unwrap_or(value);
        let is_it = named.eq_ignore_ascii_case(name);
        is_it.then_some(fields::trim(value))
    };
    let whole = memchr::memrchr(b'\n', head)?;
    head[..whole]
        .split(|byte| *byte == b'\n')
        .filter_map(value)
        .find(|value| {
            value.len() <= LONGEST_KEPT && value.iter().all(|byte| (b' '..=b'~').contains(byte))
        })
}

/// The refusal that this request path stands for, if the guard made the request.
///
/// The path holds a random number of this process, so a caller cannot write one.
pub fn refusal_of(path: &str) -> Option<Refusal> {
    let code = path
        .strip_prefix('/')?
        .strip_prefix(nonce())?
        .strip_prefix('/')?;
    Refusal::from_code(code)
}

/// 128 bits as hexadecimal digits, drawn once: `RandomState` is keyed from the system's randomness.
fn nonce() -> &'static str {
    static NONCE: OnceLock<String> = OnceLock::new();
    NONCE.get_or_init(|| {
        let key = RandomState::new();
        format!("{:016x}{:016x}", key.hash_one(0_u8), key.hash_one(1_u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_recovered_from_its_request() {
        let named = REASONS.iter().map(|reason| Refusal::Malformed(reason));
        let plain = [
            Refusal::TargetTooLong,
            Refusal::HeadersTooLarge,
            Refusal::HeadTimeout,
        ];

        for refusal in named.chain(plain) {
            let request = String::from_utf8(refusal.as_request(b"")).unwrap();
            let path = request.split(' ').nth(1).unwrap();

            assert_eq!(refusal_of(path), Some(refusal));
        }
    }

    #[test]
    fn the_fields_on_which_every_answer_depends_are_handed_on() {
        let handed_on = |head: &str| {
            let request = Refusal::HeadersTooLarge.as_request(head.as_bytes());
            let request = String::from_utf8(request).unwrap();
            request.split_once("close\r\n").unwrap().1.to_owned()
        };
        let line = "POST /x-request-id:no HTTP/1.1\r\n";

        for (fields, expected) in [
            ("X-Request-Id: build-42\r\n", "x-request-id: build-42\r\n"),
            (
                "ACCEPT:text/plain \r\nHost: a\r\n",
                "accept: text/plain\r\n",
            ),
            (
                "accept: text/plain\nx-request-id: a\n",
                "x-request-id: a\r\naccept: text/plain\r\n",
            ),
            (
                "X-Request-Id: a\r\nX-Request-Id: b\r\n",
                "x-request-id: a\r\n",
            ),
            // Unfinished, or nothing that may stand in a head.
            ("X-Request-Id: buil", ""),
            ("X-Request-Id: a\u{1}\r\n", ""),
            ("X-Request-Id: a\rGET / HTTP/1.1\r\n", ""),
            ("X-Request-Id: é\r\n", ""),
            ("X-Request-Idle: a\r\n", ""),
            ("", ""),
        ] {
            let expected = format!("{expected}\r\n");
            assert_eq!(handed_on(&format!("{line}{fields}")), expected, "{fields}");
        }
        assert_eq!(
            handed_on(&format!("Accept: {}\r\n", "a".repeat(257))),
            "\r\n"
        );
    }

    #[test]
    fn a_path_that_the_guard_did_not_write_is_no_refusal() {
        let wrong = format!("/{}0/t", nonce());
        let unknown = format!("/{}/m999", nonce());
        let long = format!("/{}/t/x", nonce());

        for path in [
            "",
            "/",
            "/t",
            "/0123456789abcdef0123456789abcdef/t",
            &wrong,
            &unknown,
            &long,
        ] {
            assert_eq!(refusal_of(path), None, "{path}");
        }
    }

    #[test]
    fn the_nonce_has_128_bits_and_stays() {
        assert_eq!(nonce().len(), 32);
        assert_eq!(nonce(), nonce());
    }
}
