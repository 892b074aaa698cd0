//! What is stored is what was posted: its looks, its parts, its destination, and what the platform asked for.

use serde_json::Value;

use super::{Stage, entries, id};
use crate::store::{attempts, eventually, queue, receipt, sends, shown, wait_for_status};
use crate::support::{Gate, Reply};

/// Longer than one post may be, with an end that tells the parts apart.
fn long() -> String {
    format!("{}the end of it", "a word of many ".repeat(1200))
}

/// The next post is taken as if nothing were.
fn well(stage: &Stage) {
    let open = Gate::new();
    open.open();
    stage.chat.hold_next(&open);
}

#[test]
fn a_stored_post_looks_like_one_that_was_not() {
    let stage = Stage::new();
    let looks = [
        &[("title", "A heading"), ("link", "https://ci.example/42")][..],
        &[("level", "error")],
        &[("as", "the builder"), ("level", "success")],
        &[("format", "plain")],
    ];
    let text = "*bold* @channel <b>\nüber 100%";

    for look in looks {
        let now = stage.proxy.post_message(&stage.builds, text, look);
        let stored = [look, &[("wait", "0")]].concat();
        let later = stage.proxy.post_message(&stage.builds, text, &stored);
        wait_for_status(&stage.proxy, &id(&later), "delivered");

        assert_eq!((now.status, later.status), (200, 202), "{look:?}");
        let posts = stage.chat.posts();
        let [.., direct, kept] = &posts[..] else {
            panic!("{} posts", posts.len())
        };
        assert_eq!(
            (&direct.message, &direct.props),
            (&kept.message, &kept.props),
            "{look:?}"
        );
    }
}

#[test]
fn a_message_in_parts_goes_on_where_it_stopped() {
    let mut stage = Stage::new();
    well(&stage);
    stage.chat.next(Reply::status(503));
    stage.chat.next(Reply::status(503));
    let text = long();

    let answer = stage.patient(&stage.builds, &text, "0");
    eventually("a part has failed", || {
        attempts(&receipt(&stage.proxy, &id(&answer))) > 0
    });
    stage.restart();
    let after = wait_for_status(&stage.proxy, &id(&answer), "delivered");

    let posts = stage.chat.posts();
    assert_eq!(posts.len(), 2, "{posts:?}");
    assert!(posts[1].message.ends_with("the end of it"));
    assert!(!posts[0].message.contains("the end of it"));
    let first = &after["deliveries"][0]["message_id"];
    assert_eq!(*first, posts[0].id);
}

/// A caller that waits is told of all the parts.
#[test]
fn a_message_in_parts_is_delivered_when_its_last_is() {
    let stage = Stage::new();
    well(&stage);
    stage.chat.next(Reply::status(503));

    let answer = stage.patient(&stage.builds, &long(), "30");

    assert_eq!(answer.verdict(), (200, "delivered".to_owned()));
    let posts = stage.chat.posts();
    assert_eq!(posts.len(), 2);
    let entry = &answer.json()["deliveries"][0];
    assert_eq!(entry["message_id"], posts[0].id);
    assert_eq!(entry["parts"], 2);
}

#[test]
fn what_the_platform_asked_for_survives_a_restart_and_a_retry() {
    let mut stage = Stage::new();
    let reply = Reply::status(429).header("Retry-After", "600");
    stage.chat.next(reply);
    let told = queue(&stage.proxy, &stage.builds, "told to wait");
    eventually("it is told", || attempts(&receipt(&stage.proxy, &told)) > 0);

    stage.restart();
    let retried = stage.proxy.post(format!("/deliveries/{told}/retry"));
    let behind = queue(&stage.proxy, &stage.builds, "behind it");
    let other = queue(&stage.proxy, &stage.deploys, "to another channel");
    wait_for_status(&stage.proxy, &other, "delivered");

    assert_eq!(retried.status, 200);
    assert_eq!(sends(&stage.chat), 2);
    assert_eq!(shown(&stage.chat, &stage.builds), [""; 0]);
    assert_eq!(receipt(&stage.proxy, &told)["reason"], "backend-throttled");
    assert_eq!(
        receipt(&stage.proxy, &behind)["reason"],
        "async",
        "it was promised before it was tried"
    );
}

#[test]
fn a_webhook_is_known_by_its_alias_alone() {
    let mut stage = Stage::new();
    let hook = format!("hook=mattermost+{}", stage.chat.hook_url());
    stage.own = stage.own.clone().set("CHANNELS", hook);
    stage.restart();
    stage.chat.down();
    let promised = queue(&stage.proxy, "hook", "through a webhook");

    stage.restart();
    let all = stage.proxy.get("/deliveries").text();
    stage.chat.up();
    let after = wait_for_status(&stage.proxy, &promised, "delivered");

    assert!(!all.contains("/hooks/"), "{all}");
    assert_eq!(after["deliveries"][0]["channel"], "hook");
    let posts = stage.chat.posts();
    assert!(posts.len() == 1 && posts[0].via_hook, "{posts:?}");
}

/// Its destination is gone from the configuration: it waits, says so, and holds nobody up.
#[test]
fn what_has_lost_its_destination_waits_for_it() {
    let mut stage = Stage::new();
    let plain = stage.own.clone();
    let hook = format!("hook=mattermost+{}", stage.chat.hook_url());
    let with_hook = plain.clone().set("CHANNELS", hook);
    stage.own = with_hook.clone();
    stage.restart();
    stage.chat.down();
    let promised = queue(&stage.proxy, "hook", "through a webhook");
    stage.proxy.kill();
    stage.chat.up();

    stage.own = plain;
    stage.restart();
    eventually("it is missed", || {
        receipt(&stage.proxy, &promised)["error"]
            .as_str()
            .is_some_and(|error| error.contains("not configured any more"))
    });
    let kept = receipt(&stage.proxy, &promised);
    let other = stage.patient(&stage.builds, "to where it can go", "20");
    stage.own = with_hook;
    stage.restart();
    wait_for_status(&stage.proxy, &promised, "delivered");

    assert_eq!(kept["status"], "queued");
    assert_eq!(other.status, 200);
}

/// What the caller wrote beside the message is in its receipt, now and later.
#[test]
fn a_receipt_keeps_what_was_ignored_and_replaced() {
    let stage = Stage::new();
    let query = [("wait", "0"), ("build", "42")];

    let answer = stage
        .proxy
        .post_message(&stage.builds, "a bell \u{7} rings", &query);
    let kept = wait_for_status(&stage.proxy, &id(&answer), "delivered");

    for receipt in [&answer.json(), &kept] {
        assert_eq!(receipt["ignored"], Value::from(vec!["build"]));
        assert_eq!(receipt["replaced"], 1);
    }
    let taken = ("mattermost".to_owned(), "delivered".to_owned());
    assert_eq!(entries(&kept), [taken]);
}
