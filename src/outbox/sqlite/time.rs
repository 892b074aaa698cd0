//! The time of the last process, so that a clock that was set neither expires everything at once nor stalls it.

use super::{Sqlite, row, schema};

/// How often the time is written, beside what is written anyway.
const NOTE_MS: u64 = 1000;
/// A clock that goes back less is only being trimmed.
const BACK_MS: u64 = 60_000;
/// A process that stood still for longer is rather one whose clock was set.
const FORWARD_MS: u64 = 30 * 24 * 3_600_000;

impl Sqlite {
    /// A time came in; notes it if that is due.
    pub(super) fn saw(&mut self, now_ms: u64) -> rusqlite::Result<()> {
        self.now_ms = now_ms;
        self.note_time(false)
    }

    pub(super) fn note_time(&mut self, always: bool) -> rusqlite::Result<()> {
        let is_fresh = |noted: u64| self.now_ms.abs_diff(noted) < NOTE_MS;
        if !always && self.noted_ms.is_some_and(is_fresh) {
            return Ok(());
        }
        self.set_meta("now_ms", row::int(self.now_ms))?;
        self.noted_ms = Some(self.now_ms);
        Ok(())
    }

    /// Moves everything by the clock's jump since the last process.
    pub(super) fn resume_time(&mut self, now_ms: u64) -> rusqlite::Result<()> {
        let now = row::int(now_ms);
        let last = self.meta("now_ms")?.unwrap_or(now);
        let jump = now.saturating_sub(last);
        let limit = if jump < 0 { BACK_MS } else { FORWARD_MS };
        if jump.unsigned_abs() > limit {
            tracing::warn!(
                jump_s = jump / 1000,
                "the clock jumped since the outbox was last open: its times are moved by as much"
            );
            self.connection.execute_batch("BEGIN")?;
            self.connection.execute(schema::SHIFT, [jump])?;
            self.connection.execute(schema::SHIFT_ONCE, [jump])?;
            self.shift_notes(jump)?;
            self.note_time(true)?;
            self.connection.execute_batch("COMMIT")?;
        }
        Ok(())
    }
}
