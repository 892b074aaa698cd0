//! Whether a caller's token opens the destinations of a post.

use std::time::{Duration, Instant};

use crate::domain::channel::Destination;
use crate::domain::delivery::Failure;

use super::Context;
use super::caller::Caller;
use super::failed::{code_of, wait_s};
use super::problem::{Code, Problem};

/// How long a name of a token's channels may take to be looked up.
const LOOK_UP: Duration = Duration::from_secs(5);

impl Context<'_> {
    /// Whether the caller's token opens every destination, whatever their spelling.
    pub(super) async fn check_scope(
        &self,
        caller: Caller<'_>,
        destinations: &[Destination],
        deadline: Instant,
    ) -> Result<(), Problem> {
        let Caller::Token(token) = caller else {
            return Ok(());
        };
        let Some(scope) = token.scope() else {
            return Ok(());
        };
        // Who may post where is found out however short the caller's patience is.
        let deadline = deadline.max(self.state.clock.now() + LOOK_UP);
        for to in destinations {
            if scope.contains(to) {
                continue;
            }
            // Boxed: seldom needed, and large.
            let is_open = Box::pin(self.is_same_as_any(to, scope, deadline)).await;
            if !is_open.map_err(|failure| undecided(token.name(), &failure))? {
                let detail = format!(
                    "the token '{}' does not open this channel; the operator adds it after '@' in PROXY_TOKENS",
                    token.name()
                );
                return Err(Problem::new(Code::Forbidden, detail));
            }
        }
        Ok(())
    }

    /// Whether a destination is one of `scope` under another spelling: a name and an id may mean the same. The error is
    /// that of a platform that must be asked and does not answer.
    async fn is_same_as_any(
        &self,
        to: &Destination,
        scope: &[Destination],
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let dispatcher = self.dispatcher;
        let may_be = |other: &Destination| dispatcher.may_be_same(to, other);
        if !scope.iter().any(may_be) {
            return Ok(false);
        }
        let wanted = match dispatcher.ready(to, deadline).await {
            Ok(wanted) => wanted,
            Err(failure) => return decided(failure),
        };
        let mut open = Ok(false);
        for other in scope.iter().filter(|other| may_be(other)) {
            match dispatcher.ready(other, deadline).await {
                Ok(other) if other.is_same_place(&wanted) => return Ok(true),
                Ok(_) => {}
                Err(failure) => open = open.and(decided(failure)),
            }
        }
        open
    }
}

/// A channel that the platform does not know is no other channel; of one that could not be looked up nothing is known.
fn decided(failure: Failure) -> Result<bool, Failure> {
    match code_of(&failure) {
        Code::BackendUnavailable => Err(failure),
        _ => Ok(false),
    }
}

fn undecided(token: &str, failure: &Failure) -> Problem {
    let detail = format!(
        "whether the token '{token}' opens this channel could not be found out: {failure}; try again, or write the channel as it stands after '@' in PROXY_TOKENS"
    );
    Problem::new(Code::BackendUnavailable, detail).retry_after_s(wait_s(failure.retry_after()))
}
