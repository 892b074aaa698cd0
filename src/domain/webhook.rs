//! Incoming webhooks of the alias table. Their URLs are credentials, so everything else names them by their place.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::web_url::WebUrl;

/// Names a webhook without showing its URL. Under whatever alias, one URL is one webhook.
#[derive(Debug, Clone)]
pub struct WebhookId {
    /// The alias it stands under.
    pub alias: Arc<str>,
    /// Its place in [`Webhooks`].
    pub index: usize,
}

impl PartialEq for WebhookId {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl Eq for WebhookId {}

impl Hash for WebhookId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.index.hash(state);
    }
}

/// The URLs of all incoming webhooks, by [`WebhookId::index`].
#[derive(Debug, Clone, Default)]
pub struct Webhooks(pub(super) Vec<WebUrl>);

/// A kind of incoming webhook: `slack` in `slack+https://…`.
#[derive(Clone, Copy)]
pub struct WebhookShape {
    /// The platform's name.
    pub name: &'static str,
    /// What is wrong with a URL of this kind, if anything.
    pub fault: fn(&WebUrl) -> Option<&'static str>,
}

impl Webhooks {
    /// The URL of a webhook.
    #[must_use]
    pub fn url(&self, id: &WebhookId) -> Option<&WebUrl> {
        self.0.get(id.index)
    }

    /// All URLs.
    pub fn iter(&self) -> impl Iterator<Item = &WebUrl> {
        self.0.iter()
    }
}
