//! `/deliveries`: what became of stored messages, for whoever holds a proxy token.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use crate::dispatch::Desk;
use crate::dispatch::manage::Dropped;
use crate::domain::channel::{Channel, Destination};
use crate::domain::delivery::DeliveryId;
use crate::domain::percent::decode_form;
use crate::domain::token::Token;
use crate::outbox::{Filter, Page, Row, State, StoreError};

use super::Context;
use super::failed::RETRY_AFTER_S;
use super::problem::{Code, Problem};
use super::reader::Reader;
use super::receipt::{Receipt, json_line};
use super::reply::{JSON, Reply};

/// How long the store may take to answer.
const STORE_DEADLINE: Duration = Duration::from_secs(5);
const DEFAULT_LIMIT: usize = 50;
/// The longest page.
pub(super) const MAX_LIMIT: usize = 200;

/// How long the names of a filter may take to be looked up.
const LOOK_UP_DEADLINE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Listing {
    deliveries: Vec<Receipt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<DeliveryId>,
    /// What `channel=` stands for, as receipts write it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<String>,
}

#[derive(Default)]
struct Query {
    state: Option<State>,
    channel: Option<Channel>,
    after: Option<DeliveryId>,
    limit: Option<usize>,
}

/// `GET /deliveries`
pub(super) async fn list(context: &Context<'_>) -> Result<Reply, Problem> {
    let reader = Reader::of(context)?;
    let desk = desk(context)?;
    let query = query(context.query())?;
    let channels = match &query.channel {
        Some(channel) => meant(context, &reader, channel).await?,
        None => Vec::new(),
    };
    let filter = Filter {
        state: query.state,
        channels: channels.clone(),
        caller: reader.own().map(str::to_owned),
    };
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let page: Page = in_time(desk.store.list(filter, query.after, limit)).await?;
    let listing = Listing {
        deliveries: page.messages.into_iter().map(Receipt::of_rows).collect(),
        next: page.next,
        channels,
    };
    Ok(Reply::Text(200, JSON, json_line(&listing).into()))
}

/// What receipts may call the channel that is written so: as it is written, and every destination that it means and this
/// reader may know, by its target and, if that is a name, by its id. A name that cannot be looked up now finds what waits
/// under it.
async fn meant(
    context: &Context<'_>,
    reader: &Reader<'_>,
    channel: &Channel,
) -> Result<Vec<String>, Problem> {
    let scope = reader.token().and_then(Token::scope);
    let opens = |to: &&Destination| scope.is_none_or(|scope| scope.contains(*to));
    let resolved = context.state.directory.resolve(channel).ok();
    let known: Vec<&Destination> = resolved.iter().flat_map(|all| all.iter()).collect();
    let known: Vec<&Destination> = known.into_iter().filter(opens).collect();
    let dispatcher = context.dispatcher;
    let names = || known.iter().filter(|to| dispatcher.is_name(to));
    if names().next().is_some() {
        reader.take_quota(context)?;
    }
    let deadline = context.state.clock.now() + LOOK_UP_DEADLINE;
    let found = join_all(names().map(|to| dispatcher.ready(to, deadline))).await;
    let ids = found.iter().flatten().map(|to| to.recipient.channel());
    let targets = known.iter().map(|to| to.channel());
    let absent = dispatcher.target_of_absent(channel.as_str());
    let mut meant = vec![channel.as_str().to_owned()];
    for one in targets.chain(ids).chain(absent) {
        if !meant.iter().any(|other| other == one) {
            meant.push(one.to_owned());
        }
    }
    Ok(meant)
}

/// `GET /deliveries/{id}`
pub(super) async fn show(context: &Context<'_>, id: &str) -> Result<Reply, Problem> {
    let (_, rows) = find(context, id).await?;
    Ok(shown(rows))
}

/// `DELETE /deliveries/{id}`
pub(super) async fn drop_one(context: &Context<'_>, id: &str) -> Result<Reply, Problem> {
    let (id, rows) = find(context, id).await?;
    let is_waiting = |row: &Row| row.delivery.state == State::Waiting;
    if !rows.iter().any(is_waiting) {
        let detail = "nothing of this message waits any more; its receipt says how it ended";
        return Err(Problem::new(Code::Settled, detail));
    }
    let dispatcher = Arc::clone(context.dispatcher);
    match to_its_end(async move { dispatcher.drop_waiting(&rows).await }).await? {
        Dropped::All => {}
        Dropped::Busy => {
            let detail = "it is being delivered just now; look at its receipt in a moment";
            return Err(Problem::new(Code::InProgress, detail));
        }
    }
    Ok(shown(in_time(desk(context)?.store.find(id)).await?))
}

/// `POST /deliveries/{id}/retry`
pub(super) async fn retry(context: &Context<'_>, id: &str) -> Result<Reply, Problem> {
    let (id, rows) = find(context, id).await?;
    let is_delivered = |row: &Row| row.delivery.state == State::Delivered;
    if rows.iter().all(is_delivered) {
        let detail = "every destination has this message; there is nothing to try again";
        return Err(Problem::new(Code::Settled, detail));
    }
    let dispatcher = Arc::clone(context.dispatcher);
    to_its_end(async move { dispatcher.retry(id, &rows).await }).await?;
    Ok(shown(in_time(desk(context)?.store.find(id)).await?))
}

fn shown(rows: Vec<Row>) -> Reply {
    Reply::Text(200, JSON, json_line(&Receipt::of_rows(rows)).into())
}

async fn find(context: &Context<'_>, id: &str) -> Result<(DeliveryId, Vec<Row>), Problem> {
    let reader = Reader::of(context)?;
    let desk = desk(context)?;
    let unknown = || {
        let detail = "no stored message has this id, or its receipt has expired (RECEIPT_RETENTION); a message that was delivered at once was never stored";
        Problem::new(Code::NotFound, detail)
    };
    let id = DeliveryId::parse(id).ok_or_else(unknown)?;
    let rows = in_time(desk.store.find(id)).await?;
    if !reader.sees(&rows) {
        return Err(unknown());
    }
    Ok((id, rows))
}

pub(super) fn desk<'a>(context: &'a Context<'_>) -> Result<&'a Desk, Problem> {
    context.dispatcher.desk().ok_or_else(|| {
        let detail =
            "this proxy has no outbox (DATABASE_URL=none), so nothing waits and no receipt is kept";
        Problem::new(Code::NotFound, detail)
    })
}

pub(super) async fn in_time<T>(
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Problem> {
    let answered = tokio::time::timeout(STORE_DEADLINE, answer).await;
    answered.unwrap_or(Err(StoreError::Busy)).map_err(|error| {
        let detail = format!("the outbox did not answer: {error}");
        Problem::new(Code::StoreUnavailable, detail).retry_after_s(RETRY_AFTER_S)
    })
}

/// The same for what must not be broken off, whether its caller waits or not.
async fn to_its_end<T: 'static>(
    change: impl Future<Output = Result<T, StoreError>> + 'static,
) -> Result<T, Problem> {
    let change = actix_web::rt::spawn(change);
    in_time(async { change.await.unwrap_or(Err(StoreError::Closed)) }).await
}

fn query(raw: &[u8]) -> Result<Query, Problem> {
    let bad = |detail| Problem::new(Code::BadOption, detail);
    let mut query = Query::default();
    for part in raw.split(|&b| b == b'&').filter(|part| !part.is_empty()) {
        let mut halves = part.splitn(2, |&b| b == b'=');
        let (name, value) = (halves.next().unwrap_or_default(), halves.next());
        let value = decode_form(value.unwrap_or_default())
            .map_err(|_| bad("the query does not decode to text"))?;
        let is_given = match name {
            b"status" => query.state.is_some(),
            b"channel" => query.channel.is_some(),
            b"after" => query.after.is_some(),
            b"limit" => query.limit.is_some(),
            _ => false,
        };
        if is_given {
            return Err(bad("status, channel, after and limit are given once each"));
        }
        match name {
            b"status" => {
                query.state = Some(match &*value {
                    "queued" => State::Waiting,
                    "delivered" => State::Delivered,
                    "failed" => State::Failed,
                    _ => return Err(bad("status takes queued, delivered or failed")),
                });
            }
            b"channel" => {
                let channel = Channel::parse(&value).map_err(|_| {
                    bad("channel takes a channel as a post may write it: an alias, an id, a name")
                })?;
                query.channel = Some(channel);
            }
            b"after" => {
                let id = DeliveryId::parse(&value);
                query.after =
                    Some(id.ok_or_else(|| bad("after takes the 'next' of the page before"))?);
            }
            b"limit" => {
                let count = value.parse().ok().filter(|n| (1..=MAX_LIMIT).contains(n));
                let refused = || bad("limit takes a number from 1 to 200");
                query.limit = Some(count.ok_or_else(refused)?);
            }
            _ => return Err(bad("the query takes status, channel, after and limit")),
        }
    }
    Ok(query)
}
