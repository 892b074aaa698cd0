//! The one thread that owns the outbox. Whoever asks it waits for the commit; what waits meanwhile shares the next.

mod owner;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use tokio::sync::{broadcast, oneshot, watch};

use self::owner::{Durable, Owner};
use super::batch::{Job, Task, Then};
use super::sqlite::{OpenError, Sqlite};
use super::{
    Appended, Filter, Lane, Message, Note, Once, Outbox, Page, Progress, Retention, Row, Space,
    State, StoreError, Waiting,
};
use crate::clock::Clock;
use crate::domain::delivery::DeliveryId;

/// Beyond this many that wait, the next is refused at once.
const QUEUE: usize = 8192;
/// How many changes a listener may be behind; beyond, it has missed some and is told so.
const CHANGES: usize = 1024;

/// What to open.
#[derive(Clone)]
pub struct Open<'a> {
    /// The file; made if it is missing.
    pub path: &'a Path,
    /// The present, in milliseconds since 1970.
    pub now_ms: u64,
    /// Tells when to look at a full disk again.
    pub clock: Arc<dyn Clock>,
}

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreHealth {
    /// It takes messages.
    Ok,
    /// The disk is full: it takes no more messages, and goes on delivering. It recovers by itself.
    Full,
    /// Its file was removed or replaced: it takes no more messages, and goes on delivering. It recovers when the file is
    /// put back.
    Gone,
    /// It cannot be written; the process must end.
    Failed,
}

impl StoreHealth {
    /// Why it takes no messages, if it takes none.
    #[must_use]
    pub fn refusal(self) -> Option<StoreError> {
        match self {
            Self::Ok => None,
            Self::Full => Some(StoreError::Full),
            Self::Gone => Some(StoreError::Gone),
            Self::Failed => Some(StoreError::Failed("an earlier write failed".to_owned())),
        }
    }
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
    in_flight: Arc<AtomicBool>,
    changes: broadcast::Sender<DeliveryId>,
}

/// An opened store, and what the last process left in it.
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What waits, by lane.
    pub waiting: Vec<Waiting>,
    /// The notes of all spaces.
    pub notes: Vec<Note>,
    /// Whether the first of each lane may have been posted already: the last process was killed.
    pub is_doubtful: bool,
}

impl Store {
    /// Opens the file and starts its thread.
    ///
    /// # Errors
    /// [`OpenError`], one line that names the file and the remedy.
    pub fn open(open: &Open<'_>) -> Result<Opened, OpenError> {
        let outbox = Sqlite::open(open.path, open.now_ms)?;
        let (waiting, notes) = (outbox.lanes_at_open()?, outbox.notes_at_open()?);
        let is_doubtful = outbox.is_doubtful();
        let store =
            Self::start(outbox, Arc::clone(&open.clock)).map_err(|error| OpenError::Other {
                path: open.path.to_owned(),
                detail: error.to_string(),
            })?;
        Ok(Opened {
            store,
            waiting,
            notes,
            is_doubtful,
        })
    }

    fn start(outbox: impl Durable + 'static, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let health = Arc::new(watch::Sender::new(StoreHealth::Ok));
        // Unless it is closed properly, anything may be in flight.
        let in_flight = Arc::new(AtomicBool::new(true));
        let owner = Owner::new(
            outbox,
            jobs,
            Arc::clone(&health),
            clock,
            Arc::clone(&in_flight),
        );
        let thread = thread::Builder::new()
            .name("outbox".to_owned())
            .spawn(move || owner.run())?;
        let shared = Arc::new(Shared {
            queue: RwLock::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
            health,
            in_flight,
            changes: broadcast::Sender::new(CHANGES),
        });
        Ok(Self { shared })
    }

    /// Stores a message; it survives a crash once this is answered with [`Appended::Stored`].
    ///
    /// # Errors
    /// [`StoreError`]; nothing is promised.
    pub async fn append(&self, message: Message, now_ms: u64) -> Result<Appended, StoreError> {
        self.append_then(message, now_ms, |_| ()).await
    }

    /// The same; `then` is called exactly once with the answer, before it is given, even if nobody waits for it any
    /// more. A message whose caller has gone before the store came to it is not stored.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is promised.
    pub async fn append_then(
        &self,
        message: Message,
        now_ms: u64,
        then: impl FnOnce(&Result<Appended, StoreError>) + Send + 'static,
    ) -> Result<Appended, StoreError> {
        let (changes, id) = (self.shared.changes.clone(), message.id);
        let work = move |outbox: &mut dyn Outbox| outbox.append(&message, now_ms);
        let then = move |answer: &Result<Appended, StoreError>| {
            then(answer);
            if matches!(answer, Ok(Appended::Stored)) {
                changes.send(id).ok();
            }
        };
        self.hand_over(true, work, Some(Box::new(then))).await
    }

    /// See [`Outbox::head`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn head(&self, lane: Lane, max: usize) -> Result<Vec<Row>, StoreError> {
        self.ask(move |outbox| outbox.head(lane, max)).await
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
        let changed = settled.iter().map(|one| one.id).collect();
        let work = move |outbox: &mut dyn Outbox| {
            for one in &settled {
                outbox.settle(one.id, one.place, one.state, &one.progress)?;
            }
            next.map_or(Ok(Vec::new()), |(lane, max)| outbox.head(lane, max))
        };
        self.change(changed, work).await
    }

    /// See [`Outbox::relane`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn relane(&self, from: Lane, to: Lane, id: String) -> Result<u32, StoreError> {
        let work = move |outbox: &mut dyn Outbox| outbox.relane(from, to, &id);
        self.ask(work).await
    }

    /// See [`Outbox::find`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, id: DeliveryId) -> Result<Vec<Row>, StoreError> {
        self.ask(move |outbox| outbox.find(id)).await
    }

    /// The same for several messages at once; those that are not known are empty.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_all(&self, ids: Vec<DeliveryId>) -> Result<Vec<Vec<Row>>, StoreError> {
        self.ask(move |outbox| ids.iter().map(|id| outbox.find(*id)).collect())
            .await
    }

    /// From now on, the id of every message of which something has changed, after it was committed.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<DeliveryId> {
        self.shared.changes.subscribe()
    }

    /// See [`Outbox::find_once`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_once(&self, once: Once, now_ms: u64) -> Result<Option<Appended>, StoreError> {
        let work = move |outbox: &mut dyn Outbox| outbox.find_once(&once, now_ms);
        self.ask(work).await
    }

    /// See [`Outbox::release_once`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_once(&self, id: DeliveryId) -> Result<(), StoreError> {
        self.ask(move |outbox| outbox.release_once(id)).await
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
        self.ask(work).await
    }

    /// See [`Outbox::requeue`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn requeue(&self, id: DeliveryId, now_ms: u64) -> Result<Vec<Lane>, StoreError> {
        let work = move |outbox: &mut dyn Outbox| outbox.requeue(id, now_ms);
        self.change(vec![id], work).await
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
        self.ask(work).await
    }

    /// See [`Outbox::put_note`]. A full disk refuses it, as it does a message.
    ///
    /// # Errors
    /// [`StoreError`]; the note that was there is untouched.
    pub async fn put_note(&self, note: Note, now_ms: u64, max: usize) -> Result<(), StoreError> {
        let work = move |outbox: &mut dyn Outbox| outbox.put_note(&note, now_ms, max);
        self.hand_over(true, work, None).await
    }

    /// See [`Outbox::delete_note`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_note(&self, space: Space, key: String) -> Result<(), StoreError> {
        self.ask(move |outbox| outbox.delete_note(space, &key))
            .await
    }

    /// See [`Outbox::notes`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn notes(&self, space: Space) -> Result<Vec<Note>, StoreError> {
        self.ask(move |outbox| outbox.notes(space)).await
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

    /// Does what is queued, closes the file and waits for that. Later calls find it closed. `in_flight` says whether
    /// attempts were given up whose end is not known: the next process is told.
    pub fn close(&self, in_flight: bool) {
        self.shared.in_flight.store(in_flight, Ordering::Relaxed);
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

    /// Like [`Store::ask`]; who listens is told of it.
    async fn change<T: Send + 'static>(
        &self,
        changed: Vec<DeliveryId>,
        work: impl FnMut(&mut dyn Outbox) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let changes = self.shared.changes.clone();
        let then = move |answer: &Result<T, StoreError>| {
            if answer.is_ok() {
                // Nobody may listen.
                changed.into_iter().for_each(|id| drop(changes.send(id)));
            }
        };
        self.hand_over(false, work, Some(Box::new(then))).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn Outbox) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.hand_over(false, work, None).await
    }

    async fn hand_over<T: Send + 'static>(
        &self,
        adds: bool,
        work: impl FnMut(&mut dyn Outbox) -> Result<T, StoreError> + Send + 'static,
        then: Option<Then<T>>,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let task = Task {
            adds,
            work,
            done: None,
            then,
            reply,
        };
        if let Err((job, error)) = self.send(Box::new(task)) {
            job.answer(Err(error));
        }
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    fn send(&self, job: Box<dyn Job>) -> Result<(), (Box<dyn Job>, StoreError)> {
        let queue = self.shared.queue.read();
        let queue = queue.unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queue.as_ref() else {
            return Err((job, StoreError::Closed));
        };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) => (job, StoreError::Busy),
            TrySendError::Disconnected(job) => (job, ended()),
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
