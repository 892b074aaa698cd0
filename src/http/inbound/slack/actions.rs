//! Interactivity, options and slash commands: relayed while Slack waits, and the answer passed back.

use super::{BUDGET, verify};
use crate::http::inbound::{Incoming, Refused, empty};
use crate::http::reply::Reply;
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
    if let Some(reply) = slash.as_ref().and_then(own_command) {
        return Ok(reply);
    }
    Ok(incoming.relay_once(mark, BUDGET).await?)
}

/// What the proxy answers to its own slash commands. None of its commands is one, so all are the internal API's.
fn own_command(_slash: &Slash) -> Option<Reply> {
    None
}
