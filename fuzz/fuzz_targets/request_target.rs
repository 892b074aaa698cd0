//! Any request target: routing and decoding never panic, decode once, and never repair.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message_webhook_proxy::domain::percent::decode;
use message_webhook_proxy::http::extract::Decoded;
use message_webhook_proxy::http::route::{Form, Route};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    let Route::Post { channel, form } = Route::of(path) else { return };
    if let Form::Path(raw) = form {
        let bytes: Vec<u8> = percent_decode(raw);
        assert_eq!(decode(raw).is_ok(), std::str::from_utf8(&bytes).is_ok());
        if let Ok(text) = decode(raw) {
            assert_eq!(text.as_bytes(), bytes);
        }
    }
    if let Ok((channel, message, _)) = Decoded::read(channel, form, query.as_bytes()).check(None) {
        assert!(!channel.as_str().trim().is_empty());
        assert!(!message.as_str().trim().is_empty());
        assert!(!message.as_str().contains(['\0', '\r', '\u{1B}', '\u{202E}']));
    }
});

/// The same decoding written the plain way.
fn percent_decode(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = raw;
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| {
            h.iter().all(u8::is_ascii_hexdigit).then(|| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok())?
        });
        match (first, hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &after[2..];
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}
