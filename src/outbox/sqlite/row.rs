//! A row of the table `delivery`: how it is written, read, and recognised as what was written.

use rusqlite::types::ValueRef;
use rusqlite::{Row as Stored, ToSql, params};
use sha2::{Digest as _, Sha256};

use super::schema;
use crate::domain::delivery::DeliveryId;
use crate::domain::digest;
use crate::outbox::{Address, Delivery, Kind, Lane, Message, Progress, Row, State};

/// SQLite's numbers are signed.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// For `LIMIT`.
pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn state_number(state: State) -> i64 {
    match state {
        State::Waiting => schema::WAITING,
        State::Delivered => schema::DELIVERED,
        State::Failed => schema::FAILED,
    }
}

pub(super) fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Id => 0,
        Kind::Name => 1,
        Kind::Webhook(_) => 2,
        Kind::Relay => 3,
    }
}

/// Eight bytes of a hash over what must never be mixed up: which delivery this is, where it goes and what it says.
pub(super) fn sum(id: DeliveryId, place: u16, lane: Lane, to: &Address, post: &[u8]) -> i64 {
    let mut hash = Sha256::new();
    let mut fixed = [0; 51];
    fixed[..16].copy_from_slice(&id.to_bytes());
    fixed[16..18].copy_from_slice(&place.to_le_bytes());
    fixed[18..26].copy_from_slice(&lane.0.to_le_bytes());
    fixed[26] = kind_number(to.kind).to_le_bytes()[0];
    if let Kind::Webhook(webhook) = to.kind {
        fixed[27..43].copy_from_slice(&webhook);
    }
    // Lengths in front, so that no text can pass from one field into the next.
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    fixed[43..47].copy_from_slice(&length(&to.backend));
    fixed[47..].copy_from_slice(&length(&to.target));
    hash.update(fixed);
    hash.update(to.backend.as_bytes());
    hash.update(to.target.as_bytes());
    hash.update(post);
    i64::from_le_bytes(digest::first(hash.finalize().into()))
}

/// The parameters of `schema::INSERT`, bound without copying the message.
pub(super) fn insert(
    statement: &mut rusqlite::Statement<'_>,
    seq: i64,
    message: &Message,
    delivery: &Delivery,
) -> rusqlite::Result<()> {
    let Delivery {
        place,
        lane,
        to,
        state,
        progress,
    } = delivery;
    let webhook = match &to.kind {
        Kind::Webhook(hash) => Some(hash.as_slice()),
        Kind::Id | Kind::Name | Kind::Relay => None,
    };
    let ignored = (!message.ignored.is_empty())
        .then(|| serde_json::to_string(&message.ignored).unwrap_or_default());
    // Not even a hash of an erased text stays.
    let sum = match state {
        State::Delivered => 0,
        State::Waiting | State::Failed => sum(message.id, *place, *lane, to, &message.post),
    };
    statement.execute(params![
        seq,
        message.id.to_bytes().as_slice(),
        place,
        lane.0,
        state_number(*state),
        int(message.created_ms),
        int(progress.not_before_ms),
        int(progress.settled_ms),
        progress.attempts,
        progress.ambiguous,
        progress.parts_taken,
        message.replaced,
        kind_number(to.kind),
        webhook,
        to.backend,
        to.target,
        message.caller,
        ignored,
        progress.channel,
        progress.message_id,
        progress.link,
        progress.reason,
        progress.platform_code,
        progress.error,
        sum,
    ])?;
    Ok(())
}

/// Runs one of the settling statements of `schema`; how many rows it found.
pub(super) fn progress(
    statement: &mut rusqlite::Statement<'_>,
    id: DeliveryId,
    place: u16,
    progress: &Progress,
) -> rusqlite::Result<usize> {
    let id = id.to_bytes();
    let parameters: [&dyn ToSql; 13] = [
        &id.as_slice(),
        &place,
        &progress.attempts,
        &progress.ambiguous,
        &progress.parts_taken,
        &int(progress.not_before_ms),
        &int(progress.settled_ms),
        &progress.channel,
        &progress.message_id,
        &progress.link,
        &progress.reason,
        &progress.platform_code,
        &progress.error,
    ];
    statement.execute(parameters)
}

/// A row that was read, and whether it is what was written.
pub(super) struct Read {
    pub(super) row: Row,
    pub(super) intact: bool,
}

/// Reads a row as well as it can be read: a damaged one must not hide the others. Whoever acts on it asks `intact`.
pub(super) fn read(stored: &Stored<'_>) -> rusqlite::Result<Read> {
    let id = DeliveryId::from_bytes(array(stored, 1)?.unwrap_or_default());
    let place = u16::try_from(number(stored, 2)?).unwrap_or(u16::MAX);
    let lane = Lane(number(stored, 3)?);
    let kind = match number(stored, 12)? {
        0 => Kind::Id,
        1 => Kind::Name,
        3 => Kind::Relay,
        _ => Kind::Webhook(array(stored, 13)?.unwrap_or_default()),
    };
    let to = Address {
        backend: text(stored, 14)?.unwrap_or_default(),
        target: text(stored, 15)?.unwrap_or_default(),
        kind,
    };
    let post = bytes(stored, 25)?.unwrap_or_default().to_vec();
    let intact = sum(id, place, lane, &to, &post) == number(stored, 24)?;
    let ignored = text(stored, 17)?
        .and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default();
    let row = Row {
        seq: number(stored, 0)?,
        id,
        caller: text(stored, 16)?.unwrap_or_default(),
        created_ms: unsigned(number(stored, 5)?),
        replaced: small(stored, 11)?,
        ignored,
        post,
        delivery: Delivery {
            place,
            lane,
            to,
            state: state(number(stored, 4)?),
            progress: read_progress(stored)?,
        },
    };
    Ok(Read { row, intact })
}

fn read_progress(stored: &Stored<'_>) -> rusqlite::Result<Progress> {
    Ok(Progress {
        attempts: small(stored, 8)?,
        ambiguous: small(stored, 9)?,
        parts_taken: u16::try_from(number(stored, 10)?).unwrap_or(u16::MAX),
        not_before_ms: unsigned(number(stored, 6)?),
        settled_ms: unsigned(number(stored, 7)?),
        channel: text(stored, 18)?,
        message_id: text(stored, 19)?,
        link: text(stored, 20)?,
        reason: text(stored, 21)?,
        platform_code: text(stored, 22)?,
        error: text(stored, 23)?,
    })
}

pub(super) fn state(number: i64) -> State {
    match number {
        schema::WAITING => State::Waiting,
        schema::DELIVERED => State::Delivered,
        _ => State::Failed,
    }
}

pub(super) fn number(stored: &Stored<'_>, column: usize) -> rusqlite::Result<i64> {
    Ok(match stored.get_ref(column)? {
        ValueRef::Integer(number) => number,
        _ => 0,
    })
}

fn small(stored: &Stored<'_>, column: usize) -> rusqlite::Result<u32> {
    Ok(u32::try_from(number(stored, column)?).unwrap_or(u32::MAX))
}

pub(super) fn bytes<'s>(
    stored: &'s Stored<'_>,
    column: usize,
) -> rusqlite::Result<Option<&'s [u8]>> {
    Ok(match stored.get_ref(column)? {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Some(bytes),
        _ => None,
    })
}

pub(super) fn text(stored: &Stored<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let bytes = bytes(stored, column)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

pub(super) fn array<const N: usize>(
    stored: &Stored<'_>,
    column: usize,
) -> rusqlite::Result<Option<[u8; N]>> {
    Ok(bytes(stored, column)?.and_then(|bytes| bytes.try_into().ok()))
}
