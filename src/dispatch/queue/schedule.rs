//! Which lane may go next, and when: the order in which what waits is tried. Pure: time comes in.
//!
//! A lane is served by one at a time. Between attempts it is *ready* at its own time (after a backoff), or *paused*
//! (the platform or the pace said so; never earlier). A backend that cannot be reached holds all its lanes back but
//! one, which probes it; when it takes posts again, the others go as well.
//!
//! What waits for a name to be looked up goes before its backend's other lanes, since it may turn out to be for the
//! channel of one of them, and to have come first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::dispatch::stored::is_of_name;
use crate::outbox::Lane;

/// A backend's bot, or its incoming webhooks, which are many servers and never held back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gateway {
    /// The backend's name.
    pub backend: &'static str,
    /// Whether these are its incoming webhooks.
    pub webhooks: bool,
}

/// What an attempt says about the gateway it went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It took a post, or answered something about one channel.
    Works,
    /// It answered that it cannot now, or not in time; that may be one channel's trouble.
    Troubled,
    /// No connection.
    Unreachable,
    /// It refuses the credentials, or is not the platform's API.
    Refusing,
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
const MAX_BUSY: usize = 64;
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
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Absent,
    Ready(Instant),
    Paused(Instant),
    Busy,
}

#[derive(Default)]
struct GatewayState {
    names: BTreeSet<(Instant, Lane)>,
    ready: BTreeSet<(Instant, Lane)>,
    paused: BTreeSet<(Instant, Lane)>,
    trouble: Option<Trouble>,
    busy: usize,
    /// How many names something waits for.
    named: usize,
    /// Those that are just looked up for the first time.
    looking_up: BTreeSet<Lane>,
}

#[derive(Clone, Copy)]
struct Trouble {
    /// Whether lanes that are due wait for the probe as well.
    holds: bool,
    step: Duration,
    next_probe: Instant,
    probe: Option<Lane>,
}

impl Schedule {
    /// How many deliveries wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
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

    /// The head of the lane is tried now; a pause that a platform asked for stays.
    pub fn hurry(&mut self, lane: Lane, now: Instant) {
        let place = self.lanes.get(&lane).map(|state| state.place);
        if matches!(place, Some(Place::Ready(at)) if at > now) {
            self.take_out(lane);
            self.put(lane, Release::Go, now);
        }
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

    /// What waits in the lane can be read. A lane that is scheduled already keeps its time.
    pub fn offer(&mut self, lane: Lane, release: Release, now: Instant) {
        match self.lanes.get_mut(&lane) {
            Some(state) if state.place == Place::Busy => state.again = true,
            Some(state) if state.place == Place::Absent => self.put(lane, release, now),
            _ => {}
        }
    }

    /// The lane is not served any more.
    pub fn release(&mut self, lane: Lane, release: Release, now: Instant) {
        let Some(state) = self.lanes.get_mut(&lane) else {
            return;
        };
        let gateway = state.gateway;
        if let Some(queue) = self.gateways.get_mut(&gateway) {
            queue.looking_up.remove(&lane);
            queue.busy -= usize::from(state.place == Place::Busy);
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
        let step = match sign {
            Sign::Works => {
                state.trouble = None;
                if before.is_some() {
                    self.resume(gateway, now);
                }
                return;
            }
            Sign::Troubled => PROBE_EVERY,
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
        let mut wake: Option<Instant> = None;
        let mut found: Option<(Instant, Lane, Gateway)> = None;
        for (gateway, state) in &mut self.gateways {
            state.end_pauses(now, &mut self.lanes);
            match state.candidate(now) {
                Ok((due, lane)) if found.is_none_or(|(best, ..)| due < best) => {
                    found = Some((due, lane, *gateway));
                }
                Ok(_) => {}
                Err(at) => wake = wake.into_iter().chain(at).min(),
            }
        }
        let Some((_, lane, gateway)) = found else {
            return wake.map_or(Next::Idle, Next::At);
        };
        self.take_out(lane);
        let mut is_first = false;
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.place = Place::Busy;
            state.again = false;
            is_first = state.failures == 0;
        }
        if let Some(state) = self.gateways.get_mut(&gateway) {
            state.busy += 1;
            if is_first && is_of_name(lane) {
                state.looking_up.insert(lane);
            }
            if let Some(trouble) = state.trouble.as_mut()
                && trouble.next_probe <= now
            {
                trouble.probe = Some(lane);
            }
        }
        Next::Take(lane)
    }

    fn forget(&mut self, lane: Lane) {
        if let Some(state) = self.lanes.remove(&lane)
            && is_of_name(lane)
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

impl GatewayState {
    fn end_pauses(&mut self, now: Instant, lanes: &mut HashMap<Lane, LaneState>) {
        while let Some(&(until, lane)) = self.paused.first().filter(|(until, _)| *until <= now) {
            self.paused.remove(&(until, lane));
            self.ready_of(lane).insert((until, lane));
            if let Some(state) = lanes.get_mut(&lane) {
                state.place = Place::Ready(until);
            }
        }
    }

    fn ready_of(&mut self, lane: Lane) -> &mut BTreeSet<(Instant, Lane)> {
        if is_of_name(lane) {
            &mut self.names
        } else {
            &mut self.ready
        }
    }

    /// The lane that may go now, else when to look again, if ever without a change.
    fn candidate(&self, now: Instant) -> Result<(Instant, Lane), Option<Instant>> {
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

#[cfg(test)]
mod tests;
