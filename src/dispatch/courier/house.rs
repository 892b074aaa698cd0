//! Beside the deliveries: what an earlier process left, and what is to be forgotten.

use std::time::Duration;

use futures_util::future::{join, select};

use crate::dispatch::Phase;
use crate::dispatch::queue::schedule::Release;
use crate::dispatch::stored::is_of_name;
use crate::outbox::{Retention, Waiting};

use super::{AFTER_THE_END, Courier};

/// How often receipts are expired, at most and at least: one is kept at most half its time too long, or a second.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
const EXPIRE_EVERY_AT_LEAST: Duration = Duration::from_secs(1);
/// How many receipts are expired at once.
const EXPIRE_BATCH: usize = 1000;

impl Courier {
    /// Takes over what an earlier process left, with the pauses that platforms asked for. If that was killed, the first
    /// message of each lane may have been posted: its repeat is counted as ambiguous.
    pub fn load(&self, waiting: &[Waiting], is_doubtful: bool) {
        let now = self.dispatcher.shared.clock.now();
        let now_ms = self.dispatcher.unix_ms();
        let platforms = &self.dispatcher.shared;
        for found in waiting {
            let Some(gateway) = platforms.gateway_of(&found.backend, found.is_webhook) else {
                tracing::error!(backend = %found.backend, waiting = found.count, "messages wait for a backend that this version does not know");
                continue;
            };
            let pause = Duration::from_millis(found.not_before_ms.saturating_sub(now_ms));
            let release = if pause.is_zero() {
                Release::Go
            } else {
                Release::Pause(pause)
            };
            let queue = &self.desk.queue;
            queue.load(found.lane, gateway, found.count, release, now);
            let age = Duration::from_millis(now_ms.saturating_sub(found.oldest_ms));
            let left = self.settings.max_age.saturating_sub(age);
            queue.expire_at(found.lane, now + left + AFTER_THE_END);
            // What waits for a name was never tried.
            if is_doubtful && !is_of_name(found.lane) {
                queue.doubt(found.lane, found.first_seq);
            }
        }
    }

    /// Forgets old receipts and keys from time to time, and has tokens renewed, until the process stops.
    pub async fn keep_house(&self) {
        let over = std::pin::pin!(self.desk.queue.reached(Phase::Over));
        let chores = join(
            self.forget_old(),
            self.dispatcher.look_after_installations(),
        );
        select(std::pin::pin!(chores), over).await;
    }

    async fn forget_old(&self) {
        loop {
            let retention = self.settings.retention;
            loop {
                let now_ms = self.dispatcher.unix_ms();
                let expired = self
                    .desk
                    .store
                    .expire(now_ms, retention, EXPIRE_BATCH)
                    .await;
                match expired {
                    Ok(count) if count >= EXPIRE_BATCH => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(%error, "old receipts were not expired");
                        break;
                    }
                }
            }
            let stopping = self.desk.queue.reached(Phase::Stopping);
            if tokio::time::timeout(expire_every(retention), stopping)
                .await
                .is_ok()
            {
                return;
            }
        }
    }
}

fn expire_every(retention: Retention) -> Duration {
    Duration::from_millis(retention.age_ms / 2).clamp(EXPIRE_EVERY_AT_LEAST, EXPIRE_EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_kept_little_longer_than_its_time() {
        let every = |age_s: u64| {
            let retention = Retention {
                age_ms: age_s * 1000,
                max_settled: 1,
            };
            expire_every(retention).as_secs()
        };

        assert_eq!([1, 2, 10, 120, 7 * 24 * 3600].map(every), [1, 1, 5, 60, 60]);
    }
}
