//! From a post and its destinations to receipts: look-up, rendering, pace, attempts.
//!
//! Knows backends through their trait alone. Nothing here knows HTTP as a server or who the caller is.

mod health;
mod lookup;
mod pacing;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Uri;

pub use health::{Health, State as HealthState};
pub use pacing::Lanes;
pub use wire::{ClientSettings, HttpWire, PRODUCT, TrustError, trust};

use crate::backends::{Backend, Part, Recipient};
use crate::clock::{self, Clock};
use crate::domain::channel::{Address, Destination, Webhooks};
use crate::domain::delivery::{Failure, Later, Post, Posted, Refusal};
use crate::domain::quota::Limit;
use crate::domain::retry::RetryPolicy;
use crate::telemetry::Metrics;
use lookup::Lookups;

/// A platform with its configured backends.
pub struct Platform {
    /// Its name.
    pub name: &'static str,
    /// The one with a bot's credentials.
    pub bot: Option<Arc<dyn Backend>>,
    /// The one for incoming webhooks, if an alias has one.
    pub webhooks: Option<Arc<dyn Backend>>,
    /// `PACE_<NAME>`
    pub pace: Limit,
}

/// What all workers share.
pub struct Platforms {
    platforms: Vec<Platform>,
    webhook_uris: Vec<Uri>,
    lookups: Lookups,
    lanes: Lanes,
    health: Health,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// One worker's way out: the shared platforms and its own connections.
pub struct Dispatcher {
    shared: Arc<Platforms>,
    wire: HttpWire,
}

/// A destination that is ready to be posted to: its backend known, its name looked up.
#[derive(Clone)]
pub struct Ready {
    /// The backend's name.
    pub backend: &'static str,
    /// Where the parts go.
    pub recipient: Recipient,
    sender: Arc<dyn Backend>,
    pace: Limit,
    lane: u64,
}

/// How the delivery to one destination ended.
#[derive(Debug)]
pub struct Outcome {
    /// What the platform said of the first part, or how it ended.
    pub result: Result<Posted, Failure>,
    /// How many parts were taken.
    pub parts_taken: usize,
}

/// How long after its first attempt a part may be sent again although it may have been posted. Mattermost
/// recognises a repeat for 30 s after it saved the first (reference, section 5); this stays well inside.
const REPEATS_RECOGNISED_FOR: Duration = Duration::from_secs(25);

/// An attempt is begun only while this is left of the caller's wait: one that the deadline cuts off may have
/// posted, and the caller who is told so sends it again. Platforms answer within it on most days.
const LEAST_FOR_AN_ATTEMPT: Duration = Duration::from_millis(300);

impl Platforms {
    /// Puts configured backends and webhooks together.
    #[must_use]
    pub fn new(
        platforms: Vec<Platform>,
        webhooks: &Webhooks,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let is_on = |p: &&Platform| p.bot.is_some() || p.webhooks.is_some();
        let names = platforms.iter().filter(is_on).map(|p| p.name).collect();
        Self {
            platforms,
            // A `WebUrl` that is no request target was refused when the settings were read.
            webhook_uris: webhooks
                .iter()
                .map(|url| url.to_uri().unwrap_or_default())
                .collect(),
            lookups: Lookups::default(),
            lanes: Lanes::default(),
            health: Health::new(names),
            clock,
            metrics,
        }
    }

    /// How each backend does.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    fn sender(&self, destination: &Destination) -> Option<(&Platform, Arc<dyn Backend>)> {
        let platform = self
            .platforms
            .iter()
            .find(|p| p.name == destination.backend)?;
        let sender = match destination.address {
            Address::Target(_) => platform.bot.clone()?,
            Address::Webhook(_) => platform.webhooks.clone()?,
        };
        Some((platform, sender))
    }
}

impl Dispatcher {
    /// A worker's dispatcher.
    #[must_use]
    pub fn new(shared: Arc<Platforms>, wire: HttpWire) -> Self {
        Self { shared, wire }
    }

    /// The platforms.
    #[must_use]
    pub fn platforms(&self) -> &Platforms {
        &self.shared
    }

    /// Finds the backend and looks up the name, which may ask the platform.
    ///
    /// # Errors
    /// The platform's [`Failure`], or a refusal where the backend is not configured.
    pub async fn ready(
        &self,
        destination: &Destination,
        deadline: Instant,
    ) -> Result<Ready, Failure> {
        let (platform, sender) = self
            .shared
            .sender(destination)
            .ok_or_else(|| not_configured(destination.backend))?;
        let recipient = match &destination.address {
            Address::Target(target) if sender.is_name(target) => {
                let find = self
                    .shared
                    .lookups
                    .find(platform.name, target, &*sender, &self.wire);
                let id = before(deadline, find)
                    .await
                    .unwrap_or_else(|| Err(look_up_timed_out(platform.name)));
                self.shared.health.note(platform.name, id.as_ref().err());
                Recipient::Target(id?)
            }
            Address::Target(target) => Recipient::Target(target.clone()),
            Address::Webhook(id) => Recipient::Webhook {
                alias: Arc::clone(&id.alias),
                uri: self
                    .shared
                    .webhook_uris
                    .get(id.index)
                    .cloned()
                    .unwrap_or_default(),
            },
        };
        let lane = pacing::lane(platform.name, &destination.address, &recipient);
        Ok(Ready {
            backend: platform.name,
            recipient,
            sender,
            pace: platform.pace,
            lane,
        })
    }

    /// Whether two different spellings may mean the same channel, because one of them is a name.
    #[must_use]
    pub fn may_be_same(&self, one: &Destination, other: &Destination) -> bool {
        let is_name = |d: &Destination| match (&d.address, self.shared.sender(d)) {
            (Address::Target(target), Some((_, sender))) => sender.is_name(target),
            _ => false,
        };
        one.backend == other.backend && (is_name(one) || is_name(other))
    }

    /// Delivers the parts in order; stops at the first that fails. Tries again within the deadline what is
    /// worth it.
    pub async fn deliver(&self, ready: &Ready, parts: &[Part], deadline: Instant) -> Outcome {
        let started = self.shared.clock.now();
        if let Err(failure) = self.has_time_for(ready, parts.len(), started, deadline) {
            self.note(ready, Some(&failure), started);
            return Outcome {
                result: Err(failure),
                parts_taken: 0,
            };
        }
        let mut first = None;
        for (index, part) in parts.iter().enumerate() {
            match self.deliver_part(ready, part, deadline).await {
                Ok(posted) => {
                    first.get_or_insert(posted);
                }
                Err(failure) => {
                    self.note(ready, Some(&failure), started);
                    return Outcome {
                        result: Err(failure),
                        parts_taken: index,
                    };
                }
            }
        }
        self.note(ready, None, started);
        Outcome {
            result: Ok(first.unwrap_or_default()),
            parts_taken: parts.len(),
        }
    }

    /// Asks every configured platform for the state of its credentials, all at once.
    pub async fn check(&self, deadline: Instant) -> Vec<(&'static str, Result<(), Failure>)> {
        let checks = self.shared.platforms.iter().filter_map(|platform| {
            let bot = platform.bot.clone()?;
            Some(async move {
                let answer = before(deadline, bot.check(&self.wire)).await;
                let result = answer.unwrap_or_else(|| Err(look_up_timed_out(platform.name)));
                self.shared
                    .health
                    .note(platform.name, result.as_ref().err());
                (platform.name, result)
            })
        });
        join_all(checks).await
    }

    /// A long message whose last part would come too late is refused whole, not broken off half-way.
    fn has_time_for(
        &self,
        ready: &Ready,
        parts: usize,
        now: Instant,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let last = self
            .shared
            .lanes
            .last_turn(ready.lane, ready.pace, parts, now);
        if parts > 1 && last >= deadline {
            return Err(no_turn(ready.backend, last.saturating_duration_since(now)));
        }
        Ok(())
    }

    async fn deliver_part(
        &self,
        ready: &Ready,
        part: &Part,
        deadline: Instant,
    ) -> Result<Posted, Failure> {
        let mut latest = deadline
            .checked_sub(LEAST_FOR_AN_ATTEMPT)
            .unwrap_or(deadline);
        let mut attempt = 0;
        let mut first_sent = None;
        let mut last = None;
        let mut not_before = self.shared.clock.now();
        loop {
            attempt += 1;
            if let Err(no_turn) = self.take_turn(ready, not_before, latest).await {
                // Why the attempt before failed says more than that there is no time for another.
                return Err(last.unwrap_or(no_turn));
            }
            let sent_at = *first_sent.get_or_insert_with(|| self.shared.clock.now());
            let sent = ready.sender.deliver(&self.wire, &ready.recipient, part);
            let failure = match before(deadline, sent).await {
                Some(Ok(posted)) => return Ok(posted),
                Some(Err(failure)) => failure,
                None => no_answer_in_time(ready.backend),
            };
            let failure = pacing::with_least_pause(failure, attempt);
            self.shared
                .lanes
                .pause(ready.lane, self.shared.clock.now(), failure.retry_after());
            let Some(delay) = delay_before_retry(ready, &failure, attempt) else {
                return Err(failure);
            };
            let until = self.shared.clock.now() + delay;
            if matches!(failure, Failure::Unknown { .. }) {
                // For all attempts to come, also behind one that surely failed: this one may have posted.
                latest = latest.min(sent_at + REPEATS_RECOGNISED_FOR);
            }
            if until >= latest {
                return Err(failure);
            }
            last = Some(failure);
            // The turn is taken at once, so that those who come or wait meanwhile are behind this one.
            not_before = until;
        }
    }

    /// Waits for the destination's pace and pauses, also for a pause that begins meanwhile, but not until `latest`.
    async fn take_turn(
        &self,
        ready: &Ready,
        not_before: Instant,
        latest: Instant,
    ) -> Result<(), Failure> {
        let lanes = &self.shared.lanes;
        loop {
            let now = self.shared.clock.now();
            let turn = lanes
                .reserve(ready.lane, ready.pace, now, not_before, latest)
                .map_err(|wait| no_turn(ready.backend, wait))?;
            if turn > now {
                tokio::time::sleep_until(turn.into()).await;
            }
            if !lanes.is_paused(ready.lane, self.shared.clock.now()) {
                return Ok(());
            }
        }
    }

    fn note(&self, ready: &Ready, failure: Option<&Failure>, started: Instant) {
        let took = self.shared.clock.now().saturating_duration_since(started);
        // That a caller waits less than a call may take says nothing about the platform.
        let cut_short =
            matches!(failure, Some(Failure::Unknown { .. })) && took < self.wire.timeout();
        if !cut_short {
            self.shared.health.note(ready.backend, failure);
        }
        self.shared.metrics.delivery(ready.backend, failure, took);
        if let Some(failure) = failure {
            tracing::warn!(
                backend = ready.backend,
                channel = ready.recipient.channel(),
                failure = failure.word(),
                reason = %failure,
                "delivery failed"
            );
        }
    }
}

impl Ready {
    /// The parts of a post for this destination.
    #[must_use]
    pub fn render(&self, post: &Post) -> Vec<Part> {
        self.sender.render(post, &self.recipient)
    }

    /// Whether both mean the same channel of the same platform.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.lane == other.lane
            && self.backend == other.backend
            && self.recipient.channel() == other.recipient.channel()
    }
}

/// How long to wait before the next attempt, if one is worth it. What may have been posted is tried again
/// only where the platform recognises the repeat: without an outbox the caller decides about the rest.
fn delay_before_retry(ready: &Ready, failure: &Failure, attempt: u32) -> Option<Duration> {
    match failure {
        Failure::Later { retry_after, .. } => {
            Some(RetryPolicy::STANDARD.delay(attempt, *retry_after, clock::roll()))
        }
        Failure::Unknown { .. } if ready.sender.recognises_repeats() => {
            Some(RetryPolicy::STANDARD.delay(attempt, None, clock::roll()))
        }
        Failure::Unknown { .. } | Failure::Refused { .. } => None,
    }
}

/// The result of `future` if it comes before the deadline.
async fn before<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(deadline.into(), future).await.ok()
}

fn not_configured(backend: &str) -> Failure {
    let detail = format!("the backend {backend} is not configured on this proxy");
    Failure::Refused {
        reason: Refusal::Misconfigured,
        platform_code: None,
        detail,
    }
}

fn no_turn(backend: &str, wait: Duration) -> Failure {
    let detail = format!(
        "{backend}: this channel takes no more messages just now; the next turn is in {} s",
        wait.as_secs() + 1
    );
    Failure::later(Later::Throttled, Some(wait), detail)
}

fn look_up_timed_out(backend: &str) -> Failure {
    Failure::later(
        Later::Unavailable,
        None,
        format!("{backend}: it did not answer in time"),
    )
}

fn no_answer_in_time(backend: &str) -> Failure {
    Failure::Unknown {
        detail: format!(
            "{backend}: no answer within the time this request waits; the message may or may not have been posted"
        ),
    }
}
