//! Contract section 7: `slack-manifest` and `teams-package`, checked with the platforms' schemas and words.
//!
//! No package carries Slack's JSON schema, so `tests/peers/slack-manifest.schema.json` has its rules, and those its
//! server adds; scopes and events are compared with the types of Slack's own SDK.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Folder, Proxy, Refused, peers};

const HOST: &str = "proxy.example.org";
const APP_ID: &str = "6f0e4b1c-2d3a-4c5b-8e9f-0a1b2c3d4e5f";

fn run(arguments: &[&str]) -> Refused {
    run_with(&[], arguments)
}

fn run_with(env: &[(&str, &str)], arguments: &[&str]) -> Refused {
    let setup = env.iter().fold(Proxy::setup(), |s, (n, v)| s.set(n, *v));
    arguments.iter().fold(setup, |s, a| s.arg(a)).run()
}

#[track_caller]
fn slack_manifest(arguments: &[&str]) -> Value {
    let ended = run(&[&["slack-manifest"], arguments].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    serde_json::from_str(&ended.stdout).unwrap()
}

/// Writes a package for [`APP_ID`]; what is in it.
#[track_caller]
fn teams_package(folder: &Folder, arguments: &[&str]) -> Value {
    let out = folder.path().join("app.zip");
    let ended = run(&[
        &["teams-package", "--app-id", APP_ID, "--out", text(&out)],
        arguments,
    ]
    .concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let script = peer("package.py");
    serde_json::from_slice(&output(
        Command::new(peers::python()).arg(script).arg(out),
        "",
    ))
    .unwrap()
}

fn teams_manifest(package: &Value) -> Value {
    serde_json::from_str(package["manifest"].as_str().unwrap()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn peer(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/peers").join(name)
}

#[track_caller]
fn output(command: &mut Command, input: &str) -> Vec<u8> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// The faults that a schema finds in each document.
#[track_caller]
fn faults(schema: &Path, documents: &[Value]) -> Vec<Vec<String>> {
    let mut node = Command::new("node");
    node.arg(peer("validate.js")).arg(schema);
    node.env("NODE_PATH", peers::node().join("node_modules"));
    let documents = serde_json::to_string(documents).unwrap();
    serde_json::from_slice(&output(&mut node, &documents)).unwrap()
}

/// The document with each of these changes, one at a time; null takes away.
fn changed(document: &Value, changes: &[(&str, Value)]) -> Vec<Value> {
    let change = |(pointer, value): &(&str, Value)| {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut copy = document.clone();
        let parent = copy.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => drop(parent.remove(key).unwrap()),
            value => drop(parent.insert(key.to_owned(), value.clone())),
        }
        copy
    };
    changes.iter().map(change).collect()
}

fn words(list: &Value) -> BTreeSet<&str> {
    let list = list.as_array().unwrap();
    list.iter().map(|word| word.as_str().unwrap()).collect()
}

fn slack_schema() -> PathBuf {
    peer("slack-manifest.schema.json")
}

fn teams_schema() -> PathBuf {
    peers::node().join(
        "node_modules/@microsoft/app-manifest/build/json-schemas/teams/v1.19/MicrosoftTeams.schema.json",
    )
}

/// The members of `type NAME = 'a' | 'b';` in the types of Slack's SDK.
fn slack_words(name: &str) -> BTreeSet<String> {
    let types = "node_modules/@slack/web-api/dist/types/request/manifest.d.ts";
    let types = std::fs::read_to_string(peers::node().join(types)).unwrap();
    let (_, rest) = types.split_once(&format!("type {name} = ")).unwrap();
    let (members, _) = rest.split_once(';').unwrap();
    let bare = |word: &str| word.trim_matches('\'').to_owned();
    members.split(" | ").map(bare).collect()
}

#[test]
fn a_slack_app_calls_the_verified_way_back() {
    let manifest = slack_manifest(&["--host", "Proxy.Example.org:8443"]);

    let at = |pointer| manifest.pointer(pointer).unwrap();
    let base = "https://proxy.example.org:8443/no-auth";
    let actions = json!(format!("{base}/provider-action/slack"));
    assert_eq!(at("/settings/interactivity/request_url"), &actions);
    assert_eq!(at("/features/slash_commands/0/url"), &actions);
    assert_eq!(
        at("/settings/event_subscriptions/request_url"),
        &json!(format!("{base}/provider-action/slack-events"))
    );
    assert_eq!(
        at("/oauth_config/redirect_urls"),
        &json!([format!("{base}/provider-token/slack")])
    );
}

/// Otherwise the platform would be the first to find out.
#[test]
fn the_proxy_serves_what_the_two_apps_call() {
    let folder = Folder::new();
    let out = folder.path().join("app.zip");
    let manifest = slack_manifest(&["--host", HOST]);
    let told = run(&[
        "teams-package",
        "--host",
        HOST,
        "--app-id",
        APP_ID,
        "--out",
        text(&out),
    ])
    .stdout;
    let at = |pointer| manifest.pointer(pointer).unwrap().as_str().unwrap();
    let proxy = Proxy::start(&[]);

    for url in [
        at("/settings/interactivity/request_url"),
        at("/settings/event_subscriptions/request_url"),
        told.split_whitespace().last().unwrap(),
    ] {
        let path = url.strip_prefix("https://proxy.example.org").unwrap();
        let answer = proxy.get(path);

        assert_eq!(answer.status, 405, "{url}");
        assert!(answer.text().contains("this endpoint is reachable"));
    }
}

/// What is not needed is not asked for, and every event brings its scope (Slack's documentation of each event).
#[test]
fn a_slack_app_asks_for_the_scopes_of_its_events_and_posts() {
    let manifest = slack_manifest(&["--host", HOST]);

    let bot = words(&manifest["oauth_config"]["scopes"]["bot"]);
    let events = words(&manifest["settings"]["event_subscriptions"]["bot_events"]);
    let mut needed = BTreeSet::from([
        "chat:write",
        "chat:write.customize",
        "commands",
        "channels:read",
        "groups:read",
        "mpim:read",
        "users:read",
        "users:read.email",
    ]);
    needed.extend(events.iter().filter_map(|event| match *event {
        "app_mention" => Some("app_mentions:read"),
        "message.channels" => Some("channels:history"),
        "message.groups" => Some("groups:history"),
        "message.mpim" => Some("mpim:history"),
        "app_uninstalled" | "tokens_revoked" => None,
        other => panic!("which scope does {other} need?"),
    }));
    assert_eq!(bot, needed);
    assert_eq!(events.len(), 6);
}

#[test]
fn slack_knows_every_scope_and_event() {
    let manifest = slack_manifest(&["--host", HOST]);

    let scopes = &manifest["oauth_config"]["scopes"];
    let events = &manifest["settings"]["event_subscriptions"]["bot_events"];
    for (ours, theirs) in [
        (&scopes["bot"], "BotScope"),
        (&scopes["user"], "UserScope"),
        (events, "ManifestEvent"),
    ] {
        let known = slack_words(theirs);
        let unknown: Vec<&str> = words(ours)
            .into_iter()
            .filter(|word| !known.contains(*word))
            .collect();
        assert_eq!(unknown, [""; 0], "{theirs}");
    }
}

#[test]
fn slack_takes_the_manifest_whatever_the_app_is_called() {
    let longest = "é".repeat(35);
    let manifests = [
        slack_manifest(&["--host", HOST]),
        slack_manifest(&["--host", HOST, "--name", &longest]),
        slack_manifest(&["--host", "localhost:8443", "--name", " \"Proxy\" \\ <2> "]),
    ];

    let found = faults(&slack_schema(), &manifests);

    assert_eq!(found, [[""; 0]; 3]);
    assert_eq!(manifests[1]["display_information"]["name"], longest);
    assert_eq!(
        manifests[2]["display_information"]["name"],
        "\"Proxy\" \\ <2>"
    );
}

/// The check itself: each rule that the manifest keeps is one that would be seen broken.
#[test]
fn a_manifest_against_the_rules_of_slack_is_seen() {
    let broken = changed(
        &slack_manifest(&["--host", HOST]),
        &[
            ("/unknown", json!(1)),
            ("/settings/unknown", json!(1)),
            ("/display_information/name", json!("x".repeat(36))),
            ("/display_information/name", json!("")),
            ("/display_information/description", json!("x".repeat(141))),
            ("/display_information/background_color", json!("#12345")),
            ("/display_information/long_description", json!("short")),
            ("/features/bot_user/display_name", json!("Message Proxy")),
            ("/features/slash_commands", json!([])),
            ("/oauth_config/redirect_urls", json!([])),
            (
                "/oauth_config/redirect_urls",
                json!(["http://a.example/no-auth"]),
            ),
            ("/oauth_config/scopes/user", json!([])),
            ("/oauth_config/scopes/bot", json!(["commands", "commands"])),
            ("/settings/event_subscriptions/request_url", Value::Null),
            ("/settings/event_subscriptions/user_events", json!([])),
            ("/settings/interactivity/request_url", Value::Null),
            ("/settings/socket_mode_enabled", json!(true)),
        ],
    );

    let found = faults(&slack_schema(), &broken);

    let unseen: Vec<usize> = (0..broken.len()).filter(|&i| found[i].is_empty()).collect();
    assert_eq!(unseen, [0; 0]);
}

#[test]
fn microsofts_schema_takes_the_package_whatever_the_app_is_called() {
    let folder = Folder::new();
    let longest = "é".repeat(30);
    let manifests = [
        teams_manifest(&teams_package(&folder, &["--host", HOST])),
        teams_manifest(&teams_package(
            &folder,
            &["--host", "localhost:8443", "--name", &longest],
        )),
    ];

    let found = faults(&teams_schema(), &manifests);

    assert_eq!(found, [[""; 0]; 2]);
    assert_eq!(manifests[1]["name"]["short"], longest);
    assert_eq!(manifests[1]["validDomains"], json!(["localhost"]));
}

/// The check itself.
#[test]
fn a_manifest_against_the_rules_of_microsoft_is_seen() {
    let manifest = teams_manifest(&teams_package(&Folder::new(), &["--host", HOST]));
    let broken = changed(
        &manifest,
        &[
            ("/unknown", json!(1)),
            ("/bots/0/unknown", json!(1)),
            ("/accentColor", Value::Null),
            ("/packageName", json!("org.example.proxy")),
            ("/manifestVersion", json!("1.20")),
            ("/id", json!("proxy")),
            ("/name/short", json!("x".repeat(31))),
            ("/developer/name", json!("x".repeat(33))),
            ("/description/short", json!("x".repeat(81))),
            ("/permissions", json!(["everything"])),
        ],
    );

    let found = faults(&teams_schema(), &broken);

    let unseen: Vec<usize> = (0..broken.len()).filter(|&i| found[i].is_empty()).collect();
    assert_eq!(unseen, [0; 0]);
}

/// What the schema lets pass and Teams does not (reference/teams.md 6.2).
#[test]
fn a_package_keeps_the_rules_beyond_the_schema() {
    let package = teams_package(&Folder::new(), &["--host", "proxy.example.org:8443"]);

    let text = package["manifest"].as_str().unwrap();
    assert!(
        text.starts_with('{') && !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text:?}"
    );
    let manifest = teams_manifest(&package);
    for texts in ["name", "description"] {
        assert_ne!(manifest[texts]["short"], manifest[texts]["full"]);
    }
    for url in ["websiteUrl", "privacyUrl", "termsOfUseUrl"] {
        let url = &manifest["developer"][url];
        assert_eq!(url, "https://proxy.example.org:8443/");
    }
    assert_eq!(manifest["validDomains"], json!(["proxy.example.org"]));
    assert_eq!(
        (&manifest["id"], &manifest["bots"][0]["botId"]),
        (&json!(APP_ID), &json!(APP_ID))
    );
    assert_eq!(manifest["bots"][0]["scopes"], json!(["team", "groupChat"]));
    assert_eq!(manifest["bots"][0]["isNotificationOnly"], json!(false));
    let commands = &manifest["bots"][0]["commandLists"][0]["commands"];
    assert_eq!(commands[0]["title"], "where");
    assert_eq!(commands[1]["title"], "help");
}

#[test]
fn a_package_is_three_files_at_the_root_and_the_same_bytes_each_time() {
    let folder = Folder::new();
    let out = folder.path().join("app.zip");

    let package = teams_package(&folder, &["--host", HOST]);
    let first = std::fs::read(&out).unwrap();
    std::fs::write(&out, "an older file, which is replaced").unwrap();
    teams_package(&folder, &["--host", HOST]);

    assert_eq!(std::fs::read(&out).unwrap(), first);
    assert_eq!(
        package["names"],
        json!(["manifest.json", "color.png", "outline.png"])
    );
    assert_eq!(package["dates"], json!([[1980, 1, 1, 0, 0, 0]]));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1);
}

/// reference/teams.md 6.1: the sizes, a solid square behind the one, nothing but white and nothing in the other.
#[test]
fn the_pictures_are_what_teams_takes() {
    let package = teams_package(&Folder::new(), &["--host", HOST]);

    let (color, outline) = (&package["color"], &package["outline"]);
    assert_eq!(color["size"], json!([192, 192]));
    assert_eq!(color["corner"][3], 255);
    let solid = color["colours"].as_array().unwrap();
    assert!(solid.iter().all(|rgba| rgba[3] == 255));
    let symbol = |at: usize| color["symbol"][at].as_i64().unwrap();
    assert!((40..=56).contains(&symbol(0)) && (136..=152).contains(&symbol(2)));
    assert!((40..=64).contains(&symbol(1)) && (128..=152).contains(&symbol(3)));
    assert_eq!(outline["size"], json!([32, 32]));
    assert_eq!(
        outline["colours"],
        json!([[255, 255, 255, 0], [255, 255, 255, 255]])
    );
    // No padding.
    assert_eq!(
        (&outline["symbol"][0], &outline["symbol"][2]),
        (&json!(0), &json!(31))
    );
}

/// A pasted URL may hold a password, so what was typed is not shown.
#[test]
fn what_is_no_public_host_name_is_refused() {
    let out = Folder::new();
    let file = out.path().join("app.zip");
    for host in [
        "",
        "https://proxy.example.org",
        "proxy.example.org/",
        "proxy.example.org ",
        "user:Kq3vT8wZpL5nX2rY@proxy.example.org",
        "bücher.example",
        "10.0.0.1",
        "[::1]:443",
        "proxy.example.org:0",
        "proxy.example.org:65536",
        "proxy..example.org",
        "proxy.example.org\"",
    ] {
        for command in ["slack-manifest", "teams-package"] {
            let more: &[&str] = match command {
                "teams-package" => &["--app-id", APP_ID, "--out", text(&file)],
                _ => &[],
            };
            let ended = run(&[&[command, "--host", host], more].concat());

            assert_eq!((ended.code, ended.stdout.as_str()), (64, ""), "{host:?}");
            assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{host:?}");
            assert!(
                ended
                    .stderr
                    .contains("--host: expected the public host name")
            );
            assert!(!ended.stderr.contains("Kq3vT8wZpL5nX2rY"));
        }
    }
    assert!(!file.exists());
}

#[test]
fn a_name_that_the_platform_would_refuse_is_refused() {
    let folder = Folder::new();
    let file = folder.path().join("app.zip");
    for (name, is_short) in [
        ("", false),
        ("  ", false),
        ("two\nlines", false),
        (&*"x".repeat(36), false),
        // Slack takes 35 and Teams 30.
        (&*"x".repeat(31), true),
    ] {
        let teams = run(&[
            "teams-package",
            "--host",
            HOST,
            "--app-id",
            APP_ID,
            "--out",
            text(&file),
            "--name",
            name,
        ]);
        let slack = run(&["slack-manifest", "--host", HOST, "--name", name]);

        assert_eq!(teams.code, 64, "{name:?}");
        assert!(teams.stderr.contains("--name: expected 1 to 30 characters"));
        assert_eq!(slack.code, if is_short { 0 } else { 64 }, "{name:?}");
    }
    assert!(!file.exists());
}

#[test]
fn the_bots_id_is_the_arguments_or_the_variables() {
    let folder = Folder::new();
    let file = folder.path().join("app.zip");
    let arguments = ["teams-package", "--host", HOST, "--out", text(&file)];
    let other = "AAAAAAAA-bbbb-cccc-dddd-eeeeeeeeeeee";

    let unset = run(&arguments);
    let wrong = run_with(&[("TEAMS_APP_ID", "proxy")], &arguments);
    let typo = run(&[&arguments[..], &["--app-id", "proxy"]].concat());
    assert!(!file.exists());
    // Nothing else of the configuration matters.
    let env = [("TEAMS_APP_ID", other), ("PORT", "none")];
    let from_env = run_with(&env, &arguments);
    let of_env = std::fs::read(&file).unwrap();
    run_with(&env, &[&arguments[..], &["--app-id", APP_ID]].concat());
    let of_argument = std::fs::read(&file).unwrap();

    assert_eq!((unset.code, wrong.code, typo.code), (78, 78, 64));
    for (ended, said) in [
        (&unset, "TEAMS_APP_ID is not set"),
        (&wrong, "TEAMS_APP_ID: expected"),
        (&typo, "--app-id: expected"),
    ] {
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        assert_eq!(ended.stderr.trim_end().lines().count(), 1);
    }
    assert_eq!(from_env.code, 0, "{}", from_env.stderr);
    let holds = |bytes: &[u8], id: &str| String::from_utf8_lossy(bytes).contains(id);
    assert!(holds(&of_env, &other.to_ascii_lowercase()));
    assert!(holds(&of_argument, APP_ID) && !holds(&of_argument, "aaaaaaaa"));
}

#[test]
fn a_package_that_cannot_be_written_says_why_and_leaves_nothing() {
    let folder = Folder::new();
    let missing = folder.path().join("missing/app.zip");
    let is_folder = folder.path().join("folder.zip");
    std::fs::create_dir(&is_folder).unwrap();
    let name_too_long = folder.path().join("x".repeat(255));

    for (out, said) in [
        (&missing, "does not exist; make it first"),
        (&is_folder, "is there and is not a file"),
        (&name_too_long, "cannot write it"),
    ] {
        let arguments = ["teams-package", "--host", HOST, "--app-id", APP_ID, "--out"];
        let ended = run(&[&arguments[..], &[text(out)]].concat());

        assert_eq!((ended.code, ended.stdout.as_str()), (69, ""));
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }

    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1);
}

#[test]
fn a_reader_that_has_gone_is_no_fault() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);

    let ended = Command::new(env!("CARGO_BIN_EXE_message-webhook-proxy"))
        .args(["slack-manifest", "--host", HOST])
        .env_clear()
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();

    assert_eq!(
        (ended.status.code(), ended.stderr.as_slice()),
        (Some(0), b"".as_slice())
    );
}

#[test]
fn the_help_of_each_command_has_an_example_and_the_next_step() {
    for (command, next) in [
        ("slack-manifest", "https://api.slack.com/apps"),
        ("teams-package", "Upload it in Teams"),
    ] {
        let ended = run(&[command, "--help"]);

        assert_eq!(ended.code, 0);
        let example = format!("message-webhook-proxy {command} --host proxy.example.org");
        for part in ["Example:", &example, next] {
            assert!(ended.stdout.contains(part), "{}", ended.stdout);
        }
    }
}

#[test]
fn a_command_without_its_arguments_is_a_usage_fault() {
    for arguments in [
        &["slack-manifest"][..],
        &["teams-package", "--host", HOST],
        &["teams-package", "--out", "x.zip"],
    ] {
        let ended = run(arguments);

        assert_eq!((ended.code, ended.stdout.as_str()), (64, ""));
        assert!(ended.stderr.contains("Usage:"), "{}", ended.stderr);
    }
}
