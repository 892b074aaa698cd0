//! What a post and its destination look like in the outbox: no credential, no webhook URL, nothing rendered.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::channel::{Address, Destination, WebhookId};
use crate::domain::delivery::{DeliveryId, Post};
use crate::domain::digest;
use crate::domain::message::Message;
use crate::domain::options::{Format, Level};
use crate::domain::web_url::WebUrl;
use crate::outbox::{self, Kind, Lane};

use super::{Platforms, Ready};

/// A post as it is stored. Short names: it is written with every waiting message.
#[derive(Serialize, Deserialize)]
struct StoredPost<'a> {
    #[serde(rename = "m", borrow)]
    message: std::borrow::Cow<'a, str>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    level: Option<String>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    as_name: Option<String>,
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    plain: bool,
}

/// The bytes of a post.
pub(super) fn to_bytes(post: &Post) -> Vec<u8> {
    let stored = StoredPost {
        message: post.message.as_str().into(),
        title: post.title.clone(),
        link: post.link.as_ref().map(|link| link.as_str().to_owned()),
        level: post.level.map(|level| level.word().to_owned()),
        as_name: post.as_name.clone(),
        plain: post.format == Format::Plain,
    };
    // Texts and a flag always serialise.
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// The post of these bytes; `None` if a later version wrote them, or a fault.
pub(super) fn from_bytes(id: DeliveryId, bytes: &[u8]) -> Option<Post> {
    let stored: StoredPost<'_> = serde_json::from_slice(bytes).ok()?;
    Some(Post {
        id,
        message: Message::parse(&stored.message).ok()?,
        title: stored.title,
        link: match stored.link {
            Some(link) => Some(WebUrl::parse(&link).ok()?),
            None => None,
        },
        level: match stored.level {
            Some(word) => Some(Level::parse(&word)?),
            None => None,
        },
        as_name: stored.as_name,
        format: if stored.plain {
            Format::Plain
        } else {
            Format::Markup
        },
    })
}

/// The kind of a lane whose name cannot be looked up yet, and how the lane shows it.
const NAME: u8 = 1;
const NAME_BIT: i64 = 1;

/// What is stored of a webhook's URL, to find it again under whatever alias.
pub(super) fn webhook_hash(url: &str) -> [u8; 16] {
    digest::first(Sha256::digest(url.as_bytes()).into())
}

/// The lane of an address. The same for every version of the program, since it is stored; and a digest, so that
/// nobody can make up a channel that shares another's lane.
fn lane_of(backend: &str, kind: u8, target: &[u8]) -> Lane {
    let mut hash = Sha256::new();
    hash.update(backend.as_bytes());
    hash.update([0, kind]);
    hash.update(target);
    let number = i64::from_le_bytes(digest::first(hash.finalize().into()));
    Lane(if kind == NAME {
        number | NAME_BIT
    } else {
        number & !NAME_BIT
    })
}

/// Whether what waits in this lane waits for a name to be looked up, and may be for any channel of its backend.
pub(super) fn is_of_name(lane: Lane) -> bool {
    lane.0 & NAME_BIT != 0
}

/// The lane of an id.
pub(super) fn lane_of_id(backend: &str, id: &str) -> Lane {
    lane_of(backend, 0, id.as_bytes())
}

/// The lane of a name that cannot be looked up yet.
pub(super) fn lane_of_name(backend: &str, name: &str) -> Lane {
    lane_of(backend, NAME, name.as_bytes())
}

/// The lane of a webhook.
pub(super) fn lane_of_webhook(backend: &str, hash: &[u8; 16]) -> Lane {
    lane_of(backend, 2, hash)
}

/// The lane of what a source sends to the internal API.
pub(super) fn lane_of_relay(source: &str) -> Lane {
    lane_of("relay", 3, source.as_bytes())
}

/// The address of a destination that is ready.
pub(super) fn address(ready: &Ready) -> outbox::Address {
    outbox::Address {
        backend: ready.backend.to_owned(),
        target: ready.recipient.channel().to_owned(),
        kind: match ready.webhook_hash {
            Some(hash) => Kind::Webhook(hash),
            None if ready.is_named => Kind::Name,
            None => Kind::Id,
        },
    }
}

/// The destination of an address, as this configuration knows it: a webhook is found by its URL, whatever alias it
/// stands under now. `None` if the backend or the webhook is not configured any more.
pub(super) fn destination(platforms: &Platforms, to: &outbox::Address) -> Option<Destination> {
    let platform = platforms.platforms.iter().find(|p| p.name == to.backend)?;
    let address = match to.kind {
        Kind::Id | Kind::Name => Address::Target(to.target.clone()),
        // The internal API is no channel.
        Kind::Relay => return None,
        Kind::Webhook(hash) => Address::Webhook(WebhookId {
            alias: to.target.as_str().into(),
            index: platforms.webhook_hashes.iter().position(|h| *h == hash)?,
        }),
    };
    Some(Destination {
        backend: platform.name,
        address,
    })
}
