//! What `/metrics`, the log and the end of the process say of deliveries agrees with their receipts.

use serde_json::Value;

use super::{Stage, id, waiting};
use crate::store::{eventually, queue, setup, wait_for_status};
use crate::support::{Folder, Mattermost, Proxy, Reply, unique};

/// How many messages came to this, as `/metrics` says.
fn counted(proxy: &Proxy, result: &str) -> u64 {
    let metrics = proxy.get("/metrics").text();
    let series = format!(
        "message_webhook_proxy_deliveries_total{{backend=\"mattermost\",result=\"{result}\"}} "
    );
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
    value.map_or(0, |value| value.parse().unwrap())
}

/// One post, but each message in it was delivered.
#[test]
fn messages_are_counted_and_not_the_posts_they_are_folded_into() {
    let stage = Stage::with(&[("FOLD_BACKLOG", "true")]);
    stage
        .chat
        .next(Reply::status(429).header("Retry-After", "1"));

    let ids: Vec<String> = (0..5)
        .map(|n| queue(&stage.proxy, &stage.builds, &format!("message {n}")))
        .collect();
    for id in &ids {
        wait_for_status(&stage.proxy, id, "delivered");
    }

    assert!(stage.chat.posts().len() < 5);
    assert_eq!(counted(&stage.proxy, "delivered"), 5);
}

/// What ends without an attempt ends all the same.
#[test]
fn what_is_dropped_and_what_expires_is_counted() {
    let (lasting, brief) = (Stage::new(), Stage::with(&[("DELIVER_MAX_AGE", "1s")]));
    lasting.chat.down();
    brief.chat.down();
    let dropped = queue(&lasting.proxy, &lasting.builds, "not wanted any more");
    let expired = queue(&brief.proxy, &brief.builds, "too late");

    let path = format!("/deliveries/{dropped}");
    eventually("it is dropped", || {
        lasting.proxy.request("DELETE", &path, &[]).status == 200
    });
    wait_for_status(&brief.proxy, &expired, "failed");

    for (stage, word) in [(&lasting, "dropped"), (&brief, "expired")] {
        eventually(word, || counted(&stage.proxy, word) == 1);
    }
}

/// D6: an alias that was given up or points elsewhere sends nothing elsewhere, and the operator hears of it.
#[test]
fn what_waits_for_a_webhook_that_is_not_configured_any_more_is_told_of_and_waits() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let own = setup(&chat).outbox(&folder);
    let elsewhere = format!("hook=mattermost+{}/hooks/{}", chat.url(), unique("", 26));
    chat.down();
    let hook = format!("hook=mattermost+{}", chat.hook_url());
    let first = own.clone().set("CHANNELS", &hook).start();
    let kept = id(&first.post_message("hook", "for the first place", &[("wait", "0")]));
    first.terminate();
    chat.up();

    let second = own.clone().set("CHANNELS", &elsewhere).start();
    let told = second.wait_for_log(|line| line["message"] == "not sent");

    assert_eq!(
        (&told["delivery"], &told["channel"]),
        (&Value::from(kept.as_str()), &Value::from("hook"))
    );
    assert_eq!(told["failure"], "misconfigured");
    assert_eq!(counted(&second, "misconfigured"), 1);
    assert_eq!((waiting(&second), chat.posts().len()), (1, 0));
    second.terminate();
    let third = own.set("CHANNELS", &hook).start();
    wait_for_status(&third, &kept, "delivered");
    assert_eq!(chat.posts().len(), 1);
}
