//! What the connector's answers mean. PURE: no token, no retry; `classify` is one table over status and
//! code (reference/teams.md 2.2, 2.7), and takes any bytes.

use serde::Deserialize;

use crate::backends::wire::{Answer, StatusGroup};
use crate::domain::delivery::{Failure, Later, Posted, Refusal};

/// Longer ids than this are none: Teams' are decimal numbers or GUIDs.
const MAX_ID_CHARS: usize = 256;

/// Both shapes of an error that were seen.
#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(borrow)]
    error: Option<Inner<'a>>,
    #[serde(rename = "errorCode")]
    number: Option<i64>,
    /// JSON in a string, in the second shape.
    message: Option<String>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow)]
    code: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Deserialize)]
struct SubCode {
    #[serde(rename = "subCode")]
    code: String,
}

#[derive(Deserialize, Default)]
struct Created {
    id: Option<String>,
    #[serde(rename = "activityId")]
    activity_id: Option<String>,
}

/// What an answer of the connector says of the post. [`Posted::channel`] is the caller's to fill in.
///
/// Documents say not to retry 500, and that 502 to 504 may come after the post was made; the contract
/// retries every 5xx, at least once being its promise, and holds here.
///
/// # Errors
/// [`Failure`] for everything but a success that can be read.
pub fn classify(answer: &Answer) -> Result<Posted, Failure> {
    match answer.group() {
        StatusGroup::Success => posted(answer),
        StatusGroup::Redirect => Err(Failure::refused(
            Refusal::Misconfigured,
            "",
            "Teams: the service URL redirects to somewhere else; set TEAMS_SERVICE_URL to the final address",
        )),
        StatusGroup::Throttled => Err(later(answer, Later::Throttled)),
        StatusGroup::Unavailable => Err(later(answer, Later::Unavailable)),
        StatusGroup::Refused => Err(client_error(answer)),
        StatusGroup::Strange => Err(unusable(answer)),
    }
}

/// The platform's code in an error; empty if there is none.
#[must_use]
pub fn code_of(answer: &Answer) -> String {
    let Some(problem) = answer.leading::<Problem<'_>>(&["error", "message"]) else {
        return String::new();
    };
    if let Some(code) = problem.error.and_then(|inner| inner.code) {
        return code.into_owned();
    }
    let nested = problem
        .message
        .and_then(|text| serde_json::from_str::<SubCode>(&text).ok());
    match (nested, problem.number) {
        (Some(sub), _) => sub.code,
        (None, Some(number)) => number.to_string(),
        (None, None) => String::new(),
    }
}

/// A passing failure, with what the platform asked for.
pub(super) fn later(answer: &Answer, reason: Later) -> Failure {
    let what = match reason {
        Later::Throttled => "is sent more than it takes, and asks to wait",
        Later::Unavailable | Later::Unreachable | Later::Renewing => {
            "cannot take messages at the moment"
        }
    };
    let detail = format!("Teams {what} (HTTP {})", answer.status);
    Failure::later(reason, answer.retry_after, detail)
}

fn posted(answer: &Answer) -> Result<Posted, Failure> {
    let created: Created = answer.leading(&["id", "activityId"]).unwrap_or_default();
    let id = created.activity_id.or(created.id);
    let message_id = id.as_deref().map(message_of).filter(|id| is_id(id));
    if message_id.is_none() && !is_accepted(answer) {
        return Err(unusable(answer));
    }
    Ok(Posted {
        message_id: message_id.map(str::to_owned),
        ..Posted::default()
    })
}

/// Whether the status alone says that the message was taken. 201 answers what was made, 202 may come without a body, and
/// some posts are given no id (reference/teams.md 2.2, 2.4): without one they count, since Teams recognises no repeats. What
/// stands before the service answers 200, and a page if anything.
fn is_accepted(answer: &Answer) -> bool {
    matches!(answer.status, 201 | 202) && !answer.is_page() && code_of(answer).is_empty()
}

/// The message in an id that may be a whole thread's.
fn message_of(id: &str) -> &str {
    id.split_once(super::place::THREAD_MARK)
        .map_or(id, |(_, message)| message)
}

fn is_id(id: &str) -> bool {
    !id.trim().is_empty() && id.chars().count() <= MAX_ID_CHARS && !id.contains(char::is_control)
}

fn unusable(answer: &Answer) -> Failure {
    Failure::Unknown {
        is_answered: !answer.is_page(),
        detail: "Teams gave an answer that cannot be understood; the message may or may not have been posted. \
                 If this stays so, check TEAMS_SERVICE_URL"
            .to_owned(),
    }
}

fn client_error(answer: &Answer) -> Failure {
    let code = code_of(answer);
    let (reason, detail) = match answer.status {
        412 => return later(answer, Later::Unavailable),
        401 => unauthorized(&code),
        403 => forbidden(&code),
        404 => not_found(&code),
        413 => (
            Refusal::TooLong,
            "Teams: the message is longer than it takes; shorten it",
        ),
        400 if matches!(&*code, "BadArgument" | "BadSyntax") => (
            Refusal::Rejected,
            "Teams calls the request malformed; check that the channel id is complete and of this tenant",
        ),
        _ => (
            Refusal::Rejected,
            "Teams refused the message; platform_code, if any, is its reason",
        ),
    };
    Failure::refused(reason, &code, detail)
}

fn unauthorized(code: &str) -> (Refusal, &'static str) {
    let detail = match code {
        "BotNotRegistered" => {
            "Teams does not know the bot: create an Azure Bot with TEAMS_APP_ID and enable its Teams channel"
        }
        _ => {
            "Teams refuses the bot's token: check that TEAMS_APP_ID is the app of an Azure Bot whose Teams channel is \
             enabled, and that TEAMS_TENANT_ID is that bot's tenant"
        }
    };
    (Refusal::Credentials, detail)
}

fn forbidden(code: &str) -> (Refusal, &'static str) {
    let detail = match code {
        "BotNotInConversationRoster" => {
            "the app is not installed there: in Teams, open the team (or chat), \"Manage team\", \"Apps\", and add the \
             bot's app"
        }
        "BotDisabledByAdmin" => {
            "an administrator has disabled the bot: allow its app in the Teams admin centre"
        }
        "ConversationBlockedByUser" => {
            "the user has blocked the bot: only that user can unblock it, in the chat with the bot"
        }
        "MessageWritesBlocked" => {
            "the user or an administrator has blocked messages of the bot: unblock it in the chat with the bot"
        }
        "NotEnoughPermissions" => {
            "the bot may not post there: check the app's permissions and the channel's moderation settings"
        }
        "InvalidBotApiHost" => {
            return (
                Refusal::Misconfigured,
                "the tenant is in a government cloud: set TEAMS_SERVICE_URL to \
                 https://smba.infra.gcc.teams.microsoft.com/teams (or that cloud's own URL)",
            );
        }
        _ => {
            "Teams does not let the bot post there: check that its app is installed in that team or chat and not blocked"
        }
    };
    (Refusal::NotAllowed, detail)
}

fn not_found(code: &str) -> (Refusal, &'static str) {
    let detail = match code {
        "ActivityNotFoundInConversation" => {
            "the message that the thread belongs to does not exist or was deleted; post to the channel without \
             ;messageid="
        }
        _ => {
            "Teams does not know this channel or hides it from the bot: check the id, that the bot's app is installed in \
             its team, and that TEAMS_SERVICE_URL is right"
        }
    };
    (Refusal::UnknownChannel, detail)
}
