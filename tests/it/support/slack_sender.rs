//! Slack as it calls an app: signed requests (reference/slack.md 5 and 6), and what a forger makes of them.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Environment, Proxy, Response, unique};

pub const EVENTS: &str = "/no-auth/provider-action/slack-events";
pub const ACTIONS: &str = "/no-auth/provider-action/slack";
pub const JSON: &str = "application/json";
pub const FORM: &str = "application/x-www-form-urlencoded";

const SIGNATURE_CHARS: usize = 67;

/// An app's signing secret; only Slack and the app know it.
pub struct SlackSender {
    pub secret: String,
}

/// A request with its proof. Tests change fields to forge it.
#[derive(Clone, Debug)]
pub struct Signed {
    pub path: String,
    pub media: Option<&'static str>,
    pub timestamp: String,
    pub signature: String,
    pub body: Vec<u8>,
    pub headers: Vec<(String, String)>,
}

impl Environment for SlackSender {
    fn env(&self) -> Vec<(String, String)> {
        vec![("SLACK_SIGNING_SECRETS".to_owned(), self.secret.clone())]
    }
}

impl SlackSender {
    pub fn new() -> Self {
        Self {
            secret: unique("", 32),
        }
    }

    /// A request of the Events API.
    pub fn event(&self, body: &Value) -> Signed {
        self.sign(EVENTS, Some(JSON), body.to_string())
    }

    /// An interaction, as the one field of a form.
    pub fn action(&self, payload: &Value) -> Signed {
        let payload = super::percent_encode(&payload.to_string());
        self.sign(ACTIONS, Some(FORM), format!("payload={payload}"))
    }

    /// Any request, signed now.
    pub fn sign(
        &self,
        path: &str,
        media: Option<&'static str>,
        body: impl Into<Vec<u8>>,
    ) -> Signed {
        self.sign_at(&unix_s().to_string(), path, media, body)
    }

    /// Any request, signed with any time.
    pub fn sign_at(
        &self,
        timestamp: &str,
        path: &str,
        media: Option<&'static str>,
        body: impl Into<Vec<u8>>,
    ) -> Signed {
        let body = body.into();
        Signed {
            path: path.to_owned(),
            media,
            timestamp: timestamp.to_owned(),
            signature: self.signature(timestamp, &body),
            body,
            headers: Vec::new(),
        }
    }

    pub fn signature(&self, timestamp: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        for piece in [b"v0:", timestamp.as_bytes(), b":", body] {
            mac.update(piece);
        }
        let digits = mac.finalize().into_bytes();
        let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("v0={digits}")
    }
}

impl Signed {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[track_caller]
    pub fn to(&self, proxy: &Proxy) -> Response {
        // A forger's may be any text, which the log may hold by accident.
        if self.signature.len() >= SIGNATURE_CHARS {
            proxy.add_canary(&self.signature);
        }
        let mut headers = vec![
            ("X-Slack-Request-Timestamp", self.timestamp.as_str()),
            ("X-Slack-Signature", self.signature.as_str()),
        ];
        headers.extend(self.media.map(|media| ("Content-Type", media)));
        let own = self.headers.iter();
        headers.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
        proxy.send("POST", &self.path, &headers, &self.body)
    }
}

/// The present, in seconds.
pub fn unix_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// The envelope of reference/slack.md 6.2 around an event.
pub fn envelope(id: &str, event: &Value) -> Value {
    json!({"type": "event_callback", "token": "deprecated", "team_id": "T0TEAM001", "api_app_id": "A0PROXY01",
        "context_team_id": "T0TEAM001", "context_enterprise_id": null, "event_id": id, "event_time": 1_766_000_100,
        "authorizations": [{"enterprise_id": null, "team_id": "T0TEAM001", "user_id": "U0PROXY01", "is_bot": true,
            "is_enterprise_install": false}],
        "event": event})
}

/// A person's message in a channel.
pub fn said(text: &str) -> Value {
    json!({"type": "message", "channel": "C0OPS0001", "channel_type": "channel", "user": "U0ALICE01", "text": text,
        "ts": "1766000100.000300", "event_ts": "1766000100.000300", "team": "T0TEAM001"})
}
