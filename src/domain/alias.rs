//! Reading `CHANNELS`: the alias table, every fault of it at once, and none that shows a webhook's URL.

use std::collections::HashMap;
use std::sync::Arc;

use super::channel::{
    Address, BackendShape, CONSOLE, Channel, Destination, Fallback, WebhookId, WebhookShape,
    platforms, prefixed,
};
use super::web_url::WebUrl;

/// `CHANNELS` while it is read.
pub(super) struct AliasTable<'a> {
    pub(super) backends: &'a [BackendShape],
    pub(super) webhook_kinds: &'a [WebhookShape],
    pub(super) webhooks: Vec<WebUrl>,
    pub(super) faults: Vec<String>,
}

impl AliasTable<'_> {
    pub(super) fn read(&mut self, text: &str) -> HashMap<String, Arc<[Destination]>> {
        let mut aliases = HashMap::new();
        for (index, entry) in text.split_whitespace().enumerate() {
            let Some((alias, list)) = entry.split_once('=').filter(|(alias, _)| is_alias(alias))
            else {
                self.faults.push(format!(
                    "CHANNELS: entry {} is not alias=destination; an alias has no ':', ',', '@' or '='",
                    index + 1
                ));
                continue;
            };
            let destinations = self.destinations(alias, list);
            if aliases.insert(alias.to_owned(), destinations).is_some() {
                self.faults
                    .push(format!("CHANNELS: the alias '{alias}' is defined twice"));
            }
        }
        aliases
    }

    fn destinations(&mut self, alias: &str, list: &str) -> Arc<[Destination]> {
        list.split(',')
            .filter_map(|text| self.destination(alias, text))
            .collect()
    }

    fn destination(&mut self, alias: &str, text: &str) -> Option<Destination> {
        let found = match self
            .webhook_kinds
            .iter()
            .find(|kind| is_webhook(kind, text))
        {
            Some(kind) => self.webhook(kind, alias, &text[kind.name.len() + 1..]),
            None => self.target(text),
        };
        found
            .map_err(|fault| {
                self.faults
                    .push(format!("CHANNELS: the alias '{alias}': {fault}"))
            })
            .ok()
    }

    fn webhook(
        &mut self,
        kind: &WebhookShape,
        alias: &str,
        url: &str,
    ) -> Result<Destination, String> {
        let url =
            WebUrl::parse(url).map_err(|fault| format!("its {} webhook: {fault}", kind.name))?;
        if let Some(fault) = (kind.fault)(&url) {
            return Err(format!("its {} webhook: {fault}", kind.name));
        }
        self.webhooks.push(url);
        let id = WebhookId {
            alias: alias.into(),
            index: self.webhooks.len() - 1,
        };
        Ok(Destination {
            backend: kind.name,
            address: Address::Webhook(id),
        })
    }

    fn target(&self, text: &str) -> Result<Destination, String> {
        prefixed(self.backends, text)
            .map(|(backend, target)| Destination { backend, address: Address::Target(target.to_owned()) })
            .ok_or_else(|| {
                let known: Vec<_> = self.backends.iter().map(|b| b.name).collect();
                format!(
                    "a destination is backend:target with a configured backend ({}), or a webhook such as slack+https://…",
                    known.join(", ")
                )
            })
    }

    /// The only backend; else `DEFAULT_BACKEND`; else by shape. The console stands in when nothing at all
    /// is configured, and never swallows messages beside configured webhooks.
    pub(super) fn fallback(&mut self, default: Option<&str>) -> Fallback {
        let platforms = platforms(self.backends);
        if let Some(name) = default {
            let Some(backend) = self.backends.iter().find(|b| b.name == name) else {
                self.faults.push(format!(
                    "DEFAULT_BACKEND: '{}' is not a configured backend; configured: {}",
                    name.chars().take(40).collect::<String>(),
                    self.backends
                        .iter()
                        .map(|b| b.name)
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
                return Fallback::Nowhere;
            };
            if platforms.len() != 1 {
                return Fallback::Backend(backend.name);
            }
        }
        match platforms[..] {
            [] if self.webhooks.is_empty() => Fallback::Backend(CONSOLE),
            [] => Fallback::Nowhere,
            [only] => Fallback::Backend(only),
            _ => Fallback::ByShape,
        }
    }
}

fn is_alias(text: &str) -> bool {
    !text.is_empty() && !text.contains([':', ',', '@', '/']) && Channel::parse(text).is_ok()
}

fn is_webhook(kind: &WebhookShape, text: &str) -> bool {
    text.strip_prefix(kind.name)
        .and_then(|rest| rest.strip_prefix('+'))
        .is_some_and(|url| url.starts_with("https://") || url.starts_with("http://"))
}
