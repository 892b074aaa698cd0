//! The bot against a scripted wire: tokens and deliveries.

use std::task::Poll;

use futures_util::future::join_all;

use super::fake::{APP, CHANNEL, Fake, TENANT, THREAD, answer, bot, deliver, run, with};
use super::token::Tokens;
use crate::backends::wire::WireError;
use crate::domain::delivery::{Failure, Later, Refusal};
use crate::domain::secret::Secret;

#[test]
fn a_channel_gets_a_new_thread_and_a_thread_a_reply() {
    let (bot, wire) = (bot(), Fake::new());
    let wire = wire.connector(Ok(answer(
        201,
        r#"{"id":"19:opsAlerts01@thread.tacv2;messageid=17","activityId":"17"}"#,
    )));
    let (first, second) = run(async {
        let first = deliver(&*bot, &wire, CHANNEL).await.unwrap();
        (first, deliver(&*bot, &wire, THREAD).await.unwrap())
    });
    assert_eq!(first.message_id.as_deref(), Some("17"));
    assert_eq!(first.channel.as_deref(), Some(CHANNEL));
    assert_eq!(second.channel.as_deref(), Some(CHANNEL));
    assert_eq!(second.message_id.as_deref(), Some("1776390257332"));
    let posts = wire.calls("smba");
    assert_eq!(
        posts[0].uri,
        "https://smba.trafficmanager.net/teams/v3/conversations"
    );
    assert_eq!(
        posts[1].uri,
        "https://smba.trafficmanager.net/teams/v3/conversations/\
         19%3AopsAlerts01%40thread.tacv2%3Bmessageid%3D1776390257332/activities"
    );
    assert_eq!(posts[1].authorization.as_deref(), Some("Bearer tok1"));
    assert_eq!(
        posts[1].content_type,
        Some("application/json; charset=utf-8")
    );
    assert_eq!(posts[1].body, "{\"a\":1}");
    let logins = wire.calls("oauth2");
    assert_eq!(logins.len(), 1);
    assert_eq!(
        logins[0].uri,
        format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token")
    );
    assert_eq!(logins[0].authorization, None);
    assert_eq!(
        logins[0].content_type,
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(
        logins[0].body,
        format!(
            "grant_type=client_credentials&client_id={APP}&client_secret=s3cret~Value%26%3D%2B%2F&\
             scope=https%3A%2F%2Fapi.botframework.com%2F.default"
        )
    );
}

#[test]
fn a_multi_tenant_bot_and_another_cloud() {
    let (bot, _) = with(&[
        ("TEAMS_TENANT_ID", "botframework.com"),
        ("TEAMS_LOGIN_URL", "https://login.microsoftonline.us/"),
    ]);
    let wire = Fake::new();
    run(deliver(&*bot.unwrap(), &wire, CHANNEL)).unwrap();
    let login = &wire.calls("oauth2")[0];
    assert_eq!(
        login.uri,
        "https://login.microsoftonline.us/botframework.com/oauth2/v2.0/token"
    );
    assert!(
        login
            .body
            .ends_with("scope=https%3A%2F%2Fapi.botframework.us%2F.default")
    );
}

/// E2: a target that is none costs neither a token nor a connection.
#[test]
fn a_wrong_target_is_refused_before_anything_is_sent() {
    let (bot, wire) = (bot(), Fake::new());
    for target in [
        "general",
        "19:a/b@thread.tacv2",
        "19:a@thread.tacv2;messageid=x",
        "C0123",
    ] {
        let failure = run(deliver(&*bot, &wire, target)).unwrap_err();
        assert!(
            matches!(
                failure,
                Failure::Refused {
                    reason: Refusal::UnknownChannel,
                    ..
                }
            ),
            "{target}"
        );
    }
    assert!(wire.seen.borrow().is_empty());
}

#[test]
fn concurrent_deliveries_cause_one_fetch() {
    let (bot, wire) = (bot(), Fake::new());
    let all = run(join_all((0..50).map(|_| deliver(&*bot, &wire, CHANNEL))));
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(wire.logins(), 1);
}

#[test]
fn a_failed_fetch_is_shared_by_those_who_waited_and_then_forgotten() {
    let bot = bot();
    let wire = Fake::new().login(Ok(answer(503, "")));
    let all = run(join_all((0..50).map(|_| deliver(&*bot, &wire, CHANNEL))));
    assert!(all.iter().all(|r| matches!(r, Err(Failure::Later { .. }))));
    assert_eq!(wire.logins(), 1);
    assert!(run(deliver(&*bot, &wire, CHANNEL)).is_ok());
    assert_eq!(wire.logins(), 2);
}

#[test]
fn a_cancelled_fetch_poisons_nothing() {
    let (bot, wire) = (bot(), Fake::new());
    run(async {
        let mut first = Box::pin(deliver(&*bot, &wire, CHANNEL));
        let begun = std::future::poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending()));
        assert!(begun.await);
        let second = deliver(&*bot, &wire, CHANNEL);
        let cancel = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (result, ()) = futures_util::future::join(second, cancel).await;
        result.unwrap();
    });
    assert_eq!(wire.logins(), 2);
}

#[test]
fn a_token_is_used_until_five_minutes_before_its_end() {
    let (bot, wire) = (bot(), Fake::new());
    for (now, logins) in [
        (1000, 1),
        (1000 + 3298, 1),
        (1000 + 3299, 2),
        (1000 + 3300, 2),
    ] {
        wire.now.set(now);
        run(deliver(&*bot, &wire, CHANNEL)).unwrap();
        assert_eq!(wire.logins(), logins, "{now}");
    }
}

#[test]
fn a_short_token_is_renewed_at_half_its_life() {
    let bot = bot();
    // 5 s is taken for 60 s.
    let grant = r#"{"token_type":"bearer","expires_in":"5","access_token":"short"}"#;
    let wire = Fake::new().login(Ok(answer(200, grant)));
    for (now, logins) in [(1000, 1), (1029, 1), (1030, 2)] {
        wire.now.set(now);
        run(deliver(&*bot, &wire, CHANNEL)).unwrap();
        assert_eq!(wire.logins(), logins, "{now}");
    }
}

#[test]
fn while_a_token_is_renewed_early_the_old_one_serves() {
    let (bot, wire) = (bot(), Fake::new());
    run(deliver(&*bot, &wire, CHANNEL)).unwrap();
    wire.now.set(1000 + 3400);
    let wire = wire.login(Err(WireError::Connect));
    let all = run(join_all((0..9).map(|_| deliver(&*bot, &wire, CHANNEL))));
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(wire.logins(), 2);
    // Past its end there is nothing left to serve.
    wire.now.set(1000 + 3600);
    let wire = wire.login(Err(WireError::Connect));
    assert!(run(deliver(&*bot, &wire, CHANNEL)).is_err());
}

/// F-17: an aged token is replaced once, and the delivery tried once more.
#[test]
fn a_refused_token_is_replaced_once() {
    let bot = bot();
    let wire = Fake::new().connector(Ok(answer(401, "")));
    run(deliver(&*bot, &wire, CHANNEL)).unwrap();
    let used: Vec<_> = wire
        .calls("smba")
        .into_iter()
        .filter_map(|c| c.authorization)
        .collect();
    assert_eq!(used, ["Bearer tok1", "Bearer tok2"]);

    let refused = || {
        Ok(answer(
            401,
            r#"{"error":{"code":"BotNotRegistered","message":"x"}}"#,
        ))
    };
    let wire = Fake::new().connector(refused()).connector(refused());
    let failure = run(deliver(&*bot, &wire, CHANNEL)).unwrap_err();
    assert!(matches!(
        failure,
        Failure::Refused {
            reason: Refusal::Credentials,
            ..
        }
    ));
    assert_eq!(wire.calls("smba").len(), 2);
}

#[test]
fn many_refusals_of_one_token_cause_one_fetch() {
    let (bot, wire) = (bot(), Fake::new());
    run(deliver(&*bot, &wire, CHANNEL)).unwrap();
    let wire = (0..20).fold(wire, |wire, _| wire.connector(Ok(answer(401, ""))));
    let all = run(join_all((0..20).map(|_| deliver(&*bot, &wire, CHANNEL))));
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(wire.logins(), 2);
}

#[test]
fn a_late_refusal_of_an_old_token_keeps_the_new_one() {
    let uri = "https://login.test/t/oauth2/v2.0/token".parse().unwrap();
    let tokens = Tokens::new(uri, APP, &Secret::new("s".to_owned()), "scope");
    let wire = Fake::new();
    run(async {
        let old = tokens.get(&wire).await.unwrap();
        tokens.forget(&old);
        let new = tokens.get(&wire).await.unwrap();
        tokens.forget(&old);
        let kept = tokens.get(&wire).await.unwrap();
        assert_eq!(kept.authorization(), new.authorization());
        assert_eq!(format!("{kept:?}"), "Token");
    });
    assert_eq!(wire.logins(), 2);
}

/// F-4, F-5: a post without an answer may have been made; a token without one was not.
#[test]
fn no_answer_means_different_things() {
    let bot = bot();
    for error in [
        WireError::NoAnswer,
        WireError::Connect,
        WireError::Resolve,
        WireError::Tls,
    ] {
        let wire = Fake::new().login(Err(error));
        let failure = run(deliver(&*bot, &wire, CHANNEL)).unwrap_err();
        assert!(
            matches!(
                failure,
                Failure::Later {
                    reason: Later::Unreachable,
                    ..
                }
            ),
            "{failure:?}"
        );
        assert!(wire.calls("smba").is_empty());
    }
    let wire = Fake::new().connector(Err(WireError::NoAnswer));
    let failure = run(deliver(&*bot, &wire, CHANNEL)).unwrap_err();
    assert!(matches!(failure, Failure::Unknown { .. }));
}

#[test]
fn a_check_asks_for_a_token_and_posts_nothing() {
    let (bot, wire) = (bot(), Fake::new());
    run(async {
        bot.check(&wire).await.unwrap();
        bot.check(&wire).await.unwrap();
    });
    assert_eq!((wire.logins(), wire.seen.borrow().len()), (2, 2));
    let wire = Fake::new().login(Ok(answer(
        401,
        r#"{"error":"invalid_client","error_codes":[7000222]}"#,
    )));
    let failure = run(bot.check(&wire)).unwrap_err();
    assert!(matches!(
        failure,
        Failure::Refused {
            reason: Refusal::Credentials,
            ..
        }
    ));
    assert!(failure.to_string().contains("expired"));
}
