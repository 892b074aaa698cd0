//! From what a handler says to an HTTP answer.

use actix_web::body::{BodyStream, BoxBody};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;

use super::events::Body;
use super::page::Asset;
use super::pieces::Pieces;
use super::problem::{Code, Problem};
use super::receipt::Receipt;
use crate::dispatch::RelayAnswer;

/// What a handler says.
pub(super) enum Reply {
    /// A message was delivered, is promised, or would be delivered.
    Receipt(Box<Receipt>),
    /// A refusal.
    Problem(Box<Problem>),
    /// 204 with `Allow`.
    Options(&'static str),
    /// The internal API's answer, passed back as it is.
    Relayed(Box<RelayAnswer>),
    /// A page for people: what it may load and run, and its HTML.
    Page(&'static str, Vec<u8>),
    /// The page, or a file of it; without its body if the browser has it.
    Asset {
        /// Which one.
        asset: &'static Asset,
        /// Whether the browser has it.
        is_known: bool,
    },
    /// Events, as they come.
    Stream(Body),
    /// A browser is sent elsewhere, with a cookie to come back with.
    Redirect {
        /// Where to.
        location: String,
        /// The value of `Set-Cookie`.
        cookie: String,
    },
    /// Anything else: status, media type, text.
    Text(u16, &'static str, Bytes),
}

pub(super) const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
const EVENTS: &str = "text/event-stream";

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

// Constants, because `from_static` looks at every byte each time it is called.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NOINDEX: HeaderValue = HeaderValue::from_static("noindex");

/// For everything that a browser may show; `nosniff` keeps other JSON from being shown as a page.
const NO_CONTENT: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// What callers are asked for.
const CALLERS: HeaderValue =
    HeaderValue::from_static("Bearer, Basic realm=\"message-webhook-proxy\"");

/// Headers that only answers to posts carry.
pub(super) struct PostHeaders<'a> {
    pub policy: &'a HeaderValue,
    pub limit: String,
}

impl Reply {
    /// The `code` of a problem.
    pub(super) fn code(&self) -> Option<&'static str> {
        match self {
            Self::Problem(problem) => Some(problem.code.text()),
            _ => None,
        }
    }

    /// The HTTP answer. `base` is `PUBLIC_URL`.
    pub(super) fn into_response(
        self,
        request: &HttpRequest,
        request_id: &str,
        base: &str,
        post: Option<PostHeaders<'_>>,
    ) -> HttpResponse {
        let plain = prefers_plain(request.headers());
        let is_kept = is_worth_hiding(request);
        let (mut builder, body) = match self {
            Self::Receipt(receipt) if plain => {
                (accepted(&receipt, PLAIN), BoxBody::new(receipt.to_line()))
            }
            Self::Receipt(receipt) => (accepted(&receipt, JSON), BoxBody::new(receipt.to_json())),
            Self::Problem(problem) => refusal(&problem, plain, base, is_kept),
            Self::Asset { asset, is_known } => asset_answer(asset, is_known),
            Self::Stream(events) => stream(events),
            Self::Options(allow) => {
                let mut builder = HttpResponse::NoContent();
                builder.insert_header((header::ALLOW, allow));
                (builder, BoxBody::new(()))
            }
            Self::Relayed(answer) => relayed(*answer),
            Self::Redirect { location, cookie } => {
                let mut builder = HttpResponse::Found();
                builder.insert_header((header::LOCATION, location));
                builder.insert_header((header::SET_COOKIE, cookie));
                builder.insert_header((header::CACHE_CONTROL, NO_STORE));
                (builder, BoxBody::new(()))
            }
            Self::Page(policy, body) => {
                let policy = HeaderValue::from_static(policy);
                (shown(200, HTML, policy), BoxBody::new(Pieces(body.into())))
            }
            Self::Text(status, media, body) => {
                (shown(status, media, NO_CONTENT), BoxBody::new(Pieces(body)))
            }
        };
        if let Ok(id) = HeaderValue::try_from(request_id) {
            builder.insert_header((REQUEST_ID, id));
        }
        builder.insert_header((header::X_CONTENT_TYPE_OPTIONS, NOSNIFF));
        if is_kept {
            builder.insert_header((header::REFERRER_POLICY, NO_REFERRER));
            // A crawler that keeps the URL would come back to it.
            builder.insert_header((ROBOTS, NOINDEX));
        }
        if let Some(post) = post {
            post.write(&mut builder);
        }
        builder.body(body)
    }
}

impl PostHeaders<'_> {
    fn write(self, builder: &mut HttpResponseBuilder) {
        builder.insert_header((header::CACHE_CONTROL, NO_STORE));
        if !self.policy.is_empty() {
            builder.insert_header((RATE_LIMIT_POLICY, self.policy.clone()));
        }
        // Of ours alone, so it is always a header's value.
        if let Ok(limit) = HeaderValue::try_from(self.limit)
            && !limit.is_empty()
        {
            builder.insert_header((RATE_LIMIT, limit));
        }
    }
}

/// Whether a browser or crawler may keep this URL: it was visited, or its query may hold a credential. The
/// answer to a plain POST is spared the headers, because every one of them costs the caller, too.
fn is_worth_hiding(request: &HttpRequest) -> bool {
    let posts = matches!(*request.method(), Method::POST | Method::PUT);
    !posts || request.uri().query().is_some()
}

/// What is never kept, and does nothing but what its policy says.
fn shown(status: u16, media: &'static str, policy: HeaderValue) -> HttpResponseBuilder {
    let mut builder = HttpResponse::build(status_of(status));
    builder.insert_header((header::CONTENT_TYPE, HeaderValue::from_static(media)));
    builder.insert_header((header::CACHE_CONTROL, NO_STORE));
    builder.insert_header((header::CONTENT_SECURITY_POLICY, policy));
    builder
}

/// 200 for what was delivered, 202 and where to look for what is promised.
fn accepted(receipt: &Receipt, media: &'static str) -> HttpResponseBuilder {
    let mut builder = if receipt.status == "queued" {
        let mut builder = HttpResponse::Accepted();
        builder.insert_header((header::LOCATION, format!("/deliveries/{}", receipt.id)));
        builder
    } else {
        HttpResponse::Ok()
    };
    builder.insert_header((header::CONTENT_TYPE, HeaderValue::from_static(media)));
    builder
}

fn refusal(
    problem: &Problem,
    plain: bool,
    base: &str,
    is_kept: bool,
) -> (HttpResponseBuilder, BoxBody) {
    let mut builder = HttpResponse::build(problem.code.status());
    let (media, body) = if plain {
        (PLAIN, problem.to_line().into_bytes())
    } else {
        ("application/problem+json", problem.to_json(base))
    };
    builder.insert_header((header::CONTENT_TYPE, HeaderValue::from_static(media)));
    if is_kept {
        builder.insert_header((header::CONTENT_SECURITY_POLICY, NO_CONTENT));
    }
    // Caches may keep a 404, a 405 or a 414 that does not forbid it, and some of these are answers to posts.
    builder.insert_header((header::CACHE_CONTROL, NO_STORE));
    if let Some(seconds) = problem.retry_after_s {
        builder.insert_header((header::RETRY_AFTER, HeaderValue::from(seconds)));
    }
    if problem.code == Code::Unauthorized {
        let challenge = problem.challenge.map_or(CALLERS, HeaderValue::from_static);
        builder.insert_header((header::WWW_AUTHENTICATE, challenge));
    }
    if let Some(allow) = problem.allow {
        builder.insert_header((header::ALLOW, HeaderValue::from_static(allow)));
    }
    if problem.close {
        builder.force_close();
    }
    (builder, BoxBody::new(body))
}

/// Status, headers and body as they came; the client adds nothing to what the platform is to read.
fn relayed(answer: RelayAnswer) -> (HttpResponseBuilder, BoxBody) {
    let mut builder = HttpResponse::build(status_of(answer.status));
    for header in answer.headers {
        builder.append_header(header);
    }
    (builder, BoxBody::new(answer.body))
}

/// Asked for again each time, so that a new version of the program is never half of an old page.
fn asset_answer(asset: &'static Asset, is_known: bool) -> (HttpResponseBuilder, BoxBody) {
    let (mut builder, body) = match is_known {
        true => (HttpResponse::NotModified(), ""),
        false => (HttpResponse::Ok(), asset.text),
    };
    builder
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(asset.media)))
        .insert_header((header::ETAG, asset.etag()))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .insert_header((header::CONTENT_SECURITY_POLICY, asset.policy()));
    if asset.is_page() {
        // Others get a line at the same path.
        builder.insert_header((header::VARY, HeaderValue::from_static("Accept")));
    }
    (
        builder,
        BoxBody::new(Pieces(Bytes::from_static(body.as_bytes()))),
    )
}

fn stream(events: Body) -> (HttpResponseBuilder, BoxBody) {
    let mut builder = HttpResponse::Ok();
    builder
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(EVENTS)))
        .insert_header((header::CACHE_CONTROL, NO_STORE))
        .insert_header((header::CONTENT_SECURITY_POLICY, NO_CONTENT))
        // nginx would keep them until it has a few KiB.
        .insert_header((UNBUFFERED, HeaderValue::from_static("no")));
    (builder, BoxBody::new(BodyStream::new(events)))
}

fn status_of(status: u16) -> actix_web::http::StatusCode {
    actix_web::http::StatusCode::from_u16(status)
        .unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR)
}

/// Whether `text/plain` is asked for by name, and liked better than JSON.
pub(super) fn prefers_plain(headers: &HeaderMap) -> bool {
    let plain = quality(headers, &["text/plain"]);
    plain > 0 && plain > quality(headers, &["application/json", "application/problem+json"])
}

/// Whether `text/html` is asked for by name.
pub(super) fn accepts_html(headers: &HeaderMap) -> bool {
    quality(headers, &["text/html"]) > 0
}

/// How much a media type is liked, in thousandths; 0 if it is not named. Of equals, the first wins.
fn quality(headers: &HeaderMap, media: &[&str]) -> i32 {
    // Several fields are one list (RFC 9110, 5.3).
    headers
        .get_all(header::ACCEPT)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .zip(0i32..)
        .filter_map(|(item, position)| {
            let mut fields = item.split(';').map(str::trim);
            let name = fields.next()?;
            media
                .iter()
                .any(|m| m.eq_ignore_ascii_case(name))
                .then_some(())?;
            let q = fields
                .find_map(|f| f.strip_prefix("q="))
                .map_or(Some(1.0f32), |q| q.parse().ok())?;
            #[expect(clippy::cast_possible_truncation, reason = "q is at most 1")]
            let weight = (q.clamp(0.0, 1.0) * 1000.0) as i32 * 100;
            (weight > 0).then(|| (weight - position.min(99)).max(1))
        })
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_asked_for_by_name() {
        for (accept, plain) in [
            ("text/plain", true),
            ("text/plain, */*", true),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/plain", false),
            ("text/plain, application/json", true),
            ("application/json;q=0.5, text/plain", true),
            ("text/plain;q=0", false),
            ("text/html", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_plain(&headers), plain, "{accept}");
        }
        assert!(!prefers_plain(&HeaderMap::new()));
    }
}
