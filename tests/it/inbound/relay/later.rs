//! Stored, acknowledged, and relayed until the internal API accepts it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{EVENTS, INTERACTIVITY, send, setup, signature};
use crate::store::{assert_refused, attempts, eventually, listed, receipt, wait_for_status};
use crate::support::reply::Then;
use crate::support::{Faults, Folder, Gate, Proxy, Reply, Request, Response, Setup, Upstream};

/// The internal API, and a proxy with an outbox before it.
struct Stage {
    api: Upstream,
    own: Setup,
    proxy: Proxy,
    folder: Folder,
}

impl Stage {
    fn new() -> Self {
        Self::answering(vec![Reply::status(200)], &[])
    }

    /// The internal API answers in this order; the last answer repeats.
    fn answering(replies: Vec<Reply>, env: &[(&str, &str)]) -> Self {
        Self::with(Upstream::script(replies), env)
    }

    fn with(api: Upstream, env: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        let own = relaying(&api).outbox(&folder);
        let own = env
            .iter()
            .fold(own, |own, (name, value)| own.set(name, *value));
        Self {
            api,
            proxy: own.clone().start(),
            own,
            folder,
        }
    }

    /// Another process takes the place of this one, which is killed.
    fn restart(&mut self) {
        self.proxy.kill();
        self.proxy = self.own.clone().start();
    }

    /// The id of the only delivery.
    #[track_caller]
    fn only(&self) -> String {
        let all = self.proxy.get("/deliveries").json();
        let all = all["deliveries"].as_array().unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0]["id"].as_str().unwrap().to_owned()
    }

    fn attempts(&self, id: &str) -> u64 {
        attempts(&receipt(&self.proxy, id))
    }
}

fn relaying(api: &Upstream) -> Setup {
    setup()
        .set("RELAY_URL", api.url())
        .set("SHUTDOWN_GRACE", "1s")
}

fn body(number: usize) -> String {
    json!({"type": "event_callback", "event_id": format!("Ev{number:04}"), "event": {"type": "message", "text": format!("said in confidence {number:04}")}})
        .to_string()
}

/// Slack sends an event.
#[track_caller]
fn say(proxy: &Proxy, number: usize) -> Response {
    proxy.add_message(&format!("said in confidence {number:04}"));
    send(proxy, EVENTS, &[], body(number).as_bytes())
}

/// The same, and it is acknowledged.
#[track_caller]
fn told(proxy: &Proxy, number: usize) {
    let answer = say(proxy, number);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn number(request: &Request) -> usize {
    let id = request.json()["event_id"].as_str().unwrap()[2..].to_owned();
    id.parse().unwrap()
}

/// What the internal API was asked, in order.
fn arrived(api: &Upstream) -> Vec<usize> {
    api.requests().iter().map(number).collect()
}

#[track_caller]
fn entry(receipt: &Value) -> (&str, &str, &str) {
    let entry = &receipt["deliveries"][0];
    let word = |name: &str| entry[name].as_str().unwrap_or_default();
    (word("backend"), word("channel"), word("status"))
}

/// F3: the internal API has not answered yet.
#[test]
fn an_event_is_acknowledged_at_once_and_relayed_as_it_was_sent() {
    let gate = Gate::new();
    let stage = Stage::answering(vec![Reply::status(204).held(&gate)], &[]);
    let (target, body) = (format!("{EVENTS}?a=%2F&b"), body(1));
    stage.proxy.add_message("said in confidence 0001");
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Slack-Retry-Num", "2"),
        ("X-Forwarded-For", "198.51.100.7"),
        ("X-Request-Id", "of-the-caller"),
        ("Connection", "X-Hop"),
        ("X-Hop", "only here"),
    ];

    let answer = send(&stage.proxy, &target, &headers, body.as_bytes());
    let relayed = stage.api.wait_for(1)[0].clone();
    let waiting = receipt(&stage.proxy, &stage.only());
    gate.open();
    let done = wait_for_status(&stage.proxy, &stage.only(), "delivered");

    assert_eq!((answer.status, answer.text()), (200, String::new()));
    assert_eq!((&*relayed.method, relayed.target), ("POST", target));
    assert_eq!(relayed.body, body.as_bytes());
    let field = |name: &str| relayed.headers.get_all(name);
    assert_eq!(field("Host"), [stage.api.addr().to_string()]);
    assert_eq!(field("Content-Type"), ["application/json"]);
    assert_eq!(field("X-Slack-Retry-Num"), ["2"]);
    assert_eq!(field("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(field("X-Request-Id"), ["of-the-caller"]);
    assert_eq!(field("X-Hop"), [""; 0]);
    for (name, value) in &signature(body.as_bytes())[1..] {
        assert_eq!(field(name).len(), 1, "{value}");
    }
    assert_eq!(entry(&waiting), ("relay", "slack-events", "queued"));
    assert_eq!(entry(&done), ("relay", "slack-events", "delivered"));
    assert_eq!(attempts(&done), 1);
}

#[test]
fn events_are_relayed_in_the_order_in_which_they_came() {
    let stage = Stage::new();
    stage.api.down();
    for number in 0..20 {
        told(&stage.proxy, number);
    }

    stage.api.up();
    for number in 20..40 {
        told(&stage.proxy, number);
    }

    eventually("all are relayed", || arrived(&stage.api).len() >= 40);
    assert_eq!(arrived(&stage.api), (0..40).collect::<Vec<_>>());
}

/// Contract section 4: delivery resumes within 10 s of its return, and `/ready` has said why it stood still.
#[test]
fn an_internal_api_that_was_away_is_found_again() {
    let stage = Stage::new();
    stage.api.down();
    told(&stage.proxy, 1);
    eventually("several attempts have failed", || {
        stage.attempts(&stage.only()) >= 3
    });
    let ready = stage.proxy.get("/ready");

    stage.api.up();
    stage.api.wait_for(1);

    assert_eq!(ready.status, 200);
    let backends = ready.json()["backends"].clone();
    let relay = json!({"name": "relay", "status": "failing", "reason": "unreachable"});
    assert!(backends.as_array().unwrap().contains(&relay), "{backends}");
    eventually("it works again", || {
        let backends = stage.proxy.get("/ready").json()["backends"].clone();
        backends
            .as_array()
            .unwrap()
            .contains(&json!({"name": "relay", "status": "ok"}))
    });
}

/// Contract section 6: relayed until accepted, and a 2xx alone accepts.
#[test]
fn whatever_is_not_2xx_is_tried_again() {
    let statuses = [301, 400, 401, 404, 408, 410, 413, 425, 429, 500, 502, 503];
    let stages = statuses.map(|status| {
        let stage = Stage::answering(vec![Reply::status(status), Reply::status(202)], &[]);
        told(&stage.proxy, 1);
        stage
    });

    for (stage, status) in stages.iter().zip(statuses) {
        let done = wait_for_status(&stage.proxy, &stage.only(), "delivered");
        assert_eq!(arrived(&stage.api), [1, 1], "{status}");
        assert_eq!(attempts(&done), 2, "{status}");
    }
}

#[test]
fn what_cannot_be_an_answer_is_tried_again_and_counted_as_ambiguous() {
    let broken = [
        Reply::stall(),
        Reply::reset_after_request(),
        Reply::close_after_request(),
        Reply::raw("SSH-2.0-OpenSSH_9.6\r\n"),
    ];
    let stages = broken.map(|reply| {
        let replies = vec![reply, Reply::status(200)];
        let stage = Stage::answering(replies, &[("UPSTREAM_TIMEOUT", "500ms")]);
        told(&stage.proxy, 1);
        stage
    });

    for stage in stages {
        let done = wait_for_status(&stage.proxy, &stage.only(), "delivered");
        assert_eq!(done["deliveries"][0]["ambiguous"], 1, "{done}");
    }
}

/// A status is the internal API's word, whatever becomes of the text behind it.
#[test]
fn an_answer_that_is_cut_or_too_long_or_halts_accepts_all_the_same() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let replies = [
        Reply::text(200, "cut")
            .header("Content-Length", "9")
            .then(Then::Close),
        Reply::endless_body(),
        Reply::raw("HTTP/1.1 200 OK\r\n\r\nfor ever and ever").then(Then::Close),
        Reply::raw(half).then(Then::Stall),
    ];
    let stages = replies.map(|reply| {
        let stage = Stage::answering(vec![reply], &[("UPSTREAM_TIMEOUT", "1s")]);
        told(&stage.proxy, 1);
        stage
    });

    for stage in stages {
        let done = wait_for_status(&stage.proxy, &stage.only(), "delivered");
        assert_eq!((attempts(&done), arrived(&stage.api)), (1, vec![1]));
    }
}

/// F-11: nobody is asked earlier than it wished, neither by an operator's retry nor by the next process.
#[test]
fn a_pause_that_the_internal_api_asks_for_survives_a_restart_and_a_retry() {
    let later = Reply::status(503).header("Retry-After", "3000");
    let mut stage = Stage::answering(vec![later, Reply::status(200)], &[]);
    told(&stage.proxy, 1);
    told(&stage.proxy, 2);
    stage.api.wait_for(1);
    let first = listed(&stage.proxy, "queued")[1].clone();
    eventually("the attempt is noted", || stage.attempts(&first) == 1);

    let retried = stage.proxy.post(format!("/deliveries/{first}/retry"));
    stage.restart();
    let again = stage.proxy.post(format!("/deliveries/{first}/retry"));
    told(&stage.proxy, 3);
    // What a person waits for is asked at once, and that it works is no reason to ask for the rest.
    let acted = send(&stage.proxy, INTERACTIVITY, &[], body(9).as_bytes());

    assert_eq!((retried.status, again.status), (200, 200));
    assert_eq!(acted.status, 200);
    assert_eq!(listed(&stage.proxy, "queued").len(), 3);
    assert_eq!(arrived(&stage.api), [1, 9]);
}

/// `FOLD_BACKLOG` is for messages: an event is nobody's text to be put together with another.
#[test]
fn events_are_never_folded() {
    let throttled = Reply::status(429).header("Retry-After", "1");
    let replies = vec![throttled, Reply::status(200)];
    let stage = Stage::answering(replies, &[("FOLD_BACKLOG", "true")]);
    for number in 0..5 {
        told(&stage.proxy, number);
    }

    eventually("all are relayed", || arrived(&stage.api).len() >= 6);
    assert_eq!(arrived(&stage.api), [0, 0, 1, 2, 3, 4]);
}

/// F2: whenever the repeat comes, and whichever process it meets.
#[test]
fn a_repeat_of_an_event_is_acknowledged_and_not_relayed_again() {
    let mut stage = Stage::new();
    stage.api.down();
    told(&stage.proxy, 1);
    told(&stage.proxy, 1);
    stage.restart();
    told(&stage.proxy, 1);
    stage.api.up();
    stage.api.wait_for(1);
    wait_for_status(&stage.proxy, &stage.only(), "delivered");
    told(&stage.proxy, 1);
    stage.restart();

    told(&stage.proxy, 1);
    told(&stage.proxy, 2);

    stage.api.wait_for(2);
    assert_eq!(arrived(&stage.api), [1, 2]);
}

/// I1 and I4: after a kill nothing is missing, and only what was under way may come twice, which its receipt says.
#[test]
fn a_kill_loses_nothing_and_repeats_one_at_most() {
    let gate = Gate::new();
    let held = Reply::status(200).held(&gate);
    let replies = vec![
        Reply::status(200),
        Reply::status(200),
        held,
        Reply::status(200),
    ];
    let mut stage = Stage::answering(replies, &[]);
    for number in 0..10 {
        told(&stage.proxy, number);
    }
    stage.api.wait_for(3);
    eventually("two ends are written", || {
        listed(&stage.proxy, "delivered").len() == 2
    });

    stage.restart();

    eventually("nothing waits", || {
        listed(&stage.proxy, "delivered").len() == 10
    });
    assert_eq!(arrived(&stage.api), [0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9]);
    let ambiguous = |id: &String| {
        let receipt = receipt(&stage.proxy, id);
        receipt["deliveries"][0]["ambiguous"].as_u64().unwrap_or(0)
    };
    let mut all = listed(&stage.proxy, "delivered");
    all.reverse();
    let counts: Vec<u64> = all.iter().map(ambiguous).collect();
    assert_eq!(counts, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    gate.open();
}

#[test]
fn an_event_that_waited_too_long_has_failed_until_somebody_retries_it() {
    let answer = Arc::new(Mutex::new(Reply::status(500)));
    let says = Arc::clone(&answer);
    let api = Upstream::start(move |_| says.lock().unwrap().clone());
    let stage = Stage::with(api, &[("DELIVER_MAX_AGE", "1s")]);
    told(&stage.proxy, 1);

    let id = stage.only();
    let failed = wait_for_status(&stage.proxy, &id, "failed");
    *answer.lock().unwrap() = Reply::status(200);
    let retried = stage.proxy.post(format!("/deliveries/{id}/retry"));
    let done = wait_for_status(&stage.proxy, &id, "delivered");

    let entry = &failed["deliveries"][0];
    assert_eq!(entry["reason"], "expired");
    assert!(entry["detail"].as_str().unwrap().contains("500"), "{entry}");
    assert_eq!(retried.status, 200);
    assert_eq!(attempts(&done), attempts(&failed) + 1);
}

#[test]
fn what_is_dropped_is_not_relayed_and_holds_nobody_up() {
    let stage = Stage::new();
    stage.api.down();
    told(&stage.proxy, 1);
    told(&stage.proxy, 2);
    let first = listed(&stage.proxy, "queued")[1].clone();

    eventually("it is dropped between two attempts", || {
        let target = format!("/deliveries/{first}");
        stage.proxy.request("DELETE", target, &[]).status == 200
    });
    stage.api.up();
    stage.api.wait_for(1);

    assert_eq!(arrived(&stage.api), [2]);
    let dropped = receipt(&stage.proxy, &first);
    assert_eq!(dropped["deliveries"][0]["reason"], "dropped");
}

/// It is told what is missing, and nothing is lost by it.
#[test]
fn what_waits_when_relay_url_is_gone_waits_for_it() {
    let mut stage = Stage::new();
    stage.api.down();
    told(&stage.proxy, 1);
    let with_api = stage.own.clone();
    stage.proxy.kill();
    stage.api.up();

    stage.own = stage.own.unset("RELAY_URL");
    stage.proxy = stage.own.clone().start();
    eventually("it is missed", || {
        let receipt = receipt(&stage.proxy, &stage.only());
        let error = receipt["error"].as_str().unwrap_or_default().to_owned();
        error.contains("RELAY_URL")
    });
    let kept = receipt(&stage.proxy, &stage.only());
    stage.own = with_api;
    stage.restart();
    wait_for_status(&stage.proxy, &stage.only(), "delivered");

    assert_eq!(entry(&kept), ("relay", "slack-events", "queued"));
    assert_eq!(arrived(&stage.api), [1]);
}

#[test]
fn a_full_outbox_refuses_an_event_and_takes_its_repeat_later() {
    let api = Upstream::script(vec![Reply::status(200)]);
    let stage = Stage::with(api, &[("OUTBOX_MAX", "2")]);
    stage.api.down();
    told(&stage.proxy, 1);
    told(&stage.proxy, 2);

    let refused = say(&stage.proxy, 3);
    stage.api.up();
    eventually("there is room", || say(&stage.proxy, 3).status == 200);
    stage.api.wait_for(3);

    assert_refused(&refused, "outbox-full");
    assert_eq!(arrived(&stage.api), [1, 2, 3]);
}

/// S-1: what was acknowledged is relayed although nothing more can be stored.
#[test]
fn a_full_disk_refuses_events_and_relaying_goes_on() {
    let (gate, faults) = (Gate::new(), Faults::none());
    let api = Upstream::script(vec![Reply::status(200).held(&gate), Reply::status(200)]);
    let proxy = faults.setup(relaying(&api)).start();
    let mut stored = 0;

    told(&proxy, stored);
    api.wait_for(1);
    faults.disk_full();
    let refused = loop {
        let answer = say(&proxy, stored + 1);
        if answer.status != 200 {
            break answer;
        }
        stored += 1;
        assert!(stored < 20_000, "the disk is never full");
    };
    gate.open();

    assert_refused(&refused, "store-unavailable");
    eventually("all are relayed", || api.requests().len() > stored);
    assert_eq!(arrived(&api), (0..=stored).collect::<Vec<_>>());
}

/// I5: neither the text of what was said nor its signature outlives its acceptance.
#[test]
fn what_is_accepted_is_nowhere_in_the_file() {
    let stage = Stage::new();
    for number in 0..5 {
        told(&stage.proxy, number);
    }
    eventually("all are relayed", || {
        listed(&stage.proxy, "delivered").len() == 5
    });

    stage.proxy.terminate();

    let file = std::fs::read(stage.folder.path().join("outbox.db")).unwrap();
    let holds = |word: &[u8]| file.windows(word.len()).any(|window| window == word);
    assert!(holds(b"slack-events"));
    assert!(!holds(b"in confidence") && !holds(b"v0=") && !holds(b"x-slack"));
}

/// An event of a process that is stopping is either acknowledged and kept, or refused.
#[test]
fn what_waits_when_the_process_stops_is_relayed_by_the_next() {
    let mut stage = Stage::new();
    stage.api.down();
    for number in 0..3 {
        told(&stage.proxy, number);
    }

    let status = stage.proxy.terminate();
    stage.api.up();
    stage.proxy = stage.own.clone().start();

    assert_eq!(status.code(), Some(0));
    stage.api.wait_for(3);
    assert_eq!(arrived(&stage.api), [0, 1, 2]);
}
