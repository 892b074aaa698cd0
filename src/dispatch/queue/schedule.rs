//! Which lane may go next, and when: the order in which what waits is tried. Pure: time comes in.
//!
//! A lane is served by one at a time. Between attempts it is *ready* at its own time (after a backoff), or *paused*
//! (the platform or the pace said so; never earlier). A backend that cannot be reached holds all its lanes back but
//! one, which probes it; when it takes posts again, the others go as well.
//!
//! What waits for a name to be looked up goes before its backend's other lanes, since it may turn out to be for the
//! channel of one of them, and to have come first.

mod gateway;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::dispatch::stored::is_of_name;
use crate::outbox::Lane;
pub use gateway::Sign;
use gateway::{GatewayState, Trouble};

/// A backend's bot, or its incoming webhooks, which are many servers and never held back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gateway {
    /// The backend's name.
    pub backend: &'static str,
    /// Whether these are its incoming webhooks.
    pub webhooks: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Serve this lane; it is busy until [`Schedule::release`].
    Take(Lane),
    /// Nothing before then.
    At(Instant),
    /// Nothing until something changes.
    Idle,
}

/// How a lane is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It can go on.
    Go,
    /// After a failed attempt: not before the delay, unless the gateway is probed or works again.
    After(Duration),
    /// Not before the delay, whatever happens.
    Pause(Duration),
    /// Nothing can be read of it: what waits is still being stored, or tried elsewhere.
    Absent,
}

/// The most lanes of a gateway that are served at once: one that hangs leaves room for the others.
pub const MAX_BUSY: usize = 64;
/// The longest that a gateway in trouble is left without a probe.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// The first probe of a gateway that cannot be reached comes after this, the next after twice as long.
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// How often refused credentials are tried: F-17 of the threats asks for 60 to 300 s.
const PROBE_REFUSING_EVERY: Duration = Duration::from_secs(60);

/// All lanes with something waiting.
#[derive(Default)]
pub struct Schedule {
    lanes: HashMap<Lane, LaneState>,
    gateways: BTreeMap<Gateway, GatewayState>,
    waiting: usize,
    /// When the first of a lane will have waited too long.
    expiring: BTreeSet<(Instant, Lane)>,
    /// Served before all others, whatever holds them back: somebody asked for it, or there is something to end.
    urgent: VecDeque<Lane>,
}

struct LaneState {
    gateway: Gateway,
    waiting: u32,
    place: Place,
    failures: u32,
    throttled: bool,
    attempted: Option<Instant>,
    /// Something became readable while the lane was served, perhaps unseen.
    again: bool,
    /// How often something was taken out of the lane by hand: what was read before may be gone.
    withdrawn: u32,
    expires: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Absent,
    Ready(Instant),
    Paused(Instant),
    Busy,
}

impl Schedule {
    /// How many deliveries wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nothing waits and no gateway is in trouble: another answer of a platform that works changes nothing.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.lanes.is_empty() && self.gateways.values().all(|state| state.trouble.is_none())
    }

    /// Whether nothing waits for this destination.
    #[must_use]
    pub fn is_clear(&self, lane: Lane) -> bool {
        !self.lanes.contains_key(&lane)
    }

    /// Whether nothing waits for this destination, nor for a name that may be its own.
    #[must_use]
    pub fn is_open(&self, lane: Lane, gateway: Gateway) -> bool {
        let named = self.gateways.get(&gateway).map_or(0, |state| state.named);
        self.is_clear(lane) && (named == 0 || is_of_name(lane))
    }

    /// How often in a row the head of this lane has failed.
    #[must_use]
    pub fn failures(&self, lane: Lane) -> u32 {
        self.lanes.get(&lane).map_or(0, |state| state.failures)
    }

    /// Whether this lane had to wait for its pace or for the platform since something waits in it.
    #[must_use]
    pub fn is_throttled(&self, lane: Lane) -> bool {
        self.lanes.get(&lane).is_some_and(|state| state.throttled)
    }

    /// The gateway of a lane with something waiting.
    #[must_use]
    pub fn gateway(&self, lane: Lane) -> Option<Gateway> {
        Some(self.lanes.get(&lane)?.gateway)
    }

    /// How often something was taken out of this lane by hand.
    #[must_use]
    pub fn withdrawn(&self, lane: Lane) -> u32 {
        self.lanes.get(&lane).map_or(0, |state| state.withdrawn)
    }

    /// Something is taken out of this lane by hand.
    pub fn withdraw(&mut self, lane: Lane) {
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.withdrawn = state.withdrawn.wrapping_add(1);
        }
    }

    /// The head of the lane is tried now, even if its gateway is held back; a pause that a platform asked for stays.
    pub fn hurry(&mut self, lane: Lane) {
        let place = self.lanes.get(&lane).map(|state| state.place);
        if matches!(place, Some(Place::Ready(_))) {
            self.urgent.push_back(lane);
        }
    }

    /// When the first of this lane will have waited too long: then it is served, if only to end it.
    pub fn expire_at(&mut self, lane: Lane, at: Instant) {
        let Some(state) = self.lanes.get_mut(&lane) else {
            return;
        };
        if let Some(before) = state.expires.replace(at) {
            self.expiring.remove(&(before, lane));
        }
        self.expiring.insert((at, lane));
    }

    /// From now on so many more wait in this lane. They are tried only after [`Schedule::offer`].
    pub fn enter(&mut self, lane: Lane, gateway: Gateway, count: u32) {
        let state = self.lanes.entry(lane).or_insert_with(|| {
            if is_of_name(lane) {
                self.gateways.entry(gateway).or_default().named += 1;
            }
            LaneState {
                gateway,
                waiting: 0,
                place: Place::Absent,
                failures: 0,
                throttled: false,
                attempted: None,
                again: false,
                withdrawn: 0,
                expires: None,
            }
        });
        state.waiting += count;
        self.waiting += count as usize;
    }

    /// So many of the lane wait no more: they are settled, or were never stored.
    pub fn leave(&mut self, lane: Lane, count: u32) {
        let Some(state) = self.lanes.get_mut(&lane) else {
            return;
        };
        let count = count.min(state.waiting);
        state.waiting -= count;
        self.waiting -= count as usize;
        if state.waiting == 0 && state.place != Place::Busy {
            self.take_out(lane);
            self.forget(lane);
        }
    }

    /// What waits in the lane can be read. A lane that is scheduled already keeps its time; whether it was not.
    pub fn offer(&mut self, lane: Lane, release: Release, now: Instant) -> bool {
        match self.lanes.get_mut(&lane) {
            Some(state) if state.place == Place::Busy => {
                state.again = true;
                false
            }
            Some(state) if state.place == Place::Absent => {
                self.put(lane, release, now);
                true
            }
            _ => false,
        }
    }

    /// The lane is not served any more.
    pub fn release(&mut self, lane: Lane, release: Release, now: Instant) {
        let Some(state) = self.lanes.get_mut(&lane) else {
            return;
        };
        if state.place != Place::Busy {
            return;
        }
        let gateway = state.gateway;
        if let Some(queue) = self.gateways.get_mut(&gateway) {
            queue.looking_up.remove(&lane);
            queue.busy -= 1;
        }
        if state.waiting == 0 {
            self.forget(lane);
        } else if state.again && release == Release::Absent {
            self.put(lane, Release::Go, now);
        } else {
            self.put(lane, release, now);
        }
        let trouble = self
            .gateways
            .get_mut(&gateway)
            .and_then(|state| state.trouble.as_mut());
        if let Some(trouble) = trouble.filter(|trouble| trouble.probe == Some(lane)) {
            trouble.probe = None;
        }
    }

    /// An attempt in this lane was made.
    pub fn attempted(&mut self, lane: Lane, failed: bool, now: Instant) {
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.attempted = Some(now);
            state.failures = if failed {
                state.failures.saturating_add(1)
            } else {
                0
            };
        }
    }

    /// What an attempt, of a waiting delivery or of another, says about the gateway.
    pub fn note(&mut self, gateway: Gateway, sign: Sign, now: Instant) {
        let state = self.gateways.entry(gateway).or_default();
        let before = state.trouble;
        // Webhooks are many servers: one's trouble is not the others'.
        let holds = !gateway.webhooks && matches!(sign, Sign::Unreachable | Sign::Refusing);
        if sign == Sign::Unclear && before.is_none() {
            return;
        }
        let step = match sign {
            Sign::Works => {
                state.trouble = None;
                if before.is_some() {
                    self.resume(gateway, now);
                }
                return;
            }
            Sign::Troubled | Sign::Unclear => PROBE_EVERY,
            Sign::Refusing => PROBE_REFUSING_EVERY,
            Sign::Unreachable => before
                .filter(|trouble| trouble.holds && trouble.step <= PROBE_EVERY)
                .map_or(FIRST_PROBE, |trouble| (trouble.step * 2).min(PROBE_EVERY)),
        };
        state.trouble = Some(Trouble {
            holds,
            step,
            next_probe: now + step,
            probe: None,
        });
    }

    /// The lane to serve now, or when to ask again.
    pub fn next(&mut self, now: Instant) -> Next {
        if let Some(lane) = self.next_urgent(now) {
            return self.take(lane, now);
        }
        let mut wake = self.expiring.first().map(|(at, _)| *at);
        let mut found: Option<(Instant, Lane)> = None;
        for state in self.gateways.values_mut() {
            state.end_pauses(now, &mut self.lanes);
            match state.candidate(now) {
                Ok((due, lane)) if found.is_none_or(|(best, _)| due < best) => {
                    found = Some((due, lane));
                }
                Ok(_) => {}
                Err(at) => wake = wake.into_iter().chain(at).min(),
            }
        }
        match found {
            Some((_, lane)) => self.take(lane, now),
            None => wake.map_or(Next::Idle, Next::At),
        }
    }

    fn next_urgent(&mut self, now: Instant) -> Option<Lane> {
        while let Some(&(at, lane)) = self.expiring.first().filter(|(at, _)| *at <= now) {
            self.expiring.remove(&(at, lane));
            if let Some(state) = self.lanes.get_mut(&lane) {
                state.expires = None;
            }
            self.urgent.push_back(lane);
        }
        while let Some(&lane) = self.urgent.front() {
            let state = self.lanes.get(&lane);
            let idle = state.filter(|s| matches!(s.place, Place::Ready(_) | Place::Paused(_)));
            let queue = idle.and_then(|state| self.gateways.get(&state.gateway));
            if queue.is_some_and(|queue| queue.busy >= MAX_BUSY) {
                return None;
            }
            self.urgent.pop_front();
            // One that is not idle is served or gone already.
            if queue.is_some() {
                return Some(lane);
            }
        }
        None
    }

    fn take(&mut self, lane: Lane, now: Instant) -> Next {
        self.take_out(lane);
        let Some(state) = self.lanes.get_mut(&lane) else {
            return Next::Idle;
        };
        state.place = Place::Busy;
        state.again = false;
        if let Some(gateway) = self.gateways.get_mut(&state.gateway) {
            gateway.busy += 1;
            if state.failures == 0 && is_of_name(lane) {
                gateway.looking_up.insert(lane);
            }
            if let Some(trouble) = gateway.trouble.as_mut()
                && trouble.next_probe <= now
            {
                trouble.probe = Some(lane);
            }
        }
        Next::Take(lane)
    }

    fn forget(&mut self, lane: Lane) {
        let Some(state) = self.lanes.remove(&lane) else {
            return;
        };
        if let Some(at) = state.expires {
            self.expiring.remove(&(at, lane));
        }
        if is_of_name(lane)
            && let Some(queue) = self.gateways.get_mut(&state.gateway)
        {
            queue.named -= 1;
        }
    }

    fn put(&mut self, lane: Lane, release: Release, now: Instant) {
        let Some(state) = self.lanes.get_mut(&lane) else {
            return;
        };
        let queue = self.gateways.entry(state.gateway).or_default();
        state.place = match release {
            Release::Go => Place::Ready(now),
            Release::After(delay) => Place::Ready(now + delay),
            Release::Pause(delay) => Place::Paused(now + delay),
            Release::Absent => Place::Absent,
        };
        state.throttled |= matches!(release, Release::Pause(_));
        match state.place {
            Place::Ready(at) => queue.ready_of(lane).insert((at, lane)),
            Place::Paused(at) => queue.paused.insert((at, lane)),
            Place::Absent | Place::Busy => false,
        };
    }

    fn take_out(&mut self, lane: Lane) {
        let Some(state) = self.lanes.get(&lane) else {
            return;
        };
        let Some(queue) = self.gateways.get_mut(&state.gateway) else {
            return;
        };
        match state.place {
            Place::Ready(at) => queue.ready_of(lane).remove(&(at, lane)),
            Place::Paused(at) => queue.paused.remove(&(at, lane)),
            Place::Absent | Place::Busy => false,
        };
    }

    /// The gateway works again: who waits for a backoff goes soon, but one that fails alone does not go faster than
    /// a probe would.
    fn resume(&mut self, gateway: Gateway, now: Instant) {
        let Some(queue) = self.gateways.get_mut(&gateway) else {
            return;
        };
        let late: Vec<_> = queue
            .names
            .iter()
            .chain(&queue.ready)
            .copied()
            .filter(|(at, _)| *at > now)
            .collect();
        for (at, lane) in late {
            let Some(state) = self.lanes.get_mut(&lane) else {
                continue;
            };
            let soon = state
                .attempted
                .map_or(now, |attempted| now.max(attempted + PROBE_EVERY));
            if soon < at {
                queue.ready_of(lane).remove(&(at, lane));
                queue.ready_of(lane).insert((soon, lane));
                state.place = Place::Ready(soon);
            }
        }
    }
}

#[cfg(test)]
mod tests;
