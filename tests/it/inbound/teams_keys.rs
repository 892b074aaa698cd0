//! Contract section 6, `TEAMS_OPENID_URL`: when the Bot Framework's keys are fetched, and what happens while they cannot be.

use std::sync::Arc;

use serde_json::json;

use super::teams::{PATH, World, send};
use crate::support::bot_framework::TestKey;
use crate::support::{Gate, Proxy, Reply, Response};

/// Sends the usual activity under this id with a token by this key.
#[track_caller]
fn signed_by(world: &World, proxy: &Proxy, key: TestKey, kid: &str, id: usize) -> Response {
    let activity = super::teams::with(world.message(), &json!({"id": id.to_string()}));
    let authorization =
        world
            .framework
            .authorization_by(key, kid, &world.teams, &world.service_url());
    send(proxy, Some(&authorization), activity.to_string().as_bytes())
}

#[test]
fn keys_are_fetched_when_they_are_first_needed_and_then_kept() {
    let world = World::new();
    let proxy = world.setup().start();

    // What has no token's form needs no keys.
    assert_eq!(send(&proxy, Some("Bearer x.y.z"), b"{}").status, 401);
    assert_eq!(world.framework.connections(), 0);
    for id in 0..3 {
        assert_eq!(
            signed_by(&world, &proxy, TestKey::First, "first", id).status,
            200
        );
    }
    assert_eq!(world.framework.fetches(), 1);
}

/// F5: a new key is found by one fetch; one that was taken away is not believed any more; the next unknown one has to wait.
#[test]
fn keys_rotate() {
    let world = World::new();
    let proxy = world.setup().start();
    let by = |key, kid, id| signed_by(&world, &proxy, key, kid, id).status;
    assert_eq!(by(TestKey::First, "first", 1), 200);

    world
        .framework
        .publish(vec![TestKey::Second.jwk("second", json!(["msteams"]))]);
    // Nobody has asked for the new one yet.
    assert_eq!(by(TestKey::First, "first", 2), 200);
    assert_eq!(by(TestKey::Second, "second", 3), 200);
    assert_eq!(by(TestKey::First, "first", 4), 401);
    assert_eq!(world.framework.fetches(), 2);

    world
        .framework
        .publish(vec![TestKey::First.jwk("third", json!(["msteams"]))]);
    assert_eq!(by(TestKey::First, "third", 5), 401);
    assert_eq!(by(TestKey::Second, "second", 6), 200);
    assert_eq!(world.framework.fetches(), 2);
}

/// F5: whoever makes up names of keys makes one fetch an hour, whatever the hurry.
#[test]
fn ten_thousand_made_up_keys_make_one_fetch() {
    let world = Arc::new(World::new());
    let proxy = Arc::new(world.setup().start());
    assert_eq!(
        signed_by(&world, &proxy, TestKey::First, "first", 1).status,
        200
    );
    let body = world.message().to_string();
    // One signature does for all: it is never looked at.
    let good = world
        .framework
        .authorization(&world.teams, &world.message());
    let rest = good.split_once('.').unwrap().1.to_owned();

    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let (proxy, body, rest) = (proxy.clone(), body.clone(), rest.clone());
            std::thread::spawn(move || {
                for n in 0..1250 {
                    let header = format!(r#"{{"alg":"RS256","kid":"{worker}-{n}"}}"#);
                    let header = crate::support::bot_framework::encode(header.as_bytes());
                    let value = format!("Bearer {header}.{rest}");
                    assert_eq!(send(&proxy, Some(&value), body.as_bytes()).status, 401);
                }
            })
        })
        .collect();
    workers
        .into_iter()
        .for_each(|worker| worker.join().unwrap());

    assert_eq!(world.framework.fetches(), 2);
    assert_eq!(
        signed_by(&world, &proxy, TestKey::First, "first", 2).status,
        200
    );
    assert_eq!(world.internal.requests().len(), 2);
}

/// Those who come while the first fetch is under way wait for it, whichever worker has it.
#[test]
fn a_fetch_is_shared() {
    let world = Arc::new(World::new());
    let proxy = Arc::new(world.setup().set("WORKERS", "2").start());
    let gate = Gate::new();
    world.framework.hold(&gate);

    let callers: Vec<_> = (0..8)
        .map(|id| {
            let (world, proxy) = (world.clone(), proxy.clone());
            std::thread::spawn(move || {
                signed_by(&world, &proxy, TestKey::First, "first", id).status
            })
        })
        .collect();
    world.framework.wait_for(1);
    gate.open();
    let statuses: Vec<u16> = callers.into_iter().map(|c| c.join().unwrap()).collect();

    assert_eq!(statuses, [200; 8]);
    assert_eq!(world.framework.fetches(), 1);
}

/// F5: whoever hangs up while a fetch goes on does not end it for the others.
#[test]
fn a_fetch_outlives_the_request_that_began_it() {
    let world = World::new();
    let proxy = world.setup().start();
    let gate = Gate::new();
    world.framework.hold(&gate);
    let activity = world.message();
    let authorization = world.framework.authorization(&world.teams, &activity);
    let mut impatient = proxy.connect();
    let body = activity.to_string();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: proxy\r\nAuthorization: {authorization}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    impatient.send(head.as_bytes());
    world.framework.wait_for(1);

    drop(impatient);
    gate.open();

    assert_eq!(
        signed_by(&world, &proxy, TestKey::First, "first", 2).status,
        200
    );
    assert_eq!(world.framework.fetches(), 1);
}

/// F5: while there are no keys nothing is believed, and asking is not worth more than a fetch every 5 s.
#[test]
fn without_any_keys_nothing_is_let_in() {
    for instead in [
        Reply::status(500),
        Reply::status(404),
        Reply::html(200, "<h1>sign in</h1>"),
        Reply::json(200, json!({"issuer": "https://issuer.test"})),
        Reply::json(
            200,
            json!({"issuer": "https://issuer.test", "jwks_uri": "http://evil.test/keys"}),
        ),
        Reply::json(302, json!({})).header("Location", "/v1/.well-known/keys"),
        Reply::endless_body(),
        Reply::stall(),
    ] {
        let world = World::new();
        let proxy = world.setup().set("UPSTREAM_TIMEOUT", "500ms").start();
        world.framework.instead(Some(instead));

        for id in 0..4 {
            let answer = signed_by(&world, &proxy, TestKey::First, "first", id);
            assert_eq!(answer.verdict(), (503, "backend-unavailable".to_owned()));
            assert_eq!(answer.header("retry-after"), Some("5"));
        }

        assert_eq!(world.framework.requests().len(), 1);
        assert_eq!(world.internal.connections(), 0);
        world.framework.take_faults();
    }
}

/// F5: known keys work while the server of the keys is away.
#[test]
fn known_keys_outlive_their_server() {
    let world = World::new();
    let proxy = world.setup().start();
    assert_eq!(
        signed_by(&world, &proxy, TestKey::First, "first", 1).status,
        200
    );

    world.framework.down();
    let unknown = signed_by(&world, &proxy, TestKey::Second, "second", 2);
    let known = signed_by(&world, &proxy, TestKey::First, "first", 3);

    assert_eq!((unknown.status, known.status), (401, 200));
}

/// A key set of the size that Microsoft's has, and more, is read whole.
#[test]
fn a_large_key_set_is_read() {
    let world = World::new();
    let proxy = world.setup().start();
    let filler = "A".repeat(4000);
    let many = (0..100).map(|n| {
        let mut key = TestKey::Second.jwk(&format!("k{n}"), json!(["msteams"]));
        key["x5c"] = json!([filler]);
        key
    });
    world.framework.publish(
        many.chain([TestKey::First.jwk("first", json!(["msteams"]))])
            .collect(),
    );

    assert_eq!(
        signed_by(&world, &proxy, TestKey::First, "first", 1).status,
        200
    );
}

#[test]
fn an_openid_url_is_https_or_on_this_machine() {
    let world = World::new();
    for url in [
        "http://login.test/metadata",
        "https://login.test/metadata?x=1",
        "login.test",
    ] {
        let refused = world.setup().set("TEAMS_OPENID_URL", url).run();
        assert_eq!(refused.code, 78, "{url}");
        assert!(
            refused.stderr.contains("TEAMS_OPENID_URL"),
            "{}",
            refused.stderr
        );
    }
}
