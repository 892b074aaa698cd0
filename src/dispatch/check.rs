//! Whether the bots' credentials are good, as far as a platform can be asked.

use std::time::Instant;

use futures_util::future::join_all;

use super::Dispatcher;
use super::ends::{before, look_up_timed_out};
use super::queue::schedule::Gateway;
use crate::domain::delivery::Failure;

impl Dispatcher {
    /// Asks every configured platform for the state of its credentials, all at once.
    pub async fn check(&self, deadline: Instant) -> Vec<(&'static str, Result<(), Failure>)> {
        let checks = self.shared.platforms.iter().filter_map(|platform| {
            let (name, bot) = (platform.name, platform.bot.clone()?);
            Some(async move {
                let answer = before(deadline, bot.check(&self.wire)).await;
                let result = answer.unwrap_or_else(|| Err(look_up_timed_out(name)));
                if result.is_err() || !self.is_refused(name) {
                    self.shared.health.note(name, result.as_ref().err());
                }
                (name, result)
            })
        });
        join_all(checks).await
    }

    /// Whether the platform has refused posts that wait: then only a post shows that it takes them again. A check sees less of
    /// the credentials (Teams' is the login service's, Slack's knows no scopes).
    fn is_refused(&self, backend: &'static str) -> bool {
        let gateway = Gateway {
            backend,
            webhooks: false,
        };
        let desk = self.desk.as_ref();
        desk.is_some_and(|desk| desk.queue.is_refused(gateway))
    }
}
