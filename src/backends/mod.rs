//! Chat platforms: how a post looks on each, how it is sent, and what the answers mean.
//!
//! A backend knows its platform and nothing else: it is lent a [`Wire`] for everything it does to the
//! world, so it holds no client, no clock and no retry loop. Adding one is one new folder and two lines
//! here: `mod` and its [`Kind`] in [`KINDS`]; configuration, the README table, `/ready` and the contract
//! tests walk that list.

pub mod console;
pub mod conversations;
pub mod install;
mod listing;
pub mod mattermost;
mod prefix;
pub mod slack;
pub mod teams;
pub mod wire;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::Uri;

use crate::domain::delivery::{Failure, Post, Posted};
use crate::domain::mention::Mentions;
use crate::domain::quota::Limit;
use crate::domain::web_url::WebUrl;
use crate::env::{Reader, Var};

pub use conversations::Conversations;
pub use listing::{Listed, Listing, Page};
pub use teams::Door;
pub use wire::Wire;

/// Every platform, in the order of the documents.
pub const KINDS: &[Kind] = &[mattermost::KIND, slack::KIND, teams::KIND, console::KIND];

/// A platform as the program knows it before any credential is read.
pub struct Kind {
    /// The name in `backend:target`, in receipts, logs and metrics.
    pub name: &'static str,
    /// Its own variables.
    pub vars: &'static [Var],
    /// Whether a target has the shape of this platform's ids or names.
    pub recognises: fn(&str) -> bool,
    /// Makes the backend when its credentials are set; notes what is wrong with them.
    pub configure: fn(&mut Reader<'_>, &Shared) -> Option<Arc<dyn Backend>>,
    /// Its incoming webhooks, if it has any.
    pub webhooks: Option<WebhookKind>,
    /// The default of `PACE_<NAME>`; `off` where the platform names no pace.
    pub pace: &'static str,
}

/// A platform's incoming webhooks: `slack+https://…` in `CHANNELS`.
pub struct WebhookKind {
    /// What is wrong with such a URL, if anything; it must not repeat the URL.
    pub fault: fn(&WebUrl) -> Option<&'static str>,
    /// Makes the backend that serves all webhooks of this kind.
    pub build: fn(&Shared) -> Arc<dyn Backend>,
}

/// Settings that all backends share.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// `ALLOW_MENTIONS`
    pub mentions: Mentions,
    /// The conversations in which bots were seen.
    pub conversations: Arc<Conversations>,
}

/// A configured platform.
///
/// Implementors must not log, sleep, retry or cache failures; the dispatcher does. A `detail` in a
/// [`Failure`] says what happened and how to fix it, and holds no message, credential or webhook URL.
pub trait Backend: Send + Sync {
    /// The parts of a post, in order, each within the platform's limits. Pure: `dry=1`, the length check and
    /// the delivery are this one function.
    fn render(&self, post: &Post, to: &Recipient) -> Vec<Part>;

    /// Sends one part. `Ok` only after the platform has accepted it.
    fn deliver<'a>(
        &'a self,
        wire: &'a dyn Wire,
        to: &'a Recipient,
        part: &'a Part,
    ) -> LocalBoxFuture<'a, Result<Posted, Failure>>;

    /// Whether a target is a name that must be looked up; an id never is.
    fn is_name(&self, _target: &str) -> bool {
        false
    }

    /// The workspace of a target, where the platform limits a bot in each workspace as a whole.
    fn workspace<'t>(&self, _target: &'t str) -> Option<&'t str> {
        None
    }

    /// The id of a name. Called only where [`Backend::is_name`] says so; the caller caches the answer.
    fn find<'a>(
        &'a self,
        _wire: &'a dyn Wire,
        name: &'a str,
    ) -> LocalBoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move { Ok(name.to_owned()) })
    }

    /// Whether the platform answers and takes the credentials; posts nothing.
    fn check<'a>(&'a self, _wire: &'a dyn Wire) -> LocalBoxFuture<'a, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    /// One page of the channels that the bot can see: the first without a cursor, then that of the page before.
    /// The caller keeps the waits that the platform asks for.
    fn list<'a>(
        &'a self,
        _wire: &'a dyn Wire,
        _cursor: Option<&'a str>,
    ) -> LocalBoxFuture<'a, Result<Listing, Failure>> {
        Box::pin(async { Ok(Listing::None("it shows a bot no list of channels")) })
    }

    /// How workspaces install its app, if they can.
    fn installer(&self) -> Option<&dyn install::Installer> {
        None
    }

    /// The bot's own user id, where the platform has such and tells it.
    fn own_user<'a>(
        &'a self,
        _wire: &'a dyn Wire,
    ) -> LocalBoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async { Ok(None) })
    }

    /// Whether the same part, sent again at once, is recognised as the same post: then an unknown outcome
    /// may be tried again without making two.
    fn recognises_repeats(&self) -> bool {
        false
    }
}

/// Where a part goes, with names already looked up.
#[derive(Clone)]
pub enum Recipient {
    /// The platform's id of a channel.
    Target(String),
    /// An incoming webhook. `uri` is a credential.
    Webhook {
        /// The alias it stands under.
        alias: Arc<str>,
        /// Where to post.
        uri: Uri,
    },
}

/// One platform message: the exact JSON, without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// JSON text.
    pub body: Bytes,
}

impl Recipient {
    /// The target, or the webhook's alias.
    #[must_use]
    pub fn channel(&self) -> &str {
        match self {
            Self::Target(target) => target,
            Self::Webhook { alias, .. } => alias,
        }
    }
}

impl Part {
    /// Writes a value as JSON. Values of ours always serialise; should one not, the platform gets `null`
    /// and refuses it, which is visible, where a panic would not be.
    #[must_use]
    pub fn json(value: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec());
        Self { body: body.into() }
    }
}

/// What the pace of a platform is unless `PACE_<NAME>` says otherwise.
#[must_use]
pub fn default_pace(kind: &Kind) -> Limit {
    crate::domain::quota::parse_limit(kind.pace).unwrap_or_default()
}
