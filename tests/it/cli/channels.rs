//! `channels`.

use serde_json::{Value, json};

use super::{json as parsed, line, row, run};
use crate::support::mattermost::TEAM;
use crate::support::{Mattermost, Proxy, Refused, Reply, Setup, Slack, Teams, Upstream, unique};

fn channels(setup: Setup) -> Refused {
    setup.arg("channels").run()
}

#[test]
fn mattermost_names_the_teams_channels_by_id_and_name() {
    let chat = Mattermost::start();

    let ended = channels(Proxy::setup().with(&chat));

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let line = |name: &str| format!("mattermost:{}  {TEAM}/{name}", chat.channel(name));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines, [line("builds"), line("deploys")]);
}

/// Slack's pages may be short or empty before the last (reference/slack.md 4.2).
#[test]
fn slack_is_paged_to_its_end_and_membership_is_noted() {
    let chat = Slack::start();

    let ended = channels(Proxy::setup().with(&chat));

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(ended.stdout.lines().count(), 4, "{}", ended.stdout);
    let note = |name: &str| row(&ended.stdout, &format!("slack:{}", chat.channel(name)));
    assert_eq!(note("ops"), ["#ops"]);
    assert_eq!(note("builds"), ["#builds"]);
    assert_eq!(note("team"), ["#team", "private"]);
    assert!(note("open")[1].starts_with("not a member"));
    assert!(chat.requests().len() > 2);
}

#[test]
fn without_the_scope_for_private_channels_slack_is_asked_for_public_ones() {
    let chat = Slack::start();
    chat.revoke("groups:read");

    let ended = channels(Proxy::setup().with(&chat));

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
}

#[test]
fn a_missing_scope_is_named() {
    let chat = Slack::start();
    chat.revoke("groups:read");
    chat.revoke("channels:read");

    let ended = channels(Proxy::setup().with(&chat));

    assert!(
        line(&ended, 77).contains("channels:read"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_pause_that_slack_asks_for_is_kept_and_the_list_goes_on() {
    let chat = Slack::start();
    let later = json!({"ok": false, "error": "ratelimited"});
    chat.next_other(Reply::json(429, later).header("Retry-After", "1"));

    let ended = channels(Proxy::setup().with(&chat));

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(ended.stdout.lines().count(), 4);
}

#[test]
fn teams_says_how_an_id_is_found() {
    let teams = Teams::start();

    let ended = channels(Proxy::setup().with(&teams));

    let said = line(&ended, 0);
    assert!(
        said.starts_with("teams: ") && said.contains("@bot where"),
        "{said}"
    );
}

#[test]
fn an_app_that_is_only_installed_says_how_an_id_is_found() {
    let setup = Proxy::setup()
        .set("SLACK_CLIENT_ID", "1234567890.1234567890")
        .set("SLACK_CLIENT_SECRET", "0f1e2d3c4b5a69788796a5b4c3d2e1f0");

    let ended = channels(setup);

    assert!(
        line(&ended, 0).contains("slack:T0TEAM001/"),
        "{}",
        ended.stderr
    );
}

#[test]
fn one_platform_can_be_asked_alone() {
    let (mattermost, slack) = (Mattermost::start(), Slack::start());
    let setup = Proxy::setup().with(&mattermost).with(&slack);

    let ended = setup.args(&["channels", "slack"]).run();

    assert_eq!(ended.code, 0);
    assert!(ended.stdout.lines().all(|line| line.starts_with("slack:")));
    assert!(mattermost.requests().is_empty());
}

#[test]
fn one_that_fails_does_not_hide_the_others() {
    let (mattermost, slack) = (Mattermost::start(), Slack::start());
    let setup = Proxy::setup().with(&mattermost).with(&slack);
    mattermost.replace_token();

    let ended = channels(setup);

    assert_eq!(ended.code, 77);
    assert_eq!(ended.stdout.lines().count(), 4);
    assert!(ended.stderr.contains("mattermost: "), "{}", ended.stderr);
}

#[test]
fn without_a_bot_it_says_what_to_set() {
    let none = run(&["channels"]);
    let other = run(&["channels", "teams"]);
    let console = run(&["channels", "console"]);
    let unknown = run(&["channels", "irc"]);

    assert!(
        line(&none, 78).contains("SLACK_BOT_TOKEN"),
        "{}",
        none.stderr
    );
    assert!(
        line(&other, 78).contains("TEAMS_APP_ID"),
        "{}",
        other.stderr
    );
    assert_eq!((console.code, console.stdout.as_str()), (0, ""));
    assert_eq!(unknown.code, 64);
}

/// A CI job has a database of its own, which is no fault of this command.
#[test]
fn what_only_the_server_needs_is_not_judged() {
    let chat = Slack::start();
    let setup = Proxy::setup()
        .with(&chat)
        .set("HOST", "0.0.0.0")
        .set("DATABASE_URL", "postgres://u:p4ssw0rd@db/app")
        .set("PROXY_TOKENS", "ci@nowhere=a-secret-of-the-ci-system");

    let ended = channels(setup);

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn the_channels_come_as_json() {
    let chat = Slack::start();

    let list = parsed(
        &Proxy::setup()
            .with(&chat)
            .args(&["channels", "--json"])
            .run(),
    );

    let list: &Vec<Value> = list.as_array().unwrap();
    let id = chat.channel("ops");
    let ops = list
        .iter()
        .find(|channel| channel["id"] == id.as_str())
        .unwrap();
    assert_eq!(ops["channel"], format!("slack:{id}"));
    assert_eq!((&ops["name"], &ops["note"]), (&json!("#ops"), &json!("")));
}

/// D3, E5: names are foreign words, and a terminal acts on what it is sent. Direct messages and archived channels are left out;
/// a list of many hundred kilobytes is read.
#[test]
fn a_long_and_hostile_list_is_only_shown() {
    let (team, dm) = (unique("", 26), unique("", 26));
    let many: Vec<Value> = (0..1500)
        .map(|n| {
            json!({"id": unique("", 26), "team_id": team, "type": "O", "delete_at": 0, "purpose": "x".repeat(400),
                "name": if n == 0 { "a\u{1b}[2Jb\nc\u{202e}".to_owned() } else { format!("channel-{n}") }})
        })
        .chain([
            json!({"id": dm, "team_id": "", "type": "D", "name": "x__y", "delete_at": 0}),
            json!({"id": dm, "team_id": team, "type": "O", "name": "old", "delete_at": 1}),
        ])
        .collect();
    let path = format!("/api/v4/users/me/teams/{team}/channels");
    let teams = json!([{"id": team, "name": "acme"}]);
    let server = Upstream::start(move |request| {
        let is_list = request.path() == path;
        Reply::json(200, if is_list { json!(many) } else { teams.clone() })
    });
    let setup = Proxy::setup()
        .set("MATTERMOST_URL", server.url())
        .set("MATTERMOST_TOKEN", unique("", 26));

    let ended = channels(setup);

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(ended.stdout.lines().count(), 1500);
    assert!(!ended.stdout.contains(['\u{1b}', '\u{202e}']) && !ended.stdout.contains(&dm));
}
