//! The end of the grace after a stop, as every post of one worker hears of it.

use std::cell::OnceCell;
use std::rc::Rc;

use actix_web::web;

use super::State;
use crate::dispatch::{Bell, Dispatcher};

/// One worker's bell.
#[derive(Default)]
pub(super) struct Grace(OnceCell<Rc<Bell>>);

impl Grace {
    /// Rings when the grace is nearly over: who still waits is told then.
    pub(super) fn bell(&self, state: &web::Data<State>, dispatcher: &Dispatcher) -> &Bell {
        // With an outbox whoever still waits is told before that what is stored; this is for what hangs elsewhere.
        let share = if dispatcher.desk().is_some() {
            0.95
        } else {
            0.9
        };
        self.0.get_or_init(|| {
            let state = state.clone();
            Bell::after(async move {
                let mut stopping = state.stopping.subscribe();
                // The sender lives as long as the state.
                if stopping.wait_for(|stopping| *stopping).await.is_ok() {
                    tokio::time::sleep(state.settings.shutdown_grace.mul_f64(share)).await;
                }
            })
        })
    }
}
