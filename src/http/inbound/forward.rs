//! A verified request as the internal API gets it: end-to-end headers as they came, and where it came from.

use actix_web::HttpMessage as _;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use http::Method;

use super::Incoming;
use crate::dispatch::RelayRequest;
use crate::dispatch::relay::end_to_end;
use crate::http::caller::FORWARDED_FOR;
use crate::http::reply::REQUEST_ID;
use crate::http::span::Begun;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The request to relay.
pub(super) fn request(incoming: &Incoming<'_>) -> RelayRequest {
    let request = incoming.context.request;
    let mut headers = end_to_end(request.headers());
    headers.retain(|(name, _)| !is_ours(name));
    headers.extend(added(incoming));
    let target = request.uri().path_and_query();
    RelayRequest {
        method: Method::POST,
        target: target.map_or("/", |target| target.as_str()).to_owned(),
        headers,
        body: incoming.body.clone(),
    }
}

/// What the proxy writes itself. Nobody in front of it may, unless it is a trusted proxy.
fn is_ours(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::EXPECT,
        header::FORWARDED,
        FORWARDED_FOR,
        FORWARDED_PROTO,
        FORWARDED_HOST,
        REQUEST_ID,
    ]
    .contains(name)
        || name.as_str().starts_with("x-forwarded-")
}

fn added(incoming: &Incoming<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let context = incoming.context;
    let request = context.request;
    let is_behind = context.state.callers.trusted_hops > 0;
    // What a trusted proxy said of its own side is worth passing on.
    let said = |name: &HeaderName| request.headers().get(name).filter(|_| is_behind).cloned();
    let client = HeaderValue::try_from(context.address.to_string()).ok();
    let host = said(&FORWARDED_HOST).or_else(|| request.headers().get(header::HOST).cloned());
    let proto = said(&FORWARDED_PROTO).unwrap_or_else(|| HeaderValue::from_static("http"));
    let begun = request.extensions();
    let id = begun.get::<Begun>();
    let id = id.and_then(|begun| HeaderValue::try_from(begun.id.as_str()).ok());
    [
        (FORWARDED_FOR, client),
        (FORWARDED_PROTO, Some(proto)),
        (FORWARDED_HOST, host),
        (REQUEST_ID, id),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}
