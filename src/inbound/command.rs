//! The proxy's own commands: `where` and `help`, in a channel where its bot is. PURE: words in, words out.

/// What somebody asks of the proxy itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The channel's address, and URLs to paste.
    Where,
    /// What can be asked.
    Help,
}

/// The channel in which it is asked, and how a post gets there.
#[derive(Debug, Clone)]
pub struct Place {
    /// `backend:target`.
    pub channel: String,
    /// The alias that means this channel alone, if there is one.
    pub alias: Option<String>,
    /// Where the proxy is reached, without a slash at its end.
    pub base: String,
    /// What a post needs.
    pub credential: Credential,
    /// Whether only aliases are posted to.
    pub only_aliases: bool,
}

/// What a post needs beside its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// A secret of `PROXY_TOKENS`.
    Token,
    /// A signature in the URL.
    Signature,
}

/// How a platform is told that something is code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Plain,
    /// Back-ticks.
    Ticks,
}

/// An example that shows what an encoded space looks like.
const EXAMPLE: &str = "Hello%20world";

impl Command {
    /// Reads what was said to the bot; `None` if it is nothing of ours.
    #[must_use]
    pub fn parse(said: &str) -> Option<Self> {
        let word = said.trim().trim_end_matches(['?', '!', '.']).trim_end();
        match word.to_ascii_lowercase().as_str() {
            "where" => Some(Self::Where),
            "help" => Some(Self::Help),
            _ => None,
        }
    }

    /// The answer. It holds no credential: everybody in the channel reads it.
    #[must_use]
    pub fn answer(self, place: &Place, style: Style) -> String {
        match self {
            Self::Where => answer_where(place, style),
            Self::Help => HELP.to_owned(),
        }
    }
}

const HELP: &str = "I post what is sent to my URLs, and I answer two words:\n\
                    where: this channel's address, a URL to paste, and a curl line\n\
                    help: this";

fn answer_where(place: &Place, style: Style) -> String {
    let code = |text: &str| match style {
        Style::Plain => text.to_owned(),
        Style::Ticks => format!("`{text}`"),
    };
    if place.only_aliases && place.alias.is_none() {
        return format!(
            "This channel is {}. It has no alias, and this proxy posts to aliases only: its operator can add name={} to CHANNELS.",
            code(&place.channel),
            place.channel
        );
    }
    let name = place.alias.as_deref().unwrap_or(&place.channel);
    let url = format!(
        "{}/post/channel/{}/msg/{EXAMPLE}",
        place.base,
        segment(name)
    );
    let alias = place
        .alias
        .as_ref()
        .map(|alias| format!(" (alias {})", code(alias)));
    let (curl, note) = match place.credential {
        Credential::None => (format!("curl -X POST '{url}'"), ""),
        Credential::Token => (
            format!("curl -X POST -H \"Authorization: Bearer $TOKEN\" '{url}'"),
            "\n$TOKEN is a secret of the proxy's PROXY_TOKENS; its operator has it.",
        ),
        Credential::Signature => (
            format!("curl -X POST '{url}?sig=SIGNATURE'"),
            "\nThe URL must be signed: the proxy's operator can make one for this channel.",
        ),
    };
    format!(
        "This channel is {}{}.\nURL: {}\n{}{note}",
        code(&place.channel),
        alias.unwrap_or_default(),
        code(&url),
        code(&curl),
    )
}

/// A channel as one segment of a path. `:` and `@` may stand there as they are (RFC 3986, 3.3), and read better so.
pub fn segment(channel: &str) -> String {
    let encoded = crate::domain::percent::encode(channel);
    encoded.replace("%3A", ":").replace("%40", "@")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            channel: "slack:C0OPS0001".to_owned(),
            alias: None,
            base: "https://proxy.example".to_owned(),
            credential: Credential::Token,
            only_aliases: false,
        }
    }

    #[test]
    fn a_command_is_one_word() {
        for said in ["where", " Where? ", "WHERE", "where!", "where ?"] {
            assert_eq!(Command::parse(said), Some(Command::Where), "{said}");
        }
        assert_eq!(Command::parse("help"), Some(Command::Help));
        for said in ["", "where is it", "whereabouts", "ack db-3", "?"] {
            assert_eq!(Command::parse(said), None, "{said}");
        }
    }

    #[test]
    fn the_answer_can_be_pasted() {
        let answer = Command::Where.answer(&place(), Style::Plain);

        assert_eq!(
            answer,
            "This channel is slack:C0OPS0001.\n\
             URL: https://proxy.example/post/channel/slack:C0OPS0001/msg/Hello%20world\n\
             curl -X POST -H \"Authorization: Bearer $TOKEN\" 'https://proxy.example/post/channel/slack:C0OPS0001/msg/Hello%20world'\n\
             $TOKEN is a secret of the proxy's PROXY_TOKENS; its operator has it."
        );
    }

    #[test]
    fn an_alias_stands_for_the_channel() {
        let place = Place {
            channel: "teams:19:abc@thread.tacv2".to_owned(),
            alias: Some("deploys".to_owned()),
            credential: Credential::None,
            ..place()
        };

        let answer = Command::Where.answer(&place, Style::Ticks);

        assert!(answer.contains("`teams:19:abc@thread.tacv2` (alias `deploys`)"));
        assert!(answer.contains(
            "`curl -X POST 'https://proxy.example/post/channel/deploys/msg/Hello%20world'`"
        ));
    }

    #[test]
    fn where_only_aliases_are_posted_to_it_says_what_is_missing() {
        let place = Place {
            only_aliases: true,
            ..place()
        };

        let answer = Command::Where.answer(&place, Style::Plain);

        assert!(answer.contains("name=slack:C0OPS0001"), "{answer}");
        assert!(!answer.contains("curl"), "{answer}");
    }

    #[test]
    fn ids_of_teams_and_slack_workspaces_are_one_segment() {
        for (channel, segment) in [
            ("teams:19:abc@thread.tacv2", "teams:19:abc@thread.tacv2"),
            ("slack:T1/C1", "slack:T1%2FC1"),
            ("a b", "a%20b"),
        ] {
            assert_eq!(super::segment(channel), segment);
        }
    }
}
