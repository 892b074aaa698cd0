//! What Slack's Web API answered, as an outcome. Pure; arbitrary bytes are an answer too.
//!
//! The rule of the platform: `ok` decides, never the status alone; statuses matter where the body is not
//! Slack's. A detail holds texts of ours and cleaned codes, never what came from outside.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::codes::{Meaning, advice, meaning};
use crate::backends::wire::{Answer, StatusGroup, WireError};
use crate::domain::delivery::{Failure, Later, Posted, Refusal};

/// The scope of the sender's name.
const SCOPE_OF_NAME: &str = "chat:write.customize";

/// What every answer of the Web API has, and what posts add. `ok` decides; another field of an odd type is as good as
/// absent, else a post that was taken would be made again for the sake of its `ts`.
#[derive(Deserialize)]
struct Reply {
    ok: bool,
    #[serde(default, deserialize_with = "text_if_any")]
    error: Option<String>,
    #[serde(default, deserialize_with = "text_if_any")]
    needed: Option<String>,
    #[serde(default, deserialize_with = "text_if_any")]
    channel: Option<String>,
    #[serde(default, deserialize_with = "text_if_any")]
    ts: Option<String>,
}

fn text_if_any<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// The same, as they are read of an answer that is cut off: the post comes back in it, after `ok`, `channel` and `ts`
/// (reference/slack.md 1.2), and may be longer than what is read.
const REPLY_FIELDS: [&str; 5] = ["ok", "error", "needed", "channel", "ts"];

/// The outcome of `chat.postMessage`.
///
/// # Errors
/// The failure that the answer means; [`Failure::Unknown`] when the message may have been posted.
pub fn classify(answer: &Answer) -> Result<Posted, Failure> {
    match answer.group() {
        StatusGroup::Redirect => return Err(redirected("SLACK_API_URL")),
        StatusGroup::Throttled => return Err(throttled(answer)),
        _ => {}
    }
    match reply(answer) {
        Some(reply) if !reply.ok => Err(refusal(&reply, answer)),
        Some(reply) if answer.is_success() => Ok(Posted {
            channel: reply.channel.and_then(safe_id),
            message_id: reply.ts.and_then(safe_id),
            ..Posted::default()
        }),
        // Said to be posted, with a status that denies it.
        Some(_) => Err(unusable(answer)),
        None => Err(by_status(answer)),
    }
}

/// The outcome of a call that only reads: nothing can have been posted, so nothing is unknown.
///
/// # Errors
/// The failure that the answer means.
pub fn classify_read(answer: &Answer) -> Result<(), Failure> {
    match classify(answer) {
        Ok(_) => Ok(()),
        Err(Failure::Unknown { .. }) => Err(Failure::later(
            Later::Unavailable,
            answer.retry_after,
            "Slack gave no usable answer: it has an outage, or SLACK_API_URL is not the address of its API",
        )),
        Err(failure) => Err(failure),
    }
}

/// The failure of a call that only reads and got no answer.
#[must_use]
pub(super) fn unread(error: WireError) -> Failure {
    match error.into_failure("Slack") {
        Failure::Unknown { .. } => {
            Failure::later(Later::Unavailable, None, format!("Slack: {error}"))
        }
        failure => failure,
    }
}

/// The body as Slack's JSON object. An array would be read as one too, field by field: refused.
fn reply(answer: &Answer) -> Option<Reply> {
    let object = answer.body.trim_ascii_start().starts_with(b"{");
    let reply: Reply = object.then(|| answer.leading(&REPLY_FIELDS))??;
    // Where the reason of a refusal is cut off, it is not known to be one for good.
    let is_whole = reply.ok || reply.error.is_some() || !answer.truncated;
    is_whole.then_some(reply)
}

fn refusal(reply: &Reply, answer: &Answer) -> Failure {
    let code = reply.error.as_deref().unwrap_or_default();
    if code == "missing_scope" {
        return missing_scope(reply.needed.as_deref().unwrap_or_default());
    }
    of_code(code, answer).unwrap_or_else(|| match answer.group() {
        StatusGroup::Unavailable => unavailable(answer),
        _ => Failure::refused(
            Refusal::Rejected,
            shown_code(code),
            "Slack refuses the message with a code that is not known here: see platform_code and Slack's documentation",
        ),
    })
}

/// The failure of a listed code.
pub(super) fn of_code(code: &str, answer: &Answer) -> Option<Failure> {
    let meaning = meaning(code)?;
    let detail = advice(code, meaning);
    let refused = |reason| Failure::refused(reason, code, detail);
    Some(match meaning {
        Meaning::Throttled => throttled(answer),
        Meaning::Later => Failure::later(Later::Unavailable, answer.retry_after, detail),
        Meaning::Ambiguous => Failure::Unknown {
            is_answered: true,
            detail: detail.to_owned(),
        },
        Meaning::Credentials => refused(Refusal::Credentials),
        Meaning::UnknownChannel => refused(Refusal::UnknownChannel),
        Meaning::NotAllowed => refused(Refusal::NotAllowed),
        Meaning::Archived => refused(Refusal::Archived),
        Meaning::TooLong => refused(Refusal::TooLong),
        Meaning::Rejected => refused(Refusal::Rejected),
    })
}

/// A missing scope for a name is this post's trouble alone; were it the bot's, any caller could stop all
/// posts with `as`.
fn missing_scope(needed: &str) -> Failure {
    let scope = safe_scopes(needed);
    if scope.contains(SCOPE_OF_NAME) {
        return Failure::refused(
            Refusal::NotAllowed,
            "missing_scope",
            "the app lacks the scope chat:write.customize, which the option 'as' needs: leave 'as' out, or add the scope under OAuth & Permissions and reinstall the app",
        );
    }
    let which = if scope.is_empty() {
        "chat:write"
    } else {
        &scope
    };
    Failure::refused(
        Refusal::Credentials,
        "missing_scope",
        format!(
            "the app lacks the scope {which}: add it under OAuth & Permissions, reinstall the app and set the new SLACK_BOT_TOKEN"
        ),
    )
}

/// The scopes of a list, such as `chat:write.public,channels:read`; whatever is none is left out.
pub(super) fn safe_scopes(raw: &str) -> String {
    let scopes = raw
        .split(',')
        .filter(|scope| is_words(scope, &['.', ':', '_']));
    scopes.take(3).collect::<Vec<_>>().join(",")
}

/// A code that is not listed, if it has the form of one, else nothing.
pub(super) fn shown_code(code: &str) -> &str {
    if is_words(code, &['_']) { code } else { "" }
}

/// Whether a foreign text is worth showing: words of lower-case letters, none as long as a token, so that a server
/// that repeats our credentials (threat E7) does not get them into an answer.
fn is_words(text: &str, joiners: &[char]) -> bool {
    const MAX_WORD: usize = 20;
    let is_word = |word: &str| {
        (1..=MAX_WORD).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase())
    };
    text.len() <= 80 && text.split(joiners).all(is_word)
}

/// An id or a `ts` as Slack makes them; anything else is not repeated.
fn safe_id(raw: String) -> Option<String> {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
    (!raw.is_empty() && raw.len() <= 64 && raw.bytes().all(safe)).then_some(raw)
}

fn by_status(answer: &Answer) -> Failure {
    match answer.group() {
        StatusGroup::Success | StatusGroup::Strange => unusable(answer),
        StatusGroup::Redirect => redirected("SLACK_API_URL"),
        StatusGroup::Throttled => throttled(answer),
        StatusGroup::Unavailable => unavailable(answer),
        StatusGroup::Refused => refused_by_status(answer.status),
    }
}

/// A refusal without Slack's JSON: something else stands at that address, or before it.
fn refused_by_status(status: u16) -> Failure {
    match status {
        401 => Failure::refused(
            Refusal::Credentials,
            "",
            "Slack's address answered 401: check SLACK_BOT_TOKEN and SLACK_API_URL",
        ),
        413 => Failure::refused(
            Refusal::TooLong,
            "",
            "the message is longer than Slack's address takes (413): shorten it",
        ),
        403 | 404 | 405 | 407 | 410 | 421 => Failure::refused(
            Refusal::Misconfigured,
            "",
            format!(
                "{status}, and not by Slack's API: check SLACK_API_URL, and any proxy on the way"
            ),
        ),
        _ => Failure::refused(
            Refusal::Rejected,
            "",
            format!("Slack's address refused the message with status {status}"),
        ),
    }
}

pub(super) fn redirected(what: &str) -> Failure {
    Failure::refused(
        Refusal::Misconfigured,
        "",
        format!("the URL redirects to somewhere else; set {what} to the final address"),
    )
}

pub(super) fn throttled(answer: &Answer) -> Failure {
    Failure::later(
        Later::Throttled,
        answer.retry_after,
        advice("rate_limited", Meaning::Throttled),
    )
}

pub(super) fn unavailable(answer: &Answer) -> Failure {
    Failure::later(
        Later::Unavailable,
        answer.retry_after,
        format!(
            "Slack is not available at present (status {})",
            answer.status
        ),
    )
}

pub(super) fn unusable(answer: &Answer) -> Failure {
    Failure::Unknown {
        is_answered: !answer.is_page(),
        detail: "Slack took the request and gave no usable answer; the message may or may not have been posted"
            .to_owned(),
    }
}
