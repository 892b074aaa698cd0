//! Reading `CHANNELS`: the alias table, every fault of it at once, and none that shows a webhook's URL.

use std::collections::HashMap;
use std::sync::Arc;

use super::channel::{
    Address, BackendShape, CONSOLE, Channel, Destination, Fallback, ResolveError, WebhookId,
    WebhookShape, platforms, prefixed,
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
                    "CHANNELS: entry {} is not alias=destination; an alias has no ':', ',', '@', '/', '=', control character or bidi override and at most {} characters",
                    index + 1,
                    Channel::MAX_CHARS
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
        let known = self.webhooks.iter().position(|known| *known == url);
        let index = known.unwrap_or(self.webhooks.len());
        if known.is_none() {
            self.webhooks.push(url);
        }
        let id = WebhookId {
            alias: alias.into(),
            index,
        };
        Ok(Destination {
            backend: kind.name,
            address: Address::Webhook(id),
        })
    }

    fn target(&self, text: &str) -> Result<Destination, String> {
        let (backend, target) = prefixed(self.backends, text).ok_or_else(|| {
            let known: Vec<_> = self.backends.iter().map(|b| b.name).collect();
            format!(
                "a destination is backend:target with a configured backend ({}), or a webhook such as slack+https://…",
                known.join(", ")
            )
        })?;
        if target.trim().is_empty() {
            return Err(ResolveError::NoTarget(backend).to_string());
        }
        Ok(Destination {
            backend,
            address: Address::Target(target.to_owned()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(channels: &str) -> Vec<String> {
        let backends = ["slack", CONSOLE].map(|name| BackendShape {
            name,
            recognises: |_| false,
        });
        let mut table = AliasTable {
            backends: &backends,
            webhook_kinds: &[WebhookShape {
                name: "slack",
                fault: |_| None,
            }],
            webhooks: Vec::new(),
            faults: Vec::new(),
        };
        table.read(channels);
        table.faults
    }

    #[test]
    fn every_fault_is_reported_and_shows_no_url() {
        let faults = faults(
            "a=b a= =slack:C1 x=slack:C1 x=slack:C2 y=slack+https:///secret z=teams:1 t=slack:",
        );
        assert_eq!(faults.len(), 8, "{faults:#?}");
        assert!(faults.iter().all(|f| !f.contains("secret")));
        assert_eq!(
            faults[7],
            "CHANNELS: the alias 't': the target after 'slack:' is missing"
        );
    }

    #[test]
    fn what_no_alias_has_is_named() {
        for (entry, named) in [
            ("s/e=console:a".to_owned(), "'/'"),
            ("s:e=console:a".to_owned(), "':'"),
            ("s,e=console:a".to_owned(), "','"),
            ("s@e=console:a".to_owned(), "'@'"),
            ("s\u{1}e=console:a".to_owned(), "control character"),
            ("s\u{202e}e=console:a".to_owned(), "bidi override"),
            (format!("{}=console:a", "s".repeat(513)), "512 characters"),
        ] {
            let [fault] = &faults(&entry)[..] else {
                panic!("{entry}");
            };
            assert!(fault.contains(named), "{named}: {fault}");
        }
    }
}
