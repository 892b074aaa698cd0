//! The model: an outbox in memory, so simple that it is right. Lists instead of indexes, copies instead of a log.

use super::{
    Appended, Filter, Kind, Lane, Message, Note, Once, Outbox, Page, Progress, Retention, Row,
    Space, State, StoreError, Waiting,
};
use crate::domain::delivery::DeliveryId;

#[derive(Debug, Clone, Default)]
struct Contents {
    /// In the order of `seq`.
    rows: Vec<Row>,
    once: Vec<(Once, DeliveryId)>,
    /// With the time of each.
    notes: Vec<(Note, u64)>,
}

/// The outbox in memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    contents: Contents,
    before: Option<Contents>,
    seq: i64,
    now_ms: u64,
}

impl Memory {
    /// As another process finds it: everything moved if the clock jumped.
    pub(super) fn reopen(&mut self, now_ms: u64) {
        let jump = now_ms.cast_signed() - self.now_ms.cast_signed();
        let is_first = self.now_ms == 0;
        self.now_ms = now_ms;
        if is_first || (-60_000..=30 * 24 * 3_600_000).contains(&jump) {
            return;
        }
        let moved = |ms: u64| (ms.cast_signed() + jump).max(1).cast_unsigned();
        let moved_if_set = |ms: u64| if ms == 0 { 0 } else { moved(ms) };
        for row in &mut self.contents.rows {
            let progress = &mut row.delivery.progress;
            row.created_ms = moved(row.created_ms);
            progress.not_before_ms = moved_if_set(progress.not_before_ms);
            progress.settled_ms = moved_if_set(progress.settled_ms);
        }
        for (once, _) in &mut self.contents.once {
            once.expires_ms = moved(once.expires_ms);
        }
        for (_, updated_ms) in &mut self.contents.notes {
            *updated_ms = moved(*updated_ms);
        }
    }

    fn next_seq(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }

    fn settled(&self) -> Vec<(u64, i64)> {
        let rows = self.contents.rows.iter();
        let mut settled: Vec<(u64, i64)> = rows
            .filter(|row| row.delivery.state != State::Waiting)
            .map(|row| (row.delivery.progress.settled_ms, row.seq))
            .collect();
        settled.sort_unstable();
        settled
    }
}

impl Outbox for Memory {
    fn begin(&mut self) -> Result<(), StoreError> {
        self.before = Some(self.contents.clone());
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.before = None;
        Ok(())
    }

    fn rollback(&mut self) {
        if let Some(before) = self.before.take() {
            self.contents = before;
        }
    }

    fn append(&mut self, message: &Message, now_ms: u64) -> Result<Appended, StoreError> {
        self.now_ms = now_ms;
        if let Some(once) = &message.once {
            if let Some(known) = self.find_once(once, now_ms)? {
                return Ok(known);
            }
            self.contents.once.retain(|(old, _)| old.key != once.key);
            self.contents.once.push((once.clone(), message.id));
        }
        for delivery in &message.deliveries {
            let known = self.find(message.id)?;
            if known.iter().any(|row| row.delivery.place == delivery.place) {
                return Err(StoreError::Damaged("it is there already".to_owned()));
            }
            let is_erased = delivery.state == State::Delivered;
            let row = Row {
                seq: self.next_seq(),
                id: message.id,
                caller: message.caller.clone(),
                created_ms: message.created_ms,
                replaced: message.replaced,
                ignored: message.ignored.clone(),
                post: if is_erased {
                    Vec::new()
                } else {
                    message.post.clone()
                },
                delivery: delivery.clone(),
            };
            self.contents.rows.push(row);
        }
        Ok(Appended::Stored)
    }

    fn head(&mut self, lane: Lane, max: usize) -> Result<Vec<Row>, StoreError> {
        let rows = self.contents.rows.iter().filter(|row| row.waits_in(lane));
        Ok(rows.take(max).cloned().collect())
    }

    fn settle(
        &mut self,
        id: DeliveryId,
        place: u16,
        state: State,
        progress: &Progress,
    ) -> Result<bool, StoreError> {
        let found = self.contents.rows.iter_mut().find(|row| {
            let delivery = &row.delivery;
            row.id == id && delivery.place == place && delivery.state == State::Waiting
        });
        let Some(row) = found else { return Ok(false) };
        row.delivery.state = state;
        row.delivery.progress = progress.clone();
        if state == State::Delivered {
            row.post.clear();
        }
        Ok(true)
    }

    fn relane(&mut self, from: Lane, to: Lane, id: &str) -> Result<u32, StoreError> {
        let mut moved = 0;
        for row in &mut self.contents.rows {
            if row.waits_in(from) {
                row.delivery.lane = to;
                row.delivery.to.target = id.to_owned();
                row.delivery.to.kind = Kind::Id;
                moved += 1;
            }
        }
        Ok(moved)
    }

    fn find(&mut self, id: DeliveryId) -> Result<Vec<Row>, StoreError> {
        let rows = self.contents.rows.iter().filter(|row| row.id == id);
        let mut rows: Vec<Row> = rows.cloned().collect();
        rows.sort_by_key(|row| row.delivery.place);
        Ok(rows)
    }

    fn find_once(&mut self, once: &Once, now_ms: u64) -> Result<Option<Appended>, StoreError> {
        let mut keys = self.contents.once.iter();
        let found = keys.find(|(old, _)| old.key == once.key && old.expires_ms > now_ms);
        Ok(found.map(|(old, id)| Appended::Known {
            id: *id,
            same: old.fingerprint == once.fingerprint,
        }))
    }

    fn release_once(&mut self, id: DeliveryId) -> Result<(), StoreError> {
        let is_posted = |row: &Row| {
            let progress = &row.delivery.progress;
            row.delivery.state != State::Failed
                || progress.parts_taken > 0
                || progress.ambiguous > 0
        };
        let mut rows = self.contents.rows.iter().filter(|row| row.id == id);
        if !rows.any(is_posted) {
            self.contents.once.retain(|(_, of)| *of != id);
        }
        Ok(())
    }

    fn list(
        &mut self,
        filter: &Filter,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut ids: Vec<_> = self.contents.rows.iter().map(|row| row.id).collect();
        ids.sort_by_key(|id| id.to_bytes());
        ids.dedup();
        ids.retain(|id| after.is_none_or(|after| id.to_bytes() < after.to_bytes()));
        let mut messages = Vec::new();
        for id in ids.into_iter().rev() {
            let rows = self.find(id)?;
            if filter.passes(&rows) {
                messages.push(rows);
            }
        }
        let more = messages.len() > limit;
        messages.truncate(limit);
        let next = messages.last().filter(|_| more).map(|rows| rows[0].id);
        Ok(Page { messages, next })
    }

    fn requeue(&mut self, id: DeliveryId, now_ms: u64) -> Result<Vec<Lane>, StoreError> {
        self.now_ms = now_ms;
        let mut lanes = Vec::new();
        for mut row in self.find(id)? {
            if row.delivery.state != State::Failed {
                continue;
            }
            self.contents.rows.retain(|old| old.seq != row.seq);
            row.seq = self.next_seq();
            row.created_ms = now_ms;
            row.delivery.state = State::Waiting;
            row.delivery.progress = Progress {
                not_before_ms: 0,
                settled_ms: 0,
                reason: None,
                platform_code: None,
                error: None,
                ..row.delivery.progress
            };
            if !lanes.contains(&row.delivery.lane) {
                lanes.push(row.delivery.lane);
            }
            self.contents.rows.push(row);
        }
        Ok(lanes)
    }

    fn expire(
        &mut self,
        now_ms: u64,
        retention: Retention,
        max: usize,
    ) -> Result<usize, StoreError> {
        self.now_ms = now_ms;
        let settled = self.settled();
        let is_old = |ms: u64| ms + retention.age_ms <= now_ms;
        let old = settled.iter().filter(|(ms, _)| is_old(*ms)).count();
        let excess = settled.len().saturating_sub(retention.max_settled as usize);
        let gone = &settled[..old.max(excess).min(max)];
        let is_gone = |row: &Row| gone.iter().any(|(_, seq)| *seq == row.seq);
        self.contents.rows.retain(|row| !is_gone(row));

        let once = &mut self.contents.once;
        once.sort_by_key(|(once, _)| once.expires_ms);
        let over = once
            .iter()
            .filter(|(once, _)| once.expires_ms <= now_ms)
            .count();
        let keys = once.drain(..over.min(max)).count();
        Ok(gone.len() + keys)
    }

    fn waiting(&mut self) -> Result<Vec<Waiting>, StoreError> {
        let rows = self.contents.rows.iter();
        let waiting: Vec<&Row> = rows
            .filter(|row| row.delivery.state == State::Waiting)
            .collect();
        let mut lanes: Vec<Lane> = waiting.iter().map(|row| row.delivery.lane).collect();
        lanes.sort_unstable();
        lanes.dedup();
        let summed = lanes.into_iter().map(|lane| {
            let rows = || waiting.iter().filter(|row| row.delivery.lane == lane);
            let not_before = rows().map(|row| row.delivery.progress.not_before_ms);
            Waiting {
                lane,
                backend: rows()
                    .map(|row| row.delivery.to.backend.clone())
                    .min()
                    .unwrap(),
                is_webhook: rows().any(|row| matches!(row.delivery.to.kind, Kind::Webhook(_))),
                count: u32::try_from(rows().count()).unwrap(),
                not_before_ms: not_before.max().unwrap(),
                oldest_ms: rows().map(|row| row.created_ms).min().unwrap(),
                first_seq: rows().map(|row| row.seq).min().unwrap(),
            }
        });
        Ok(summed.collect())
    }

    fn put_note(&mut self, note: &Note, now_ms: u64, max: usize) -> Result<(), StoreError> {
        self.now_ms = now_ms;
        let is_of_it = |(other, _): &&(Note, u64)| other.space == note.space;
        let times = self.contents.notes.iter().filter(is_of_it);
        let last = times.map(|(_, ms)| *ms).max();
        self.delete_note(note.space, &note.key)?;
        let notes = &mut self.contents.notes;
        notes.push((note.clone(), now_ms.max(last.map_or(1, |last| last + 1))));
        notes.sort_by_key(|(note, ms)| (*ms, note.key.clone()));
        while notes.iter().filter(is_of_it).count() > max {
            let oldest = notes
                .iter()
                .position(|(other, _)| other.space == note.space);
            notes.remove(oldest.unwrap());
        }
        Ok(())
    }

    fn delete_note(&mut self, space: Space, key: &str) -> Result<(), StoreError> {
        let notes = &mut self.contents.notes;
        notes.retain(|(note, _)| note.space != space || note.key != key);
        Ok(())
    }

    fn notes(&mut self, space: Space) -> Result<Vec<Note>, StoreError> {
        let notes = self.contents.notes.iter().map(|(note, _)| note.clone());
        let mut notes: Vec<Note> = notes.filter(|note| note.space == space).collect();
        notes.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(notes)
    }
}

impl Row {
    fn waits_in(&self, lane: Lane) -> bool {
        self.delivery.lane == lane && self.delivery.state == State::Waiting
    }
}

impl Filter {
    fn passes(&self, rows: &[Row]) -> bool {
        let some = |is: &dyn Fn(&Row) -> bool| rows.iter().any(is);
        let wanted = &self.channels;
        let of_channel = |row: &Row| {
            let told = row.delivery.progress.channel.as_ref();
            wanted.contains(&row.delivery.to.target)
                || told.is_some_and(|told| wanted.contains(told))
        };
        let state = self
            .state
            .is_none_or(|s| some(&|row| row.delivery.state == s));
        let caller = self.caller.as_ref();
        state
            && (wanted.is_empty() || some(&of_channel))
            && caller.is_none_or(|wanted| some(&|row| row.caller == *wanted))
    }
}
