//! Any answer of the Bot Connector, the login service or a flow: no panic, and nothing long of it in what callers are told.
#![no_main]

#[path = "../answers.rs"]
mod answers;

use libfuzzer_sys::fuzz_target;
use message_webhook_proxy::backends::teams::{answer, login, webhook};

const SHAPES: &[&str] = &[
    r#"{"error":{"code":"$","message":"~","innerHttpError":{"statusCode":0,"body":{}}}}"#,
    r#"{"errorCode":209,"message":"{\"subCode\":\"$\",\"details\":null}"}"#,
    r#"{"errorCode":$,"message":"~"}"#,
    r#"{"id":"$","activityId":"~"}"#,
    r#"{"id":"19:x@thread.tacv2;messageid=$"}"#,
    r#"{"token_type":"Bearer","expires_in":$,"access_token":"~"}"#,
    r#"{"token_type":"Bearer","expires_in":"$","access_token":"$"}"#,
    r#"{"error":"$","error_description":"AADSTS$ ~","error_codes":[$]}"#,
    "<html>$~</html>",
    "$",
];

fuzz_target!(|data: &[u8]| {
    let Some(answer) = answers::answer(data, SHAPES) else { return };
    let posted = answer::classify(&answer);
    if let Ok(posted) = &posted {
        assert!(answer.is_success());
        assert!(posted.message_id.iter().all(|id| !id.contains(char::is_control)));
    }
    answers::check(posted);
    let granted = login::classify(&answer);
    // A token goes into a header: it is plain, marked, and does not show.
    if let Ok(granted) = &granted {
        assert!(answer.status == 200 && granted.authorization.is_sensitive());
        let token = granted.authorization.to_str().expect("a token is plain");
        assert!(!format!("{granted:?}").contains(&token["Bearer ".len()..]) || token.len() < 24);
        assert!((60..=28 * 3600).contains(&granted.lifetime.as_secs()));
    }
    answers::check(granted);
    let run = webhook::classify(&answer);
    assert!(run.is_err() || answer.is_success());
    answers::check(run);
});
