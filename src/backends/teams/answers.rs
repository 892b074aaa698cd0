//! One row for every status and code of reference/teams.md 1, 2.7 and 3.2, and arbitrary bytes.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{answer, login, webhook};
use crate::backends::wire::Answer;
use crate::domain::delivery::{Failure, Later, Refusal};

fn of(status: u16, body: &str) -> Answer {
    Answer {
        status,
        body: Bytes::copy_from_slice(body.as_bytes()),
        retry_after: Some(Duration::from_secs(7)),
        truncated: false,
    }
}

fn cut(status: u16, body: &str) -> Answer {
    Answer {
        truncated: true,
        ..of(status, body)
    }
}

fn coded(status: u16, code: &str) -> Answer {
    let json = format!(
        r#"{{"error":{{"code":"{code}","message":"canary","innerHttpError":{{"statusCode":0,"body":{{}}}}}}}}"#
    );
    of(status, &json)
}

/// What an answer came to, in a word.
fn outcome<T>(result: Result<T, Failure>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(Failure::Unknown { detail, .. }) => checked("unknown".into(), &detail),
        Err(Failure::Later {
            reason,
            retry_after,
            detail,
        }) => {
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
            checked(format!("{reason:?}"), &detail)
        }
        Err(Failure::Refused {
            reason,
            platform_code,
            detail,
        }) => {
            let code = platform_code.map(|c| c.as_str().to_owned());
            checked(format!("{reason:?} {}", code.unwrap_or_default()), &detail)
        }
    }
}

/// E7: no detail repeats what the platform wrote.
fn checked(word: String, detail: &str) -> String {
    assert!(detail.len() > 20 && !detail.contains("canary"), "{detail}");
    word.trim().to_owned()
}

/// F-9, F-10, F-13 to F-19, E3.
#[test]
fn the_connectors_answers() {
    let created = r#"{"id":"19:x@thread.tacv2;messageid=17","activityId":"17"}"#;
    for (answer, want) in [
        (of(200, created), "ok"),
        (of(201, created), "ok"),
        (of(202, r#"{"id":"17"}"#), "ok"),
        (of(202, ""), "ok"),
        (of(202, "{}"), "ok"),
        (of(200, ""), "unknown"),
        (of(201, ""), "ok"),
        (of(201, r#"{"id":"17"#), "ok"),
        (of(201, r#"{"id":17}"#), "ok"),
        (of(201, r#"{"id":""}"#), "ok"),
        (of(200, "{}"), "unknown"),
        (of(200, r#"{"id":"a\u0007"}"#), "unknown"),
        (of(201, "<html>"), "unknown"),
        (coded(201, "Throttled"), "unknown"),
        (cut(201, ""), "ok"),
        (cut(200, r#"{"activityId":"17","x":"#), "ok"),
        (cut(200, r#"{"activityId":"1"#), "unknown"),
        (cut(201, r#"{"error":{"code":"No"},"#), "unknown"),
        (cut(201, "<html>"), "unknown"),
        (of(200, "ok"), "unknown"),
        (of(200, "1"), "unknown"),
        (of(202, "<html>"), "unknown"),
        (of(200, "<!doctype html><title>Sign in</title>"), "unknown"),
        (coded(200, "Throttled"), "unknown"),
        (coded(202, "Throttled"), "unknown"),
        (of(204, ""), "unknown"),
        (of(301, ""), "Misconfigured"),
        (of(302, ""), "Misconfigured"),
        (of(303, ""), "Misconfigured"),
        (of(304, ""), "Misconfigured"),
        (of(307, ""), "Misconfigured"),
        (of(308, ""), "Misconfigured"),
        (coded(400, "BadArgument"), "Rejected BadArgument"),
        (coded(400, "BadSyntax"), "Rejected BadSyntax"),
        (coded(400, "Novel"), "Rejected Novel"),
        (of(400, "not JSON: canary"), "Rejected"),
        (
            coded(401, "BotNotRegistered"),
            "Credentials BotNotRegistered",
        ),
        (of(401, ""), "Credentials"),
        (
            coded(403, "BotNotInConversationRoster"),
            "NotAllowed BotNotInConversationRoster",
        ),
        (
            coded(403, "BotDisabledByAdmin"),
            "NotAllowed BotDisabledByAdmin",
        ),
        (
            coded(403, "ConversationBlockedByUser"),
            "NotAllowed ConversationBlockedByUser",
        ),
        (
            coded(403, "MessageWritesBlocked"),
            "NotAllowed MessageWritesBlocked",
        ),
        (
            of(
                403,
                r#"{"errorCode":209,"message":"{\"subCode\":\"MessageWritesBlocked\",\"details\":\"canary\"}"}"#,
            ),
            "NotAllowed MessageWritesBlocked",
        ),
        (
            of(403, r#"{"errorCode":209,"message":"canary"}"#),
            "NotAllowed 209",
        ),
        (
            coded(403, "NotEnoughPermissions"),
            "NotAllowed NotEnoughPermissions",
        ),
        (
            coded(403, "InvalidBotApiHost"),
            "Misconfigured InvalidBotApiHost",
        ),
        (coded(403, "Novel"), "NotAllowed Novel"),
        (of(403, "<html>canary"), "NotAllowed"),
        (
            coded(404, "ConversationNotFound"),
            "UnknownChannel ConversationNotFound",
        ),
        (
            coded(404, "ActivityNotFoundInConversation"),
            "UnknownChannel ActivityNotFoundInConversation",
        ),
        (of(404, ""), "UnknownChannel"),
        (of(405, ""), "Rejected"),
        (of(408, ""), "Unavailable"),
        (of(410, ""), "Rejected"),
        (coded(412, "PreconditionFailed"), "Unavailable"),
        (coded(413, "MessageSizeTooBig"), "TooLong MessageSizeTooBig"),
        (of(422, ""), "Rejected"),
        (of(425, ""), "Unavailable"),
        (coded(429, "Throttled"), "Throttled"),
        (of(429, ""), "Throttled"),
        (coded(500, "ServiceError"), "Unavailable"),
        (coded(502, "ServiceError"), "Unavailable"),
        (of(503, "<html>"), "Unavailable"),
        (of(504, ""), "Unavailable"),
        (of(599, ""), "Unavailable"),
        (of(0, ""), "unknown"),
        (of(101, ""), "unknown"),
        (of(600, ""), "unknown"),
        (coded(400, "<b>\\n"), "Rejected b"),
    ] {
        let shown = format!("{} {:?}", answer.status, answer.text());
        assert_eq!(outcome(answer::classify(&answer)), want, "{shown}");
    }
}

#[test]
fn the_message_in_an_answer() {
    for (body, want) in [
        (
            r#"{"id":"19:x@thread.tacv2;messageid=17","activityId":"18"}"#,
            "18",
        ),
        (r#"{"id":"19:x@thread.tacv2;messageid=17"}"#, "17"),
        (r#"{"id":"1776390257332"}"#, "1776390257332"),
        (r#"{"id":"f:0b1c"}"#, "f:0b1c"),
    ] {
        let posted = answer::classify(&of(201, body)).unwrap();
        assert_eq!(posted.message_id.as_deref(), Some(want));
    }
}

/// A refusal's detail names the cure.
#[test]
fn details_name_the_cure() {
    for (failure, cure) in [
        (
            answer::classify(&coded(403, "BotNotInConversationRoster")).unwrap_err(),
            "add the",
        ),
        (
            answer::classify(&coded(403, "InvalidBotApiHost")).unwrap_err(),
            "TEAMS_SERVICE_URL",
        ),
        (
            answer::classify(&coded(401, "BotNotRegistered")).unwrap_err(),
            "Teams channel",
        ),
        (
            answer::classify(&of(302, "")).unwrap_err(),
            "TEAMS_SERVICE_URL",
        ),
        (
            login::classify(&entra(401, "invalid_client", 7_000_215)).unwrap_err(),
            "secret's id",
        ),
        (
            login::classify(&entra(401, "invalid_client", 7_000_222)).unwrap_err(),
            "expired",
        ),
        (
            login::classify(&entra(400, "unauthorized_client", 700_016)).unwrap_err(),
            "directory",
        ),
        (webhook::classify(&of(401, "")).unwrap_err(), "copy the URL"),
    ] {
        assert!(failure.to_string().contains(cure), "{failure}");
    }
}

fn entra(status: u16, error: &str, number: u64) -> Answer {
    let json = format!(
        r#"{{"error":"{error}","error_description":"AADSTS{number}: canary","error_codes":[{number}],"trace_id":"t"}}"#
    );
    of(status, &json)
}

/// F-9, F-17: nothing was posted, so nothing is `Unknown`.
#[test]
fn the_login_services_answers() {
    let granted = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"t"}"#;
    for (answer, want) in [
        (of(200, granted), "ok"),
        (
            of(200, r#"{"token_type":"bearer","access_token":"t"}"#),
            "ok",
        ),
        (
            of(
                200,
                r#"{"token_type":"pop","expires_in":1,"access_token":"t"}"#,
            ),
            "Unavailable",
        ),
        (
            of(
                200,
                r#"{"token_type":"Bearer","expires_in":1,"access_token":""}"#,
            ),
            "Unavailable",
        ),
        (
            of(
                200,
                r#"{"token_type":"Bearer","expires_in":1,"access_token":"a b"}"#,
            ),
            "Unavailable",
        ),
        (
            of(
                200,
                r#"{"token_type":"Bearer","expires_in":1,"access_token":"a\nb"}"#,
            ),
            "Unavailable",
        ),
        (
            of(
                200,
                r#"{"token_type":"Bearer","expires_in":[],"access_token":"t"}"#,
            ),
            "Unavailable",
        ),
        (of(200, r#"{"token_type":"Bearer","#), "Unavailable"),
        (of(200, "<html>canary"), "Unavailable"),
        (of(200, ""), "Unavailable"),
        (of(204, ""), "Unavailable"),
        (of(302, ""), "Misconfigured"),
        (
            entra(401, "invalid_client", 7_000_215),
            "Credentials AADSTS7000215",
        ),
        (
            entra(401, "invalid_client", 7_000_222),
            "Credentials AADSTS7000222",
        ),
        (
            entra(401, "invalid_client", 7_000_229),
            "Credentials AADSTS7000229",
        ),
        (
            entra(400, "unauthorized_client", 700_016),
            "Credentials AADSTS700016",
        ),
        (
            entra(400, "invalid_request", 90_002),
            "Credentials AADSTS90002",
        ),
        (entra(400, "invalid_request", 1), "Credentials AADSTS1"),
        (
            of(
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS7000222: canary"}"#,
            ),
            "Credentials AADSTS7000222",
        ),
        (
            of(401, r#"{"error":"invalid_client"}"#),
            "Credentials invalid_client",
        ),
        (
            of(400, r#"{"error":"temporarily_unavailable"}"#),
            "Unavailable",
        ),
        (of(404, "<html>"), "Misconfigured"),
        (of(401, ""), "Misconfigured"),
        (of(408, ""), "Unavailable"),
        (of(429, ""), "Throttled"),
        (of(500, ""), "Unavailable"),
        (of(503, ""), "Unavailable"),
    ] {
        let shown = format!("{} {:?}", answer.status, answer.text());
        assert_eq!(outcome(login::classify(&answer)), want, "{shown}");
    }
}

#[test]
fn lifetimes_are_kept_within_reason() {
    for (expires_in, seconds) in [
        ("3599", 3599),
        ("\"3599\"", 3599),
        ("3599.9", 3599),
        ("0", 60),
        ("-1", 60),
        ("1e300", 60),
        ("\"NaN\"", 60),
        ("\"soon\"", 60),
        ("9999999", 100_800),
    ] {
        let json =
            format!(r#"{{"token_type":"Bearer","expires_in":{expires_in},"access_token":"t"}}"#);
        let granted = login::classify(&of(200, &json)).unwrap();
        assert_eq!(granted.lifetime.as_secs(), seconds, "{expires_in}");
    }
}

#[test]
fn a_flows_answers() {
    for (answer, want) in [
        (of(202, ""), "ok"),
        (of(202, "anything"), "ok"),
        (of(200, "{}"), "ok"),
        (of(204, ""), "ok"),
        (of(299, ""), "ok"),
        (of(200, "<html>canary"), "unknown"),
        (of(302, ""), "Misconfigured"),
        (
            coded(400, "TriggerInputSchemaMismatch"),
            "Rejected TriggerInputSchemaMismatch",
        ),
        (of(401, ""), "NotAllowed"),
        (
            coded(401, "DirectApiAuthorizationRequired"),
            "NotAllowed DirectApiAuthorizationRequired",
        ),
        (of(403, ""), "NotAllowed"),
        (
            coded(404, "WorkflowNotFound"),
            "UnknownChannel WorkflowNotFound",
        ),
        (of(408, ""), "Unavailable"),
        (of(410, ""), "UnknownChannel"),
        (of(413, ""), "TooLong"),
        (of(425, ""), "Unavailable"),
        (of(429, ""), "Throttled"),
        (of(500, ""), "Unavailable"),
        (of(502, ""), "Unavailable"),
        (of(503, ""), "Unavailable"),
        (of(504, ""), "Unavailable"),
        (of(100, ""), "unknown"),
    ] {
        let shown = format!("{} {:?}", answer.status, answer.text());
        assert_eq!(outcome(webhook::classify(&answer)), want, "{shown}");
    }
}

/// F-9: JSON nested beyond reason is no answer, and no crash.
#[test]
fn deep_nesting_is_refused() {
    let deep = of(200, &"[{\"error\":".repeat(5000));
    assert_eq!(outcome(answer::classify(&deep)), "unknown");
    let inner = serde_json::to_string(&"[".repeat(60_000)).unwrap();
    let nested = of(403, &format!(r#"{{"errorCode":1,"message":{inner}}}"#));
    assert_eq!(outcome(answer::classify(&nested)), "NotAllowed 1");
}

proptest! {
    #[test]
    fn arbitrary_answers_never_panic(
        status in 0u16..700,
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            r#"\{"(error|id|errorCode|message|token_type|access_token|error_codes)":[\[\]{}":,0-9a-z\\u]{0,40}\}?"#
                .prop_map(String::into_bytes),
        ],
        truncated in any::<bool>(),
    ) {
        let answer = Answer { status, body: body.into(), truncated, retry_after: None };
        let posted = answer::classify(&answer);
        prop_assert!(posted.is_err() || (200..300).contains(&status));
        let granted = login::classify(&answer);
        let in_doubt = matches!(granted, Err(Failure::Unknown { .. }));
        prop_assert!(!in_doubt);
        let taken = webhook::classify(&answer).is_ok();
        prop_assert!(!taken || (200..300).contains(&status));
    }
}

#[test]
fn reasons_are_told_apart() {
    let later = answer::classify(&of(429, "")).unwrap_err();
    assert!(matches!(
        later,
        Failure::Later {
            reason: Later::Throttled,
            ..
        }
    ));
    let refused = answer::classify(&of(413, "")).unwrap_err();
    assert!(matches!(
        refused,
        Failure::Refused {
            reason: Refusal::TooLong,
            ..
        }
    ));
}
