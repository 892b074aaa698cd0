//! A timer that costs nothing until it is needed.
//!
//! It must not be set for a request that arrives whole.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

/// A deadline, if one is running.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Starts the time, unless it is running.
    pub(super) fn set(&mut self, after: Duration) {
        if self.0.is_none() {
            self.0 = Some(Box::pin(tokio::time::sleep(after)));
        }
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// Ready when the time is over; never, if it has not been started.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0
            .as_mut()
            .map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}
