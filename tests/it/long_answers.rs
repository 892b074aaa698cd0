//! E5, F-7: answers that say "posted" and are longer than the 64 KiB that are read of them. What was posted is delivered,
//! once, and the next message to its channel does not wait for it.

use serde_json::{Value, json};

use crate::store::{attempts, queue, wait_for_status};
use crate::support::proxy::Setup;
use crate::support::reply::Then;
use crate::support::{Environment, Folder, Mattermost, Proxy, Reply, Slack, Teams};

/// As long as the longest post that a Mattermost takes, once Go has escaped it (reference/mattermost.md 4): `<` becomes `\u003c`.
const LONG: usize = 16_383;
const ID: &str = "kapmbndrfg8ejkmcpqxot1uwis";
const TS: &str = "1766000009.000100";

/// Mattermost's answer to a long post; its id stands first, as the server writes it.
fn created(channel: &str) -> String {
    let message = r"\u003c".repeat(LONG);
    format!(
        r#"{{"id":"{ID}","create_at":1,"channel_id":"{channel}","message":"{message}","metadata":{{}}}}"#
    )
}

/// Slack's, with the text twice: plain, and as rich text.
fn said(channel: &str) -> String {
    let text = "&lt;".repeat(LONG);
    format!(
        r#"{{"ok":true,"channel":"{channel}","ts":"{TS}","message":{{"text":"{text}","blocks":["{text}"]}}}}"#
    )
}

fn setup(fake: &impl Environment) -> Setup {
    Proxy::setup().without_limits().with(fake)
}

/// What the receipt says of the one delivery; the answer to a post that waits is its receipt.
#[track_caller]
fn delivered(proxy: &Proxy, channel: &str, text: &str) -> Value {
    let answer = proxy.post_message(channel, text, &[]);
    let receipt = answer.json();
    assert_eq!(
        (answer.status, &receipt["status"]),
        (200, &json!("delivered")),
        "{receipt}"
    );
    receipt["deliveries"][0].clone()
}

/// Two messages that nobody waits for, and what became of the first.
#[track_caller]
fn stored(proxy: &Proxy, channel: &str) -> Value {
    let first = queue(proxy, channel, "the long one");
    let next = queue(proxy, channel, "the one behind it");
    wait_for_status(proxy, &next, "delivered");
    let receipt = wait_for_status(proxy, &first, "delivered");
    assert_eq!(attempts(&receipt), 1, "{receipt}");
    receipt["deliveries"][0].clone()
}

#[test]
fn a_long_answer_of_mattermost_is_a_delivery() {
    let chat = Mattermost::start();
    let (channel, proxy) = (chat.channel("builds"), setup(&chat).start());
    chat.accept_then(Reply::text(201, &created(&channel)));

    let first = delivered(&proxy, &channel, "the long one");
    delivered(&proxy, &channel, "the one behind it");

    assert_eq!(first["message_id"], ID);
    assert!(first["link"].as_str().unwrap().ends_with(ID), "{first}");
    assert_eq!(chat.posts().len(), 2);
    assert_eq!(chat.requests().len(), 2);
}

#[test]
fn a_long_answer_of_mattermost_to_a_stored_message_is_a_delivery() {
    let (chat, folder) = (Mattermost::start(), Folder::new());
    let (channel, proxy) = (chat.channel("builds"), setup(&chat).outbox(&folder).start());
    chat.accept_then(Reply::text(201, &created(&channel)));

    let first = stored(&proxy, &channel);

    assert_eq!(first["message_id"], ID);
    assert_eq!((chat.posts().len(), chat.requests().len()), (2, 2));
}

/// F-4, F-9: 201 is the server's word, whatever becomes of the rest; without an id nothing is made up.
#[test]
fn a_created_post_is_a_delivery_whatever_its_answer_holds() {
    let chat = Mattermost::start();
    let (channel, proxy) = (chat.channel("builds"), setup(&chat).start());
    let replies = [
        Reply::status(201),
        Reply::json(201, json!({"id": 7})),
        Reply::text(201, &"x".repeat(100_000)),
        Reply::raw("HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{\"id\":\"kapm"),
    ];

    for (at, reply) in replies.into_iter().enumerate() {
        chat.accept_then(reply);
        let one = delivered(&proxy, &channel, "whatever it says");

        assert_eq!(
            (&one["message_id"], &one["link"]),
            (&json!(null), &json!(null)),
            "case {at}"
        );
        assert_eq!(one["channel"], *channel, "case {at}");
        assert_eq!(
            (chat.posts().len(), chat.requests().len()),
            (at + 1, at + 1)
        );
    }
}

/// F-9: a login page is no word of the server's, however long it is: asked again, and answered by the server.
#[test]
fn a_long_page_is_no_delivery() {
    let chat = Mattermost::start();
    let (channel, proxy) = (chat.channel("builds"), setup(&chat).start());
    let page = format!("<html>sign in {}", "x".repeat(100_000));

    for status in [200, 201] {
        let before = chat.requests().len();
        chat.next(Reply::html(status, &page));
        delivered(&proxy, &channel, "behind a portal");

        assert_eq!(chat.requests().len(), before + 2, "{status}");
    }
    assert_eq!(chat.posts().len(), 2);
}

#[test]
fn a_long_answer_of_slack_is_a_delivery() {
    let slack = Slack::start();
    let (channel, proxy) = (slack.channel("ops"), setup(&slack).start());
    slack.accept_then(Reply::text(200, &said(&channel)));

    let first = delivered(&proxy, &channel, "the long one");
    delivered(&proxy, &channel, "the one behind it");

    assert_eq!(
        (&first["message_id"], &first["channel"]),
        (&json!(TS), &json!(channel))
    );
    assert_eq!((slack.posts().len(), slack.requests().len()), (2, 2));
}

#[test]
fn a_long_answer_of_slack_to_a_stored_message_is_a_delivery() {
    let (slack, folder) = (Slack::start(), Folder::new());
    let (channel, proxy) = (slack.channel("ops"), setup(&slack).outbox(&folder).start());
    slack.accept_then(Reply::text(200, &said(&channel)));

    let first = stored(&proxy, &channel);

    assert_eq!(first["message_id"], TS);
    assert_eq!((slack.posts().len(), slack.requests().len()), (2, 2));
}

/// F-10: a refusal says so at its beginning too.
#[test]
fn a_long_refusal_of_slack_is_a_refusal() {
    let slack = Slack::start();
    let (channel, proxy) = (slack.channel("ops"), setup(&slack).start());
    let body = json!({"ok": false, "error": "is_archived", "zzz": "x".repeat(100_000)});
    // The keys of `json!` are sorted, and Slack writes `ok` first.
    let body = format!(
        r#"{{"ok":false,{}"#,
        &body.to_string()[1..].replace(r#""ok":false,"#, "")
    );
    slack.next(Reply::text(200, &body));

    let answer = proxy.post_message(&channel, "to an old channel", &[]);

    assert_eq!(
        (answer.status, &answer.json()["platform_code"]),
        (502, &json!("is_archived"))
    );
    assert_eq!(slack.requests().len(), 1);
}

/// E5: no more than the cap is read, so an answer without an end delays nobody.
#[test]
fn an_answer_without_an_end_is_a_delivery_at_once() {
    let slack = Slack::start();
    let channel = slack.channel("ops");
    // Only the cap can end this call within this test's patience of 10 s.
    let proxy = setup(&slack).set("UPSTREAM_TIMEOUT", "60s").start();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
    slack.accept_then(Reply::raw(format!("{head}{}", said(&channel))).then(Then::Stall));

    let first = delivered(&proxy, &channel, "never told in full");
    delivered(&proxy, &channel, "the one behind it");

    assert_eq!(first["message_id"], TS);
    assert_eq!(slack.posts().len(), 2);
}

/// E7: what is kept of a long answer may end in half of our own token, which nothing shows.
#[test]
fn half_a_token_at_the_cut_is_shown_nowhere() {
    let slack = Slack::start();
    let (channel, proxy) = (slack.channel("ops"), setup(&slack).start());
    let token = slack.token();
    let half = &token[..token.len() - 4];
    let start = r#"{"ok":false,"filler":""#;
    let rest = r#"","error":""#;
    let filler = "x".repeat((64 << 10) - start.len() - rest.len() - half.len());
    slack.next(Reply::text(
        200,
        &format!(r#"{start}{filler}{rest}{token}"}}"#),
    ));

    let answer = proxy.post_message(&channel, "hello", &[]);

    assert_eq!(answer.status, 503);
    assert!(!answer.text().contains(half));
    let logs = proxy.log_lines();
    assert!(logs.iter().all(|line| !line.contains(half)), "{logs:?}");
}

/// reference/teams.md 2.2: 201 and 202 say that the message was taken, with and without an id.
#[test]
fn what_teams_has_taken_is_a_delivery_whatever_its_answer_holds() {
    let teams = Teams::start();
    let (channel, proxy) = (teams.channel("alerts"), setup(&teams).start());
    let long = format!(
        r#"{{"id":"{channel};messageid=17","activityId":"17","x":"{}"}}"#,
        "x".repeat(100_000)
    );
    let replies = [
        (Reply::text(201, &long), json!("17")),
        (Reply::text(200, &long), json!("17")),
        (Reply::status(201), json!(null)),
        (Reply::json(201, json!({"id": ""})), json!(null)),
        (Reply::json(202, json!({"id": 7})), json!(null)),
        (
            Reply::raw("HTTP/1.1 201 Created\r\nContent-Length: 90\r\n\r\n{\"id\":"),
            json!(null),
        ),
    ];

    for (at, (reply, id)) in replies.into_iter().enumerate() {
        teams.next(reply);
        let one = delivered(&proxy, &channel, "whatever it says");

        assert_eq!(one["message_id"], id, "case {at}");
    }
    assert_eq!(teams.posts().len(), 0);
}
