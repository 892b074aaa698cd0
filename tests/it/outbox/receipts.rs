//! An alias with several destinations: one receipt, one entry for each, whatever became of them.

use super::{Pair, entries, id, reason};
use crate::store::{assert_refused, eventually, listed, queue, receipt, setup, wait_for_status};
use crate::support::{Folder, Mattermost, Response, Slack};

const TEXT: &str = "for both of them";

#[track_caller]
fn post(pair: &Pair, wait: &str) -> Response {
    pair.proxy.post_message("both", TEXT, &[("wait", wait)])
}

fn both(mattermost: &str, slack: &str) -> Vec<(String, String)> {
    vec![
        ("mattermost".to_owned(), mattermost.to_owned()),
        ("slack".to_owned(), slack.to_owned()),
    ]
}

#[test]
fn what_all_destinations_took_is_delivered() {
    let pair = Pair::new();

    let answer = post(&pair, "20");

    assert_eq!(answer.verdict(), (200, "delivered".to_owned()));
    assert_eq!(entries(&answer.json()), both("delivered", "delivered"));
    assert_eq!(pair.posts(), (1, 1));
    assert_eq!(listed(&pair.proxy, "delivered"), [""; 0]);
}

#[test]
fn what_waits_for_one_destination_is_queued_and_its_receipt_is_whole() {
    let pair = Pair::new();
    pair.slack.down();

    let answer = post(&pair, "1");
    let kept = receipt(&pair.proxy, &id(&answer));
    pair.slack.up();
    let after = wait_for_status(&pair.proxy, &id(&answer), "delivered");

    assert_eq!(reason(&answer), (202, "backend-unavailable".to_owned()));
    assert_eq!(entries(&answer.json()), both("delivered", "queued"));
    assert_eq!(entries(&kept), both("delivered", "queued"));
    assert_eq!(entries(&after), both("delivered", "delivered"));
    assert_eq!(
        after["deliveries"][0]["message_id"],
        pair.chat.posts()[0].id
    );
    assert_eq!(pair.posts(), (1, 1));
}

/// What waited and ended before the answer is in the outbox, the other was never stored: the receipt holds both.
#[test]
fn what_waited_for_one_destination_and_ended_in_time_has_a_whole_receipt() {
    let pair = Pair::new();
    pair.chat.next(Mattermost::bad_gateway());

    let answer = post(&pair, "20");

    assert_eq!(answer.verdict(), (200, "delivered".to_owned()));
    let kept = receipt(&pair.proxy, &id(&answer));
    assert_eq!(entries(&kept), both("delivered", "delivered"));
}

/// Else the receipt of a post that was told to be partly rejected says that it was delivered.
#[test]
fn what_waited_for_one_destination_and_was_refused_by_the_other_has_a_receipt_that_says_so() {
    let pair = Pair::new();
    pair.chat.next(Mattermost::bad_gateway());
    pair.slack.next(Slack::error("is_archived"));

    let answer = post(&pair, "20");

    assert_eq!(answer.verdict(), (502, "partly-rejected".to_owned()));
    let kept = receipt(&pair.proxy, &id(&answer));
    assert_eq!(kept["status"], "failed");
    assert_eq!(entries(&kept), both("delivered", "failed"));
}

/// One is delivered at once, one at its second attempt, one waits on.
#[test]
fn what_was_stored_and_has_ended_does_not_keep_the_rest_from_the_receipt() {
    let (chat, slack, folder) = (Mattermost::start(), Slack::start(), Folder::new());
    let (builds, deploys) = (chat.channel("builds"), chat.channel("deploys"));
    let all = format!(
        "all=mattermost:{builds},mattermost:{deploys},slack:{}",
        slack.channel("ops")
    );
    let own = setup(&chat).with(&slack).set("CHANNELS", all);
    let proxy = own.outbox(&folder).start();
    chat.next(Mattermost::bad_gateway());
    slack.down();

    let answer = proxy.post_message("all", TEXT, &[("wait", "5")]);
    let kept = receipt(&proxy, &id(&answer));
    slack.up();

    assert_eq!(answer.status, 202);
    assert_eq!(entries(&kept), entries(&answer.json()));
    let after = wait_for_status(&proxy, &id(&answer), "delivered");
    assert_eq!(entries(&after).len(), 3);
}

#[test]
fn what_one_destination_refused_is_partly_rejected() {
    let pair = Pair::new();
    pair.slack.next(Slack::error("is_archived"));

    let answer = post(&pair, "20");

    assert_eq!(answer.verdict(), (502, "partly-rejected".to_owned()));
    assert_eq!(entries(&answer.json()), both("delivered", "failed"));
    assert_eq!(pair.posts(), (1, 0));
}

#[test]
fn what_one_refused_and_waits_for_the_other_is_partly_rejected_and_still_promised() {
    let pair = Pair::new();
    pair.chat.down();
    pair.slack.next(Slack::error("is_archived"));

    let answer = post(&pair, "1");
    let kept = receipt(&pair.proxy, &id(&answer));
    pair.chat.up();
    let after = wait_for_status(&pair.proxy, &id(&answer), "failed");

    assert_eq!(answer.verdict(), (502, "partly-rejected".to_owned()));
    assert_eq!(entries(&answer.json()), both("queued", "failed"));
    assert_eq!(entries(&kept), both("queued", "failed"));
    assert_eq!(kept["deliveries"][1]["platform_code"], "is_archived");
    assert_eq!(entries(&after), both("delivered", "failed"));
    assert_eq!(pair.posts(), (1, 0));
}

/// Contract 1.4: always one entry each. Of a destination that nobody knows by its name as well, else the receipt of a post
/// that was told to be partly rejected says that it was delivered, and so does the answer to a repeat.
#[test]
fn what_nobody_knows_by_its_name_is_in_the_receipt() {
    for query in [
        [("wait", "1")].as_slice(),
        &[("wait", "1"), ("once", "key-1")],
    ] {
        let (chat, slack, folder) = (Mattermost::start(), Slack::start(), Folder::new());
        let alias = format!(
            "both=mattermost:nowhere/none,slack:{}",
            slack.channel("ops")
        );
        let own = setup(&chat).with(&slack).set("CHANNELS", alias);
        let proxy = own.outbox(&folder).start();
        slack.down();

        let answer = proxy.post_message("both", "hello", query);
        let kept = receipt(&proxy, &id(&answer));
        let repeat = proxy.post_message("both", "hello", query);
        slack.up();
        let after = wait_for_status(&proxy, &id(&answer), "failed");

        assert_eq!(
            answer.verdict(),
            (502, "partly-rejected".to_owned()),
            "{query:?}"
        );
        assert_eq!(entries(&answer.json()), both("failed", "queued"));
        assert_eq!(entries(&kept), both("failed", "queued"), "{query:?}");
        assert_eq!(kept["deliveries"][0]["reason"], "unknown-channel");
        assert_eq!(
            repeat.verdict(),
            (502, "partly-rejected".to_owned()),
            "{query:?}"
        );
        assert_eq!(entries(&after), both("failed", "delivered"), "{query:?}");
    }
}

#[test]
fn without_a_wait_it_is_stored_for_all() {
    let pair = Pair::new();
    pair.chat.down();
    pair.slack.down();

    let answer = post(&pair, "0");
    let waiting = listed(&pair.proxy, "queued");
    pair.chat.up();
    pair.slack.up();

    assert_eq!(reason(&answer), (202, "async".to_owned()));
    assert_eq!(entries(&answer.json()), both("queued", "queued"));
    assert_eq!(waiting, [id(&answer)]);
    let after = wait_for_status(&pair.proxy, &id(&answer), "delivered");
    assert_eq!(entries(&after), both("delivered", "delivered"));
    assert_eq!(pair.posts(), (1, 1));
}

#[test]
fn what_has_no_room_for_all_is_stored_for_none() {
    let pair = Pair::with(&[("OUTBOX_MAX", "1")]);
    pair.chat.down();

    let refused = post(&pair, "0");
    let kept = listed(&pair.proxy, "queued");
    pair.chat.up();

    assert_refused(&refused, "outbox-full");
    assert_eq!(kept, [""; 0]);
    assert_eq!(pair.posts(), (0, 0));
}

/// What arrived is said to have arrived, and for the rest there was no room.
#[test]
fn what_has_no_room_for_the_one_that_waits_is_partly_rejected() {
    let pair = Pair::with(&[("OUTBOX_MAX", "1")]);
    pair.slack.down();
    let ops = format!("slack:{}", pair.slack.channel("ops"));
    queue(&pair.proxy, &ops, "takes the only room");

    let answer = post(&pair, "1");

    assert_eq!(answer.verdict(), (502, "partly-rejected".to_owned()));
    assert_eq!(entries(&answer.json()), both("delivered", "failed"));
    assert_eq!(pair.posts(), (1, 0));
}

/// The platforms are not what a caller has to look at.
#[test]
fn what_has_no_room_anywhere_and_was_waited_for_is_told_so() {
    let pair = Pair::with(&[("OUTBOX_MAX", "1")]);
    pair.chat.down();
    pair.slack.down();
    let ops = format!("slack:{}", pair.slack.channel("ops"));
    queue(&pair.proxy, &ops, "takes the only room");

    let refused = post(&pair, "1");

    assert_refused(&refused, "outbox-full");
    assert_eq!(entries(&refused.json()), both("failed", "failed"));
}

/// Both want the only room. Without an entry of the one that did not get it the receipt comes to say that the message was
/// delivered, of a post that was told to be partly rejected.
#[test]
fn what_had_no_room_for_one_destination_has_a_receipt_that_says_so() {
    let pair = Pair::with(&[("OUTBOX_MAX", "1")]);
    pair.chat.down();
    pair.slack.down();

    let answer = post(&pair, "1");
    let kept = receipt(&pair.proxy, &id(&answer));
    pair.chat.up();
    pair.slack.up();

    assert_eq!(answer.verdict(), (502, "partly-rejected".to_owned()));
    assert_eq!(entries(&kept), entries(&answer.json()));
    eventually("the one that waited is delivered", || {
        pair.posts() == (1, 0) || pair.posts() == (0, 1)
    });
    let after = wait_for_status(&pair.proxy, &id(&answer), "failed");
    assert_eq!(entries(&after).len(), 2);
    let again = format!("/deliveries/{}/retry", id(&answer));
    assert_eq!(pair.proxy.post(again).status, 200);
    wait_for_status(&pair.proxy, &id(&answer), "delivered");
    assert_eq!(pair.posts(), (1, 1));
}

#[test]
fn what_waits_for_both_is_one_message() {
    let pair = Pair::new();
    pair.chat.down();
    pair.slack.down();

    let answer = post(&pair, "1");
    let waiting = listed(&pair.proxy, "queued");
    let kept = receipt(&pair.proxy, &id(&answer));
    pair.chat.up();
    pair.slack.up();
    let after = wait_for_status(&pair.proxy, &id(&answer), "delivered");

    assert_eq!(reason(&answer), (202, "backend-unavailable".to_owned()));
    assert_eq!(entries(&kept), both("queued", "queued"));
    assert_eq!(waiting, [id(&answer)]);
    assert_eq!(entries(&after), both("delivered", "delivered"));
    assert_eq!(pair.posts(), (1, 1));
}
