//! Incoming webhooks: the URL is channel and credential in one, so it is never shown.
//!
//! The server tells neither the post's id nor whether it was seen: an archived channel takes messages with `ok`
//! (reference 12). It has no idempotency field, so a repeat is a second post.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use http::Uri;

use super::PLATFORM;
use super::answer::classify_hook;
use super::health::{self, PING};
use super::lookup::is_id;
use super::render::{Layout, MAX_HOOK_PROPS_COST, hook_parts};
use super::text::{Dress, Route};
use crate::backends::wire::{Answer, Call};
use crate::backends::{Backend, Part, Recipient, WebhookKind, Wire};
use crate::domain::delivery::{Failure, Post, Posted, Refusal};
use crate::domain::mention::Mentions;
use crate::domain::web_url::WebUrl;

/// `mattermost+https://…` in `CHANNELS`.
pub(super) const WEBHOOKS: WebhookKind = WebhookKind {
    fault,
    build: |shared| {
        Arc::new(Hooks {
            mentions: shared.mentions.clone(),
        })
    },
};

const HOOKS_PATH: &str = "/hooks/";

struct Hooks {
    mentions: Mentions,
}

/// What is wrong with a webhook's URL; any host will do, also over http: many servers are internal.
fn fault(url: &WebUrl) -> Option<&'static str> {
    let form = "expected the URL that Mattermost shows: it ends in /hooks/ and 26 lower-case letters and digits";
    let id = url.as_str().rsplit_once(HOOKS_PATH).map(|(_, id)| id);
    match (id, url.to_uri()) {
        (Some(id), Ok(_)) if is_id(id) => None,
        _ => Some(form),
    }
}

impl Backend for Hooks {
    fn render(&self, post: &Post, _: &Recipient) -> Vec<Part> {
        let dress = Dress {
            mentions: &self.mentions,
            format: post.format,
            route: Route::Hook,
        };
        hook_parts(
            post,
            Layout {
                dress,
                max_props_cost: MAX_HOOK_PROPS_COST,
                default_name: None,
            },
        )
    }

    fn deliver<'a>(
        &'a self,
        wire: &'a dyn Wire,
        to: &'a Recipient,
        part: &'a Part,
    ) -> LocalBoxFuture<'a, Result<Posted, Failure>> {
        Box::pin(async move {
            let Recipient::Webhook { alias, uri } = to else {
                return Err(Failure::refused(
                    Refusal::Misconfigured,
                    "",
                    "this is no webhook",
                ));
            };
            let answer = wire
                .call(Call::post_json(uri, None, part.body.clone()))
                .await
                .map_err(|e| e.into_failure(PLATFORM))?;
            match classify_hook(&answer) {
                Ok(()) => Ok(Posted {
                    channel: Some(alias.to_string()),
                    pause: answer.retry_after,
                    ..Posted::default()
                }),
                Err(refused) => Err(confirm(wire, uri, &answer, refused).await),
            }
        })
    }
}

async fn confirm(wire: &dyn Wire, hook: &Uri, answer: &Answer, refused: Failure) -> Failure {
    match ping_of(hook) {
        Some(ping) => health::confirm(wire, &ping, answer, refused).await,
        None => refused,
    }
}

/// The ping of the server that a webhook belongs to: its URL up to `/hooks/`.
fn ping_of(hook: &Uri) -> Option<Uri> {
    let (subpath, _) = hook.path().rsplit_once(HOOKS_PATH)?;
    let mut parts = http::uri::Parts::default();
    parts.scheme = hook.scheme().cloned();
    parts.authority = hook.authority().cloned();
    parts.path_and_query = format!("{subpath}{PING}").parse().ok();
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4yoxbndrfg8ejkmcpqxot1uwis";

    #[test]
    fn a_hook_url_ends_in_its_id() {
        for (url, good) in [
            (format!("https://chat.example.com/hooks/{ID}"), true),
            (
                format!("http://mattermost.internal:8065/chat/hooks/{ID}"),
                true,
            ),
            (format!("https://chat.example.com/hooks/{ID}/"), false),
            (format!("https://chat.example.com/hooks/{ID}?x=1"), false),
            ("https://chat.example.com/hooks/short".to_owned(), false),
            ("https://chat.example.com/".to_owned(), false),
        ] {
            let fault = fault(&WebUrl::parse(&url).unwrap());
            assert_eq!(fault.is_none(), good, "{url}");
            assert!(fault.is_none_or(|f| !f.contains(ID)));
        }
    }

    #[test]
    fn the_ping_belongs_to_the_hooks_server() {
        for (hook, ping) in [
            (
                "https://h/hooks/x",
                "https://h/api/v4/system/ping?get_server_status=true",
            ),
            (
                "http://h:8065/a/hooks/x",
                "http://h:8065/a/api/v4/system/ping?get_server_status=true",
            ),
        ] {
            assert_eq!(ping_of(&hook.parse().unwrap()).unwrap(), ping);
        }
    }
}
