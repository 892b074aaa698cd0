//! The console backend as the witness: what it printed is what was posted.

use super::{Proxy, Setup, unique};

/// The defaults, and no incoming limit: for tests whose subject limits are not.
pub fn unlimited() -> Setup {
    ["CALLER", "CHANNEL", "GLOBAL"]
        .iter()
        .fold(Proxy::setup(), |setup, limit| {
            setup.set(&format!("RATE_LIMIT_{limit}"), "off")
        })
}

/// The lines that were printed and not yet read.
#[track_caller]
pub fn printed(proxy: &Proxy) -> Vec<String> {
    printed_for(proxy, &[])
}

/// The same where posting needs credentials. A post of its own marks the end, so nothing is waited for that may not come.
#[track_caller]
pub fn printed_for(proxy: &Proxy, headers: &[(&str, &str)]) -> Vec<String> {
    let mark = unique("mark-", 12);
    let answer = proxy.request(
        "POST",
        format!("/post/channel/console:end/msg/{mark}"),
        headers,
    );
    assert_eq!(answer.status, 200, "the mark: {}", answer.text());
    let end = format!("[end] {mark}");
    std::iter::from_fn(|| Some(proxy.stdout_line()).filter(|line| *line != end)).collect()
}
