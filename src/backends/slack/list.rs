//! One page of `conversations.list` (reference/slack.md 4.2, checked 2026-11-21): how it is asked for, and what an answer
//! means. It goes on to no other page and keeps nothing; that is for `lookup` and `channels`.

use http::{HeaderValue, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::answer::{classify_read, safe_scopes, unread};
use crate::backends::Wire;
use crate::backends::wire::{Answer, Call, MAX_ANSWER_BYTES};
use crate::domain::delivery::{Failure, Later};

/// Slack advises 100 to 200 (reference/slack.md 4.2, checked 2026-11-21).
const PAGE_SIZE: usize = 200;
/// A longer cursor than this is none of Slack's.
const MAX_CURSOR_BYTES: usize = 1024;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Types {
    /// Public and private channels.
    All,
    /// Those that an app without `groups:read` may ask for.
    Public,
}

/// What the next request asks for.
pub(super) struct Query<'a> {
    list: &'a str,
    authorization: &'a HeaderValue,
    pub types: Types,
    pub size: usize,
    /// Empty for the first page.
    pub cursor: String,
    pub max_answer_bytes: usize,
}

/// What an answer brings.
pub(super) enum Asked {
    Page(Page),
    /// The token may not see all of these types.
    Denied {
        /// The scope that Slack asks for, if it says so.
        needed: String,
        failure: Failure,
    },
    /// The page is larger than what is read of an answer.
    TooLarge,
}

pub(super) struct Page {
    pub channels: Vec<Channel>,
    /// The cursor of the next page; `None` after the last.
    pub next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Channel {
    pub id: String,
    pub name: Option<String>,
    #[serde(default)]
    pub is_private: bool,
    #[serde(default)]
    pub is_archived: bool,
    #[serde(default)]
    pub is_member: bool,
}

#[derive(Deserialize)]
struct Reply {
    ok: bool,
    error: Option<String>,
    needed: Option<String>,
    #[serde(default)]
    channels: Vec<Channel>,
    response_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    next_cursor: Option<String>,
}

impl Types {
    fn text(self) -> &'static str {
        match self {
            Self::All => "public_channel%2Cprivate_channel",
            Self::Public => "public_channel",
        }
    }
}

impl<'a> Query<'a> {
    /// The first page of all channels; `list` is the URL of `conversations.list`.
    pub(super) fn new(list: &'a str, authorization: &'a HeaderValue) -> Self {
        Self {
            list,
            authorization,
            types: Types::All,
            size: PAGE_SIZE,
            cursor: String::new(),
            max_answer_bytes: MAX_ANSWER_BYTES,
        }
    }

    /// Turns to public channels alone; `false` if it has already. Cursors belong to one query, so the list begins anew.
    pub(super) fn public_only(&mut self) -> bool {
        let is_new = self.types != Types::Public;
        self.types = Types::Public;
        self.cursor.clear();
        is_new
    }

    /// Asks once.
    pub(super) async fn ask(&self, wire: &dyn Wire) -> Result<Asked, Failure> {
        let uri = self.uri()?;
        let call = Call {
            max_answer_bytes: self.max_answer_bytes,
            ..Call::get(&uri, Some(self.authorization))
        };
        let answer = wire.call(call).await.map_err(unread)?;
        read(&answer)
    }

    fn uri(&self) -> Result<Uri, Failure> {
        let mut text = format!(
            "{}?types={}&exclude_archived=true&limit={}",
            self.list,
            self.types.text(),
            self.size
        );
        if !self.cursor.is_empty() {
            text.push_str("&cursor=");
            text.extend(utf8_percent_encode(&self.cursor, NON_ALPHANUMERIC));
        }
        text.parse().map_err(|_| unusable())
    }
}

fn read(answer: &Answer) -> Result<Asked, Failure> {
    if answer.is_success() && answer.truncated {
        return Ok(Asked::TooLarge);
    }
    let Some(reply) = answer.json::<Reply>().filter(|_| answer.is_success()) else {
        return Err(failure_of(answer));
    };
    if reply.ok {
        return page(reply).map(Asked::Page);
    }
    match reply.error.as_deref() {
        Some("missing_scope" | "invalid_types") => Ok(Asked::Denied {
            needed: safe_scopes(reply.needed.as_deref().unwrap_or_default()),
            failure: failure_of(answer),
        }),
        Some("invalid_cursor") => Err(Failure::later(
            Later::Unavailable,
            None,
            "Slack let go of the list of channels half-way; the next try begins anew",
        )),
        _ => Err(failure_of(answer)),
    }
}

fn page(reply: Reply) -> Result<Page, Failure> {
    let metadata = reply.response_metadata;
    let next = metadata.and_then(|metadata| metadata.next_cursor);
    let next = next.filter(|cursor| !cursor.is_empty());
    let is_strange = |cursor: &String| cursor.len() > MAX_CURSOR_BYTES;
    if next.as_ref().is_some_and(is_strange) {
        return Err(unusable());
    }
    Ok(Page {
        channels: reply.channels,
        next,
    })
}

/// What an answer that is no page means.
fn failure_of(answer: &Answer) -> Failure {
    classify_read(answer).err().unwrap_or_else(unusable)
}

/// Something at that address is not Slack's list.
pub(super) fn unusable() -> Failure {
    Failure::later(
        Later::Unavailable,
        None,
        "Slack's list of channels cannot be read: it has an outage, or SLACK_API_URL is not the address of its API; a channel's id needs no list",
    )
}
