//! `send`: from where it runs, and through a running proxy.

use std::net::TcpListener;

use serde_json::Value;

use super::{json, line, run};
use crate::support::mattermost::Access;
use crate::support::{Folder, Mattermost, Proxy, Refused, Reply, Setup, Slack, Upstream};

const CI: &str = "a-secret-of-the-ci-system";

fn send(setup: Setup, arguments: &[&str]) -> Refused {
    setup.arg("send").args(arguments).run()
}

/// A command beside a proxy; it shares nothing with it but what it is told.
fn to(proxy: &Proxy, arguments: &[&str]) -> Refused {
    send(
        Proxy::setup().set("PROXY_TOKEN", CI),
        &[arguments, &["--to", &proxy.url("")]].concat(),
    )
}

fn guarded(chat: &Mattermost) -> Setup {
    Proxy::setup()
        .with(chat)
        .set("PROXY_TOKENS", format!("ci={CI}"))
}

#[test]
fn from_here_it_posts_with_this_environments_credentials() {
    let chat = Mattermost::start();
    let builds = chat.channel("builds");
    let channel = format!("mattermost:{builds}");

    let ended = send(
        Proxy::setup().with(&chat),
        &[
            &channel,
            "It's done",
            "--title",
            "Build #42",
            "--level",
            "success",
        ],
    );

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let post = &chat.posts()[0];
    assert_eq!(post.channel_id, builds);
    assert!(post.props.to_string().contains("Build #42"));
    let words: Vec<&str> = ended.stdout.split(' ').collect();
    assert_eq!((words[0], words[2]), ("delivered", &*channel));
    assert!(words[3].ends_with(&post.id), "{words:?}");
}

#[test]
fn standard_input_is_posted_as_it_is() {
    let chat = Slack::start();
    let setup = Proxy::setup()
        .with(&chat)
        .stdin("--first 'line'\n\tsecond \"line\"\n");

    let ended = send(setup, &["#ops", "-"]);

    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(chat.posts()[0].text, "--first 'line'\n\tsecond \"line\"");
}

#[test]
fn the_receipt_is_that_of_a_proxy() {
    let chat = Mattermost::start();
    let channel = format!("mattermost:{}", chat.channel("builds"));
    let setup = Proxy::setup().with(&chat);
    let proxy = setup.clone().start();

    let here = json(&send(setup.clone(), &[&channel, "from here", "--json"]));
    let through = json(&to(&proxy, &[&channel, "through it", "--json"]));
    let answer = proxy.post_message(&channel, "by a request", &[]).json();

    let keys = |value: &Value| -> Vec<String> {
        let names = value["deliveries"][0].as_object().unwrap().keys();
        names
            .chain(value.as_object().unwrap().keys())
            .cloned()
            .collect()
    };
    assert_eq!(keys(&here), keys(&answer));
    assert_eq!(keys(&through), keys(&answer));
    assert_eq!(here["status"], "delivered");
}

/// A CI job has settings of its own that mean something else here, and no outbox.
#[test]
fn what_only_the_server_needs_is_not_judged_and_no_outbox_is_made() {
    let folder = Folder::new();
    let setup = Proxy::setup()
        .dir(folder.path())
        .unset("DATABASE_URL")
        .set("HOST", "0.0.0.0")
        .set("PORT", "tcp://10.0.0.1:80");

    let ended = send(setup.clone(), &["demo", "hello"]);
    let database = send(
        setup.set("DATABASE_URL", "postgres://db/app"),
        &["demo", "hello"],
    );

    assert_eq!((ended.code, database.code), (0, 0), "{}", database.stderr);
    assert!(ended.stdout.starts_with("[demo] hello\ndelivered "));
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_refusal_is_said_with_its_cure() {
    let chat = Slack::start();
    let setup = Proxy::setup().with(&chat);
    let open = chat.channel("open");

    let not_member = send(setup.clone(), &[&open, "hello"]);
    let unknown = send(setup.clone(), &["#nowhere", "hello"]);
    chat.replace_token();
    let credentials = send(setup, &[&open, "hello"]);

    let said = line(&not_member, 77);
    assert!(
        said.starts_with(&format!("slack:{open}: ")) && said.contains("/invite"),
        "{said}"
    );
    assert!(line(&unknown, 77).contains("invite the bot"));
    assert!(line(&credentials, 77).contains("SLACK_BOT_TOKEN"));
}

#[test]
fn a_platform_that_is_away_is_unavailable_when_the_wait_is_over() {
    let chat = Slack::start();
    let channel = chat.channel("ops");
    chat.down();

    let ended = send(
        Proxy::setup().with(&chat),
        &[&channel, "hello", "--wait", "1"],
    );

    assert!(
        line(&ended, 69).contains("cannot be reached"),
        "{}",
        ended.stderr
    );
}

/// One entry each: what was posted is not said to have failed, and a refusal counts for more than an outage.
#[test]
fn of_several_destinations_each_failure_is_a_line() {
    let (mattermost, slack) = (Mattermost::start(), Slack::start());
    let channels = format!(
        "all=mattermost:{},slack:{},slack:{}",
        mattermost.channel("builds"),
        slack.channel("open"),
        slack.channel("ops")
    );
    let setup = Proxy::setup()
        .with(&mattermost)
        .with(&slack)
        .set("CHANNELS", channels);

    let ended = send(setup, &["all", "hello", "--json"]);

    assert_eq!(ended.code, 77);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let receipt: Value = serde_json::from_str(&ended.stdout).unwrap();
    let entries = receipt["deliveries"].as_array().unwrap().iter();
    let states: Vec<_> = entries
        .map(|entry| entry["status"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["delivered", "failed", "delivered"]);
    assert_eq!((mattermost.posts().len(), slack.posts().len()), (1, 1));
}

#[test]
fn a_dry_run_shows_what_would_be_sent() {
    let chat = Slack::start();
    let channel = chat.channel("ops");

    let ended = send(Proxy::setup().with(&chat), &[&channel, "a <b>", "--dry"]);

    let shown = json(&ended);
    assert_eq!(
        (&shown["status"], &shown["message"]),
        (&"dry".into(), &"a <b>".into())
    );
    assert_eq!(shown["deliveries"][0]["requests"][0]["channel"], channel);
    assert!(chat.requests().is_empty());
}

#[test]
fn what_cannot_be_meant_is_usage() {
    let slack = Slack::start();
    let mattermost = Mattermost::start();
    let two = Proxy::setup().with(&slack).with(&mattermost);
    let only = two
        .clone()
        .set("CHANNELS", "a=console:a")
        .set("ONLY_ALIASES", "true");
    let hook = Proxy::setup().set("CHANNELS", format!("a=slack+{}", slack.webhook_url()));
    let long = "word ".repeat(60_000);

    for (setup, arguments, says) in [
        (two.clone(), &["somewhere", "x"][..], "mattermost:"),
        (only, &["console:b", "x"], "CHANNELS"),
        (hook, &["hello", "x"], "no configured backend"),
        (two.clone(), &["slack: ", "x"], "'slack:'"),
        (two.clone(), &["#ops", "x", "--level", "fatal"], "level"),
        (two.clone(), &["#ops", "x", "--once", "k"], "--to"),
        (two.clone(), &["#ops", "x", "--wait", "0"], "--to"),
        (two.clone(), &["#ops", " "], "MESSAGE"),
        (two.clone().stdin(long), &["#ops", "-"], "MAX_PARTS"),
        (
            two,
            &["#ops", "x", "--to", "https://u:p4ssw0rd@p.example"],
            "--to: ",
        ),
    ] {
        let ended = send(setup.canary("p4ssw0rd"), arguments);

        assert!(line(&ended, 64).contains(says), "{says}: {}", ended.stderr);
    }
    assert!(slack.posts().is_empty() && mattermost.posts().is_empty());
}

/// A secret on the command line is seen in the list of processes, so there is no option for one.
#[test]
fn no_option_takes_a_secret() {
    for option in ["--token", "--sig"] {
        assert_eq!(
            run(&["send", "demo", "x", option, "y"]).code,
            64,
            "{option}"
        );
    }
}

#[test]
fn through_a_proxy_it_posts_with_the_token_of_the_environment() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let proxy = guarded(&chat).start();
    let channel = format!("mattermost:{}", chat.channel("builds"));
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{CI}\n")).unwrap();
    let from_file = Proxy::setup().set("PROXY_TOKEN_FILE", file.to_str().unwrap());
    let base = proxy.url("");

    let variable = to(&proxy, &[&channel, "../a//b?c#d %2F", "--as", "CI"]);
    let secret = send(from_file, &[&channel, "second", "--to", &base]);

    assert_eq!(
        (variable.code, secret.code),
        (0, 0),
        "{}{}",
        variable.stderr,
        secret.stderr
    );
    assert!(variable.stdout.starts_with("delivered "));
    let texts: Vec<_> = chat.posts().into_iter().map(|post| post.message).collect();
    assert_eq!(texts, ["../a//b?c#d %2F", "second"]);
}

/// G1: whoever names another address must not hand out the server's own secrets by that.
#[test]
fn a_secret_of_the_server_goes_to_no_named_address() {
    let there = Upstream::start(|_| Reply::status(204));
    let setup = Proxy::setup().set("PROXY_TOKENS", format!("ci={CI}"));

    send(setup, &["demo", "hello", "--to", &there.url()]);

    let asked = there.requests();
    assert_eq!(asked[0].header("authorization"), None);
}

/// E3: where a redirect leads nothing goes.
#[test]
fn a_redirect_is_not_followed() {
    let there = Upstream::start(|_| Reply::status(204));
    let to = there.url();
    let here = Upstream::start(move |_| Reply::status(307).header("Location", &to));
    let setup = Proxy::setup().set("PROXY_TOKEN", CI);

    let ended = send(setup, &["demo", "hello", "--to", &here.url()]);

    assert!(line(&ended, 69).contains("answers 307"), "{}", ended.stderr);
    assert!(there.requests().is_empty());
}

#[test]
fn bad_credentials_are_refused_and_the_fix_is_named() {
    let chat = Mattermost::start();
    let proxy = guarded(&chat).start();
    let base = proxy.url("");

    let none = send(Proxy::setup(), &["demo", "x", "--to", &base]);
    let wrong = send(
        Proxy::setup().set("PROXY_TOKEN", "another-secret-of-nobody"),
        &["demo", "x", "--to", &base],
    );

    assert!(
        line(&none, 77).contains("set PROXY_TOKEN"),
        "{}",
        none.stderr
    );
    assert!(
        line(&wrong, 77).contains("not one of this proxy's"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn a_token_that_is_no_header_is_a_fault_of_the_configuration() {
    let ended = send(
        Proxy::setup().set("PROXY_TOKEN", "a-secret\nof-two-lines"),
        &["demo", "x", "--to", "http://127.0.0.1:9"],
    );

    assert!(line(&ended, 78).starts_with("PROXY_TOKEN: "));
}

#[test]
fn a_proxys_refusals_have_the_same_exit_codes() {
    let chat = Mattermost::start();
    let proxy = guarded(&chat).set("MAX_URL", "1KiB").start();
    let open = format!(
        "mattermost:{}",
        chat.set_channel("open", Access::PublicNotMember)
    );
    let nowhere = format!("mattermost:{}", "z".repeat(26));
    let long = "x".repeat(2000);

    let code = |arguments: &[&str]| to(&proxy, arguments).code;

    assert_eq!(code(&[&open, "x"]), 77);
    assert_eq!(code(&[&nowhere, "x"]), 77);
    assert_eq!(code(&["demo", &long]), 64);
}

#[test]
fn a_message_that_is_promised_is_done() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let proxy = guarded(&chat).outbox(&folder).start();
    let channel = format!("mattermost:{}", chat.channel("builds"));
    chat.down();

    let ended = to(
        &proxy,
        &[&channel, "hello", "--wait", "0", "--once", "build-42"],
    );
    let again = to(
        &proxy,
        &[&channel, "hello", "--once", "build-42", "--wait", "0"],
    );

    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let id = |ended: &Refused| ended.stdout.split(' ').nth(1).unwrap().to_owned();
    assert!(ended.stdout.starts_with("queued "), "{}", ended.stdout);
    assert_eq!(id(&ended), id(&again));
}

#[test]
fn what_is_no_proxy_is_named() {
    let page = Upstream::start(|_| Reply::html(404, "<html>\u{1b}[31mnothing here</html>"));
    let hostile = Upstream::start(|_| {
        let detail = "two\nlines \u{1b}[2J\u{202e}and more";
        Reply::json(503, serde_json::json!({"code": "x", "detail": detail}))
    });
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let at = |url: String| send(Proxy::setup(), &["demo", "x", "--to", &url]);

    let (page, hostile, gone) = (
        at(page.url()),
        at(hostile.url()),
        at(format!("http://{gone}")),
    );

    assert!(line(&page, 77).contains("answers 404"), "{}", page.stderr);
    assert!(!line(&hostile, 69).contains(['\u{1b}', '\u{202e}']));
    assert!(line(&gone, 69).contains("is it running?"));
}
