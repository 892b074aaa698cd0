//! Whether a refusal is one that `/openapi.json` has for its route: so every test of the suite checks the document.

use message_webhook_proxy::http::openapi::codes;
use message_webhook_proxy::http::problem::Code;
use message_webhook_proxy::http::route::Route;

use super::client::Response;

/// Panics if this route answers this method with a code that is not in the document.
#[track_caller]
pub fn check(method: &str, target: &[u8], answer: &Response) {
    if answer.header("Content-Type") != Some("application/problem+json") || answer.body.is_empty() {
        return;
    }
    let Ok(target) = std::str::from_utf8(target) else {
        return;
    };
    let route = Route::of(target.split('?').next().unwrap_or_default());
    let is_allowed = route.allow(true).split(", ").any(|known| known == method);
    if route == Route::Unknown || !is_allowed {
        return;
    }
    let said = answer.json()["code"].clone();
    // Where GET does not post it is no documented method.
    let is_refused_get = method == "GET" && said == Code::MethodNotAllowed.text();
    let known = codes(route, method);
    assert!(
        is_refused_get || known.iter().any(|code| said == code.text()),
        "{method} {} answers {said}, which its document does not have",
        route.pattern()
    );
}
