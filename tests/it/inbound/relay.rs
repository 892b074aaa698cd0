//! What the internal API gets of a verified request, and what comes back: at once (`now`) or stored first (`later`).

mod later;
mod now;

use crate::support::slack_sender::SlackSender;
use crate::support::{Proxy, Reply, Response, Setup, Upstream};

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const EVENTS: &str = "/no-auth/provider-action/slack-events";
const INTERACTIVITY: &str = "/no-auth/provider-action/slack";

/// The internal API, and a proxy before it that lets in what Slack has signed.
struct Stage {
    api: Upstream,
    proxy: Proxy,
}

impl Stage {
    /// An internal API that answers every request like this.
    fn new(reply: Reply) -> Self {
        Self::with(Upstream::script(vec![reply]), &[])
    }

    fn with(api: Upstream, env: &[(&str, &str)]) -> Self {
        let setup = setup().set("RELAY_URL", api.url());
        let setup = env
            .iter()
            .fold(setup, |setup, (name, value)| setup.set(name, *value));
        Self {
            proxy: setup.start(),
            api,
        }
    }

    /// Slack's interactivity sends this.
    #[track_caller]
    fn act(&self, body: impl AsRef<[u8]>) -> Response {
        send(&self.proxy, INTERACTIVITY, &[], body.as_ref())
    }
}

fn setup() -> Setup {
    Proxy::setup()
        .without_limits()
        .set("SLACK_SIGNING_SECRETS", SECRET)
}

fn slack() -> SlackSender {
    SlackSender {
        secret: SECRET.to_owned(),
    }
}

/// A request as Slack signs it.
#[track_caller]
fn send(proxy: &Proxy, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let signed = slack().sign(target, None, body);
    let signed = headers
        .iter()
        .fold(signed, |signed, (name, value)| signed.header(name, value));
    signed.to(proxy)
}

/// The headers of its proof alone.
fn signature(body: &[u8]) -> [(&'static str, String); 2] {
    let signed = slack().sign(INTERACTIVITY, None, body);
    [
        ("X-Slack-Request-Timestamp", signed.timestamp),
        ("X-Slack-Signature", signed.signature),
    ]
}
