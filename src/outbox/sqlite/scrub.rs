//! Leaves no copy of an erased text in the file.
//!
//! `secure_delete` overwrites a row that is deleted. But when SQLite balances pages, it copies the rows that stay and
//! leaves their old bytes in the gap of the page they came from (`rebuildPage`), where no later deletion finds them.
//! So the texts that are left are written anew now and then, and the pages they had are overwritten whole.

use rusqlite::params;

use super::{Sqlite, schema};

/// At most so many bytes of text while messages may come in: some tens of milliseconds.
pub(super) const IN_BETWEEN: i64 = 2 << 20;
/// And when they no longer do.
pub(super) const AT_THE_END: i64 = 32 << 20;

impl Sqlite {
    /// Outside of a transaction. Not urgent: what fails or is too much now is done another time.
    pub(super) fn scrub(&mut self, most_bytes: i64) {
        if !self.connection.is_autocommit() {
            return;
        }
        let notes = self.scrub_notes();
        self.gave_up(notes);
        if !self.is_scrubbed {
            let texts = self.write_texts_anew(most_bytes);
            self.is_scrubbed = self.gave_up(texts).unwrap_or(false);
        }
    }

    /// What was written anew, if it was.
    fn gave_up<T>(&self, written: rusqlite::Result<T>) -> Option<T> {
        if let Err(error) = &written {
            tracing::debug!(%error, "what is left in the outbox was not written anew");
            if !self.connection.is_autocommit() {
                drop(self.connection.execute_batch("ROLLBACK"));
            }
        }
        written.ok()
    }

    fn write_texts_anew(&self, most_bytes: i64) -> rusqlite::Result<bool> {
        let bytes: i64 = self
            .statement(schema::POST_BYTES)?
            .query_row([], |row| row.get(0))?;
        if bytes > most_bytes {
            return Ok(false);
        }
        self.connection.execute_batch("BEGIN")?;
        let texts: Vec<(i64, Vec<u8>)> = self
            .statement(schema::POST_ALL)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        self.statement(schema::POST_CLEAR)?.execute([])?;
        for (seq, text) in texts {
            self.statement(schema::POST_INSERT)?
                .execute(params![seq, text])?;
        }
        self.connection.execute_batch("COMMIT")?;
        Ok(true)
    }
}
