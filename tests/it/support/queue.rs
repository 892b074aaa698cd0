//! Overrides that a test lines up for the next requests to a fake.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::{Gate, Reply};

enum Override {
    Instead(Reply),
    After(Reply),
    Held(Gate),
}

/// First in, first used; when empty the fake answers for itself.
#[derive(Default)]
pub struct Queue(Mutex<VecDeque<Override>>);

impl Queue {
    /// The request has no effect and gets this reply.
    pub fn instead(&self, reply: Reply) {
        self.push(Override::Instead(reply));
    }

    /// The request has its effect, but gets this reply: a post that arrived although its answer was lost.
    pub fn after(&self, reply: Reply) {
        self.push(Override::After(reply));
    }

    /// The request has its effect, and its own answer waits for the gate.
    pub fn held(&self, gate: &Gate) {
        self.push(Override::Held(gate.clone()));
    }

    pub fn apply(&self, real: impl FnOnce() -> Reply) -> Reply {
        // The guard must be gone before `real` runs: it may take long.
        let next = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        match next {
            None => real(),
            Some(Override::Instead(reply)) => reply,
            Some(Override::After(reply)) => {
                real();
                reply
            }
            Some(Override::Held(gate)) => real().held(&gate),
        }
    }

    fn push(&self, entry: Override) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(entry);
    }
}
