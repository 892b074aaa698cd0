//! Forgets what is settled and old, a bounded number at a time.

use rusqlite::params;

use super::{Sqlite, row, schema};
use crate::outbox::Retention;

impl Sqlite {
    pub(super) fn forget(
        &mut self,
        now_ms: u64,
        keep: Retention,
        max: usize,
    ) -> rusqlite::Result<usize> {
        self.saw(now_ms)?;
        let mut left = max;
        if let Some(until) = now_ms.checked_sub(keep.age_ms) {
            left -= self.forget_until(row::int(until), left)?;
        }
        let settled: i64 = self
            .statement(schema::COUNT_SETTLED)?
            .query_row([], |row| row.get(0))?;
        let excess = u64::try_from(settled)
            .unwrap_or(0)
            .saturating_sub(keep.max_settled);
        let excess = left.min(usize::try_from(excess).unwrap_or(usize::MAX));
        left -= self.forget_until(i64::MAX, excess)?;
        if left < max {
            // The row with the highest number may be among them.
            self.set_meta("next_seq", self.next_seq)?;
        }
        let keys = self
            .statement(schema::ONCE_EXPIRE)?
            .execute(params![row::int(now_ms), row::count(max)])?;
        Ok(max - left + keys)
    }

    fn forget_until(&mut self, until_ms: i64, max: usize) -> rusqlite::Result<usize> {
        let bounds = params![until_ms, row::count(max)];
        let texts = self.statement(schema::POST_EXPIRE)?.execute(bounds)?;
        self.is_scrubbed &= texts == 0;
        self.statement(schema::EXPIRE)?.execute(bounds)
    }
}
