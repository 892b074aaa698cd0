//! What Slack sends: events, which are stored and relayed until they are accepted, and interactivity and slash
//! commands, which are relayed while Slack waits.

mod actions;
mod events;

pub(super) use actions::action;
pub(super) use events::event;

use std::time::Duration;

use super::{Incoming, command};
use crate::domain::channel::Destination;
use crate::inbound::slack::{self, Proof};
use crate::inbound::{Mark, Unverified};

/// Slack waits 3 s (reference/slack.md 6.2 and 6.4, checked 2026-11-21); the way back takes some of it.
const BUDGET: Duration = Duration::from_millis(2500);
// Contract, section 6. Tests hold no clock against it.
const _: () = assert!(BUDGET.as_millis() <= 2500);

/// The backend that posts where Slack asks.
const BACKEND: &str = "slack";

/// A channel as it is posted to: with its workspace, if that has installed the bot.
fn channel(incoming: &Incoming<'_>, team: Option<&str>, id: &str) -> Destination {
    let dispatcher = incoming.context.dispatcher;
    match team.filter(|team| dispatcher.has_installed(BACKEND, team)) {
        Some(team) => command::channel(BACKEND, &format!("{team}/{id}")),
        None => command::channel(BACKEND, id),
    }
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
