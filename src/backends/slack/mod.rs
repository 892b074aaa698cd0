//! `slack`: posts with a bot token through the Web API, and through incoming webhooks.
//!
//! Facts and tags (\[PM\], \[WH\], …): reference/slack.md, checked 2026. It must not retry, pace, cache names or
//! follow redirects: the dispatcher does the first three, nobody the last.

mod answer;
mod channels;
mod codes;
mod lookup;
mod render;
mod text;
mod webhook;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use envconfig::Envconfig;
use futures_util::future::LocalBoxFuture;
use http::{HeaderValue, Uri};

use super::wire::Call;
use super::{Backend, Kind, Listing, Part, Recipient, Shared, Wire};
use crate::domain::delivery::{Failure, Post, Posted, Refusal};
use crate::domain::mention::Mentions;
use crate::domain::web_url::WebUrl;
use crate::env::{Reader, Var};

pub use answer::{classify, classify_read};
pub use webhook::classify_webhook;

/// Slack as a platform.
pub const KIND: Kind = Kind {
    name: "slack",
    vars: VARS,
    recognises,
    configure,
    webhooks: Some(webhook::WEBHOOKS),
    // One message a second and channel, over every route together [RL].
    pace: "1/s",
};

const VARS: &[Var] = &[
    Var {
        name: "SLACK_BOT_TOKEN",
        default: "",
        secret: true,
        doc: "the Bot User OAuth Token (`xoxb-…`) of a Slack app with the scope `chat:write`",
    },
    Var {
        name: "SLACK_API_URL",
        default: DEFAULT_API_URL,
        secret: false,
        doc: "the address of Slack's Web API (GovSlack: `https://slack-gov.com/api`)",
    },
];

const DEFAULT_API_URL: &str = "https://slack.com/api";

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "SLACK_BOT_TOKEN")]
    token: Option<String>,
    #[envconfig(from = "SLACK_API_URL")]
    api_url: Option<String>,
}

/// A bot of one workspace.
struct Slack {
    authorization: HeaderValue,
    methods: Methods,
    mentions: Mentions,
}

/// The addresses of the methods that are called.
struct Methods {
    post: Uri,
    test: Uri,
    list: String,
}

fn configure(reader: &mut Reader<'_>, shared: &Shared) -> Option<Arc<dyn Backend>> {
    let vars: Vars = reader.vars();
    let methods = reader.value(
        "SLACK_API_URL",
        Some(vars.api_url.as_deref().unwrap_or(DEFAULT_API_URL)),
        None,
        |text| Methods::parse(text).map(Some),
    );
    let Some(token) = vars.token else {
        if vars.api_url.is_some() {
            reader.fault(
                "SLACK_BOT_TOKEN",
                "SLACK_API_URL is set and this is not: set it to the Bot User OAuth Token (xoxb-…), or unset both",
            );
        }
        return None;
    };
    let authorization = reader.value("SLACK_BOT_TOKEN", Some(&token), None, |text| {
        parse_token(text).map(Some)
    })?;
    Some(Arc::new(Slack {
        authorization,
        methods: methods?,
        mentions: shared.mentions.clone(),
    }))
}

/// The header of a token. Unknown beginnings pass, because Slack adds kinds; clear mistakes do not.
fn parse_token(text: &str) -> Result<HeaderValue, &'static str> {
    if text.contains("://") || text.starts_with("hooks.slack") {
        return Err(
            "expected the Bot User OAuth Token (xoxb-…), got a URL; a webhook goes into CHANNELS as alias=slack+https://…",
        );
    }
    if text.starts_with("xapp-") {
        return Err(
            "this is an app-level token (xapp-…); expected the Bot User OAuth Token (xoxb-…) from OAuth & Permissions",
        );
    }
    if text.starts_with("xoxe-") {
        return Err(
            "this is a refresh token (xoxe-…); expected the Bot User OAuth Token (xoxb-… or xoxe.xoxb-…)",
        );
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(
            "expected the Bot User OAuth Token alone: no spaces, no line ends, no word Bearer before it",
        );
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {text}"))
        .map_err(|_| "expected the Bot User OAuth Token (xoxb-…)")?;
    header.set_sensitive(true);
    Ok(header)
}

impl Methods {
    fn parse(text: &str) -> Result<Self, String> {
        let url = WebUrl::parse(text).map_err(|fault| fault.to_string())?;
        if !url.is_https() && !url.is_loopback() {
            return Err("expected https://: the bot token is sent there".to_owned());
        }
        if text.contains(['?', '#']) {
            return Err(format!(
                "expected a base address such as {DEFAULT_API_URL}, without '?' or '#'"
            ));
        }
        let at = |method| url.join(method).map_err(|fault| fault.to_string());
        Ok(Self {
            post: at("/chat.postMessage")?,
            test: at("/auth.test")?,
            list: at("/conversations.list")?.to_string(),
        })
    }
}

/// Whether a target without a prefix is Slack's: `C`, `G`, `D`, `U`, `W` and at least eight of `A-Z0-9`
/// (\[SPEC\]), or `#name`.
fn recognises(target: &str) -> bool {
    let named = target
        .strip_prefix('#')
        .is_some_and(|name| !name.is_empty());
    named || (target.len() > 8 && is_target_id(target))
}

/// Whether a target is an id. Names are lower case, so nothing in capitals is one.
fn is_target_id(target: &str) -> bool {
    text::is_id(target, "CGDUW")
}

impl Backend for Slack {
    fn render(&self, post: &Post, to: &Recipient) -> Vec<Part> {
        let to = render::Envelope {
            channel: Some(to.channel()),
            takes_name: true,
            mentions: &self.mentions,
        };
        render::render(post, &to)
    }

    fn deliver<'a>(
        &'a self,
        wire: &'a dyn Wire,
        to: &'a Recipient,
        part: &'a Part,
    ) -> LocalBoxFuture<'a, Result<Posted, Failure>> {
        Box::pin(async move {
            // The alias of a webhook is no channel; posted as one, it could name somebody else's.
            if matches!(to, Recipient::Webhook { .. }) {
                return Err(no_target());
            }
            let answer = wire
                .call(self.call(&self.methods.post, part.body.clone()))
                .await
                .map_err(|error| error.into_failure("Slack"))?;
            classify(&answer)
        })
    }

    fn is_name(&self, target: &str) -> bool {
        !is_target_id(target)
    }

    fn find<'a>(
        &'a self,
        wire: &'a dyn Wire,
        name: &'a str,
    ) -> LocalBoxFuture<'a, Result<String, Failure>> {
        Box::pin(lookup::find(
            wire,
            &self.methods.list,
            &self.authorization,
            name,
        ))
    }

    fn check<'a>(&'a self, wire: &'a dyn Wire) -> LocalBoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let answer = wire
                .call(self.call(&self.methods.test, "{}".into()))
                .await
                .map_err(answer::unread)?;
            classify_read(&answer)
        })
    }

    fn list<'a>(
        &'a self,
        wire: &'a dyn Wire,
        cursor: Option<&'a str>,
    ) -> LocalBoxFuture<'a, Result<Listing, Failure>> {
        Box::pin(async move {
            let page =
                channels::page(wire, &self.methods.list, &self.authorization, cursor).await?;
            Ok(Listing::Page(page))
        })
    }
}

impl Slack {
    fn call<'a>(&'a self, method: &'a Uri, body: bytes::Bytes) -> Call<'a> {
        Call::post_json(method, Some(&self.authorization), body)
    }
}

fn no_target() -> Failure {
    Failure::refused(
        Refusal::Misconfigured,
        "",
        "the destination is a webhook, which a bot token does not open",
    )
}
