//! The door for what a platform has signed: reads the raw body, has it verified, and only then looks into it.
//!
//! Whatever is not verified is 401 and leaves no trace on the inside; the reason is in the log and the counters alone.
//! What a request means is for the platform's own module; relaying is `dispatch`'s.

mod command;
mod forward;
mod mattermost;
mod seen;
pub mod settings;
mod slack;
mod teams;

use std::time::Duration;

use actix_web::http::Method;
use actix_web::web;
use bytes::Bytes;

pub(super) use seen::Seen;
use seen::{First, Key};
pub use settings::Settings;

use super::body::{self, Rules};
use super::problem::{Code, Problem};
use super::reply::Reply;
use super::route::Route;
use super::span::Facts;
use super::{Context, refuse};
use crate::backends::Conversations;
use crate::dispatch::RelayError;
use crate::inbound::{Source, Unverified};
use crate::outbox::Note;

/// The largest body that is read: threats.md F1; a modal of Slack or an activity of Teams stays far below.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// A request that came in by this door, with its raw body. Nothing of it is believed yet.
struct Incoming<'a> {
    context: &'a Context<'a>,
    body: Bytes,
}

/// Why a request is not answered as its sender wished.
enum Refused {
    /// It is not let in.
    Unverified(Unverified),
    /// It is, and something else is wrong.
    Problem(Problem),
}

impl From<Unverified> for Refused {
    fn from(reason: Unverified) -> Self {
        Self::Unverified(reason)
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Answers a request at one of the sources' paths.
pub(super) async fn receive(
    context: &Context<'_>,
    source: Source,
    payload: web::Payload,
) -> (Reply, Facts) {
    let outcome = handle(context, source, payload).await;
    let facts = Facts {
        source: Some(source.name()),
        reason: match &outcome {
            Err(Refused::Unverified(reason)) => Some(reason.word()),
            _ => None,
        },
        ..Facts::default()
    };
    let word = match &outcome {
        Ok(_) => "accepted",
        Err(Refused::Unverified(reason)) => reason.word(),
        Err(Refused::Problem(problem)) => problem.code.text(),
    };
    context.state.metrics.inbound(source.name(), word);
    let reply = outcome.unwrap_or_else(|refused| match refused {
        Refused::Unverified(_) => refuse(unverified(source)),
        Refused::Problem(problem) => refuse(problem),
    });
    (reply, facts)
}

async fn handle(
    context: &Context<'_>,
    source: Source,
    payload: web::Payload,
) -> Result<Reply, Refused> {
    if context.request.method() != Method::POST {
        return Err(only_post(source).into());
    }
    if context.state.is_stopping() {
        return Err(stopping().into());
    }
    let rules = Rules::keeping(MAX_BODY_BYTES);
    let body = body::read(context.request.headers(), payload, rules).await?;
    let incoming = Incoming { context, body };
    match source {
        Source::SlackEvents => slack::event(&incoming).await,
        Source::Slack => slack::action(&incoming).await,
        Source::Teams => teams::activity(&incoming).await,
        Source::Mattermost => mattermost::question(&incoming).await,
    }
}

impl Incoming<'_> {
    /// The one value of a header; `None` if it is missing, given twice, or not ASCII.
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.context.request.headers().get_all(name);
        let value = values.next()?;
        match values.next() {
            None => value.to_str().ok(),
            Some(_) => None,
        }
    }

    /// Whether the body is said to be of a media type, whatever its parameters.
    fn is_of_type(&self, media: &str) -> bool {
        let said = self.header("content-type").unwrap_or_default();
        let name = said.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(media)
    }

    /// Relays the request, which must be verified, and passes the answer back. A repeat is answered 200 and not
    /// relayed, unless the first one came to nothing. Without an internal API every one is answered 200.
    async fn relay_once(&self, mark: Key, budget: Duration) -> Result<Reply, Problem> {
        let state = self.context.state;
        match state.seen.first(mark, state.clock.now()) {
            None => Ok(empty()),
            first => self.relay(first, budget).await,
        }
    }

    /// Relays the request, which must be verified and no repeat. `first` remembers it, if it can be known again.
    async fn relay(&self, first: Option<First<'_>>, budget: Duration) -> Result<Reply, Problem> {
        let request = forward::request(self);
        let answer = match self.context.dispatcher.relay_now(&request, budget).await {
            None => {
                first.into_iter().for_each(First::keep);
                return Ok(empty());
            }
            Some(answer) => answer.map_err(not_relayed)?,
        };
        if answer.status < 500 {
            first.into_iter().for_each(First::keep);
        }
        Ok(Reply::Relayed(Box::new(answer)))
    }
}

/// Takes up the conversations of Teams that an earlier process wrote down.
pub fn load_conversations(notes: &[Note], known: &Conversations) {
    teams::load(notes, known);
}

/// What those are told who come while the process stops.
pub(super) fn stopping() -> Problem {
    let detail = "the proxy is stopping; try again in a moment";
    let problem = Problem::new(Code::ShuttingDown, detail);
    problem.retry_after_s(1).closing()
}

/// 200 without a body: what platforms take for "received".
fn empty() -> Reply {
    Reply::Text(200, super::reply::PLAIN, Bytes::new())
}

fn not_relayed(error: RelayError) -> Problem {
    let code = match error {
        RelayError::Unreachable | RelayError::Unusable => Code::RelayFailed,
        RelayError::TimedOut => Code::RelayTimeout,
    };
    Problem::new(code, error.to_string())
}

/// One answer to every failure, so that a guess learns nothing.
fn unverified(source: Source) -> Problem {
    Problem {
        challenge: Some(source.challenge()),
        ..Problem::new(Code::Unauthorized, "the request is not verified")
    }
}

fn only_post(source: Source) -> Problem {
    Problem {
        allow: Some(Route::Inbound(source).allow(false)),
        ..Problem::new(Code::MethodNotAllowed, source.expects())
    }
}
