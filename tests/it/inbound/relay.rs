//! What the internal API gets of a verified request, and what comes back: at once (`now`) or stored first (`later`).

mod later;
mod now;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

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

/// A request as Slack signs it (reference/slack.md 5).
#[track_caller]
fn send(proxy: &Proxy, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let signed = signature(body);
    let own = signed.iter().map(|(name, value)| (*name, value.as_str()));
    let all: Vec<(&str, &str)> = own.chain(headers.iter().copied()).collect();
    proxy.send("POST", target, &all, body)
}

fn signature(body: &[u8]) -> [(&'static str, String); 2] {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let time = now.unwrap().as_secs().to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    for piece in [b"v0:", time.as_bytes(), b":", body] {
        mac.update(piece);
    }
    let digits: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    [
        ("X-Slack-Request-Timestamp", time),
        ("X-Slack-Signature", format!("v0={digits}")),
    ]
}
