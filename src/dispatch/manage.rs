//! What an operator does to a stored message: drop it, or have it tried again.

use crate::domain::delivery::{DeliveryId, Failure, Refusal};
use crate::outbox::{Row, Settled, State, StoreError};

use super::Dispatcher;
use super::queue::Ended;
use super::queue::schedule::Release;
use super::settle::tell;

/// What dropping a message came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Nothing of it waits any more.
    All,
    /// It is being delivered just now.
    Busy,
}

impl Dispatcher {
    /// Ends the deliveries of a message that wait, without another attempt.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_waiting(&self, rows: &[Row]) -> Result<Dropped, StoreError> {
        let desk = self.desk.as_ref().ok_or(StoreError::Closed)?;
        let now_ms = self.unix_ms();
        let waiting = || {
            rows.iter()
                .filter(|row| row.delivery.state == State::Waiting)
        };
        let withdrawn: Vec<_> = waiting()
            .map(|row| ((row.id, row.delivery.place), row.delivery.lane))
            .collect();
        if !desk.queue.withdraw(&withdrawn) {
            return Ok(Dropped::Busy);
        }
        let failure = Failure::refused(Refusal::Dropped, "", "an operator dropped it");
        let settled = waiting().map(|row| {
            let mut progress = row.delivery.progress.clone();
            progress.settled_ms = now_ms;
            progress.reason = Some(failure.word().to_owned());
            progress.error = Some(failure.to_string());
            Settled {
                id: row.id,
                place: row.delivery.place,
                state: State::Failed,
                progress,
            }
        });
        let written = desk.store.settle(settled.collect(), None).await;
        let keys: Vec<_> = withdrawn.iter().map(|(key, _)| *key).collect();
        desk.queue.let_go(&keys);
        for ((key, lane), row) in withdrawn.into_iter().zip(waiting()) {
            if written.is_ok() {
                let ended = Ended::Failed {
                    failure: failure.clone(),
                    parts_taken: usize::from(row.delivery.progress.parts_taken),
                };
                tell(desk.queue.callers(key), &ended);
                desk.queue.leave(lane, 1);
                tracing::info!(delivery = %key.0, "delivery dropped");
            }
            // The courier may have come by meanwhile, and left the lane alone.
            desk.queue
                .stored(lane, Release::Go, self.shared.clock.now());
        }
        written?;
        Ok(Dropped::All)
    }

    /// Queues the failed deliveries of a message again, and has those that wait tried at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn retry(&self, id: DeliveryId, rows: &[Row]) -> Result<(), StoreError> {
        let desk = self.desk.as_ref().ok_or(StoreError::Closed)?;
        let now = self.shared.clock.now();
        let lanes = desk.store.requeue(id, self.unix_ms()).await?;
        for lane in lanes {
            // Two destinations of an alias may be one channel.
            let is_failed = |row: &&Row| row.delivery.state == State::Failed;
            let of_lane = || {
                let all = rows.iter().filter(|row| row.delivery.lane == lane);
                all.filter(is_failed)
            };
            let count = u32::try_from(of_lane().count()).unwrap_or(u32::MAX);
            let first = of_lane().next();
            if let Some(gateway) = first.and_then(|row| self.shared.gateway(&row.delivery.to)) {
                desk.queue.enter(lane, gateway, count, now);
            }
        }
        for row in rows
            .iter()
            .filter(|row| row.delivery.state == State::Waiting)
        {
            desk.queue.hurry(row.delivery.lane);
        }
        tracing::info!(delivery = %id, "delivery queued again");
        Ok(())
    }
}
