//! The proxy's own commands, as they are asked on any platform: what is said of this channel.

use std::sync::Arc;

use actix_web::http::header;

use super::super::Context;
use crate::domain::channel::{Address, Destination};
use crate::domain::digest;
use crate::inbound::command::{Command, Credential, Place, Style};
use crate::outbox::Once;

/// How long a question is known again: longer than any platform repeats one.
const REMEMBERED_MS: u64 = 26 * 3600 * 1000;

/// Posts the answer into the channel. `question` is what repeats of the same question have in common: it is answered once.
pub(super) async fn answer(
    context: &Context<'_>,
    command: Command,
    channel: Destination,
    question: &[&str],
) {
    let state = context.state;
    let key = digest::of_list("command", question.iter().copied());
    let Some(first) = state.seen.first(digest::first(key), state.clock.now()) else {
        return;
    };
    first.keep();
    let text = command.answer(&place(context, &channel), Style::Plain);
    let once = Once {
        key,
        fingerprint: Default::default(),
        expires_ms: context.dispatcher.unix_ms() + REMEMBERED_MS,
    };
    let dispatcher = Arc::clone(context.dispatcher);
    dispatcher.notify(channel, &text, Some(once)).await;
}

/// The channel that is asked about, and how a post gets there.
pub(super) fn place(context: &Context<'_>, channel: &Destination) -> Place {
    let state = context.state;
    let credential = if !state.callers.tokens.is_empty() {
        Credential::Token
    } else if !state.callers.keys.is_empty() {
        Credential::Signature
    } else {
        Credential::None
    };
    Place {
        channel: format!("{}:{}", channel.backend, channel.channel()),
        alias: alias(context, channel),
        base: base(context),
        credential,
        only_aliases: state.directory.is_for_aliases_only(),
    }
}

/// A channel by its platform's id.
pub(super) fn channel(backend: &'static str, id: &str) -> Destination {
    Destination {
        backend,
        address: Address::Target(id.to_owned()),
    }
}

/// The alias that means this channel and no other; of several, the first by name.
fn alias(context: &Context<'_>, channel: &Destination) -> Option<String> {
    let aliases = context.state.directory.aliases();
    let names = aliases.filter(|(_, to)| matches!(to, [only] if only == channel));
    names.map(|(name, _)| name).min().map(str::to_owned)
}

/// `PUBLIC_URL`, else where this very request came in.
fn base(context: &Context<'_>) -> String {
    let public = &context.state.settings.public_url;
    if !public.is_empty() {
        return public.clone();
    }
    let headers = context.request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_behind = context.state.callers.trusted_hops > 0;
    let scheme = text("x-forwarded-proto").filter(|said| is_behind && *said == "https");
    let outside = text("x-forwarded-host").filter(|_| is_behind);
    let host = outside.or_else(|| text(header::HOST.as_str()));
    let host = host.unwrap_or("localhost");
    format!("{}://{host}", scheme.unwrap_or("http"))
}
