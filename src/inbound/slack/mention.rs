//! Somebody speaks to the bot in a channel: reference/slack.md 6.3, checked 2026-11-21.

use super::event::Bot;
use super::fields::Fields;

/// A message to the bot. Where both `app_mention` and `message` are subscribed to, Slack sends two events of it, with
/// different ids and the same channel and `ts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The workspace in which the app is installed.
    pub team: Option<String>,
    /// The channel's id.
    pub channel: String,
    /// Who wrote it: a person, never a bot.
    pub user: String,
    /// What is said after the mention, trimmed and as Slack writes it (`&amp;`, `<#C1|name>`).
    pub text: String,
    /// Which message it is.
    pub ts: String,
}

impl Mention {
    /// `bot` is whom the event is shown to; an `app_mention` is one even if Slack does not say.
    pub(super) fn read(
        envelope: &Fields<'_>,
        event: &Fields<'_>,
        bot: Option<&Bot>,
    ) -> Option<Self> {
        // Two bots that answer each other would never end.
        let is_plain = !event.has("subtype") && !event.has("bot_id");
        let anywhere = match event.text("type")?.as_str() {
            "app_mention" => true,
            "message" => false,
            _ => return None,
        };
        let text = event.text("text").filter(|_| is_plain)?;
        let text = match bot {
            Some(bot) => after_mention(text.trim_start(), &bot.user, anywhere)?,
            None if anywhere => text.split_once("<@")?.1.split_once('>')?.1,
            None => return None,
        };
        Some(Self {
            team: bot
                .and_then(|bot| bot.team.clone())
                .or_else(|| envelope.text("team_id")),
            channel: event.text("channel")?,
            user: event.text("user")?,
            text: text.trim().to_owned(),
            ts: event.text("ts")?,
        })
    }
}

/// What follows `<@BOT>` or `<@BOT|name>`.
fn after_mention<'t>(text: &'t str, bot: &str, anywhere: bool) -> Option<&'t str> {
    let sign = format!("<@{bot}");
    text.match_indices(&sign)
        .filter(|(at, _)| anywhere || *at == 0)
        .find_map(|(at, _)| {
            let rest = &text[at + sign.len()..];
            match rest.strip_prefix('|') {
                Some(name) => name.split_once('>').map(|(_, after)| after),
                None => rest.strip_prefix('>'),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_is_the_whole_id_in_its_brackets() {
        for (text, anywhere, after) in [
            ("<@U0> where", false, Some(" where")),
            ("<@U0|proxy> where", false, Some(" where")),
            ("<@U0>", false, Some("")),
            ("hey <@U0> help", true, Some(" help")),
            ("hey <@U0> help", false, None),
            ("<@U01> <@U0> help", true, Some(" help")),
            ("<@U01> <@U0> help", false, None),
            ("<@U0", true, None),
            ("<@U0|proxy", true, None),
            ("U0 help", true, None),
        ] {
            assert_eq!(after_mention(text, "U0", anywhere), after, "{text}");
        }
    }
}
