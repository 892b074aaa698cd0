//! Events without an outbox (`DATABASE_URL=none`): relayed while Slack waits, and acknowledged only if accepted.

use std::sync::atomic::Ordering;

use super::{assert_acknowledged, changing, id};
use crate::support::slack_sender::{EVENTS, JSON, SlackSender, envelope, said};
use crate::support::{Gate, Proxy, Reply, Request, Response, Upstream};

struct Stage {
    slack: SlackSender,
    api: Upstream,
    proxy: Proxy,
}

impl Stage {
    fn new(api: Upstream) -> Self {
        let slack = SlackSender::new();
        let setup = Proxy::setup().without_limits().with(&slack);
        Self {
            proxy: setup.set("RELAY_URL", api.url()).start(),
            api,
            slack,
        }
    }

    /// The `n`-th time that Slack sends an event; each has a signature of its own.
    #[track_caller]
    fn tell(&self, id: &str, n: usize) -> Response {
        let body = format!("{}{}", envelope(id, &said("hello")), " ".repeat(n));
        self.slack.sign(EVENTS, Some(JSON), body).to(&self.proxy)
    }

    fn relayed(&self) -> Vec<String> {
        let requests = self.api.requests();
        requests.iter().map(|r: &Request| id(&r.json())).collect()
    }
}

#[track_caller]
fn assert_later(answer: &Response) {
    let expected = (503, "backend-unavailable".to_owned());
    assert_eq!(answer.verdict(), expected, "{}", answer.text());
    assert_eq!(answer.header("Retry-After"), Some("1"));
    assert_eq!(answer.header("X-Slack-No-Retry"), None);
}

/// F2: the answer comes after the internal API's; repeats and replays are known.
#[test]
fn what_was_accepted_is_acknowledged_and_its_repeats_are_not_relayed() {
    let stage = Stage::new(Upstream::start(|_| Reply::text(202, "not for Slack")));

    for (id, n) in [("Ev0A", 0), ("Ev0A", 0), ("Ev0A", 1), ("Ev0B", 0)] {
        assert_acknowledged(&stage.tell(id, n));
    }

    assert_eq!(stage.relayed(), ["Ev0A", "Ev0B"]);
}

/// F3
#[test]
fn what_was_not_accepted_is_for_slack_to_repeat() {
    let (api, status) = changing(500);
    let stage = Stage::new(api);

    for (n, refusal) in [500, 503, 404, 302, 429].into_iter().enumerate() {
        status.store(refusal, Ordering::SeqCst);
        assert_later(&stage.tell("Ev0A", n));
    }
    stage.api.down();
    assert_later(&stage.tell("Ev0A", 6));
    stage.api.up();
    status.store(200, Ordering::SeqCst);
    assert_acknowledged(&stage.tell("Ev0A", 7));
    assert_acknowledged(&stage.tell("Ev0A", 8));

    assert_eq!(stage.relayed(), ["Ev0A"; 6]);
}

/// F3: a repeat of what is under way is not acknowledged, because nobody knows how that will end.
#[test]
fn a_hung_internal_api_is_given_up_and_meanwhile_nothing_is_acknowledged() {
    let gate = Gate::new();
    let held = gate.clone();
    let stage = Stage::new(Upstream::start(move |_| Reply::status(200).held(&held)));

    let (first, repeat) = std::thread::scope(|scope| {
        let first = scope.spawn(|| stage.tell("Ev0A", 0));
        stage.api.wait_for(1);
        let repeat = stage.tell("Ev0A", 1);
        (first.join().unwrap(), repeat)
    });

    assert_later(&first);
    assert_later(&repeat);
    gate.open();
    assert_acknowledged(&stage.tell("Ev0A", 2));
    assert_acknowledged(&stage.tell("Ev0A", 3));
}

/// F6
#[test]
fn what_the_apps_own_bot_did_is_dropped_here_too() {
    let stage = Stage::new(Upstream::start(|_| Reply::status(200)));
    let mut own = said("posted by the bot");
    own["user"] = serde_json::json!("U0PROXY01");

    let answer = stage.slack.event(&envelope("Ev0A", &own)).to(&stage.proxy);

    assert_acknowledged(&answer);
    assert!(stage.relayed().is_empty());
}
