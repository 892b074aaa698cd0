//! Mattermost's slash commands and outgoing webhooks: reference/mattermost.md 13, checked 2026-11-21. PURE.
//!
//! They are not signed: a token that only the server and this proxy know comes with each. It proves the server, and
//! says nothing of the body; so nothing is relayed, and only the proxy's own commands act.

use std::borrow::Cow;

use serde::Deserialize;

use super::Unverified;
use super::form::field;
use crate::domain::secret::Secret;

/// What somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The channel's id.
    pub channel: String,
    /// Who wrote it.
    pub user: String,
    /// What follows the command or the trigger word.
    pub text: String,
    /// How it is answered.
    pub way: Way,
}

/// Which of the two it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A slash command: the answer is for whoever wrote it.
    Slash,
    /// An outgoing webhook: the answer is a post.
    Outgoing,
}

/// The fields of both, in either form.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    token: Cow<'a, str>,
    #[serde(borrow, default)]
    channel_id: Cow<'a, str>,
    #[serde(borrow, default)]
    user_id: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    command: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    trigger_word: Cow<'a, str>,
}

/// Checks the token of a request, and reads what was written.
///
/// # Errors
/// [`Unverified`].
pub fn verify(tokens: &[Secret], body: &[u8]) -> Result<Question, Unverified> {
    if tokens.is_empty() {
        return Err(Unverified::Unconfigured);
    }
    let fields = read(body).ok_or(Unverified::Malformed)?;
    if fields.token.is_empty() {
        return Err(Unverified::Missing);
    }
    // All of them, so that the time does not tell which one was close.
    let is_good = tokens.iter().fold(false, |good, token| {
        good | token.matches(fields.token.as_bytes())
    });
    if !is_good {
        return Err(Unverified::Forged);
    }
    Ok(fields.into())
}

/// An outgoing webhook may be JSON; a form never begins with a brace.
fn read(body: &[u8]) -> Option<Fields<'_>> {
    if body.trim_ascii_start().starts_with(b"{") {
        return serde_json::from_slice(body).ok();
    }
    let text = |name| field(body, name).unwrap_or_default();
    Some(Fields {
        token: text("token"),
        channel_id: text("channel_id"),
        user_id: text("user_id"),
        text: text("text"),
        command: field(body, "command"),
        trigger_word: text("trigger_word"),
    })
}

impl From<Fields<'_>> for Question {
    fn from(fields: Fields<'_>) -> Self {
        let way = if fields.command.is_some() {
            Way::Slash
        } else {
            Way::Outgoing
        };
        let text = fields.text.trim();
        let text = match way {
            Way::Slash => text,
            Way::Outgoing => text.strip_prefix(&*fields.trigger_word).unwrap_or(text),
        };
        Self {
            channel: fields.channel_id.into_owned(),
            user: fields.user_id.into_owned(),
            text: text.trim().to_owned(),
            way,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &str = "xr3j5x3p4pfk7kk6ck7b4e6ghh";

    fn tokens() -> Vec<Secret> {
        vec![
            Secret::new("an-older-token-of-the-same".to_owned()),
            Secret::new(TOKEN.to_owned()),
        ]
    }

    #[test]
    fn a_slash_command_is_a_form() {
        let body = format!(
            "token={TOKEN}&channel_id=c1&user_id=u1&command=%2Fproxy&text=+where+&team_id=t1"
        );

        let question = verify(&tokens(), body.as_bytes());

        assert_eq!(
            question,
            Ok(Question {
                channel: "c1".to_owned(),
                user: "u1".to_owned(),
                text: "where".to_owned(),
                way: Way::Slash
            })
        );
    }

    #[test]
    fn an_outgoing_webhook_is_a_form_or_json_and_its_trigger_is_taken_away() {
        let form = format!(
            "token={TOKEN}&channel_id=c1&user_id=u1&text=%40proxy+where&trigger_word=%40proxy&timestamp=1"
        );
        let json = format!(
            r#"{{"token":"{TOKEN}","channel_id":"c1","user_id":"u1","text":"@proxy where","trigger_word":"@proxy","timestamp":1,"file_ids":""}}"#
        );

        for body in [form, json] {
            let question = verify(&tokens(), body.as_bytes()).unwrap();
            assert_eq!(
                (question.text.as_str(), question.way),
                ("where", Way::Outgoing)
            );
        }
    }

    #[test]
    fn nothing_else_is_let_in() {
        for (body, why) in [
            ("", Unverified::Missing),
            ("token=&text=where", Unverified::Missing),
            ("token=x&text=where", Unverified::Forged),
            (
                "token=xr3j5x3p4pfk7kk6ck7b4e6ghH&text=where",
                Unverified::Forged,
            ),
            (
                "token=xr3j5x3p4pfk7kk6ck7b4e6ghh&token=xr3j5x3p4pfk7kk6ck7b4e6ghh",
                Unverified::Missing,
            ),
            ("{", Unverified::Malformed),
            (
                r#"{"token":["xr3j5x3p4pfk7kk6ck7b4e6ghh"]}"#,
                Unverified::Malformed,
            ),
            ("{}", Unverified::Missing),
        ] {
            assert_eq!(verify(&tokens(), body.as_bytes()), Err(why), "{body}");
        }
        assert_eq!(verify(&[], b"token="), Err(Unverified::Unconfigured));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(body: Vec<u8>) {
            prop_assert!(verify(&tokens(), &body).is_err());
        }
    }
}
