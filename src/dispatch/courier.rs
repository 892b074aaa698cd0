//! The courier: delivers what the outbox holds, each destination in order, the destinations side by side.
//!
//! A lane's next post is begun only after the end of the one before is on disk, so a crash repeats at most one post of a
//! lane: one message, or those that were folded into it.

mod house;
mod relay;

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::future::{FutureExt as _, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::domain::delivery::{Failure, Post, Refusal};
use crate::outbox::{Kind, Lane, Retention, Row, Settled, State};

use super::ends::{expired, unreadable};
use super::queue::schedule::{Next, Release};
use super::queue::{Callers, Ended, Key, Queue};
use super::relay::later;
use super::settle::{Attempt, given_up, verdict};
use super::{Desk, Dispatcher, Phase, Ready, fold, sign, stored};

/// What an operator sets.
#[derive(Debug, Clone, Copy)]
pub struct CourierSettings {
    /// `DELIVER_MAX_AGE`
    pub max_age: Duration,
    /// `FOLD_BACKLOG`
    pub fold: bool,
    /// `RECEIPT_RETENTION`, and the cap on receipts.
    pub retention: Retention,
}

/// Delivers what waits, on the thread that runs it.
pub struct Courier {
    dispatcher: Dispatcher,
    desk: Desk,
    settings: CourierSettings,
    apart: RefCell<fold::Apart>,
}

/// How many messages of a lane are delivered before others have their turn.
const STREAK: usize = 32;
/// How long a name may take to be looked up.
const LOOK_UP_DEADLINE: Duration = Duration::from_secs(10);
/// How long a lane is left alone when the store does not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long a lane is left alone after a panic.
const PANIC_PAUSE: Duration = Duration::from_secs(60);
/// A message that has waited too long is looked at so much later, so that no rounding makes it seem young.
const AFTER_THE_END: Duration = Duration::from_millis(50);

/// Deliveries that nobody else tries or drops, as long as it lives.
struct Hold<'a> {
    queue: &'a Queue,
    keys: Vec<Key>,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.queue.let_go(&self.keys);
    }
}

/// What one step in a lane came to.
enum Step {
    /// These end, or wait on; then the lane goes on, or is left for a while.
    Settle {
        settled: Vec<Settled>,
        told: Vec<(Key, Callers, Ended)>,
        release: Release,
    },
    /// Nothing was tried.
    Leave(Release),
    /// The name is known now; what waits belongs to the lane of its id.
    Moved(Ready),
}

impl Courier {
    /// A courier for what the store holds.
    ///
    /// `dispatcher` must have an outbox; without one there is nothing to deliver.
    #[must_use]
    pub fn new(dispatcher: Dispatcher, settings: CourierSettings) -> Option<Self> {
        Some(Self {
            desk: dispatcher.desk()?.clone(),
            dispatcher,
            settings,
            apart: RefCell::default(),
        })
    }

    /// Delivers until the process stops; what is in flight then is finished within the grace.
    pub async fn run(&self) {
        let over = std::pin::pin!(self.desk.queue.reached(Phase::Over));
        let round = std::pin::pin!(self.go_round());
        select(round, over).await;
        self.desk.queue.enter_phase(Phase::Drained);
    }

    async fn go_round(&self) {
        let queue = &self.desk.queue;
        let mut active = FuturesUnordered::new();
        loop {
            let next = match queue.next(self.dispatcher.shared.clock.now()) {
                Next::Take(lane) => {
                    active.push(self.survive(lane));
                    continue;
                }
                Next::At(at) => Some(at),
                Next::Idle => None,
            };
            if active.is_empty() && queue.phase() > Phase::Serving {
                return;
            }
            let changed = std::pin::pin!(queue.changed());
            let due = std::pin::pin!(async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            });
            let woken = select(changed, due);
            if active.is_empty() {
                woken.await;
            } else {
                select(woken, active.next()).await;
            }
        }
    }

    /// P-3: a panic costs one attempt, not the courier.
    async fn survive(&self, lane: Lane) {
        let served = AssertUnwindSafe(self.serve(lane)).catch_unwind().await;
        if served.is_err() {
            tracing::error!("a delivery panicked; it is tried again later");
            let now = self.dispatcher.shared.clock.now();
            let later = Release::After(PANIC_PAUSE);
            self.desk.queue.release(lane, later, now);
        }
    }

    /// Delivers what waits in a lane, until it is empty or must wait.
    async fn serve(&self, lane: Lane) {
        let (queue, clock) = (&self.desk.queue, &self.dispatcher.shared.clock);
        // What is relayed is large, and never folded.
        let folds = self.settings.fold && queue.gateway(lane) != Some(later::GATEWAY);
        let max = if folds { fold::MAX } else { 1 };
        let mut withdrawn = queue.withdrawn(lane);
        let mut rows = match self.desk.store.head(lane, max).await {
            Ok(rows) => rows,
            Err(_) => return queue.release(lane, Release::After(STORE_PAUSE), clock.now()),
        };
        for _ in 0..STREAK {
            let keys: Vec<Key> = rows
                .iter()
                .map(|row| (row.id, row.delivery.place))
                .collect();
            if keys.is_empty() || !queue.hold_unchanged(lane, withdrawn, &keys) {
                // Whoever holds one of them offers the lane again.
                return queue.release(lane, Release::Absent, clock.now());
            }
            let _hold = Hold { queue, keys };
            self.note_end(lane, rows.first());
            let step = self.step(lane, &rows).await;
            withdrawn = queue.withdrawn(lane);
            match self.finish(lane, max, step).await {
                Some(next) => rows = next,
                None => return,
            }
        }
        queue.release(lane, Release::Go, clock.now());
    }

    /// Has the lane served when its first message will have waited too long, whatever it waits for.
    fn note_end(&self, lane: Lane, first: Option<&Row>) {
        let Some(row) = first else { return };
        let now_ms = self.dispatcher.unix_ms();
        let age = Duration::from_millis(now_ms.saturating_sub(row.created_ms));
        let left = self.settings.max_age.saturating_sub(age);
        let now = self.dispatcher.shared.clock.now();
        self.desk.queue.expire_at(lane, now + left + AFTER_THE_END);
    }

    /// Writes what a step came to; what is next in the lane, if it goes on.
    async fn finish(&self, lane: Lane, max: usize, step: Step) -> Option<Vec<Row>> {
        let (queue, clock) = (&self.desk.queue, &self.dispatcher.shared.clock);
        let (settled, told, release) = match step {
            Step::Leave(release) => {
                queue.release(lane, release, clock.now());
                return None;
            }
            Step::Moved(ready) => {
                self.move_lane(lane, &ready).await;
                return None;
            }
            Step::Settle {
                settled,
                told,
                release,
            } => (settled, told, release),
        };
        let is_ended = |settled: &&Settled| settled.state != State::Waiting;
        let ended = settled.iter().filter(is_ended).count();
        let next = self
            .dispatcher
            .write(&self.desk, settled, Some((lane, max)))
            .await?;
        self.note_end(lane, next.first());
        queue.leave(lane, u32::try_from(ended).unwrap_or(u32::MAX));
        let is_serving = queue.phase() == Phase::Serving;
        let goes_on = release == Release::Go && !next.is_empty() && is_serving;
        if !goes_on {
            let release = if next.is_empty() {
                Release::Absent
            } else {
                release
            };
            // Before anybody is told, whose next post then finds nothing waiting.
            queue.release(lane, release, clock.now());
        }
        for (key, mut callers, ended) in told {
            // Those as well who came while it was being written, and so read that it waits.
            callers.waiting.extend(queue.callers(key).waiting);
            callers.tell(&ended);
        }
        goes_on.then_some(next)
    }

    /// Tries the first message of a lane, or as many as are folded into one.
    async fn step(&self, lane: Lane, rows: &[Row]) -> Step {
        let Some(first) = rows.first() else {
            return Step::Leave(Release::Absent);
        };
        let now_ms = self.dispatcher.unix_ms();
        let age = Duration::from_millis(now_ms.saturating_sub(first.created_ms));
        if age >= self.settings.max_age {
            return self.bury(first, expired(first), now_ms);
        }
        if first.delivery.to.kind == Kind::Relay {
            return self.relay(lane, first).await;
        }
        let Some(post) = stored::from_bytes(first.id, &first.post) else {
            return self.bury(first, unreadable(), now_ms);
        };
        let ready = match self.ready(first).await {
            Ok(ready) if first.delivery.to.kind == Kind::Name => return Step::Moved(ready),
            Ok(ready) => ready,
            Err(failure) => {
                self.note_not_sent(first, &failure);
                let taken = usize::from(first.delivery.progress.parts_taken);
                return self.after(lane, &rows[..1], Attempt::failed(failure, taken), now_ms);
            }
        };
        let now = self.dispatcher.shared.clock.now();
        let lanes = &self.dispatcher.shared.lanes;
        let opens = lanes.opens_at(&ready.account(), now);
        if let Err(wait) = lanes.reserve(lane, ready.pace, now, opens, now) {
            return Step::Leave(Release::Pause(wait));
        }
        let (post, count) = self.fold(lane, rows, post, &ready);
        let parts = ready.render(&post);
        let from = usize::from(first.delivery.progress.parts_taken).min(parts.len());
        let number = self.desk.queue.failures(lane).saturating_add(1);
        let attempt = self
            .dispatcher
            .attempt(&ready, &parts, count, from, number)
            .await;
        let now_ms = self.dispatcher.unix_ms();
        if !self.desk.queue.take_doubt(lane, first.seq) {
            return self.after(lane, &rows[..count], attempt, now_ms);
        }
        let mut tried = rows[..count].to_vec();
        if let Some(first) = tried.first_mut() {
            first.delivery.progress.ambiguous += 1;
        }
        self.after(lane, &tried, attempt, now_ms)
    }

    /// The post of the first message, with those behind it folded in where that is asked for, and how many these are.
    fn fold(&self, lane: Lane, rows: &[Row], post: Post, ready: &Ready) -> (Post, usize) {
        let is_begun = rows
            .first()
            .is_some_and(|row| row.delivery.progress.parts_taken > 0);
        if !self.settings.fold || is_begun || !self.desk.queue.is_throttled(lane) {
            return (post, 1);
        }
        let seq = rows.first().map_or(i64::MAX, |row| row.seq);
        if self.apart.borrow_mut().holds(lane, seq) {
            return (post, 1);
        }
        let behind = rows
            .iter()
            .skip(1)
            .map_while(|row| stored::from_bytes(row.id, &row.post));
        fold::fold(post, behind, |post| ready.render(post).len() <= 1)
    }

    async fn ready(&self, row: &Row) -> Result<Ready, Failure> {
        let to = &row.delivery.to;
        let destination = stored::destination(&self.dispatcher.shared, to).ok_or_else(|| {
            let detail = format!(
                "the {} destination {} is not configured any more; put it back, or drop this delivery",
                to.backend, to.target
            );
            Failure::refused(Refusal::Misconfigured, "", detail)
        })?;
        let deadline = self.dispatcher.shared.clock.now() + LOOK_UP_DEADLINE;
        self.dispatcher.ready(&destination, deadline).await
    }

    /// What could not even be aimed: it is counted and told. A look-up that fails says of the platform what a post would
    /// have; that one succeeds may be remembered.
    fn note_not_sent(&self, row: &Row, failure: &Failure) {
        let platforms = &self.dispatcher.shared;
        let to = &row.delivery.to;
        platforms.metrics.not_sent(&to.backend, failure);
        tracing::warn!(
            backend = to.backend,
            channel = to.target,
            delivery = %row.id,
            failure = failure.word(),
            reason = %failure,
            "not sent"
        );
        let is_passing = !matches!(failure, Failure::Refused { .. });
        let gateway = platforms.gateway(to);
        if let Some(gateway) = gateway.filter(|_| is_passing) {
            let now = platforms.clock.now();
            self.desk.queue.note(gateway, sign(Some(failure)), now);
        }
    }

    /// What an attempt means for each of the messages that were in it.
    fn after(&self, lane: Lane, rows: &[Row], attempt: Attempt, now_ms: u64) -> Step {
        let queue = &self.desk.queue;
        let now = self.dispatcher.shared.clock.now();
        queue.attempted(lane, attempt.failure.is_some(), now);
        let is_of_one = attempt
            .failure
            .as_ref()
            .is_some_and(Failure::is_of_the_message);
        if is_of_one && rows.len() > 1 {
            return self.take_apart(lane, rows, &attempt, now_ms);
        }
        let failures = queue.failures(lane);
        let (mut settled, mut told, mut release) = (Vec::new(), Vec::new(), Release::Go);
        for row in rows {
            let key = (row.id, row.delivery.place);
            let callers = match &attempt.failure {
                Some(failure) if failure.is_of_the_credentials() => {
                    queue.callers_unless_promised(key)
                }
                None | Some(Failure::Refused { .. }) => queue.callers(key),
                Some(_) => Callers::default(),
            };
            let before = fold::progress_before(row, rows);
            let verdict = verdict(&attempt, before, failures, callers.is_promised, now_ms);
            if verdict.state != State::Waiting {
                // Of what a look-up ended, before an attempt took it.
                queue.forget_doubt(lane, row.seq);
                told.push((key, callers, attempt.ended(&verdict.progress)));
            }
            release = verdict.release;
            settled.push(Settled {
                id: row.id,
                place: row.delivery.place,
                state: verdict.state,
                progress: verdict.progress,
            });
        }
        Step::Settle {
            settled,
            told,
            release,
        }
    }

    /// Of several messages in one post that was refused it is not known whose fault that was: none ends by it, and each is
    /// tried alone.
    fn take_apart(&self, lane: Lane, rows: &[Row], attempt: &Attempt, now_ms: u64) -> Step {
        if let Some(last) = rows.last() {
            self.apart.borrow_mut().add(lane, last.seq);
        }
        let settled = rows.iter().map(|row| Settled {
            id: row.id,
            place: row.delivery.place,
            state: State::Waiting,
            progress: attempt.folded_progress(row.delivery.progress.clone(), now_ms),
        });
        Step::Settle {
            settled: settled.collect(),
            told: Vec::new(),
            release: Release::Go,
        }
    }

    /// Ends a delivery without an attempt.
    fn bury(&self, row: &Row, failure: Failure, now_ms: u64) -> Step {
        let key = (row.id, row.delivery.place);
        let callers = self.desk.queue.callers(key);
        self.desk.queue.forget_doubt(row.delivery.lane, row.seq);
        let metrics = &self.dispatcher.shared.metrics;
        metrics.not_sent(&row.delivery.to.backend, &failure);
        tracing::warn!(delivery = %row.id, failure = failure.word(), "delivery given up");
        let (settled, ended) = given_up(row, failure, now_ms);
        Step::Settle {
            settled: vec![settled],
            told: vec![(key, callers, ended)],
            release: Release::Go,
        }
    }

    /// Gives what waits for a name to the lane of its id, where it keeps its place in the order.
    async fn move_lane(&self, from: Lane, ready: &Ready) {
        let (queue, clock) = (&self.desk.queue, &self.dispatcher.shared.clock);
        let id = ready.recipient.channel().to_owned();
        match self.desk.store.relane(from, ready.lane, id).await {
            Ok(count) => {
                queue.enter(ready.lane, ready.gateway(), count, clock.now());
                queue.leave(from, count);
                queue.release(from, Release::Absent, clock.now());
            }
            Err(_) => queue.release(from, Release::After(STORE_PAUSE), clock.now()),
        }
    }
}

impl Attempt {
    /// One that failed before anything was sent; `taken` parts were taken before.
    fn failed(failure: Failure, taken: usize) -> Self {
        Self {
            taken,
            posted: None,
            failure: Some(failure),
        }
    }
}
