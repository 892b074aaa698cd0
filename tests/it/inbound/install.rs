//! Contract section 6, the app in several Slack workspaces: installed by OAuth, kept sealed, posted to as
//! `slack:TEAMID/CHANNEL`. Slack's side is as strict as `slack.md` 7 says.

use std::collections::BTreeSet;

use serde_json::json;

use crate::store::{eventually, fill};
use crate::support::proxy::Setup;
use crate::support::slack::Access;
use crate::support::slack_sender::{SlackSender, envelope};
use crate::support::{
    Faults, Folder, Gate, Proxy, Reply, Request, Response, Slack, canary, log_message, unique,
};

const BACK: &str = "/no-auth/provider-token/slack";
const ACME: &str = "T0ACME0001";
const BETA: &str = "T0BETA0001";
const KEY: &str = "ybndrfg8ejkmcpqxot1uwisza345h769";

fn setup(slack: &Slack, folder: &Folder) -> Setup {
    let own = Proxy::setup().without_limits().outbox(folder);
    let own = own
        .set("STORE_KEY", KEY)
        .set("PUBLIC_URL", "https://proxy.example.org");
    let vars = slack.app_env().into_iter();
    vars.fold(own, |own, (name, value)| own.set(&name, value))
}

/// A browser that was sent to Slack: where to, and the cookie it holds.
struct Browser {
    location: String,
    cookie: String,
}

impl Browser {
    #[track_caller]
    fn begin(proxy: &Proxy) -> Self {
        let answer = proxy.get("/slack/install");
        assert_eq!(answer.status, 302, "{}", answer.text());
        let set = answer.header("set-cookie").unwrap().to_owned();
        let cookie = set.split(';').next().unwrap().to_owned();
        proxy.add_canary(cookie.split_once('=').unwrap().1);
        Self {
            location: answer.header("location").unwrap().to_owned(),
            cookie,
        }
    }

    #[track_caller]
    fn come_back(&self, proxy: &Proxy, query: &str) -> Response {
        come_back(proxy, query, &[("Cookie", &self.cookie)])
    }
}

#[track_caller]
fn come_back(proxy: &Proxy, query: &str, headers: &[(&str, &str)]) -> Response {
    for field in query.split('&').filter(|field| field.len() > 20) {
        proxy.add_canary(field.split_once('=').unwrap().1);
    }
    proxy.request("GET", format!("{BACK}?{query}"), headers)
}

/// An administrator installs the app, to the end.
#[track_caller]
fn install(proxy: &Proxy, slack: &Slack, workspace: &str, name: &str) -> Response {
    let browser = Browser::begin(proxy);
    let query = slack.consent(&browser.location, workspace, name);
    let answer = browser.come_back(proxy, &query);
    assert_eq!(answer.status, 200, "{}", answer.text());
    watch(proxy, slack, workspace);
    answer
}

/// The present tokens of a workspace must not be printed.
fn watch(proxy: &Proxy, slack: &Slack, workspace: &str) {
    let workspace = slack.workspace(workspace);
    proxy.add_canary(&workspace.token);
    workspace
        .refresh
        .iter()
        .for_each(|token| proxy.add_canary(token));
}

fn calls(slack: &Slack, method: &str) -> Vec<Request> {
    let path = format!("/api/{method}");
    let requests = slack.requests().into_iter();
    requests.filter(|request| request.path() == path).collect()
}

/// Posts to a channel of a workspace.
#[track_caller]
fn post(proxy: &Proxy, workspace: &str, channel: &str, text: &str) -> Response {
    proxy.post_message(&format!("slack:{workspace}/{channel}"), text, &[])
}

/// With whose token the last post came.
#[track_caller]
fn last_bearer(slack: &Slack) -> String {
    let posts = calls(slack, "chat.postMessage");
    let header = posts.last().unwrap().header("authorization").unwrap();
    header.strip_prefix("Bearer ").unwrap().to_owned()
}

#[track_caller]
fn detail(answer: &Response) -> String {
    answer.json()["detail"].as_str().unwrap().to_owned()
}

/// Everything that the outbox has written.
fn stored(folder: &Folder) -> Vec<u8> {
    let files = std::fs::read_dir(folder.path()).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.is_file())
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[test]
fn an_administrator_installs_the_app_and_posts_go_there() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let proxy = setup(&slack, &folder).start();
    let ops = slack.channel("ops");

    let answer = install(&proxy, &slack, ACME, "Acme & <b>Sons</b>");
    let receipt = post(&proxy, ACME, &ops, "hello from outside").json();

    // D5: names from outside are text.
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    let text = answer.text();
    assert!(text.contains("\"Acme & bSonsb\" (T0ACME0001)"), "{text}");
    assert!(text.contains("slack:T0ACME0001/CHANNEL"), "{text}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let entry = &receipt["deliveries"][0];
    assert_eq!(entry["channel"], format!("{ACME}/{ops}"), "{receipt}");
    assert_eq!(entry["message_id"], slack.posts()[0].ts);
    assert_eq!(slack.posts()[0].body["channel"], ops);
    assert_eq!(last_bearer(&slack), slack.workspace(ACME).token);
}

#[test]
fn the_browser_is_sent_with_a_state_a_cookie_and_the_scopes_of_the_manifest() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let proxy = setup(&slack, &folder).start();

    let answer = proxy.get("/slack/install");
    let manifest = Proxy::setup()
        .arg("slack-manifest")
        .arg("--host")
        .arg("proxy.example.org")
        .run();

    let location = answer.header("location").unwrap();
    let url = Request {
        method: "GET".into(),
        target: location.to_owned(),
        ..slack_request()
    };
    let field = |name: &str| url.param(name).unwrap_or_default();
    assert_eq!(
        field("redirect_uri"),
        "https://proxy.example.org/no-auth/provider-token/slack"
    );
    assert!(field("state").len() >= 22);
    let manifest: serde_json::Value = serde_json::from_str(&manifest.stdout).unwrap();
    let asked: BTreeSet<String> = field("scope").split(',').map(str::to_owned).collect();
    let scopes = manifest["oauth_config"]["scopes"]["bot"]
        .as_array()
        .unwrap();
    let told = scopes
        .iter()
        .map(|scope| scope.as_str().unwrap().to_owned());
    assert_eq!(asked, told.collect());
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-slack-install="), "{cookie}");
    for attribute in [
        "HttpOnly",
        "SameSite=Lax",
        "Path=/",
        "Max-Age=600",
        "Secure",
    ] {
        let mut parts = cookie.split("; ");
        assert!(parts.any(|part| part == attribute), "{attribute}");
    }
    assert!(!cookie.contains(&field("state")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

fn slack_request() -> Request {
    Request {
        method: String::new(),
        target: String::new(),
        version: String::new(),
        headers: crate::support::wire::Headers::default(),
        body: Vec::new(),
        connection: 0,
    }
}

#[test]
fn without_a_public_url_no_redirect_is_named_in_either_step() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let proxy = setup(&slack, &folder).unset("PUBLIC_URL").start();

    install(&proxy, &slack, ACME, "Acme");

    let access = &calls(&slack, "oauth.v2.access")[0];
    assert_eq!(access.form().len(), 1, "{:?}", access.form());
}

/// Somebody who has a good code of his own must not have his workspace installed by another's browser, nor twice.
#[test]
fn a_state_that_was_not_given_to_this_browser_installs_nothing() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let proxy = setup(&slack, &folder).start();
    let (mine, other) = (Browser::begin(&proxy), Browser::begin(&proxy));
    let query = slack.consent(&mine.location, ACME, "Acme");
    let (code, state) = query.split_once("&state=").unwrap();
    let wrong = unique("", 43);
    let cookie = [("Cookie", mine.cookie.as_str())];

    let refused = [
        come_back(&proxy, code, &cookie),
        come_back(&proxy, &format!("{code}&state="), &cookie),
        come_back(&proxy, &format!("{code}&state={wrong}"), &cookie),
        come_back(&proxy, &format!("{query}&state={state}"), &cookie),
        come_back(&proxy, &format!("{code}&state={state}x"), &cookie),
        come_back(&proxy, &query, &[]),
        come_back(&proxy, &query, &[("Cookie", &other.cookie)]),
        come_back(&proxy, &query, &[("Cookie", &format!("x{}", mine.cookie))]),
        come_back(
            &proxy,
            &format!("error=access_denied&state={wrong}"),
            &cookie,
        ),
        come_back(&proxy, "", &cookie),
    ];

    let one = &refused[0];
    for answer in &refused {
        // Nothing tells which of it was wrong.
        assert_eq!((answer.status, answer.text()), (401, one.text()));
    }
    assert!(calls(&slack, "oauth.v2.access").is_empty());
}

#[test]
fn a_state_is_good_for_once() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let proxy = setup(&slack, &folder).start();
    let browser = Browser::begin(&proxy);
    let query = slack.consent(&browser.location, ACME, "Acme");

    let first = browser.come_back(&proxy, &query);
    let second = browser.come_back(&proxy, &query);

    watch(&proxy, &slack, ACME);
    assert_eq!((first.status, second.status), (200, 401));
    assert_eq!(calls(&slack, "oauth.v2.access").len(), 1);
}

#[test]
fn what_slack_refuses_is_said_and_installs_nothing() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let proxy = setup(&slack, &folder).start();
    let state = |browser: &Browser| {
        let query = slack.consent(&browser.location, ACME, "Acme");
        query.split_once("&state=").unwrap().1.to_owned()
    };
    let back = |query: &str| {
        let browser = Browser::begin(&proxy);
        let query = format!("{query}&state={}", state(&browser));
        let answer = browser.come_back(&proxy, &query);
        (answer.status, answer.text())
    };

    let denied = back("error=access_denied");
    let strange = back("error=%3Cscript%3E");
    let nothing = back("x=y");
    let stale = back("code=an-old-code-that-is-used-up");
    slack.next_other(Slack::error("bad_client_secret"));
    let secret = back("code=another-code-of-this-test");
    slack.next_other(Reply::status(503));
    let down = back("code=a-third-code-of-this-test");

    assert_eq!(denied.0, 403);
    assert!(denied.1.contains("cancelled"), "{}", denied.1);
    assert_eq!(strange.0, 403);
    assert!(!strange.1.contains('<'), "{}", strange.1);
    assert_eq!((nothing.0, stale.0, secret.0, down.0), (400, 502, 502, 502));
    assert!(stale.1.contains("/slack/install"), "{}", stale.1);
    assert!(secret.1.contains("SLACK_CLIENT_SECRET"), "{}", secret.1);
    let answer = post(&proxy, ACME, &slack.channel("ops"), "not there yet");
    assert_eq!(answer.status, 404);
    assert!(detail(&answer).contains("/slack/install"));
}

#[test]
fn each_workspace_is_posted_to_with_its_own_token() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let proxy = setup(&slack, &folder)
        .set("SLACK_BOT_TOKEN", slack.token())
        .start();
    let ops = slack.channel("ops");
    install(&proxy, &slack, ACME, "Acme");
    install(&proxy, &slack, BETA, "Beta");

    let mut bearers = Vec::new();
    for channel in [
        format!("slack:{ACME}/{ops}"),
        format!("{BETA}/{ops}"),
        format!("slack:{ACME}/#ops"),
        ops.clone(),
    ] {
        let answer = proxy.post_message(&channel, "to one of three", &[]);
        assert_eq!(answer.status, 200, "{channel}: {}", answer.text());
        bearers.push(last_bearer(&slack));
    }

    let (acme, beta) = (slack.workspace(ACME).token, slack.workspace(BETA).token);
    assert_eq!(bearers, [acme.clone(), beta, acme, slack.token()]);
}

/// Slack limits an app in each workspace by itself (1.5).
#[test]
fn a_workspace_that_is_told_to_wait_holds_up_no_other() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let proxy = setup(&slack, &folder).start();
    install(&proxy, &slack, ACME, "Acme");
    install(&proxy, &slack, BETA, "Beta");
    let channels = ["ops", "builds", "deploys"].map(|name| slack.set_channel(name, Access::Member));
    slack.rate_limited(2, 120);

    let slowed = channels
        .each_ref()
        .map(|channel| post(&proxy, ACME, channel, "hello"));
    let other = post(&proxy, BETA, &channels[2], "hello");

    for answer in &slowed {
        assert_eq!(answer.json()["reason"], "backend-throttled");
    }
    assert_eq!(other.status, 200);
    assert_eq!(calls(&slack, "chat.postMessage").len(), 3);
}

#[test]
fn without_a_bot_token_a_channel_needs_its_workspace() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let proxy = setup(&slack, &folder).start();

    let answer = proxy.post_message(&slack.channel("ops"), "to nobody knows where", &[]);
    let name = proxy.post_message("slack:#ops", "to nobody knows where", &[]);

    assert_eq!((answer.status, name.status), (404, 404));
    assert!(detail(&answer).contains("TEAMID/CHANNEL"));
    assert!(slack.posts().is_empty());
    assert_eq!(proxy.get("/ready").status, 200);
}

/// P-1.
#[test]
fn an_installation_outlives_the_process() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let own = setup(&slack, &folder);
    let first = own.clone().start();
    install(&first, &slack, ACME, "Acme");
    first.kill();

    let second = own.start();
    watch(&second, &slack, ACME);
    let answer = post(&second, ACME, &slack.channel("ops"), "after a restart");

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(calls(&slack, "oauth.v2.access").len(), 1);
}

#[test]
fn the_file_holds_tokens_only_sealed() {
    let (slack, folder) = (Slack::start(), Folder::new());
    slack.rotate(43_200);
    let proxy = setup(&slack, &folder).start();

    install(&proxy, &slack, ACME, "Acme");
    let early = stored(&folder);
    proxy.terminate();

    let late = stored(&folder);
    let workspace = slack.workspace(ACME);
    assert!(holds(&early, ACME) || holds(&late, ACME));
    let secrets = [
        workspace.token,
        workspace.refresh.unwrap(),
        KEY.to_owned(),
        slack.app_env()[1].1.clone(),
    ];
    for bytes in [early, late] {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(canary::find(&secrets, &text), None);
        for secret in &secrets {
            assert!(!holds(&bytes, secret));
        }
    }
}

#[test]
fn another_store_key_opens_nothing_and_loses_nothing() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let ops = slack.channel("ops");
    let first = setup(&slack, &folder).start();
    install(&first, &slack, ACME, "Acme");
    first.terminate();

    let wrong = setup(&slack, &folder)
        .set("STORE_KEY", "another-key-another-key-another-key")
        .start();
    let event = wrong.wait_for_log(|event| event["workspace"] == ACME);
    let refused = post(&wrong, ACME, &ops, "sealed with another key");
    // What is promised is not lost for that.
    let target = format!("slack:{ACME}/{ops}");
    let promised = wrong.post_message(&target, "waits for the key", &[("wait", "0")]);
    wrong.terminate();
    let right = setup(&slack, &folder).start();
    let posts = slack.wait_for_posts(1);

    assert_eq!(event["level"], "ERROR");
    assert!(event.to_string().contains("STORE_KEY"), "{event}");
    assert_eq!(refused.status, 502);
    assert!(detail(&refused).contains("STORE_KEY"));
    assert_eq!(promised.status, 202, "{}", promised.text());
    assert_eq!(posts[0].text, "waits for the key");
    assert_eq!(post(&right, ACME, &ops, "opened again").status, 200);
}

#[test]
fn a_new_store_key_takes_over_what_the_old_one_sealed() {
    let new = "a-new-key-a-new-key-a-new-key-a-new-key";
    let (slack, folder) = (Slack::start(), Folder::new());
    let own = setup(&slack, &folder);
    let ops = slack.channel("ops");
    let first = own.clone().start();
    install(&first, &slack, ACME, "Acme");
    first.terminate();

    let both = own.clone().set("STORE_KEY", format!("{new} {KEY}")).start();
    both.wait_for_log(|event| event.to_string().contains("sealed with the new STORE_KEY"));
    let answer = post(&both, ACME, &ops, "with both keys");
    both.terminate();
    let alone = own.set("STORE_KEY", new).start();

    assert_eq!(answer.status, 200);
    assert_eq!(
        post(&alone, ACME, &ops, "with the new one alone").status,
        200
    );
}

#[test]
fn a_token_is_renewed_before_it_runs_out_and_the_new_one_is_kept() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let own = setup(&slack, &folder);
    let ops = slack.channel("ops");
    let proxy = own.clone().start();
    // Two hours are left, and it is renewed at once.
    slack.rotate(7_200);
    let browser = Browser::begin(&proxy);
    let query = slack.consent(&browser.location, ACME, "Acme");
    assert_eq!(browser.come_back(&proxy, &query).status, 200);
    let renewed = || {
        proxy
            .logs()
            .iter()
            .any(|e| e.to_string().contains("is renewed"))
    };
    eventually("the token is renewed", renewed);
    watch(&proxy, &slack, ACME);

    let answer = post(&proxy, ACME, &ops, "with the second token");
    proxy.kill();
    let second = own.start();
    watch(&second, &slack, ACME);
    let later = post(&second, ACME, &ops, "and after a restart");

    assert_eq!((answer.status, later.status), (200, 200));
    assert_eq!(last_bearer(&slack), slack.workspace(ACME).token);
    let access = calls(&slack, "oauth.v2.access");
    assert_eq!(access.len(), 2);
    for request in access {
        assert_eq!(
            request.header("content-type"),
            Some("application/x-www-form-urlencoded")
        );
    }
}

#[test]
fn what_meets_a_token_that_has_run_out_waits_for_the_next() {
    let (slack, folder) = (Slack::start(), Folder::new());
    slack.rotate(43_200);
    let proxy = setup(&slack, &folder).start();
    let ops = slack.channel("ops");
    install(&proxy, &slack, ACME, "Acme");
    slack.refuse_token(ACME, "token_expired");
    // The first renewal fails, and is tried again.
    slack.next_other(Reply::status(503));

    let target = format!("slack:{ACME}/{ops}");
    let answer = proxy.post_message(&target, "not lost", &[("wait", "1")]);
    let posts = slack.wait_for_posts(1);

    watch(&proxy, &slack, ACME);
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(posts[0].text, "not lost");
    assert_eq!(last_bearer(&slack), slack.workspace(ACME).token);
    assert_eq!(calls(&slack, "oauth.v2.access").len(), 3);
}

/// S-1: a renewed token that finds no room on the disk waits for it, and nobody waits for that token.
#[test]
fn a_renewal_without_room_holds_up_no_installation_and_no_removal() {
    let (slack, faults, sender) = (Slack::start(), Faults::none(), SlackSender::new());
    let own = faults.setup(setup(&slack, faults.disk())).with(&sender);
    let proxy = own.set("UPSTREAM_TIMEOUT", "1m").start();
    slack.rotate(43_200);
    install(&proxy, &slack, ACME, "Acme");
    let (gate, target) = (
        Gate::new(),
        format!("slack:{ACME}/{}", slack.channel("ops")),
    );
    slack.hold_other(&gate);
    slack.refuse_token(ACME, "token_expired");
    let waiting = proxy.post_message(&target, "has it renewed", &[("wait", "0")]);
    assert_eq!(waiting.status, 202, "{}", waiting.text());
    eventually("it is being renewed", || {
        calls(&slack, "oauth.v2.access").len() == 2
    });
    watch(&proxy, &slack, ACME);
    faults.disk_full();
    fill(&proxy, &target);
    gate.open();
    let said = |text: &str| {
        let is_it = |event| log_message(event).contains(text);
        proxy.logs().iter().any(is_it)
    };
    eventually("it finds no room", || said("cannot be stored yet"));

    let browser = Browser::begin(&proxy);
    let query = slack.consent(&browser.location, BETA, "Beta");
    let installed = browser.come_back(&proxy, &query);
    slack.refuse_token(ACME, "account_inactive");
    let mut gone = envelope("Ev01", &json!({"type": "app_uninstalled"}));
    gone["team_id"] = json!(ACME);
    let removed = sender.event(&gone).to(&proxy);

    assert_eq!(installed.status, 503, "{}", installed.text());
    assert_eq!(removed.status, 200);
    eventually("it is removed", || said("no longer installed"));
}

/// F-17: the trouble of one workspace is not the others'.
#[test]
fn a_revoked_token_names_its_workspace_and_stops_no_other() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let proxy = setup(&slack, &folder).start();
    let ops = slack.channel("ops");
    install(&proxy, &slack, ACME, "Acme");
    install(&proxy, &slack, BETA, "Beta");
    slack.refuse_token(ACME, "token_revoked");

    let refused = post(&proxy, ACME, &ops, "to the one that revoked");
    let target = format!("slack:{ACME}/{ops}");
    let promised = proxy.post_message(&target, "promised all the same", &[("wait", "0")]);
    let other = post(&proxy, BETA, &ops, "to the other");

    assert_eq!(refused.status, 502);
    assert_eq!(refused.json()["platform_code"], "token_revoked");
    let detail = detail(&refused);
    assert!(detail.contains(ACME) && detail.contains("/slack/install"));
    assert_eq!((promised.status, other.status), (202, 200));
    let ready = proxy.get("/ready");
    assert!(!ready.text().contains("failing"), "{}", ready.text());
}

#[test]
fn without_the_apps_credentials_there_is_no_such_path() {
    let slack = Slack::start();
    let proxy = Proxy::setup().with(&slack).start();

    for path in ["/slack/install", BACK] {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            let answer = proxy.request(method, path, &[]);
            assert_eq!(answer.status, 404, "{method} {path}");
        }
    }
}

#[test]
fn only_get_is_taken() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let proxy = setup(&slack, &folder).start();

    for path in ["/slack/install", BACK] {
        for method in ["HEAD", "POST", "PUT", "DELETE"] {
            let answer = proxy.request(method, path, &[]);
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, OPTIONS"));
            assert!(answer.header("set-cookie").is_none());
        }
        assert_eq!(proxy.request("OPTIONS", path, &[]).status, 204);
    }
}

#[test]
fn settings_that_would_lose_or_bare_a_token_are_faults() {
    let (id, secret) = (
        ("SLACK_CLIENT_ID", "123.456"),
        ("SLACK_CLIENT_SECRET", "0123456789abcdef0123456789abcdef"),
    );
    let (key, file) = (
        ("STORE_KEY", KEY),
        ("DATABASE_URL", "sqlite:/dev/null/x.db"),
    );
    let none = ("DATABASE_URL", "none");

    for (env, want) in [
        (vec![id, key, file], vec!["SLACK_CLIENT_SECRET"]),
        (vec![secret, key, file], vec!["SLACK_CLIENT_ID"]),
        (vec![id, secret, file], vec!["STORE_KEY"]),
        (vec![id, secret, key, none], vec!["DATABASE_URL"]),
        (vec![id, secret, none], vec!["STORE_KEY", "DATABASE_URL"]),
    ] {
        let refused = Proxy::refused(&env);
        assert_eq!(refused.code, 78, "{env:?}: {}", refused.stderr);
        for name in want {
            assert!(
                refused.stderr.contains(&format!("{name}: ")),
                "{name}: {}",
                refused.stderr
            );
        }
    }
}

/// A workspace that takes the app out, or its token back, is forgotten on the disk as well.
#[test]
fn a_workspace_that_takes_the_app_out_is_forgotten() {
    for (kind, more, is_over) in [
        ("app_uninstalled", json!({}), true),
        (
            "tokens_revoked",
            json!({"tokens": {"oauth": [], "bot": ["U0PROXY01"]}}),
            true,
        ),
        (
            "tokens_revoked",
            json!({"tokens": {"oauth": ["U0ALICE01"], "bot": []}}),
            false,
        ),
    ] {
        let (slack, folder, sender) = (Slack::start(), Folder::new(), SlackSender::new());
        let own = setup(&slack, &folder).with(&sender);
        let proxy = own.clone().start();
        let ops = slack.channel("ops");
        install(&proxy, &slack, ACME, "Acme");
        if is_over {
            slack.refuse_token(ACME, "account_inactive");
        }
        let mut event = json!({"type": kind});
        event
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let mut told = envelope("Ev01", &event);
        told["team_id"] = json!(ACME);

        assert_eq!(sender.event(&told).to(&proxy).status, 200);

        let status = if is_over { 404 } else { 200 };
        assert_eq!(post(&proxy, ACME, &ops, "hello").status, status, "{kind}");
        assert!(proxy.terminate().success());
        let again = own.start();
        assert_eq!(post(&again, ACME, &ops, "hello").status, status, "{kind}");
    }
}
