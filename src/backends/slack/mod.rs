//! `slack`: posts through the Web API, with the bot token of one workspace and with those of workspaces that have installed
//! the app, and through incoming webhooks.
//!
//! Facts and tags (\[PM\], \[WH\], …): reference/slack.md, checked 2026. It must not retry, pace, cache names or
//! follow redirects: the dispatcher does the first three, nobody the last.

mod answer;
mod channels;
mod codes;
mod install;
mod list;
mod lookup;
mod render;
mod text;
mod webhook;
mod workspaces;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use envconfig::Envconfig;
use futures_util::future::LocalBoxFuture;
use http::{HeaderValue, Uri};

use super::install::{Grant, Installation, Installer, NoRoom};
use super::wire::Call;
use super::{Backend, Kind, Listing, Part, Recipient, Shared, Wire};
use crate::domain::delivery::{Failure, Post, Posted, Refusal};
use crate::domain::mention::Mentions;
use crate::domain::web_url::WebUrl;
use crate::env::{Reader, Var};
use install::App;
use workspaces::{Place, Workspaces};

pub use answer::{classify, classify_read};
pub use install::BOT_SCOPES;
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
    Var {
        name: "SLACK_CLIENT_ID",
        default: "",
        secret: false,
        doc: "the Client ID of a Slack app that several workspaces install at `/slack/install`; with `SLACK_CLIENT_SECRET` and `STORE_KEY`",
    },
    Var {
        name: "SLACK_CLIENT_SECRET",
        default: "",
        secret: true,
        doc: "the Client Secret of that app",
    },
];

const DEFAULT_API_URL: &str = "https://slack.com/api";

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "SLACK_BOT_TOKEN")]
    token: Option<String>,
    #[envconfig(from = "SLACK_API_URL")]
    api_url: Option<String>,
    #[envconfig(from = "SLACK_CLIENT_ID")]
    client_id: Option<String>,
    #[envconfig(from = "SLACK_CLIENT_SECRET")]
    client_secret: Option<String>,
}

/// Why there is no list without `SLACK_BOT_TOKEN`.
const NO_LIST: &str = "the tokens of workspaces that have installed the app are the running proxy's alone: say '@bot where' in a \
     channel to be told its address, which begins with the workspace's id (slack:T0TEAM001/C0OPS0001)";

/// The bot of one workspace, and of those that have installed the app.
struct Slack {
    /// Of `SLACK_BOT_TOKEN`.
    authorization: Option<HeaderValue>,
    methods: Methods,
    mentions: Mentions,
    app: Option<App>,
    workspaces: Workspaces,
}

/// The addresses of the methods that are called.
struct Methods {
    post: Uri,
    test: Uri,
    list: String,
}

fn configure(reader: &mut Reader<'_>, shared: &Shared) -> Option<Arc<dyn Backend>> {
    let vars: Vars = reader.vars();
    let url = vars.api_url.as_deref().unwrap_or(DEFAULT_API_URL);
    let api = reader.value("SLACK_API_URL", Some(url), None, |text| {
        Methods::parse(text).map(Some)
    });
    let app = configure_app(reader, &vars, api.as_ref().map(|(base, _)| base));
    let credentials = ["SLACK_BOT_TOKEN", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"];
    if vars.api_url.is_some() && !credentials.iter().any(|name| reader.is_given(name)) {
        reader.fault(
            "SLACK_BOT_TOKEN",
            "SLACK_API_URL is set and this is not: set it to the Bot User OAuth Token (xoxb-…), or unset both",
        );
    }
    let authorization = reader.value("SLACK_BOT_TOKEN", vars.token.as_deref(), None, |text| {
        parse_token(text).map(Some)
    });
    if authorization.is_none() && app.is_none() {
        return None;
    }
    let (_, methods) = api?;
    Some(Arc::new(Slack {
        authorization,
        methods,
        mentions: shared.mentions.clone(),
        app,
        workspaces: Workspaces::default(),
    }))
}

/// The app that workspaces install. What it needs besides is looked at where those settings are.
fn configure_app(reader: &mut Reader<'_>, vars: &Vars, api: Option<&WebUrl>) -> Option<App> {
    let mut read = |name, value: &Option<String>| {
        reader.value(name, value.as_deref(), None, |text| {
            parse_app(text).map(Some)
        })
    };
    let id = read("SLACK_CLIENT_ID", &vars.client_id);
    let secret = read("SLACK_CLIENT_SECRET", &vars.client_secret);
    let missing = match (&vars.client_id, &vars.client_secret) {
        (Some(_), None) if id.is_some() => "SLACK_CLIENT_SECRET",
        (None, Some(_)) if secret.is_some() => "SLACK_CLIENT_ID",
        _ => {
            return App::new(&id?, &secret?, api?)
                .map_err(|fault| reader.fault("SLACK_API_URL", fault))
                .ok();
        }
    };
    // Its file cannot be used, which is told already.
    if reader.is_faulty(missing) {
        return None;
    }
    reader.fault(
        missing,
        "the other one of SLACK_CLIENT_ID and SLACK_CLIENT_SECRET is set and this is not: copy both from the app's Basic Information, or unset both",
    );
    None
}

/// A part of the app's credentials. In Basic credentials a colon would end the id.
fn parse_app(text: &str) -> Result<String, &'static str> {
    let is_good = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    is_good
        .then(|| text.to_owned())
        .ok_or("expected the value of the app's Basic Information alone: letters, digits and dots")
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
    bearer(text).ok_or("expected the Bot User OAuth Token (xoxb-…)")
}

/// The value of `Authorization` for a token; `None` for what is no token.
fn bearer(token: &str) -> Option<HeaderValue> {
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

impl Methods {
    /// The base address, and the methods there.
    fn parse(text: &str) -> Result<(WebUrl, Self), String> {
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
        let methods = Self {
            post: at("/chat.postMessage")?,
            test: at("/auth.test")?,
            list: at("/conversations.list")?.to_string(),
        };
        Ok((url, methods))
    }
}

/// Whether a target without a prefix is Slack's: `C`, `G`, `D`, `U`, `W` and at least eight of `A-Z0-9`
/// (\[SPEC\]), or `#name`; before it may stand the workspace's id and a slash.
fn recognises(target: &str) -> bool {
    let Place { workspace, channel } = Place::of(target);
    let named = channel
        .strip_prefix('#')
        .is_some_and(|name| !name.is_empty());
    let is_whole = workspace.is_none_or(|id| id.len() > 8);
    is_whole && (named || (channel.len() > 8 && is_target_id(channel)))
}

/// Whether a target is an id. Names are lower case, so nothing in capitals is one.
fn is_target_id(target: &str) -> bool {
    text::is_id(target, "CGDUW")
}

impl Backend for Slack {
    fn render(&self, post: &Post, to: &Recipient) -> Vec<Part> {
        let to = render::Envelope {
            channel: Some(Place::of(to.channel()).channel),
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
            let Recipient::Target(target) = to else {
                return Err(no_target());
            };
            let place = Place::of(target);
            let authorization = self.authorization(place.workspace)?;
            let call = Call::post_json(&self.methods.post, Some(&authorization), part.body.clone());
            let answer = wire
                .call(call)
                .await
                .map_err(|error| error.into_failure("Slack"))?;
            let posted = classify(&answer)
                .map_err(|failure| self.failure_of(place.workspace, &authorization, failure))?;
            Ok(Posted {
                channel: posted.channel.map(|channel| place.target_of(channel)),
                ..posted
            })
        })
    }

    fn is_name(&self, target: &str) -> bool {
        !is_target_id(Place::of(target).channel)
    }

    fn workspace<'t>(&self, target: &'t str) -> Option<&'t str> {
        Some(Place::of(target).workspace.unwrap_or_default())
    }

    fn find<'a>(
        &'a self,
        wire: &'a dyn Wire,
        name: &'a str,
    ) -> LocalBoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let place = Place::of(name);
            let authorization = self.authorization(place.workspace)?;
            let found = lookup::find(wire, &self.methods.list, &authorization, place.channel).await;
            found
                .map(|id| place.target_of(id))
                .map_err(|failure| self.failure_of(place.workspace, &authorization, failure))
        })
    }

    /// Of the workspaces, one is asked: they are the same server, and a trouble of one is not the backend's.
    fn check<'a>(&'a self, wire: &'a dyn Wire) -> LocalBoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let workspace = match &self.authorization {
                Some(_) => None,
                None => match self.workspaces.first() {
                    Some(workspace) => Some(workspace),
                    None => return Ok(()),
                },
            };
            self.test(wire, workspace.as_deref()).await
        })
    }

    /// Of the workspace of `SLACK_BOT_TOKEN`: what was installed lies sealed in the outbox of a server.
    fn list<'a>(
        &'a self,
        wire: &'a dyn Wire,
        cursor: Option<&'a str>,
    ) -> LocalBoxFuture<'a, Result<Listing, Failure>> {
        Box::pin(async move {
            let Some(authorization) = &self.authorization else {
                return Ok(Listing::None(NO_LIST));
            };
            let page = channels::page(wire, &self.methods.list, authorization, cursor).await?;
            Ok(Listing::Page(page))
        })
    }

    fn installer(&self) -> Option<&dyn Installer> {
        Some(self)
    }
}

impl Installer for Slack {
    fn consent_url(&self, state: &str, redirect: Option<&str>) -> Option<String> {
        Some(self.app.as_ref()?.consent_url(state, redirect))
    }

    fn obtain<'a>(
        &'a self,
        wire: &'a dyn Wire,
        grant: Grant<'a>,
        now_ms: u64,
    ) -> LocalBoxFuture<'a, Result<Installation, Failure>> {
        Box::pin(async move {
            let app = self.app.as_ref().ok_or_else(no_app)?;
            app.obtain(wire, grant, now_ms).await
        })
    }

    fn check_workspace<'a>(
        &'a self,
        wire: &'a dyn Wire,
        workspace: &'a str,
    ) -> LocalBoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.test(wire, Some(workspace)))
    }

    fn room_for(&self, workspace: &str) -> Result<(), NoRoom> {
        self.workspaces.room_for(workspace)
    }

    fn adopt(&self, installation: Installation) -> Result<(), NoRoom> {
        self.workspaces.adopt(installation)
    }

    fn lock(&self, workspace: &str) {
        self.workspaces.lock(workspace);
    }

    fn forget(&self, workspace: &str) {
        self.workspaces.forget(workspace);
    }

    fn installation(&self, workspace: &str) -> Option<Installation> {
        self.workspaces.installation(workspace)
    }

    fn due(&self, now_ms: u64) -> Vec<Installation> {
        self.workspaces.due(now_ms)
    }
}

impl Slack {
    /// The credentials for a workspace, or for the one of `SLACK_BOT_TOKEN`.
    fn authorization(&self, workspace: Option<&str>) -> Result<HeaderValue, Failure> {
        match workspace {
            Some(workspace) => self.workspaces.authorization(workspace),
            None => self.authorization.clone().ok_or_else(no_workspace),
        }
    }

    async fn test(&self, wire: &dyn Wire, workspace: Option<&str>) -> Result<(), Failure> {
        let authorization = self.authorization(workspace)?;
        let call = Call::post_json(&self.methods.test, Some(&authorization), "{}".into());
        let answer = wire.call(call).await.map_err(answer::unread)?;
        classify_read(&answer)
            .map_err(|failure| self.failure_of(workspace, &authorization, failure))
    }

    fn failure_of(&self, workspace: Option<&str>, used: &HeaderValue, failure: Failure) -> Failure {
        match workspace {
            Some(workspace) => self.workspaces.failure_of(workspace, used, failure),
            None => failure,
        }
    }
}

fn no_target() -> Failure {
    Failure::refused(
        Refusal::Misconfigured,
        "",
        "the destination is a webhook, which a bot token does not open",
    )
}

/// A caller's mistake, and no reason to stop posts to others.
fn no_workspace() -> Failure {
    Failure::refused(
        Refusal::UnknownChannel,
        "",
        "which workspace? This proxy posts to those that have installed its app: write slack:TEAMID/CHANNEL, such as T0TEAM001/C0OPS0001 (%2F in a URL), or set SLACK_BOT_TOKEN for the channels of one workspace",
    )
}

fn no_app() -> Failure {
    Failure::refused(
        Refusal::Workspace,
        "",
        "the app's credentials are not configured: set SLACK_CLIENT_ID and SLACK_CLIENT_SECRET",
    )
}
