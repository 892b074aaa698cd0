//! Events: acknowledged as soon as they are stored, and relayed afterwards; where nothing can be stored, relayed while
//! Slack waits, and acknowledged only if they were accepted, so that Slack repeats the others.

use super::{BACKEND, BUDGET, channel, verify};
use crate::domain::digest;
use crate::http::inbound::seen::Standing;
use crate::http::inbound::{Incoming, Refused, command, empty, forward};
use crate::http::problem::{Code, Problem};
use crate::http::reply::{PLAIN, Reply};
use crate::http::submit::not_stored;
use crate::inbound::Source;
use crate::inbound::command::Command;
use crate::inbound::slack::{Challenge, Event, Mention, NotJson, repeat_key};

/// Slack repeats at once, after a minute and after five, whatever it is told.
const RETRY_AFTER_S: u64 = 1;

/// Answers a request of the Events API.
pub(in crate::http::inbound) async fn event(incoming: &Incoming<'_>) -> Result<Reply, Refused> {
    let mark = verify(incoming)?;
    let event = Event::read(&incoming.body).map_err(|error| not_json(&error))?;
    let (id, mention, left) = match event {
        Event::Verification(challenge) => return Ok(verification(challenge)?),
        Event::Own => return Ok(empty()),
        Event::Other { id, mention, left } => (id, mention, left),
    };
    if let Some(workspace) = left {
        forget(incoming, &workspace).await;
    }
    if let Some(mention) = mention
        && let Some(command) = Command::parse(&mention.text)
    {
        answer(incoming, command, &mention).await;
        return Ok(empty());
    }
    let key = repeat_key(id.as_deref(), &mark);
    let dispatcher = incoming.context.dispatcher;
    if !dispatcher.relays() {
        return Ok(empty());
    }
    if dispatcher.desk().is_none() {
        return Ok(relay_now(incoming, key).await?);
    }
    let request = forward::request(incoming);
    let source = Source::SlackEvents.name();
    let stored = dispatcher.relay_later(source, Some(key), &request).await;
    // A repeat is known only after the first one is on the disk, so both may be acknowledged.
    stored.map_err(|error| not_stored(&error))?;
    Ok(empty())
}

/// Answers a command of the proxy's own. Slack may send it several times: as `app_mention` and as `message`, and each of
/// them again; all have the channel and `ts` in common.
async fn answer(incoming: &Incoming<'_>, command: Command, mention: &Mention) {
    let team = mention.team.as_deref();
    let to = channel(incoming, team, &mention.channel);
    let question = [
        "slack",
        team.unwrap_or_default(),
        &mention.channel,
        &mention.ts,
    ];
    command::answer(incoming.context, command, to, &question).await;
}

/// A workspace has taken the app out, or its token back.
async fn forget(incoming: &Incoming<'_>, workspace: &str) {
    let dispatcher = incoming.context.dispatcher;
    if let Err(error) = dispatcher.uninstall(BACKEND, workspace).await {
        tracing::warn!(workspace, %error, "an installation that has ended is still stored, sealed");
    }
}

/// Relays an event within the time that Slack waits.
async fn relay_now(incoming: &Incoming<'_>, key: [u8; 32]) -> Result<Reply, Problem> {
    let state = incoming.context.state;
    let short = digest::first(key);
    let first = match state.events.standing(short, state.clock.now()) {
        Standing::First(first) => first,
        Standing::Done => return Ok(empty()),
        // Nobody knows yet whether the first one will be accepted.
        Standing::UnderWay => return Err(later("the same event is being relayed just now")),
    };
    let request = forward::request(incoming);
    let dispatcher = incoming.context.dispatcher;
    match dispatcher.relay_now(&request, BUDGET).await {
        Some(Ok(answer)) if !(200..300).contains(&answer.status) => {
            Err(later("the internal API did not accept the event"))
        }
        Some(Err(error)) => Err(later(error.to_string())),
        Some(Ok(_)) | None => {
            first.keep();
            Ok(empty())
        }
    }
}

fn verification(challenge: Option<Challenge>) -> Result<Reply, Problem> {
    let detail =
        "the challenge is not of the form that Slack sends: at most 256 letters and digits";
    let challenge = challenge.ok_or_else(|| Problem::new(Code::BadBody, detail))?;
    let text = challenge.into_text().into();
    Ok(Reply::Text(200, PLAIN, text))
}

fn not_json(error: &NotJson) -> Problem {
    Problem::new(Code::BadBody, error.to_string())
}

fn later(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::BackendUnavailable, detail).retry_after_s(RETRY_AFTER_S)
}
