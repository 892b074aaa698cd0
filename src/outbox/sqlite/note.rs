//! The notes: one row each, beside the deliveries.
//!
//! Their table is made with the first of them and not when the file is opened: a version of the program that knows no
//! notes opens the file as before (P-6), and a file on a full disk can be opened.

use rusqlite::{OptionalExtension as _, params};

use super::{OpenError, Sqlite, open, row, schema};
use crate::outbox::{Note, Space};

/// In `meta`: 1 while a value that was erased may still be found in the gaps of the pages.
const UNSCRUBBED: &str = "notes_unscrubbed";

/// At most so many bytes of notes are written anew at a time. Sealed values are erased so rarely that it may take as
/// long as some commits do.
const MOST_BYTES: i64 = 32 << 20;

fn number(space: Space) -> i64 {
    match space {
        Space::Conversation => 0,
        Space::Installation => 1,
    }
}

impl Sqlite {
    /// All notes, as the file is opened.
    pub(in crate::outbox) fn notes_at_open(&self) -> Result<Vec<Note>, OpenError> {
        let read = || {
            let mut notes = self.notes_of(Space::Conversation)?;
            notes.extend(self.notes_of(Space::Installation)?);
            Ok(notes)
        };
        read().map_err(|error| open::explain(&self.path, &error))
    }

    pub(super) fn write_note(
        &mut self,
        note: &Note,
        now_ms: u64,
        max: usize,
    ) -> rusqlite::Result<()> {
        self.saw(now_ms)?;
        self.statement(schema::NOTE_TABLE)?.execute([])?;
        self.statement(schema::NOTE_INDEX)?.execute([])?;
        let space = number(note.space);
        let replaces = self
            .statement(schema::NOTE_CHANGES)?
            .exists(params![space, note.key, note.value])?;
        self.statement(schema::NOTE_PUT)?.execute(params![
            space,
            note.key,
            note.value,
            row::int(now_ms)
        ])?;
        let count: i64 = self
            .statement(schema::NOTE_COUNT)?
            .query_row([space], |row| row.get(0))?;
        let excess = count.saturating_sub(row::count(max));
        // SQLite takes a negative limit for none.
        let gone = if excess > 0 {
            self.statement(schema::NOTE_EVICT)?
                .execute(params![space, excess])?
        } else {
            0
        };
        self.erased(note.space, replaces || gone > 0)
    }

    pub(super) fn erase_note(&self, space: Space, key: &str) -> rusqlite::Result<()> {
        if !self.has_notes()? {
            return Ok(());
        }
        let gone = self
            .statement(schema::NOTE_DELETE)?
            .execute(params![number(space), key])?;
        self.erased(space, gone > 0)
    }

    pub(super) fn notes_of(&self, space: Space) -> rusqlite::Result<Vec<Note>> {
        if !self.has_notes()? {
            return Ok(Vec::new());
        }
        let mut statement = self.statement(schema::NOTES)?;
        let read = |stored: &rusqlite::Row<'_>| {
            Ok(Note {
                space,
                key: row::text(stored, 0)?.unwrap_or_default(),
                value: row::bytes(stored, 1)?.unwrap_or_default().to_vec(),
            })
        };
        statement.query_map([number(space)], read)?.collect()
    }

    /// Moves the times of all notes, as the clock has jumped.
    pub(super) fn shift_notes(&self, jump_ms: i64) -> rusqlite::Result<()> {
        if self.has_notes()? {
            self.connection.execute(schema::SHIFT_NOTE, [jump_ms])?;
        }
        Ok(())
    }

    /// Writes the notes anew if a sealed value was erased since, as `scrub` does with the texts of messages.
    pub(super) fn scrub_notes(&self) -> rusqlite::Result<()> {
        if self.meta(UNSCRUBBED)? != Some(1) || self.note_bytes()? > MOST_BYTES {
            return Ok(());
        }
        self.connection.execute_batch("BEGIN")?;
        let notes: Vec<(i64, String, Vec<u8>, i64)> = self
            .statement(schema::NOTE_ALL)?
            .query_map([], |stored| {
                Ok((
                    row::number(stored, 0)?,
                    row::text(stored, 1)?.unwrap_or_default(),
                    row::bytes(stored, 2)?.unwrap_or_default().to_vec(),
                    row::number(stored, 3)?,
                ))
            })?
            .collect::<rusqlite::Result<_>>()?;
        self.statement(schema::NOTE_CLEAR)?.execute([])?;
        for note in notes {
            self.statement(schema::NOTE_INSERT)?.execute(note)?;
        }
        self.set_meta(UNSCRUBBED, 0)?;
        self.connection.execute_batch("COMMIT")
    }

    fn note_bytes(&self) -> rusqlite::Result<i64> {
        self.statement(schema::NOTE_BYTES)?
            .query_row([], |row| row.get(0))
    }

    fn erased(&self, space: Space, something: bool) -> rusqlite::Result<()> {
        if something && space == Space::Installation {
            self.set_meta(UNSCRUBBED, 1)?;
        }
        Ok(())
    }

    fn has_notes(&self) -> rusqlite::Result<bool> {
        let found = self
            .statement(schema::NOTE_IS_THERE)?
            .query_row([], |_| Ok(()))
            .optional()?;
        Ok(found.is_some())
    }
}
