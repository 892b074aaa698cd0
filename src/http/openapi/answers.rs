//! Which problem codes a route can answer, and how the document shows them: one response for each status and set of codes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Surface;
use crate::http::problem::{CODES, Code, Row};
use crate::http::route::Route;
use crate::inbound::Source;

/// Before a route is even looked at, and after everything else has failed.
const ALWAYS: &[Code] = &[
    Code::BadRequest,
    Code::RequestTimeout,
    Code::UriTooLong,
    Code::HeadersTooLarge,
    Code::Internal,
    Code::TooManyConnections,
];

const POSTS: &[Code] = &[
    Code::BadEncoding,
    Code::BadCharacter,
    Code::EmptyMessage,
    Code::EmptyChannel,
    Code::BadOption,
    Code::AmbiguousChannel,
    Code::Unauthorized,
    Code::Forbidden,
    Code::SignatureExpired,
    Code::NotFound,
    Code::UnknownChannel,
    Code::InProgress,
    Code::MessageTooLong,
    Code::BodyTooLarge,
    Code::KeyReused,
    Code::RateLimited,
    Code::BackendRejected,
    Code::PartlyRejected,
    Code::BackendUnavailable,
    Code::OutboxFull,
    Code::StoreUnavailable,
    Code::ShuttingDown,
];

/// Receipts, for whoever may read them.
const RECEIPTS: &[Code] = &[
    Code::Unauthorized,
    Code::RateLimited,
    Code::NotFound,
    Code::StoreUnavailable,
];

/// What `/sign` would sign is read as a post is.
const SIGN: &[Code] = &[
    Code::BadCharacter,
    Code::EmptyMessage,
    Code::EmptyChannel,
    Code::BadOption,
    Code::AmbiguousChannel,
    Code::Unauthorized,
    Code::Forbidden,
    Code::NotFound,
    Code::UnknownChannel,
    Code::BodyTooLarge,
    Code::RateLimited,
];

/// Aliases, or what a platform's bot can see.
const CHANNELS: &[Code] = &[
    Code::BadOption,
    Code::Unauthorized,
    Code::Forbidden,
    Code::NotFound,
    Code::RateLimited,
    Code::BackendRejected,
    Code::BackendUnavailable,
];

/// An event of Slack is stored, or accepted while Slack waits.
const SLACK_EVENTS: &[Code] = &[
    Code::BadBody,
    Code::BackendUnavailable,
    Code::OutboxFull,
    Code::StoreUnavailable,
];

/// A platform calls.
const INBOUND: &[Code] = &[Code::Unauthorized, Code::BodyTooLarge, Code::ShuttingDown];

/// The internal API is asked while the platform waits.
const RELAYED: &[Code] = &[Code::RelayFailed, Code::RelayTimeout];

/// The codes that a route can answer to a method it allows, whatever the configuration, in the order of the table.
#[must_use]
pub fn codes(route: Route<'_>, method: &str) -> Vec<Code> {
    let own: &[&[Code]] = match (route, method) {
        (Route::Asset(_), _) | (Route::SlackInstall | Route::SlackInstalled, "OPTIONS") => {
            &[&[Code::NotFound]]
        }
        (_, "OPTIONS") => &[],
        (Route::Post { .. }, "GET") => &[POSTS, &[Code::PreviewRefused]],
        (Route::Post { .. }, _) => &[POSTS],
        (Route::Deliveries, _) => &[RECEIPTS, &[Code::BadOption]],
        (Route::Delivery(_), "DELETE") => &[RECEIPTS, &[Code::InProgress, Code::Settled]],
        (Route::Delivery(_), _) => &[RECEIPTS],
        (Route::Retry(_), _) => &[RECEIPTS, &[Code::Settled]],
        (Route::Metrics, _) => &[&[Code::Unauthorized, Code::RateLimited]],
        (Route::Sign, _) => &[SIGN],
        (Route::Channels, _) => &[CHANNELS],
        (Route::Events, _) => &[&[Code::Unauthorized, Code::RateLimited, Code::NotFound]],
        (Route::Inbound(Source::Mattermost), _) => &[INBOUND],
        (Route::Inbound(Source::SlackEvents), _) => &[INBOUND, SLACK_EVENTS],
        (Route::Inbound(Source::Slack), _) => &[INBOUND, RELAYED],
        (Route::Inbound(Source::Teams), _) => {
            &[INBOUND, RELAYED, &[Code::BadBody, Code::BackendUnavailable]]
        }
        (Route::SlackInstall | Route::SlackInstalled, _) => {
            &[&[Code::NotFound, Code::ShuttingDown]]
        }
        (
            Route::Home
            | Route::Health
            | Route::Ready
            | Route::Problems
            | Route::OpenApi
            | Route::Unknown,
            _,
        ) => &[],
    };
    let can = |code: &Code| ALWAYS.contains(code) || own.iter().any(|some| some.contains(code));
    CODES.iter().map(|row| row.code).filter(can).collect()
}

/// Whether a code can come up with this configuration.
fn is_possible(code: Code, route: Route<'_>, surface: &Surface) -> bool {
    match (code, route) {
        (Code::Unauthorized | Code::RateLimited, Route::Metrics) => surface.metrics_token,
        (Code::Unauthorized, Route::Inbound(_)) => true,
        (Code::Unauthorized, _) => surface.is_closed,
        (Code::SignatureExpired, _) => surface.has_keys,
        // Where it would be said the document does not have them.
        (Code::NotFound, Route::SlackInstall | Route::SlackInstalled) => false,
        (Code::NotFound, Route::Sign) => !surface.has_keys,
        (Code::NotFound, Route::Events) => !surface.has_outbox,
        // With an outbox a repeat is told the first one's receipt, also while that is under way.
        (Code::InProgress, Route::Post { .. }) => !surface.has_outbox,
        (Code::OutboxFull | Code::StoreUnavailable, _) => surface.has_outbox,
        _ => true,
    }
}

/// Collects the responses that operations refer to.
pub(super) struct Answers<'a> {
    /// What the document depends on.
    pub surface: &'a Surface,
    components: Map<String, Value>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(surface: &'a Surface) -> Self {
        Self {
            surface,
            components: Map::new(),
        }
    }

    /// The problems of a route by their status.
    pub(super) fn problems(&mut self, route: Route<'_>, method: &str) -> Map<String, Value> {
        let mut by_status: BTreeMap<u16, Vec<&Row>> = BTreeMap::new();
        let codes = codes(route, method);
        for row in CODES.iter().filter(|row| codes.contains(&row.code)) {
            if is_possible(row.code, route, self.surface) {
                by_status.entry(row.status).or_default().push(row);
            }
        }
        let is_post = matches!(route, Route::Post { .. });
        let refer = |(status, rows): (u16, Vec<&Row>)| {
            let answer = if method == "HEAD" {
                json!({"description": titles(&rows), "headers": header_refs(status, is_post)})
            } else {
                self.refer(status, &rows, is_post)
            };
            (status.to_string(), answer)
        };
        by_status.into_iter().map(refer).collect()
    }

    /// The responses.
    pub(super) fn into_components(self) -> Map<String, Value> {
        self.components
    }

    fn refer(&mut self, status: u16, rows: &[&Row], is_post: bool) -> Value {
        let words: Vec<&str> = rows.iter().map(|row| row.text).collect();
        let prefix = if is_post { "post." } else { "" };
        let name = format!("{prefix}{status}.{}", words.join("."));
        let reference = json!({"$ref": format!("#/components/responses/{name}")});
        self.components
            .entry(name)
            .or_insert_with(|| response(status, rows, is_post, &self.surface.public_url));
        reference
    }
}

fn titles(rows: &[&Row]) -> String {
    let lines: Vec<String> = rows
        .iter()
        .map(|row| format!("`{}`: {}. {}", row.text, row.title, row.fix))
        .collect();
    lines.join("\n\n")
}

fn response(status: u16, rows: &[&Row], is_post: bool, base: &str) -> Value {
    let texts: Vec<&str> = rows.iter().map(|row| row.text).collect();
    let names: Vec<&str> = rows.iter().map(|row| row.title).collect();
    let types: Vec<String> = texts
        .iter()
        .map(|text| format!("{base}/problems#{text}"))
        .collect();
    json!({
        "description": titles(rows),
        "headers": header_refs(status, is_post),
        "content": {
            "application/problem+json": {"schema": {
                "$ref": "#/components/schemas/Problem",
                "properties": {
                    "type": {"enum": types},
                    "title": {"enum": names},
                    "status": {"const": status},
                    "code": {"enum": texts},
                },
            }},
            "text/plain": {"schema": {"$ref": "#/components/schemas/Line"}},
        },
    })
}

fn header_refs(status: u16, is_post: bool) -> Value {
    let mut names = vec!["X-Request-Id"];
    match status {
        401 => names.push("WWW-Authenticate"),
        429 | 503 => names.push("Retry-After"),
        _ => {}
    }
    if is_post {
        names.extend(["RateLimit", "RateLimit-Policy"]);
    }
    references(&names)
}

/// These headers, by reference.
pub(super) fn references(names: &[&str]) -> Value {
    let refer = |name: &&str| {
        let target = format!("#/components/headers/{name}");
        ((*name).to_owned(), json!({"$ref": target}))
    };
    Value::Object(names.iter().map(refer).collect())
}

/// The headers of answers.
pub(super) fn headers() -> Value {
    let draft = "(draft-ietf-httpapi-ratelimit-headers); left out where no limit is set";
    json!({
        "X-Request-Id": {"required": true, "description": "The caller's own, if it is well-formed, else a new one.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}},
        "Allow": {"required": true, "description": "The methods.", "schema": {"type": "string"}},
        "Location": {"required": true, "description": "Where to look next.", "schema": {"type": "string", "format": "uri-reference"}},
        "Retry-After": {"required": true, "description": "Whole seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
        "WWW-Authenticate": {"required": true, "description": "The credentials that are asked for.", "schema": {"type": "string"}},
        "ETag": {"required": true, "description": "For `If-None-Match`.", "schema": {"type": "string"}},
        "RateLimit": {"description": format!("What is left of each limit {draft}."), "schema": {"type": "string"}},
        "RateLimit-Policy": {"description": format!("The limits {draft}."), "schema": {"type": "string"}},
        "Set-Cookie": {"description": "Binds what was begun to this browser.", "schema": {"type": "string"}},
    })
}
