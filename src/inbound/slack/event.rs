//! The body of a request of Slack's Events API: reference/slack.md 6.2 and 6.3, checked 2026-11-21.

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::fields::Fields;
use super::mention::Mention;
use crate::inbound::Mark;

/// The longest challenge that is echoed; Slack's own have some 50 characters (threats.md D5).
const MAX_CHALLENGE_CHARS: usize = 256;

/// What a verified body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Slack asks whether this address is the app's; `None` for a challenge that is nothing to echo.
    Verification(Option<Challenge>),
    /// The app's own bot did it: who answers that answers itself, without end.
    Own,
    /// Everything else, whatever it is: it is for the internal API.
    Other {
        /// Slack's id of the event, which its repeats have in common.
        id: Option<String>,
        /// The bot is spoken to.
        mention: Option<Mention>,
        /// The workspace that has taken the app out, or its bot's token back.
        left: Option<String>,
    },
}

/// What Slack wants to be told again; safe in any kind of document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(String);

/// The body is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not JSON")]
pub struct NotJson;

impl Event {
    /// Reads a body, which must be verified.
    ///
    /// # Errors
    /// [`NotJson`].
    pub fn read(body: &[u8]) -> Result<Self, NotJson> {
        let text = std::str::from_utf8(body).map_err(|_| NotJson)?;
        let json: &RawValue = serde_json::from_str(text).map_err(|_| NotJson)?;
        let envelope = Fields::of(json);
        let kind = envelope.text("type");
        if kind.as_deref() == Some("url_verification") {
            let challenge = envelope.text("challenge").and_then(Challenge::new);
            return Ok(Self::Verification(challenge));
        }
        let id = envelope.text("event_id");
        if kind.as_deref() != Some("event_callback") {
            return Ok(Self::Other {
                id,
                mention: None,
                left: None,
            });
        }
        let event = envelope.object("event");
        let bots = bots(&envelope);
        if is_own(&envelope, &event, &bots) {
            return Ok(Self::Own);
        }
        Ok(Self::Other {
            id,
            mention: Mention::read(&envelope, &event, bots.first()),
            left: left(&envelope, &event),
        })
    }
}

impl Challenge {
    fn new(text: String) -> Option<Self> {
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let is_good = text.len() <= MAX_CHALLENGE_CHARS && text.bytes().all(is_safe);
        is_good.then_some(Self(text))
    }

    /// The text to echo.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

/// What the repeats of an event have in common, even under a new signature; for an event without an id, what its
/// replays have.
#[must_use]
pub fn repeat_key(id: Option<&str>, mark: &Mark) -> [u8; 32] {
    let (kind, name) = match id {
        Some(id) => (b"event", id.as_bytes()),
        None => (b"proof", mark.as_slice()),
    };
    let hash = Sha256::new()
        .chain_update(b"slack ")
        .chain_update(kind)
        .chain_update(b" ")
        .chain_update(name);
    hash.finalize().into()
}

/// The bots that the event is shown to; one in practice.
pub(super) struct Bot {
    pub user: String,
    pub team: Option<String>,
}

fn bots(envelope: &Fields<'_>) -> Vec<Bot> {
    let all = envelope.objects("authorizations");
    // Without `is_bot` it is the person who installed the app, and what people do is never dropped.
    let bots = all.iter().filter(|one| one.is_true("is_bot"));
    bots.filter_map(|one| {
        Some(Bot {
            user: one.text("user_id")?,
            team: workspace(one),
        })
    })
    .collect()
}

/// Under what the installation of an authorization is kept: an organisation's is the organisation's.
fn workspace(one: &Fields<'_>) -> Option<String> {
    one.text(if one.is_true("is_enterprise_install") {
        "enterprise_id"
    } else {
        "team_id"
    })
}

/// The workspace whose installation has ended: `app_uninstalled`, or `tokens_revoked` with a bot's token among them.
fn left(envelope: &Fields<'_>, event: &Fields<'_>) -> Option<String> {
    let is_over = match event.text("type")?.as_str() {
        "app_uninstalled" => true,
        "tokens_revoked" => !event.object("tokens").objects("bot").is_empty(),
        _ => false,
    };
    if !is_over {
        return None;
    }
    let authorized = envelope.objects("authorizations");
    let of_organisation = authorized
        .first()
        .filter(|one| one.is_true("is_enterprise_install"))
        .and_then(workspace);
    of_organisation.or_else(|| envelope.text("team_id"))
}

/// What the bot does and the internal API must know of all the same, as Slack's own framework has it
/// (bolt-js `ignoreSelf`, checked 2026-11-21): where it is.
const TOLD_OF_THE_BOT: [&str; 2] = ["member_joined_channel", "member_left_channel"];

/// Whether the app's own bot did it. Unfurls and edits of its posts have the ids only inside.
fn is_own(envelope: &Fields<'_>, event: &Fields<'_>, bots: &[Bot]) -> bool {
    let kind = event.text("type").unwrap_or_default();
    if TOLD_OF_THE_BOT.contains(&kind.as_str()) {
        return false;
    }
    let app = envelope.text("api_app_id");
    let is_app = |message: &Fields<'_>| {
        let ids = [
            message.text("app_id"),
            message.object("bot_profile").text("app_id"),
        ];
        app.is_some() && ids.contains(&app)
    };
    let is_bot = |message: &Fields<'_>| {
        let user = message.text("user");
        user.is_some_and(|user| bots.iter().any(|bot| bot.user == user))
    };
    let inside = ["message", "previous_message"].map(|name| event.object(name));
    let found = |message: &Fields<'_>| is_app(message) || is_bot(message);
    found(event) || inside.iter().any(found)
}

#[cfg(test)]
mod tests;
