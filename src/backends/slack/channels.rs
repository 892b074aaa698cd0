//! The channels that the bot can see, page by page. Nothing is kept: whether private ones are asked for stands in the cursor.

use http::HeaderValue;

use super::is_target_id;
use super::list::{self, Asked, Channel, Query, Types, unusable};
use crate::backends::wire::MAX_LIST_BYTES;
use crate::backends::{Listed, Page, Wire};
use crate::domain::delivery::Failure;

const NOT_A_MEMBER: &str = "not a member: /invite the bot before it posts";
const PRIVATE: &str = "private";

/// One page; `list` is the URL of `conversations.list`.
pub(super) async fn page(
    wire: &dyn Wire,
    list: &str,
    authorization: &HeaderValue,
    cursor: Option<&str>,
) -> Result<Page, Failure> {
    let mut query = Query::new(list, authorization);
    query.max_answer_bytes = MAX_LIST_BYTES;
    if let Some(cursor) = cursor {
        let public = cursor.strip_prefix('p');
        if public.is_some() {
            query.types = Types::Public;
        }
        let cursor = public
            .or_else(|| cursor.strip_prefix('a'))
            .unwrap_or(cursor);
        query.cursor = cursor.to_owned();
    }
    let mut asked = query.ask(wire).await?;
    if matches!(asked, Asked::Denied { .. }) && query.public_only() {
        asked = query.ask(wire).await?;
    }
    match asked {
        Asked::Page(page) => Ok(shown(page, query.types)),
        Asked::Denied { failure, .. } => Err(failure),
        Asked::TooLarge => Err(unusable()),
    }
}

fn shown(page: list::Page, types: Types) -> Page {
    let is_open = |channel: &Channel| !channel.is_archived && is_target_id(&channel.id);
    let channels = page.channels.into_iter().filter(is_open).map(listed);
    Page {
        channels: channels.collect(),
        next: page.next.map(|next| format!("{}{next}", letter(types))),
    }
}

fn letter(types: Types) -> char {
    match types {
        Types::All => 'a',
        Types::Public => 'p',
    }
}

fn listed(channel: Channel) -> Listed {
    let note = match (channel.is_member, channel.is_private) {
        (false, _) => NOT_A_MEMBER,
        (true, true) => PRIVATE,
        (true, false) => "",
    };
    Listed {
        id: channel.id,
        name: format!("#{}", channel.name.unwrap_or_default()),
        note,
    }
}
