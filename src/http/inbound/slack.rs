//! What Slack sends: interactivity and slash commands, relayed while Slack waits.

use std::time::Duration;

use super::{Incoming, Refused};
use crate::http::reply::Reply;
use crate::inbound::Unverified;
use crate::inbound::slack::{self, Mark, Proof};

/// Slack waits 3 s (reference/slack.md 6.4); the way back takes some of it.
const BUDGET: Duration = Duration::from_millis(2500);

/// Answers an interaction or a slash command.
pub(super) async fn action(incoming: &Incoming<'_>) -> Result<Reply, Refused> {
    let mark = verify(incoming)?;
    Ok(incoming.relay_once(mark, BUDGET).await?)
}

fn verify(incoming: &Incoming<'_>) -> Result<Mark, Unverified> {
    let proof = Proof {
        signature: incoming.header("x-slack-signature"),
        timestamp: incoming.header("x-slack-request-timestamp"),
    };
    let state = incoming.context.state;
    let now = state.clock.unix().as_secs();
    slack::verify(&state.inbound.slack_secrets, proof, &incoming.body, now)
}
