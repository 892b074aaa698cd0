//! Configuration and calls of the Slack backends; what the tests beside share.

mod answers;
mod lists;
mod lookups;
mod posts;
mod webhooks;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::json;

use super::*;
use crate::backends::wire::{Answer, WireError};
use crate::domain::delivery::DeliveryId;
use crate::domain::message::Message;
use crate::domain::options::Format;
use crate::env::{Env, Faults};

const RETRY: Option<Duration> = Some(Duration::from_secs(7));

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        retry_after: RETRY,
        body: body.to_owned().into(),
        truncated: false,
    }
}

fn error(code: &str) -> Answer {
    answer(200, &json!({"ok": false, "error": code}).to_string())
}

/// One word for an outcome, and the wait or the code that goes with it.
fn word<T>(outcome: &Result<T, Failure>) -> String {
    match outcome {
        Ok(_) => "ok".into(),
        Err(Failure::Unknown { .. }) => "unknown".into(),
        Err(Failure::Later { reason, .. }) => format!("{reason:?}"),
        Err(Failure::Refused { reason, .. }) => format!("{reason:?}"),
    }
}

fn detail<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> String {
    outcome.unwrap_err().to_string()
}

/// A wire that answers from a list and notes what was asked.
#[derive(Default)]
struct Script {
    answers: RefCell<VecDeque<Result<Answer, WireError>>>,
    asked: RefCell<Vec<String>>,
}

impl Script {
    fn of(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: RefCell::new(answers.into_iter().map(Ok).collect()),
            asked: RefCell::default(),
        }
    }
}

impl Wire for Script {
    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Answer, WireError>> {
        let authorization = call.authorization.map_or("", |value| {
            assert!(value.is_sensitive());
            value.to_str().unwrap()
        });
        let content_type = call.content_type.unwrap_or_default();
        let body = String::from_utf8_lossy(&call.body).into_owned();
        self.asked.borrow_mut().push(format!(
            "{} {} {authorization} {content_type} {body}",
            call.method, call.uri
        ));
        let answer = self
            .answers
            .borrow_mut()
            .pop_front()
            .unwrap_or(Err(WireError::Connect));
        Box::pin(async move { answer })
    }

    fn print(&self, _: String) -> LocalBoxFuture<'_, std::io::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

fn configured(pairs: &[(&str, &str)]) -> (Option<Arc<dyn Backend>>, Vec<String>) {
    let env = Env::of(pairs);
    let mut reader = Reader::new(&env, Faults::default());
    let backend = (KIND.configure)(&mut reader, &Shared::default());
    (backend, reader.finish().lines().to_vec())
}

fn bot() -> Arc<dyn Backend> {
    let (backend, faults) = configured(&[
        ("SLACK_BOT_TOKEN", "xoxb-test"),
        ("SLACK_API_URL", "http://127.0.0.1:9/api/"),
    ]);
    assert_eq!(faults, [""; 0]);
    backend.unwrap()
}

fn post(text: &str) -> Post {
    Post::bare(
        DeliveryId::generate(),
        Message::parse(text).unwrap(),
        Format::Markup,
    )
}

fn channel() -> Recipient {
    Recipient::Target("C0OPS00001".into())
}

fn hook() -> Recipient {
    Recipient::Webhook {
        alias: "deploys".into(),
        uri: Uri::from_static("https://hooks.slack.com/services/T/B/secret"),
    }
}

#[test]
fn on_with_a_token_off_without_and_half_is_a_fault() {
    assert!(matches!(configured(&[]), (None, faults) if faults.is_empty()));
    assert!(
        matches!(configured(&[("SLACK_BOT_TOKEN", " any-token ")]), (Some(_), faults) if faults.is_empty())
    );
    for (variables, in_fault) in [
        (
            &[("SLACK_API_URL", "https://slack.com/api")][..],
            "SLACK_BOT_TOKEN: ",
        ),
        (&[("SLACK_BOT_TOKEN", "xapp-1-a")], "xoxb-"),
        (&[("SLACK_BOT_TOKEN", "xoxe-1-a")], "refresh"),
        (
            &[("SLACK_BOT_TOKEN", "https://hooks.slack.com/services/T/B/x")],
            "CHANNELS",
        ),
        (&[("SLACK_BOT_TOKEN", "Bearer xoxb-canary")], "Bearer"),
        (&[("SLACK_BOT_TOKEN", "xoxb-can\nary")], "line ends"),
        (&[("SLACK_BOT_TOKEN", "xoxb-é")], "SLACK_BOT_TOKEN: "),
        (
            &[
                ("SLACK_BOT_TOKEN", "xoxb-1"),
                ("SLACK_API_URL", "http://slack.com/api"),
            ],
            "https://",
        ),
        (
            &[
                ("SLACK_BOT_TOKEN", "xoxb-1"),
                ("SLACK_API_URL", "slack.com/api"),
            ],
            "SLACK_API_URL: ",
        ),
        (
            &[
                ("SLACK_BOT_TOKEN", "xoxb-1"),
                ("SLACK_API_URL", "https://slack.com/api?x"),
            ],
            "'?'",
        ),
    ] {
        let (backend, faults) = configured(variables);
        assert!(backend.is_none());
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            faults[0].contains(in_fault) && !faults[0].contains("canary"),
            "{faults:?}"
        );
    }
    for good in ["xoxb-1-2-a", "xoxe.xoxb-1-a", "xoxp-1", "xoxe.xoxp-1"] {
        assert!(
            configured(&[("SLACK_BOT_TOKEN", good)]).0.is_some(),
            "{good}"
        );
    }
}

#[test]
fn a_delivery_is_one_call() {
    let wire = Script::of([answer(
        200,
        r#"{"ok":true,"channel":"C0OPS00001","ts":"1.2"}"#,
    )]);
    let (bot, to) = (bot(), channel());
    let parts = bot.render(&post("a & <b>"), &to);

    let posted = bot
        .deliver(&wire, &to, &parts[0])
        .now_or_never()
        .unwrap()
        .unwrap();

    assert_eq!(posted.message_id.as_deref(), Some("1.2"));
    assert_eq!(
        *wire.asked.borrow(),
        [
            r#"POST http://127.0.0.1:9/api/chat.postMessage Bearer xoxb-test application/json; charset=utf-8 {"channel":"C0OPS00001","text":"a &amp; &lt;b&gt;","unfurl_links":false,"unfurl_media":false}"#,
        ]
    );
}

/// F-1, F-4, F-5: no answer is unknown for a post, and passing for a check.
#[test]
fn without_an_answer() {
    let (bot, to) = (bot(), channel());
    let part = bot.render(&post("x"), &to).remove(0);
    for (error, posting, checking) in [
        (WireError::Connect, "Unreachable", "Unreachable"),
        (WireError::Resolve, "Unreachable", "Unreachable"),
        (WireError::Tls, "Unreachable", "Unreachable"),
        (WireError::NoAnswer, "unknown", "Unavailable"),
    ] {
        let wire = Script {
            answers: RefCell::new((0..3).map(|_| Err(error)).collect()),
            ..Script::default()
        };
        assert_eq!(
            word(&bot.deliver(&wire, &to, &part).now_or_never().unwrap()),
            posting
        );
        assert_eq!(word(&bot.check(&wire).now_or_never().unwrap()), checking);
        assert_eq!(
            word(&bot.find(&wire, "#ops").now_or_never().unwrap()),
            checking
        );
    }
}

#[test]
fn check_asks_who_the_token_is() {
    for (answer, want) in [
        (
            answer(200, r#"{"ok":true,"user_id":"U0PROXY001","team":"Acme"}"#),
            "ok",
        ),
        (error("invalid_auth"), "Credentials"),
        (error("fatal_error"), "Unavailable"),
        (answer(200, "<html>"), "Unavailable"),
        (answer(302, ""), "Misconfigured"),
    ] {
        let wire = Script::of([answer]);
        assert_eq!(word(&bot().check(&wire).now_or_never().unwrap()), want);
        assert!(
            wire.asked.borrow()[0]
                .starts_with("POST http://127.0.0.1:9/api/auth.test Bearer xoxb-test")
        );
    }
}
