//! What waits for the internal API: the first of its lane is handed over, as it came.

use crate::dispatch::queue::schedule::Release;
use crate::dispatch::relay::stored;
use crate::outbox::{Lane, Row};

use super::{Courier, Step};
use crate::dispatch::ends::unreadable;

impl Courier {
    /// Tries to relay the first of a lane; nothing is ever folded into it.
    pub(super) async fn relay(&self, lane: Lane, first: &Row) -> Step {
        let Some(request) = stored::from_bytes(&first.post) else {
            return self.bury(first, unreadable(), self.dispatcher.unix_ms());
        };
        let now = self.dispatcher.shared.clock.now();
        let lanes = &self.dispatcher.shared.lanes;
        // A pause that the internal API asked for holds even if somebody asks for a retry.
        if let Err(wait) = lanes.reserve(lane, None, now, now, now) {
            return Step::Leave(Release::Pause(wait));
        }
        let number = self.desk.queue.failures(lane).saturating_add(1);
        let attempt = self.dispatcher.attempt_relay(first, &request, number).await;
        let mut tried = first.clone();
        let is_repeat = self.desk.queue.take_doubt(lane, first.seq);
        tried.delivery.progress.ambiguous += u32::from(is_repeat);
        self.after(lane, &[tried], attempt, self.dispatcher.unix_ms())
    }
}
