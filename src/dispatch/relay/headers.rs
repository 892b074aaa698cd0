//! Which headers are for the other end, and which for the connection alone.

use awc::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The headers that go on to the other end: none of the connection (RFC 9110, 7.6.1), nor one that `Connection` names.
/// `Content-Length` is written anew from the body.
#[must_use]
pub fn end_to_end(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let named: Vec<&[u8]> = headers
        .get_all(header::CONNECTION)
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let is_named = |name: &HeaderName| {
        let name = name.as_str().as_bytes();
        named.iter().any(|other| other.eq_ignore_ascii_case(name))
    };
    headers
        .iter()
        .filter(|(name, _)| !is_of_the_connection(name) && !is_named(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_of_the_connection(name: &HeaderName) -> bool {
    let known = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    known.contains(name) || name == "keep-alive" || name.as_str().starts_with("proxy-")
}
