//! Relayed until accepted: what a source has sent is stored first, and the courier hands it to the internal API in order.

use std::time::Duration;

use crate::dispatch::queue::Room;
use crate::dispatch::queue::schedule::{Gateway, Release, Sign};
use crate::dispatch::send::progress_of;
use crate::dispatch::sent::{NotStored, Reason};
use crate::dispatch::settle::Attempt;
use crate::dispatch::stored::lane_of_relay;
use crate::dispatch::{Dispatcher, pacing};
use crate::domain::delivery::{DeliveryId, Failure, Later, Posted, Refusal};
use crate::outbox::{Address, Appended, Delivery, Kind, Message, Once, Row, State, StoreError};

use super::{RelayAnswer, RelayError, RelayRequest, stored};

/// What receipts, logs and counters call the internal API.
pub(in crate::dispatch) const BACKEND: &str = "relay";

/// The internal API, for the schedule.
pub(in crate::dispatch) const GATEWAY: Gateway = Gateway {
    backend: BACKEND,
    webhooks: false,
};

/// How long an event is known again. Slack repeats one within minutes, and an app's delayed ones every hour for a day
/// (reference/slack.md 6.2, checked 2026-11-21).
const EVENTS_REMEMBERED_FOR: Duration = Duration::from_secs(26 * 3600);
/// The longest that one attempt may take, however long `UPSTREAM_TIMEOUT` is.
const MOST_PATIENCE: Duration = Duration::from_secs(30);

impl Dispatcher {
    /// Stores a verified request, to be relayed until the internal API accepts it. `once` is a hash of what its repeats
    /// have in common: they are [`Appended::Known`], and not stored.
    ///
    /// # Errors
    /// [`NotStored`]: nothing is promised. There must be an outbox.
    pub async fn relay_later(
        &self,
        source: &'static str,
        once: Option<[u8; 32]>,
        request: &RelayRequest,
    ) -> Result<Appended, NotStored> {
        let desk = self.desk().ok_or(StoreError::Closed)?;
        let now_ms = self.unix_ms();
        let remembered_ms = u64::try_from(EVENTS_REMEMBERED_FOR.as_millis()).unwrap_or(u64::MAX);
        let message = Message {
            id: DeliveryId::generate(),
            caller: format!("@{source}"),
            created_ms: now_ms,
            post: stored::to_bytes(request),
            replaced: 0,
            ignored: Vec::new(),
            once: once.map(|key| Once {
                key,
                // The key alone says what it is: a repeat has other headers.
                fingerprint: [0; 16],
                expires_ms: now_ms.saturating_add(remembered_ms),
            }),
            deliveries: vec![Delivery {
                place: 0,
                lane: lane_of_relay(source),
                to: Address {
                    backend: BACKEND.to_owned(),
                    target: source.to_owned(),
                    kind: Kind::Relay,
                },
                state: State::Waiting,
                progress: progress_of(Reason::Async),
            }],
        };
        self.store(desk, message, Release::Go, Room::Max).await
    }

    /// One attempt to relay what is stored.
    pub(in crate::dispatch) async fn attempt_relay(
        &self,
        row: &Row,
        request: &RelayRequest,
        number: u32,
    ) -> Attempt {
        let started = self.shared.clock.now();
        let patience = self.wire.timeout().min(MOST_PATIENCE);
        let (failure, sign) = match self.exchange(request, patience).await {
            Some(answer) => judge(&answer),
            None => (Some(not_configured()), Sign::Refusing),
        };
        let failure = failure.map(|failure| pacing::with_least_pause(failure, number));
        self.note_relay(row, failure.as_ref(), sign, started);
        Attempt {
            taken: usize::from(failure.is_none()),
            posted: failure.is_none().then(Posted::default),
            failure,
        }
    }

    fn note_relay(
        &self,
        row: &Row,
        failure: Option<&Failure>,
        sign: Sign,
        started: std::time::Instant,
    ) {
        let now = self.shared.clock.now();
        self.shared.health.note(BACKEND, failure);
        if let Some(desk) = self.desk() {
            desk.queue.note(GATEWAY, sign, now);
        }
        let took = now.saturating_duration_since(started);
        self.shared.metrics.delivery(BACKEND, failure, 1, took);
        let Some(failure) = failure else {
            self.shared.count_delivered(1);
            return;
        };
        let wait = failure.retry_after();
        self.shared.lanes.pause(row.delivery.lane, now, wait);
        tracing::warn!(
            backend = BACKEND,
            channel = row.delivery.to.target,
            delivery = %row.id,
            failure = failure.word(),
            reason = %failure,
            "not relayed; it is tried again"
        );
    }

    /// The same request may have been relayed at once, and its answer tells those who wait.
    pub(super) fn note_relayed_now(&self, answer: &Result<RelayAnswer, RelayError>) {
        let works = matches!(answer, Ok(answer) if answer.status < 500);
        if works {
            self.shared.health.note(BACKEND, None);
            if let Some(desk) = self.desk() {
                let now = self.shared.clock.now();
                desk.queue.note(GATEWAY, Sign::Works, now);
            }
        }
    }
}

/// The failure in an answer, and what it says of the internal API as a whole. A status below 500 is its word on this one
/// request; it is tried again all the same, since what is stored is relayed until it is accepted, but not as a probe.
fn judge(answer: &Result<RelayAnswer, RelayError>) -> (Option<Failure>, Sign) {
    let answer = match answer {
        Ok(answer) if (200..300).contains(&answer.status) => return (None, Sign::Works),
        Ok(answer) => answer,
        Err(error @ RelayError::Unreachable) => {
            let detail = format!("{error}; see whether RELAY_URL is right and it is up");
            let failure = Failure::later(Later::Unreachable, None, detail);
            return (Some(failure), Sign::Unreachable);
        }
        Err(error @ (RelayError::TimedOut | RelayError::Unusable)) => {
            let detail = format!("{error}; it may have taken the request");
            return (
                Some(Failure::Unknown {
                    is_answered: false,
                    detail,
                }),
                Sign::Troubled,
            );
        }
    };
    let (reason, sign) = match answer.status {
        429 => (Later::Throttled, Sign::Works),
        408 | 425 | 500.. => (Later::Unavailable, Sign::Troubled),
        _ => (Later::Unavailable, Sign::Works),
    };
    let detail = format!(
        "the internal API answered {}; a 2xx accepts the request",
        answer.status
    );
    let failure = Failure::later(reason, answer.retry_after, detail);
    (Some(failure), sign)
}

fn not_configured() -> Failure {
    let detail = "it waits for the internal API, and RELAY_URL is not set any more; set it again, or drop this delivery";
    Failure::refused(Refusal::Misconfigured, "", detail)
}
