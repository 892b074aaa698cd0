//! How many posts are let in: per caller, per channel, and in all; and how many bad credentials an address
//! may try. governor decides (GCRA); the memory is ours and bounded.

mod cells;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderValue;
use bytes::Bytes;
use envconfig::Envconfig;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{NotUntil, Quota as Gcra, RateLimiter};

use crate::clock::Clock;
use crate::domain::quota::{Limit, Quota, parse_limit};
use crate::env::{Reader, Var};
use cells::{Cells, SharedCells};

/// The limits as configured.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `RATE_LIMIT_CALLER`
    pub caller: Limit,
    /// `RATE_LIMIT_CHANNEL`
    pub channel: Limit,
    /// `RATE_LIMIT_GLOBAL`
    pub global: Limit,
}

/// The variables of this module.
pub const VARS: &[Var] = &[
    Var {
        name: "RATE_LIMIT_CALLER",
        default: "120/m",
        secret: false,
        doc: "posts per caller (a token's name, else a client address; IPv6 by /64): `N/s`, `N/m`, `N/h` (N is also the burst) or `off`",
    },
    Var {
        name: "RATE_LIMIT_CHANNEL",
        default: "60/m",
        secret: false,
        doc: "posts per destination, from all callers",
    },
    Var {
        name: "RATE_LIMIT_GLOBAL",
        default: "100/s",
        secret: false,
        doc: "posts in all",
    },
];

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "RATE_LIMIT_CALLER")]
    caller: Option<String>,
    #[envconfig(from = "RATE_LIMIT_CHANNEL")]
    channel: Option<String>,
    #[envconfig(from = "RATE_LIMIT_GLOBAL")]
    global: Option<String>,
}

/// Bad credentials that one address may try, and how fast they are forgotten.
const BAD_CREDENTIALS: &str = "10/m";

/// Which limit it is, as `RateLimit-Policy` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Per caller.
    Caller,
    /// Per destination.
    Channel,
    /// All posts.
    Global,
    /// Bad credentials per address; it has no place in the headers.
    Credentials,
}

/// What a limit said.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    policy: Policy,
    remaining: u32,
    /// Seconds until the quota is whole again.
    reset_s: u64,
}

/// A limit said no.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// Which one.
    pub policy: Policy,
    /// Waiting exactly this long succeeds, unless somebody else comes first.
    pub retry_after: Duration,
}

/// All limits.
pub struct Limits {
    /// Callers with a name: as few as there are tokens, so strangers never get at their cells.
    named: Option<Keyed>,
    /// All other callers, by address.
    caller: Option<Keyed>,
    channel: Option<Keyed>,
    global: Option<Limiter<NotKeyed, InMemoryState>>,
    credentials: Option<Keyed>,
    hasher: RandomState,
    policy_header: HeaderValue,
}

struct Limiter<K, S: StateStore<Key = K>> {
    policy: Policy,
    quota: Quota,
    limiter: RateLimiter<K, S, LimiterClock, StateInformationMiddleware>,
}

/// A limiter with one quota for each key.
struct Keyed {
    cells: Arc<Cells>,
    inner: Limiter<u64, SharedCells>,
}

/// Our clock in governor's terms.
#[derive(Clone)]
struct LimiterClock {
    clock: Arc<dyn Clock>,
    start: Instant,
}

impl governor::clock::Clock for LimiterClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.start)
    }
}

impl Settings {
    /// Reads the variables.
    #[must_use]
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let vars: Vars = reader.vars();
        let mut limit = |name: &str, value: Option<String>, default: &str| {
            reader.value(
                name,
                value.as_deref(),
                parse_limit(default).unwrap_or_default(),
                parse_limit,
            )
        };
        Self {
            caller: limit("RATE_LIMIT_CALLER", vars.caller, "120/m"),
            channel: limit("RATE_LIMIT_CHANNEL", vars.channel, "60/m"),
            global: limit("RATE_LIMIT_GLOBAL", vars.global, "100/s"),
        }
    }
}

impl Policy {
    /// The name in the headers and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Channel => "channel",
            Self::Global => "global",
            Self::Credentials => "credentials",
        }
    }
}

impl Limits {
    /// Limits that have not been used yet.
    #[must_use]
    pub fn new(settings: Settings, clock: &Arc<dyn Clock>) -> Self {
        let clock = LimiterClock {
            clock: Arc::clone(clock),
            start: clock.now(),
        };
        let keyed = |policy, limit: Limit| limit.map(|quota| Keyed::new(policy, quota, &clock));
        Self {
            named: keyed(Policy::Caller, settings.caller),
            caller: keyed(Policy::Caller, settings.caller),
            channel: keyed(Policy::Channel, settings.channel),
            global: settings.global.map(|quota| Limiter::global(quota, &clock)),
            credentials: keyed(
                Policy::Credentials,
                parse_limit(BAD_CREDENTIALS).unwrap_or_default(),
            ),
            hasher: RandomState::new(),
            // It stays for the whole process, so that workers share no count of its clones. Names of ours and numbers are
            // always a header's value.
            policy_header: HeaderValue::from_maybe_shared(Bytes::from_static(
                policy_header(settings).leak().as_bytes(),
            ))
            .unwrap_or(HeaderValue::from_static("")),
        }
    }

    /// A key that outsiders cannot predict, so that nobody can aim at another's cell.
    #[must_use]
    pub fn key(&self, of: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    /// Takes one from the quota of a caller with a name.
    ///
    /// # Errors
    /// [`Refused`] with the time to wait.
    pub fn named(&self, name: &str) -> Result<Option<Standing>, Refused> {
        let key = self.key(name);
        self.named.as_ref().map(|l| l.take(key)).transpose()
    }

    /// Takes one from the quota of a caller without a name.
    ///
    /// # Errors
    /// [`Refused`] with the time to wait.
    pub fn caller(&self, key: u64) -> Result<Option<Standing>, Refused> {
        self.caller.as_ref().map(|l| l.take(key)).transpose()
    }

    /// Takes one from a destination's quota.
    ///
    /// # Errors
    /// [`Refused`] with the time to wait.
    pub fn channel(&self, key: u64) -> Result<Option<Standing>, Refused> {
        self.channel.as_ref().map(|l| l.take(key)).transpose()
    }

    /// Takes one from everybody's quota.
    ///
    /// # Errors
    /// [`Refused`] with the time to wait.
    pub fn global(&self) -> Result<Option<Standing>, Refused> {
        self.global.as_ref().map(Limiter::take_global).transpose()
    }

    /// Notes bad credentials from an address.
    ///
    /// # Errors
    /// [`Refused`] once the address has tried too many.
    pub fn bad_credentials(&self, key: u64) -> Result<(), Refused> {
        self.credentials
            .as_ref()
            .map_or(Ok(()), |l| l.take(key).map(drop))
    }

    /// Whether an address without credentials has used up what bad ones it may try; it takes nothing.
    ///
    /// # Errors
    /// [`Refused`] once it has.
    pub fn spent_credentials(&self, key: u64) -> Result<(), Refused> {
        self.credentials.as_ref().map_or(Ok(()), |l| l.peek(key))
    }

    /// The value of `RateLimit-Policy`; empty when all limits are off.
    #[must_use]
    pub fn policy_header(&self) -> &HeaderValue {
        &self.policy_header
    }
}

impl<K, S: StateStore<Key = K>> Limiter<K, S> {
    fn standing(&self, remaining: u32) -> Standing {
        let used = self.quota.count().get().saturating_sub(remaining);
        Standing {
            policy: self.policy,
            remaining,
            reset_s: whole_seconds(self.quota.interval() * used),
        }
    }

    fn refused(&self, until: &NotUntil<Duration>) -> Refused {
        use governor::clock::Clock as _;
        let wait = until.wait_time_from(self.limiter.clock().now());
        Refused {
            policy: self.policy,
            retry_after: wait,
        }
    }
}

impl Keyed {
    fn new(policy: Policy, quota: Quota, clock: &LimiterClock) -> Self {
        let cells = Arc::new(Cells::default());
        let state = SharedCells(Arc::clone(&cells));
        let limiter = RateLimiter::<_, _, _, StateInformationMiddleware>::new(
            gcra(quota),
            state,
            clock.clone(),
        );
        Self {
            cells,
            inner: Limiter {
                policy,
                quota,
                limiter,
            },
        }
    }

    fn take(&self, key: u64) -> Result<Standing, Refused> {
        let state = self
            .inner
            .limiter
            .check_key(&key)
            .map_err(|until| self.inner.refused(&until))?;
        Ok(self.inner.standing(state.remaining_burst_capacity()))
    }

    /// What `take` would say, without taking; governor itself has no such question.
    fn peek(&self, key: u64) -> Result<(), Refused> {
        use governor::clock::Clock as _;
        let Some(recovered) = self.cells.recovered(key) else {
            return Ok(());
        };
        let quota = self.inner.quota;
        let burst = quota.interval() * (quota.count().get() - 1);
        let wait = recovered
            .saturating_sub(burst)
            .saturating_sub(self.inner.limiter.clock().now());
        if wait.is_zero() {
            return Ok(());
        }
        Err(Refused {
            policy: self.inner.policy,
            retry_after: wait,
        })
    }
}

impl Limiter<NotKeyed, InMemoryState> {
    fn global(quota: Quota, clock: &LimiterClock) -> Self {
        let limiter = RateLimiter::direct_with_clock(gcra(quota), clock.clone()).with_middleware();
        Self {
            policy: Policy::Global,
            quota,
            limiter,
        }
    }

    fn take_global(&self) -> Result<Standing, Refused> {
        let state = self.limiter.check().map_err(|until| self.refused(&until))?;
        Ok(self.standing(state.remaining_burst_capacity()))
    }
}

impl Refused {
    /// `Retry-After`: whole seconds, at least 1, rounded up.
    #[must_use]
    pub fn retry_after_s(&self) -> u64 {
        whole_seconds(self.retry_after).max(1)
    }
}

/// Writes `RateLimit` in the form of draft-ietf-httpapi-ratelimit-headers-10: `"caller";r=119;t=1`.
pub(super) fn rate_limit_header(
    standings: &[Option<Standing>],
    refused: Option<&Refused>,
) -> String {
    let mut text = String::with_capacity(96);
    for standing in standings.iter().flatten() {
        push_item(
            &mut text,
            standing.policy,
            standing.remaining,
            standing.reset_s,
        );
    }
    if let Some(refused) = refused.filter(|r| r.policy != Policy::Credentials) {
        push_item(&mut text, refused.policy, 0, refused.retry_after_s());
    }
    text
}

fn push_item(text: &mut String, policy: Policy, remaining: u32, reset_s: u64) {
    text.push_str(if text.is_empty() { "\"" } else { ", \"" });
    text.push_str(policy.name());
    text.push_str("\";r=");
    text.push_str(itoa::Buffer::new().format(remaining));
    text.push_str(";t=");
    text.push_str(itoa::Buffer::new().format(reset_s));
}

fn policy_header(settings: Settings) -> String {
    [
        (Policy::Caller, settings.caller),
        (Policy::Channel, settings.channel),
        (Policy::Global, settings.global),
    ]
    .into_iter()
    .filter_map(|(policy, limit)| {
        let quota = limit?;
        Some(format!(
            "\"{}\";q={};w={}",
            policy.name(),
            quota.count(),
            quota.period().as_secs()
        ))
    })
    .collect::<Vec<_>>()
    .join(", ")
}

/// governor's form of a quota. Its interval is never zero: a quota has at most a million a second.
fn gcra(quota: Quota) -> Gcra {
    Gcra::with_period(quota.interval())
        .unwrap_or_else(|| Gcra::per_second(NonZeroU32::MIN))
        .allow_burst(quota.count())
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
