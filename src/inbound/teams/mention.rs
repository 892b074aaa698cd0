//! What somebody says to the bot (reference/teams.md 5.3). PURE. Names in a text are the writer's to choose, so only what the
//! platform marked as a mention counts as one.

use serde_json::Value;

use super::Activity;

/// A message to the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Where it was said, without the thread.
    pub conversation: String,
    /// What was said, without the bot's name.
    pub text: String,
}

impl Activity {
    /// The message, if it is one to the bot: in a personal chat every one is, elsewhere it must mention the bot.
    #[must_use]
    pub fn mention(&self) -> Option<Mention> {
        if self.kind() != "message" {
            return None;
        }
        let names = self.names_of_bot();
        if names.is_empty() && self.conversation_type() != Some("personal") {
            return None;
        }
        let said = self.text("/text").unwrap_or_default();
        let text = names
            .into_iter()
            .filter(|name| !name.is_empty())
            .fold(said.to_owned(), |text, name| text.replace(name, ""));
        Some(Mention {
            conversation: self.conversation().to_owned(),
            text: text.trim().to_owned(),
        })
    }

    /// How the text names the bot, for each time that the platform says it does.
    fn names_of_bot(&self) -> Vec<&str> {
        let Some(bot) = self.bot() else {
            return Vec::new();
        };
        let entities = self.value("/entities").and_then(Value::as_array);
        let mut names: Vec<&str> = entities
            .into_iter()
            .flatten()
            .filter(|entity| {
                let kind = entity.get("type").and_then(Value::as_str);
                let who = entity.pointer("/mentioned/id").and_then(Value::as_str);
                kind.is_some_and(|kind| kind.eq_ignore_ascii_case("mention")) && who == Some(bot)
            })
            .map(|entity| {
                entity
                    .get("text")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            })
            .collect();
        // Each is one pass over the text, so the same name again would be work for nothing.
        names.sort_unstable();
        names.dedup();
        names.truncate(MAX_NAMES);
        names
    }
}

/// The ways in which one message may name the bot; the platform has one.
const MAX_NAMES: usize = 16;
