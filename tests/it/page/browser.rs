//! The page as a person uses it: in a browser, by labels and buttons.

use serde_json::json;

use super::{CI, DEPLOY, KEY};
use crate::store::{hold, queue, queue_all, setup, shown};
use crate::support::browser::{ENTER, LOOKS, TAB};
use crate::support::mattermost::Access;
use crate::support::{Browser, Folder, Mattermost, Proxy, Slack, Teams};

/// A proxy before all platforms.
struct Stage {
    chat: Mattermost,
    _slack: Slack,
    _teams: Teams,
    _folder: Folder,
    proxy: Proxy,
}

fn stage(env: &[(&str, &str)]) -> Stage {
    let (chat, slack, teams, folder) = (
        Mattermost::start(),
        Slack::start(),
        Teams::start(),
        Folder::new(),
    );
    let builds = chat.channel("builds");
    let everywhere = format!(
        "everywhere=mattermost:{builds},slack:{},teams:{},console:log builds=mattermost:{builds}",
        slack.channel("ops"),
        teams.channel("alerts"),
    );
    let own = setup(&chat)
        .with(&slack)
        .with(&teams)
        .outbox(&folder)
        .set("CHANNELS", everywhere);
    let proxy = env
        .iter()
        .fold(own, |own, (name, value)| own.set(name, *value))
        .start();
    Stage {
        chat,
        _slack: slack,
        _teams: teams,
        _folder: folder,
        proxy,
    }
}

#[test]
fn a_person_writes_copies_sends_and_reads_the_receipt() {
    let stage = stage(&[]);
    let browser = Browser::start();
    let text = "Grüße, 100% \"done\" <b>& more</b>\nit's #1/2? yes + `code`";
    stage.proxy.add_message(text);

    browser.open(&stage.proxy.url("/"));
    browser.wait_for_text("#whoami", "Posting is open");
    browser.write("Channel", "builds");
    browser.write("Message", text);
    browser.press("Copy the URL");
    browser.wait_for_text("#said", "Copied");
    let copied = browser.clipboard();
    browser.press("Send it now");
    browser.wait_for_text("#outcome", "Delivered");

    assert_eq!(copied, browser.text("#url"));
    let target = copied.strip_prefix(&stage.proxy.url("")).unwrap();
    assert_eq!(stage.proxy.post(target).status, 200);
    let builds = stage.chat.channel("builds");
    assert_eq!(shown(&stage.chat, &builds), [text, text]);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_token_holder_signs_a_url_that_needs_no_token() {
    let tokens = format!("ci={CI} deploy@builds={DEPLOY}");
    let stage = stage(&[("PROXY_TOKENS", &tokens), ("SIGNING_KEYS", KEY)]);
    let browser = Browser::start();
    let builds = stage.chat.channel("builds");

    browser.open(&stage.proxy.url("/"));
    browser.wait_for_text("#whoami", "Without a token");
    browser.write("Proxy token", "not-a-secret-of-this-proxy");
    browser.press("Use it");
    browser.wait_for_text("#whoami", "PROXY_TOKENS");
    browser.write("Proxy token", DEPLOY);
    browser.press("Use it");
    browser.wait_for_text("#whoami", "deploy");
    browser.write("Channel", "builds");
    browser.write("Message", "a message by a signed URL");
    browser.choose("It posts", "this message only");
    browser.press("Sign it");
    browser.wait_for_text("#signed-note", "It expires on");
    browser.choose("Ready to paste into", "a webhook field");
    browser.press("Copy what to paste");
    browser.wait_for_text("#said", "Copied");
    let copied = browser.clipboard();
    browser.write("Message", "another message");
    browser.wait_for_text("#signed-note", "sign it again");

    let target = copied.strip_prefix(&stage.proxy.url("")).unwrap();
    assert_eq!(stage.proxy.post(target).status, 200, "{copied}");
    assert_eq!(shown(&stage.chat, &builds), ["a message by a signed URL"]);
    let kept = "return JSON.stringify([localStorage.length, sessionStorage.length, document.cookie, location.href])";
    let kept = browser.run(kept, json!([]));
    assert_eq!(kept, format!("[0,0,\"\",\"{}\"]", stage.proxy.url("/")));
    // A browser logs the refusals that it was told of.
    let others: Vec<_> = browser
        .complaints()
        .into_iter()
        .filter(|one| !one.contains("401"))
        .collect();
    assert_eq!(others, Vec::<String>::new());
}

#[test]
fn an_operator_follows_filters_retries_and_drops() {
    let stage = stage(&[]);
    let browser = Browser::start();
    let builds = stage.chat.channel("builds");
    let (gate, _) = hold(&stage.proxy, &stage.chat, &builds);
    let (first, second) = (
        queue(&stage.proxy, &builds, "the first that waits"),
        queue(&stage.proxy, &builds, "the second that waits"),
    );
    let row = |id: &str| format!("[data-id='{id}']");

    browser.open(&stage.proxy.url("/"));
    browser.wait_for_text("#live", "Live");
    browser.wait_for_text(&row(&first), "It is stored, and its turn comes");
    browser.press(&format!("Drop: message {second}"));
    browser.press(&format!("Really drop it? Message {second}"));
    browser.wait_for_text(&row(&second), "an operator dropped it");
    for look in LOOKS {
        browser.look(look);
        assert_eq!(browser.violations(), Vec::<String>::new(), "{}", look.name);
        browser.picture(&format!("deliveries-{}", look.name));
    }
    browser.choose("With status", "failed");
    browser.write("To channel", "builds");
    browser.press("Show");
    browser.wait(
        "the others to be hidden",
        "return document.querySelectorAll('#list > li').length === 1",
        json!([]),
    );
    browser.press(&format!("Try again: message {second}"));
    // It is not failed any more.
    browser.wait_for_text("#list", "Nothing here");
    browser.choose("With status", "all");
    browser.press("Show");
    gate.open();
    browser.wait_for_text(&row(&second), "delivered");

    assert_eq!(
        shown(&stage.chat, &builds).last().unwrap(),
        "the second that waits"
    );
    assert!(!browser.text("#list").contains("that waits"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// An alias may have several destinations, and a channel several names.
#[test]
fn deliveries_are_found_by_the_channel_that_the_post_was_sent_to() {
    let stage = stage(&[]);
    let browser = Browser::start();
    let row = |id: &str| format!("[data-id='{id}']");
    let (log, everywhere) = (
        queue(&stage.proxy, "console:log", "to the console"),
        queue(&stage.proxy, "everywhere", "to all of them"),
    );
    let hidden = "return document.querySelector(arguments[0]) === null";

    browser.open(&stage.proxy.url("/"));
    browser.wait_for_text(&row(&log), "delivered");
    for written in ["builds", "acme/builds", "mattermost:acme/builds"] {
        browser.write("To channel", written);
        browser.press("Show");
        browser.wait("the other to be hidden", hidden, json!([row(&log)]));
        browser.wait_for_text(&row(&everywhere), "delivered");
        browser.write("To channel", "");
        browser.press("Show");
        browser.wait_for_text(&row(&log), "delivered");
    }
    browser.write("To channel", "everywhere");
    browser.press("Show");
    browser.wait_for_text(&row(&log), "delivered");
    browser.wait_for_text(&row(&everywhere), "delivered");
    browser.write("To channel", "builds");
    browser.press("Show");
    browser.wait("the other to be hidden", hidden, json!([row(&log)]));
    let (later, _) = (
        queue(&stage.proxy, "builds", "while the page looks"),
        queue(&stage.proxy, "console:log", "while the page looks"),
    );
    browser.wait_for_text(&row(&later), "delivered");

    let count = browser.run(
        "return document.querySelectorAll('[data-id]').length",
        json!([]),
    );
    assert_eq!(count, 2);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// The page holds a bounded number, and says so instead of offering what it would not show.
#[test]
fn a_full_list_says_that_there_are_more_and_where() {
    const SHOWN: u64 = 400;
    let stage = stage(&[]);
    let browser = Browser::start();
    let builds = stage.chat.channel("builds");
    let (gate, _) = hold(&stage.proxy, &stage.chat, &builds);
    queue_all(&stage.proxy, &builds, "waits", 410);
    let count = "return document.querySelectorAll('[data-id]').length === arguments[0]";

    browser.open(&stage.proxy.url("/"));
    for shown in (50..SHOWN).step_by(50) {
        browser.wait("a page", count, json!([shown]));
        browser.press("Show older ones");
    }
    browser.wait("all that fit", count, json!([SHOWN]));
    browser.wait_for_text("#rest", "message-webhook-proxy deliveries");
    let is_shown = |id: &str| {
        let script = "return document.querySelector(arguments[0]).checkVisibility()";
        browser.run(script, json!([id]))
    };
    let offered = is_shown("#more");
    let said = browser.text("#said");
    let focused = browser.run("return document.activeElement.tagName", json!([]));
    browser.choose("With status", "failed");
    browser.press("Show");
    browser.wait_for_text("#list", "Nothing here");
    let told = is_shown("#rest");
    gate.open();

    assert_eq!((offered, told), (json!(false), json!(false)));
    // Also to who sees nothing, and has no mouse.
    assert_eq!(said, "Shown: 400, and there are older ones.");
    assert_eq!(focused, "LI");
}

/// What a filter was refused for is not told of the next one; the list of before is not shown for it.
#[test]
fn a_filter_that_is_refused_says_why_until_the_next() {
    let stage = stage(&[("RATE_LIMIT_CALLER", "2/h")]);
    let browser = Browser::start();
    let id = queue(&stage.proxy, "builds", "takes one of the quota");
    let none = "return document.querySelector('[data-id]') === null";

    browser.open(&stage.proxy.url("/"));
    browser.wait_for_text("#list", &id);
    for (channel, told) in [
        ("acme/builds", "Live"),
        ("acme/ops", "RATE_LIMIT_CALLER"),
        ("builds", "Live"),
    ] {
        browser.write("To channel", channel);
        browser.press("Show");
        browser.wait_for_text("#live", told);
        if told != "Live" {
            browser.wait("the others to be hidden", none, json!([]));
        }
    }

    browser.wait_for_text("#list", &id);
}

/// The page is open when the proxy is started with other tokens; and before anybody has written one.
#[test]
fn who_is_not_known_any_more_is_asked_for_a_token_where_it_goes() {
    let folder = Folder::new();
    let chat = Mattermost::start();
    let own = setup(&chat).outbox(&folder);
    let first = own.clone().start();
    let addr = first.addr();
    let browser = Browser::start();
    let focused = "return document.activeElement.id";

    browser.open(&first.url("/"));
    browser.wait_for_text("#live", "Live");
    first.kill();
    let _second = own
        .set("PORT", addr.port().to_string())
        .set("PROXY_TOKENS", format!("ci={CI}"))
        .start();
    browser.wait_for_text("#whoami", "Without a token");
    browser.write("Channel", &format!("mattermost:{}", chat.channel("builds")));
    browser.write("Message", "by whom?");
    browser.press("Send it now");
    browser.wait_for_text("#outcome", "needs a proxy token");

    assert_eq!(browser.run(focused, json!([])), "token");
    browser.write("Proxy token", CI);
    browser.press("Use it");
    browser.wait_for_text("#live", "Live");
    browser.press("Send it now");
    browser.wait_for_text("#outcome", "Delivered");
}

/// One of three channels took it: who reads "failed" alone would send it again.
#[test]
fn what_each_channel_of_an_alias_said_is_shown() {
    let stage = stage(&[]);
    let browser = Browser::start();
    stage.chat.set_channel("builds", Access::Archived);

    browser.open(&stage.proxy.url("/"));
    browser.write("Channel", "everywhere");
    browser.write("Message", "not all of them take it");
    browser.press("Send it now");
    browser.wait_for_text("#outcome", "console log: delivered");

    let told = browser.text("#outcome");
    let refused = format!("mattermost {}: failed: ", stage.chat.channel("builds"));
    assert!(told.contains(&refused), "{told}");
}

#[test]
fn a_refusal_that_passes_says_when_to_try_again() {
    let stage = stage(&[("OUTBOX_MAX", "1")]);
    let browser = Browser::start();
    let (gate, _) = hold(&stage.proxy, &stage.chat, &stage.chat.channel("builds"));

    browser.open(&stage.proxy.url("/"));
    browser.write("Channel", "builds");
    browser.write("Message", "no room");
    browser.press("Send it now");
    browser.wait_for_text("#outcome", "OUTBOX_MAX");
    gate.open();

    let told = browser.text("#outcome");
    assert!(told.contains("try again in"), "{told}");
}

/// As long as the proxy takes it at most: the page says so before it is sent, and goes on after the refusal.
#[test]
fn a_message_that_is_too_long_for_a_url_is_told_so() {
    let stage = stage(&[]);
    let browser = Browser::start();
    let write = "const field = document.querySelector('#message'); field.value = 'x'.repeat(arguments[0]); field.dispatchEvent(new Event('input'))";

    browser.open(&stage.proxy.url("/"));
    browser.write("Channel", "builds");
    browser.run(write, json!([7_900]));
    let short = browser.text("#url-note");
    browser.run(write, json!([32 * 1024]));
    let long = browser.text("#url-note");
    browser.press("Send it now");
    browser.wait_for_text("#outcome", "MAX_URL");
    browser.write("Message", "short");
    browser.press("Send it now");
    browser.wait_for_text("#outcome", "Delivered");

    assert_eq!(short, "");
    assert!(long.contains("32") && long.contains("MAX_URL"), "{long}");
    assert_eq!(browser.text("#url-note"), "");
}

#[test]
fn without_a_bot_there_is_no_list_of_channels_to_ask_for() {
    let proxy = Proxy::start(&[("PROXY_TOKENS", &format!("ci={CI}"))]);
    let browser = Browser::start();

    browser.open(&proxy.url("/"));
    browser.write("Proxy token", CI);
    browser.press("Use it");
    browser.wait_for_text("#whoami", "ci");

    let offered = "return document.querySelector('#seen').checkVisibility()";
    assert_eq!(browser.run(offered, json!([])), false);
}

#[test]
fn the_keyboard_is_enough() {
    let stage = stage(&[]);
    let browser = Browser::start();

    browser.open(&stage.proxy.url("/"));
    browser.wait_for_text("#whoami", "Posting is open");
    browser.keys(&[TAB, ENTER]);
    let focused = "return document.activeElement.id";
    browser.keys(&[TAB]);
    assert_eq!(browser.run(focused, json!([])), "channel");
    browser.keys(&[
        "b", "u", "i", "l", "d", "s", TAB, "h", "i", TAB, TAB, TAB, TAB, TAB,
    ]);
    assert_eq!(browser.run(focused, json!([])), "send");
    browser.keys(&[ENTER]);

    browser.wait_for_text("#outcome", "Delivered");
    assert_eq!(shown(&stage.chat, &stage.chat.channel("builds")), ["hi"]);
    // And the way goes on from there.
    assert_eq!(browser.run(focused, json!([])), "send");
}

/// A line goes the way of its own language, where it is written and where it is shown.
#[test]
fn a_persian_message_runs_from_right_to_left() {
    let stage = stage(&[]);
    let browser = Browser::start();
    let text = "ساخت ۴۲ ناموفق بود! (main)\nin English";
    let starts = "const text = document.createTreeWalker(document.querySelector(arguments[0]), 4).nextNode(); const range = document.createRange(); return ['س', 'E'].map((letter) => { const at = text.data.indexOf(letter); range.setStart(text, at); range.setEnd(text, at + 1); const box = text.parentElement.getBoundingClientRect(); const { left, right } = range.getBoundingClientRect(); return left - box.left < box.right - right ? 'left' : 'right'; })";

    browser.open(&stage.proxy.url("/"));
    browser.write("Channel", "builds");
    browser.write("Message", text);
    browser.press("Preview");
    browser.wait_for_text("#looks", "ناموفق");

    let written = "return getComputedStyle(document.querySelector('#message')).direction";
    assert_eq!(browser.run(written, json!([])), "rtl");
    assert_eq!(
        browser.run(starts, json!(["#looks .text"])),
        json!(["right", "left"])
    );
}

/// D5: what a message says is text in every preview.
#[test]
fn every_look_is_whole_and_accessible() {
    let tokens = format!("ci={CI}");
    let stage = stage(&[("PROXY_TOKENS", &tokens), ("SIGNING_KEYS", KEY)]);
    let browser = Browser::start();
    let text = "*Build* #42 of `main` failed <img src=x onerror=alert(1)>\nsee the log & try again, @channel";
    stage.proxy.add_message(text);

    browser.open(&stage.proxy.url("/"));
    browser.write("Proxy token", CI);
    browser.press("Use it");
    browser.wait_for_text("#whoami", "ci");
    browser.press("List the channels of the bots");
    browser.wait_for_text("#seen-note", "slack: 4");
    browser.write(
        "Channel",
        &format!("mattermost:{}", stage.chat.channel("builds")),
    );
    browser.wait_for_text("#channel-hint", "/builds");
    browser.write("Channel", "everywhere");
    browser.write("Message", text);
    browser.write("Title", "Build <42>");
    browser.choose("Level", "error");
    browser.write("Link", "https://ci.example.com/builds/42?a=1&b=2");
    browser.press("Sign it");
    browser.wait_for_text("#signed-note", "It expires on");
    browser.choose("Ready to paste into", "GitHub Actions");
    browser.press("Preview");
    browser.wait_for_text("#looks", "standard output");
    browser.press("Send it now");
    browser.wait_for_text("#outcome", "Delivered");

    for platform in ["Mattermost", "Slack", "Microsoft Teams", "Console"] {
        assert!(browser.text("#looks").contains(platform), "{platform}");
    }
    let script = "return [document.querySelectorAll('#looks img').length, [...document.querySelectorAll('.bubble')].filter((one) => one.innerText.includes('<img src=x onerror=alert(1)>')).length, document.querySelectorAll('.card.error').length]";
    assert_eq!(browser.run(script, json!([])), json!([0, 4, 3]));
    for look in LOOKS {
        browser.look(look);
        assert_eq!(browser.violations(), Vec::<String>::new(), "{}", look.name);
        let wider = "return document.documentElement.scrollWidth - innerWidth";
        assert!(
            browser.run(wider, json!([])).as_i64().unwrap() <= 0,
            "{} scrolls sideways",
            look.name
        );
        browser.picture(look.name);
    }
}
