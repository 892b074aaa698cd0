//! The outbox in one SQLite file, for one process.
//!
//! Every commit is on the disk before it is answered; one that fails has left nothing behind. Rows that are not what
//! was written are never handed out.

mod expire;
mod log;
mod note;
mod open;
mod place;
mod receipt;
mod reserve;
mod row;
mod schema;
mod scrub;
mod time;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension as _, params};

use self::place::Place;
use self::reserve::Reserve;
use self::row::Read;
use super::{
    Address, Appended, Filter, Kind, Lane, Message, Note, Once, Outbox, Page, Progress, Retention,
    Row, Space, State, StoreError, Waiting,
};
use crate::domain::delivery::DeliveryId;

pub use self::open::OpenError;

/// The outbox in a file.
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    reserve: Reserve,
    place: Place,
    /// What the next row gets. A number that was given is never given again, not even after its row is gone.
    next_seq: i64,
    /// The latest time that came in.
    now_ms: u64,
    /// The time that is in the file; unknown after a rollback.
    noted_ms: Option<u64>,
    /// Whether nothing was erased since the texts were last written anew.
    is_scrubbed: bool,
    is_doubtful: bool,
}

/// In `meta`: 1 while a process has the file, and after one that was not closed with everything ended.
const IN_FLIGHT: &str = "in_flight";

impl Sqlite {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`OpenError`]; the file is as it was.
    pub fn open(path: &Path, now_ms: u64) -> Result<Self, OpenError> {
        // SQLite takes what begins with `file:` for a URL, and puts its log beside what a link leads to.
        let real = open::real_path(path)?;
        let connection = open::open(path, &real)?;
        let mut sqlite = Self {
            connection,
            path: path.to_owned(),
            reserve: Reserve::beside(&real),
            place: Place::of(&real),
            next_seq: 1,
            now_ms,
            noted_ms: None,
            is_scrubbed: false,
            is_doubtful: false,
        };
        sqlite
            .resume(now_ms)
            .map_err(|error| open::explain(path, &error))?;
        Ok(sqlite)
    }

    /// Takes up what the last process left: its numbers and its time.
    fn resume(&mut self, now_ms: u64) -> rusqlite::Result<()> {
        let last: i64 = self
            .statement(schema::LAST_SEQ)?
            .query_row([], |stored| stored.get(0))?;
        let noted = self.meta("next_seq")?.unwrap_or(1);
        self.next_seq = noted.max(last + 1);
        self.is_doubtful = self.meta(IN_FLIGHT)? == Some(1);
        // On a full disk it stays as it was; that costs a mark in a receipt, not a message.
        if let Err(error) = self.set_meta(IN_FLIGHT, 1) {
            tracing::debug!(%error, "the start of the outbox was not noted");
        }
        self.resume_time(now_ms)
    }

    /// Whether the process that had it before may have left attempts in flight.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// The lanes with something waiting, as it is opened.
    pub(super) fn lanes_at_open(&self) -> Result<Vec<Waiting>, OpenError> {
        self.lanes()
            .map_err(|error| open::explain(&self.path, &error))
    }

    /// Makes the reserve whole; `false` if there is no space for it.
    pub(super) fn take_reserve(&mut self) -> bool {
        let taken = self.reserve.take();
        if let Err(error) = &taken {
            tracing::debug!(%error, "the outbox has no reserve");
        }
        taken.is_ok()
    }

    /// Gives the reserve to what must still be written, and the log's space too: most of it is old.
    pub(super) fn give_reserve(&mut self) {
        self.reserve.give();
        if let Err(error) = self.empty_log() {
            tracing::warn!(%error, "the log of the outbox cannot be emptied");
        }
    }

    fn empty_log(&self) -> rusqlite::Result<()> {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.connection.query_row(checkpoint, [], |_| Ok(()))
    }

    /// What can be done while nobody waits.
    pub(super) fn rest(&mut self) {
        self.scrub(scrub::IN_BETWEEN);
    }

    /// Leaves one file that holds everything.
    pub(super) fn close(mut self, in_flight: bool) {
        self.scrub(scrub::AT_THE_END);
        let noted = self.note_time(true);
        let noted = noted.and_then(|()| self.set_meta(IN_FLIGHT, i64::from(in_flight)));
        let noted = noted.and_then(|()| self.empty_log());
        self.rescue();
        let closed = noted.and_then(|()| self.connection.close().map_err(|(_, error)| error));
        if let Err(error) = closed {
            // Nothing is lost by it: the next start reads the log.
            tracing::warn!(%error, path = %self.path.display(), "the outbox was not closed in full");
        }
    }

    fn statement(&self, sql: &'static str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }

    fn meta(&self, name: &str) -> rusqlite::Result<Option<i64>> {
        let mut statement = self.statement(schema::META_GET)?;
        statement.query_row([name], |row| row.get(0)).optional()
    }

    fn set_meta(&self, name: &str, value: i64) -> rusqlite::Result<()> {
        let mut statement = self.statement(schema::META_SET)?;
        statement.execute(params![name, value])?;
        Ok(())
    }

    fn take_seq(&mut self) -> i64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    fn insert(&mut self, message: &Message, now_ms: u64) -> rusqlite::Result<Appended> {
        self.saw(now_ms)?;
        if let Some(once) = &message.once {
            if let Some(known) = self.known(once, now_ms)? {
                return Ok(known);
            }
            self.statement(schema::ONCE_SET)?.execute(params![
                once.key.as_slice(),
                once.fingerprint.as_slice(),
                message.id.to_bytes().as_slice(),
                row::int(once.expires_ms),
            ])?;
        }
        for delivery in &message.deliveries {
            let seq = self.take_seq();
            row::insert(
                &mut *self.statement(schema::INSERT)?,
                seq,
                message,
                delivery,
            )?;
            if delivery.state != State::Delivered {
                self.statement(schema::POST_INSERT)?
                    .execute(params![seq, message.post])?;
            }
        }
        Ok(Appended::Stored)
    }

    fn known(&self, once: &Once, now_ms: u64) -> rusqlite::Result<Option<Appended>> {
        let mut statement = self.statement(schema::ONCE_FIND)?;
        let key = params![once.key.as_slice(), row::int(now_ms)];
        let read = |stored: &rusqlite::Row<'_>| {
            Ok(Appended::Known {
                id: DeliveryId::from_bytes(row::array(stored, 0)?.unwrap_or_default()),
                same: row::array(stored, 1)? == Some(once.fingerprint),
            })
        };
        statement.query_row(key, read).optional()
    }

    fn first(&mut self, lane: Lane, max: usize) -> rusqlite::Result<Vec<Row>> {
        loop {
            let read = self.rows(schema::HEAD, params![lane.0, row::count(max)])?;
            let (good, damaged): (Vec<_>, Vec<_>) = read.into_iter().partition(|read| read.intact);
            if damaged.is_empty() {
                return Ok(good.into_iter().map(|read| read.row).collect());
            }
            for read in damaged {
                self.bury(&read.row)?;
            }
        }
    }

    /// A row that is not what was written could go to the wrong people, or say something else: it goes nowhere.
    fn bury(&self, row: &Row) -> rusqlite::Result<()> {
        tracing::error!(delivery.id = %row.id, "a delivery in the outbox is damaged: it is not made");
        self.statement(schema::DAMAGE)?
            .execute(params![row::int(self.now_ms), row.seq])?;
        Ok(())
    }

    fn rows(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
    ) -> rusqlite::Result<Vec<Read>> {
        let mut statement = self.statement(sql)?;
        statement.query_map(parameters, row::read)?.collect()
    }

    fn move_lane(&self, from: Lane, to: Lane, target: &str) -> rusqlite::Result<u32> {
        let mut moved = 0;
        for Read { row, intact } in self.rows(schema::HEAD, params![from.0, i64::MAX])? {
            // A new sum would hide the damage.
            if !intact {
                self.bury(&row)?;
                continue;
            }
            let address = Address {
                backend: row.delivery.to.backend,
                target: target.to_owned(),
                kind: Kind::Id,
            };
            self.statement(schema::RELANE)?.execute(params![
                to.0,
                address.target,
                row::kind_number(address.kind),
                row::sum(row.id, row.delivery.place, to, &address, &row.post),
                row.seq,
            ])?;
            moved += 1;
        }
        Ok(moved)
    }

    fn queue_again(&mut self, id: DeliveryId, now_ms: u64) -> rusqlite::Result<Vec<Lane>> {
        self.saw(now_ms)?;
        let mut lanes = Vec::new();
        for Read { row, .. } in self.rows(schema::FAILED_OF, [id.to_bytes().as_slice()])? {
            let seq = self.take_seq();
            self.statement(schema::REQUEUE)?
                .execute(params![seq, row::int(now_ms), row.seq])?;
            self.statement(schema::POST_REQUEUE)?
                .execute(params![seq, row.seq])?;
            self.is_scrubbed = false;
            if !lanes.contains(&row.delivery.lane) {
                lanes.push(row.delivery.lane);
            }
        }
        Ok(lanes)
    }

    fn write_state(
        &mut self,
        id: DeliveryId,
        place: u16,
        state: State,
        progress: &Progress,
    ) -> rusqlite::Result<bool> {
        let sql = match state {
            State::Waiting => schema::KEEP_WAITING,
            State::Delivered => schema::SETTLE_DELIVERED,
            State::Failed => schema::SETTLE_FAILED,
        };
        let found = row::progress(&mut *self.statement(sql)?, id, place, progress)? > 0;
        if found && state == State::Delivered {
            self.statement(schema::POST_ERASE)?
                .execute(params![id.to_bytes().as_slice(), place])?;
            self.is_scrubbed = false;
        }
        Ok(found)
    }

    fn lanes(&self) -> rusqlite::Result<Vec<Waiting>> {
        let mut statement = self.statement(schema::WAITING_LANES)?;
        let read = |stored: &rusqlite::Row<'_>| {
            let time =
                |column| row::number(stored, column).map(|ms| u64::try_from(ms).unwrap_or(0));
            Ok(Waiting {
                lane: Lane(row::number(stored, 0)?),
                backend: stored.get(4)?,
                is_webhook: stored.get(5)?,
                count: u32::try_from(row::number(stored, 1)?).unwrap_or(u32::MAX),
                not_before_ms: time(2)?,
                oldest_ms: time(3)?,
                first_seq: row::number(stored, 6)?,
            })
        };
        statement.query_map([], read)?.collect()
    }

    fn run(&self, sql: &'static str) -> Result<(), StoreError> {
        let done = self.statement(sql).and_then(|mut ready| ready.execute([]));
        done.map(|_| ()).map_err(|error| fault(&error))
    }
}

impl Outbox for Sqlite {
    fn begin(&mut self) -> Result<(), StoreError> {
        self.run("BEGIN")
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.run("COMMIT").inspect_err(|_| self.rollback())
    }

    fn rollback(&mut self) {
        self.noted_ms = None;
        // After some errors SQLite has done it already.
        if self.connection.is_autocommit() {
            return;
        }
        if let Err(error) = self.run("ROLLBACK") {
            tracing::error!(%error, "the outbox cannot be rolled back");
        }
    }

    fn is_at_a_limit(&mut self) -> bool {
        self.reserve.is_at_a_limit()
    }

    fn append(&mut self, message: &Message, now_ms: u64) -> Result<Appended, StoreError> {
        self.insert(message, now_ms).map_err(|error| fault(&error))
    }

    fn head(&mut self, lane: Lane, max: usize) -> Result<Vec<Row>, StoreError> {
        self.first(lane, max).map_err(|error| fault(&error))
    }

    fn settle(
        &mut self,
        id: DeliveryId,
        place: u16,
        state: State,
        progress: &Progress,
    ) -> Result<bool, StoreError> {
        self.write_state(id, place, state, progress)
            .map_err(|error| fault(&error))
    }

    fn relane(&mut self, from: Lane, to: Lane, id: &str) -> Result<u32, StoreError> {
        self.move_lane(from, to, id).map_err(|error| fault(&error))
    }

    fn find(&mut self, id: DeliveryId) -> Result<Vec<Row>, StoreError> {
        self.receipt(id).map_err(|error| fault(&error))
    }

    fn find_once(&mut self, once: &Once, now_ms: u64) -> Result<Option<Appended>, StoreError> {
        self.known(once, now_ms).map_err(|error| fault(&error))
    }

    fn release_once(&mut self, id: DeliveryId) -> Result<(), StoreError> {
        let statement = self.statement(schema::ONCE_RELEASE);
        let done = statement.and_then(|mut ready| ready.execute([id.to_bytes().as_slice()]));
        done.map(|_| ()).map_err(|error| fault(&error))
    }

    fn list(
        &mut self,
        filter: &Filter,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let page = self.receipts(filter, after, limit);
        page.map_err(|error| fault(&error))
    }

    fn requeue(&mut self, id: DeliveryId, now_ms: u64) -> Result<Vec<Lane>, StoreError> {
        self.queue_again(id, now_ms).map_err(|error| fault(&error))
    }

    fn expire(
        &mut self,
        now_ms: u64,
        retention: Retention,
        max: usize,
    ) -> Result<usize, StoreError> {
        self.forget(now_ms, retention, max)
            .map_err(|error| fault(&error))
    }

    fn waiting(&mut self) -> Result<Vec<Waiting>, StoreError> {
        self.lanes().map_err(|error| fault(&error))
    }

    fn put_note(&mut self, note: &Note, now_ms: u64, max: usize) -> Result<(), StoreError> {
        self.write_note(note, now_ms, max)
            .map_err(|error| fault(&error))
    }

    fn delete_note(&mut self, space: Space, key: &str) -> Result<(), StoreError> {
        self.erase_note(space, key).map_err(|error| fault(&error))
    }

    fn notes(&mut self, space: Space) -> Result<Vec<Note>, StoreError> {
        self.notes_of(space).map_err(|error| fault(&error))
    }
}

/// What an error of SQLite means for what was asked. Its texts name tables and never values.
fn fault(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged(error.to_string())
        }
        // A delivery that is there already; the disk has nothing to do with it.
        Some(ErrorCode::ConstraintViolation) => StoreError::Damaged(error.to_string()),
        _ => StoreError::Failed(error.to_string()),
    }
}
