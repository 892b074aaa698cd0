//! Any answer of Slack's Web API or of a webhook: no panic, and nothing long of it in what callers are told.
#![no_main]

#[path = "../answers.rs"]
mod answers;

use libfuzzer_sys::fuzz_target;
use message_webhook_proxy::backends::slack::{classify, classify_read, classify_webhook};

const SHAPES: &[&str] = &[
    r#"{"ok":false,"error":"$"}"#,
    r#"{"ok":false,"error":"missing_scope","needed":"$"}"#,
    r#"{"ok":false,"error":"ratelimited","detail":"~","retry_after":$}"#,
    r#"{"ok":true,"channel":"$","ts":"$"}"#,
    r#"{"ok":$}"#,
    r#"{"ok":true,"channel":"C0","ts":"~","warning":"$"}"#,
    "<html>$~</html>",
    "$",
    "{$}",
    "[$]",
];

/// Whether it is an object that says so; a number too large for a `Value` may stand beside it.
fn says_ok(body: &[u8]) -> bool {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(json) => json["ok"] == true && json["error"].is_null(),
        Err(_) => body.trim_ascii_start().starts_with(b"{"),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(answer) = answers::answer(data, SHAPES) else { return };
    let posted = classify(&answer);
    // Success is Slack's word and its status together, whether its answer was read to the end or not, and ids are short.
    if let Ok(posted) = &posted {
        assert!(answer.is_success());
        let ids = [&posted.channel, &posted.message_id];
        assert!(ids.into_iter().flatten().all(|id| (1..=64).contains(&id.len())));
    }
    answers::check(posted);
    answers::check(classify_read(&answer));
    let hook = classify_webhook(&answer);
    if hook.is_ok() {
        assert_eq!(answer.status, 200);
        assert!(answer.text() == "ok" || says_ok(&answer.body), "{}", answer.text());
    }
    answers::check(hook);
});
