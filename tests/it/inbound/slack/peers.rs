//! Slack's own SDK signs what the proxy lets in, and an app made with Slack's own framework takes what it relays.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use super::{assert_acknowledged, assert_unverified};
use crate::support::slack_sender::{
    ACTIONS, EVENTS, FORM, JSON, Signed, SlackSender, envelope, said, unix_s,
};
use crate::support::{Client, DEADLINE, Folder, Ledger, Proxy, output, peers};

fn script(name: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(peers::python());
    command
        .arg(root.join("tests/peers").join(name))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// The signature as `slack_sdk` makes it.
#[track_caller]
fn sdk_signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut child = script("slack_sign.py")
        .args([secret, timestamp])
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// An internal API of `slack_bolt`.
struct App {
    child: Child,
    said: Arc<Ledger<String>>,
    port: u16,
}

impl App {
    fn start(slack: &SlackSender) -> Self {
        let mut child = script("slack_app.py").arg(&slack.secret).spawn().unwrap();
        let (said, _) = output::collect(child.stdout.take().unwrap());
        let port = said.wait(DEADLINE, |lines| lines.first().cloned());
        Self {
            child,
            said,
            port: port.expect("the app printed no port").parse().unwrap(),
        }
    }

    /// What the app was told, past or to come.
    #[track_caller]
    fn wait_for(&self, what: &Value) {
        let line = self.said.wait(DEADLINE, |lines| {
            let found = lines
                .iter()
                .find(|line| serde_json::from_str::<Value>(line).is_ok_and(|said| said == *what));
            found.cloned()
        });
        assert!(line.is_some(), "no {what} in {:?}", self.said.all());
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// F1: our own signer and Slack's agree, so that every other test stands on Slack's word.
#[test]
fn what_the_sdk_signs_is_let_in() {
    let slack = SlackSender::new();
    let proxy = Proxy::setup().with(&slack).start();
    let now = unix_s().to_string();
    let slash = "command=%2Fdeploy&channel_id=C0OPS0001&text=a+b%0A";
    for (path, media, body) in [
        (
            EVENTS,
            JSON,
            envelope("Ev0ONE", &said("déploiement ✅ fini")).to_string(),
        ),
        (
            EVENTS,
            JSON,
            "{ \"type\" : \"app_rate_limited\" }\r\n".to_owned(),
        ),
        (ACTIONS, FORM, slash.to_owned()),
        (ACTIONS, FORM, String::new()),
    ] {
        let signed = Signed {
            signature: sdk_signature(&slack.secret, &now, body.as_bytes()),
            ..slack.sign_at(&now, path, Some(media), body)
        };

        assert_eq!(signed.signature, slack.signature(&now, &signed.body));
        assert_acknowledged(&signed.to(&proxy));
        let other = Signed {
            signature: sdk_signature("another secret", &now, &signed.body),
            ..signed
        };
        assert_unverified(&other.to(&proxy), "another secret");
    }
}

/// The whole way: Slack, the proxy, and an app that checks Slack's signature once more.
#[test]
fn an_app_behind_the_proxy_works_as_if_slack_called_it() {
    let (slack, folder) = (SlackSender::new(), Folder::new());
    let app = App::start(&slack);
    let proxy = Proxy::setup()
        .without_limits()
        .with(&slack)
        .outbox(&folder)
        .set("RELAY_URL", format!("http://127.0.0.1:{}", app.port))
        .start();
    let user = json!({"id": "U0ALICE01", "team_id": "T0TEAM001"});
    let team = json!({"id": "T0TEAM001", "domain": "acme"});

    let challenge = json!({"token": "x", "challenge": "k7Qm2ZpX", "type": "url_verification"});
    assert_eq!(slack.event(&challenge).to(&proxy).text(), "k7Qm2ZpX");

    let mut mention = said("<@U0PROXY01> déploie ✅");
    mention["type"] = json!("app_mention");
    assert_acknowledged(&slack.event(&envelope("Ev0ONE", &mention)).to(&proxy));
    app.wait_for(&json!(["app_mention", "<@U0PROXY01> déploie ✅"]));
    app.wait_for(&json!(["answered", [EVENTS, 200]]));

    let click = json!({"type": "block_actions", "api_app_id": "A0PROXY01", "user": user, "team": team,
        "actions": [{"type": "button", "action_id": "approve", "block_id": "b1", "value": "42"}]});
    let clicked = slack.action(&click).to(&proxy);
    assert_eq!(
        (clicked.status, clicked.text().as_str()),
        (200, "approved by the app")
    );
    app.wait_for(&json!(["action", "42"]));

    let menu = json!({"type": "block_suggestion", "api_app_id": "A0PROXY01", "user": user, "team": team,
        "action_id": "places", "block_id": "b1", "value": "Zürich"});
    let options = slack.action(&menu).to(&proxy).json();
    assert_eq!(options["options"][0]["text"]["text"], "Zürich");

    let command = "token=x&team_id=T0TEAM001&channel_id=C0OPS0001&user_id=U0ALICE01&command=%2Fdeploy&text=web+42&api_app_id=A0PROXY01";
    let commanded = slack.sign(ACTIONS, Some(FORM), command).to(&proxy).json();
    let expected = json!({"text": "deploying web 42", "response_type": "in_channel"});
    assert_eq!(commanded, expected);
    app.wait_for(&json!(["command", "web 42"]));

    // It does check: past the proxy nobody gets in either.
    let direct = Client::new(([127, 0, 0, 1], app.port).into());
    let forged = direct.send("POST", ACTIONS, &[("Content-Type", FORM)], command);
    assert_eq!(forged.status, 401);
}
