//! `GET /channels`: what a caller may choose from, and what this proxy can do for it.
//!
//! It must not show a caller what it may not post to, nor a webhook's URL.

use serde::Serialize;

use crate::domain::channel::{Address, Destination};
use crate::domain::percent::decode_form;
use crate::domain::token::Token;

use super::super::Context;
use super::super::problem::{Code, Problem};
use super::super::reader::Reader;
use super::super::receipt::json_line;
use super::super::reply::{JSON, Reply};
use super::lists;

#[derive(Serialize)]
struct Choice<'a> {
    /// Who asks, as the log calls it.
    caller: &'a str,
    /// `PUBLIC_URL`
    #[serde(skip_serializing_if = "str::is_empty")]
    public_url: &'a str,
    /// Whether posting is open.
    open: bool,
    /// Whether `/sign` makes signed URLs.
    signs: bool,
    /// Whether a GET posts.
    get_posts: bool,
    /// Whether messages are kept, so that there are receipts.
    keeps: bool,
    /// Whether the platforms' own lists may be asked for.
    lists: bool,
    /// Whether other channels than these may be written.
    others: bool,
    /// The platforms that are configured.
    backends: Vec<&'static str>,
    channels: Vec<Entry<'a>>,
}

/// A channel as it is written in a URL.
#[derive(Serialize)]
struct Entry<'a> {
    channel: String,
    /// Where it goes, if it is an alias.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    destinations: Vec<Place<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    backend: &'static str,
    /// The platform's id or name; of an incoming webhook the alias.
    channel: &'a str,
}

/// `GET /channels`
pub(in super::super) async fn list(context: &Context<'_>) -> Result<Reply, Problem> {
    let reader = Reader::of(context)?;
    if let Some(backend) = backend(context.query())? {
        return lists::answer(context, &reader, &backend).await;
    }
    choice(context, &reader)
}

/// The backend whose own list is asked for.
fn backend(query: &[u8]) -> Result<Option<String>, Problem> {
    if query.is_empty() {
        return Ok(None);
    }
    let value = query.strip_prefix(b"backend=");
    let name = value.and_then(|value| decode_form(value).ok());
    let bad = || {
        Problem::new(
            Code::BadOption,
            "the query takes backend=, a name of 'backends'",
        )
    };
    name.map(|name| Some(name.into_owned())).ok_or_else(bad)
}

fn choice(context: &Context<'_>, reader: &Reader<'_>) -> Result<Reply, Problem> {
    let state = context.state;
    let scope = reader.token().and_then(Token::scope);
    let opens = |to: &Destination| scope.is_none_or(|scope| scope.contains(to));
    let aliases = state.directory.aliases();
    let mut channels: Vec<Entry<'_>> = aliases
        .filter(|(_, destinations)| destinations.iter().all(opens))
        .map(|(alias, destinations)| Entry {
            channel: alias.to_owned(),
            destinations: destinations.iter().map(place).collect(),
        })
        .collect();
    let for_aliases_only = state.directory.is_for_aliases_only();
    // What a token is bound to need not have an alias.
    let bound = scope.unwrap_or_default().iter();
    channels.extend(bound.filter(|_| !for_aliases_only).filter_map(spelled));
    channels.sort_by(|one, other| one.channel.cmp(&other.channel));
    let health = context.dispatcher.platforms().health();
    let choice = Choice {
        caller: reader.name(),
        public_url: &state.settings.public_url,
        open: reader.token().is_none(),
        signs: reader.token().is_some() && !state.callers.keys.is_empty(),
        get_posts: state.settings.get_posts,
        keeps: context.dispatcher.desk().is_some(),
        lists: lists::is_for(context, reader),
        others: scope.is_none() && !for_aliases_only,
        backends: health.states().map(|(name, _)| name).collect(),
        channels,
    };
    Ok(Reply::Text(200, JSON, json_line(&choice).into()))
}

fn place(destination: &Destination) -> Place<'_> {
    Place {
        backend: destination.backend,
        channel: destination.channel(),
    }
}

/// A destination as a channel of its own; an incoming webhook has none but its alias.
fn spelled(destination: &Destination) -> Option<Entry<'_>> {
    let Address::Target(target) = &destination.address else {
        return None;
    };
    Some(Entry {
        channel: format!("{}:{target}", destination.backend),
        destinations: Vec::new(),
    })
}
