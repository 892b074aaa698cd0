//! The one thread that owns the outbox. Whoever asks it waits for the commit; what waits meanwhile shares the next.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::batch::{self, End, Job, Task, answer_all};
use super::sqlite::{OpenError, Sqlite};
use super::{
    Appended, Filter, Lane, Message, Once, Outbox, Page, Progress, Retention, Row, State,
    StoreError, Waiting,
};
use crate::domain::delivery::DeliveryId;

/// Beyond this many that wait, the next is refused at once.
const QUEUE: usize = 8192;
/// The most that share a commit, so that the first of them does not wait for ever.
const BATCH: usize = 1024;
/// How often a full disk is looked at again.
const LOOK_AGAIN_MS: u64 = 1000;

/// What to open.
#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    /// The file; made if it is missing.
    pub path: &'a Path,
    /// The present, in milliseconds since 1970.
    pub now_ms: u64,
}

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreHealth {
    /// It takes messages.
    Ok,
    /// The disk is full: it takes no more messages, and goes on delivering. It recovers by itself.
    Full,
    /// It cannot be written; the process must end.
    Failed,
}

/// How one delivery stands after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The message.
    pub id: DeliveryId,
    /// The delivery's place in it.
    pub place: u16,
    /// How it stands.
    pub state: State,
    /// What is known of it.
    pub progress: Progress,
}

/// The outbox, for everybody.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None` once it is closed: the thread ends when it has done what was queued.
    queue: RwLock<Option<SyncSender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    health: Arc<watch::Sender<StoreHealth>>,
}

impl Store {
    /// Opens the file and starts its thread. What waits in it is told by lane.
    ///
    /// # Errors
    /// [`OpenError`], one line that names the file and the remedy.
    pub fn open(open: &Open<'_>) -> Result<(Self, Vec<Waiting>), OpenError> {
        let outbox = Sqlite::open(open.path, open.now_ms)?;
        let waiting = outbox.lanes_at_open()?;
        let store = Self::start(outbox).map_err(|error| OpenError::Other {
            path: open.path.to_owned(),
            detail: error.to_string(),
        })?;
        Ok((store, waiting))
    }

    fn start(outbox: impl Durable + 'static) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let health = Arc::new(watch::Sender::new(StoreHealth::Ok));
        let mut owner = Owner {
            outbox: Some(outbox),
            jobs,
            health: Arc::clone(&health),
            looked_ms: 0,
        };
        owner.look_for_room();
        let thread = thread::Builder::new()
            .name("outbox".to_owned())
            .spawn(move || owner.run())?;
        let shared = Arc::new(Shared {
            queue: RwLock::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
            health,
        });
        Ok(Self { shared })
    }

    /// Stores a message; it survives a crash once this is answered with [`Appended::Stored`].
    ///
    /// # Errors
    /// [`StoreError`]; nothing is promised.
    pub async fn append(&self, message: Message, now_ms: u64) -> Result<Appended, StoreError> {
        let work = move |outbox: &mut dyn Outbox| outbox.append(&message, now_ms);
        self.ask(Some(now_ms), work).await
    }

    /// See [`Outbox::head`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn head(&self, lane: Lane, max: usize) -> Result<Vec<Row>, StoreError> {
        self.ask(None, move |outbox| outbox.head(lane, max)).await
    }

    /// Writes how deliveries stand, all or none, and reads the then first rows of a lane.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn settle(
        &self,
        settled: Vec<Settled>,
        next: Option<(Lane, usize)>,
    ) -> Result<Vec<Row>, StoreError> {
        let work = move |outbox: &mut dyn Outbox| {
            for one in &settled {
                outbox.settle(one.id, one.place, one.state, &one.progress)?;
            }
            next.map_or(Ok(Vec::new()), |(lane, max)| outbox.head(lane, max))
        };
        self.ask(None, work).await
    }

    /// See [`Outbox::relane`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn relane(&self, from: Lane, to: Lane, id: String) -> Result<u32, StoreError> {
        let work = move |outbox: &mut dyn Outbox| outbox.relane(from, to, &id);
        self.ask(None, work).await
    }

    /// See [`Outbox::find`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, id: DeliveryId) -> Result<Vec<Row>, StoreError> {
        self.ask(None, move |outbox| outbox.find(id)).await
    }

    /// See [`Outbox::find_once`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_once(&self, once: Once, now_ms: u64) -> Result<Option<Appended>, StoreError> {
        let work = move |outbox: &mut dyn Outbox| outbox.find_once(&once, now_ms);
        self.ask(None, work).await
    }

    /// See [`Outbox::release_once`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_once(&self, id: DeliveryId) -> Result<(), StoreError> {
        self.ask(None, move |outbox| outbox.release_once(id)).await
    }

    /// See [`Outbox::list`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(
        &self,
        filter: Filter,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let work = move |outbox: &mut dyn Outbox| outbox.list(&filter, after, limit);
        self.ask(None, work).await
    }

    /// See [`Outbox::requeue`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn requeue(&self, id: DeliveryId, now_ms: u64) -> Result<Vec<Lane>, StoreError> {
        let work = move |outbox: &mut dyn Outbox| outbox.requeue(id, now_ms);
        self.ask(None, work).await
    }

    /// See [`Outbox::expire`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn expire(
        &self,
        now_ms: u64,
        retention: Retention,
        max: usize,
    ) -> Result<usize, StoreError> {
        let work = move |outbox: &mut dyn Outbox| outbox.expire(now_ms, retention, max);
        self.ask(None, work).await
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        *self.shared.health.borrow()
    }

    /// Waits until nothing can be promised any more. The process must end then, and start again.
    pub async fn failed(&self) {
        let mut health = self.shared.health.subscribe();
        // The sender lives as long as `self`, so this ends only with what it waits for.
        drop(health.wait_for(|now| *now == StoreHealth::Failed).await);
    }

    /// Does what is queued, closes the file and waits for that. Later calls find it closed.
    pub fn close(&self) {
        let queue = self.shared.queue.write();
        drop(queue.unwrap_or_else(PoisonError::into_inner).take());
        let mut thread = self
            .shared
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the outbox panicked");
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        adds_at: Option<u64>,
        work: impl FnMut(&mut dyn Outbox) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let task = Task {
            adds_at,
            work,
            done: None,
            reply,
        };
        self.send(Box::new(task))?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    fn send(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let queue = self.shared.queue.read();
        let queue = queue.unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queue.as_ref() else {
            return Err(StoreError::Closed);
        };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => ended(),
        })
    }

    /// Why the thread did not answer.
    fn gone(&self) -> StoreError {
        let queue = self.shared.queue.read();
        let is_open = queue.unwrap_or_else(PoisonError::into_inner).is_some();
        if is_open { ended() } else { StoreError::Closed }
    }
}

fn ended() -> StoreError {
    StoreError::Failed("its thread has ended".to_owned())
}

/// What the thread does with an outbox beside its operations.
trait Durable: Outbox {
    /// Keeps back some of the disk; `false` if there is too little.
    fn take_reserve(&mut self) -> bool;
    /// Gives that to the outbox.
    fn give_reserve(&mut self);
    /// Ends it.
    fn close(self);
}

impl Durable for Sqlite {
    fn take_reserve(&mut self) -> bool {
        Self::take_reserve(self)
    }

    fn give_reserve(&mut self) {
        Self::give_reserve(self);
    }

    fn close(self) {
        Self::close(self);
    }
}

/// The thread.
struct Owner<O: Durable> {
    /// Gone only at the end: a panic finds it here.
    outbox: Option<O>,
    jobs: Receiver<Box<dyn Job>>,
    health: Arc<watch::Sender<StoreHealth>>,
    /// When an appended message last made it look for room.
    looked_ms: u64,
}

impl<O: Durable> Owner<O> {
    fn run(mut self) {
        let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(BATCH);
        loop {
            match self.jobs.recv_timeout(Duration::from_millis(LOOK_AGAIN_MS)) {
                Ok(job) => batch.push(job),
                Err(RecvTimeoutError::Timeout) => {
                    self.look_for_room();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            batch.extend(self.jobs.try_iter().take(BATCH - 1));
            self.handle(&mut batch);
        }
        if let Some(outbox) = self.outbox.take() {
            outbox.close();
        }
    }

    fn health(&self) -> StoreHealth {
        *self.health.borrow()
    }

    fn handle(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        self.refuse_if_full(batch);
        if self.health() == StoreHealth::Failed {
            let end = StoreError::Failed("an earlier write failed".to_owned());
            answer_all(batch, &Err(end));
            return;
        }
        let mut end = self.attempt(batch);
        if end == End::Full && self.health() == StoreHealth::Ok {
            tracing::error!("the disk of the outbox is full: new messages are refused");
            self.health.send_replace(StoreHealth::Full);
            if let Some(outbox) = &mut self.outbox {
                outbox.give_reserve();
            }
            self.refuse_if_full(batch);
            end = self.attempt(batch);
        }
        match end {
            End::Done => {}
            End::Full => answer_all(batch, &Err(StoreError::Full)),
            End::Failed => {
                self.health.send_replace(StoreHealth::Failed);
            }
        }
    }

    fn attempt(&mut self, batch: &mut Vec<Box<dyn Job>>) -> End {
        match &mut self.outbox {
            Some(outbox) => batch::run(outbox, batch),
            None => End::Failed,
        }
    }

    /// While the disk is full, what would add to it is refused before it touches it.
    fn refuse_if_full(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        if self.health() != StoreHealth::Full {
            return;
        }
        // Under load the thread is never idle; the time of the messages themselves tells when to look again.
        let now_ms = batch.iter().filter_map(|job| job.adds_at()).next_back();
        if let Some(now_ms) = now_ms.filter(|now| now.abs_diff(self.looked_ms) >= LOOK_AGAIN_MS) {
            self.looked_ms = now_ms;
            self.look_for_room();
        }
        if self.health() == StoreHealth::Full {
            for job in batch.extract_if(.., |job| job.adds_at().is_some()) {
                job.answer(Err(StoreError::Full));
            }
        }
    }

    /// Takes messages again once the reserve is whole.
    fn look_for_room(&mut self) {
        let before = self.health();
        let Some(outbox) = self
            .outbox
            .as_mut()
            .filter(|_| before != StoreHealth::Failed)
        else {
            return;
        };
        let now = if outbox.take_reserve() {
            StoreHealth::Ok
        } else {
            StoreHealth::Full
        };
        if now != before {
            tracing::warn!(
                full = now == StoreHealth::Full,
                "the room for the outbox has changed"
            );
            self.health.send_replace(now);
        }
    }
}

/// Reached by a panic too: then nothing can be promised any more.
impl<O: Durable> Drop for Owner<O> {
    fn drop(&mut self) {
        if self.outbox.is_some() {
            self.health.send_replace(StoreHealth::Failed);
        }
    }
}
