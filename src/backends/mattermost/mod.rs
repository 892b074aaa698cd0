//! Mattermost: the bot that posts through the REST API, and incoming webhooks (`webhook.rs`).
//!
//! Facts come from the protocol reference, observed on Team Edition 5.37.0; `reference N` in a comment is its
//! section. Nothing here retries, sleeps, logs or caches.

pub mod answer;
#[cfg(test)]
mod answers;
mod channels;
mod config;
#[cfg(test)]
mod exchange;
mod health;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod live;
mod lookup;
mod refusals;
mod render;
#[cfg(test)]
mod tests;
mod text;
mod webhook;

use std::borrow::Cow;

use futures_util::future::LocalBoxFuture;
use http::{HeaderValue, Uri};
use serde::Deserialize;

use self::render::{Layout, MAX_PROPS_COST, bot_parts};
use self::text::{Dress, Route};
use super::wire::{Answer, Call};
use super::{Backend, Kind, Listing, Part, Recipient, Wire};
use crate::domain::delivery::{Failure, Post, Posted};
use crate::domain::mention::Mentions;
use crate::domain::web_url::{WebUrl, WebUrlError};

/// Mattermost as a platform.
pub const KIND: Kind = Kind {
    name: "mattermost",
    vars: config::VARS,
    recognises: lookup::recognises,
    configure: config::configure,
    webhooks: Some(webhook::WEBHOOKS),
    // The server's own limit is off by default, and says what it wants when it is on (reference 7).
    pace: "off",
};

/// The name in what callers read.
const PLATFORM: &str = "Mattermost";

/// A bot account of one server.
struct Bot {
    base: WebUrl,
    posts: Uri,
    me: Uri,
    ping: Uri,
    authorization: HeaderValue,
    /// The name of posts that bring none.
    name: Option<String>,
    mentions: Mentions,
}

impl Bot {
    /// A bot at a site's address, which has no slash at its end.
    fn try_new(
        base: WebUrl,
        authorization: HeaderValue,
        name: Option<String>,
        mentions: Mentions,
    ) -> Result<Self, WebUrlError> {
        Ok(Self {
            posts: base.join("/api/v4/posts")?,
            me: base.join("/api/v4/users/me")?,
            ping: base.join(health::PING)?,
            base,
            authorization,
            name,
            mentions,
        })
    }

    /// With the address that opens the post in whatever team it is: a route of the web client, not of the
    /// server, since before 5.37.
    fn linked(&self, posted: Posted) -> Posted {
        let link = posted
            .message_id
            .as_ref()
            .map(|id| [self.base.base(), "/_redirect/pl/", id].concat());
        Posted { link, ..posted }
    }
}

/// What `/users/me` says of the bot (reference 10).
#[derive(Deserialize)]
struct Me<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Bot {
    /// The answer of `/users/me`, which the server gives only to good credentials.
    async fn me(&self, wire: &dyn Wire) -> Result<Answer, Failure> {
        let answer = wire
            .call(Call::get(&self.me, Some(&self.authorization)))
            .await
            .map_err(lookup::unanswered)?;
        match answer::classify_check(&answer) {
            Ok(()) => Ok(answer),
            Err(refused) => Err(health::confirm(wire, &self.ping, &answer, refused).await),
        }
    }
}

impl Backend for Bot {
    fn render(&self, post: &Post, to: &Recipient) -> Vec<Part> {
        let dress = Dress {
            mentions: &self.mentions,
            format: post.format,
            route: Route::Posts,
        };
        let layout = Layout {
            dress,
            max_props_cost: MAX_PROPS_COST,
            default_name: self.name.as_deref(),
        };
        bot_parts(post, to.channel(), layout)
    }

    fn deliver<'a>(
        &'a self,
        wire: &'a dyn Wire,
        to: &'a Recipient,
        part: &'a Part,
    ) -> LocalBoxFuture<'a, Result<Posted, Failure>> {
        Box::pin(async move {
            let call = Call::post_json(&self.posts, Some(&self.authorization), part.body.clone());
            let answer = wire
                .call(call)
                .await
                .map_err(|e| e.into_failure(PLATFORM))?;
            match answer::classify(&answer) {
                Ok(posted) => Ok(self.linked(posted)),
                Err(refused) => {
                    let confirmed = health::confirm(wire, &self.ping, &answer, refused).await;
                    Err(lookup::explain(self, wire, to.channel(), confirmed).await)
                }
            }
        })
    }

    fn is_name(&self, target: &str) -> bool {
        !lookup::is_id(target)
    }

    fn find<'a>(
        &'a self,
        wire: &'a dyn Wire,
        name: &'a str,
    ) -> LocalBoxFuture<'a, Result<String, Failure>> {
        Box::pin(lookup::find(self, wire, name))
    }

    fn check<'a>(&'a self, wire: &'a dyn Wire) -> LocalBoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move { self.me(wire).await.map(|_| ()) })
    }

    fn list<'a>(
        &'a self,
        wire: &'a dyn Wire,
        cursor: Option<&'a str>,
    ) -> LocalBoxFuture<'a, Result<Listing, Failure>> {
        Box::pin(async move {
            let page = channels::page(self, wire, cursor).await?;
            Ok(Listing::Page(page))
        })
    }

    fn own_user<'a>(
        &'a self,
        wire: &'a dyn Wire,
    ) -> LocalBoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async move {
            let answer = self.me(wire).await?;
            Ok(answer.json().map(|me: Me<'_>| me.id.into_owned()))
        })
    }

    /// For 30 s, by `pending_post_id` (reference 5).
    fn recognises_repeats(&self) -> bool {
        true
    }
}
