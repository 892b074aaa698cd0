//! What Mattermost asks: a slash command or an outgoing webhook, answered on the spot.

use std::time::Duration;

use serde::Serialize;

use super::{Incoming, Refused, command, empty};
use crate::http::receipt::json_line;
use crate::http::reply::{JSON, Reply};
use crate::inbound::command::{Command, Style};
use crate::inbound::mattermost::{self, Question, Way};

const BACKEND: &str = "mattermost";
/// How long the server may take to say who its bot is. It waits for us meanwhile.
const IDENTITY_DEADLINE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Said<'a> {
    response_type: &'static str,
    text: &'a str,
}

/// Answers a question. Whatever is none of the proxy's commands is answered with what can be asked.
pub(super) async fn question(incoming: &Incoming<'_>) -> Result<Reply, Refused> {
    let context = incoming.context;
    let tokens = &context.state.inbound.mattermost_tokens;
    let question = mattermost::verify(tokens, &incoming.body)?;
    if is_of_the_bot(incoming, &question).await {
        return Ok(empty());
    }
    let command = Command::parse(&question.text).unwrap_or(Command::Help);
    let place = command::place(context, &command::channel(BACKEND, &question.channel));
    let text = command.answer(&place, Style::Ticks);
    let response_type = match question.way {
        Way::Slash => "ephemeral",
        Way::Outgoing => "comment",
    };
    let said = Said {
        response_type,
        text: &text,
    };
    Ok(Reply::Text(200, JSON, json_line(&said).into()))
}

/// Whether our own bot wrote it: a post of the proxy's may hold the trigger word, and must not be answered.
async fn is_of_the_bot(incoming: &Incoming<'_>, question: &Question) -> bool {
    if question.way == Way::Slash {
        return false;
    }
    let context = incoming.context;
    let deadline = context.state.clock.now() + IDENTITY_DEADLINE;
    let own = context.dispatcher.own_user(BACKEND, deadline).await;
    own.is_some_and(|own| own == question.user)
}
