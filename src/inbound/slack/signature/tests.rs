//! The vectors of reference/slack.md 5, made with Slack's own SDK, and what must not pass.

use proptest::prelude::*;

use super::*;

struct Vector {
    secret: &'static str,
    timestamp: &'static str,
    body: &'static str,
    signature: &'static str,
}

const FIRST: &str = "4d3c2b1a0f9e8d7c6b5a493827160504";
const SECOND: &str = "b0a1c2d3e4f5061728394a5b6c7d8e9f";
const VECTORS: [Vector; 5] = [
    Vector {
        secret: FIRST,
        timestamp: "1766000000",
        body: r#"{"token":"unused","challenge":"k7Qm2ZpX","type":"url_verification"}"#,
        signature: "v0=f6652af816f253d5577eff949b51c86513c70cf3720e6d749cb692ffb8cf565d",
    },
    Vector {
        secret: FIRST,
        timestamp: "1766000042",
        body: "payload=%7B%22type%22%3A%22block_actions%22%2C%22api_app_id%22%3A%22A0PROXY01%22%2C%22user%22%3A%7B%22id%22%3A%22U0ALICE01%22%7D%7D",
        signature: "v0=d21255a5c6d06f72b93cd7213ecb8ad281608738f3c7a555789936583dbe72bd",
    },
    Vector {
        secret: SECOND,
        timestamp: "1766000100",
        body: r#"{"type":"event_callback","event_id":"Ev0001","event":{"type":"message","text":"déploiement ✅ fini","channel":"C0OPS0001"}}"#,
        signature: "v0=e0ece0c0e65433b71229d1de0c68106d5c51e7d83e00bf046b18b22ad1b74582",
    },
    Vector {
        secret: SECOND,
        timestamp: "1766000160",
        body: "token=unused&team_id=T0TEAM001&channel_id=C0OPS0001&user_id=U0ALICE01&command=%2Fproxy&text=status+now&api_app_id=A0PROXY01",
        signature: "v0=f9822ccb59dfd6d3f0e49e89d7e14cf5e18bf7eef3087b49c245abad67042d52",
    },
    Vector {
        secret: SECOND,
        timestamp: "1766000100",
        body: "",
        signature: "v0=f69b571dcade2445bc761dc6f57fcdd87734ceb61de8a13aa2498cfc644f21d2",
    },
];

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

impl Vector {
    fn now(&self) -> u64 {
        self.timestamp.parse().unwrap()
    }

    fn verdict(&self, now: u64) -> Result<Mark, Unverified> {
        self.with(self.timestamp, self.signature, self.body.as_bytes(), now)
    }

    fn with(
        &self,
        timestamp: &str,
        signature: &str,
        body: &[u8],
        now: u64,
    ) -> Result<Mark, Unverified> {
        let proof = Proof {
            signature: Some(signature),
            timestamp: Some(timestamp),
        };
        verify(&[secret(self.secret)], proof, body, now)
    }
}

/// Every text that differs in one bit and is still text.
fn flipped(text: &str) -> impl Iterator<Item = String> {
    let flip = |bit: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        String::from_utf8(bytes).ok()
    };
    (0..text.len() * 8).filter_map(flip)
}

fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let digits: String = mac(&Secret::new(secret.to_owned()), timestamp, body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("v0={digits}")
}

/// F1
#[test]
fn what_slack_has_signed_is_let_in() {
    let marks: Vec<Mark> = VECTORS
        .iter()
        .map(|vector| vector.verdict(vector.now()).unwrap())
        .collect();

    for (at, mark) in marks.iter().enumerate() {
        assert!(!marks[..at].contains(mark));
    }
}

/// F2: 300 s both ways, to the second.
#[test]
fn a_time_more_than_five_minutes_away_is_stale() {
    let vector = &VECTORS[0];
    for away in [0, 1, 299, 300] {
        assert!(vector.verdict(vector.now() + away).is_ok(), "{away}");
        assert!(vector.verdict(vector.now() - away).is_ok(), "{away}");
    }
    for away in [301, 302, 86_400, vector.now()] {
        let stale = Err(Unverified::Stale);
        assert_eq!(vector.verdict(vector.now() + away), stale, "{away}");
        assert_eq!(vector.verdict(vector.now() - away), stale, "{away}");
    }
}

/// F1: what Slack would never send is malformed, and what is well-formed and wrong is forged.
#[test]
fn proofs_of_another_form_are_refused() {
    let vector = &VECTORS[0];
    let (time, good) = (vector.timestamp, vector.signature);
    let huge = "1".repeat(10_000);
    let upper = good.to_uppercase().replace("V0=", "v0=");
    let long = format!("{good}00");
    let (malformed, forged) = (Unverified::Malformed, Unverified::Forged);
    for (timestamp, signature, reason) in [
        ("01766000000", good, forged),
        ("+1766000000", good, malformed),
        ("-1766000000", good, malformed),
        ("1766000000 ", good, malformed),
        (" 1766000000", good, malformed),
        ("1766000000.0", good, malformed),
        ("1766000000\0", good, malformed),
        ("0x6943", good, malformed),
        ("abc", good, malformed),
        ("", good, malformed),
        ("١٧٦٦", good, malformed),
        (&huge, good, malformed),
        (time, "", malformed),
        (time, "v0=", malformed),
        (time, "v0", malformed),
        (time, &good[3..], malformed),
        (time, &upper, malformed),
        (time, &good.replace("v0=", "V0="), malformed),
        (time, &good.replace("v0=", "v1="), malformed),
        (time, &good.replace("v0=", "v0=v0="), malformed),
        (time, &good[..good.len() - 1], malformed),
        (time, &good[..good.len() - 2], malformed),
        (time, &long, malformed),
        (time, &format!("{good} "), malformed),
        (time, &format!("{good},{good}"), malformed),
        (time, &good.replace('f', "é"), malformed),
        (time, &good.replace('f', "g"), malformed),
        (time, &huge, malformed),
        (time, VECTORS[1].signature, forged),
        (VECTORS[1].timestamp, good, forged),
    ] {
        let verdict = vector.with(timestamp, signature, vector.body.as_bytes(), vector.now());
        assert_eq!(verdict, Err(reason), "{timestamp:.20} {signature:.80}");
    }
    for body in [
        format!("{}\n", vector.body),
        vector.body.replace(':', ": "),
        String::new(),
    ] {
        let verdict = vector.with(time, good, body.as_bytes(), vector.now());
        assert_eq!(verdict, Err(forged), "{body}");
    }
}

#[test]
fn a_header_that_is_missing_and_a_secret_that_is_not_set_let_nobody_in() {
    let vector = &VECTORS[4];
    let (some, all) = (Some(vector.signature), [secret(vector.secret)]);
    for (signature, timestamp) in [(None, Some(vector.timestamp)), (some, None), (None, None)] {
        let proof = Proof {
            signature,
            timestamp,
        };
        let verdict = verify(&all, proof, b"", vector.now());
        assert_eq!(verdict, Err(Unverified::Missing));
    }
    let proof = Proof {
        signature: some,
        timestamp: Some(vector.timestamp),
    };
    let verdict = verify(&[], proof, b"", vector.now());
    assert_eq!(verdict, Err(Unverified::Unconfigured));
}

#[test]
fn every_one_of_several_secrets_is_good() {
    let both = [secret(FIRST), secret(SECOND)];
    for vector in &VECTORS {
        let proof = Proof {
            signature: Some(vector.signature),
            timestamp: Some(vector.timestamp),
        };
        assert!(verify(&both, proof, vector.body.as_bytes(), vector.now()).is_ok());
    }
}

/// F1
#[test]
fn every_single_bit_counts() {
    for vector in &VECTORS {
        let (time, good, now) = (vector.timestamp, vector.signature, vector.now());
        for timestamp in flipped(time) {
            let verdict = vector.with(&timestamp, good, vector.body.as_bytes(), now);
            assert!(verdict.is_err(), "{timestamp}");
        }
        for signature in flipped(good) {
            let verdict = vector.with(time, &signature, vector.body.as_bytes(), now);
            assert!(verdict.is_err(), "{signature}");
        }
        for bit in 0..vector.body.len() * 8 {
            let mut body = vector.body.as_bytes().to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            let verdict = vector.with(time, good, &body, now);
            assert_eq!(verdict, Err(Unverified::Forged), "bit {bit}");
        }
        for other in flipped(vector.secret) {
            let proof = Proof {
                signature: Some(good),
                timestamp: Some(time),
            };
            let verdict = verify(&[secret(&other)], proof, vector.body.as_bytes(), now);
            assert_eq!(verdict, Err(Unverified::Forged), "{other}");
        }
    }
}

proptest! {
    /// F1: any bytes are a body, and only these.
    #[test]
    fn a_body_and_its_signature_belong_together(
        key in "[!-~]{16,64}",
        body in proptest::collection::vec(any::<u8>(), 0..300),
        other in proptest::collection::vec(any::<u8>(), 0..300),
        now in 1_000_000_000u64..99_999_999_999,
        away in -1_000i64..1_000,
    ) {
        let at = now.saturating_add_signed(away).to_string();
        let signature = sign(&key, &at, &body);
        let proof = Proof { signature: Some(&signature), timestamp: Some(&at) };
        let secrets = [secret(&key)];

        let verdict = verify(&secrets, proof, &body, now);
        let swapped = verify(&secrets, proof, &other, now);

        if at.len() <= 11 {
            prop_assert_eq!(verdict.is_ok(), away.unsigned_abs() <= 300);
            prop_assert!(verdict.is_ok() || verdict == Err(Unverified::Stale));
        }
        prop_assert!(swapped.is_err() || other == body);
    }

    #[test]
    fn any_proof_is_answered_and_none_is_good(
        signature in proptest::option::of("(v0=)?\\PC{0,80}"),
        timestamp in proptest::option::of("[0-9]{0,30}|\\PC{0,30}"),
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let proof = Proof { signature: signature.as_deref(), timestamp: timestamp.as_deref() };

        prop_assert!(verify(&[secret(FIRST)], proof, &body, 1_766_000_000).is_err());
    }
}
