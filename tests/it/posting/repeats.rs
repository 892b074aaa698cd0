//! The same GET again answers the first receipt (contract 1.1). That it ends after ten minutes is proven beside the code,
//! with a clock that can be moved.

use std::sync::Barrier;

use crate::support::{
    Folder, Gate, Mattermost, Proxy, Response, Slack, message_path, printed, printed_for, unlimited,
};

const TARGET: &str = "/post/channel/demo/msg/once";

fn id(answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().expect("no id").to_owned()
}

/// B8: the same GET five times is one post.
#[test]
fn a_repeated_get_answers_the_first_receipt() {
    let proxy = unlimited().start();

    let first = proxy.get(TARGET);
    let again: Vec<Response> = (0..4).map(|_| proxy.get(TARGET)).collect();

    for answer in again {
        assert_eq!(answer.json(), first.json());
    }
    assert_eq!(printed(&proxy), ["[demo] once"]);
}

#[test]
fn another_target_is_another_post() {
    let proxy = unlimited().start();
    let targets = [
        TARGET,
        "/post/channel/other/msg/once",
        "/post/channel/demo/msg/once?level=info",
        "/post/channel/demo/msg/once/",
        "/post/channel/demo/msg/ONCE",
        "/post/channel/demo?message=once",
        "/post/channel/demo?message=twice",
    ];

    let mut ids: Vec<String> = targets.iter().map(|t| id(&proxy.get(t))).collect();

    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), targets.len());
    assert_eq!(printed(&proxy).len(), targets.len());
}

#[test]
fn a_repeated_post_is_another_post() {
    let proxy = unlimited().start();

    let ids = ["GET", "POST", "POST", "PUT"].map(|method| id(&proxy.request(method, TARGET, &[])));

    let mut different = ids.to_vec();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), 4);
    assert_eq!(printed(&proxy), ["[demo] once"; 4]);
}

#[test]
fn another_caller_posts_anew() {
    let secrets = [
        "secret-one-of-the-ci",
        "secret-two-of-the-ci",
        "secret-of-the-deploy",
    ];
    let proxy = unlimited()
        .set(
            "PROXY_TOKENS",
            format!("ci={} ci={} deploy={}", secrets[0], secrets[1], secrets[2]),
        )
        .set("ALLOW_GET", "true")
        .start();
    let get = |secret: &str| {
        let bearer = format!("Bearer {secret}");
        proxy.request("GET", TARGET, &[("Authorization", &bearer)])
    };

    let [one, two, deploy] = secrets.map(|secret| id(&get(secret)));
    let nobody = proxy.get(TARGET);
    let forged = get("not-a-secret-of-anybody");

    // One name is one caller, also while its secret is changed.
    assert_eq!(one, two);
    assert_ne!(one, deploy);
    // A receipt is for those who may post.
    assert_eq!((nobody.status, forged.status), (401, 401));
    let bearer = format!("Bearer {}", secrets[0]);
    assert_eq!(
        printed_for(&proxy, &[("Authorization", &bearer)]),
        ["[demo] once"; 2]
    );
}

#[test]
fn another_address_posts_anew() {
    let proxy = unlimited().set("TRUSTED_PROXY_HOPS", "1").start();
    let get = |address: &str| proxy.request("GET", TARGET, &[("X-Forwarded-For", address)]);

    let ids = ["192.0.2.1", "192.0.2.2", "192.0.2.1"].map(|address| id(&get(address)));

    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(printed(&proxy), ["[demo] once"; 2]);
}

#[test]
fn identical_gets_at_once_are_one_post() {
    let proxy = unlimited().set("WORKERS", "2").start();
    const CALLERS: usize = 16;

    for round in 0..8 {
        let target = format!("/post/channel/demo/msg/round-{round}");
        let start = Barrier::new(CALLERS);
        let ids: Vec<String> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|_| scope.spawn(|| at_once(&proxy, &target, &start)))
                .collect();
            callers
                .into_iter()
                .map(|caller| caller.join().unwrap())
                .collect()
        });

        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(printed(&proxy), [format!("[demo] round-{round}")]);
    }
}

fn at_once(proxy: &Proxy, target: &str, start: &Barrier) -> String {
    let mut connection = proxy.connect();
    start.wait();
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: proxy\r\n\r\n").as_bytes());
    id(&connection.read_response())
}

#[test]
fn a_dry_get_is_no_receipt_for_the_real_one() {
    let proxy = unlimited().start();

    let dry = proxy.get("/post/channel/demo/msg/once?dry=1");
    let real = proxy.get(TARGET);

    assert_eq!(dry.json()["status"], "dry");
    assert_eq!(real.json()["status"], "delivered");
    assert_eq!(printed(&proxy), ["[demo] once"]);
}

#[test]
fn a_refused_get_is_not_remembered() {
    let proxy = unlimited().set("MAX_BODY", "4").start();

    let refused = proxy.send("GET", TARGET, &[], "too much");
    let accepted = proxy.get(TARGET);

    assert_eq!(refused.verdict(), (413, "body-too-large".into()));
    assert_eq!(accepted.verdict(), (200, "delivered".into()));
    assert_eq!(printed(&proxy), ["[demo] once"]);
}

#[test]
fn a_repeat_may_ask_for_another_form_of_the_receipt() {
    let proxy = unlimited().start();

    let first = proxy.get(TARGET);
    let line = proxy.request("GET", TARGET, &[("Accept", "text/plain")]);

    assert_eq!(
        line.text(),
        format!("delivered {} console:demo\n", id(&first))
    );
}

/// What one destination of two took is not posted there again, whatever became of the other.
#[test]
fn a_get_that_arrived_in_part_is_not_repeated() {
    for outbox in [true, false] {
        let (mattermost, slack) = (Mattermost::start(), Slack::start());
        let both = format!(
            "both=mattermost:{},slack:{}",
            mattermost.channel("builds"),
            slack.channel("ops")
        );
        let setup = unlimited()
            .with(&mattermost)
            .with(&slack)
            .set("CHANNELS", both);
        let folder = Folder::new();
        let proxy = match outbox {
            true => setup.outbox(&folder),
            false => setup,
        }
        .start();
        slack.next(Slack::error("is_archived"));

        let first = proxy.get("/post/channel/both/msg/once");
        let repeat = proxy.get("/post/channel/both/msg/once");

        assert_eq!(
            first.verdict(),
            (502, "partly-rejected".to_owned()),
            "{outbox}"
        );
        assert_eq!(repeat.json(), first.json(), "{outbox}");
        assert_eq!(
            (mattermost.posts().len(), slack.posts().len()),
            (1, 0),
            "{outbox}"
        );
    }
}

/// The key in a header says what is the same, as the option does.
#[test]
fn another_key_in_the_header_is_another_get() {
    let proxy = unlimited().start();
    let get = |key| proxy.request("GET", TARGET, &[("Idempotency-Key", key)]);

    let ids = ["z1", "z2", "z1"].map(|key| id(&get(key)));

    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0], ids[2]);
}

/// Of a long message the first part was taken and the next refused: a repeat does not post the first again.
#[test]
fn what_was_posted_in_part_is_not_repeated() {
    let long = "a line of a long log\n".repeat(820);
    for (method, query, outbox) in [
        ("GET", &[][..], true),
        ("GET", &[], false),
        ("POST", &[("once", "build-42")], false),
        ("POST", &[("once", "build-42")], true),
    ] {
        let (mattermost, folder, gate) = (Mattermost::start(), Folder::new(), Gate::new());
        let setup = unlimited().with(&mattermost);
        let proxy = match outbox {
            true => setup.outbox(&folder),
            false => setup,
        }
        .start();
        let target = message_path(&mattermost.channel("builds"), &long, query);
        gate.open();
        mattermost.hold_next(&gate);
        mattermost.next(Mattermost::error(400, "model.post.is_valid.msg.app_error"));

        let first = proxy.request(method, &target, &[]);
        let repeat = proxy.request(method, &target, &[]);

        let what = format!("{method} {query:?} {outbox}");
        assert_eq!(
            first.verdict(),
            (413, "message-too-long".to_owned()),
            "{what}"
        );
        assert_eq!(repeat.verdict(), first.verdict(), "{what}");
        assert_eq!(repeat.json()["id"], first.json()["id"], "{what}");
        assert_eq!(mattermost.posts().len(), 1, "{what}");
    }
}

/// Whether it was posted is not known, so the same GET once more is the same message to the platform.
#[test]
fn a_get_in_doubt_is_tried_again_as_the_same_message() {
    let (mattermost, gate) = (Mattermost::start(), Gate::new());
    let proxy = unlimited().with(&mattermost).start();
    let target = message_path(&mattermost.channel("builds"), "once", &[("wait", "1")]);
    mattermost.hold_next(&gate);

    let first = proxy.get(&target);
    gate.open();
    let again = proxy.get(&target);

    assert_eq!(first.verdict(), (503, "backend-unavailable".to_owned()));
    assert_eq!(again.verdict(), (200, "delivered".to_owned()));
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert_eq!(mattermost.posts().len(), 1);
}
