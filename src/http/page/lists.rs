//! `GET /channels?backend=`: the channels that a platform's bot can see, for a token that may post to all of them.
//!
//! The platform is asked once for all who ask within half a minute, so that they do not use up what posts need.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex;

use crate::dispatch::list::Seen;
use crate::domain::delivery::Failure;
use crate::domain::message::clean_line;
use crate::domain::token::Token;

use super::super::Context;
use super::super::failed::{RETRY_AFTER_S, code_of, platform_code};
use super::super::problem::{Code, Problem};
use super::super::reader::Reader;
use super::super::receipt::json_line;
use super::super::reply::{JSON, Reply};

/// How long the platform's answer is good.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// How long the platform may take for all of its pages.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long to wait for one's turn and the platform together.
const PATIENCE: Duration = Duration::from_secs(25);

/// What the platforms said, by backend.
#[derive(Default)]
pub(in super::super) struct Lists(Mutex<HashMap<String, (Instant, Known)>>);

type Known = Arc<Result<Seen, Failure>>;

#[derive(Serialize)]
struct Answer<'a> {
    channels: Vec<Entry<'a>>,
    /// Whether some were left out.
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'a str>,
}

#[derive(Serialize)]
struct Entry<'a> {
    /// As it is written in a URL.
    channel: String,
    /// What people call it.
    name: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'a str,
}

/// Whether this reader may see what the bots see: it has a token, and may post anywhere with it.
pub(super) fn is_for(context: &Context<'_>, reader: &Reader<'_>) -> bool {
    let is_free = |token: &Token| token.scope().is_none();
    reader.token().is_some_and(is_free) && !context.state.directory.is_for_aliases_only()
}

pub(super) async fn answer(
    context: &Context<'_>,
    reader: &Reader<'_>,
    backend: &str,
) -> Result<Reply, Problem> {
    if !is_for(context, reader) {
        let detail =
            "what the bots can see is for a token of PROXY_TOKENS that may post to every channel";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    reader.take_quota(context)?;
    let known = tokio::time::timeout(PATIENCE, known(context, backend)).await;
    let known = known.map_err(|_| {
        let detail = "the platforms did not answer in time";
        Problem::new(Code::BackendUnavailable, detail).retry_after_s(RETRY_AFTER_S)
    })?;
    let known = known.ok_or_else(|| {
        let detail = "no bot is configured under this name; /channels lists the backends";
        Problem::new(Code::NotFound, detail)
    })?;
    let seen = (*known).as_ref().map_err(problem)?;
    let channels = seen.channels.iter().map(|one| Entry {
        channel: format!("{backend}:{}", one.id),
        name: clean_line(&one.name).unwrap_or_default(),
        note: one.note,
    });
    let answer = Answer {
        channels: channels.collect(),
        more: !seen.is_whole,
        advice: seen.advice,
    };
    Ok(Reply::Text(200, JSON, json_line(&answer).into()))
}

/// What the platform said, now or a moment ago; one caller asks, the others wait for that.
async fn known(context: &Context<'_>, backend: &str) -> Option<Known> {
    let state = context.state;
    let mut lists = state.lists.0.lock().await;
    let now = state.clock.now();
    if let Some((at, known)) = lists.get(backend)
        && now.saturating_duration_since(*at) < KEPT_FOR
    {
        return Some(Arc::clone(known));
    }
    // Only configured backends get into the map, so it stays small.
    let seen = context.dispatcher.list(backend, now + DEADLINE).await?;
    let known = Arc::new(seen);
    lists.insert(backend.to_owned(), (state.clock.now(), Arc::clone(&known)));
    Some(known)
}

fn problem(failure: &Failure) -> Problem {
    let problem = Problem {
        platform_code: platform_code(failure),
        ..Problem::new(code_of(failure), failure.to_string())
    };
    let asked = failure.retry_after().map(|wait| wait.as_secs() + 1);
    match problem.code {
        Code::BackendUnavailable => problem.retry_after_s(asked.unwrap_or(RETRY_AFTER_S)),
        _ => problem,
    }
}
