//! `POST /sign`: signed URLs for whoever may post, and for nobody else.

use serde_json::json;

use super::{CI, DEPLOY, KEY, sign};
use crate::support::{Proxy, percent_encode};

const HOSTILE: &[&str] = &[
    "plain",
    "a/b?c#d&e=f+g%2Fh %",
    "two\nlines\tand a tab",
    "it's \"quoted\" `and` $HOME \\ ;|",
    "ünï ☃ 🎉 \u{202e}gnp",
    "..",
];

fn proxy() -> Proxy {
    Proxy::setup()
        .set("CHANNELS", "deploys=console:d alerts=console:a")
        .set("PROXY_TOKENS", format!("ci={CI} deploy@deploys={DEPLOY}"))
        .set("SIGNING_KEYS", KEY)
        .without_limits()
        .start()
}

#[test]
fn a_message_signature_posts_exactly_that_message() {
    let proxy = proxy();

    for text in HOSTILE {
        let wish = json!({"channel": "deploys", "message": text, "scope": "m", "expires": "1d",
            "options": {"title": "T & T", "level": "error", "link": "https://ci.example.com/1?a=b&c=d"}});
        let made = sign(&proxy, CI, &wish);
        assert_eq!(made.status, 200, "{}", made.text());
        let target = made.json()["target"].as_str().unwrap().to_owned();

        let posted = proxy.post(&target);
        let other = proxy.post(target.replace("level=error", "level=info"));

        assert_eq!(posted.status, 200, "{text:?}: {}", posted.text());
        assert_eq!(other.status, 401, "{text:?}");
        assert!(made.json()["expires_at"].is_string());
    }
}

#[test]
fn a_channel_signature_posts_any_message_there_and_nowhere_else() {
    let proxy = proxy();
    let wish = json!({"channel": "deploys", "scope": "c", "expires": "never"});

    let made = sign(&proxy, CI, &wish).json();

    let (sig, target) = (
        made["sig"].as_str().unwrap(),
        made["target"].as_str().unwrap(),
    );
    assert_eq!(
        target,
        format!("/post/channel/deploys?sig={}", percent_encode(sig))
    );
    assert!(made["expires_at"].is_null());
    for text in HOSTILE {
        let query = format!("{target}&message={}", percent_encode(text));
        assert_eq!(proxy.post(query).status, 200, "{text:?}");
    }
    assert_eq!(
        proxy
            .post(format!("/post/channel/deploys/msg/x?sig={sig}"))
            .status,
        200
    );
    assert_eq!(
        proxy
            .post(format!("/post/channel/alerts/msg/x?sig={sig}"))
            .status,
        401
    );
}

#[test]
fn only_a_token_that_may_post_there_may_sign() {
    let proxy = proxy();
    let wish = |channel: &str| json!({"channel": channel, "scope": "c", "expires": "1d"});
    let signature = sign(&proxy, CI, &wish("deploys")).json()["sig"]
        .as_str()
        .unwrap()
        .to_owned();

    let cases = [
        (DEPLOY, "deploys", 200),
        (DEPLOY, "console:d", 200),
        (DEPLOY, "alerts", 403),
        (DEPLOY, "console:a", 403),
        ("a-secret-that-nobody-gave-out", "deploys", 401),
    ];
    for (token, channel, status) in cases {
        let answer = sign(&proxy, token, &wish(channel));
        assert_eq!(answer.status, status, "{channel}: {}", answer.text());
    }
    // A signature is no token, and a body is no credential.
    let unsigned = proxy.send(
        "POST",
        format!("/sign?sig={signature}"),
        &[],
        wish("deploys").to_string(),
    );
    assert_eq!(unsigned.status, 401);
}

#[test]
fn without_keys_there_is_nothing_to_sign_with() {
    let tokens = format!("ci={CI}");
    let (closed, open) = (
        Proxy::start(&[("PROXY_TOKENS", &tokens)]),
        Proxy::start(&[]),
    );
    let wish = json!({"channel": "demo", "scope": "c", "expires": "1d"});

    assert_eq!(
        sign(&closed, CI, &wish).verdict(),
        (404, "not-found".to_owned())
    );
    assert_eq!(
        sign(&open, CI, &wish).verdict(),
        (404, "not-found".to_owned())
    );
}

#[test]
fn a_wish_that_is_not_understood_is_refused_and_not_repeated() {
    let proxy = proxy();
    let good = json!({"channel": "deploys", "message": "hello", "scope": "m", "expires": "1d"});
    let with = |name: &str, value: serde_json::Value| {
        let mut wish = good.clone();
        wish[name] = value;
        wish
    };

    for (wish, code) in [
        (json!([]), "bad-option"),
        (with("scope", json!("x")), "bad-option"),
        (with("expires", json!("soon-canary")), "bad-option"),
        (with("expires", json!("0s")), "bad-option"),
        (with("expires", json!(1)), "bad-option"),
        (with("expires", json!("9999d")), "bad-option"),
        (with("expires", json!(u64::MAX)), "bad-option"),
        (
            with("options", json!({"token": "soon-canary"})),
            "bad-option",
        ),
        (with("options", json!({"sig": "soon-canary"})), "bad-option"),
        (
            with("options", json!({"level": "soon-canary"})),
            "bad-option",
        ),
        (with("other", json!("soon-canary")), "bad-option"),
        (with("message", json!(null)), "bad-option"),
        (with("message", json!("  ")), "empty-message"),
        (with("channel", json!("")), "empty-channel"),
    ] {
        let answer = sign(&proxy, CI, &wish);
        assert_eq!(
            answer.verdict(),
            (400, code.to_owned()),
            "{wish}: {}",
            answer.text()
        );
        assert!(!answer.text().contains("soon-canary"), "{wish}");
    }
    let long = sign(&proxy, CI, &with("message", json!("x".repeat(40_000))));
    assert_eq!(long.verdict(), (414, "uri-too-long".to_owned()));
    let huge = sign(&proxy, CI, &with("message", json!("x".repeat(300_000))));
    assert_eq!(huge.verdict(), (413, "body-too-large".to_owned()));
    let read = proxy.get("/sign");
    assert_eq!(
        (read.status, read.header("Allow")),
        (405, Some("POST, OPTIONS"))
    );
}

/// Signing takes from the caller's own quota.
#[test]
fn signing_is_limited_like_posting() {
    let proxy = Proxy::setup()
        .set("PROXY_TOKENS", format!("ci={CI}"))
        .set("SIGNING_KEYS", KEY)
        .set("RATE_LIMIT_CALLER", "2/h")
        .start();
    let wish = json!({"channel": "console:d", "scope": "c", "expires": "1d"});

    let answers = [(); 3].map(|()| sign(&proxy, CI, &wish).status);

    assert_eq!(answers, [200, 200, 429]);
}
