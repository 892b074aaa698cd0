//! Encodings written again for the tests, so that the proxy's own are checked against something.

use std::fmt::Write as _;

/// Everything but RFC 3986 unreserved characters becomes `%XX`.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
    }
    out
}

/// Decodes exactly once; a stray `%` stays and `+` is a plus.
pub fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes
            .get(at + 1..at + 3)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair
            .filter(|pair| pair.chars().all(|c| c.is_ascii_hexdigit()))
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (bytes[at], byte) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (other, _) => {
                out.push(other);
                at += 1;
            }
        }
    }
    out
}

/// Names and values of a query or form body.
pub fn form_decode(text: &str) -> Vec<(String, String)> {
    let decode =
        |part: &str| String::from_utf8_lossy(&percent_decode(&part.replace('+', " "))).into_owned();
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// The target that posts `text` to `channel`, with `query` as options.
pub fn message_path(channel: &str, text: &str, query: &[(&str, &str)]) -> String {
    let mut path = format!(
        "/post/channel/{}/msg/{}",
        percent_encode(channel),
        percent_encode(text)
    );
    for (at, (name, value)) in query.iter().enumerate() {
        path.push(if at == 0 { '?' } else { '&' });
        path.push_str(&format!(
            "{}={}",
            percent_encode(name),
            percent_encode(value)
        ));
    }
    path
}
