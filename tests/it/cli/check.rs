//! `check`.

use std::net::TcpListener;

use serde_json::Value;

use super::{json, line, row};
use crate::support::{
    Environment, Folder, Mattermost, Proxy, Refused, Setup, Slack, Teams, Upstream,
};

fn check(setup: Setup) -> Refused {
    setup.arg("check").run()
}

/// Name and state of every finding.
fn states(ended: &Refused) -> Vec<(String, String)> {
    let rows: Value = serde_json::from_str(&ended.stdout).unwrap();
    let word = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| (word(row, "name"), word(row, "state")))
        .collect()
}

#[test]
fn good_credentials_are_ok_and_nothing_is_posted() {
    let (mattermost, slack, teams) = (Mattermost::start(), Slack::start(), Teams::start());

    let ended = check(Proxy::setup().with(&mattermost).with(&slack).with(&teams));

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    for name in ["mattermost", "slack", "teams", "console", "outbox"] {
        assert_eq!(row(&ended.stdout, name)[0], "ok", "{name}");
    }
    assert!(mattermost.posts().is_empty() && slack.posts().is_empty() && teams.posts().is_empty());
}

/// Each with what is wrong and how to mend it; no line holds the credential (`run` looks for it).
#[test]
fn refused_credentials_are_named_with_their_cure() {
    let (mattermost, slack, teams) = (Mattermost::start(), Slack::start(), Teams::start());
    let setup = Proxy::setup().with(&mattermost).with(&slack).with(&teams);
    mattermost.replace_token();
    slack.replace_token();
    teams.replace_password();

    let ended = check(setup);

    assert_eq!((ended.code, ended.stderr.as_str()), (77, ""));
    for (name, cure) in [
        ("mattermost", "MATTERMOST_TOKEN"),
        ("slack", "SLACK_BOT_TOKEN"),
        ("teams", "TEAMS_APP_PASSWORD"),
    ] {
        let cells = row(&ended.stdout, name);
        assert_eq!(cells[0], "refused", "{name}");
        assert!(cells[1].contains(cure), "{cells:?}");
    }
    assert_eq!(row(&ended.stdout, "console")[0], "ok");
}

#[test]
fn a_platform_that_cannot_be_reached_is_unavailable() {
    let slack = Slack::start();
    slack.down();

    let ended = check(Proxy::setup().with(&slack));

    assert_eq!(ended.code, 69);
    assert_eq!(row(&ended.stdout, "slack")[0], "unavailable");
}

/// Waiting mends no refusal, so it counts for more.
#[test]
fn refused_counts_for_more_than_unavailable() {
    let (mattermost, slack) = (Mattermost::start(), Slack::start());
    let setup = Proxy::setup().with(&mattermost).with(&slack);
    mattermost.down();
    slack.replace_token();

    let ended = check(setup);

    assert_eq!(ended.code, 77);
    assert_eq!(row(&ended.stdout, "mattermost")[0], "unavailable");
}

#[test]
fn faults_of_the_environment_are_those_of_serve() {
    let setup = Proxy::setup()
        .set("PORT", "x")
        .set("SLACK_BOT_TOKEN", "xapp-1-wrong");

    let (checked, served) = (check(setup.clone()), setup.run());

    assert_eq!((checked.code, checked.stdout.as_str()), (78, ""));
    assert_eq!(checked.stderr, served.stderr);
}

/// G1: a webhook's URL is its credential.
#[test]
fn webhooks_are_named_by_their_alias_and_not_tried() {
    let slack = Slack::start();
    let channels = format!("builds=slack+{}", slack.webhook_url());

    let ended = check(Proxy::setup().set("CHANNELS", channels));

    assert_eq!(ended.code, 0);
    assert_eq!(row(&ended.stdout, "webhook builds")[0], "unchecked");
    assert!(!ended.stdout.contains("/services/"));
    assert!(slack.requests().is_empty());
}

#[test]
fn the_outbox_is_looked_at_and_left_alone() {
    let folder = Folder::new();
    let own = Proxy::setup().outbox(&folder);
    let before = check(own.clone());
    let proxy = own.clone().start();

    let while_it_runs = check(own);

    assert!(row(&before.stdout, "outbox")[1].contains("not there yet"));
    let cells = row(&while_it_runs.stdout, "outbox");
    assert_eq!((while_it_runs.code, cells[0]), (0, "ok"));
    assert!(cells[1].contains("not opened"), "{cells:?}");
    assert_eq!(proxy.get("/ready").status, 200);
}

#[test]
fn an_outbox_that_cannot_be_opened_is_wrong() {
    let folder = Folder::new();
    let other = folder.path().join("notes.txt");
    std::fs::write(&other, "this is no database, and long enough").unwrap();
    let nowhere = folder.path().join("missing/outbox.db");
    // A read of it would never end.
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());

    for path in [other, nowhere, pipe, "/dev/null".into()] {
        let url = format!("sqlite:{}", path.display());
        let ended = check(Proxy::setup().set("DATABASE_URL", url));

        assert_eq!(ended.code, 78, "{}", ended.stdout);
        assert_eq!(row(&ended.stdout, "outbox")[0], "wrong");
    }
}

#[test]
fn the_internal_api_is_connected_to_and_sent_nothing() {
    let api = Upstream::start(|_| panic!("nothing is asked"));
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();

    let up = check(Proxy::setup().set("RELAY_URL", api.url()));
    let down = check(Proxy::setup().set("RELAY_URL", format!("http://{gone}")));

    assert_eq!((up.code, row(&up.stdout, "RELAY_URL")[0]), (0, "ok"));
    assert_eq!(down.code, 69);
    assert_eq!(row(&down.stdout, "RELAY_URL")[0], "unavailable");
    assert!(api.requests().is_empty());
}

/// E1: as the relay does, so that `check` promises nothing that it will not do.
#[test]
fn an_internal_api_at_a_metadata_service_is_not_connected_to() {
    for host in ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"] {
        let ended = check(Proxy::setup().set("RELAY_URL", format!("http://{host}")));

        assert_eq!(ended.code, 78, "{host}: {}", ended.stdout);
        let found = row(&ended.stdout, "RELAY_URL");
        assert_eq!(found[0], "wrong", "{host}");
        assert!(ended.stdout.contains("nothing is ever sent"), "{host}");
    }
}

/// A name that is there twice (rotation) is said once, wherever its tokens stand.
#[test]
fn who_may_post_is_said_by_name() {
    let setup = Proxy::setup()
        .set(
            "PROXY_TOKENS",
            "ci=a-secret-of-the-ci-system deploy=a-secret-of-the-deployer ci=the-next-secret-of-the-ci-system",
        )
        .set("SLACK_SIGNING_SECRETS", "4d3c2b1a0f9e8d7c6b5a493827160504");

    let ended = check(setup);

    assert_eq!(row(&ended.stdout, "PROXY_TOKENS"), ["ok", "for ci, deploy"]);
    assert_eq!(row(&ended.stdout, "SIGNING_KEYS")[0], "unset");
    assert_eq!(row(&ended.stdout, "SLACK_SIGNING_SECRETS")[0], "unchecked");
}

#[test]
fn the_findings_come_as_json() {
    let slack = Slack::start();

    let ended = Proxy::setup().with(&slack).args(&["check", "--json"]).run();

    json(&ended);
    let found = states(&ended);
    assert_eq!(found[0], ("slack".to_owned(), "ok".to_owned()));
    assert_eq!(found.len(), 5, "{found:?}");
}

/// An app that is only installed has no token here, so nothing was shown.
#[test]
fn what_nothing_was_asked_for_is_not_called_ok() {
    let folder = Folder::new();
    let setup = Proxy::setup()
        .outbox(&folder)
        .set("SLACK_CLIENT_ID", "1234567890.1234567890")
        .set("SLACK_CLIENT_SECRET", "0f1e2d3c4b5a69788796a5b4c3d2e1f0")
        .set("STORE_KEY", "5a0c7f3e91d24b68a7f0c1e2d3b4a596");

    let ended = check(setup);

    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(row(&ended.stdout, "slack")[0], "unchecked");
    let secret = row(&ended.stdout, "SLACK_CLIENT_SECRET");
    assert_eq!(secret[0], "unchecked");
    assert!(secret[1].contains("installation"), "{secret:?}");
}

/// A secret of the platform's variables may stand in a file; a missing one is a fault of one line.
#[test]
fn a_secret_in_a_file_is_read_as_for_serve() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let file = folder.path().join("token");
    std::fs::write(&file, slack.token()).unwrap();
    let env = slack
        .env()
        .into_iter()
        .filter(|(name, _)| name != "SLACK_BOT_TOKEN");
    let setup = env.fold(Proxy::setup(), |setup, (name, value)| {
        setup.set(&name, value)
    });

    let ended = check(setup.set("SLACK_BOT_TOKEN_FILE", file.to_str().unwrap()));

    assert_eq!(row(&ended.stdout, "slack")[0], "ok");
}

#[test]
fn it_takes_no_arguments() {
    let ended = Proxy::setup().args(&["check", "slack"]).run();

    assert_eq!((ended.code, ended.stdout.as_str()), (64, ""));
    assert!(!line(&super::run(&["channels"]), 78).is_empty());
}
