//! `POST /sign`: makes a signed URL for whoever could make that post with a token. The key stays here.
//!
//! What is signed is what the URL is read as when it comes back, by the same code; so it must not sign anything that a
//! post would refuse.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use actix_web::web;
use serde::{Deserialize, Serialize};

use crate::domain::channel::Destination;
use crate::domain::percent::encode;
use crate::domain::signing::{Scope, Signed};
use crate::env::parse_duration;

use super::super::Context;
use super::super::body::{self, Rules};
use super::super::extract::Decoded;
use super::super::problem::{Code, Problem};
use super::super::reader::Reader;
use super::super::receipt::{json_line, rfc3339};
use super::super::reply::{JSON, Reply};
use super::super::route::{Form, Route};

/// How long looking up names may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Beyond ten years somebody means `never`.
const MAX_EXPIRY: Duration = Duration::from_secs(3650 * 86_400);
/// The longest target takes less, however it is escaped in JSON.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// What stands for the message where any may follow.
const ANY: &str = "any";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    channel: String,
    message: Option<String>,
    #[serde(default)]
    options: BTreeMap<String, String>,
    scope: WishedScope,
    expires: Expiry,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
enum WishedScope {
    #[serde(rename = "c")]
    Channel,
    #[serde(rename = "m")]
    Message,
}

/// Unix seconds, or a duration from now, or `never`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expiry {
    At(u64),
    In(String),
}

#[derive(Serialize)]
struct Made {
    /// The value of the option.
    sig: String,
    /// Path and query of the signed URL. Without a message, `&message=…` goes at its end.
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// `POST /sign`
pub(in super::super) async fn answer(
    context: &Context<'_>,
    payload: web::Payload,
) -> Result<Reply, Problem> {
    let state = context.state;
    if state.callers.keys.is_empty() {
        let detail = "this proxy signs no URLs; the operator sets SIGNING_KEYS";
        return Err(Problem::new(Code::NotFound, detail));
    }
    let reader = Reader::of(context)?;
    let caller = reader.caller();
    reader.take_quota(context)?;
    let wish = read(context, payload).await?;
    let target = target(&wish)?;
    let decoded = decoded(&target);
    let channel = decoded.channel.clone().unwrap_or_default();
    let message = decoded.message.clone().unwrap_or_default();
    let (parsed, _, options) = decoded.check(state.settings.own_url.as_ref())?;
    let destinations = context.resolve(&parsed)?;
    let deadline = state.clock.now() + DEADLINE;
    context.check_scope(caller, &destinations, deadline).await?;
    let expires = expires(&wish.expires, state.clock.unix())?;
    let scope = match wish.scope {
        WishedScope::Channel => Scope::Channel,
        WishedScope::Message => Scope::Message,
    };
    let signed = Signed {
        channel: &channel,
        message: &message,
        options: &options.given,
    };
    let sig = state.callers.keys.sign(scope, expires, signed);
    let sig = sig.ok_or_else(|| Problem::new(Code::Internal, "the key does not sign"))?;
    let target = match &wish.message {
        Some(_) => with(target, "sig", &sig),
        // Without the message that stood in for any.
        None => with(start_of(&wish), "sig", &sig),
    };
    if target.len() > state.settings.max_url_bytes {
        let detail = format!(
            "the signed URL would be longer than {} bytes (MAX_URL); shorten the message",
            state.settings.max_url_bytes
        );
        return Err(Problem::new(Code::UriTooLong, detail));
    }
    let backend = destinations.first().map(|to| to.backend);
    let place = destinations.first().map(Destination::channel);
    tracing::info!(
        caller = caller.name(),
        backend,
        channel = place,
        expires,
        "signed a URL"
    );
    let made = Made {
        sig,
        target,
        expires_at: (expires > 0).then(|| rfc3339(expires.saturating_mul(1000))),
    };
    Ok(Reply::Text(200, JSON, json_line(&made).into()))
}

async fn read(context: &Context<'_>, payload: web::Payload) -> Result<Wish, Problem> {
    let rules = Rules::keeping(MAX_BODY_BYTES);
    let body = body::read(context.request.headers(), payload, rules).await?;
    // The error may show a part of the body, so it is not passed on.
    serde_json::from_slice(&body).map_err(|_| {
        bad("the body must be JSON: channel, scope ('c' or 'm'), expires (Unix seconds, a duration such as '30d', or 'never'); message and options (an object of texts) if wanted")
    })
}

/// Path and query of the post.
fn target(wish: &Wish) -> Result<String, Problem> {
    for name in ["token", "sig", "message"] {
        if wish.options.contains_key(name) {
            return Err(bad(
                "a signed URL does not take the options token, sig and message",
            ));
        }
    }
    if wish.message.is_none() && wish.scope == WishedScope::Message {
        return Err(bad("the scope 'm' is for one message, and there is none"));
    }
    let target = start_of(wish);
    Ok(match wish.message {
        Some(_) => target,
        None => with(target, "message", ANY),
    })
}

fn start_of(wish: &Wish) -> String {
    let mut path = format!("/post/channel/{}", encode(&wish.channel));
    if let Some(message) = &wish.message {
        // Writing into a text does not fail.
        write!(path, "/msg/{}", encode(message)).ok();
    }
    let options = wish.options.iter();
    options.fold(path, |target, (name, value)| with(target, name, value))
}

/// The same with one more option.
fn with(target: String, name: &str, value: &str) -> String {
    let sign = if target.contains('?') { '&' } else { '?' };
    format!("{target}{sign}{}={}", encode(name), encode(value))
}

/// What the URL is read as.
fn decoded(target: &str) -> Decoded {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match Route::of(path) {
        Route::Post { channel, form } => Decoded::read(channel, form, query.as_bytes()),
        _ => Decoded::read(b"", Form::Query, b""),
    }
}

/// Unix seconds, 0 is never.
fn expires(wish: &Expiry, now: Duration) -> Result<u64, Problem> {
    let form = "expires takes Unix seconds to come, a duration from 1s to 3650d, or 'never'";
    let at = match wish {
        Expiry::In(text) if text == "never" => return Ok(0),
        Expiry::In(text) => {
            now + parse_duration(text)
                .ok()
                .filter(|d| *d <= MAX_EXPIRY)
                .ok_or_else(|| bad(form))?
        }
        Expiry::At(seconds) => Duration::from_secs(*seconds),
    };
    if at.as_secs() <= now.as_secs() || at > now + MAX_EXPIRY {
        return Err(bad(form));
    }
    Ok(at.as_secs())
}

fn bad(detail: &'static str) -> Problem {
    Problem::new(Code::BadOption, detail)
}
