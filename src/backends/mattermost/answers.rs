//! For tests: what every answer of the reference means, row by row, and that no answer does harm.

use std::time::Duration;

use proptest::prelude::*;

use super::answer::{classify, classify_check, classify_hook, classify_lookup, is_doubtful};
use crate::backends::wire::Answer;
use crate::domain::delivery::Failure;

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        body: body.to_owned().into(),
        ..Answer::default()
    }
}

fn error(status: u16, id: &str) -> Answer {
    answer(
        status,
        &format!(r#"{{"id":"{id}","message":"m","request_id":"r"}}"#),
    )
}

/// What a failure is, in one word.
fn kind<T>(result: Result<T, Failure>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(Failure::Later { reason, .. }) => format!("{reason:?}"),
        Err(Failure::Refused { reason, .. }) => format!("{reason:?}"),
        Err(Failure::Unknown { .. }) => "Unknown".to_owned(),
    }
}

/// F-10, F-14, F-16, F-17, F-18: one row for every code of the reference's section 6.
#[test]
fn every_refusal_of_a_post() {
    for (status, id, expected) in [
        (401, "api.context.session_expired.app_error", "Credentials"),
        (401, "api.context.token_provided.app_error", "Credentials"),
        (403, "api.context.permissions.app_error", "NotAllowed"),
        (
            400,
            "api.post.create_post.can_not_post_to_deleted.error",
            "Archived",
        ),
        (400, "model.post.is_valid.msg.app_error", "TooLong"),
        (
            400,
            "model.post.is_valid.message_length.app_error",
            "TooLong",
        ),
        (400, "model.post.is_valid.props.app_error", "TooLong"),
        (400, "api.context.invalid_body_param.app_error", "Rejected"),
        (400, "api.post.create_post.root_id.app_error", "Rejected"),
        (
            400,
            "api.post.create_post.channel_root_id.app_error",
            "Rejected",
        ),
        (400, "model.post.is_valid.type.app_error", "Rejected"),
        (400, "app.post.save.existing.app_error", "Rejected"),
        (400, "api.context.invalid_param.app_error", "Rejected"),
        (500, "app.post.save.app_error", "Unavailable"),
        (
            500,
            "api.post.deduplicate_create_post.pending",
            "Unavailable",
        ),
        (400, "Post rejected by plugin. no swearing", "Rejected"),
        (
            403,
            "api.post.create_post.town_square_read_only",
            "NotAllowed",
        ),
        (
            400,
            "api.post.create_post.can_not_post_in_restricted_dm.error",
            "NotAllowed",
        ),
        (503, "api.context.server_busy.app_error", "Unavailable"),
        (
            403,
            "api.post.post_priority.priority_post_not_allowed_for_user.request_error",
            "Rejected",
        ),
        (501, "license_error.feature_unavailable", "Unavailable"),
        (404, "api.context.404.app_error", "Misconfigured"),
        (418, "some.new.error", "Rejected"),
    ] {
        assert_eq!(
            kind(classify(&error(status, id))),
            expected,
            "{status} {id}"
        );
    }
}

/// E3, F-13, F-14, F-16, F-19, F-21: by status alone, whatever the body.
#[test]
fn every_status_without_a_code() {
    for body in [
        "",
        "limit exceeded",
        "<html>Bad Gateway</html>",
        "{}",
        "[]",
        "null",
        r#"{"id":7}"#,
    ] {
        for (status, expected) in [
            (301, "Misconfigured"),
            (302, "Misconfigured"),
            (303, "Misconfigured"),
            (304, "Misconfigured"),
            (307, "Misconfigured"),
            (308, "Misconfigured"),
            (400, "Rejected"),
            (401, "Credentials"),
            (403, "Rejected"),
            (404, "Misconfigured"),
            (405, "Misconfigured"),
            (408, "Unavailable"),
            (409, "Rejected"),
            (410, "Rejected"),
            (413, "TooLong"),
            (422, "Rejected"),
            (425, "Unavailable"),
            (429, "Throttled"),
            (500, "Unavailable"),
            (501, "Unavailable"),
            (502, "Unavailable"),
            (503, "Unavailable"),
            (504, "Unavailable"),
            (599, "Unavailable"),
            (0, "Unknown"),
            (100, "Unknown"),
            (199, "Unknown"),
            (600, "Unknown"),
            (999, "Unknown"),
        ] {
            assert_eq!(
                kind(classify(&answer(status, body))),
                expected,
                "{status} {body}"
            );
        }
    }
}

/// F-6, F-7, F-9: a success that cannot be read may have posted.
#[test]
fn an_unusable_success_is_unknown() {
    let id = "kapmbndrfg8ejkmcpqxot1uwis";
    let good = format!(r#"{{"id":"{id}","channel_id":"{id}","create_at":1}}"#);
    assert_eq!(kind(classify(&answer(201, &good))), "ok");
    assert_eq!(kind(classify(&answer(200, &good))), "ok");
    for body in [
        String::new(),
        "ok".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        "<html></html>".to_owned(),
        good[..40].to_owned(),
        good.replace(r#""channel_id""#, r#""x""#),
        good.replace("kapm", "KAPM"),
        good.replace(&format!(r#"{{"id":"{id}""#), r#"{"id":7"#),
        "[".repeat(5000),
        format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000)),
    ] {
        for status in [200, 202, 204, 205] {
            assert_eq!(
                kind(classify(&answer(status, &body))),
                "Unknown",
                "{status} {body}"
            );
        }
        let created = if body.starts_with('<') {
            "Unknown"
        } else {
            "ok"
        };
        assert_eq!(kind(classify(&answer(201, &body))), created, "201 {body}");
    }
}

/// E5, F-7, F-9: the server repeats the post, so its answer may be longer than what is read; its beginning names the post.
#[test]
fn the_beginning_of_an_answer_names_the_post() {
    let id = "kapmbndrfg8ejkmcpqxot1uwis";
    let named = format!(r#"{{"id":"{id}","create_at":1,"channel_id":"{id}","message":"\u003c"#);
    let no_channel = format!(r#"{{"id":"{id}","create_at":1,"chan"#);
    let half = format!(r#"{{"id":"{}"#, &id[..20]);
    let cut = |status, body: &str| {
        let answer = Answer {
            truncated: true,
            ..answer(status, body)
        };
        let posted = classify(&answer).ok()?;
        Some((posted.message_id.is_some(), posted.channel.is_some()))
    };
    for (body, created, other) in [
        (&*named, Some((true, true)), Some((true, true))),
        (&no_channel, Some((true, false)), None),
        (&half, Some((false, false)), None),
        (
            r#"{"id":"api.context.app_error","#,
            Some((false, false)),
            None,
        ),
        ("", Some((false, false)), None),
        ("\u{FEFF} <html>", None, None),
    ] {
        assert_eq!(cut(201, body), created, "{body}");
        assert_eq!(cut(200, body), other, "{body}");
        assert_eq!(cut(202, body), other, "{body}");
        assert_eq!(cut(403, body), None, "{body}");
    }
}

/// The rows of the reference's section 12, and their statuses.
#[test]
fn every_answer_of_a_webhook() {
    for (status, id, expected) in [
        (
            400,
            "web.incoming_webhook.invalid.app_error",
            "Misconfigured",
        ),
        (400, "web.incoming_webhook.text.app_error", "Rejected"),
        (400, "model.incoming_hook.parse_data.app_error", "Rejected"),
        (400, "web.incoming_webhook.user.app_error", "UnknownChannel"),
        (
            404,
            "web.incoming_webhook.channel.app_error",
            "UnknownChannel",
        ),
        (
            403,
            "web.incoming_webhook.channel_locked.app_error",
            "NotAllowed",
        ),
        (
            403,
            "web.incoming_webhook.permissions.app_error",
            "NotAllowed",
        ),
        (
            400,
            "web.incoming_webhook.split_props_length.app_error",
            "TooLong",
        ),
        (501, "web.incoming_webhook.disabled.app_error", "Rejected"),
        (
            500,
            "api.post.create_webhook_post.creating.app_error",
            "Unavailable",
        ),
        (405, "", "Misconfigured"),
        (404, "", "Misconfigured"),
        // One refused webhook must not pause all the others.
        (401, "", "Misconfigured"),
        (302, "", "Misconfigured"),
        (429, "", "Throttled"),
    ] {
        assert_eq!(
            kind(classify_hook(&error(status, id))),
            expected,
            "{status} {id}"
        );
    }
    assert_eq!(kind(classify_hook(&answer(200, "ok"))), "ok");
    assert_eq!(kind(classify_hook(&answer(200, "ok\n"))), "ok");
    for body in ["", "<html>", "{}", "okay"] {
        assert_eq!(kind(classify_hook(&answer(200, body))), "Unknown", "{body}");
    }
}

/// F-11: what the server asks for is passed on; a copy still being saved is asked for again soon.
#[test]
fn waits_are_passed_on() {
    let wait = Some(Duration::from_secs(7));
    for status in [408, 425, 429, 500, 503] {
        let throttled = Answer {
            retry_after: wait,
            ..answer(status, "limit exceeded")
        };
        assert_eq!(classify(&throttled).unwrap_err().retry_after(), wait);
    }
    assert_eq!(classify(&answer(429, "")).unwrap_err().retry_after(), None);
    let pending = classify(&error(500, "api.post.deduplicate_create_post.pending"));
    assert_eq!(
        pending.unwrap_err().retry_after(),
        Some(Duration::from_millis(500))
    );
}

/// E7, G1: a server that repeats our header, or a plugin that repeats the message, is not repeated.
#[test]
fn no_foreign_text_gets_into_a_failure() {
    const CANARY: &str = "4yoxbndrfg8ejkmcpqxot1uwis";
    for id in [
        CANARY.to_owned(),
        format!("Bearer {CANARY}"),
        format!("api.{CANARY}.app_error"),
        format!("Post rejected by plugin. {CANARY}"),
        format!("token_{CANARY}.x"),
    ] {
        for status in [400, 401, 403, 404, 405, 413, 418, 429, 500, 501] {
            let answer = error(status, &id);
            for failure in [
                classify(&answer).unwrap_err(),
                classify_hook(&answer).unwrap_err(),
            ] {
                assert!(!format!("{failure:?}").contains(CANARY), "{failure:?}");
            }
        }
    }
    let Err(Failure::Refused {
        platform_code: Some(code),
        ..
    }) = classify(&error(400, "api.some_new.thing.app_error"))
    else {
        panic!("a code worth showing is lost")
    };
    assert_eq!(code.as_str(), "api.some_new.thing.app_error");
}

proptest! {
    /// E5, F-8: nothing that a server sends ends the program, and only a 2xx is a success.
    #[test]
    fn any_answer_is_classified(
        status in any::<u16>(),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            r#"\{"(id|channel_id|status)":("[a-z0-9.]{0,30}"|[0-9]{1,3}|null),?[ -~]{0,20}\}?"#.prop_map(String::into_bytes),
        ],
        truncated in any::<bool>(),
    ) {
        let answer = Answer { status, body: body.into(), truncated, retry_after: None };
        for ok in [classify(&answer).is_ok(), classify_hook(&answer).is_ok(), classify_check(&answer).is_ok()] {
            prop_assert!(!ok || answer.is_success());
        }
        let looked_up = classify_lookup(&answer);
        prop_assert!(!is_doubtful(&answer) || looked_up.is_err());
    }
}
