//! `once` and `Idempotency-Key`: a repeat answers what became of the first, and posts nothing.

use std::collections::BTreeSet;
use std::thread;

use super::{Pair, Stage, entries, id, reason, wait_until_waiting};
use crate::store::{
    assert_refused, attempts, eventually, hold, listed, queue, receipt, sends, shown,
    wait_for_status,
};
use crate::support::{Gate, Mattermost, Proxy, Reply, Response, Slack, message_path};

const TEXT: &str = "posted once and only once";
const CI: &str = "a-secret-of-the-ci-system";
const DEPLOY: &str = "a-secret-of-the-deployer";

#[track_caller]
fn once(stage: &Stage, key: &str, wait: &str) -> Response {
    let query = [("once", key), ("wait", wait)];
    stage.proxy.post_message(&stage.builds, TEXT, &query)
}

#[track_caller]
fn with_header(stage: &Stage, header: &str, query: &[(&str, &str)]) -> Response {
    let target = message_path(&stage.builds, TEXT, query);
    let headers = [("Idempotency-Key", header)];
    stage.proxy.request("POST", target, &headers)
}

/// What two receipts of one message have in common.
#[track_caller]
fn told(answer: &Response) -> (u16, String, String) {
    let body = answer.json();
    let post = body["deliveries"][0]["message_id"].to_string();
    (answer.status, id(answer), post)
}

/// A6: however many repeats come at once, there is one message, and all are told of it.
#[test]
fn fifty_repeats_at_once_make_one_post() {
    let stage = Stage::new();

    let answers: Vec<Response> = thread::scope(|scope| {
        let repeats: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| once(&stage, "build-42", "60")))
            .collect();
        repeats.into_iter().map(|one| one.join().unwrap()).collect()
    });

    let told: BTreeSet<_> = answers.iter().map(told).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(answers[0].verdict(), (200, "delivered".to_owned()));
    assert_eq!(shown(&stage.chat, &stage.builds), [TEXT]);
}

#[test]
fn fifty_repeats_at_once_make_one_post_without_an_outbox() {
    let stage = Stage::with(&[("DATABASE_URL", "none")]);

    let told: BTreeSet<_> = thread::scope(|scope| {
        let repeats: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| told(&once(&stage, "build-42", "60"))))
            .collect();
        repeats.into_iter().map(|one| one.join().unwrap()).collect()
    });

    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(shown(&stage.chat, &stage.builds), [TEXT]);
}

#[test]
fn the_header_bare_or_in_quotes_is_the_option() {
    let stage = Stage::new();

    let first = once(&stage, "build-42", "20");
    let bare = with_header(&stage, "build-42", &[]);
    let quoted = with_header(&stage, "\"build-42\"", &[]);
    let both = with_header(&stage, "\"build-42\"", &[("once", "build-42")]);

    let ids = [&first, &bare, &quoted, &both].map(id);
    assert!(ids.iter().all(|one| *one == ids[0]), "{ids:?}");
    assert_eq!(stage.chat.posts().len(), 1);
}

#[test]
fn a_header_that_contradicts_the_option_is_refused() {
    let stage = Stage::new();

    let answer = with_header(&stage, "build-42", &[("once", "build-43")]);

    assert_eq!(answer.verdict(), (400, "bad-option".to_owned()));
    assert_eq!(stage.chat.posts().len(), 0);
}

#[test]
fn a_repeat_tells_how_the_message_stands_now() {
    let stage = Stage::new();
    let (gate, first) = hold(&stage.proxy, &stage.chat, &stage.builds);

    let promised = once(&stage, "build-42", "0");
    let waits = once(&stage, "build-42", "0");
    gate.open();
    wait_for_status(&stage.proxy, &id(&promised), "delivered");
    let arrived = once(&stage, "build-42", "0");

    assert_eq!(promised.verdict(), (202, "queued".to_owned()));
    assert_eq!(waits.verdict(), (202, "queued".to_owned()));
    assert_eq!(arrived.verdict(), (200, "delivered".to_owned()));
    assert_eq!([id(&waits), id(&arrived)], [id(&promised), id(&promised)]);
    let location = format!("/deliveries/{}", id(&promised));
    assert_eq!(waits.header("Location"), Some(&*location));
    assert_eq!(shown(&stage.chat, &stage.builds), [&*first, TEXT]);
}

/// A repeat waits as long as it likes for what the first post did not wait for.
#[test]
fn a_repeat_may_wait_for_the_first() {
    let stage = Stage::new();
    let (gate, _) = hold(&stage.proxy, &stage.chat, &stage.builds);
    let promised = once(&stage, "build-42", "0");

    let short = once(&stage, "build-42", "1");
    let long = thread::scope(|scope| {
        let repeat = scope.spawn(|| once(&stage, "build-42", "60"));
        gate.open();
        repeat.join().unwrap()
    });

    assert_eq!(reason(&short), (202, "behind-earlier-messages".to_owned()));
    assert_eq!(long.verdict(), (200, "delivered".to_owned()));
    assert_eq!([id(&short), id(&long)], [id(&promised), id(&promised)]);
}

/// Section 1.3: a repeat that waits less is told so, and the first waits as long as it asked.
#[test]
fn a_repeat_that_does_not_wait_stops_nobody_else() {
    let stage = Stage::new();
    let gate = Gate::new();
    stage.chat.hold_next(&gate);

    let (first, unwaited, short) = thread::scope(|scope| {
        let first = scope.spawn(|| once(&stage, "build-42", "60"));
        stage.chat.wait_for_posts(1);
        let unwaited = once(&stage, "build-42", "0");
        let short = once(&stage, "build-42", "1");
        gate.open();
        (first.join().unwrap(), unwaited, short)
    });

    assert_eq!(first.verdict(), (200, "delivered".to_owned()));
    assert_eq!(reason(&unwaited), (202, "async".to_owned()));
    assert_eq!(reason(&short), (202, "backend-unavailable".to_owned()));
    assert_eq!([id(&unwaited), id(&short)], [id(&first), id(&first)]);
    assert_eq!(stage.chat.posts().len(), 1);
}

/// The reverse: the first has its promise, and the repeat waits on.
#[test]
fn a_first_post_that_stops_waiting_stops_no_repeat() {
    let stage = Stage::new();
    let gate = Gate::new();
    stage.chat.hold_next(&gate);

    let (first, repeat) = thread::scope(|scope| {
        let first = scope.spawn(|| once(&stage, "build-42", "1"));
        stage.chat.wait_for_posts(1);
        let repeat = scope.spawn(|| once(&stage, "build-42", "60"));
        let first = first.join().unwrap();
        gate.open();
        (first, repeat.join().unwrap())
    });

    assert_eq!(reason(&first), (202, "backend-unavailable".to_owned()));
    assert_eq!(repeat.verdict(), (200, "delivered".to_owned()));
    assert_eq!(id(&repeat), id(&first));
}

/// P-2: at the end of the process whoever still waits is promised it, the first and its repeats.
#[test]
fn at_the_stop_all_who_wait_for_one_message_are_promised_it() {
    let stage = Stage::new();
    let gate = Gate::new();
    stage.chat.hold_next(&gate);

    let answers = thread::scope(|scope| {
        let first = scope.spawn(|| once(&stage, "build-42", "60"));
        stage.chat.wait_for_posts(1);
        let repeat = scope.spawn(|| once(&stage, "build-42", "60"));
        eventually("the repeat was let in", || {
            let metrics = stage.proxy.get("/metrics").text();
            metrics.contains("posts_total{caller=\"anonymous\"} 2")
        });
        stage.proxy.terminate();
        [first.join().unwrap(), repeat.join().unwrap()]
    });

    for answer in &answers {
        assert_eq!(reason(answer), (202, "backend-unavailable".to_owned()));
    }
    assert_eq!(id(&answers[0]), id(&answers[1]));
    drop(gate);
}

#[test]
fn a_key_belongs_to_one_message() {
    for outbox in [true, false] {
        let stage = match outbox {
            true => Stage::new(),
            false => Stage::with(&[("DATABASE_URL", "none")]),
        };
        let key = ("once", "build-42");
        let first = once(&stage, "build-42", "20");

        let others = [
            stage.proxy.post_message(&stage.builds, "other", &[key]),
            stage.proxy.post_message(&stage.deploys, TEXT, &[key]),
            stage
                .proxy
                .post_message(&stage.builds, TEXT, &[key, ("title", "A heading")]),
            stage
                .proxy
                .post_message(&stage.builds, TEXT, &[key, ("level", "error")]),
        ];
        let repeat = once(&stage, "build-42", "5");

        for other in others {
            assert_eq!(other.verdict(), (422, "key-reused".to_owned()), "{outbox}");
        }
        assert_eq!(told(&repeat), told(&first), "{outbox}");
        assert_eq!(stage.chat.posts().len(), 1, "{outbox}");
    }
}

#[test]
fn a_key_belongs_to_one_caller() {
    let tokens = format!("ci={CI} deploy={DEPLOY}");
    let stage = Stage::with(&[("PROXY_TOKENS", &tokens)]);
    let post = |token: &str| {
        let query = [("once", "build-42")];
        stage
            .proxy
            .post_message_as(token, &stage.builds, TEXT, &query)
    };

    let (ci, deploy, again) = (post(CI), post(DEPLOY), post(CI));

    assert_eq!([ci.status, deploy.status, again.status], [200; 3]);
    assert_eq!(id(&ci), id(&again));
    assert_ne!(id(&ci), id(&deploy));
    assert_eq!(stage.chat.posts().len(), 2);
}

#[test]
fn a_key_survives_a_restart_and_a_kill() {
    let mut stage = Stage::new();
    let first = once(&stage, "build-42", "20");

    stage.proxy.terminate();
    stage.restart();
    let after_restart = once(&stage, "build-42", "20");
    stage.restart();
    let after_kill = once(&stage, "build-42", "20");

    assert_eq!(told(&after_restart), told(&first));
    assert_eq!(told(&after_kill), told(&first));
    assert_eq!(stage.chat.posts().len(), 1);
}

#[test]
fn a_post_refused_for_good_frees_its_key() {
    for outbox in [true, false] {
        let stage = match outbox {
            true => Stage::new(),
            false => Stage::with(&[("DATABASE_URL", "none")]),
        };
        stage.chat.next(Mattermost::error(
            400,
            "api.context.invalid_body_param.app_error",
        ));

        let refused = once(&stage, "build-42", "20");
        let again = once(&stage, "build-42", "20");

        assert_eq!(
            refused.verdict(),
            (502, "backend-rejected".to_owned()),
            "{outbox}"
        );
        assert_eq!(again.verdict(), (200, "delivered".to_owned()), "{outbox}");
        assert_ne!(id(&refused), id(&again), "{outbox}");
    }
}

/// Contract 4: who waits is told 502 at once, with a key as without one, and the next try is made as soon as it comes.
#[test]
fn a_post_with_a_key_is_tried_although_the_credentials_were_refused() {
    let stage = Stage::new();
    for _ in 0..2 {
        stage.chat.next(Mattermost::error(
            401,
            "api.context.session_expired.app_error",
        ));
    }

    let without = stage
        .proxy
        .post_message(&stage.deploys, "without a key", &[("wait", "20")]);
    let refused = once(&stage, "build-42", "20");
    let mended = once(&stage, "build-42", "20");

    for answer in [without, refused] {
        assert_eq!(answer.verdict(), (502, "backend-rejected".to_owned()));
    }
    assert_eq!(mended.verdict(), (200, "delivered".to_owned()));
    assert_eq!(shown(&stage.chat, &stage.builds), [TEXT]);
}

/// Without an outbox nobody keeps what may have been posted; but who asks while it is under way is told the same, and does
/// not have it posted once more.
#[test]
fn repeats_under_way_with_a_post_in_doubt_make_no_other() {
    let (slack, gate) = (Slack::start(), Gate::new());
    // One worker, which takes requests in the order in which they come.
    let setup = Proxy::setup().with(&slack).without_limits();
    let proxy = setup.set("WORKERS", "1").start();
    slack.next(Reply::close_after_request().held(&gate));
    let target = message_path(
        &slack.channel("ops"),
        TEXT,
        &[("once", "k"), ("wait", "30")],
    );
    proxy.add_message(TEXT);
    let begin = || {
        let mut connection = proxy.connect();
        connection.send(format!("POST {target} HTTP/1.1\r\nHost: proxy\r\n\r\n").as_bytes());
        connection
    };

    let mut first = begin();
    slack.wait_for(1);
    let mut repeat = begin();
    // By the time another request is answered, the repeat waits for the first.
    proxy.get("/health");
    gate.open();
    let answers = [first.read_response(), repeat.read_response()];
    let posts = slack.requests().len();
    let later = proxy.post(target.clone());

    for answer in &answers {
        assert_eq!(answer.verdict(), (503, "backend-unavailable".to_owned()));
    }
    assert_eq!(id(&answers[0]), id(&answers[1]));
    assert_eq!(posts, 1);
    assert_eq!((later.status, id(&later)), (200, id(&answers[0])));
}

/// Promised to a repeat, it has ended: the key still belongs to it.
#[test]
fn a_post_that_a_repeat_was_promised_keeps_its_key_when_it_is_refused() {
    let stage = Stage::new();
    let gate = Gate::new();
    let refusal = Mattermost::error(400, "api.context.invalid_body_param.app_error");
    stage.chat.next(refusal.held(&gate));

    let (first, promised) = thread::scope(|scope| {
        let first = scope.spawn(|| once(&stage, "build-42", "60"));
        eventually("it is being tried", || sends(&stage.chat) == 1);
        let promised = once(&stage, "build-42", "0");
        gate.open();
        (first.join().unwrap(), promised)
    });
    let again = once(&stage, "build-42", "20");

    assert_eq!(reason(&promised), (202, "async".to_owned()));
    assert_eq!(first.verdict(), (502, "backend-rejected".to_owned()));
    assert_eq!(again.verdict(), (502, "backend-rejected".to_owned()));
    assert_eq!([id(&promised), id(&again)], [id(&first), id(&first)]);
    assert_eq!(stage.chat.posts().len(), 0);
}

#[test]
fn without_an_outbox_a_repeat_of_what_is_under_way_is_told_so() {
    let stage = Stage::with(&[("DATABASE_URL", "none")]);
    let gate = Gate::new();
    stage.chat.hold_next(&gate);

    let (first, meanwhile) = thread::scope(|scope| {
        let first = scope.spawn(|| once(&stage, "build-42", "60"));
        stage.chat.wait_for_posts(1);
        let meanwhile = once(&stage, "build-42", "1");
        gate.open();
        (first.join().unwrap(), meanwhile)
    });
    let after = once(&stage, "build-42", "1");

    assert_eq!(meanwhile.verdict(), (409, "in-progress".to_owned()));
    assert_eq!(told(&after), told(&first));
    assert_eq!(stage.chat.posts().len(), 1);
}

/// What one destination of two took is not posted there again.
#[test]
fn a_message_that_arrived_in_part_is_not_repeated() {
    let pair = Pair::new();
    pair.slack.next(Slack::error("is_archived"));
    let query = [("once", "build-42")];

    let first = pair.proxy.post_message("both", TEXT, &query);
    let repeat = pair.proxy.post_message("both", TEXT, &query);

    assert_eq!(first.verdict(), (502, "partly-rejected".to_owned()));
    assert_eq!(repeat.verdict(), (502, "partly-rejected".to_owned()));
    assert_eq!(id(&first), id(&repeat));
    assert_eq!(entries(&first.json()), entries(&repeat.json()));
    assert_eq!(first.json()["detail"], repeat.json()["detail"]);
    assert_eq!(pair.posts(), (1, 0));
}

/// A plain line has no entries of the destinations, so its detail alone says which of them refused, and the cure.
#[test]
fn a_plain_line_says_which_destination_refused() {
    let pair = Pair::new();
    let plain = [("Accept", "text/plain")];
    let mut lines = Vec::new();

    pair.slack.next(Slack::error("is_archived"));
    let path = message_path("both", TEXT, &[("once", "build-42")]);
    for _ in 0..2 {
        lines.push(pair.proxy.request("POST", &path, &plain).text());
    }

    let start = "502 partly-rejected: 1 of 2 destinations did not take the message: slack:";
    assert!(lines[0].starts_with(start), "{}", lines[0]);
    assert!(
        lines[0].contains("(the channel is archived: unarchive it"),
        "{}",
        lines[0]
    );
    assert_eq!(lines[0].lines().count(), 1);
    assert_eq!(lines[0], lines[1]);
}

/// A message with a key is stored before it is tried, so its receipt can be looked up.
#[test]
fn what_has_a_key_has_a_receipt() {
    let stage = Stage::new();

    let answer = once(&stage, "build-42", "20");

    let kept = receipt(&stage.proxy, &id(&answer));
    assert_eq!(kept["status"], "delivered");
    assert_eq!(kept["deliveries"][0], {
        let mut entry = answer.json()["deliveries"][0].clone();
        entry["attempts"] = 1.into();
        entry
    });
}

#[test]
fn a_key_without_room_for_its_message_is_free() {
    let stage = Stage::with(&[("OUTBOX_MAX", "1")]);
    let (gate, first) = hold(&stage.proxy, &stage.chat, &stage.builds);

    let refused = once(&stage, "build-42", "1");
    gate.open();
    wait_until_waiting(&stage.proxy, 0);
    let again = once(&stage, "build-42", "20");

    assert_refused(&refused, "outbox-full");
    assert_eq!(again.verdict(), (200, "delivered".to_owned()));
    assert_eq!(shown(&stage.chat, &stage.builds), [&*first, TEXT]);
}

/// It posts nothing, so it needs no room.
#[test]
fn with_the_outbox_full_a_repeat_is_told_of_the_first() {
    let stage = Stage::with(&[("OUTBOX_MAX", "1")]);
    stage.chat.down();
    let promised = once(&stage, "build-42", "0");

    let repeat = once(&stage, "build-42", "0");
    let query = [("once", "build-42"), ("wait", "0")];
    let other = stage
        .proxy
        .post_message(&stage.builds, "another text", &query);
    let new = once(&stage, "build-43", "0");
    stage.chat.up();
    wait_until_waiting(&stage.proxy, 0);

    assert_eq!((promised.status, repeat.status), (202, 202));
    assert_eq!(id(&repeat), id(&promised));
    assert_eq!(other.verdict(), (422, "key-reused".to_owned()));
    assert_refused(&new, "outbox-full");
    assert_eq!(shown(&stage.chat, &stage.builds), [TEXT]);
}

/// Stored only because of its key, it waits for nothing, and so needs no room of those that wait.
#[test]
fn with_the_outbox_full_a_post_with_a_key_is_delivered_where_nothing_waits() {
    let stage = Stage::with(&[("OUTBOX_MAX", "1")]);
    let (gate, first) = hold(&stage.proxy, &stage.chat, &stage.builds);
    let elsewhere = |key: &str, wait: &str| {
        let query = [("once", key), ("wait", wait)];
        stage.proxy.post_message(&stage.deploys, TEXT, &query)
    };

    let idle = elsewhere("build-42", "20");
    let repeat = elsewhere("build-42", "20");
    let unwaited = elsewhere("build-43", "0");
    let behind = once(&stage, "build-44", "1");
    gate.open();
    wait_until_waiting(&stage.proxy, 0);

    assert_eq!(idle.verdict(), (200, "delivered".to_owned()));
    assert_eq!(told(&repeat), told(&idle));
    assert_refused(&unwaited, "outbox-full");
    assert_refused(&behind, "outbox-full");
    assert_eq!(shown(&stage.chat, &stage.deploys), [TEXT]);
    assert_eq!(shown(&stage.chat, &stage.builds), [first]);
}

#[test]
fn with_the_outbox_full_a_post_with_a_key_is_refused_where_the_platform_is_away() {
    let stage = Stage::with(&[("OUTBOX_MAX", "1")]);
    stage.chat.down();
    let waits = queue(&stage.proxy, &stage.builds, "takes the only room");
    eventually("it was tried", || {
        attempts(&receipt(&stage.proxy, &waits)) > 0
    });

    let query = [("once", "build-42"), ("wait", "1")];
    let refused = stage.proxy.post_message(&stage.deploys, TEXT, &query);

    assert_refused(&refused, "outbox-full");
    assert_eq!(listed(&stage.proxy, "queued"), [waits]);
}

/// Dropped by an operator, it has ended: the key still belongs to it.
#[test]
fn a_repeat_of_what_was_dropped_is_told_so() {
    let stage = Stage::new();
    let (gate, first) = hold(&stage.proxy, &stage.chat, &stage.builds);
    let promised = once(&stage, "build-42", "0");
    let path = format!("/deliveries/{}", id(&promised));
    let dropped = stage.proxy.request("DELETE", path, &[]);

    let repeat = once(&stage, "build-42", "20");
    gate.open();
    wait_until_waiting(&stage.proxy, 0);

    assert_eq!((promised.status, dropped.status), (202, 200));
    assert_eq!(repeat.verdict(), (502, "backend-rejected".to_owned()));
    assert_eq!(id(&repeat), id(&promised));
    assert_eq!(shown(&stage.chat, &stage.builds), [first]);
}

/// Somebody waits for a message that an operator drops.
#[test]
fn who_waits_for_what_is_dropped_is_told() {
    let stage = Stage::new();
    let (gate, _) = hold(&stage.proxy, &stage.chat, &stage.builds);

    let answer = thread::scope(|scope| {
        let post = scope.spawn(|| once(&stage, "build-42", "3"));
        wait_until_waiting(&stage.proxy, 2);
        let newest = &listed(&stage.proxy, "queued")[0];
        let path = format!("/deliveries/{newest}");
        assert_eq!(stage.proxy.request("DELETE", path, &[]).status, 200);
        post.join().unwrap()
    });
    gate.open();

    assert_eq!(answer.verdict(), (502, "backend-rejected".to_owned()));
}

/// Section 1.1: a GET that was promised is not promised again.
#[test]
fn the_same_get_is_promised_once() {
    let stage = Stage::new();
    let target = message_path(&stage.builds, TEXT, &[("wait", "0")]);

    let (first, again) = (stage.proxy.get(&target), stage.proxy.get(&target));
    wait_for_status(&stage.proxy, &id(&first), "delivered");

    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(id(&first), id(&again));
    assert_eq!(stage.chat.posts().len(), 1);
}

/// A repeat ends as the first did: the same status, code and platform's code.
#[test]
fn a_repeat_of_what_failed_is_answered_as_the_first() {
    for (error, verdict) in [
        ("channel_not_found", (404, "unknown-channel")),
        ("msg_too_long", (413, "message-too-long")),
        ("is_archived", (502, "backend-rejected")),
    ] {
        let pair = Pair::new();
        let ops = format!("slack:{}", pair.slack.channel("ops"));
        pair.slack.next(Slack::error(error));
        let post = |wait| {
            let query = [("once", "build-42"), ("wait", wait)];
            pair.proxy.post_message(&ops, TEXT, &query)
        };

        let promised = post("0");
        wait_for_status(&pair.proxy, &id(&promised), "failed");
        let repeat = post("20");

        let (status, code) = verdict;
        assert_eq!(repeat.verdict(), (status, code.to_owned()), "{error}");
        assert_eq!(repeat.json()["platform_code"], error);
        assert_eq!(id(&repeat), id(&promised), "{error}");
    }
}

/// Some of it was posted before the rest was refused: under the same key it is not posted again.
#[test]
fn a_message_that_was_posted_in_part_keeps_its_key() {
    let stage = Stage::new();
    let long = "a line of a long log\n".repeat(820);
    let (key, gate) = ([("once", "build-42")], Gate::new());
    gate.open();
    stage.chat.hold_next(&gate);
    stage
        .chat
        .next(Mattermost::error(400, "model.post.is_valid.msg.app_error"));

    let first = stage.proxy.post_message(&stage.builds, &long, &key);
    let posted = stage.chat.posts().len();
    let repeat = stage.proxy.post_message(&stage.builds, &long, &key);

    assert_eq!(first.status, 413, "{}", first.text());
    assert_eq!((repeat.status, id(&repeat)), (413, id(&first)));
    assert_eq!((posted, stage.chat.posts().len()), (1, 1));
}

/// F-7 without an outbox: whether the first was posted is not known, so the next try is the same message to the platform.
#[test]
fn without_an_outbox_a_try_again_has_the_same_pending_id() {
    let stage = Stage::with(&[("DATABASE_URL", "none")]);
    let gate = Gate::new();
    stage.chat.hold_next(&gate);

    let first = once(&stage, "build-42", "1");
    gate.open();
    let again = once(&stage, "build-42", "20");

    assert_eq!(first.verdict(), (503, "backend-unavailable".to_owned()));
    assert_eq!(again.verdict(), (200, "delivered".to_owned()));
    assert_eq!(id(&again), id(&first));
    assert_eq!(shown(&stage.chat, &stage.builds), [TEXT]);
}

/// Which of them is meant cannot be known.
#[test]
fn two_different_keys_are_refused() {
    let stage = Stage::new();
    let target = message_path(&stage.builds, TEXT, &[]);
    let post = |keys: &[(&str, &str)]| stage.proxy.request("POST", &target, keys);
    let key = "Idempotency-Key";

    let two = post(&[(key, "build-42"), (key, "build-43")]);
    let same = post(&[(key, "build-42"), (key, "build-42")]);

    assert_eq!(two.verdict(), (400, "bad-option".to_owned()));
    assert_eq!(same.verdict(), (200, "delivered".to_owned()));
}
