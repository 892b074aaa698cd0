//! What answers of the Web API mean: every code, every status, arbitrary bytes.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::delivery::{Later, PlatformCode};

/// Reference, section 1.4, word for word; `F-10`, `F-11`, `F-17`, `F-18`.
const CODES: &[(&str, &str)] = &[
    ("Throttled", "ratelimited rate_limited"),
    (
        "Unavailable",
        "service_unavailable request_timeout team_added_to_org org_login_required message_limit_exceeded",
    ),
    ("unknown", "internal_error fatal_error"),
    (
        "Credentials",
        "token_expired not_authed invalid_auth account_inactive token_revoked missing_scope not_allowed_token_type no_permission access_denied accesslimited app_access_restricted team_access_not_granted enterprise_is_restricted two_factor_setup_required ekm_access_denied is_bot as_user_not_supported send_on_behalf_not_allowed metadata_must_be_sent_from_app method_deprecated deprecated_endpoint unknown_method",
    ),
    ("UnknownChannel", "channel_not_found team_not_found"),
    (
        "NotAllowed",
        "not_in_channel restricted_action restricted_action_read_only_channel restricted_action_thread_only_channel restricted_action_non_threadable_channel restricted_action_thread_locked cannot_reply_to_message messages_tab_disabled slack_connect_canvas_sharing_blocked slack_connect_file_link_sharing_blocked slack_connect_lists_sharing_blocked",
    ),
    ("Archived", "is_archived"),
    (
        "TooLong",
        "msg_too_long msg_blocks_too_long attachment_payload_limit_exceeded",
    ),
    (
        "Rejected",
        "no_text invalid_blocks invalid_blocks_format too_many_attachments too_many_contact_cards markdown_text_conflict invalid_metadata_format invalid_metadata_schema metadata_too_large missing_file_data invalid_arguments invalid_arg_name invalid_array_arg invalid_charset invalid_form_data invalid_post_type missing_post_type invalid_json json_not_object upgrade_required duplicate_channel_not_found duplicate_message_not_found draft_already_deleted draft_already_sent draft_has_conflict draft_not_found",
    ),
];

#[test]
fn every_listed_code_is_in_exactly_one_class() {
    let mut all = std::collections::BTreeSet::new();
    for (class, codes) in CODES {
        for code in codes.split(' ') {
            assert!(all.insert(code), "{code} is listed twice");
            assert!(
                codes::meaning(code).is_some(),
                "{code} is not listed in the code"
            );
            let outcome = classify(&error(code));
            assert_eq!(word(&outcome), *class, "{code}");
            match outcome.unwrap_err() {
                Failure::Refused { platform_code, .. } => {
                    assert_eq!(platform_code, PlatformCode::new(code))
                }
                Failure::Later { retry_after, .. } => assert_eq!(retry_after, RETRY, "{code}"),
                Failure::Unknown { .. } => {}
            }
        }
    }
    assert_eq!(all.len(), 74);
    assert_eq!(word(&classify(&error("brand_new_code"))), "Rejected");
}

/// F-9, F-10, F-13, F-14, F-16, F-19, F-21: statuses and bodies.
#[test]
fn ok_decides_and_statuses_where_slack_did_not_answer() {
    let posted =
        r#"{"ok":true,"channel":"C0OPS00001","ts":"1766000000.000100","message":{"text":"x"}}"#;
    for (status, body, want) in [
        (200, posted, "ok"),
        (201, posted, "ok"),
        (
            200,
            r#"{"ok":true,"channel":"C1","ts":"1.2","message":{},"warning":"message_truncated","response_metadata":{"warnings":["message_truncated"]}}"#,
            "ok",
        ),
        (200, r#"{"ok":true}"#, "ok"),
        (200, "", "unknown"),
        (200, "ok", "unknown"),
        (200, "null", "unknown"),
        (200, "[true]", "unknown"),
        (200, r#"[true,null,null,"C0OPS00001","1.2"]"#, "unknown"),
        (200, r#"{"ok":"true"}"#, "unknown"),
        (200, r#"{"ok":true,"ts":1766000000.0001}"#, "ok"),
        (200, r#"{"ok":false,"error":5}"#, "Rejected"),
        (200, r#"{"channel":"C0OPS00001","ts":"1.2"}"#, "unknown"),
        (200, "<!DOCTYPE html><title>Sign in</title>", "unknown"),
        (200, &posted[..posted.len() - 3], "unknown"),
        (204, "", "unknown"),
        (200, r#"{"ok":false}"#, "Rejected"),
        (200, r#"{"ok":false,"error":null}"#, "Rejected"),
        (301, posted, "Misconfigured"),
        (302, "", "Misconfigured"),
        (303, "", "Misconfigured"),
        (307, "", "Misconfigured"),
        (308, "", "Misconfigured"),
        (429, "", "Throttled"),
        (429, r#"{"ok":false,"error":"ratelimited"}"#, "Throttled"),
        (408, "", "Unavailable"),
        (425, "", "Unavailable"),
        (500, "", "Unavailable"),
        (502, "<html>", "Unavailable"),
        (503, r#"{"ok":false,"error":"new_outage"}"#, "Unavailable"),
        (504, "", "Unavailable"),
        (500, r#"{"ok":false,"error":"fatal_error"}"#, "unknown"),
        (500, posted, "unknown"),
        (
            404,
            r#"{"ok":false,"error":"channel_not_found"}"#,
            "UnknownChannel",
        ),
        (400, "", "Rejected"),
        (401, "", "Credentials"),
        (403, "<html>", "Misconfigured"),
        (404, "", "Misconfigured"),
        (413, "", "TooLong"),
        (422, "", "Rejected"),
        (100, "", "unknown"),
        (0, "", "unknown"),
        (999, "", "unknown"),
    ] {
        let outcome = classify(&answer(status, body));
        assert_eq!(word(&outcome), want, "{status} {body}");
        if let Err(Failure::Later { retry_after, .. }) = outcome {
            assert_eq!(retry_after, RETRY);
        }
    }
    let deep = format!(r#"{{"ok":{}}}"#, "[".repeat(60_000));
    assert_eq!(word(&classify(&answer(200, &deep))), "unknown");
    let without_header = Answer {
        retry_after: None,
        ..answer(429, "")
    };
    assert_eq!(classify(&without_header).unwrap_err().retry_after(), None);
}

/// E5, F-7: Slack repeats the post, so its answer may be longer than what is read; it says how it went at its beginning.
#[test]
fn the_beginning_of_an_answer_says_how_it_went() {
    let cut = |status, body: &str| {
        classify(&Answer {
            truncated: true,
            ..answer(status, body)
        })
    };
    for (status, body, want) in [
        (
            200,
            r#"{"ok":true,"channel":"C0OPS00001","ts":"1.2","message":{"text":"x"#,
            "ok",
        ),
        (200, r#"{"ok":true,"chan"#, "ok"),
        (
            200,
            r#"{"ok":false,"error":"is_archived","errors":["#,
            "Archived",
        ),
        (200, r#"{"ok":false,"error":"is_arch"#, "unknown"),
        (200, r#"{"ok":false,"#, "unknown"),
        (200, r#"{"ok":"true","#, "unknown"),
        (200, r#"{"message":{"ok":true,"#, "unknown"),
        (200, "[true,", "unknown"),
        (200, "<html>", "unknown"),
        (200, "", "unknown"),
        (500, r#"{"ok":true,"#, "unknown"),
        (429, r#"{"ok":true,"#, "Throttled"),
    ] {
        assert_eq!(word(&cut(status, body)), want, "{status} {body}");
    }
    let posted = cut(
        200,
        r#"{"ok":true,"channel":"C0OPS1","ts":"17.1","message":"#,
    )
    .unwrap();
    assert_eq!(posted.channel.as_deref(), Some("C0OPS1"));
    assert_eq!(posted.message_id.as_deref(), Some("17.1"));
    let half = cut(200, r#"{"ok":true,"channel":"C0OPS1","ts":"17."#).unwrap();
    assert_eq!(
        (half.channel.as_deref(), half.message_id),
        (Some("C0OPS1"), None)
    );
}

#[test]
fn ids_of_the_answer_are_handed_on_only_if_they_look_like_ids() {
    let posted = classify(&answer(
        200,
        r#"{"ok":true,"channel":"C0\u004FPS1","ts":"1766000000.000100"}"#,
    ))
    .unwrap();
    assert_eq!(posted.channel.as_deref(), Some("C0OPS1"));
    assert_eq!(posted.message_id.as_deref(), Some("1766000000.000100"));
    let odd = classify(&answer(200, r#"{"ok":true,"channel":"<b>\n","ts":""}"#)).unwrap();
    assert_eq!(odd, Posted::default());
}

/// E7: nothing of an answer but cleaned codes is repeated.
#[test]
fn details_tell_the_fix_and_repeat_nothing() {
    let scope = |needed: &str| {
        let body =
            json!({"ok": false, "error": "missing_scope", "needed": needed, "provided": "x"});
        classify(&answer(200, &body.to_string()))
    };
    assert!(detail(scope("chat:write")).contains("the scope chat:write:"));
    assert!(detail(scope("a<b>\n\"c:d,e:f,xoxb-1")).contains("the scope e:f:"));
    assert!(detail(scope("")).contains("chat:write"));
    // A caller's `as` must not make the whole bot look refused.
    assert_eq!(word(&scope("chat:write.customize")), "NotAllowed");
    assert!(detail(scope("chat:write.customize")).contains("'as'"));
    assert!(detail(classify(&error("channel_not_found"))).contains("/invite"));
    assert!(detail(classify(&error("not_in_channel"))).contains("/invite"));
    let canary = "canary<script>\nxoxb-1";
    for outcome in [
        classify(&error(canary)),
        classify(&answer(403, canary)),
        classify(&answer(200, canary)),
    ] {
        if let Err(Failure::Refused { platform_code, .. }) = &outcome {
            assert_eq!(*platform_code, None);
        }
        assert!(!detail(outcome).contains("canary"));
    }
}

proptest! {
    /// E5: arbitrary bytes are an answer, and never one that says "posted" without `ok`.
    #[test]
    fn arbitrary_answers_never_panic(status in 0u16..1000, body in prop::collection::vec(any::<u8>(), 0..300), truncated: bool) {
        let answer = Answer { status, retry_after: None, body: body.into(), truncated };
        prop_assert!(classify(&answer).is_err());
        prop_assert!(classify_read(&answer).is_err());
        prop_assert!(classify_webhook(&answer).is_err() || answer.text() == "ok");
    }

    #[test]
    fn answers_like_slacks_never_panic(status in 0u16..1000, error in ".{0,20}", ok: bool, ts in ".{0,10}") {
        let body = json!({"ok": ok, "error": error, "needed": error, "channel": ts, "ts": ts}).to_string();
        prop_assert_eq!(classify(&answer(status, &body)).is_ok(), ok && (200..300).contains(&status));
        prop_assert!(classify_webhook(&answer(status, &body)).is_err());
    }
}

#[test]
fn an_unavailable_slack_keeps_its_word() {
    let later = classify(&answer(503, "")).unwrap_err();
    assert!(matches!(
        later,
        Failure::Later {
            reason: Later::Unavailable,
            retry_after: RETRY,
            ..
        }
    ));
}
