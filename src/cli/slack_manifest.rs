//! `slack-manifest`: what a person pastes at api.slack.com/apps to get an app that fits this proxy. It prints, and
//! asks Slack nothing.

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use super::named::{self, Host};
use super::{Exit, Fault, print};
use crate::inbound::Source;

pub(super) const NAME: &str = "slack-manifest";

/// `display_information.name`: reference/slack.md 8, checked 2026-11-21.
const MAX_NAME_CHARS: usize = 35;

/// Where an installation by OAuth comes back to.
const INSTALLED: &str = "/no-auth/provider-token/slack";

/// The least that posting, names, `as=`, mentions and the relayed events need; an event is refused without its
/// scope: reference/slack.md 6.3 and 8, checked 2026-11-21. `chat:write.public` is not among them: a bot posts
/// where it was invited.
const BOT_SCOPES: &[&str] = &[
    "app_mentions:read",
    "channels:history",
    "channels:read",
    "chat:write",
    "chat:write.customize",
    "commands",
    "groups:history",
    "groups:read",
    "mpim:history",
    "mpim:read",
    "users:read",
    "users:read.email",
];

/// What an internal API that acts for people asks for (that of `CodeStream`: reference/slack.md 8, checked 2026-11-21).
/// The proxy itself uses no user token.
const USER_SCOPES: &[&str] = &[
    "channels:read",
    "channels:write",
    "chat:write",
    "groups:read",
    "groups:write",
    "im:read",
    "mpim:read",
    "mpim:write",
    "users.profile:write",
    "users:read",
    "users:read.email",
];

/// Not `message.im`: the proxy's commands are asked for in channels. The two about the app's own life need no scope
/// (reference/slack.md 6.2, checked 2026-11-21) and say that a stored token is worth nothing any more.
const BOT_EVENTS: &[&str] = &[
    "app_mention",
    "app_uninstalled",
    "message.channels",
    "message.groups",
    "message.mpim",
    "tokens_revoked",
];

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Print the manifest of a Slack app for this proxy")
        .arg(named::host_arg())
        .arg(named::name_arg())
        .after_help(
            "Example:\n  message-webhook-proxy slack-manifest --host proxy.example.org > manifest.json\n\n\
             Paste it at https://api.slack.com/apps under Create New App, From a manifest.",
        )
}

pub(super) fn run(arguments: &ArgMatches) -> Result<Exit, Fault> {
    let host = named::host(arguments).map_err(Fault::usage)?;
    let name = named::name(arguments, MAX_NAME_CHARS).map_err(Fault::usage)?;
    Ok(print(&format!("{:#}\n", manifest(&host, name))))
}

/// Without empty lists and nulls, and with a URL wherever something is switched on: Slack's JSON schema lets that
/// pass, its server does not (reference/slack.md 8, checked 2026-11-21).
fn manifest(host: &Host, name: &str) -> Value {
    let actions = host.url(Source::Slack.path());
    json!({
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {
            "name": name,
            "description": "Relays webhook posts to channels and Slack events to an internal API",
            "background_color": "#1d2b36",
        },
        "features": {
            "bot_user": {"display_name": bot_name(name), "always_online": true},
            "slash_commands": [{
                "command": "/proxy",
                "url": actions,
                "description": "where or help, or a command for the service behind the proxy",
                "usage_hint": "help",
                "should_escape": true,
            }],
        },
        "oauth_config": {
            "redirect_urls": [host.url(INSTALLED)],
            "scopes": {"bot": BOT_SCOPES, "user": USER_SCOPES},
        },
        "settings": {
            "event_subscriptions": {"request_url": host.url(Source::SlackEvents.path()), "bot_events": BOT_EVENTS},
            "interactivity": {"is_enabled": true, "request_url": actions},
            "org_deploy_enabled": false,
            "socket_mode_enabled": false,
            "token_rotation_enabled": false,
        },
    })
}

/// The app's name as a bot may be called: `a-z 0-9 - _ .` (reference/slack.md 8, checked 2026-11-21).
fn bot_name(name: &str) -> String {
    let kept = name.to_ascii_lowercase().replace(
        |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.'),
        "-",
    );
    let words: Vec<&str> = kept.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return "message-proxy".to_owned();
    }
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bot_is_called_like_its_app_as_far_as_slack_lets_it() {
        for (name, bot) in [
            ("Message Proxy (staging)", "message-proxy-staging"),
            ("v1.2_x", "v1.2_x"),
            ("メッセージ", "message-proxy"),
        ] {
            assert_eq!(bot_name(name), bot);
        }
    }
}
