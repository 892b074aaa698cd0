//! The keys that the Bot Framework signs with: fetched when they are first needed, shared by all workers, renewed while the
//! old ones go on working (reference/teams.md 4, threats.md F5). It decides when to fetch; what a key is, is `inbound`'s.
//!
//! A stranger can name any key, so a name that is not known makes one fetch an hour and no more, unless that failed: then
//! nobody knows yet whether there is such a key. A fetch goes on whatever becomes of the request that began it: else whoever
//! hangs up at once could keep a new key from ever coming in.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http::Uri;
use tokio::sync::watch;

use super::{Dispatcher, before};
use crate::backends::Wire;
use crate::backends::wire::{Answer, Call};
use crate::domain::web_url::WebUrl;
use crate::inbound::teams::{KeySet, Metadata, issuer_of};

/// The age at which keys are fetched anew, as the platform's SDK does (reference/teams.md 4).
const RENEW_AFTER: Duration = Duration::from_secs(24 * 3600);
/// The age beyond which keys are not believed any more: what Microsoft allows (reference/teams.md 4).
const GOOD_FOR: Duration = Duration::from_secs(5 * 24 * 3600);
/// How often a key that the platform did not have, or a renewal that failed, makes another fetch.
const RETRY_AFTER: Duration = Duration::from_secs(3600);
/// How often it is tried while there are no keys at all, or while a key that is not known could not be asked for.
const FIRST_RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long a request waits for a fetch; the platform waits 15 s for the whole answer (reference/teams.md 5.4).
const WAIT: Duration = Duration::from_secs(8);
/// All keys of the public cloud are some 100 KB, their certificates included.
const MAX_KEYS_BYTES: usize = 1024 * 1024;

/// The keys of one issuer.
pub(super) struct Keys {
    metadata: WebUrl,
    state: RwLock<State>,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    known: Option<(Arc<KeySet>, Instant)>,
    tried_at: Option<Instant>,
    /// When a key that is not known last made a fetch.
    asked_at: Option<Instant>,
    is_fetching: bool,
    /// Whether the last fetch brought nothing.
    has_failed: bool,
}

/// What a request does about the keys.
enum Plan {
    /// It goes on with these.
    Go(Arc<KeySet>),
    /// It goes on with these, and has others fetched.
    Renew(Arc<KeySet>),
    /// It has them fetched and waits.
    Fetch,
    /// It waits for a fetch that is under way.
    Wait,
    /// There are none, and it is too early to try again.
    None,
}

impl Keys {
    /// No keys yet; their metadata is there.
    pub(super) fn new(metadata: WebUrl) -> Self {
        Self {
            metadata,
            state: RwLock::default(),
            ended: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, now: Instant) -> Option<Arc<KeySet>> {
        self.lock().good(now).map(|(set, _)| set)
    }
}

impl State {
    fn good(&self, now: Instant) -> Option<(Arc<KeySet>, Duration)> {
        let (set, since) = self.known.as_ref()?;
        let age = now.saturating_duration_since(*since);
        (age < GOOD_FOR).then(|| (Arc::clone(set), age))
    }

    /// For a request that needs a key set, whatever key it names.
    fn plan(&mut self, now: Instant) -> Plan {
        match self.good(now) {
            None if self.is_fetching => Plan::Wait,
            None if is_over(self.tried_at, FIRST_RETRY_AFTER, now) => {
                self.begin(now);
                Plan::Fetch
            }
            None => Plan::None,
            Some((set, age)) => {
                let is_due = age >= RENEW_AFTER && is_over(self.tried_at, RETRY_AFTER, now);
                if is_due && !self.is_fetching {
                    self.begin(now);
                    return Plan::Renew(set);
                }
                Plan::Go(set)
            }
        }
    }

    /// For a request that names a key that is not in `seen`.
    fn plan_for_unknown(&mut self, seen: &Arc<KeySet>, now: Instant) -> Plan {
        let may_ask = if self.has_failed {
            is_over(self.tried_at, FIRST_RETRY_AFTER, now)
        } else {
            is_over(self.asked_at, RETRY_AFTER, now)
        };
        match &self.known {
            Some((set, _)) if !Arc::ptr_eq(set, seen) => Plan::Go(Arc::clone(set)),
            _ if self.is_fetching => Plan::Wait,
            _ if may_ask => {
                self.asked_at = Some(now);
                self.begin(now);
                Plan::Fetch
            }
            _ => Plan::Go(Arc::clone(seen)),
        }
    }

    fn begin(&mut self, now: Instant) {
        self.is_fetching = true;
        self.tried_at = Some(now);
    }

    /// The end of a fetch, and what it brought.
    fn end(&mut self, found: Option<Arc<KeySet>>, now: Instant) {
        self.is_fetching = false;
        self.has_failed = found.is_none();
        if let Some(set) = found {
            self.known = Some((set, now));
        }
    }
}

fn is_over(since: Option<Instant>, wait: Duration, now: Instant) -> bool {
    since.is_none_or(|since| now.saturating_duration_since(since) >= wait)
}

/// A fetch under way; it has ended when this is dropped, however that comes about.
struct Flight {
    dispatcher: Arc<Dispatcher>,
    found: Option<Arc<KeySet>>,
}

impl Flight {
    fn bring(&mut self, set: KeySet) {
        self.found = Some(Arc::new(set));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let shared = &self.dispatcher.shared;
        if let Some(keys) = &shared.keys {
            keys.lock().end(self.found.take(), shared.clock.now());
            keys.ended.send_modify(|count| *count += 1);
        }
    }
}

impl Dispatcher {
    /// The Bot Framework's keys; `None` while none could ever be fetched.
    pub async fn keys(self: &Arc<Self>) -> Option<Arc<KeySet>> {
        let keys = self.shared.keys.as_ref()?;
        let ended = keys.ended.subscribe();
        let now = self.shared.clock.now();
        let plan = keys.lock().plan(now);
        self.follow(plan, ended).await
    }

    /// The keys after one was asked for that is not in `seen`: newer ones if there are any.
    pub async fn keys_beyond(self: &Arc<Self>, seen: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        let keys = self.shared.keys.as_ref()?;
        let ended = keys.ended.subscribe();
        let now = self.shared.clock.now();
        let plan = keys.lock().plan_for_unknown(seen, now);
        self.follow(plan, ended).await
    }

    async fn follow(
        self: &Arc<Self>,
        plan: Plan,
        mut ended: watch::Receiver<u64>,
    ) -> Option<Arc<KeySet>> {
        match plan {
            Plan::Go(set) => return Some(set),
            Plan::Renew(set) => {
                self.begin_fetch();
                return Some(set);
            }
            Plan::None => return None,
            Plan::Fetch => self.begin_fetch(),
            Plan::Wait => {}
        }
        let now = self.shared.clock.now();
        // Whether it ended, failed or takes too long: what is known now is all there is.
        before(now + WAIT, ended.changed()).await;
        self.shared.keys.as_ref()?.set(self.shared.clock.now())
    }

    fn begin_fetch(self: &Arc<Self>) {
        let mut flight = Flight {
            dispatcher: Arc::clone(self),
            found: None,
        };
        tokio::task::spawn_local(async move {
            let dispatcher = &flight.dispatcher;
            let Some(keys) = &dispatcher.shared.keys else {
                return;
            };
            match fetch(&dispatcher.wire, &keys.metadata).await {
                Ok(set) => flight.bring(set),
                Err(reason) => {
                    tracing::warn!(reason, "the Bot Framework's keys cannot be fetched");
                }
            }
        });
    }
}

/// Fetches the metadata and then the keys that it names.
async fn fetch(wire: &dyn Wire, metadata: &WebUrl) -> Result<KeySet, String> {
    let uri = metadata.to_uri().map_err(|e| e.to_string())?;
    let answer = get(wire, &uri).await?;
    let found = Metadata::parse(&answer.body)
        .ok_or("TEAMS_OPENID_URL answers with something else than OpenID metadata")?;
    let uri = found.keys.to_uri().map_err(|e| e.to_string())?;
    let answer = get(wire, &uri).await?;
    let issuer = issuer_of(metadata.host()).map_or(found.issuer, str::to_owned);
    KeySet::parse(issuer, &answer.body)
        .ok_or_else(|| "the metadata of TEAMS_OPENID_URL leads to no usable key".to_owned())
}

async fn get(wire: &dyn Wire, uri: &Uri) -> Result<Answer, String> {
    let call = Call {
        max_answer_bytes: MAX_KEYS_BYTES,
        ..Call::get(uri, None)
    };
    match wire.call(call).await {
        Ok(answer) if answer.status == 200 && !answer.truncated => Ok(answer),
        Ok(answer) if answer.truncated => Err("the answer is too large".to_owned()),
        Ok(answer) => Err(format!("the answer has status {}", answer.status)),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
