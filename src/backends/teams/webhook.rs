//! Incoming webhooks of Teams: the signed URL of a Power Automate flow ("Workflows"). The flow answers
//! before it posts, so a delivery here means that the flow has begun; its later failures show only in its
//! run history, and there is no message id.
//!
//! The URL is the credential: it is sent byte for byte and never shown.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use super::answer;
use super::render::{self, Envelope};
use crate::backends::wire::{Answer, Call, StatusGroup};
use crate::backends::{Backend, Part, Recipient, Shared, WebhookKind, Wire};
use crate::domain::delivery::{Failure, Later, Post, Posted, Refusal};
use crate::domain::web_url::WebUrl;

/// Webhooks as `CHANNELS` knows them.
pub const WEBHOOKS: WebhookKind = WebhookKind { fault, build };

/// Where flows are triggered, in all clouds: reference/teams.md 3.2, checked 2026-11-21. Other hosts are
/// accepted (an operator may stand a gateway before them), but of these we know what a whole URL holds.
const FLOW_HOSTS: [&str; 2] = [".logic.azure.", ".environment.api.powerplatform.com"];

struct Flows;

fn build(_: &Shared) -> Arc<dyn Backend> {
    Arc::new(Flows)
}

/// What is wrong with a webhook's URL, if anything.
#[must_use]
pub fn fault(url: &WebUrl) -> Option<&'static str> {
    if is_connector(url) {
        return Some(
            "Office 365 connectors are retired; in Teams, make a flow with \"Workflows\" (\"When a Teams webhook request is \
             received\") and use its URL",
        );
    }
    if !url.is_https() && !url.is_loopback() {
        return Some("the URL must begin with https://");
    }
    if url.as_str().contains('#') || url.to_uri().is_err() {
        return Some("this is no URL that can be posted to; copy it again from the flow's trigger");
    }
    let is_flow = FLOW_HOSTS.iter().any(|part| url.host().contains(part));
    if is_flow && !url.as_str().contains("sig=") {
        return Some(
            "the URL holds no signature (sig=): it is cut off, or its flow is limited to tenant users; quote the URL, and let \
             the flow be triggered by anyone",
        );
    }
    None
}

fn is_connector(url: &WebUrl) -> bool {
    let host = url.host();
    host == "webhook.office.com"
        || host.ends_with(".webhook.office.com")
        || (matches!(host, "outlook.office.com" | "outlook.office365.com")
            && url.as_str().to_ascii_lowercase().contains("/webhook"))
}

impl Backend for Flows {
    fn render(&self, post: &Post, _: &Recipient) -> Vec<Part> {
        render::parts(post, Envelope::Webhook)
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
                    Refusal::UnknownChannel,
                    "",
                    "this is no Teams webhook; name its alias",
                ));
            };
            let call = Call::post_json(uri, None, part.body.clone());
            let answer = wire.call(call).await;
            let answer = answer.map_err(|e| e.into_failure("the Teams webhook"))?;
            classify(&answer).map(|posted| Posted {
                channel: Some(alias.to_string()),
                ..posted
            })
        })
    }
}

/// What a flow's answer says. The body is the flow author's and says nothing, but a page is no flow's.
///
/// # Errors
/// [`Failure`] for everything but 200 to 299.
pub fn classify(answer: &Answer) -> Result<Posted, Failure> {
    let is_page = answer.status != 202 && answer.is_page();
    match answer.group() {
        StatusGroup::Success if is_page => Err(Failure::Unknown {
            is_answered: false,
            detail: "the Teams webhook answered with a page instead of a flow's answer; check the URL in CHANNELS".to_owned(),
        }),
        StatusGroup::Success => Ok(Posted::default()),
        StatusGroup::Redirect => Err(Failure::refused(
            Refusal::Misconfigured,
            "",
            "the Teams webhook redirects to somewhere else; set the URL in CHANNELS to the final address",
        )),
        StatusGroup::Throttled => Err(answer::later(answer, Later::Throttled)),
        StatusGroup::Unavailable => Err(answer::later(answer, Later::Unavailable)),
        StatusGroup::Refused => Err(refused(answer)),
        StatusGroup::Strange => Err(Failure::Unknown {
            is_answered: !answer.is_page(),
            detail: "the Teams webhook gave an answer that cannot be understood; the message may or may not have been posted"
                .to_owned(),
        }),
    }
}

/// A wrong signature is `NotAllowed`, not `Credentials`: it is one webhook's, not all of them.
fn refused(answer: &Answer) -> Failure {
    let (reason, detail) = match answer.status {
        401 | 403 => (
            Refusal::NotAllowed,
            "the flow refuses the webhook's signature: copy the URL again, and let the flow be triggered by anyone",
        ),
        404 | 410 => (
            Refusal::UnknownChannel,
            "the webhook's flow does not exist, is switched off or has a new URL: look at it in Workflows",
        ),
        413 => (
            Refusal::TooLong,
            "the message is longer than the webhook takes; shorten it",
        ),
        _ => (
            Refusal::Rejected,
            "the webhook refused the request: check the URL and that the flow begins with \"When a Teams webhook request \
             is received\"",
        ),
    };
    Failure::refused(reason, &answer::code_of(answer), detail)
}
