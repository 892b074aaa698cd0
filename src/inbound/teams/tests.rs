//! The rules of tokens at their exact bounds, with the time given: reference/teams.md 4.1 and 4.3. What needs no bound is tried
//! over a socket, in `tests/it/inbound/teams.rs`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

use super::*;

mod activity;

const NOW: u64 = 1_790_000_000;
const ISSUER: &str = "https://api.botframework.com";
const APP: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
const SERVICE: &str = "https://smba.trafficmanager.net/emea/";
const TENANT: &str = "3b0f1c22-0000-4000-8000-000000000001";

fn pair() -> RsaKeyPair {
    let key = include_bytes!("../../../tests/it/support/keys/first.test-only.pk8");
    RsaKeyPair::from_pkcs8(key).unwrap()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn jwk(endorsements: Value) -> Value {
    let parts: RsaPublicKeyComponents<Vec<u8>> = pair().public().into();
    json!({"kty": "RSA", "kid": "first", "n": encode(parts.n), "e": encode(parts.e), "endorsements": endorsements})
}

fn set(keys: &Value) -> Option<KeySet> {
    let body = json!({"keys": keys}).to_string();
    KeySet::parse(ISSUER.to_owned(), body.as_bytes())
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": APP, "exp": NOW + 3600, "nbf": NOW - 60, "serviceurl": SERVICE})
}

fn with(mut value: Value, changes: Value) -> Value {
    for (name, new) in changes.as_object().unwrap() {
        match new {
            Value::Null => drop(value.as_object_mut().unwrap().remove(name)),
            new => value[name] = new.clone(),
        }
    }
    value
}

fn signed(header: &Value, claims: &Value) -> String {
    let message = format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    );
    let pair = pair();
    let mut signature = vec![0; pair.public().modulus_len()];
    let random = SystemRandom::new();
    pair.sign(
        &RSA_PKCS1_SHA256,
        &random,
        message.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("Bearer {message}.{}", encode(signature))
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "first"})
}

/// The verdict on a header and claims that are well signed.
fn verdict(header: &Value, claims: &Value) -> Result<(), Unverified> {
    let keys = set(&json!([jwk(json!(["msteams"]))])).unwrap();
    let authorization = signed(header, claims);
    let token = Token::of(Some(&authorization))?;
    if !token.is_of(keys.issuer()) {
        return Err(Unverified::Misdirected);
    }
    let key = keys.find(token.kid()).ok_or(Unverified::Forged)?;
    verify(&token, key, keys.issuer(), APP, NOW).map(drop)
}

/// F4: 300 s both ways, and not one more.
#[test]
fn a_token_is_good_within_its_times_and_300_s() {
    for (changes, want) in [
        (json!({}), Ok(())),
        (json!({"nbf": null}), Ok(())),
        (json!({"exp": NOW - 240}), Ok(())),
        (json!({"exp": NOW - 299}), Ok(())),
        (json!({"exp": NOW - 300}), Err(Unverified::Stale)),
        (json!({"exp": NOW - 360}), Err(Unverified::Stale)),
        (json!({"exp": 0}), Err(Unverified::Stale)),
        (json!({"exp": u64::MAX}), Ok(())),
        (json!({"nbf": NOW + 240}), Ok(())),
        (json!({"nbf": NOW + 299}), Ok(())),
        (json!({"nbf": NOW + 300}), Err(Unverified::Stale)),
        (json!({"nbf": NOW + 360}), Err(Unverified::Stale)),
        (json!({"nbf": u64::MAX}), Err(Unverified::Stale)),
    ] {
        assert_eq!(
            verdict(&header(), &with(claims(), changes.clone())),
            want,
            "{changes}"
        );
    }
}

/// F4: claims of another type, or none, are no claims.
#[test]
fn claims_are_what_the_specification_says_or_refused() {
    for changes in [
        json!({"exp": null}),
        json!({"exp": (NOW + 60).to_string()}),
        json!({"exp": (NOW + 60) as f64 + 0.5}),
        json!({"exp": -1}),
        json!({"exp": [NOW + 60]}),
        json!({"nbf": "0"}),
        json!({"nbf": 0.5}),
        json!({"nbf": -1}),
        json!({"iss": null}),
        json!({"iss": [ISSUER]}),
        json!({"iss": "https://api.botframework.com/"}),
        json!({"iss": "https://api.botframework.us"}),
        json!({"aud": null}),
        json!({"aud": [APP]}),
        json!({"aud": [APP, "other"]}),
        json!({"aud": APP.to_uppercase()}),
        json!({"aud": format!("api://{APP}")}),
        json!({"serviceurl": [SERVICE]}),
    ] {
        let refused = verdict(&header(), &with(claims(), changes.clone()));
        assert!(refused.is_err(), "{changes}");
    }
}

/// F4: what the header of a token says is believed of its key's name alone.
#[test]
fn a_header_chooses_no_algorithm_and_brings_no_key() {
    for (changes, want) in [
        (json!({"typ": "JWT", "x5t": "first"}), Ok(())),
        (
            json!({"jku": "https://evil.test/keys", "x5u": "https://evil.test/"}),
            Ok(()),
        ),
        (
            json!({"x5c": ["MIIC"], "jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}),
            Ok(()),
        ),
        (json!({"alg": "none"}), Err(Unverified::Malformed)),
        (json!({"alg": "RS384"}), Err(Unverified::Malformed)),
        (json!({"alg": "PS256"}), Err(Unverified::Malformed)),
        (json!({"alg": "HS256"}), Err(Unverified::Malformed)),
        (json!({"alg": "rs256"}), Err(Unverified::Malformed)),
        (json!({"crit": ["exp"]}), Err(Unverified::Malformed)),
        (json!({"crit": []}), Err(Unverified::Malformed)),
        (json!({"kid": null}), Err(Unverified::Malformed)),
        (json!({"kid": ""}), Err(Unverified::Malformed)),
        (json!({"kid": 1}), Err(Unverified::Malformed)),
        (json!({"kid": "First"}), Err(Unverified::Forged)),
    ] {
        assert_eq!(
            verdict(&with(header(), changes.clone()), &claims()),
            want,
            "{changes}"
        );
    }
}

#[test]
fn a_header_value_is_bearer_one_space_and_three_parts() {
    let good = signed(&header(), &claims());
    assert!(Token::of(Some(&good)).is_ok());
    let text = good.strip_prefix("Bearer ").unwrap();
    for bad in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("bearer {text}"),
        format!("BEARER {text}"),
        format!("Bearer  {text}"),
        format!("Bearer\t{text}"),
        format!("Basic {text}"),
        format!("Bearer {text} "),
        format!("Bearer {text}="),
        format!("Bearer {text}."),
        format!("Bearer {text}.{text}"),
        format!("Bearer .{text}"),
        format!("Bearer {}", text.replacen('.', "..", 1)),
        format!("Bearer {}", text.rsplit_once('.').unwrap().0),
        format!("Bearer {}.", text.rsplit_once('.').unwrap().0),
        "Bearer a.b.c".to_owned(),
        "Bearer e30.e30.e30".to_owned(),
    ] {
        assert_eq!(
            Token::of(Some(&bad)).err(),
            Some(Unverified::Malformed),
            "{bad}"
        );
    }
    assert_eq!(Token::of(None).err(), Some(Unverified::Missing));
}

/// Only RSA keys that sign, in either spelling of zeros, and never more than are meant to be there.
#[test]
fn of_a_key_set_only_what_can_be_used_is_kept() {
    let good = || jwk(json!(["msteams"]));
    let changed = |changes: Value| json!([with(good(), changes)]);
    for bad in [
        json!([]),
        json!(["x", 1, null, {}]),
        changed(json!({"kty": "EC"})),
        changed(json!({"kid": null})),
        changed(json!({"kid": ""})),
        changed(json!({"kid": "k".repeat(257)})),
        changed(json!({"use": "enc"})),
        changed(json!({"alg": "RS512"})),
        changed(json!({"n": "*"})),
        changed(json!({"n": ""})),
        changed(json!({"n": encode([1; 1025])})),
        changed(json!({"e": encode([0; 3])})),
    ] {
        assert!(set(&bad).is_none(), "{bad}");
    }
    let keys = set(&json!([{"kty": "oct"}, with(good(), json!({"use": "sig", "alg": "RS256"}))]));
    assert!(keys.unwrap().find("first").unwrap().is_endorsed());
    for endorsements in [
        json!(null),
        json!([]),
        json!(["webchat"]),
        json!("msteams"),
        json!({"msteams": 1}),
    ] {
        let keys = set(&json!([jwk(endorsements)])).unwrap();
        assert!(!keys.find("first").unwrap().is_endorsed());
    }
    let many: Vec<Value> = (0..1000)
        .map(|n| with(good(), json!({"kid": n.to_string()})))
        .collect();
    let keys = set(&json!(many)).unwrap();
    assert!(keys.find("255").is_some() && keys.find("256").is_none());
    for body in ["", "{}", "[]", r#"{"keys":{}}"#] {
        assert!(KeySet::parse(ISSUER.to_owned(), body.as_bytes()).is_none());
    }
}

#[test]
fn metadata_leads_to_keys_over_tls_or_on_this_machine() {
    let parse = |issuer: &str, keys: &str| {
        let body = json!({"issuer": issuer, "jwks_uri": keys}).to_string();
        Metadata::parse(body.as_bytes())
    };
    assert!(parse(ISSUER, "https://login.botframework.com/v1/.well-known/keys").is_some());
    assert!(parse(ISSUER, "http://127.0.0.1:4000/keys").is_some());
    for (issuer, keys) in [
        (ISSUER, "http://login.botframework.com/v1/.well-known/keys"),
        (ISSUER, "file:///etc/passwd"),
        (ISSUER, "https://u:p@login.botframework.com/"),
        (ISSUER, ""),
        ("", "https://login.botframework.com/"),
    ] {
        assert!(parse(issuer, keys).is_none(), "{keys}");
    }
    assert_eq!(issuer_of("login.botframework.com"), Some(ISSUER));
    assert_eq!(issuer_of("login.botframework.com.evil.test"), None);
}

proptest! {
    /// F4: a token with any byte changed is not the token.
    #[test]
    fn no_token_with_another_byte_is_good(at in 0usize..700, byte in any::<u8>()) {
        let good = signed(&header(), &claims());
        let mut bytes = good.clone().into_bytes();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let keys = set(&json!([jwk(json!(["msteams"]))])).unwrap();
        let verdict = Token::of(Some(&text)).and_then(|token| {
            let key = keys.find("first").ok_or(Unverified::Forged)?;
            verify(&token, key, ISSUER, APP, NOW).map(drop)
        });
        prop_assert!(verdict.is_err());
    }
}
