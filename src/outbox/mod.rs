//! The outbox: messages that are promised and not yet delivered, and the receipts of those that were.
//!
//! What it promises: after [`Store::append`] is answered, the message survives `kill -9`; the messages of a lane
//! are handed out in the order in which they were appended; a message's text is erased once it is delivered. Beside
//! them it keeps [`Note`]s, with the same promises.
//! It touches the disk and nothing else: it knows neither platforms nor HTTP, and a post is bytes to it.
//!
//! [`Outbox`] is one store and its operations; [`sqlite`] is the real one, `memory` the model that it is tested
//! against; [`Store`] is the one thread that owns it, with everything that waits in one commit.

mod batch;
pub mod sqlite;

mod store;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod sample;

use crate::domain::delivery::DeliveryId;

pub use sqlite::OpenError;
pub use store::{Open, Opened, Settled, Store, StoreHealth};

/// A destination, as a number that stays the same across restarts and versions: what waits for it leaves in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub i64);

/// A message with one or more of its deliveries, as it is appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id; a message with several destinations has it in common.
    pub id: DeliveryId,
    /// The caller's name; never a secret.
    pub caller: String,
    /// When it was accepted, in milliseconds since 1970.
    pub created_ms: u64,
    /// What is to be posted. Opaque here; kept only with deliveries that wait or failed.
    pub post: Vec<u8>,
    /// How many characters became U+FFFD, for the receipt.
    pub replaced: u32,
    /// Query names that mean nothing, for the receipt.
    pub ignored: Vec<String>,
    /// The idempotency key, if it has one.
    pub once: Option<Once>,
    /// Where it goes, and how far that is.
    pub deliveries: Vec<Delivery>,
}

/// An idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// A hash of the caller and its key.
    pub key: [u8; 32],
    /// A hash of everything that a repeat must have in common.
    pub fingerprint: [u8; 16],
    /// From then on the key is free again, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// One destination of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its place among the message's destinations, from 0.
    pub place: u16,
    /// Whose order it keeps.
    pub lane: Lane,
    /// Where it goes.
    pub to: Address,
    /// Whether it waits.
    pub state: State,
    /// What was done so far.
    pub progress: Progress,
}

/// Where a delivery goes, without any credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The backend's name.
    pub backend: String,
    /// The platform's id or name of a channel, or a webhook's alias.
    pub target: String,
    /// Which of these it is.
    pub kind: Kind,
}

/// What an [`Address::target`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The platform's id.
    Id,
    /// A name that is still to be looked up.
    Name,
    /// An alias; the hash finds its URL, which is a credential and is not stored.
    Webhook([u8; 16]),
    /// Not a channel: the internal API gets it, and the target is the source that it came from.
    Relay,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is still to be delivered.
    Waiting,
    /// The platform has it.
    Delivered,
    /// It ended; the progress says why.
    Failed,
}

/// What is known of a delivery's attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many were made.
    pub attempts: u32,
    /// How many of them may have posted without telling.
    pub ambiguous: u32,
    /// How many parts the platform has.
    pub parts_taken: u16,
    /// The platform asked to be left alone until then, in milliseconds since 1970; 0 if it did not.
    pub not_before_ms: u64,
    /// When it was settled; 0 while it waits.
    pub settled_ms: u64,
    /// The platform's id of the channel, if it told another than the target.
    pub channel: Option<String>,
    /// The platform's id of the (first) post.
    pub message_id: Option<String>,
    /// Where a person can see it.
    pub link: Option<String>,
    /// Why it waits or failed, in one word.
    pub reason: Option<String>,
    /// The platform's own code.
    pub platform_code: Option<String>,
    /// What the last attempt ended with, for people.
    pub error: Option<String>,
}

/// A delivery as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place in the order of everything; changes when it is queued again.
    pub seq: i64,
    /// The message's id.
    pub id: DeliveryId,
    /// See [`Message`].
    pub caller: String,
    /// See [`Message`].
    pub created_ms: u64,
    /// See [`Message`].
    pub replaced: u32,
    /// See [`Message`].
    pub ignored: Vec<String>,
    /// What is to be posted; empty once it is erased.
    pub post: Vec<u8>,
    /// The delivery.
    pub delivery: Delivery,
}

impl Row {
    /// When the message was accepted: a retry starts its age anew, its id keeps the time.
    #[must_use]
    pub fn accepted_ms(&self) -> u64 {
        let made = self.id.made_ms();
        made.map_or(self.created_ms, |made| made.min(self.created_ms))
    }
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is stored.
    Stored,
    /// Nothing is: its idempotency key belongs to a message already.
    Known {
        /// That message.
        id: DeliveryId,
        /// Whether the fingerprints are the same.
        same: bool,
    },
}

/// A lane with something waiting, as found when the store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub lane: Lane,
    /// The backend's name.
    pub backend: String,
    /// Whether it is an incoming webhook.
    pub is_webhook: bool,
    /// How many deliveries wait.
    pub count: u32,
    /// The latest `not_before_ms` of them.
    pub not_before_ms: u64,
    /// When the first of them was accepted.
    pub oldest_ms: u64,
    /// The [`Row::seq`] of the one that goes first.
    pub first_seq: i64,
}

/// Which receipts are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only messages with a delivery in this state.
    pub state: Option<State>,
    /// Only messages with a delivery to one of these targets (as stored, or as the platform calls it); all if empty.
    pub channels: Vec<String>,
    /// Only messages of this caller.
    pub caller: Option<String>,
}

/// A page of receipts, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The rows of each message, in the order of their places.
    pub messages: Vec<Vec<Row>>,
    /// Go on after this id, if there may be more. A page may be short, even empty, and still have a next one: a
    /// call looks at a bounded number of rows.
    pub next: Option<DeliveryId>,
}

/// What a [`Note`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// A conversation that a platform told of, as JSON.
    Conversation,
    /// An installation, sealed: what is in it is never open here.
    Installation,
}

/// A small fact that is kept until it is replaced or deleted.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub space: Space,
    /// Which one of these; there is one note for a key.
    pub key: String,
    /// The fact. Opaque here.
    pub value: Vec<u8>,
}

/// Without the value, which may be sealed for a reason.
impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Note")
            .field("space", &self.space)
            .field("key", &self.key)
            .field("bytes", &self.value.len())
            .finish_non_exhaustive()
    }
}

/// How long and how many settled receipts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// `RECEIPT_RETENTION`, in milliseconds since the delivery was settled.
    pub age_ms: u64,
    /// The most settled deliveries; beyond, the oldest go first.
    pub max_settled: u64,
}

/// Why the store did not do something. None of these shows a message or a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No space left; what was there is untouched.
    #[error("the disk of the outbox is full")]
    Full,
    /// The file was removed or replaced while it was open: the next process would not find what is written.
    #[error("the file of the outbox was removed or replaced")]
    Gone,
    /// The disk failed; nothing can be promised any more.
    #[error("the outbox cannot be written: {0}")]
    Failed(String),
    /// A row is not what was written.
    #[error("the outbox is damaged: {0}")]
    Damaged(String),
    /// It did not answer in time, or its queue is full.
    #[error("the outbox is too busy")]
    Busy,
    /// It is closed: the process is stopping.
    #[error("the outbox is closed")]
    Closed,
}

/// A store. All operations between [`Outbox::begin`] and [`Outbox::commit`] hold together or not at all, and
/// survive a crash once `commit` has returned. Operations outside are not allowed.
///
/// Implementors keep no clock: every time comes in.
pub trait Outbox: Send {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has begun then.
    fn begin(&mut self) -> Result<(), StoreError>;

    /// Makes everything since [`Outbox::begin`] durable.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of it holds then, as after [`Outbox::rollback`].
    fn commit(&mut self) -> Result<(), StoreError>;

    /// Forgets everything since [`Outbox::begin`].
    fn rollback(&mut self);

    /// Whether a write just failed because nothing more may be kept here: a quota, or a limit on the size of files.
    fn is_at_a_limit(&mut self) -> bool {
        false
    }

    /// Adds deliveries of a message at the end of their lanes. `now_ms` decides whether an old key still holds.
    ///
    /// # Errors
    /// [`StoreError`].
    fn append(&mut self, message: &Message, now_ms: u64) -> Result<Appended, StoreError>;

    /// The first waiting deliveries of a lane, at most `max`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn head(&mut self, lane: Lane, max: usize) -> Result<Vec<Row>, StoreError>;

    /// Writes how a delivery stands after an attempt. The post is erased when it is delivered. A delivery that does
    /// not wait any more is left as it is; `false` says so.
    ///
    /// # Errors
    /// [`StoreError`].
    fn settle(
        &mut self,
        id: DeliveryId,
        place: u16,
        state: State,
        progress: &Progress,
    ) -> Result<bool, StoreError>;

    /// Gives all waiting deliveries of a lane, whose name is now looked up, to the lane of the id; how many.
    ///
    /// # Errors
    /// [`StoreError`].
    fn relane(&mut self, from: Lane, to: Lane, id: &str) -> Result<u32, StoreError>;

    /// The deliveries of a message, by place; empty if it is not known.
    ///
    /// # Errors
    /// [`StoreError`].
    fn find(&mut self, id: DeliveryId) -> Result<Vec<Row>, StoreError>;

    /// The message of an idempotency key that still holds.
    ///
    /// # Errors
    /// [`StoreError`].
    fn find_once(&mut self, once: &Once, now_ms: u64) -> Result<Option<Appended>, StoreError>;

    /// Frees the idempotency key of a message, unless something of it waits, was posted, or may have been.
    ///
    /// # Errors
    /// [`StoreError`].
    fn release_once(&mut self, id: DeliveryId) -> Result<(), StoreError>;

    /// Receipts, newest first, after (older than) a cursor; at most `limit` messages.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(
        &mut self,
        filter: &Filter,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// Puts the failed deliveries of a message at the end of their lanes, with fresh progress but for the attempts, and
    /// what the platform has of it or may have. `created_ms` becomes `now_ms`, so that they do not expire at once. Which lanes.
    ///
    /// # Errors
    /// [`StoreError`].
    fn requeue(&mut self, id: DeliveryId, now_ms: u64) -> Result<Vec<Lane>, StoreError>;

    /// Forgets settled receipts and idempotency keys whose time is over, at most `max` of each; how many.
    ///
    /// # Errors
    /// [`StoreError`].
    fn expire(
        &mut self,
        now_ms: u64,
        retention: Retention,
        max: usize,
    ) -> Result<usize, StoreError>;

    /// The lanes with something waiting.
    ///
    /// # Errors
    /// [`StoreError`].
    fn waiting(&mut self) -> Result<Vec<Waiting>, StoreError>;

    /// Writes a note in the place of the one with its key. Beyond `max` of its space those go that were written longest
    /// ago.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_note(&mut self, note: &Note, now_ms: u64, max: usize) -> Result<(), StoreError>;

    /// Deletes the note with this key, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete_note(&mut self, space: Space, key: &str) -> Result<(), StoreError>;

    /// All notes of a space, by key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn notes(&mut self, space: Space) -> Result<Vec<Note>, StoreError>;
}
