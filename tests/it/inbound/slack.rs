//! Contract section 6, Slack: who is let in, and what becomes of an event, an interaction and a slash command.

mod actions;
mod events;
mod peers;
mod signatures;
mod unstored;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;

use crate::support::slack_sender::{ACTIONS, EVENTS, SlackSender, envelope, said};
use crate::support::{Folder, Gate, Proxy, Reply, Response, Setup, Upstream};

/// Slack, the internal API, and a proxy with an outbox between them.
struct Stage {
    slack: SlackSender,
    api: Upstream,
    own: Setup,
    proxy: Proxy,
    _folder: Folder,
}

impl Stage {
    fn new() -> Self {
        Self::with(Upstream::start(|_| Reply::status(200)), &[])
    }

    /// The internal API answers when the gate opens.
    fn held(gate: &Gate, env: &[(&str, &str)]) -> Self {
        let gate = gate.clone();
        Self::with(
            Upstream::start(move |_| Reply::status(200).held(&gate)),
            env,
        )
    }

    fn with(api: Upstream, env: &[(&str, &str)]) -> Self {
        let (slack, folder) = (SlackSender::new(), Folder::new());
        let own = Proxy::setup()
            .without_limits()
            // A held answer is not to be mistaken for one that does not come.
            .set("UPSTREAM_TIMEOUT", "1m")
            .set("SHUTDOWN_GRACE", "1s")
            .set("RELAY_URL", api.url())
            .outbox(&folder)
            .with(&slack);
        let own = env
            .iter()
            .fold(own, |own, (name, value)| own.set(name, *value));
        Self {
            slack,
            proxy: own.clone().start(),
            api,
            own,
            _folder: folder,
        }
    }

    /// Slack tells of a message.
    #[track_caller]
    fn tell(&self, id: &str, text: &str) -> Response {
        self.proxy.add_message(text);
        self.slack.event(&envelope(id, &said(text))).to(&self.proxy)
    }

    /// Everything that was relayed is what is expected, in this order. What is relayed keeps its order, so a last
    /// event shows that nothing comes in between.
    #[track_caller]
    fn assert_relayed(&self, ids: &[&str]) {
        assert_eq!(self.tell("Ev0LAST", "the last one").status, 200);
        let requests = self.api.wait_for(ids.len() + 1);
        let relayed: Vec<String> = requests.iter().map(|request| id(&request.json())).collect();
        assert_eq!(relayed, [ids, &["Ev0LAST"]].concat());
    }
}

fn id(body: &Value) -> String {
    body["event_id"].as_str().unwrap_or_default().to_owned()
}

/// An internal API whose status the test changes.
fn changing(status: u16) -> (Upstream, Arc<AtomicU16>) {
    let now = Arc::new(AtomicU16::new(status));
    let said = now.clone();
    let api = Upstream::start(move |_| Reply::status(said.load(Ordering::SeqCst)));
    (api, now)
}

/// An acknowledgement: nothing but 200.
#[track_caller]
fn assert_acknowledged(answer: &Response) {
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
}

/// A refusal that tells nobody why.
#[track_caller]
fn assert_unverified(answer: &Response, what: &str) {
    let mut body = answer.json();
    let id = body.as_object_mut().unwrap().remove("id");
    assert!(id.is_some());
    let expected = serde_json::json!({"type": "/problems#unauthorized", "title": "The credentials are missing or not good",
        "status": 401, "detail": "the request is not verified", "code": "unauthorized"});
    assert_eq!((answer.status, body), (401, expected), "{what}");
    let challenge = answer.header("WWW-Authenticate");
    assert_eq!(challenge, Some("Slack-Signature"), "{what}");
}

/// A browser that looks at the address is told that it is the right one; nothing else than POST does anything.
#[test]
fn a_path_says_that_it_is_reachable_and_takes_posts_alone() {
    let stage = Stage::new();

    for path in [EVENTS, ACTIONS] {
        let answer = stage.proxy.get(path);
        assert_eq!(answer.verdict(), (405, "method-not-allowed".to_owned()));
        assert_eq!(answer.header("Allow"), Some("POST, OPTIONS"));
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("reachable") && detail.contains("Slack"));
        for method in ["HEAD", "PUT", "DELETE", "PATCH"] {
            let answer = stage.proxy.request(method, path, &[]);
            assert_eq!(answer.status, 405, "{method} {path}");
        }
    }
    for path in [
        "/no-auth/provider-action/",
        "/no-auth/provider-action/slack/",
        "/no-auth/provider-action/slack-events/x",
        "/no-auth/provider-action/SLACK",
        "/no-auth/provider-action/%73lack",
        "/no-auth//provider-action/slack",
        "/x/../no-auth/provider-action/slack",
        "/no-auth/other",
    ] {
        let body = serde_json::json!({"type": "url_verification", "challenge": "c"});
        let mut signed = stage.slack.event(&body);
        path.clone_into(&mut signed.path);
        assert_eq!(signed.to(&stage.proxy).status, 404, "{path}");
    }
    stage.assert_relayed(&[]);
}
