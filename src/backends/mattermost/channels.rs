//! The channels that the bot is in, team by team (reference/mattermost.md 10). A page is a team; the cursor is the teams
//! that are left, because nothing may be kept here.

use std::borrow::Cow;

use serde::Deserialize;

use super::answer::classify_list;
use super::lookup::{is_id, unanswered};
use super::{Bot, health};
use crate::backends::wire::{Answer, Call, MAX_LIST_BYTES, Wire};
use crate::backends::{Listed, Page};
use crate::domain::delivery::{Failure, Refusal};

/// A bot in more teams than this is shown the channels of the first.
const MAX_TEAMS: usize = 1000;

#[derive(Deserialize)]
struct Team<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Channel<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    delete_at: i64,
}

/// The channels of the next team.
pub(super) async fn page(
    bot: &Bot,
    wire: &dyn Wire,
    cursor: Option<&str>,
) -> Result<Page, Failure> {
    let teams = match cursor {
        Some(teams) => teams.to_owned(),
        None => teams(bot, wire).await?,
    };
    let (team, rest) = teams.split_once(' ').unwrap_or((&teams, ""));
    let Some((id, name)) = team.split_once('/') else {
        return Ok(Page::default());
    };
    let path = format!("/api/v4/users/me/teams/{id}/channels");
    let answer = get(bot, wire, &path).await?;
    let channels: Vec<Channel<'_>> = classify_list(&answer)?;
    Ok(Page {
        channels: channels
            .into_iter()
            .filter(is_listed)
            .map(|channel| listed(name, channel))
            .collect(),
        next: (!rest.is_empty()).then(|| rest.to_owned()),
    })
}

/// The bot's teams as a cursor: `id/name id/name`.
async fn teams(bot: &Bot, wire: &dyn Wire) -> Result<String, Failure> {
    let answer = get(bot, wire, "/api/v4/users/me/teams").await?;
    let teams: Vec<Team<'_>> = classify_list(&answer)?;
    let is_whole = |team: &&Team<'_>| is_id(&team.id) && !team.name.contains(char::is_whitespace);
    let whole = teams.iter().filter(is_whole).take(MAX_TEAMS);
    let all: Vec<String> = whole
        .map(|team| format!("{}/{}", team.id, team.name))
        .collect();
    Ok(all.join(" "))
}

async fn get(bot: &Bot, wire: &dyn Wire, path: &str) -> Result<Answer, Failure> {
    let uri = bot.base.join(path).map_err(|_| {
        let detail = "MATTERMOST_URL makes no request target; check it";
        Failure::refused(Refusal::Misconfigured, "", detail)
    })?;
    let answer = wire
        .call(Call {
            max_answer_bytes: MAX_LIST_BYTES,
            ..Call::get(&uri, Some(&bot.authorization))
        })
        .await
        .map_err(unanswered)?;
    match classify_list::<serde::de::IgnoredAny>(&answer) {
        Ok(_) => Ok(answer),
        Err(refused) => Err(health::confirm(wire, &bot.ping, &answer, refused).await),
    }
}

/// Direct messages stand in every team's list, and have no name that tells anything.
fn is_listed(channel: &Channel<'_>) -> bool {
    is_id(&channel.id) && channel.delete_at == 0 && matches!(&*channel.kind, "O" | "P")
}

fn listed(team: &str, channel: Channel<'_>) -> Listed {
    Listed {
        name: format!("{team}/{}", channel.name),
        note: if channel.kind == "P" { "private" } else { "" },
        id: channel.id.into_owned(),
    }
}
