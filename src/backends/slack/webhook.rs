//! Slack's incoming webhooks: `slack+https://hooks.slack.com/services/…` in `CHANNELS`.
//!
//! The URL is the credential and the channel in one, so a refusal concerns this one destination and is
//! never [`Refusal::Credentials`], which would stop the bot as well. Answers: reference/slack.md, section 3
//! (\[WH\], \[WHERR\], checked 2026).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde::Deserialize;

use super::answer::{of_code, redirected, shown_code, throttled, unavailable, unusable};
use super::render::{Envelope, render};
use crate::backends::wire::{Answer, Call, StatusGroup};
use crate::backends::{Backend, Part, Recipient, Shared, WebhookKind, Wire};
use crate::domain::delivery::{Failure, Later, Post, Posted, Refusal};
use crate::domain::mention::Mentions;
use crate::domain::web_url::WebUrl;

/// Incoming webhooks as `CHANNELS` knows them.
pub(super) const WEBHOOKS: WebhookKind = WebhookKind { fault, build };

/// Slack asks for at most an hour; our own cap on what a body says.
const MAX_RETRY_AFTER_S: u64 = 3600;

struct Webhook {
    mentions: Mentions,
}

fn build(shared: &Shared) -> Arc<dyn Backend> {
    Arc::new(Webhook {
        mentions: shared.mentions.clone(),
    })
}

/// What is wrong with a webhook's URL. A host of Slack's must show one of Slack's own webhooks; others may
/// be a gateway that passes them on.
fn fault(url: &WebUrl) -> Option<&'static str> {
    if !url.is_https() && !url.is_loopback() {
        return Some("the URL must begin with https://: it is a credential");
    }
    let Ok(uri) = url.to_uri() else {
        return Some("the URL holds a character that must be percent-encoded");
    };
    let path = uri.path();
    if path.starts_with("/triggers/") || path.starts_with("/workflows/") {
        return Some(
            "this URL starts a workflow, which takes other data than a message: create an incoming webhook, whose path begins with /services/",
        );
    }
    let slack = |host: &str| {
        url.host() == host
            || url
                .host()
                .strip_suffix(host)
                .is_some_and(|h| h.ends_with('.'))
    };
    let of_slack = slack("slack.com") || slack("slack-gov.com");
    let is_hook = url.host().starts_with("hooks.") && is_services_path(path);
    (of_slack && !is_hook).then_some(
        "a Slack webhook is https://hooks.slack.com/services/ and three further segments: copy it from the app's Incoming Webhooks page",
    )
}

fn is_services_path(path: &str) -> bool {
    path.strip_prefix("/services/").is_some_and(|rest| {
        let segments = || rest.split('/');
        segments().count() == 3 && segments().all(|segment| !segment.is_empty())
    })
}

impl Backend for Webhook {
    fn render(&self, post: &Post, _: &Recipient) -> Vec<Part> {
        let to = Envelope {
            channel: None,
            takes_name: false,
            mentions: &self.mentions,
        };
        render(post, &to)
    }

    fn deliver<'a>(
        &'a self,
        wire: &'a dyn Wire,
        to: &'a Recipient,
        part: &'a Part,
    ) -> LocalBoxFuture<'a, Result<Posted, Failure>> {
        Box::pin(async move {
            let Recipient::Webhook { alias, uri } = to else {
                return Err(no_webhook());
            };
            let call = Call::post_json(uri, None, part.body.clone());
            let answer = wire
                .call(call)
                .await
                .map_err(|error| error.into_failure("Slack's webhook"))?;
            classify_webhook(&answer)?;
            Ok(Posted {
                channel: Some(alias.to_string()),
                ..Posted::default()
            })
        })
    }
}

fn no_webhook() -> Failure {
    Failure::refused(
        Refusal::Misconfigured,
        "",
        "the destination is no webhook: set SLACK_BOT_TOKEN to post to channels by id or name",
    )
}

/// The JSON that a throttled webhook answers, and what speaks for one; all others are plain text.
#[derive(Deserialize)]
struct JsonAnswer {
    ok: Option<bool>,
    error: Option<String>,
    retry_after: Option<u64>,
}

/// The outcome of a post to an incoming webhook: the body's code first, then the status.
///
/// # Errors
/// The failure that the answer means; [`Failure::Unknown`] when the message may have been posted.
pub fn classify_webhook(answer: &Answer) -> Result<(), Failure> {
    match answer.group() {
        StatusGroup::Redirect => return Err(redirected("the webhook in CHANNELS")),
        StatusGroup::Throttled => return Err(slow_down(answer)),
        StatusGroup::Success if answer.status == 200 && says_ok(answer) => return Ok(()),
        _ => {}
    }
    let json = json(answer);
    let code = json
        .as_ref()
        .and_then(|json| json.error.as_deref())
        .unwrap_or_else(|| answer.text());
    // A page of text is not repeated.
    Err(of_webhook_code(code, answer).unwrap_or_else(|| by_status(shown_code(code), answer)))
}

/// In plain text, or as the Web API says it: a post that was taken must not be repeated.
fn says_ok(answer: &Answer) -> bool {
    answer.text() == "ok"
        || json(answer).is_some_and(|json| json.ok == Some(true) && json.error.is_none())
}

fn json(answer: &Answer) -> Option<JsonAnswer> {
    let object = answer.body.trim_ascii_start().starts_with(b"{");
    object.then(|| answer.json())?
}

fn of_webhook_code(code: &str, answer: &Answer) -> Option<Failure> {
    let refused = |reason, detail| Failure::refused(reason, code, detail);
    Some(match code {
        "rate_limited" | "ratelimited" => slow_down(answer),
        "rollup_error" => unavailable(answer),
        "no_service" | "no_service_id" | "no_team" | "no_active_hooks" | "channel_not_found" => {
            refused(Refusal::UnknownChannel, GONE)
        }
        "user_not_found" => refused(
            Refusal::UnknownChannel,
            "the person this webhook posts to is not in the workspace: create a new webhook and put it into CHANNELS",
        ),
        "channel_is_archived" => refused(
            Refusal::Archived,
            "the webhook's channel is archived: unarchive it, or create a webhook for another channel",
        ),
        "action_prohibited" | "posting_to_general_channel_denied" => refused(
            Refusal::NotAllowed,
            "a setting of the workspace keeps this webhook from posting in its channel: ask an admin to allow it",
        ),
        "invalid_token" => refused(
            Refusal::NotAllowed,
            "Slack refuses the credential in the webhook's URL: copy the URL again into CHANNELS",
        ),
        "team_disabled" => refused(
            Refusal::NotAllowed,
            "the webhook's workspace is disabled: create a webhook in another one",
        ),
        "invalid_payload" => refused(
            Refusal::Rejected,
            "Slack's webhook refuses the message as malformed",
        ),
        _ => return of_code(code, answer).map(concerning_the_hook),
    })
}

const GONE: &str = "Slack does not know this webhook or its channel any more (removed, or revoked because its URL leaked): create a new webhook and put it into CHANNELS";

/// A code of the Web API means the same here, except that there is no bot whose credentials it could be.
fn concerning_the_hook(failure: Failure) -> Failure {
    match failure {
        Failure::Refused {
            reason: Refusal::Credentials,
            platform_code,
            ..
        } => Failure::Refused {
            reason: Refusal::NotAllowed,
            platform_code,
            detail: "Slack refuses this webhook: create a new one and put it into CHANNELS"
                .to_owned(),
        },
        other => other,
    }
}

fn by_status(code: &str, answer: &Answer) -> Failure {
    let refused = |reason, detail| Failure::refused(reason, code, detail);
    match answer.group() {
        StatusGroup::Unavailable => unavailable(answer),
        StatusGroup::Throttled => slow_down(answer),
        StatusGroup::Redirect => redirected("the webhook in CHANNELS"),
        StatusGroup::Success | StatusGroup::Strange => unusable(answer),
        StatusGroup::Refused => match answer.status {
            401 | 403 => refused(
                Refusal::NotAllowed,
                "the webhook may not post: create a new one, or ask a workspace admin to allow it",
            ),
            404 | 410 => refused(Refusal::UnknownChannel, GONE),
            413 => refused(
                Refusal::TooLong,
                "the message is longer than Slack's webhook takes: shorten it",
            ),
            _ => refused(
                Refusal::Rejected,
                "Slack's webhook refuses the message for good",
            ),
        },
    }
}

/// The wait stands in the header, or in a JSON body.
fn slow_down(answer: &Answer) -> Failure {
    let in_body = || {
        let seconds = json(answer)?.retry_after?.clamp(1, MAX_RETRY_AFTER_S);
        Some(Duration::from_secs(seconds))
    };
    match answer.retry_after.or_else(in_body) {
        None => throttled(answer),
        some => Failure::later(Later::Throttled, some, "Slack asks to post more slowly"),
    }
}
