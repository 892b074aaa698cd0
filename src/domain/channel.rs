//! From a channel as written to the destinations it means.

use std::collections::HashMap;
use std::sync::Arc;

use super::alias::AliasTable;
use super::message::is_forbidden;
use super::scan;
pub use super::webhook::{WebhookId, WebhookShape, Webhooks};

/// A channel as the caller wrote it, decoded: one line, not blank.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Channel(String);

/// Why a text is no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// Nothing there.
    #[error("the channel is empty")]
    Empty,
    /// A control character, a line end or a bidi override, which no platform's id or name holds.
    #[error("the channel holds a control character or a bidi override")]
    Control,
    /// Longer than any platform's id.
    #[error("the channel has {chars} characters, at most {max} are accepted", max = Channel::MAX_CHARS)]
    TooLong {
        /// How many there are.
        chars: usize,
    },
}

/// Where a message goes: a backend, and an address on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The backend's name.
    pub backend: &'static str,
    /// Where on it.
    pub address: Address,
}

/// An address on a backend.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// What the platform calls a channel: an id or a name.
    Target(String),
    /// An incoming webhook of the alias table. The URL is a credential and stays in [`Webhooks`].
    Webhook(WebhookId),
}

/// What the directory must know of a backend.
#[derive(Clone, Copy)]
pub struct BackendShape {
    /// The backend's name.
    pub name: &'static str,
    /// Whether a target looks like one of this platform's ids or names.
    pub recognises: fn(&str) -> bool,
}

/// What the operator says about channels.
#[derive(Debug, Clone, Default)]
pub struct DirectorySettings {
    /// `CHANNELS`
    pub channels: String,
    /// `DEFAULT_BACKEND`
    pub default_backend: Option<String>,
    /// `ONLY_ALIASES`
    pub only_aliases: bool,
}

/// All aliases and backends: turns a channel into destinations.
pub struct Directory {
    aliases: HashMap<String, Arc<[Destination]>>,
    backends: Vec<BackendShape>,
    fallback: Fallback,
    only_aliases: bool,
}

/// Where a target without prefix goes.
pub(super) enum Fallback {
    Backend(&'static str),
    ByShape,
    Nowhere,
}

/// Why a channel means nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Several backends could be meant.
    #[error("it could belong to several backends")]
    Ambiguous {
        /// Their names.
        choices: Vec<&'static str>,
    },
    /// A configured backend's prefix and nothing after it.
    #[error("the target after '{0}:' is missing")]
    NoTarget(&'static str),
    /// `ONLY_ALIASES`.
    #[error("no such alias")]
    UnknownAlias,
    /// Webhooks alone are configured, and they take no targets.
    #[error("no backend takes an id or a name")]
    NoBackend,
    /// A URL, perhaps a webhook's: then it is a credential.
    #[error("a URL is no channel")]
    Url,
}

/// The name of the backend that is always there.
pub const CONSOLE: &str = "console";

impl Channel {
    /// The longest channel that is accepted.
    pub const MAX_CHARS: usize = 512;

    /// Checks a decoded path segment.
    ///
    /// # Errors
    /// [`ChannelError`] says what is wrong with it.
    pub fn parse(decoded: &str) -> Result<Self, ChannelError> {
        if decoded.trim().is_empty() {
            return Err(ChannelError::Empty);
        }
        let is_plain = scan::all(decoded.as_bytes(), |b| (b' '..0x7F).contains(&b));
        if !is_plain && decoded.chars().any(is_misleading) {
            return Err(ChannelError::Control);
        }
        let chars = decoded.chars().count();
        if chars > Self::MAX_CHARS {
            return Err(ChannelError::TooLong { chars });
        }
        Ok(Self(decoded.to_owned()))
    }

    /// The channel as decoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What would end the line of a log, or show another address than the one that is meant.
fn is_misleading(c: char) -> bool {
    c.is_control() || is_forbidden(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

impl Destination {
    /// What may be shown of the address: a target, or a webhook's alias.
    #[must_use]
    pub fn channel(&self) -> &str {
        match &self.address {
            Address::Target(target) => target,
            Address::Webhook(id) => &id.alias,
        }
    }
}

impl Directory {
    /// Reads the alias table against the configured backends (the console included).
    ///
    /// # Errors
    /// One line for every fault; none shows a URL.
    pub fn build(
        settings: &DirectorySettings,
        backends: Vec<BackendShape>,
        webhook_kinds: &[WebhookShape],
    ) -> Result<(Self, Webhooks), Vec<String>> {
        let mut table = AliasTable {
            backends: &backends,
            webhook_kinds,
            webhooks: Vec::new(),
            faults: Vec::new(),
        };
        let aliases = table.read(&settings.channels);
        let fallback = table.fallback(settings.default_backend.as_deref());
        let AliasTable {
            webhooks, faults, ..
        } = table;
        if !faults.is_empty() {
            return Err(faults);
        }
        let directory = Self {
            aliases,
            backends,
            fallback,
            only_aliases: settings.only_aliases,
        };
        Ok((directory, Webhooks(webhooks)))
    }

    /// A directory that knows nothing: stands in while faults are collected.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            aliases: HashMap::new(),
            backends: Vec::new(),
            fallback: Fallback::Nowhere,
            only_aliases: true,
        }
    }

    /// The destinations of a channel, at least one.
    ///
    /// # Errors
    /// [`ResolveError`] when it is ambiguous or not known here.
    pub fn resolve(&self, channel: &Channel) -> Result<Arc<[Destination]>, ResolveError> {
        if let Some(destinations) = self.aliases.get(channel.as_str()) {
            return Ok(Arc::clone(destinations));
        }
        if self.only_aliases {
            return Err(ResolveError::UnknownAlias);
        }
        if channel.as_str().contains("://") {
            return Err(ResolveError::Url);
        }
        let (backend, target) = match prefixed(&self.backends, channel.as_str()) {
            Some((backend, target)) if target.trim().is_empty() => {
                return Err(ResolveError::NoTarget(backend));
            }
            Some(found) => found,
            None => (self.backend_for(channel.as_str())?, channel.as_str()),
        };
        Ok(Arc::new([Destination {
            backend,
            address: Address::Target(target.to_owned()),
        }]))
    }

    /// The aliases and what they mean, in no order.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &[Destination])> {
        self.aliases
            .iter()
            .map(|(alias, to)| (alias.as_str(), &**to))
    }

    /// Whether everything that is no alias is refused.
    #[must_use]
    pub fn is_for_aliases_only(&self) -> bool {
        self.only_aliases
    }

    fn backend_for(&self, target: &str) -> Result<&'static str, ResolveError> {
        match self.fallback {
            Fallback::Backend(name) => Ok(name),
            Fallback::Nowhere => Err(ResolveError::NoBackend),
            Fallback::ByShape => {
                let matching: Vec<_> = self
                    .backends
                    .iter()
                    .filter(|b| (b.recognises)(target))
                    .map(|b| b.name)
                    .collect();
                match matching[..] {
                    [only] => Ok(only),
                    [] => Err(ResolveError::Ambiguous {
                        choices: platforms(&self.backends),
                    }),
                    _ => Err(ResolveError::Ambiguous { choices: matching }),
                }
            }
        }
    }
}

/// The backend and target of `backend:target`, even a blank one; a prefix that names no backend is part of the target.
pub(super) fn prefixed<'a>(
    backends: &[BackendShape],
    text: &'a str,
) -> Option<(&'static str, &'a str)> {
    let (prefix, target) = text.split_once(':')?;
    let backend = backends.iter().find(|b| b.name == prefix)?;
    Some((backend.name, target))
}

pub(super) fn platforms(backends: &[BackendShape]) -> Vec<&'static str> {
    backends
        .iter()
        .map(|b| b.name)
        .filter(|name| *name != CONSOLE)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATTERMOST: BackendShape = BackendShape {
        name: "mattermost",
        recognises: |t| t.len() == 26,
    };
    const SLACK: BackendShape = BackendShape {
        name: "slack",
        recognises: |t| t.starts_with('C'),
    };
    const CONSOLE_SHAPE: BackendShape = BackendShape {
        name: CONSOLE,
        recognises: |_| false,
    };
    const HOOKS: &[WebhookShape] = &[WebhookShape {
        name: "slack",
        fault: |_| None,
    }];

    fn directory(channels: &str, platforms: &[BackendShape]) -> Result<Directory, Vec<String>> {
        let settings = DirectorySettings {
            channels: channels.into(),
            ..Default::default()
        };
        let mut backends = platforms.to_vec();
        backends.push(CONSOLE_SHAPE);
        Directory::build(&settings, backends, HOOKS).map(|(directory, _)| directory)
    }

    fn resolved(directory: &Directory, channel: &str) -> Vec<String> {
        match directory.resolve(&Channel::parse(channel).unwrap()) {
            Ok(to) => to
                .iter()
                .map(|d| format!("{}:{}", d.backend, d.channel()))
                .collect(),
            Err(e) => vec![e.to_string()],
        }
    }

    #[test]
    fn without_backends_the_console_takes_everything() {
        let d = directory("", &[]).unwrap();
        assert_eq!(resolved(&d, "demo"), ["console:demo"]);
        assert_eq!(
            resolved(&d, "19:abc@thread.tacv2"),
            ["console:19:abc@thread.tacv2"]
        );
    }

    #[test]
    fn a_prefix_alone_is_no_target() {
        let d = directory("", &[SLACK]).unwrap();
        for (channel, prefix) in [("slack:", "slack"), ("console: \u{a0}", "console")] {
            let missing = format!("the target after '{prefix}:' is missing");
            assert_eq!(resolved(&d, channel), [missing]);
        }
        assert_eq!(resolved(&d, "irc:"), ["slack:irc:"]);
    }

    #[test]
    fn one_backend_takes_what_has_no_prefix() {
        let d = directory("", &[SLACK]).unwrap();
        assert_eq!(resolved(&d, "#ops"), ["slack:#ops"]);
        assert_eq!(resolved(&d, "console:x"), ["console:x"]);
        assert_eq!(resolved(&d, "mattermost:x"), ["slack:mattermost:x"]);
    }

    #[test]
    fn several_backends_are_told_apart_by_shape() {
        let d = directory("", &[MATTERMOST, SLACK]).unwrap();
        assert_eq!(resolved(&d, "C0123"), ["slack:C0123"]);
        assert_eq!(
            resolved(&d, "4yoxrz5kqigpipsrhfkfp3jdzc"),
            ["mattermost:4yoxrz5kqigpipsrhfkfp3jdzc"]
        );
        let unclear = d.resolve(&Channel::parse("ops").unwrap());
        assert_eq!(
            unclear,
            Err(ResolveError::Ambiguous {
                choices: vec!["mattermost", "slack"]
            })
        );
    }

    #[test]
    fn the_default_backend_settles_it() {
        let settings = DirectorySettings {
            default_backend: Some("slack".into()),
            ..Default::default()
        };
        let (d, _) =
            Directory::build(&settings, vec![MATTERMOST, SLACK, CONSOLE_SHAPE], HOOKS).unwrap();
        assert_eq!(resolved(&d, "ops"), ["slack:ops"]);
        let settings = DirectorySettings {
            default_backend: Some("irc".into()),
            ..Default::default()
        };
        assert!(Directory::build(&settings, vec![SLACK, CONSOLE_SHAPE], HOOKS).is_err());
    }

    #[test]
    fn aliases_come_first_and_may_have_several_destinations() {
        let d = directory(
            "all=slack:C1,slack+https://hooks.slack.com/x C9=console:nine",
            &[SLACK],
        )
        .unwrap();
        assert_eq!(resolved(&d, "all"), ["slack:C1", "slack:all"]);
        assert_eq!(resolved(&d, "C9"), ["console:nine"]);
    }

    #[test]
    fn only_webhooks_means_only_aliases() {
        let d = directory("hook=slack+https://hooks.slack.com/x", &[]).unwrap();
        assert_eq!(resolved(&d, "hook"), ["slack:hook"]);
        assert_eq!(resolved(&d, "typo"), ["no backend takes an id or a name"]);
    }

    #[test]
    fn channels_have_no_control_characters() {
        assert_eq!(Channel::parse(" "), Err(ChannelError::Empty));
        assert_eq!(Channel::parse("a\nb"), Err(ChannelError::Control));
        assert_eq!(
            Channel::parse(&"x".repeat(513)),
            Err(ChannelError::TooLong { chars: 513 })
        );
    }
}
