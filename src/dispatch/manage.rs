//! What an operator does to a stored message: drop it, or have it tried again.

use crate::domain::delivery::{DeliveryId, Failure, Refusal};
use crate::outbox::{Lane, Row, State, StoreError};

use super::queue::Key;
use super::queue::schedule::Release;
use super::settle::given_up;
use super::{Desk, Dispatcher};

/// What dropping a message came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Nothing of it waits any more.
    All,
    /// It is being delivered just now.
    Busy,
}

// Both must run to their end: what is withdrawn or announced and then left so would never be tried again.
impl Dispatcher {
    /// Ends the deliveries of a message that wait, without another attempt.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_waiting(&self, rows: &[Row]) -> Result<Dropped, StoreError> {
        let desk = self.desk.as_ref().ok_or(StoreError::Closed)?;
        let withdrawn: Vec<(Key, Lane)> = rows
            .iter()
            .filter(is_in(State::Waiting))
            .map(|row| ((row.id, row.delivery.place), row.delivery.lane))
            .collect();
        if !desk.queue.withdraw(&withdrawn) {
            return Ok(Dropped::Busy);
        }
        let dropped = self.drop_withdrawn(desk, rows).await;
        for (key, lane) in withdrawn {
            desk.queue.let_go(&[key]);
            // The courier may have come by meanwhile, and left the lane alone.
            desk.queue
                .stored(lane, Release::Go, self.shared.clock.now());
        }
        dropped.map(|()| Dropped::All)
    }

    async fn drop_withdrawn(&self, desk: &Desk, rows: &[Row]) -> Result<(), StoreError> {
        let Some(id) = rows.first().map(|row| row.id) else {
            return Ok(());
        };
        // Again: one may have ended before it was withdrawn, and must not be counted twice.
        let rows = desk.store.find(id).await?;
        let failure = Failure::refused(Refusal::Dropped, "", "an operator dropped it");
        let now_ms = self.unix_ms();
        let metrics = &self.shared.metrics;
        let waiting = || rows.iter().filter(is_in(State::Waiting));
        let (settled, ended): (Vec<_>, Vec<_>) = waiting()
            .map(|row| given_up(row, failure.clone(), now_ms))
            .unzip();
        desk.store.settle(settled, None).await?;
        for (row, ended) in waiting().zip(ended) {
            let key = (row.id, row.delivery.place);
            desk.queue.callers(key).tell(&ended);
            desk.queue.forget_doubt(row.delivery.lane, row.seq);
            desk.queue.leave(row.delivery.lane, 1);
            metrics.not_sent(&row.delivery.to.backend, &failure);
            tracing::info!(delivery = %row.id, "delivery dropped");
        }
        Ok(())
    }

    /// Queues the failed deliveries of a message again, and has those that wait tried at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn retry(&self, id: DeliveryId, rows: &[Row]) -> Result<(), StoreError> {
        let desk = self.desk.as_ref().ok_or(StoreError::Closed)?;
        let failed: Vec<&Row> = rows.iter().filter(is_in(State::Failed)).collect();
        for row in &failed {
            if let Some(gateway) = self.shared.gateway(&row.delivery.to) {
                desk.queue.announce(row.delivery.lane, gateway);
            }
        }
        let lanes = desk.store.requeue(id, self.unix_ms()).await;
        for row in failed {
            let lane = row.delivery.lane;
            // Somebody else may have been quicker.
            if lanes.as_ref().is_ok_and(|lanes| lanes.contains(&lane)) {
                desk.queue
                    .stored(lane, Release::Go, self.shared.clock.now());
            } else {
                desk.queue.leave(lane, 1);
            }
        }
        lanes?;
        for row in rows.iter().filter(is_in(State::Waiting)) {
            desk.queue.hurry(row.delivery.lane);
        }
        tracing::info!(delivery = %id, "delivery queued again");
        Ok(())
    }
}

fn is_in(state: State) -> impl Fn(&&Row) -> bool {
    move |row| row.delivery.state == state
}
