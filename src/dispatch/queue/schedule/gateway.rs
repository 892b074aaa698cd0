//! One gateway's lanes, by when they may go; and its trouble.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::{LaneState, Place};
use crate::dispatch::stored::is_of_name;
use crate::outbox::Lane;

#[derive(Default)]
pub(super) struct GatewayState {
    pub names: BTreeSet<(Instant, Lane)>,
    pub ready: BTreeSet<(Instant, Lane)>,
    pub paused: BTreeSet<(Instant, Lane)>,
    pub trouble: Option<Trouble>,
    /// How many names something waits for, and how many of them are just looked up.
    pub named: usize,
    pub looking_up: usize,
}

#[derive(Clone, Copy)]
pub(super) struct Trouble {
    /// Whether lanes that are due wait for the probe as well.
    pub holds: bool,
    pub step: Duration,
    pub next_probe: Instant,
    pub probe: Option<Lane>,
}

impl GatewayState {
    pub(super) fn end_pauses(&mut self, now: Instant, lanes: &mut HashMap<Lane, LaneState>) {
        while let Some(&(until, lane)) = self.paused.first().filter(|(until, _)| *until <= now) {
            self.paused.remove(&(until, lane));
            self.ready_of(lane).insert((until, lane));
            if let Some(state) = lanes.get_mut(&lane) {
                state.place = Place::Ready(until);
            }
        }
    }

    pub(super) fn ready_of(&mut self, lane: Lane) -> &mut BTreeSet<(Instant, Lane)> {
        if is_of_name(lane) {
            &mut self.names
        } else {
            &mut self.ready
        }
    }

    /// The lane that may go now, else when to look again, if ever without a change.
    pub(super) fn candidate(&self, now: Instant) -> Result<(Instant, Lane), Option<Instant>> {
        let paused = self.paused.first().map(|(until, _)| *until);
        // Behind a name that is just looked up its channel waits, and that may be any.
        let others = self.ready.first().filter(|_| self.looking_up == 0);
        let firsts = || self.names.first().into_iter().chain(others).copied();
        let Some(first) = firsts().next() else {
            return Err(paused);
        };
        let mut wake = None;
        let is_held = self.trouble.is_some_and(|trouble| trouble.holds);
        if !is_held {
            if let Some(due) = firsts().find(|(due, _)| *due <= now) {
                return Ok(due);
            }
            wake = firsts().map(|(due, _)| due).min();
        }
        if let Some(trouble) = self.trouble.filter(|trouble| trouble.probe.is_none()) {
            if trouble.next_probe <= now {
                return Ok(first);
            }
            wake = wake.into_iter().chain([trouble.next_probe]).min();
        }
        Err(wake.into_iter().chain(paused).min())
    }
}
