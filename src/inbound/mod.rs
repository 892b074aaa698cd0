//! The verified way back: who really sent a request, by what the platform has signed. PURE: headers, raw body, keys and
//! the present come in; a verdict comes out.
//!
//! Nothing of a request is believed, logged or answered before its verdict. Nothing here relays, stores or posts.

pub mod command;
pub mod form;
pub mod mattermost;
pub mod slack;
pub mod teams;

/// What a request has in common with its repeats, and with no other.
pub type Mark = [u8; 16];

/// Where requests come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Slack's Events API.
    SlackEvents,
    /// Slack's interactivity and slash commands.
    Slack,
    /// Activities of Microsoft's Bot Framework.
    Teams,
    /// Mattermost's slash commands and outgoing webhooks.
    Mattermost,
}

/// Every source, in the order of the documents.
pub const SOURCES: &[Source] = &[
    Source::SlackEvents,
    Source::Slack,
    Source::Teams,
    Source::Mattermost,
];

/// Why a request is not let in: for the log and the counters. The sender is told none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// No secret or app id is configured for this source.
    #[error("nothing is configured that could verify it")]
    Unconfigured,
    /// The header that would prove it is missing, or there are several.
    #[error("it carries no proof")]
    Missing,
    /// The proof is not of the form that the platform sends.
    #[error("its proof is malformed")]
    Malformed,
    /// The signature or token is not good.
    #[error("its signature is not good")]
    Forged,
    /// The proof is too old, or from the future.
    #[error("its proof is not of the present")]
    Stale,
    /// The proof is of another app, channel, tenant or service.
    #[error("its proof is for something else")]
    Misdirected,
}

impl Source {
    /// The path that the platform calls.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::SlackEvents => "/no-auth/provider-action/slack-events",
            Self::Slack => "/no-auth/provider-action/slack",
            Self::Teams => "/no-auth/provider-action/msteams",
            Self::Mattermost => "/no-auth/provider-action/mattermost",
        }
    }

    /// The source of a raw path.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        SOURCES.iter().copied().find(|source| source.path() == path)
    }

    /// Its name in logs, metrics and receipts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SlackEvents => "slack-events",
            Self::Slack => "slack",
            Self::Teams => "msteams",
            Self::Mattermost => "mattermost",
        }
    }

    /// What it takes, for whoever looks at the path with a browser.
    #[must_use]
    pub fn expects(self) -> &'static str {
        match self {
            Self::SlackEvents => {
                "this endpoint is reachable; it takes POST requests of Slack's Events API, signed by Slack"
            }
            Self::Slack => {
                "this endpoint is reachable; it takes POST requests of Slack's interactivity and slash commands, signed by Slack"
            }
            Self::Teams => {
                "this endpoint is reachable; it takes POST requests of Microsoft's Bot Framework with its token"
            }
            Self::Mattermost => {
                "this endpoint is reachable; it takes POST requests of a Mattermost slash command or outgoing webhook with its token"
            }
        }
    }

    /// What a 401 asks for.
    #[must_use]
    pub fn challenge(self) -> &'static str {
        match self {
            Self::SlackEvents | Self::Slack => "Slack-Signature",
            Self::Teams => "Bearer",
            Self::Mattermost => "Token",
        }
    }
}

impl Unverified {
    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unconfigured => "unconfigured",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::Stale => "stale",
            Self::Misdirected => "misdirected",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_compared_raw_and_whole() {
        for source in SOURCES {
            assert_eq!(Source::of(source.path()), Some(*source));
            assert_eq!(Source::of(&format!("{}/", source.path())), None);
            assert!(source.expects().contains("reachable"));
        }
        for path in [
            "/no-auth/provider-action",
            "/no-auth/provider-action/",
            "/no-auth/provider-action/Slack",
            "/no-auth/provider-action/%73lack",
            "/no-auth//provider-action/slack",
        ] {
            assert_eq!(Source::of(path), None, "{path}");
        }
    }
}
