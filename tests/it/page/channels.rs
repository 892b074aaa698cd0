//! `GET /channels`: what a visitor may choose from, and nothing that it may not know.

use serde_json::{Value, json};

use super::{CI, DEPLOY, KEY, as_token};
use crate::support::mattermost::TEAM;
use crate::support::{Environment as _, Mattermost, Proxy, Response, Setup, Slack, Teams};

/// The channels as they are written, in order.
fn names(answer: &Response) -> Vec<String> {
    let body = answer.json();
    let all = body["channels"].as_array().unwrap().iter();
    all.map(|one| one["channel"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn where_posting_is_open_so_are_the_aliases() {
    let proxy = Proxy::start(&[("CHANNELS", "demo=console:here both=console:a,console:b")]);

    let answer = proxy.get("/channels");

    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({
            "caller": "anonymous", "open": true, "signs": false, "get_posts": true, "keeps": false, "lists": false, "others": true,
            "backends": ["console"],
            "channels": [
                {"channel": "both", "destinations": [{"backend": "console", "channel": "a"}, {"backend": "console", "channel": "b"}]},
                {"channel": "demo", "destinations": [{"backend": "console", "channel": "here"}]},
            ],
        })
    );
}

#[test]
fn where_tokens_are_set_a_visitor_without_one_learns_nothing() {
    let tokens = format!("ci={CI}");
    let proxy = Proxy::start(&[
        ("CHANNELS", "demo=console:secret-plans"),
        ("PROXY_TOKENS", &tokens),
    ]);

    let (nobody, wrong) = (
        proxy.get("/channels"),
        as_token(&proxy, "GET", "/channels", DEPLOY),
    );
    let page = proxy.request("GET", "/", &[("Accept", "text/html")]);

    for answer in [&nobody, &wrong] {
        assert_eq!(answer.verdict(), (401, "unauthorized".to_owned()));
        assert!(!answer.text().contains("demo"));
    }
    assert!(!page.text().contains("secret-plans"));
    assert_eq!(names(&as_token(&proxy, "GET", "/channels", CI)), ["demo"]);
}

#[test]
fn a_bound_token_sees_its_own_channels_alone() {
    let tokens = format!("ci={CI} deploy@deploys,console:more={DEPLOY}");
    let proxy = Proxy::start(&[
        (
            "CHANNELS",
            "deploys=console:d alerts=console:a both=console:a,console:d same=console:d",
        ),
        ("PROXY_TOKENS", &tokens),
        ("SIGNING_KEYS", KEY),
    ]);

    let own = as_token(&proxy, "GET", "/channels", DEPLOY);
    let all = as_token(&proxy, "GET", "/channels", CI);

    assert_eq!(
        names(&own),
        ["console:d", "console:more", "deploys", "same"]
    );
    assert_eq!(names(&all), ["alerts", "both", "deploys", "same"]);
    let flags =
        |answer: &Response| ["caller", "others", "signs"].map(|name| answer.json()[name].clone());
    assert_eq!(flags(&own), [json!("deploy"), json!(false), json!(true)]);
    assert_eq!(flags(&all), [json!("ci"), json!(true), json!(true)]);
}

#[test]
fn a_webhook_is_shown_by_its_alias_and_its_url_never() {
    let chat = Mattermost::start();
    let (hook, aliases) = (
        chat.hook_url(),
        format!("hook=mattermost+{}", chat.hook_url()),
    );
    let mut setup = Proxy::setup().set("CHANNELS", aliases);
    for (name, value) in chat.env() {
        setup = setup.set(&name, value);
    }
    let proxy = setup.start();

    let answer = proxy.get("/channels");

    let place = answer.json()["channels"][0]["destinations"][0].clone();
    assert_eq!(place, json!({"backend": "mattermost", "channel": "hook"}));
    let key = hook.rsplit('/').next().unwrap();
    assert!(!answer.text().contains(key));
}

#[test]
fn only_aliases_means_that_no_other_channel_is_named() {
    let tokens = format!("deploy@deploys={DEPLOY}");
    let proxy = Proxy::start(&[
        ("CHANNELS", "deploys=console:d"),
        ("PROXY_TOKENS", &tokens),
        ("ONLY_ALIASES", "true"),
        ("PUBLIC_URL", "https://proxy.example.com/post-here/"),
    ]);

    let answer = as_token(&proxy, "GET", "/channels", DEPLOY);

    assert_eq!(names(&answer), ["deploys"]);
    assert_eq!(answer.json()["others"], Value::Bool(false));
    assert_eq!(
        answer.json()["public_url"],
        "https://proxy.example.com/post-here"
    );
}

/// A proxy before both chat servers, with a token for everything and one for a channel.
fn guarded(chat: &Mattermost, slack: &Slack) -> Setup {
    let builds = chat.channel("builds");
    Proxy::setup().with(chat).with(slack).without_limits().set(
        "PROXY_TOKENS",
        format!("ci={CI} deploy@mattermost:{builds}={DEPLOY}"),
    )
}

#[test]
fn a_token_for_everything_sees_what_the_bots_see() {
    let (chat, slack, teams) = (Mattermost::start(), Slack::start(), Teams::start());
    let proxy = guarded(&chat, &slack).with(&teams).start();

    let list = |backend: &str| as_token(&proxy, "GET", &format!("/channels?backend={backend}"), CI);
    let (of_chat, of_slack, of_teams) = (list("mattermost"), list("slack"), list("teams"));

    let builds = json!({"channel": format!("mattermost:{}", chat.channel("builds")), "name": format!("{TEAM}/builds")});
    assert!(
        of_chat.json()["channels"]
            .as_array()
            .unwrap()
            .contains(&builds),
        "{}",
        of_chat.text()
    );
    assert_eq!(of_chat.json()["more"], false);
    assert_eq!(names(&of_slack).len(), 4, "{}", of_slack.text());
    assert!(names(&of_slack).contains(&format!("slack:{}", slack.channel("ops"))));
    assert_eq!(names(&of_teams), Vec::<String>::new());
    assert!(of_teams.json()["advice"].is_string());
    assert_eq!(list("nobody").verdict(), (404, "not-found".to_owned()));
    let other = as_token(&proxy, "GET", "/channels?cursor=x", CI);
    assert_eq!(other.verdict(), (400, "bad-option".to_owned()));
}

#[test]
fn what_the_bots_see_is_not_for_others() {
    let (chat, slack) = (Mattermost::start(), Slack::start());
    let own = guarded(&chat, &slack);
    let (closed, aliases) = (
        own.clone().start(),
        own.clone()
            .set("ONLY_ALIASES", "true")
            .set("CHANNELS", "a=console:a")
            .set("PROXY_TOKENS", format!("ci={CI}"))
            .start(),
    );
    let open = own.unset("PROXY_TOKENS").start();
    let path = "/channels?backend=mattermost";

    assert_eq!(closed.get(path).status, 401);
    assert_eq!(
        as_token(&closed, "GET", path, DEPLOY).verdict(),
        (403, "forbidden".to_owned())
    );
    assert_eq!(as_token(&aliases, "GET", path, CI).status, 403);
    assert_eq!(open.get(path).status, 403);
    assert_eq!((chat.requests().len(), slack.requests().len()), (0, 0));
}

#[test]
fn the_platform_is_asked_once_for_all_who_ask() {
    let (chat, slack) = (Mattermost::start(), Slack::start());
    let proxy = guarded(&chat, &slack).start();
    let path = "/channels?backend=mattermost";

    let first = as_token(&proxy, "GET", path, CI);
    let asked = chat.requests().len();
    let second = as_token(&proxy, "GET", path, CI);

    assert_eq!(first.json(), second.json());
    assert_eq!(chat.requests().len(), asked);
}

/// F-17: refused credentials are named, and so is the way to mend them.
#[test]
fn a_platform_that_refuses_is_a_problem_with_its_cure() {
    let (chat, slack) = (Mattermost::start(), Slack::start());
    let proxy = guarded(&chat, &slack).start();
    chat.replace_token();

    let answer = as_token(&proxy, "GET", "/channels?backend=mattermost", CI);

    assert_eq!(answer.verdict(), (502, "backend-rejected".to_owned()));
    assert!(
        answer.text().contains("MATTERMOST_TOKEN"),
        "{}",
        answer.text()
    );
}
