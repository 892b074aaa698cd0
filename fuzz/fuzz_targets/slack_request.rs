//! Any request to Slack's addresses: nobody is let in without the secret, and nothing in a verified body panics.
#![no_main]

use hmac::{Hmac, KeyInit as _, Mac as _};
use libfuzzer_sys::fuzz_target;
use message_webhook_proxy::domain::secret::Secret;
use message_webhook_proxy::inbound::slack::{
    Event, Proof, Slash, is_ssl_check, repeat_key, verify,
};
use sha2::Sha256;

const SECRETS: [&str; 2] = ["8f742231b10e8888abcd99yyyzzz85a5", "b0a1c2d3e4f5061728394a5b6c7d8e9f"];
const NOW: u64 = 1_766_000_000;
/// `$` is the text.
const SHAPES: &[&str] = &[
    r#"{"type":"url_verification","challenge":"$"}"#,
    r#"{"type":"event_callback","event_id":"$","api_app_id":"A0","authorizations":[{"user_id":"U0","is_bot":true}],"event":{"type":"message","text":"<@U0> $","channel":"C0","user":"U1","ts":"1.2"}}"#,
    r#"{"type":"event_callback","api_app_id":"A0","authorizations":[{"user_id":"$","is_bot":true}],"event":{"type":"app_mention","text":"$","channel":"C0","user":"U1","ts":"1.2"}}"#,
    r#"{"type":"event_callback","api_app_id":"A0","event":{"app_id":"$","message":{$},"previous_message":$}}"#,
    r#"{"type":"event_callback","event":$,"authorizations":$}"#,
    r#"{"type":"event_callback",$}"#,
    "command=%2Fproxy&channel_id=C0&text=$",
    "command=$&channel_id=$&team_id=$",
    "ssl_check=$&payload=$",
];

// The shape, then a line each of the timestamp and the signature, then the text.
fuzz_target!(|data: &[u8]| {
    let Some((&shape, rest)) = data.split_first() else { return };
    let mut lines = rest.splitn(3, |byte| *byte == b'\n');
    let mut header = || std::str::from_utf8(lines.next().unwrap_or_default()).ok();
    let (timestamp, signature) = (header(), header());
    let text = lines.next().unwrap_or_default();
    let body = SHAPES.get(usize::from(shape) % (SHAPES.len() + 1)).map_or_else(
        || text.to_vec(),
        |shape| shape.replace('$', &String::from_utf8_lossy(text)).into_bytes(),
    );
    let secrets = SECRETS.map(|secret| Secret::new(secret.to_owned()));

    let forged = Proof { signature, timestamp };
    assert!(verify(&secrets, forged, &body, NOW).is_err());
    assert!(verify(&[], forged, &body, NOW).is_err());

    let at = (NOW + u64::from(shape)).to_string();
    let signature = sign(SECRETS[text.len() % 2], &at, &body);
    let good = Proof { signature: Some(&signature), timestamp: Some(&at) };
    let mark = verify(&secrets, good, &body, NOW).expect("it is signed");
    read(&body);
    assert_ne!(repeat_key(None, &mark), repeat_key(Some(&at), &mark));
});

/// All that is read of a body once it is verified.
fn read(body: &[u8]) {
    match Event::read(body) {
        Ok(Event::Verification(Some(challenge))) => {
            let text = challenge.into_text();
            assert!((1..=256).contains(&text.len()));
            assert!(!text.contains(|c: char| !c.is_ascii_graphic() || "<>&\"'\\{}".contains(c)));
        }
        Ok(Event::Other { mention: Some(mention), .. }) => {
            let ids = [&mention.channel, &mention.user, &mention.ts];
            assert!(ids.iter().all(|id| !id.is_empty()));
            assert_eq!(mention.text, mention.text.trim());
        }
        Ok(_) => {}
        Err(_) => assert!(serde_json::from_slice::<serde_json::Value>(body).is_err()),
    }
    if let Some(slash) = Slash::read(body) {
        assert!(slash.command.starts_with('/') && !slash.channel.is_empty());
    }
    assert!(!is_ssl_check(body) || body.windows(2).any(|two| two == b"=1" || two == b"=%"));
}

fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key is a key");
    for piece in [b"v0:", timestamp.as_bytes(), b":", body] {
        mac.update(piece);
    }
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v0={digits}")
}
