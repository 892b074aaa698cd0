//! Interactivity, options and slash commands: relayed while Slack waits, and the answer passed back.

use serde_json::json;

use super::{Stage, assert_acknowledged, assert_unverified};
use crate::support::slack_sender::{ACTIONS, EVENTS, FORM, JSON};
use crate::support::{Gate, Proxy, Reply, Upstream};

/// Vector 4 of reference/slack.md 5.
const SLASH: &str = "token=unused&team_id=T0TEAM001&channel_id=C0OPS0001&user_id=U0ALICE01&command=%2Fdeploy&text=status+now&api_app_id=A0PROXY01";

/// The answer opens a modal, fills a menu or is shown to a person, so it has to be the internal API's own.
#[test]
fn the_answer_to_an_interaction_and_to_a_command_comes_back() {
    let options = json!({"options": [{"text": {"type": "plain_text", "text": "ä"}, "value": "1"}]});
    let reply = Reply::json(200, options.clone()).header("X-Own", "kept");
    let stage = Stage::with(Upstream::script(vec![reply]), &[]);
    let requests = [
        stage
            .slack
            .action(&json!({"type": "block_suggestion", "value": "a"})),
        stage
            .slack
            .action(&json!({"type": "block_actions", "actions": []})),
        stage.slack.action(&json!({"type": "a type of the future"})),
        stage.slack.sign(ACTIONS, Some(FORM), SLASH),
        stage.slack.sign(
            ACTIONS,
            Some("Application/X-WWW-Form-Urlencoded; charset=utf-8"),
            format!("{SLASH}&a=b"),
        ),
        stage.slack.sign(ACTIONS, None, format!("{SLASH}&c=d")),
        stage.slack.sign(ACTIONS, Some(JSON), "{}"),
        stage.slack.sign(ACTIONS, Some(FORM), "%FF=\u{e9}&&=="),
        stage.slack.sign(ACTIONS, None, ""),
    ];

    for signed in &requests {
        let answer = signed.to(&stage.proxy);
        assert_eq!((answer.status, answer.json()), (200, options.clone()));
        assert_eq!(answer.header("X-Own"), Some("kept"));
        let request = stage.api.requests().pop().unwrap();
        assert_eq!(request.body, signed.body);
        let signature = request.header("X-Slack-Signature");
        assert_eq!(signature, Some(&*signed.signature));
    }
    assert_eq!(stage.api.requests().len(), requests.len());
}

/// F2: a click that is sent again does nothing again.
#[test]
fn a_replay_is_answered_and_not_relayed() {
    let stage = Stage::with(Upstream::script(vec![Reply::text(200, "done")]), &[]);
    let signed = stage.slack.action(&json!({"type": "block_actions"}));

    let first = signed.to(&stage.proxy);
    let replay = signed.to(&stage.proxy);

    assert_eq!(first.text(), "done");
    assert_acknowledged(&replay);
    assert_eq!(stage.api.requests().len(), 1);
}

/// F3: Slack shows an error after 3 s; a late answer would be nobody's. How long it is waited for, the budget itself bounds.
#[test]
fn a_hung_internal_api_is_given_up_and_slack_is_told() {
    let gate = Gate::new();
    let stage = Stage::held(&gate, &[]);

    let answer = stage
        .slack
        .sign(ACTIONS, Some(FORM), SLASH)
        .to(&stage.proxy);

    assert_eq!(answer.verdict(), (504, "relay-timeout".to_owned()));
}

/// F1: the check of Slack for a certificate may be unsigned, so it does nothing at all; frameworks that went on to the
/// payload beside it let everybody in.
#[test]
fn a_look_at_the_certificate_is_answered_and_does_nothing() {
    let stage = Stage::new();
    let send = |path: &str, media: &str, body: &str| {
        stage
            .proxy
            .send("POST", path, &[("Content-Type", media)], body)
    };
    let with_payload = "ssl_check=1&token=x&payload=%7B%22type%22%3A%22block_actions%22%7D";

    for (media, body) in [
        (FORM, "ssl_check=1&token=x"),
        (FORM, with_payload),
        (FORM, "ssl_check=1&command=%2Fdeploy&channel_id=C0OPS0001"),
        (
            "application/x-www-form-urlencoded; charset=UTF-8",
            "ssl_check=1",
        ),
    ] {
        assert_acknowledged(&send(ACTIONS, media, body));
    }
    let signed = stage.slack.sign(ACTIONS, Some(FORM), with_payload);
    assert_acknowledged(&signed.to(&stage.proxy));
    for (path, media, body) in [
        (ACTIONS, FORM, "ssl_check=0&payload=%7B%7D"),
        (ACTIONS, FORM, "ssl_check=11&payload=%7B%7D"),
        (ACTIONS, FORM, "ssl_check=true"),
        (ACTIONS, FORM, "payload=ssl_check%3D1"),
        (ACTIONS, FORM, "xssl_check=1"),
        (ACTIONS, FORM, "ssl_check=1&ssl_check=1"),
        (ACTIONS, JSON, "ssl_check=1"),
        (ACTIONS, "text/plain", "ssl_check=1"),
        (EVENTS, FORM, "ssl_check=1"),
    ] {
        assert_unverified(&send(path, media, body), body);
    }
    stage.assert_relayed(&[]);
}

/// Without an internal API Slack is content.
#[test]
fn without_a_relay_url_actions_are_acknowledged() {
    let slack = crate::support::slack_sender::SlackSender::new();
    let proxy = Proxy::setup().with(&slack).start();

    for signed in [
        slack.action(&json!({"type": "block_actions"})),
        slack.sign(ACTIONS, Some(FORM), SLASH),
    ] {
        assert_acknowledged(&signed.to(&proxy));
        assert_acknowledged(&signed.to(&proxy));
    }
}
