//! F1, F2: what Slack has not signed, and what it has not signed just now, changes nothing and learns nothing.

use serde_json::json;

use super::{Stage, assert_acknowledged, assert_unverified};
use crate::support::Proxy;
use crate::support::slack_sender::{
    ACTIONS, EVENTS, FORM, JSON, Signed, SlackSender, envelope, said, unix_s,
};

type Forgery = fn(&mut Signed);

/// What can be wrong with a request whose proof was good.
const FORGERIES: [(&str, Forgery); 21] = [
    ("another time", |s| s.timestamp = (unix_s() - 1).to_string()),
    ("a zero before the time", |s| s.timestamp.insert(0, '0')),
    ("no time", |s| s.timestamp.clear()),
    ("a huge time", |s| s.timestamp = "1".repeat(9000)),
    ("a time of other digits", |s| {
        s.timestamp = "١٧٦٦".to_owned()
    }),
    ("upper case", |s| {
        s.signature = s.signature.to_uppercase().replace("V0", "v0");
    }),
    ("another version", |s| s.signature.replace_range(..2, "v1")),
    ("no version", |s| s.signature.replace_range(..3, "")),
    ("a short signature", |s| s.signature.truncate(20)),
    ("a long signature", |s| s.signature.push('0')),
    ("an empty signature", |s| s.signature.clear()),
    ("a huge signature", |s| s.signature += &"0".repeat(9000)),
    ("a signature beyond ASCII", |s| s.signature.push('é')),
    ("two signatures", |s| {
        *s = s.clone().header("X-Slack-Signature", &s.signature);
    }),
    ("two times", |s| {
        *s = s.clone().header("X-Slack-Request-Timestamp", &s.timestamp);
    }),
    ("a second signature that is empty", |s| {
        *s = s.clone().header("x-slack-signature", "");
    }),
    ("more body", |s| s.body.push(b'\n')),
    ("less body", |s| s.body.truncate(s.body.len() - 1)),
    ("no body", |s| s.body.clear()),
    ("another body", |s| s.body = b"{}".to_vec()),
    ("another's secret", |s| {
        s.signature = SlackSender::new().signature(&s.timestamp, &s.body);
    }),
];

/// No delivery was stored.
#[track_caller]
fn assert_nothing_stored(proxy: &Proxy) {
    let listed = proxy.get("/deliveries").json();
    assert_eq!(listed["deliveries"], json!([]));
}

/// F1, F2: whatever is wrong, the answer is the same, and nothing is relayed or stored.
#[test]
fn every_forgery_is_answered_alike_and_leaves_no_trace() {
    let stage = Stage::new();
    let (body, now) = (envelope("Ev0FORGED", &said("forged")), unix_s());
    let times = [
        (now - 302).to_string(),
        (now + 310).to_string(),
        format!("+{now}"),
        format!("{now}.0"),
        format!("0{now}0"),
        "abc".to_owned(),
        "-1".to_owned(),
    ];
    let challenge = json!({"type": "url_verification", "challenge": "c"}).to_string();

    for (what, change) in FORGERIES {
        let mut signed = stage.slack.event(&body);
        change(&mut signed);
        assert_unverified(&signed.to(&stage.proxy), what);
    }
    for time in &times {
        let signed = stage
            .slack
            .sign_at(time, EVENTS, Some(JSON), body.to_string());
        assert_unverified(&signed.to(&stage.proxy), time);
    }
    for (path, media, unsigned) in [
        (EVENTS, JSON, body.to_string().as_str()),
        (EVENTS, JSON, challenge.as_str()),
        (EVENTS, JSON, ""),
        (ACTIONS, FORM, "payload=%7B%7D"),
        (ACTIONS, FORM, "token=x&command=%2Fdeploy&channel_id=C0"),
    ] {
        let headers = [("Content-Type", media)];
        let answer = stage.proxy.send("POST", path, &headers, unsigned);
        assert_unverified(&answer, unsigned);
    }

    assert_nothing_stored(&stage.proxy);
    stage.assert_relayed(&[]);
}

/// The text with one bit changed, if that can be written into a header.
fn flipped(text: &str, bit: usize) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let at = (bit / 8) % bytes.len();
    bytes[at] ^= 1 << (bit % 8);
    let text = String::from_utf8(bytes).ok();
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// F1: one bit of what is signed, or of the signature, through a real socket; all of them in `inbound::slack`.
#[test]
fn a_changed_bit_is_refused() {
    let stage = Stage::new();
    let good = stage.slack.event(&envelope("Ev0FORGED", &said("forged")));

    for bit in (0..600).step_by(7) {
        let mut body = good.clone();
        body.body[bit / 8] ^= 1 << (bit % 8);
        let signature = flipped(&good.signature, bit).map(|signature| Signed {
            signature,
            ..good.clone()
        });
        let timestamp = flipped(&good.timestamp, bit).map(|timestamp| Signed {
            timestamp,
            ..good.clone()
        });
        for forged in [Some(body), signature, timestamp].into_iter().flatten() {
            assert_unverified(&forged.to(&stage.proxy), &format!("bit {bit}"));
        }
    }

    stage.assert_relayed(&[]);
}

/// While a secret is replaced both are good; and each app has its own.
#[test]
fn each_of_several_secrets_is_good() {
    let (old, new) = (SlackSender::new(), SlackSender::new());
    let both = format!("{} {}", old.secret, new.secret);
    let proxy = Proxy::setup().set("SLACK_SIGNING_SECRETS", both).start();

    for slack in [&old, &new] {
        let signed = slack.event(&envelope("Ev0ANY", &said("hello")));
        assert_acknowledged(&signed.to(&proxy));
    }
    let stranger = SlackSender::new().event(&envelope("Ev0ANY", &said("hello")));
    assert_unverified(&stranger.to(&proxy), "a stranger");
}

/// A secret that is not set lets nobody in, whatever he signs with.
#[test]
fn without_a_secret_nobody_is_let_in() {
    let proxy = Proxy::setup().start();

    for secret in ["", "SLACK_SIGNING_SECRETS", "null"] {
        let slack = SlackSender {
            secret: secret.to_owned(),
        };
        let mut signed = slack.event(&envelope("Ev0ANY", &said("hello")));
        assert_unverified(&signed.to(&proxy), secret);
        ACTIONS.clone_into(&mut signed.path);
        assert_unverified(&signed.to(&proxy), secret);
    }
}

/// Slack's own times lie up to five minutes away; the seconds at the edge are for `inbound::slack`.
#[test]
fn a_time_within_five_minutes_is_good() {
    let stage = Stage::new();
    for (id, away) in [("Ev0PAST", -290), ("Ev0FUTURE", 290)] {
        let at = unix_s().saturating_add_signed(away).to_string();
        let body = envelope(id, &said("hello")).to_string();
        let signed = stage.slack.sign_at(&at, EVENTS, Some(JSON), body);

        assert_acknowledged(&signed.to(&stage.proxy));
    }
    stage.assert_relayed(&["Ev0PAST", "Ev0FUTURE"]);
}

/// F1: 256 KiB, declared or not, and not one byte more; however well it is signed.
#[test]
fn a_body_may_have_256_kib() {
    let stage = Stage::new();
    let fill = |id: &str, bytes: usize| {
        let mut event = envelope(id, &said("")).to_string();
        let padding = bytes - event.len();
        event.extend(std::iter::repeat_n(' ', padding));
        stage.slack.sign(EVENTS, Some(JSON), event)
    };

    let answer = fill("Ev0LARGE", 256 * 1024).to(&stage.proxy);
    let refused = fill("Ev0TOOLARGE", 256 * 1024 + 1).to(&stage.proxy);

    assert_acknowledged(&answer);
    assert_eq!(refused.verdict(), (413, "body-too-large".to_owned()));
    stage.assert_relayed(&["Ev0LARGE"]);
}

/// Why somebody was not let in is for the operator alone.
#[test]
fn the_reason_is_counted() {
    let stage = Stage::new();
    let mut forged = stage.slack.event(&envelope("Ev0FORGED", &said("forged")));
    forged.body.push(b' ');

    assert_eq!(forged.to(&stage.proxy).status, 401);
    assert_eq!(stage.proxy.post(ACTIONS).status, 401);

    let metrics = stage.proxy.get("/metrics").text();
    for (source, outcome) in [("slack-events", "forged"), ("slack", "missing")] {
        let line = format!("outcome=\"{outcome}\",source=\"{source}\"}} 1");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}
