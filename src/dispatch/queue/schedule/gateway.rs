//! One gateway's lanes, by when they may go; and its trouble.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::{Gateway, LaneState, MAX_BUSY, PROBE_REFUSING_EVERY, Place, Schedule};
use crate::dispatch::stored::is_of_name;
use crate::outbox::Lane;

/// What an attempt says about the gateway it went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It took a post, or answered something about one channel.
    Works,
    /// It answered that it cannot now, or not in time; that may be one channel's trouble.
    Troubled,
    /// It answered what cannot be understood, and may have taken the post: a probe might post it every few seconds.
    Unclear,
    /// No connection.
    Unreachable,
    /// It refuses the credentials, or is not the platform's API.
    Refusing,
}

#[derive(Default)]
pub(super) struct GatewayState {
    pub names: BTreeSet<(Instant, Lane)>,
    pub ready: BTreeSet<(Instant, Lane)>,
    pub paused: BTreeSet<(Instant, Lane)>,
    pub trouble: Option<Trouble>,
    /// How many of its lanes are served.
    pub busy: usize,
    /// How many names something waits for.
    pub named: usize,
    /// Those that are just looked up for the first time.
    pub looking_up: BTreeSet<Lane>,
}

#[derive(Clone, Copy)]
pub(super) struct Trouble {
    /// Whether lanes that are due wait for the probe as well.
    pub holds: bool,
    pub step: Duration,
    pub next_probe: Instant,
    pub probe: Option<Lane>,
}

impl Schedule {
    /// Whether what is stored for this destination, by its id, is tried at once: nothing waits before it, and nothing
    /// holds it back.
    #[must_use]
    pub fn goes_now(&self, lane: Lane, gateway: Gateway) -> bool {
        let queue = self.gateways.get(&gateway);
        let is_free = queue.is_none_or(|queue| !queue.is_held_back() && queue.busy < MAX_BUSY);
        is_free && !is_of_name(lane) && self.is_open(lane, gateway)
    }

    /// Whether something waits for credentials that this gateway has refused.
    #[must_use]
    pub fn is_refused(&self, gateway: Gateway) -> bool {
        let is_refused = |trouble: Trouble| trouble.step == PROBE_REFUSING_EVERY;
        let queue = self.gateways.get(&gateway);
        queue.is_some_and(|queue| queue.trouble.is_some_and(is_refused) && queue.has_waiting())
    }
}

impl GatewayState {
    fn has_waiting(&self) -> bool {
        let lanes = [&self.names, &self.ready, &self.paused];
        self.busy > 0 || lanes.iter().any(|lanes| !lanes.is_empty())
    }

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

    fn is_held_back(&self) -> bool {
        self.trouble.is_some_and(|trouble| trouble.holds)
    }

    /// The lane that may go now, else when to look again, if ever without a change.
    pub(super) fn candidate(&self, now: Instant) -> Result<(Instant, Lane), Option<Instant>> {
        if self.busy >= MAX_BUSY {
            return Err(None);
        }
        let paused = self.paused.first().map(|(until, _)| *until);
        // A name that is looked up may be any channel, so all wait for it; but once only, since looking up may be all
        // that does not work.
        let is_free = self.looking_up.is_empty();
        let others = self.ready.first().filter(|_| is_free);
        let firsts = || self.names.first().into_iter().chain(others).copied();
        let Some(first) = firsts().next() else {
            return Err(paused);
        };
        let mut wake = None;
        if !self.is_held_back() {
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
