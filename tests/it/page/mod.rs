//! Contract section 9, `GET /`: the page for people, what it asks the proxy, and what it looks like in a browser.
//!
//! `cargo test --test it page` runs these alone. The browser's tests leave pictures in `target/pictures`.

mod browser;
mod channels;
mod events;
mod files;
mod sign;

use serde_json::Value;

use crate::support::{Proxy, Response};

const CI: &str = "a-secret-of-the-ci-system";
const DEPLOY: &str = "a-secret-of-the-deployer";
const KEY: &str = "a-signing-key-of-more-than-32-characters";

#[track_caller]
fn as_token(proxy: &Proxy, method: &str, path: &str, token: &str) -> Response {
    let bearer = format!("Bearer {token}");
    proxy.request(method, path, &[("Authorization", &bearer)])
}

/// Asks `/sign` with this token.
#[track_caller]
fn sign(proxy: &Proxy, token: &str, wish: &Value) -> Response {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    proxy.send("POST", "/sign", &headers, wish.to_string())
}
