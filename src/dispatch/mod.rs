//! From a post and its destinations to receipts: look-up, rendering, pace, attempts, and what waits in the outbox.
//!
//! With an outbox a post is tried at once where nothing waits for its destination ([`mod@send`]), and whatever is stored
//! is delivered by the [`Courier`]; without one, `direct` tries again while the caller waits. Knows backends through
//! their trait alone. Nothing here knows HTTP as a server or who may post.

pub mod accept;
mod bell;
mod check;
mod courier;
mod direct;
mod ends;
mod exchange;
mod fold;
mod health;
mod installations;
mod keys;
pub mod list;
mod lookup;
pub mod manage;
mod notice;
mod own;
mod pacing;
mod place;
pub mod queue;
pub mod relay;
pub mod send;
pub mod sent;
pub mod settings;
mod settle;
mod stored;
mod wire;

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Uri;

pub use bell::Bell;
pub use courier::{Courier, CourierSettings};
pub use exchange::fuzz_answer;
pub use health::{Health, State as HealthState};
pub use installations::{InstallError, Installations, Installed};
use pacing::Account;
pub use pacing::Lanes;
pub use queue::{Phase, Queue};
pub use relay::{RelayAnswer, RelayError, RelayRequest};
pub use settings::OutboxSettings;
pub use wire::{ClientSettings, HttpWire, PRODUCT, TrustError, trust};

use crate::backends::{Backend, Part, Recipient, Wire as _};
use crate::clock::Clock;
use crate::domain::channel::{Address, Destination, Webhooks};
use crate::domain::delivery::{Failure, Post, Posted};
use crate::domain::quota::Limit;
use crate::domain::web_url::WebUrl;
use crate::outbox::{Lane, Store};
use crate::telemetry::Metrics;
use ends::{before, look_up_timed_out, no_turn, not_configured, sign};
use lookup::Lookups;
use queue::schedule::Gateway;

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
    webhook_hashes: Vec<[u8; 16]>,
    lookups: Lookups,
    own: own::Own,
    installations: Installations,
    lanes: Lanes,
    health: Health,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    delivered: AtomicU64,
    relay: Option<relay::settings::RelaySettings>,
    keys: Option<keys::Keys>,
    /// One moment on both clocks.
    epoch: (Instant, Duration),
}

/// One worker's way out: the shared platforms, its own connections, and the outbox if there is one.
pub struct Dispatcher {
    shared: Arc<Platforms>,
    wire: HttpWire,
    /// Where there is an internal API.
    relay: Option<relay::RelayClient>,
    desk: Option<Desk>,
    /// Rings when the process waits for no platform any more.
    over: OnceCell<Rc<Bell>>,
    /// How many attempts go on after their caller was answered.
    background: tokio::sync::watch::Sender<usize>,
}

/// The outbox, and what waits in it.
#[derive(Clone)]
pub struct Desk {
    /// On disk.
    pub store: Store,
    /// In memory.
    pub queue: Arc<Queue>,
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
    lane: Lane,
    /// Whether the recipient is a name that could not be looked up yet.
    is_named: bool,
    webhook_hash: Option<[u8; 16]>,
}

/// How the delivery to one destination ended.
#[derive(Debug)]
pub struct Outcome {
    /// What the platform said of the first part, or how it ended.
    pub result: Result<Posted, Failure>,
    /// How many parts were taken.
    pub parts_taken: usize,
}

impl Platforms {
    /// Puts configured backends and webhooks together. `openid` is the metadata of the Bot Framework's keys, where there is
    /// a bot for it to send to.
    #[must_use]
    pub fn new(
        platforms: Vec<Platform>,
        webhooks: &Webhooks,
        relay: Option<relay::settings::RelaySettings>,
        openid: Option<WebUrl>,
        installations: Installations,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let is_on = |p: &&Platform| p.bot.is_some() || p.webhooks.is_some();
        let names = platforms.iter().filter(is_on).map(|p| p.name);
        let names = names.chain(relay.as_ref().map(|_| relay::later::BACKEND));
        let health = Health::new(names.collect());
        Self {
            platforms,
            // A `WebUrl` that is no request target was refused when the settings were read.
            webhook_uris: webhooks
                .iter()
                .map(|url| url.to_uri().unwrap_or_default())
                .collect(),
            webhook_hashes: webhooks
                .iter()
                .map(|url| stored::webhook_hash(url.as_str()))
                .collect(),
            lookups: Lookups::default(),
            lanes: Lanes::default(),
            relay,
            keys: openid.map(keys::Keys::new),
            epoch: (clock.now(), clock.unix()),
            own: own::Own::default(),
            installations,
            health,
            clock,
            metrics,
            delivered: AtomicU64::new(0),
        }
    }

    /// How many deliveries were made since the start.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// How each backend does.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The gateway of a stored address; `None` for a backend that this version does not know.
    fn gateway(&self, to: &crate::outbox::Address) -> Option<Gateway> {
        let webhooks = matches!(to.kind, crate::outbox::Kind::Webhook(_));
        self.gateway_of(&to.backend, webhooks)
    }

    /// The same, by the name that is stored. What waits for the internal API waits for it to be configured as well.
    fn gateway_of(&self, backend: &str, webhooks: bool) -> Option<Gateway> {
        if backend == relay::later::BACKEND {
            return Some(relay::later::GATEWAY);
        }
        let platform = self.platforms.iter().find(|p| p.name == backend)?;
        Some(Gateway {
            backend: platform.name,
            webhooks,
        })
    }

    fn count_delivered(&self, messages: u32) {
        self.delivered.fetch_add(messages.into(), Ordering::Relaxed);
    }

    /// Lent, not cloned: all workers share the count of its owners, and would wait for each other.
    fn sender(&self, destination: &Destination) -> Option<(&Platform, &Arc<dyn Backend>)> {
        let platform = self
            .platforms
            .iter()
            .find(|p| p.name == destination.backend)?;
        let sender = match destination.address {
            Address::Target(_) => platform.bot.as_ref()?,
            Address::Webhook(_) => platform.webhooks.as_ref()?,
        };
        Some((platform, sender))
    }
}

impl Dispatcher {
    /// A worker's dispatcher.
    #[must_use]
    pub fn new(shared: Arc<Platforms>, wire: HttpWire, desk: Option<Desk>) -> Self {
        let client = || relay::RelayClient::new(wire.settings(), Arc::clone(&shared.clock));
        Self {
            relay: shared.relay.as_ref().map(|_| client()),
            shared,
            wire,
            desk,
            over: OnceCell::new(),
            background: tokio::sync::watch::Sender::new(0),
        }
    }

    /// The outbox, if there is one.
    #[must_use]
    pub fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }

    /// Ready when no attempt goes on after its caller was answered.
    pub async fn background_ended(&self) {
        // The sender lives as long as this dispatcher.
        self.background
            .subscribe()
            .wait_for(|count| *count == 0)
            .await
            .ok();
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
        let (recipient, lane, webhook_hash) = match &destination.address {
            Address::Target(target) => {
                let id = if sender.is_name(target) {
                    // Boxed: most are known, or ids.
                    Box::pin(self.look_up(platform.name, target, &**sender, deadline)).await?
                } else {
                    target.clone()
                };
                let lane = stored::lane_of_id(platform.name, &id);
                (Recipient::Target(id), lane, None)
            }
            Address::Webhook(id) => {
                let uri = self.shared.webhook_uris.get(id.index).cloned();
                let recipient = Recipient::Webhook {
                    alias: Arc::clone(&id.alias),
                    uri: uri.unwrap_or_default(),
                };
                let hash = self.shared.webhook_hashes.get(id.index).copied();
                let hash = hash.unwrap_or_default();
                let lane = stored::lane_of_webhook(platform.name, &hash);
                (recipient, lane, Some(hash))
            }
        };
        Ok(Ready {
            backend: platform.name,
            recipient,
            sender: Arc::clone(sender),
            pace: platform.pace,
            lane,
            is_named: false,
            webhook_hash,
        })
    }

    async fn look_up(
        &self,
        backend: &'static str,
        name: &str,
        sender: &dyn Backend,
        deadline: Instant,
    ) -> Result<String, Failure> {
        let lookups = &self.shared.lookups;
        if deadline <= self.shared.clock.now() {
            // A request that nobody waits for would be broken off, and what it is answered not heard.
            let known = lookups.remembered(backend, name, self.wire.elapsed());
            return known.unwrap_or_else(|| Err(look_up_timed_out(backend)));
        }
        let find = lookups.find(backend, name, sender, &self.wire);
        let id = before(deadline, find)
            .await
            .unwrap_or_else(|| Err(look_up_timed_out(backend)));
        self.shared.health.note(backend, id.as_ref().err());
        if let Err(failure) = &id {
            self.shared.installations.note(failure);
        }
        id
    }

    /// A destination whose name is still to be looked up, if it is one.
    fn named(&self, destination: &Destination) -> Option<Ready> {
        let Address::Target(name) = &destination.address else {
            return None;
        };
        let (platform, sender) = self.shared.sender(destination)?;
        sender.is_name(name).then(|| Ready {
            backend: platform.name,
            recipient: Recipient::Target(name.clone()),
            lane: stored::lane_of_name(platform.name, name),
            sender: Arc::clone(sender),
            pace: platform.pace,
            is_named: true,
            webhook_hash: None,
        })
    }

    fn note(&self, ready: &Ready, failure: Option<&Failure>, messages: u32, started: Instant) {
        let now = self.shared.clock.now();
        let took = now.saturating_duration_since(started);
        // That a caller waits less than a call may take says nothing about the platform.
        let cut_short =
            matches!(failure, Some(Failure::Unknown { .. })) && took < self.wire.timeout();
        if !cut_short {
            self.shared.health.note(ready.backend, failure);
        }
        if let Some(desk) = &self.desk {
            desk.queue.note(ready.gateway(), sign(failure), now);
        }
        let metrics = &self.shared.metrics;
        metrics.delivery(ready.backend, failure, messages, took);
        if failure.is_none() {
            self.shared.count_delivered(messages);
        }
        if let Some(failure) = failure {
            self.shared.installations.note(failure);
            if failure.is_of_the_channel() {
                let (lookups, id) = (&self.shared.lookups, ready.recipient.channel());
                lookups.doubt(ready.backend, id, self.wire.elapsed());
            }
            tracing::warn!(
                backend = ready.backend,
                channel = ready.recipient.channel(),
                failure = failure.word(),
                reason = %failure,
                "delivery failed"
            );
        }
    }

    /// The present, in milliseconds since 1970, by a clock that does not jump while the process runs (P-5): stored
    /// times are compared with it.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        let (started, unix) = self.shared.epoch;
        let elapsed = self.shared.clock.now().saturating_duration_since(started);
        u64::try_from((unix + elapsed).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Ready {
    /// The parts of a post for this destination.
    #[must_use]
    pub fn render(&self, post: &Post) -> Vec<Part> {
        self.sender.render(post, &self.recipient)
    }

    fn gateway(&self) -> Gateway {
        Gateway {
            backend: self.backend,
            webhooks: self.webhook_hash.is_some(),
        }
    }

    /// Whose limits a post to it counts against.
    fn account(&self) -> Account {
        let workspace = match &self.recipient {
            Recipient::Target(target) => self.sender.workspace(target),
            Recipient::Webhook { .. } => None,
        };
        Account {
            gateway: self.gateway(),
            workspace: workspace.map(str::to_owned),
        }
    }

    /// Whether both mean the same channel of the same platform.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.lane == other.lane
            && self.backend == other.backend
            && self.recipient.channel() == other.recipient.channel()
    }
}
