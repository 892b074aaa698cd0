//! Receipts: of one message, and in pages.

use rusqlite::{Row as Stored, params};

use super::{Sqlite, row, schema};
use crate::domain::delivery::DeliveryId;
use crate::outbox::{Filter, Page, Row, State};

/// How many messages one call looks at: a filter that finds little must not keep the others waiting.
const LOOKED_AT: usize = 1000;

impl Sqlite {
    pub(super) fn receipt(&self, id: DeliveryId) -> rusqlite::Result<Vec<Row>> {
        let read = self.rows(schema::FIND, [id.to_bytes().as_slice()])?;
        Ok(read.into_iter().map(|read| read.row).collect())
    }

    pub(super) fn receipts(
        &self,
        filter: &Filter,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> rusqlite::Result<Page> {
        let limit = limit.max(1);
        let ids = self.ids(filter, after, limit)?;
        let mut messages = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            if !self.passes(filter, *id)? {
                continue;
            }
            messages.push(self.receipt(*id)?);
            if messages.len() == limit {
                let next = (at + 1 < ids.len() || ids.len() == LOOKED_AT).then_some(*id);
                return Ok(Page { messages, next });
            }
        }
        let next = ids.last().filter(|_| ids.len() == LOOKED_AT).copied();
        Ok(Page { messages, next })
    }

    /// The next ids that may pass the filter, and at least one more than fit if there are.
    fn ids(
        &self,
        filter: &Filter,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> rusqlite::Result<Vec<DeliveryId>> {
        let sql = match filter.state {
            Some(State::Failed) => schema::LIST_FAILED,
            _ => schema::LIST,
        };
        let wanted = if *filter == Filter::default() {
            LOOKED_AT.min(limit.saturating_add(1))
        } else {
            LOOKED_AT
        };
        // Longer than an id and so after all of them.
        let newest = [0xFF; 17];
        let after = after.map(DeliveryId::to_bytes);
        let before = after.as_ref().map_or(newest.as_slice(), |id| id.as_slice());
        let mut statement = self.statement(sql)?;
        let read = |stored: &Stored<'_>| {
            let id = row::array(stored, 0)?.unwrap_or_default();
            Ok(DeliveryId::from_bytes(id))
        };
        statement
            .query_map(params![before, row::count(wanted)], read)?
            .collect()
    }

    /// Whether some delivery of the message has each wanted property.
    fn passes(&self, filter: &Filter, id: DeliveryId) -> rusqlite::Result<bool> {
        let mut left = filter.clone();
        let mut statement = self.statement(schema::LOOK)?;
        let mut rows = statement.query([id.to_bytes().as_slice()])?;
        while let Some(stored) = rows.next()? {
            let state = row::state(row::number(stored, 0)?);
            let (target, channel) = (row::text(stored, 1)?, row::text(stored, 2)?);
            let caller = row::text(stored, 3)?;
            left.state = left.state.filter(|wanted| *wanted != state);
            let is_it =
                |told: &String| Some(told) == target.as_ref() || Some(told) == channel.as_ref();
            if left.channels.iter().any(is_it) {
                left.channels.clear();
            }
            left.caller = left.caller.filter(|wanted| Some(wanted) != caller.as_ref());
        }
        Ok(left == Filter::default())
    }
}
