//! For tests: whole exchanges with a scripted server: what is asked, and what each sequence of answers means.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use super::live::{CHANNEL, bot, post, to_channel, to_hook};
use super::webhook::WEBHOOKS;
use crate::backends::wire::{Answer, Call, Wire, WireError};
use crate::backends::{Backend, Shared};
use crate::domain::delivery::{Failure, Later, Posted, Refusal};

const POST_ID: &str = "kapmbndrfg8ejkmcpqxot1uwis";
const SICK: &str = r#"{"status":"UNHEALTHY","database_status":"UNHEALTHY"}"#;
const WELL: &str = r#"{"status":"OK","database_status":"OK"}"#;

/// A server that answers from a script, and remembers what it was asked.
struct Script {
    answers: RefCell<VecDeque<Result<Answer, WireError>>>,
    asked: RefCell<Vec<String>>,
}

impl Wire for Script {
    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Answer, WireError>> {
        let secret = call.authorization.map_or("", |_| " with token");
        let asked = format!("{} {}{secret}", call.method, call.uri);
        self.asked.borrow_mut().push(asked);
        let answer = self.answers.borrow_mut().pop_front();
        Box::pin(async move { answer.expect("one call more than the script has") })
    }

    fn print(&self, _: String) -> LocalBoxFuture<'_, std::io::Result<()>> {
        unreachable!("Mattermost prints nothing")
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

fn script<const N: usize>(answers: [(u16, &str); N]) -> Script {
    let answer = |(status, body): (u16, &str)| {
        Ok(Answer {
            status,
            body: body.to_owned().into(),
            ..Answer::default()
        })
    };
    Script {
        answers: RefCell::new(answers.into_iter().map(answer).collect()),
        asked: RefCell::default(),
    }
}

fn error(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","message":"übersetzt","detailed_error":"","request_id":"r","status_code":1}}"#
    )
}

fn deliver(script: &Script) -> Result<Posted, Failure> {
    let bot = bot("none");
    let to = to_channel();
    let part = bot.render(&post("hello"), &to).remove(0);
    let result = bot.deliver(script, &to, &part).now_or_never().unwrap();
    assert!(
        script.answers.borrow().is_empty(),
        "the script was not played to its end"
    );
    result
}

fn deliver_to_hook(script: &Script) -> Result<Posted, Failure> {
    let hooks = (WEBHOOKS.build)(&Shared::default());
    let to = to_hook();
    let part = hooks.render(&post("hello"), &to).remove(0);
    let result = hooks.deliver(script, &to, &part).now_or_never().unwrap();
    assert!(
        script.answers.borrow().is_empty(),
        "the script was not played to its end"
    );
    result
}

fn find(script: &Script, name: &str) -> Result<String, Failure> {
    bot("none").find(script, name).now_or_never().unwrap()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, Failure>, expected: Refusal) {
    match result {
        Err(Failure::Refused { reason, detail, .. }) => {
            assert_eq!(reason, expected);
            // A webhook's id and the token are secrets; the server's own words are not for the caller.
            assert!(
                !detail.contains(CHANNEL)
                    && !detail.contains("secret")
                    && !detail.contains("übersetzt")
            );
        }
        other => panic!("expected {expected:?}, got {other:?}"),
    }
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, Failure>) {
    assert!(
        matches!(
            result,
            Err(Failure::Later {
                reason: Later::Unavailable,
                ..
            })
        ),
        "{result:?}"
    );
}

#[test]
fn a_delivery_is_one_post_and_its_link() {
    let created =
        format!(r#"{{"id":"{POST_ID}","channel_id":"{CHANNEL}","create_at":1,"props":{{}}}}"#);
    let server = script([(201, created.as_str())]);
    let posted = deliver(&server).unwrap();
    assert_eq!(posted.channel.as_deref(), Some(CHANNEL));
    assert_eq!(posted.message_id.as_deref(), Some(POST_ID));
    assert_eq!(
        posted.link.as_deref(),
        Some("https://chat.example.com/_redirect/pl/kapmbndrfg8ejkmcpqxot1uwis")
    );
    assert_eq!(
        *server.asked.borrow(),
        ["POST https://chat.example.com/api/v4/posts with token"]
    );
}

/// F-17, and the reference's section 8: a database that is away answers like a refusal, so the server's health
/// decides. The ping goes without the token.
#[test]
fn a_refusal_of_a_sick_server_is_not_final() {
    let ping = "GET https://chat.example.com/api/v4/system/ping?get_server_status=true";
    for (status, id) in [
        (400, "api.context.invalid_param.app_error"),
        (401, "api.context.session_expired.app_error"),
        (403, "api.context.permissions.app_error"),
    ] {
        let body = error(id);
        for (health_status, health) in [(500, SICK), (200, SICK), (502, "")] {
            let server = script([(status, body.as_str()), (health_status, health)]);
            assert_unavailable(deliver(&server));
            assert_eq!(server.asked.borrow()[1], ping);
        }
    }
    for (status, id, reason) in [
        (
            400,
            "api.context.invalid_param.app_error",
            Refusal::Rejected,
        ),
        (
            401,
            "api.context.session_expired.app_error",
            Refusal::Credentials,
        ),
    ] {
        let body = error(id);
        // What says nothing of the database leaves it at that.
        for (health_status, health) in [(200, WELL), (200, "<html>"), (404, ""), (302, "")] {
            let server = script([(status, body.as_str()), (health_status, health)]);
            assert_refused(deliver(&server), reason);
        }
    }
}

#[test]
fn a_ping_without_an_answer_is_no_proof_of_health() {
    let server = script([(401, "")]);
    server
        .answers
        .borrow_mut()
        .push_back(Err(WireError::Connect));
    assert_unavailable(deliver(&server));
}

/// F-18: unknown channel and missing membership are the same 403 (reference 6); the channel tells them apart.
#[test]
fn an_unknown_channel_and_a_closed_one_are_told_apart() {
    let denied = error("api.context.permissions.app_error");
    let channel = |delete_at: u32| format!(r#"{{"id":"{CHANNEL}","delete_at":{delete_at}}}"#);
    for (status, body, reason) in [
        (
            404,
            error("app.channel.get.existing.app_error"),
            Refusal::UnknownChannel,
        ),
        (403, denied.clone(), Refusal::NotAllowed),
        (200, channel(0), Refusal::NotAllowed),
        (200, channel(7), Refusal::Archived),
        (404, "404 page not found".to_owned(), Refusal::NotAllowed),
        (500, String::new(), Refusal::NotAllowed),
    ] {
        let server = script([(403, denied.as_str()), (200, WELL), (status, body.as_str())]);
        assert_refused(deliver(&server), reason);
        assert_eq!(
            server.asked.borrow()[2],
            format!("GET https://chat.example.com/api/v4/channels/{CHANNEL} with token")
        );
    }
}

/// F-1, F-4, F-5: no connection is a later try, a broken one an unknown end.
#[test]
fn a_broken_connection_may_have_posted() {
    for (broken, unknown) in [
        (WireError::NoAnswer, true),
        (WireError::Connect, false),
        (WireError::Resolve, false),
        (WireError::Tls, false),
    ] {
        let server = script([]);
        server.answers.borrow_mut().push_back(Err(broken));
        assert_eq!(
            matches!(deliver(&server), Err(Failure::Unknown { .. })),
            unknown
        );
    }
    let server = script([]);
    server
        .answers
        .borrow_mut()
        .push_back(Err(WireError::NoAnswer));
    assert_unavailable(find(&server, "dev/ci"));
}

#[test]
fn a_name_is_looked_up() {
    let channel = format!(r#"{{"id":"{CHANNEL}","name":"ci","delete_at":0,"team_id":"x"}}"#);
    let server = script([(200, channel.as_str())]);
    assert_eq!(find(&server, "dev/ci").unwrap(), CHANNEL);
    assert_eq!(
        *server.asked.borrow(),
        ["GET https://chat.example.com/api/v4/teams/name/dev/channels/name/ci with token"]
    );
    assert!(bot("none").is_name("dev/ci") && !bot("none").is_name(CHANNEL));
}

/// B4: what is no name never reaches the server.
#[test]
fn a_target_that_is_no_name_asks_nothing() {
    for name in [
        "builds",
        "#builds",
        "a/b/c",
        "../users",
        "dev/%2e%2e",
        "dev/a?b",
        "dev/\u{430}",
        "C0123ABCD",
    ] {
        let server = script([]);
        assert_refused(find(&server, name), Refusal::UnknownChannel);
        assert!(server.asked.borrow().is_empty());
    }
}

#[test]
fn a_lookup_that_fails_says_why() {
    for (status, id, asks, reason) in [
        (
            404,
            "app.channel.get_by_name.missing.app_error",
            false,
            Refusal::UnknownChannel,
        ),
        (
            404,
            "app.team.get_by_name.missing.app_error",
            false,
            Refusal::UnknownChannel,
        ),
        (
            404,
            "app.team.get_by_name.app_error",
            true,
            Refusal::UnknownChannel,
        ),
        (
            403,
            "api.context.permissions.app_error",
            true,
            Refusal::NotAllowed,
        ),
        (
            401,
            "api.context.session_expired.app_error",
            true,
            Refusal::Credentials,
        ),
        (
            404,
            "api.context.404.app_error",
            false,
            Refusal::Misconfigured,
        ),
    ] {
        let body = error(id);
        if asks {
            assert_refused(
                find(&script([(status, body.as_str()), (200, WELL)]), "dev/ci"),
                reason,
            );
            assert_unavailable(find(
                &script([(status, body.as_str()), (500, SICK)]),
                "dev/ci",
            ));
        } else {
            assert_refused(find(&script([(status, body.as_str())]), "dev/ci"), reason);
        }
    }
    assert_refused(
        find(&script([(200, "<html>")]), "dev/ci"),
        Refusal::Misconfigured,
    );
    assert_unavailable(find(&script([(200, r#"{"id":"#)]), "dev/ci"));
}

#[test]
fn check_asks_for_the_bot_itself() {
    let check = |server: &Script| bot("none").check(server).now_or_never().unwrap();
    let me = format!(r#"{{"id":"{CHANNEL}","is_bot":true,"username":"rafty"}}"#);
    let server = script([(200, me.as_str())]);
    assert_eq!(check(&server), Ok(()));
    assert_eq!(
        *server.asked.borrow(),
        ["GET https://chat.example.com/api/v4/users/me with token"]
    );
    assert_refused(
        check(&script([(401, ""), (200, WELL)])),
        Refusal::Credentials,
    );
    assert_unavailable(check(&script([(401, ""), (500, SICK)])));
    assert_unavailable(check(&script([(500, "")])));
    assert_refused(
        check(&script([(200, "<!doctype html>")])),
        Refusal::Misconfigured,
    );
    assert_refused(check(&script([(404, "")])), Refusal::Misconfigured);
}

#[test]
fn a_webhook_takes_ok_and_shows_its_alias() {
    let server = script([(200, "ok")]);
    let posted = deliver_to_hook(&server).unwrap();
    assert_eq!(posted.channel.as_deref(), Some("deploys"));
    assert_eq!((posted.message_id, posted.link), (None, None));
    assert_eq!(
        *server.asked.borrow(),
        [format!("POST https://chat.example.com/hooks/{CHANNEL}")]
    );
    assert!(bot("none").recognises_repeats());
    assert!(!(WEBHOOKS.build)(&Shared::default()).recognises_repeats());
}

#[test]
fn a_webhook_of_a_sick_server_is_not_gone() {
    let invalid = error("web.incoming_webhook.invalid.app_error");
    let server = script([(400, invalid.as_str()), (500, SICK)]);
    assert_unavailable(deliver_to_hook(&server));
    assert_eq!(
        server.asked.borrow()[1],
        "GET https://chat.example.com/api/v4/system/ping?get_server_status=true"
    );
    assert_refused(
        deliver_to_hook(&script([(400, invalid.as_str()), (200, WELL)])),
        Refusal::Misconfigured,
    );
}
