//! Events with an outbox: acknowledged once they are stored, relayed afterwards, each of them once.

use serde_json::{Value, json};

use super::{Stage, assert_acknowledged, changing};
use crate::support::slack_sender::{EVENTS, FORM, JSON, SlackSender, envelope, said};
use crate::support::{Gate, Proxy, Reply, Upstream};

use std::sync::atomic::Ordering;

/// What the internal API needs to check it itself is all there, byte for byte.
#[test]
fn an_event_is_acknowledged_and_relayed_as_it_came() {
    let stage = Stage::new();
    let body = envelope("Ev0ONE", &said("déploiement ✅ fini")).to_string() + " \n";
    let mut signed = stage
        .slack
        .sign(EVENTS, Some("application/json; charset=utf-8"), body)
        .header("X-Slack-Retry-Num", "1")
        .header("X-Slack-Retry-Reason", "http_timeout");
    signed.path = format!("{EVENTS}?a=%2F&b=c+d");

    assert_acknowledged(&signed.to(&stage.proxy));

    let request = &stage.api.wait_for(1)[0];
    assert_eq!((&*request.method, &request.target), ("POST", &signed.path));
    assert_eq!(request.body, signed.body);
    for (name, value) in [
        ("X-Slack-Signature", signed.signature.as_str()),
        ("X-Slack-Request-Timestamp", &signed.timestamp),
        ("X-Slack-Retry-Num", "1"),
        ("X-Slack-Retry-Reason", "http_timeout"),
        ("Content-Type", "application/json; charset=utf-8"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
}

/// F3: the internal API answers none, and Slack does not notice.
#[test]
fn a_hung_internal_api_keeps_no_event_from_being_acknowledged() {
    let gate = Gate::new();
    let stage = Stage::held(&gate, &[]);
    let ids = ["Ev0A", "Ev0B", "Ev0C", "Ev0D"];

    for id in ids {
        assert_acknowledged(&stage.tell(id, "while nobody answers"));
    }

    gate.open();
    stage.assert_relayed(&ids);
}

/// F3: refused, failed and away, until it is accepted; the later ones wait behind it.
#[test]
fn an_event_is_relayed_until_it_is_accepted() {
    let (api, status) = changing(503);
    let stage = Stage::with(api, &[]);

    assert_acknowledged(&stage.tell("Ev0A", "the first"));
    assert_acknowledged(&stage.tell("Ev0B", "the second"));
    stage.api.wait_for(2);
    status.store(204, Ordering::SeqCst);

    let is_b = |request: &crate::support::Request| super::id(&request.json()) == "Ev0B";
    crate::store::eventually("the second is relayed", || {
        stage.api.requests().iter().any(is_b)
    });
    let requests = stage.api.requests();
    let (last, before) = requests.split_last().unwrap();
    assert!(is_b(last) && before.iter().all(|request| !is_b(request)));
}

/// F2: the very same request, and Slack's repeats under new signatures, before and after a restart.
#[test]
fn a_repeat_is_acknowledged_and_not_relayed_again() {
    let mut stage = Stage::new();
    let event = envelope("Ev0ONE", &said("only once"));
    let first = stage.slack.event(&event);
    let repeat = |reason: &str| {
        stage
            .slack
            .sign(
                EVENTS,
                Some(JSON),
                format!("{event}{}", " ".repeat(reason.len())),
            )
            .header("X-Slack-Retry-Reason", reason)
    };
    let repeats = [repeat("http_timeout"), repeat("http_error")];

    assert_acknowledged(&first.to(&stage.proxy));
    assert_acknowledged(&first.to(&stage.proxy));
    assert_acknowledged(&repeats[0].to(&stage.proxy));
    // What is under way when a process dies may arrive twice, so its end has to be on the disk.
    crate::store::eventually("it is delivered", || {
        let settled = stage.proxy.get("/deliveries?status=delivered").json();
        settled["deliveries"] != json!([])
    });
    stage.proxy.kill();
    stage.proxy = stage.own.clone().start();
    assert_acknowledged(&first.to(&stage.proxy));
    assert_acknowledged(&repeats[1].to(&stage.proxy));

    stage.assert_relayed(&["Ev0ONE"]);
}

/// F3: Slack repeats while the first is still on its way.
#[test]
fn repeats_at_the_same_time_are_relayed_once() {
    let gate = Gate::new();
    let stage = Stage::held(&gate, &[]);
    let event = envelope("Ev0ONE", &said("only once"));
    let repeats: Vec<_> = (0..3)
        .map(|n| {
            let body = format!("{event}{}", "\n".repeat(n));
            stage.slack.sign(EVENTS, Some(JSON), body)
        })
        .collect();

    std::thread::scope(|scope| {
        let sent: Vec<_> = repeats
            .iter()
            .map(|repeat| scope.spawn(|| repeat.to(&stage.proxy)))
            .collect();
        for answer in sent {
            assert_acknowledged(&answer.join().unwrap());
        }
    });

    gate.open();
    stage.assert_relayed(&["Ev0ONE"]);
}

/// Everything that is verified is relayed, whatever its type; what has no id is known by its signature (F2).
#[test]
fn events_of_any_type_are_relayed() {
    let stage = Stage::new();
    let bodies = [
        json!({"type": "app_rate_limited", "team_id": "T0TEAM001", "minute_rate_limited": 1_766_000_100}),
        json!({"type": "a type of the future", "x": [1, 2]}),
        json!({}),
        json!([1]),
        envelope(
            "Ev0TOKENS",
            &json!({"type": "tokens_revoked", "tokens": {"bot": ["U0PROXY01"]}}),
        ),
        envelope(
            "Ev0JOIN",
            &json!({"type": "team_join", "user": {"id": "U0NEW"}}),
        ),
        envelope("Ev0NONE", &Value::Null),
    ];

    for body in &bodies {
        let signed = stage.slack.event(body);
        assert_acknowledged(&signed.to(&stage.proxy));
        assert_acknowledged(&signed.to(&stage.proxy));
    }

    assert_acknowledged(&stage.tell("Ev0LAST", "the last one"));
    let relayed = stage.api.wait_for(bodies.len() + 1);
    let relayed: Vec<Value> = relayed.iter().map(crate::support::Request::json).collect();
    assert_eq!(relayed[..bodies.len()], bodies);
    assert_eq!(super::id(&relayed[bodies.len()]), "Ev0LAST");
}

/// The content type is no part of the proof: Slack's own word for it is not needed.
#[test]
fn an_event_needs_no_content_type() {
    let stage = Stage::new();
    for (id, media) in [
        ("Ev0NONE", None),
        ("Ev0FORM", Some(FORM)),
        ("Ev0TEXT", Some("text/plain")),
    ] {
        let body = envelope(id, &said("hello")).to_string();
        let signed = stage.slack.sign(EVENTS, media, body);

        assert_acknowledged(&signed.to(&stage.proxy));
    }
    stage.assert_relayed(&["Ev0NONE", "Ev0FORM", "Ev0TEXT"]);
}

/// F6: nobody is told what the bot itself has posted, or it would answer itself without end.
#[test]
fn what_the_apps_own_bot_did_is_dropped() {
    let stage = Stage::new();
    let unfurled = json!({"type": "message", "subtype": "message_changed", "hidden": true, "channel": "C0OPS0001",
        "message": {"type": "message", "bot_id": "B0PROXY01", "app_id": "A0PROXY01", "text": "see <https://x.example>"},
        "previous_message": {"type": "message", "ts": "1766000200.000300"}});
    let mut own = said("posted by the bot");
    own["user"] = json!("U0PROXY01");
    let mut apps = said("posted by the app");
    apps["app_id"] = json!("A0PROXY01");
    let mut others = said("posted by another app");
    others["app_id"] = json!("A0OTHER01");
    others["bot_id"] = json!("B0OTHER01");

    for (id, event) in [
        ("Ev0A", &unfurled),
        ("Ev0B", &own),
        ("Ev0C", &apps),
        ("Ev0D", &others),
    ] {
        let signed = stage.slack.event(&envelope(id, event));
        assert_acknowledged(&signed.to(&stage.proxy));
    }

    stage.assert_relayed(&["Ev0D"]);
}

/// D5: the challenge is the one thing of a request that is said again.
#[test]
fn a_challenge_is_answered_here_and_only_if_it_is_safe() {
    let stage = Stage::new();
    let ask = |challenge: Value| {
        let body = json!({"token": "x", "challenge": challenge, "type": "url_verification"});
        stage.slack.event(&body).to(&stage.proxy)
    };

    for challenge in ["k7Qm2ZpX", &"a".repeat(256)] {
        // Again, too: whoever asks twice is told twice.
        for answer in [ask(json!(challenge)), ask(json!(challenge))] {
            assert_eq!((answer.status, answer.text().as_str()), (200, challenge));
            let media = answer.header("Content-Type").unwrap();
            assert!(media.starts_with("text/plain"), "{media}");
            assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
        }
    }
    for challenge in [
        json!("<script>alert(1)</script>"),
        json!("a".repeat(257)),
        json!("a\r\nX-Header: b"),
        json!(""),
        json!(["a"]),
    ] {
        let answer = ask(challenge.clone());
        assert_eq!(
            answer.verdict(),
            (400, "bad-body".to_owned()),
            "{challenge}"
        );
        assert!(!answer.text().contains("script"));
    }
    stage.assert_relayed(&[]);
}

#[test]
fn what_is_no_json_is_refused_after_it_is_verified() {
    let stage = Stage::new();

    for body in ["", "{", "payload=%7B%7D", "{}{}"] {
        let signed = stage.slack.sign(EVENTS, Some(JSON), body);
        let answer = signed.to(&stage.proxy);
        assert_eq!(answer.verdict(), (400, "bad-body".to_owned()), "{body}");
    }

    stage.assert_relayed(&[]);
}

/// Without an internal API Slack is content, and nothing is kept for nobody.
#[test]
fn without_a_relay_url_events_are_acknowledged_and_not_stored() {
    let (slack, folder) = (SlackSender::new(), crate::support::Folder::new());
    let proxy = Proxy::setup().with(&slack).outbox(&folder).start();

    let event = slack.event(&envelope("Ev0ONE", &said("for nobody")));
    let challenge = json!({"type": "url_verification", "challenge": "k7Qm2ZpX"});
    let challenged = slack.event(&challenge).to(&proxy);

    assert_acknowledged(&event.to(&proxy));
    assert_acknowledged(&event.to(&proxy));
    assert_eq!(challenged.text(), "k7Qm2ZpX");
    assert_eq!(proxy.get("/deliveries").json()["deliveries"], json!([]));
}

/// What cannot be promised is not acknowledged: Slack repeats it.
#[test]
fn a_full_outbox_refuses_and_takes_the_repeat() {
    let gate = Gate::new();
    let stage = Stage::held(&gate, &[("OUTBOX_MAX", "1")]);
    assert_acknowledged(&stage.tell("Ev0A", "fills it"));
    stage.api.wait_for(1);

    let refused = stage.tell("Ev0B", "has no room");

    assert_eq!(refused.verdict(), (503, "outbox-full".to_owned()));
    assert!(refused.header("Retry-After").is_some());
    gate.open();
    crate::store::eventually("there is room", || {
        stage.tell("Ev0B", "has no room").status == 200
    });
    let requests = stage.api.wait_for(2);
    assert_eq!(super::id(&requests[1].json()), "Ev0B");
}

/// The log and the receipts say that something was relayed, and nothing of what it was.
#[test]
fn nothing_of_an_event_is_shown() {
    let stage = Stage::with(
        Upstream::script(vec![
            Reply::text(503, "secret-of-the-internal-api"),
            Reply::status(200),
        ]),
        &[("RUST_LOG", "debug")],
    );
    stage.proxy.add_canary("secret-of-the-internal-api");
    stage.proxy.add_canary("1766000100.000300");

    assert_acknowledged(&stage.tell("Ev0ONE", "what people say to each other"));
    stage.api.wait_for(2);

    let listed = stage.proxy.get("/deliveries").text();
    assert!(listed.contains("slack-events"), "{listed}");
    assert!(!listed.contains("people") && !listed.contains("secret-of"));
    stage.proxy.check_canaries();
}
