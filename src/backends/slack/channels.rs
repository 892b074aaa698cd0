//! The channels that the bot can see, page by page through `conversations.list` (reference/slack.md 4.2, checked 2026-11-21).
//! Nothing is kept: whether private ones are asked for stands in the cursor.

use http::{HeaderValue, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::answer::{classify_read, unread};
use super::is_target_id;
use crate::backends::wire::{Answer, Call, MAX_LIST_BYTES};
use crate::backends::{Listed, Page, Wire};
use crate::domain::delivery::{Failure, Later};

/// Slack advises 100 to 200 (reference/slack.md 4.2, checked 2026-11-21).
const PAGE_SIZE: usize = 200;
/// A longer cursor than this is none of Slack's.
const MAX_CURSOR_BYTES: usize = 1024;

const NOT_A_MEMBER: &str = "not a member: /invite the bot before it posts";
const PRIVATE: &str = "private";

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Types {
    /// Public and private channels.
    All,
    /// Those that an app without `groups:read` may ask for.
    Public,
}

#[derive(Deserialize)]
struct Reply {
    ok: bool,
    error: Option<String>,
    #[serde(default)]
    channels: Vec<Channel>,
    response_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Channel {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    is_private: bool,
    #[serde(default)]
    is_archived: bool,
    #[serde(default)]
    is_member: bool,
}

#[derive(Deserialize)]
struct Metadata {
    next_cursor: Option<String>,
}

impl Types {
    fn query(self) -> &'static str {
        match self {
            Self::All => "public_channel%2Cprivate_channel",
            Self::Public => "public_channel",
        }
    }

    fn letter(self) -> char {
        match self {
            Self::All => 'a',
            Self::Public => 'p',
        }
    }
}

/// One page; `list` is the URL of `conversations.list`.
pub(super) async fn page(
    wire: &dyn Wire,
    list: &str,
    authorization: &HeaderValue,
    cursor: Option<&str>,
) -> Result<Page, Failure> {
    let (types, cursor) = match cursor {
        None => (Types::All, ""),
        Some(cursor) => match cursor.strip_prefix('p') {
            Some(cursor) => (Types::Public, cursor),
            None => (Types::All, cursor.strip_prefix('a').unwrap_or(cursor)),
        },
    };
    let answer = ask(wire, list, authorization, types, cursor).await?;
    let first = reply(&answer)?;
    let lacks_scope = matches!(
        first.error.as_deref(),
        Some("missing_scope" | "invalid_types")
    );
    if lacks_scope && types == Types::All {
        // Cursors belong to one query, so the list begins anew.
        let answer = ask(wire, list, authorization, Types::Public, "").await?;
        return read(&answer, reply(&answer)?, Types::Public);
    }
    read(&answer, first, types)
}

async fn ask(
    wire: &dyn Wire,
    list: &str,
    authorization: &HeaderValue,
    types: Types,
    cursor: &str,
) -> Result<Answer, Failure> {
    let mut text = format!(
        "{list}?types={}&exclude_archived=true&limit={PAGE_SIZE}",
        types.query()
    );
    if !cursor.is_empty() {
        text.push_str("&cursor=");
        text.extend(utf8_percent_encode(cursor, NON_ALPHANUMERIC));
    }
    let uri: Uri = text.parse().map_err(|_| unusable())?;
    let call = Call {
        max_answer_bytes: MAX_LIST_BYTES,
        ..Call::get(&uri, Some(authorization))
    };
    wire.call(call).await.map_err(unread)
}

/// The body of an answer of the Web API; by its status if it is none.
fn reply(answer: &Answer) -> Result<Reply, Failure> {
    if let Some(reply) = answer.json().filter(|_| answer.is_success()) {
        return Ok(reply);
    }
    classify_read(answer)?;
    Err(unusable())
}

fn read(answer: &Answer, reply: Reply, types: Types) -> Result<Page, Failure> {
    if !reply.ok {
        classify_read(answer)?;
        return Err(unusable());
    }
    let next = reply
        .response_metadata
        .and_then(|metadata| metadata.next_cursor);
    let next = next.filter(|next| !next.is_empty());
    if next
        .as_ref()
        .is_some_and(|next| next.len() > MAX_CURSOR_BYTES)
    {
        return Err(unusable());
    }
    let is_open = |channel: &Channel| !channel.is_archived && is_target_id(&channel.id);
    Ok(Page {
        channels: reply
            .channels
            .into_iter()
            .filter(is_open)
            .map(listed)
            .collect(),
        next: next.map(|next| format!("{}{next}", types.letter())),
    })
}

fn listed(channel: Channel) -> Listed {
    let note = match (channel.is_member, channel.is_private) {
        (false, _) => NOT_A_MEMBER,
        (true, true) => PRIVATE,
        (true, false) => "",
    };
    Listed {
        id: channel.id,
        name: format!("#{}", channel.name),
        note,
    }
}

fn unusable() -> Failure {
    Failure::later(
        Later::Unavailable,
        None,
        "Slack's list of channels cannot be read: it has an outage, or SLACK_API_URL is not the address of its API",
    )
}
