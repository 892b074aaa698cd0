//! Any request to Teams' address, and any answer of the server of the keys: nobody is let in without the key, and nothing in a
//! signed token or in the activity behind it panics.
#![no_main]

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use message_webhook_proxy::inbound::Unverified;
use message_webhook_proxy::inbound::teams::{
    Activity, KeySet, Lesson, Metadata, Rules, Token, admit, verify,
};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};

const NOW: u64 = 1_790_000_000;
const ISSUER: &str = "https://api.botframework.com";
const APP: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
const TENANT: &str = "3b0f1c22-0000-4000-8000-000000000001";

/// `$` is the text.
const CLAIMS: &[&str] = &[
    r#"{"iss":"https://api.botframework.com","aud":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee","exp":1790000600,"serviceurl":"https://smba.trafficmanager.net/emea/"}"#,
    r#"{"iss":"https://api.botframework.com","aud":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee","exp":1790000600,"serviceurl":"$"}"#,
    r#"{"iss":"https://api.botframework.com","aud":"$","exp":$,"nbf":$,"serviceurl":"https://smba.trafficmanager.net/emea/"}"#,
    r#"{"iss":"https://api.botframework.com",$}"#,
];
const ACTIVITIES: &[&str] = &[
    r#"{"type":"message","channelId":"msteams","serviceUrl":"https://smba.trafficmanager.net/emea/","id":"1","from":{"id":"29:a"},"recipient":{"id":"28:b"},"conversation":{"id":"19:a@thread.tacv2;messageid=1"},"text":"<at>b</at> $","entities":[{"type":"mention","text":"<at>b</at>","mentioned":{"id":"28:b"}}]}"#,
    r#"{"type":"message","channelId":"msteams","serviceUrl":"https://smba.trafficmanager.net/emea/","recipient":{"id":"28:b"},"conversation":{"id":"$","conversationType":"personal"},"text":"$","entities":[{"type":"mention","text":"$","mentioned":{"id":"28:b"}},$]}"#,
    r#"{"type":"$","channelId":"msteams","serviceUrl":"https://smba.trafficmanager.net/emea/","conversation":{"id":"a:1","tenantId":"$"},"action":"$","membersRemoved":[$],"channelData":{$}}"#,
    r#"{"type":"message","channelId":"$","serviceUrl":"$","conversation":{"id":"a:1"},$}"#,
];
const KEYS: &[&str] = &[
    r#"{"keys":[{"kty":"RSA","kid":"$","n":"$","e":"AQAB","endorsements":["msteams"]},$]}"#,
    r#"{"issuer":"$","jwks_uri":"https://$"}"#,
    r#"{"issuer":"$","jwks_uri":"$"}"#,
];

fn pair() -> &'static RsaKeyPair {
    static PAIR: OnceLock<RsaKeyPair> = OnceLock::new();
    PAIR.get_or_init(|| {
        let key = include_bytes!("../../tests/it/support/keys/first.test-only.pk8");
        RsaKeyPair::from_pkcs8(key).expect("a key of the tests")
    })
}

fn keys() -> &'static KeySet {
    static KEYS: OnceLock<KeySet> = OnceLock::new();
    KEYS.get_or_init(|| {
        let parts: RsaPublicKeyComponents<Vec<u8>> = pair().public().into();
        let (n, e) = (URL_SAFE_NO_PAD.encode(parts.n), URL_SAFE_NO_PAD.encode(parts.e));
        let set = format!(r#"{{"keys":[{{"kty":"RSA","kid":"k","n":"{n}","e":"{e}","endorsements":["msteams"]}}]}}"#);
        KeySet::parse(ISSUER.to_owned(), set.as_bytes()).expect("a key set")
    })
}

fn filled(shapes: &[&str], shape: u8, text: &str) -> String {
    let shape = shapes.get(usize::from(shape) % (shapes.len() + 1));
    shape.map_or_else(|| text.to_owned(), |shape| shape.replace('$', text))
}

fn signed(claims: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"k"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mut signature = vec![0; pair().public().modulus_len()];
    let done = pair().sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature);
    done.expect("RSA signs");
    format!("Bearer {message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn let_in(authorization: &str, body: &[u8]) -> Result<Option<Activity>, Unverified> {
    let token = Token::of(Some(authorization))?;
    let key = keys().find(token.kid()).ok_or(Unverified::Forged)?;
    let verified = verify(&token, key, ISSUER, APP, NOW)?;
    let Ok(activity) = Activity::parse(body) else { return Ok(None) };
    let rules = Rules {
        tenant: Some(TENANT),
        is_trusted: &|url| url.starts_with("https://smba.trafficmanager.net/"),
    };
    admit(&activity, &verified, &rules)?;
    Ok(Some(activity))
}

// Three bytes of shapes, a line for the claims or the whole header, and the rest for what is inside.
fuzz_target!(|data: &[u8]| {
    let Some((&[way, claims, shape], text)) = data.split_first_chunk() else { return };
    let text = String::from_utf8_lossy(text);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, &text));
    match way % 3 {
        // Whatever is sent without the key.
        0 => {
            let value = if claims & 1 == 0 { first.to_owned() } else { format!("Bearer {first}") };
            assert!(let_in(&value, rest.as_bytes()).is_err());
        }
        // Whatever is behind a signature.
        1 => {
            let value = signed(&filled(CLAIMS, claims, first));
            let body = filled(ACTIVITIES, shape, rest);
            let Ok(Some(activity)) = let_in(&value, body.as_bytes()) else { return };
            assert!(activity.service_url().to_ascii_lowercase().starts_with("https://smba.trafficmanager.net/"));
            assert!(activity.tenant().is_none_or(|tenant| tenant.eq_ignore_ascii_case(TENANT)));
            assert!(!activity.conversation().contains(";messageid="));
            let is_gone = activity.lesson() != Lesson::Here;
            assert!(!is_gone || activity.kind().ends_with("Update"));
            assert!(!activity.is_own(APP) || !is_gone);
            assert_eq!(activity.mark(), activity.mark());
            let mention = activity.mention();
            assert!(mention.is_none_or(|m| m.text == m.text.trim() && m.text.len() <= body.len()));
        }
        // Whatever the server of the keys says.
        _ => {
            let body = filled(KEYS, shape, &text);
            if let Some(metadata) = Metadata::parse(body.as_bytes()) {
                assert!(metadata.keys.is_https() || metadata.keys.is_loopback());
            }
            let set = KeySet::parse(ISSUER.to_owned(), body.as_bytes());
            let value = signed(CLAIMS[0]);
            // A key of somebody else's does not take our signature.
            if let (Some(set), Ok(token)) = (set, Token::of(Some(&value))) {
                let key = set.find("k");
                assert!(key.is_none_or(|key| verify(&token, key, ISSUER, APP, NOW).is_err()));
            }
        }
    }
});
