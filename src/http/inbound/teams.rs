//! What Teams sends: activities with a token of the Bot Framework. Verified, remembered as to where the bot is, and relayed
//! while the platform waits.

use std::time::Duration;

use futures_util::future::join_all;

use super::{Incoming, Refused, command, empty};
use crate::backends::Door;
use crate::backends::conversations::{Conversations, MAX_CONVERSATIONS, Reference};
use crate::http::problem::{Code, Problem};
use crate::http::reply::Reply;
use crate::inbound::Unverified;
use crate::inbound::command::Command;
use crate::inbound::teams::{self, Activity, Lesson, NoActivity, Rules, Token};
use crate::outbox::{Note, Space, StoreError};

/// The platform asks again after 15 s (reference/teams.md 5.4), and the keys may have to be fetched first.
const BUDGET: Duration = Duration::from_secs(5);
/// How long a request waits for a disk.
const WRITING: Duration = Duration::from_secs(2);
/// How soon the keys are tried again.
const KEYS_RETRY_S: u64 = 5;

/// Answers an activity.
pub(super) async fn activity(incoming: &Incoming<'_>) -> Result<Reply, Refused> {
    let door = incoming.context.state.inbound.teams.as_ref();
    let door = door.ok_or(Unverified::Unconfigured)?;
    let activity = verify(incoming, door).await?;
    if activity.is_own(&door.app_id) {
        return Ok(empty());
    }
    learn(incoming, &activity).await;
    let state = incoming.context.state;
    let first = match activity.mark() {
        None => None,
        Some(mark) => match state.seen.first(mark, state.clock.now()) {
            None => return Ok(empty()),
            first => first,
        },
    };
    if let Some(mention) = activity.mention()
        && let Some(command) = Command::parse(&mention.text)
    {
        first.into_iter().for_each(super::seen::First::keep);
        let to = command::channel("teams", &mention.conversation);
        command::answer(incoming.context, command, to, &activity.names()).await;
        return Ok(empty());
    }
    Ok(incoming.relay(first, BUDGET).await?)
}

async fn verify(incoming: &Incoming<'_>, door: &Door) -> Result<Activity, Refused> {
    let token = Token::of(incoming.header("authorization"))?;
    let dispatcher = incoming.context.dispatcher;
    let mut keys = dispatcher.keys().await.ok_or_else(no_keys)?;
    if !token.is_of(keys.issuer()) {
        return Err(Unverified::Misdirected.into());
    }
    if keys.find(token.kid()).is_none() {
        keys = dispatcher.keys_beyond(&keys).await.ok_or_else(no_keys)?;
    }
    let key = keys.find(token.kid()).ok_or(Unverified::Forged)?;
    let now = incoming.context.state.clock.unix().as_secs();
    let verified = teams::verify(&token, key, keys.issuer(), &door.app_id, now)?;
    let activity = Activity::parse(&incoming.body).map_err(no_activity)?;
    let rules = Rules {
        tenant: door.tenant.as_deref(),
        is_trusted: &|url| door.trusts(url),
    };
    teams::admit(&activity, &verified, &rules)?;
    Ok(activity)
}

fn no_keys() -> Problem {
    let detail = "the keys that would verify this cannot be fetched; try again in a moment";
    Problem::new(Code::BackendUnavailable, detail).retry_after_s(KEYS_RETRY_S)
}

fn no_activity(reason: NoActivity) -> Problem {
    Problem::new(Code::BadBody, reason.to_string())
}

/// Remembers where the bot is. What cannot be written down, or not in time, is known until the next start at least, and
/// the next activity has it written again.
async fn learn(incoming: &Incoming<'_>, activity: &Activity) {
    let known = &incoming.context.state.conversations;
    let written = async {
        match activity.lesson() {
            Lesson::Here => match known.learn(reference(activity)) {
                Some(reference) => {
                    let end = write(incoming, &reference).await;
                    end.map(|()| known.written(&reference))
                }
                None => Ok(()),
            },
            Lesson::Gone { conversation, team } => {
                erase(incoming, known.forget(conversation, team)).await
            }
        }
    };
    // The store goes on with what it was given.
    if let Ok(Err(error)) = tokio::time::timeout(WRITING, written).await {
        tracing::warn!(reason = %error, "a conversation of Teams is not written down");
    }
}

fn reference(activity: &Activity) -> Reference {
    Reference {
        conversation: activity.conversation().to_owned(),
        service_url: activity.service_url().to_owned(),
        tenant_id: activity.tenant().map(str::to_owned),
        team_id: activity.team().map(str::to_owned),
        conversation_type: activity.conversation_type().map(str::to_owned),
        bot_id: activity.bot().map(str::to_owned),
    }
}

async fn write(incoming: &Incoming<'_>, reference: &Reference) -> Result<(), StoreError> {
    let dispatcher = incoming.context.dispatcher;
    let (Some(desk), Ok(value)) = (dispatcher.desk(), serde_json::to_vec(reference)) else {
        return Ok(());
    };
    let note = Note {
        space: Space::Conversation,
        key: reference.conversation.clone(),
        value,
    };
    let now_ms = dispatcher.unix_ms();
    desk.store.put_note(note, now_ms, MAX_CONVERSATIONS).await
}

async fn erase(incoming: &Incoming<'_>, gone: Vec<String>) -> Result<(), StoreError> {
    let Some(desk) = incoming.context.dispatcher.desk() else {
        return Ok(());
    };
    // All at once: they share a commit.
    let erased = gone
        .into_iter()
        .map(|key| desk.store.delete_note(Space::Conversation, key));
    join_all(erased).await.into_iter().collect()
}

/// Takes up what an earlier process knew.
pub(super) fn load(notes: &[Note], known: &Conversations) {
    let ours = notes
        .iter()
        .filter(|note| note.space == Space::Conversation);
    for note in ours {
        match serde_json::from_slice(&note.value) {
            Ok(reference) => {
                if let Some(reference) = known.learn(reference) {
                    known.written(&reference);
                }
            }
            Err(_) => tracing::warn!("a conversation of Teams in the outbox is not readable"),
        }
    }
}
