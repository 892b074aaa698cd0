//! Interactivity, options and slash commands: relayed while Slack waits, and the answer passed back.

use serde::Serialize;

use super::{BUDGET, channel, verify};
use crate::http::inbound::{Incoming, Refused, command, empty};
use crate::http::receipt::json_line;
use crate::http::reply::{JSON, Reply};
use crate::inbound::command::{Command, Style};
use crate::inbound::slack::{Slash, is_ssl_check};

const FORM: &str = "application/x-www-form-urlencoded";

/// Answers an interaction or a slash command.
pub(in crate::http::inbound) async fn action(incoming: &Incoming<'_>) -> Result<Reply, Refused> {
    let is_form = incoming.is_of_type(FORM);
    // Before the signature, which it may lack; and nothing else of such a body is looked at (threats.md F1).
    if is_form && is_ssl_check(&incoming.body) {
        return Ok(empty());
    }
    let mark = verify(incoming)?;
    let slash = is_form.then(|| Slash::read(&incoming.body)).flatten();
    if let Some(slash) = slash
        && let Some(reply) = own_command(incoming, &slash)
    {
        return Ok(reply);
    }
    Ok(incoming.relay_once(mark, BUDGET).await?)
}

/// The slash command of the manifest that `slack-manifest` makes; others are the internal API's alone.
const COMMAND: &str = "/proxy";

#[derive(Serialize)]
struct Said<'a> {
    response_type: &'static str,
    text: &'a str,
}

/// What the proxy answers to its own commands, for whoever asks alone.
fn own_command(incoming: &Incoming<'_>, slash: &Slash) -> Option<Reply> {
    let command = Command::parse(&slash.text).filter(|_| slash.command == COMMAND)?;
    let to = channel(incoming, slash.team.as_deref(), &slash.channel);
    let place = command::place(incoming.context, &to);
    // Slack reads three characters as its own, and nothing of this text is meant so (reference/slack.md 2).
    let text = command.answer(&place, Style::Ticks).replace('&', "&amp;");
    let text = text.replace('<', "&lt;").replace('>', "&gt;");
    let said = Said {
        response_type: "ephemeral",
        text: &text,
    };
    Some(Reply::Text(200, JSON, json_line(&said).into()))
}
