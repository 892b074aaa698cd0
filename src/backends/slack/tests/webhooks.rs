//! Incoming webhooks: their URLs, their posts and their plain answers.

use serde_json::json;

use super::*;

/// F-9, F-10, F-11, F-14, F-19 and the table of section 3.
#[test]
fn webhooks_answer_in_plain_text() {
    for (status, body, want) in [
        (200, "ok", "ok"),
        (200, " ok\n", "ok"),
        (200, "", "unknown"),
        (200, "OK", "unknown"),
        (200, "okay", "unknown"),
        (200, "<html>ok</html>", "unknown"),
        (200, r#"{"ok":true}"#, "ok"),
        (200, r#"{"ok":true,"error":"no_service"}"#, "UnknownChannel"),
        (200, r#"{"ok":"true"}"#, "unknown"),
        (201, r#"{"ok":true}"#, "unknown"),
        (201, "ok", "unknown"),
        (204, "", "unknown"),
        (200, "no_text", "Rejected"),
        (400, "invalid_payload", "Rejected"),
        (400, "no_text", "Rejected"),
        (400, "too_many_attachments", "Rejected"),
        (400, "user_not_found", "UnknownChannel"),
        (400, "invalid_blocks", "Rejected"),
        (403, "action_prohibited", "NotAllowed"),
        (403, "posting_to_general_channel_denied", "NotAllowed"),
        (403, "invalid_token", "NotAllowed"),
        (403, "team_disabled", "NotAllowed"),
        (404, "channel_not_found", "UnknownChannel"),
        (404, "no_service", "UnknownChannel"),
        (404, "no_service_id", "UnknownChannel"),
        (404, "no_team", "UnknownChannel"),
        (404, "no_active_hooks", "UnknownChannel"),
        (500, "no_active_hooks", "UnknownChannel"),
        (410, "channel_is_archived", "Archived"),
        (429, "rate_limited", "Throttled"),
        (
            429,
            r#"{"retry_after":3,"ok":false,"error":"rate_limited"}"#,
            "Throttled",
        ),
        (
            200,
            r#"{"retry_after":3,"ok":false,"error":"rate_limited"}"#,
            "Throttled",
        ),
        (500, "rollup_error", "Unavailable"),
        (500, "", "Unavailable"),
        (503, "<html>", "Unavailable"),
        (408, "", "Unavailable"),
        (425, "", "Unavailable"),
        (500, "fatal_error", "unknown"),
        (403, "invalid_auth", "NotAllowed"),
        (400, "", "Rejected"),
        (400, "brand_new_code", "Rejected"),
        (401, "", "NotAllowed"),
        (403, "", "NotAllowed"),
        (404, "", "UnknownChannel"),
        (410, "", "UnknownChannel"),
        (413, "", "TooLong"),
        (302, "ok", "Misconfigured"),
        (308, "", "Misconfigured"),
        (0, "", "unknown"),
    ] {
        assert_eq!(
            word(&classify_webhook(&answer(status, body))),
            want,
            "{status} {body}"
        );
    }
    let cut = Answer {
        truncated: true,
        ..answer(200, "ok")
    };
    assert_eq!(word(&classify_webhook(&cut)), "unknown");
    assert!(!detail(classify_webhook(&answer(400, "canary <b>text</b>"))).contains("canary"));
}

/// F-11: the wait of a JSON body, where there is no header.
#[test]
fn a_webhooks_wait_may_stand_in_its_body() {
    let wait = |body: &str| {
        let answer = Answer {
            retry_after: None,
            ..answer(429, body)
        };
        classify_webhook(&answer).unwrap_err().retry_after()
    };
    let seconds = |s| Some(Duration::from_secs(s));
    assert_eq!(
        wait(r#"{"retry_after":1,"ok":false,"error":"rate_limited"}"#),
        seconds(1)
    );
    assert_eq!(wait(r#"{"retry_after":0}"#), seconds(1));
    assert_eq!(
        wait(r#"{"retry_after":18446744073709551615}"#),
        seconds(3600)
    );
    for unusable in [
        "",
        "rate_limited",
        r#"{"retry_after":-1}"#,
        r#"{"retry_after":1.5}"#,
        r#"{"retry_after":"1"}"#,
    ] {
        assert_eq!(wait(unusable), None, "{unusable}");
    }
}

/// E1, D6: which URLs are webhooks.
#[test]
fn webhook_urls() {
    let fault = |url: &str| (KIND.webhooks.as_ref().unwrap().fault)(&WebUrl::parse(url).unwrap());
    for good in [
        "https://hooks.slack.com/services/T0TEAM001/B0HOOK001/abcdefghijklmnopqrstuvwx",
        "https://hooks.slack-gov.com/services/T/B/x",
        "https://gateway.example.org/slack",
        "http://127.0.0.1:8080/services/T/B/x",
        "http://localhost/x",
    ] {
        assert_eq!(fault(good), None, "{good}");
    }
    for (bad, said) in [
        ("http://hooks.slack.com/services/T/B/canary", "https://"),
        ("http://10.0.0.1/services/T/B/canary", "https://"),
        ("https://hooks.slack.com/triggers/T/1/canary", "workflow"),
        ("https://hooks.slack.com/workflows/T/A/1/canary", "workflow"),
        ("https://hooks.slack.com/services/T/B", "/services/"),
        (
            "https://hooks.slack.com/services/T/B/canary/x",
            "/services/",
        ),
        ("https://hooks.slack.com/services/T//canary", "/services/"),
        ("https://slack.com/api/canary", "/services/"),
        ("https://acme.slack.com/services/T/B/canary", "/services/"),
    ] {
        let fault = fault(bad).unwrap();
        assert!(
            fault.contains(said) && !fault.contains("canary"),
            "{bad}: {fault}"
        );
    }
}

#[test]
fn a_webhook_gets_no_channel_name_or_token() {
    let webhook = (KIND.webhooks.as_ref().unwrap().build)(&Shared::default());
    let mut post = post("hi <!here>");
    post.as_name = Some("CI".into());
    let wire = Script::of([answer(200, "ok")]);
    let part = webhook.render(&post, &hook()).remove(0);

    let posted = webhook
        .deliver(&wire, &hook(), &part)
        .now_or_never()
        .unwrap()
        .unwrap();

    assert_eq!(
        posted,
        Posted {
            channel: Some("deploys".into()),
            ..Posted::default()
        }
    );
    assert_eq!(
        *wire.asked.borrow(),
        [
            r#"POST https://hooks.slack.com/services/T/B/secret  application/json; charset=utf-8 {"text":"hi &lt;!here&gt;","unfurl_links":false,"unfurl_media":false}"#,
        ]
    );
}

/// Each backend takes its own destinations and sends nothing to others.
#[test]
fn mixed_up_destinations_are_refused() {
    let webhook = (KIND.webhooks.as_ref().unwrap().build)(&Shared::default());
    let part = Part::json(&json!({}));
    let wire = Script::default();
    assert_eq!(
        word(
            &webhook
                .deliver(&wire, &channel(), &part)
                .now_or_never()
                .unwrap()
        ),
        "Misconfigured"
    );
    assert_eq!(
        word(&bot().deliver(&wire, &hook(), &part).now_or_never().unwrap()),
        "Misconfigured"
    );
    assert!(wire.asked.borrow().is_empty());
}
