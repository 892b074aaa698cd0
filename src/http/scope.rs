//! Whether a caller's token opens the destinations of a post.

use std::time::{Duration, Instant};

use crate::domain::channel::Destination;

use super::Context;
use super::caller::Caller;
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
            if !Box::pin(self.is_same_as_any(to, scope, deadline)).await {
                let detail = format!(
                    "the token '{}' does not open this channel; the operator adds it after '@' in PROXY_TOKENS",
                    token.name()
                );
                return Err(Problem::new(Code::Forbidden, detail));
            }
        }
        Ok(())
    }

    /// Whether a destination is one of `scope` under another spelling: a name and an id may mean the same.
    async fn is_same_as_any(
        &self,
        to: &Destination,
        scope: &[Destination],
        deadline: Instant,
    ) -> bool {
        let dispatcher = self.dispatcher;
        let may_be = |other: &Destination| dispatcher.may_be_same(to, other);
        if !scope.iter().any(may_be) {
            return false;
        }
        let Ok(wanted) = dispatcher.ready(to, deadline).await else {
            return false;
        };
        for other in scope.iter().filter(|other| may_be(other)) {
            if dispatcher
                .ready(other, deadline)
                .await
                .is_ok_and(|open| open.is_same_place(&wanted))
            {
                return true;
            }
        }
        false
    }
}
