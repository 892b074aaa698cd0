//! Ids and names of channels: their shapes, and how a name becomes an id. It must not cache; the caller does.

use http::Uri;

use super::answer::classify_lookup;
use super::health;
use super::{Bot, PLATFORM};
use crate::backends::wire::{Call, Wire, WireError};
use crate::domain::delivery::{Failure, Later, Refusal};
use crate::domain::scan;

const NOT_A_NAME: &str = "this is neither a Mattermost channel id (26 lower-case letters and digits) nor a name: write \
     team/channel-name as in the channel's URL, or the id from the channel's \"View Info\"";

/// Whether a text can be an id: `^[a-z0-9]{26}$` (reference 3).
pub(super) fn is_id(text: &str) -> bool {
    let is_taken = |b: u8| b.is_ascii_lowercase() | b.is_ascii_digit();
    text.len() == 26 && scan::all(text.as_bytes(), is_taken)
}

/// Whether a target has the shape of an id or of `team/channel-name`.
pub(super) fn recognises(target: &str) -> bool {
    is_id(target) || names(target).is_some()
}

/// Team and channel of `team/channel-name`. Only what names are made of, so that they need no escape in a path
/// and cannot climb out of it.
fn names(target: &str) -> Option<(&str, &str)> {
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    target
        .split_once('/')
        .filter(|(team, channel)| is_name(team) && is_name(channel))
}

/// The id of `team/channel-name` (reference 10).
pub(super) async fn find(bot: &Bot, wire: &dyn Wire, target: &str) -> Result<String, Failure> {
    let unknown = || Failure::refused(Refusal::UnknownChannel, "", NOT_A_NAME);
    let (team, channel) = names(target).ok_or_else(unknown)?;
    let path = format!("/api/v4/teams/name/{team}/channels/name/{channel}");
    let uri: Uri = bot.base.join(&path).map_err(|_| unknown())?;
    let answer = wire
        .call(Call::get(&uri, Some(&bot.authorization)))
        .await
        .map_err(unanswered)?;
    match classify_lookup(&answer) {
        Ok(id) => Ok(id),
        Err(refused) => Err(health::confirm(wire, &bot.ping, &answer, refused).await),
    }
}

/// The failure of a question without an answer; unlike a post, it has changed nothing.
pub(super) fn unanswered(error: WireError) -> Failure {
    match error {
        WireError::NoAnswer => {
            Failure::later(Later::Unavailable, None, format!("{PLATFORM}: {error}"))
        }
        WireError::Resolve | WireError::OffLimits | WireError::Connect | WireError::Tls => {
            error.into_failure(PLATFORM)
        }
    }
}

/// A refused post says the same of an unknown channel as of one that the bot is not in (reference 6); the
/// channel itself tells them apart. `refused` stands unless the server says that there is no such channel.
pub(super) async fn explain(bot: &Bot, wire: &dyn Wire, id: &str, refused: Failure) -> Failure {
    let not_allowed = matches!(
        &refused,
        Failure::Refused { reason: Refusal::NotAllowed, platform_code: Some(code), .. }
            if code.as_str() == "api.context.permissions.app_error"
    );
    if !not_allowed || !is_id(id) {
        return refused;
    }
    let Ok(uri) = bot.base.join(&format!("/api/v4/channels/{id}")) else {
        return refused;
    };
    let Ok(answer) = wire.call(Call::get(&uri, Some(&bot.authorization))).await else {
        return refused;
    };
    match classify_lookup(&answer) {
        Err(
            unknown @ Failure::Refused {
                reason: Refusal::UnknownChannel | Refusal::Archived,
                ..
            },
        ) => unknown,
        _ => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_have_their_shapes() {
        for (target, id, known) in [
            ("4yoxbndrfg8ejkmcpqxot1uwis", true, true),
            ("4YOXbndrfg8ejkmcpqxot1uwis", false, false),
            ("4yoxbndrfg8ejkmcpqxot1uwi", false, false),
            ("dev/town-square", false, true),
            ("Dev/Town-Square", false, true),
            ("dev/a__b", false, true),
            ("dev/", false, false),
            ("/town-square", false, false),
            ("town-square", false, false),
            ("dev/x/y", false, false),
            ("../x", false, false),
            ("dev/#x", false, false),
            ("dev/x y", false, false),
            ("dev/é", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_id(target), id, "{target}");
            assert_eq!(recognises(target), known, "{target}");
        }
    }
}
