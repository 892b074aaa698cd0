//! Trying again: who waits for whom, how often, and when it is over.

use serde_json::{Value, json};

use super::{Pair, Stage, id, waiting};
use crate::store::{
    attempts, eventually, hold, listed, queue, receipt, sends, setup, shown, wait_for_status,
};
use crate::support::mattermost::Access;
use crate::support::{Folder, Gate, Mattermost, Proxy, Reply, Slack, Teams, message_path};

/// `/ready`'s words on the chat server.
fn health(proxy: &Proxy) -> (Value, Value) {
    let ready = proxy.get("/ready").json();
    let backends = ready["backends"].as_array().unwrap();
    let ours = backends.iter().find(|one| one["name"] == "mattermost");
    let ours = ours.unwrap();
    (ours["status"].clone(), ours["reason"].clone())
}

#[test]
fn a_platform_that_hangs_holds_up_no_other() {
    let (chat, slack, folder) = (Mattermost::start(), Slack::start(), Folder::new());
    let proxy = setup(&chat).with(&slack).outbox(&folder).start();
    let builds = format!("mattermost:{}", chat.channel("builds"));
    let ops = format!("slack:{}", slack.channel("ops"));
    let (gate, _) = hold(&proxy, &chat, &builds);
    let behind = queue(&proxy, &builds, "behind what hangs");

    let others: Vec<String> = (0..5)
        .map(|n| queue(&proxy, &ops, &format!("not behind it {n}")))
        .collect();
    for other in &others {
        wait_for_status(&proxy, other, "delivered");
    }

    assert_eq!(chat.posts().len(), 1);
    gate.open();
    wait_for_status(&proxy, &behind, "delivered");
}

/// However many of its channels wait for an answer.
#[test]
fn a_platform_that_hangs_everywhere_holds_up_no_other() {
    const HANGING: usize = 80;
    let (chat, slack, folder) = (Mattermost::start(), Slack::start(), Folder::new());
    let proxy = setup(&chat).with(&slack).outbox(&folder).start();
    let gate = Gate::new();
    for n in 0..HANGING {
        chat.hold_next(&gate);
        let channel = chat.set_channel(&format!("channel-{n}"), Access::Member);
        queue(&proxy, &format!("mattermost:{channel}"), "hangs");
    }
    chat.wait_for_posts(60);

    let ops = format!("slack:{}", slack.channel("ops"));
    let other = queue(&proxy, &ops, "not behind what hangs");
    wait_for_status(&proxy, &other, "delivered");

    gate.open();
    eventually("everything is delivered", || waiting(&proxy) == 0);
    assert_eq!(chat.posts().len(), HANGING);
}

#[test]
fn a_channel_that_hangs_holds_up_no_other() {
    let stage = Stage::new();
    let (gate, first) = hold(&stage.proxy, &stage.chat, &stage.builds);

    let other = queue(&stage.proxy, &stage.deploys, "not behind it");
    wait_for_status(&stage.proxy, &other, "delivered");

    assert_eq!(shown(&stage.chat, &stage.builds), [first]);
    assert_eq!(waiting(&stage.proxy), 1);
    gate.open();
}

const CHANNELS: usize = 40;

/// Each of these waits for the platform; then it is back.
#[track_caller]
fn assert_probed_by_one(stage: &Stage, channels: &[String]) {
    stage.chat.down();
    let ids: Vec<String> = channels
        .iter()
        .map(|channel| queue(&stage.proxy, channel, "waits for the platform"))
        .collect();
    let tried = || -> u64 {
        let attempts = |id: &String| attempts(&receipt(&stage.proxy, id));
        ids.iter().map(attempts).sum()
    };

    eventually("it is probed again and again", || tried() >= 3);
    let during = tried();
    stage.chat.up();
    eventually("everything is delivered", || {
        listed(&stage.proxy, "delivered").len() == channels.len()
    });

    // Some may have been under way before the first one failed; after that it is one at a time.
    assert!(during <= 10, "{during}");
    assert_eq!(stage.chat.posts().len(), channels.len());
}

fn names() -> impl Iterator<Item = String> {
    (0..CHANNELS).map(|n| format!("channel-{n}"))
}

/// However many channels wait, one message at a time asks whether the platform is back.
#[test]
fn one_message_probes_a_platform_that_is_away() {
    let stage = Stage::new();
    let channels: Vec<String> = names()
        .map(|name| stage.chat.set_channel(&name, Access::Member))
        .collect();

    assert_probed_by_one(&stage, &channels);
}

/// The same where what waits is still to be looked up.
#[test]
fn one_name_probes_a_platform_that_is_away() {
    let stage = Stage::new();
    names().for_each(|name| {
        stage.chat.set_channel(&name, Access::Member);
    });
    let channels: Vec<String> = names().map(|name| format!("acme/{name}")).collect();

    assert_probed_by_one(&stage, &channels);
}

#[test]
fn refused_credentials_are_told_to_who_waits_and_wait_for_who_was_promised() {
    let stage = Stage::new();
    stage.chat.replace_token();
    stage.chat.forget();

    let waits = stage.patient(&stage.builds, "somebody waits for it", "20");
    let promised = stage.patient(&stage.builds, "it was promised", "0");
    eventually("the promised one was tried", || {
        attempts(&receipt(&stage.proxy, &id(&promised))) > 0 || health(&stage.proxy).0 == "failing"
    });
    let state = health(&stage.proxy);
    let kept = receipt(&stage.proxy, &id(&promised));
    stage.proxy.terminate();
    let again = stage.own.clone().with(&stage.chat).start();
    wait_for_status(&again, &id(&promised), "delivered");

    assert_eq!(waits.verdict(), (502, "backend-rejected".to_owned()));
    assert_eq!(state, ("failing".into(), "credentials".into()));
    assert_eq!(kept["status"], "queued");
    assert_eq!(health(&again).0, "ok");
    assert_eq!(shown(&stage.chat, &stage.builds), ["it was promised"]);
}

/// Behind what was promised and is refused, a caller waits for the credentials to be mended, or is promised as well.
#[test]
fn behind_a_promise_that_is_refused_one_is_promised_too() {
    let stage = Stage::new();
    stage.chat.replace_token();
    stage.chat.forget();
    let promised = queue(&stage.proxy, &stage.builds, "it was promised");
    eventually("it was tried", || {
        attempts(&receipt(&stage.proxy, &promised)) > 0
    });

    let behind = stage.patient(&stage.builds, "somebody waits for it", "1");

    assert_eq!(behind.verdict(), (202, "queued".to_owned()));
    assert_eq!(listed(&stage.proxy, "failed"), [""; 0]);
}

/// Whoever of the callers of one key waits beside a promise: a refusal of the credentials does not end what was promised,
/// and who waits for them to be mended waits as long as it asked.
#[test]
fn beside_a_promise_one_waits_for_the_credentials_to_be_mended() {
    for is_first in [true, false] {
        let stage = Stage::new();
        let (gate, target) = (
            Gate::new(),
            message_path(&stage.builds, "promised", &[("once", "k")]),
        );
        let refusal = json!({"id": "api.context.session_expired.app_error", "message": "no", "status_code": 401});
        stage.chat.next(Reply::json(401, refusal).held(&gate));
        let mut waits = stage.proxy.connect();
        let mut wait = || {
            waits.send(format!("POST {target}&wait=60 HTTP/1.1\r\nHost: p\r\n\r\n").as_bytes());
        };
        let promise = || {
            let promised = stage.proxy.post(format!("{target}&wait=0"));
            eventually("it is being tried", || sends(&stage.chat) == 1);
            promised
        };

        let promised = if is_first {
            wait();
            eventually("it is being tried", || sends(&stage.chat) == 1);
            promise()
        } else {
            let promised = promise();
            wait();
            promised
        };
        eventually("the repeat was let in", || {
            let metrics = stage.proxy.get("/metrics").text();
            metrics.contains("posts_total{caller=\"anonymous\"} 2")
        });
        gate.open();
        eventually("it was refused", || {
            attempts(&receipt(&stage.proxy, &id(&promised))) == 1
        });
        let kept = receipt(&stage.proxy, &id(&promised));
        eventually("it is tried again", || {
            let again = stage
                .proxy
                .post(format!("/deliveries/{}/retry", id(&promised)));
            again.status != 200 || sends(&stage.chat) == 2
        });
        let told = waits.read_response();

        assert_eq!(promised.verdict(), (202, "queued".to_owned()), "{is_first}");
        assert_eq!(kept["status"], "queued", "{is_first}");
        let told = (told.verdict(), id(&told));
        let delivered = ((200, "delivered".to_owned()), id(&promised));
        assert_eq!(told, delivered, "{is_first}");
    }
}

/// Contract 4: `/ready` says so as long as what is promised waits. That the login service gives a token, or that `auth.test` is
/// well, is no sign that posts are taken.
#[test]
fn a_platform_that_refuses_posts_stays_failing_while_they_wait_although_its_check_is_good() {
    let (teams, slack, folder) = (Teams::start(), Slack::start(), Folder::new());
    let proxy = Proxy::setup()
        .with(&teams)
        .with(&slack)
        .outbox(&folder)
        .start();
    for _ in 0..2 {
        teams.next(Teams::error(401, "BotNotRegistered"));
    }
    slack.next(Reply::json(
        200,
        json!({"ok": false, "error": "missing_scope", "needed": "chat:write", "provided": "x"}),
    ));
    let alerts = format!("teams:{}", teams.channel("alerts"));
    let ops = format!("slack:{}", slack.channel("ops"));
    let promised = [alerts, ops].map(|channel| queue(&proxy, &channel, "refused for now"));
    let states = || {
        let ready = proxy.get("/ready").json();
        ["teams", "slack"].map(|name| {
            let backends = ready["backends"].as_array().unwrap();
            let ours = backends.iter().find(|one| one["name"] == name);
            ours.unwrap()["status"].as_str().unwrap().to_owned()
        })
    };
    for id in &promised {
        eventually("it was refused", || attempts(&receipt(&proxy, id)) == 1);
    }

    assert_eq!(states(), ["failing", "failing"]);
    for id in &promised {
        eventually("it is delivered", || {
            proxy.post(format!("/deliveries/{id}/retry"));
            receipt(&proxy, id)["status"] == "delivered"
        });
    }
    assert_eq!(states(), ["ok", "ok"]);
}

#[test]
fn what_is_too_old_ends_and_says_so() {
    let stage = Stage::with(&[("DELIVER_MAX_AGE", "1s")]);
    stage.chat.down();

    let promised = queue(&stage.proxy, &stage.builds, "soon too old");
    let ended = wait_for_status(&stage.proxy, &promised, "failed");
    stage.chat.up();
    let next = stage.patient(&stage.builds, "new enough", "20");

    assert_eq!(ended["deliveries"][0]["reason"], "expired");
    let error = ended["error"].as_str().unwrap();
    assert!(error.contains("DELIVER_MAX_AGE"), "{error}");
    assert_eq!(next.status, 200);
    assert_eq!(shown(&stage.chat, &stage.builds), ["new enough"]);
    assert_eq!(waiting(&stage.proxy), 0);
}

/// By the running process, long before a minute is over. What waits keeps its receipt, and the idempotency key holds on.
#[test]
fn a_receipt_goes_when_its_time_is_over() {
    let stage = Stage::with(&[("RECEIPT_RETENTION", "1s")]);
    let post = |wait| {
        let query = [("once", "told-once"), ("wait", wait)];
        let path = message_path(&stage.builds, "told of for a second", &query);
        stage.proxy.post(path)
    };
    let gone = id(&post("0"));
    stage.chat.wait_for_posts(1);

    eventually("the receipt is gone", || {
        stage.proxy.get(format!("/deliveries/{gone}")).status == 404
    });
    stage.chat.down();
    let waits = queue(&stage.proxy, &stage.deploys, "waits for longer than that");
    let old = queue(&stage.proxy, &stage.deploys, "is dropped meanwhile");
    let dropped = stage
        .proxy
        .request("DELETE", format!("/deliveries/{old}"), &[]);
    eventually("another receipt is gone", || {
        stage.proxy.get(format!("/deliveries/{old}")).status == 404
    });
    let kept = receipt(&stage.proxy, &waits);
    stage.chat.up();
    let repeated = post("20");

    assert_eq!(repeated.status, 404, "{}", repeated.text());
    assert_eq!(repeated.json()["code"], "not-found");
    assert_eq!(repeated.json()["id"], *gone);
    assert!(repeated.text().contains("RECEIPT_RETENTION"));
    assert!(dropped.status < 300, "{}", dropped.text());
    assert_eq!(kept["status"], "queued");
    assert_eq!(shown(&stage.chat, &stage.builds).len(), 1);
}

/// The platform never said no, so 502 would tell a caller who is still there not to try again.
#[test]
fn a_caller_who_waits_longer_than_messages_are_tried_may_try_again() {
    let pair = Pair::with(&[("DELIVER_MAX_AGE", "1s")]);
    pair.chat.down();
    pair.slack.down();
    let ops = format!("slack:{}", pair.slack.channel("ops"));

    for channel in [ops.as_str(), "both"] {
        let answer = pair
            .proxy
            .post_message(channel, "too late", &[("wait", "60")]);

        assert_eq!(answer.verdict(), (503, "backend-unavailable".to_owned()));
        assert!(answer.header("Retry-After").is_some(), "{channel}");
        assert!(answer.text().contains("DELIVER_MAX_AGE"), "{channel}");
    }
}
