//! P-1: kill -9 at any time, also while the last one is recovered from. P-4: what is short is not lost.

use super::{
    assert_shown, attempts, eventually, hold, listed, queue, queue_all, receipt, setup, shown,
    start, wait_for_status,
};
use crate::support::{Folder, Mattermost, Proxy, Reply, canary};

/// P-1: what waits for several channels is delivered by the next run, in the order of each.
#[test]
fn what_waits_survives_a_kill() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let channels = [chat.channel("builds"), chat.channel("deploys")];
    let proxy = start(&chat, &folder);
    chat.down();
    let texts = channels
        .each_ref()
        .map(|to| queue_all(&proxy, to, "waits", 30));

    proxy.kill();
    chat.up();
    let _again = start(&chat, &folder);

    for (channel, texts) in channels.iter().zip(&texts) {
        assert_shown(&chat, channel, texts);
    }
}

/// P-1: the next run is killed while it starts, at every moment of it, and so is the one after.
#[test]
fn a_kill_while_it_recovers_loses_nothing() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let proxy = start(&chat, &folder);
    chat.down();
    let texts = queue_all(&proxy, &builds, "waits", 200);
    proxy.kill();

    for millis in (0..60).chain((60..300).step_by(30)) {
        // `timeout` starts the program and kills it so much later; the outcome is a signal.
        let killed = setup(&chat)
            .outbox(&folder)
            .program("timeout")
            .arg("--signal=KILL")
            .arg(&format!("0.{:03}", millis + 1))
            .arg(env!("CARGO_BIN_EXE_message-webhook-proxy"))
            .run();
        assert!(matches!(killed.code, -1 | 137), "{}", killed.stderr);
    }
    chat.up();
    let _again = start(&chat, &folder);

    assert_shown(&chat, &builds, &texts);
}

/// P-1: killed between the platform's yes and its own note of it, it sends the same post again, which is none.
#[test]
fn a_kill_under_a_delivery_makes_no_second_post() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let proxy = start(&chat, &folder);
    let (gate, first) = hold(&proxy, &chat, &builds);
    let waiting = queue_all(&proxy, &builds, "waits", 5);

    proxy.kill();
    gate.open();
    let again = start(&chat, &folder);

    assert_shown(&chat, &builds, &[vec![first], waiting].concat());
    // I4: what may have been posted twice says so; the others were never in doubt.
    eventually("all is settled", || listed(&again, "queued").is_empty());
    let mut doubts: Vec<Option<u64>> = listed(&again, "delivered")
        .iter()
        .map(|id| {
            let receipt = again.get(format!("/deliveries/{id}")).json();
            receipt["deliveries"][0]["ambiguous"].as_u64()
        })
        .collect();
    doubts.reverse();
    assert_eq!(doubts, [Some(1), None, None, None, None, None]);
}

/// How many attempts may have posted a message without telling.
fn doubts(proxy: &Proxy, id: &str) -> u64 {
    let told = wait_for_status(proxy, id, "delivered")["deliveries"][0]["ambiguous"].as_u64();
    told.unwrap_or_default()
}

/// A process that was killed while the platform had asked it for a pause. What waits for `builds` then is in doubt.
fn killed_in_a_pause(chat: &Mattermost, folder: &Folder, pause_s: &str) -> String {
    let proxy = start(chat, folder);
    chat.next(Reply::status(503).header("Retry-After", pause_s));
    let id = queue(&proxy, &chat.channel("builds"), "before the kill");
    eventually("the attempt is noted", || {
        attempts(&receipt(&proxy, &id)) == 1
    });
    proxy.kill();
    id
}

/// I4: with the message that is in doubt the doubt ends, however that ends.
#[test]
fn what_follows_a_doubtful_message_that_was_never_repeated_is_in_no_doubt() {
    for age in ["1s", "24h"] {
        let (chat, folder) = (Mattermost::start(), Folder::new());
        let builds = chat.channel("builds");
        let doubtful = killed_in_a_pause(&chat, &folder, "3000");
        let own = setup(&chat).outbox(&folder);
        let again = own.set("DELIVER_MAX_AGE", age).start();

        if age == "24h" {
            again.request("DELETE", format!("/deliveries/{doubtful}"), &[]);
        }
        wait_for_status(&again, &doubtful, "failed");
        let next = again.post_message(&builds, "after the kill", &[("once", "so that it is kept")]);

        let id = next.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(doubts(&again, &id), 0, "{age}");
        assert_eq!(shown(&chat, &builds), ["after the kill"]);
    }
}

/// I4: the doubt outlives a process that stopped before it came to the repeat.
#[test]
fn a_doubt_is_kept_until_the_repeat() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let doubtful = killed_in_a_pause(&chat, &folder, "3");

    start(&chat, &folder).terminate();
    let last = start(&chat, &folder);

    assert_eq!(doubts(&last, &doubtful), 1);
}

/// I4: what waits for a name was never posted, so neither it nor what a later process finds is in doubt.
#[test]
fn what_waited_for_a_name_is_in_no_doubt() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let proxy = start(&chat, &folder);
    chat.down();
    let named = queue(&proxy, "acme/builds", "by its name");
    proxy.kill();
    chat.up();

    let again = start(&chat, &folder);
    let of_the_named = doubts(&again, &named);
    chat.next(Reply::status(503).header("Retry-After", "3"));
    let paused = queue(&again, &builds, "by its id");
    eventually("the attempt is noted", || {
        attempts(&receipt(&again, &paused)) == 1
    });
    again.terminate();
    let last = start(&chat, &folder);

    assert_eq!((of_the_named, doubts(&last, &paused)), (0, 0));
}

/// P-1: killed again and again while it delivers, it comes to the end.
#[test]
fn kills_while_it_delivers_keep_order_and_count() {
    const MESSAGES: usize = 200;
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let mut proxy = start(&chat, &folder);
    chat.down();
    let texts = queue_all(&proxy, &builds, "waits", MESSAGES);
    proxy.kill();
    chat.up();

    for round in 1..=10 {
        proxy = start(&chat, &folder);
        eventually("some are delivered", || {
            shown(&chat, &builds).len() >= round * MESSAGES / 12
        });
        proxy.kill();
    }
    proxy = start(&chat, &folder);

    assert_shown(&chat, &builds, &texts);
    drop(proxy);
}

/// P-1: an idempotency key is remembered across a kill, so a caller that did not hear the answer may ask again.
#[test]
fn a_repeat_after_a_kill_is_recognised() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let query = [("wait", "0"), ("once", "build-42")];
    let proxy = start(&chat, &folder);
    chat.down();
    let first = proxy.post_message(&builds, "once and only once", &query);

    proxy.kill();
    let again = start(&chat, &folder);
    let repeat = again.post_message(&builds, "once and only once", &query);
    let other = again.post_message(&builds, "something else", &query);
    chat.up();

    assert_eq!((first.status, repeat.status), (202, 202));
    assert_eq!(first.json()["id"], repeat.json()["id"]);
    assert_eq!(other.verdict(), (422, "key-reused".to_owned()));
    super::wait_for_status(&again, first.json()["id"].as_str().unwrap(), "delivered");
    assert_eq!(shown(&chat, &builds), ["once and only once"]);
}

/// P-4: without descriptors for more connections it takes none, and what it has promised is delivered.
#[test]
fn a_process_without_descriptors_keeps_its_promises() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let script = format!(
        "ulimit -n 96; exec {}",
        env!("CARGO_BIN_EXE_message-webhook-proxy")
    );
    let proxy = setup(&chat)
        .outbox(&folder)
        .program("/bin/sh")
        .arg("-c")
        .arg(&script)
        .start();
    let (gate, first) = hold(&proxy, &chat, &builds);
    let waiting = queue_all(&proxy, &builds, "waits", 5);

    let idle: Vec<_> = (0..200).map(|_| proxy.connect()).collect();
    gate.open();
    assert_shown(&chat, &builds, &[vec![first], waiting].concat());
    drop(idle);

    eventually("it answers again", || proxy.get("/health").status == 200);
}

/// P-1: the log of a recovery shows no text of what was recovered.
#[test]
fn a_recovery_logs_no_message() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let builds = chat.channel("builds");
    let proxy = start(&chat, &folder);
    chat.down();
    let texts = queue_all(&proxy, &builds, "a text that only people may read", 3);
    proxy.kill();
    chat.up();

    let again: Proxy = start(&chat, &folder);
    texts.iter().for_each(|text| again.add_message(text));
    assert_shown(&chat, &builds, &texts);

    again.check_canaries();
    assert!(texts[0].chars().count() >= canary::SHORTEST_MESSAGE);
}
