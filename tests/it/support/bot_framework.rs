//! A fake of the Bot Framework's side that signs: OpenID metadata, keys that can be exchanged, and tokens, good ones and others.
//!
//! The RSA keys under `keys` were made for these tests and sign nothing else. ring can sign with a key and cannot make one.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

use super::{Environment, Gate, Reply, Teams, Upstream};

/// A pair of keys of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestKey {
    First,
    Second,
    /// Never published.
    Foreign,
}

impl TestKey {
    fn pair(self) -> RsaKeyPair {
        let pkcs8: &[u8] = match self {
            Self::First => include_bytes!("keys/first.test-only.pk8"),
            Self::Second => include_bytes!("keys/second.test-only.pk8"),
            Self::Foreign => include_bytes!("keys/foreign.test-only.pk8"),
        };
        RsaKeyPair::from_pkcs8(pkcs8).expect("the test keys are RSA in PKCS#8")
    }

    /// Modulus and exponent, in base64url.
    pub fn public(self) -> (String, String) {
        let parts: ring::signature::RsaPublicKeyComponents<Vec<u8>> = self.pair().public().into();
        (encode(&parts.n), encode(&parts.e))
    }

    /// As a member of a key set.
    pub fn jwk(self, kid: &str, endorsements: Value) -> Value {
        let (n, e) = self.public();
        json!({"kty": "RSA", "use": "sig", "kid": kid, "x5t": kid, "n": n, "e": e, "x5c": ["MIIC"],
            "endorsements": endorsements})
    }
}

/// How a token is signed.
#[derive(Clone, Debug)]
pub enum Signing {
    Rs256(TestKey),
    Rs384(TestKey),
    Rs512(TestKey),
    Ps256(TestKey),
    /// HMAC with this key: with a public one, the classic confusion.
    Hs256(Vec<u8>),
    /// These bytes.
    Raw(Vec<u8>),
}

impl Signing {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let rsa = |key: &TestKey, how: &'static dyn RsaEncoding| {
            let pair = key.pair();
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(how, &SystemRandom::new(), message, &mut signature)
                .expect("RSA signs");
            signature
        };
        match self {
            Self::Rs256(key) => rsa(key, &RSA_PKCS1_SHA256),
            Self::Rs384(key) => rsa(key, &RSA_PKCS1_SHA384),
            Self::Rs512(key) => rsa(key, &RSA_PKCS1_SHA512),
            Self::Ps256(key) => rsa(key, &RSA_PSS_SHA256),
            Self::Hs256(secret) => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
                ring::hmac::sign(&key, message).as_ref().to_vec()
            }
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

/// A token with this header and these claims.
pub fn token(header: &Value, claims: &Value, signing: &Signing) -> String {
    let part = |value: &Value| encode(value.to_string().as_bytes());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = encode(&signing.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970, for the times in tokens.
pub fn unix_s() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("it is after 1970").as_secs()
}

struct State {
    keys: Vec<Value>,
    /// What the metadata and the keys are answered with instead.
    instead: Option<Reply>,
    /// Behind which the metadata waits.
    gate: Option<Gate>,
}

/// The fake. Also an `Upstream`: `requests()`, `down()`, `up()`.
pub struct BotFramework {
    upstream: Upstream,
    state: Arc<Mutex<State>>,
}

const ISSUER: &str = "https://issuer.test";
const METADATA: &str = "/v1/.well-known/openidconfiguration";
const KEYS: &str = "/v1/.well-known/keys";

impl BotFramework {
    /// Publishes the first key as `first`, endorsed for Teams and others.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            keys: vec![TestKey::First.jwk("first", json!(["webchat", "msteams"]))],
            instead: None,
            gate: None,
        }));
        let shared = state.clone();
        let upstream =
            Upstream::start(move |request| answer(&lock(&shared), request.path(), request));
        Self { upstream, state }
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: Vec<Value>) {
        lock(&self.state).keys = keys;
    }

    /// Answers everything with this from now on.
    pub fn instead(&self, reply: Option<Reply>) {
        lock(&self.state).instead = reply;
    }

    /// Answers with the metadata when `gate` opens.
    pub fn hold(&self, gate: &Gate) {
        lock(&self.state).gate = Some(gate.clone());
    }

    pub fn issuer(&self) -> &'static str {
        ISSUER
    }

    /// How often the keys were fetched.
    pub fn fetches(&self) -> usize {
        let requests = self.requests();
        requests.iter().filter(|r| r.path() == METADATA).count()
    }

    /// The claims of a good token for this bot and service.
    pub fn claims(&self, teams: &Teams, service_url: &str) -> Value {
        let now = unix_s();
        json!({"iss": ISSUER, "aud": teams.app_id(), "nbf": now - 60, "exp": now + 3600, "serviceurl": service_url})
    }

    /// The value of `Authorization` before this activity, all good.
    pub fn authorization(&self, teams: &Teams, activity: &Value) -> String {
        let service_url = activity["serviceUrl"].as_str().unwrap_or_default();
        self.authorization_by(TestKey::First, "first", teams, service_url)
    }

    /// The same with a key of one's own choice.
    pub fn authorization_by(
        &self,
        key: TestKey,
        kid: &str,
        teams: &Teams,
        service_url: &str,
    ) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": kid, "x5t": kid});
        let claims = self.claims(teams, service_url);
        format!("Bearer {}", token(&header, &claims, &Signing::Rs256(key)))
    }
}

fn answer(state: &State, path: &str, request: &super::Request) -> Reply {
    if let Some(reply) = &state.instead {
        return reply.clone();
    }
    let host = request.header("host").unwrap_or_default();
    let held = |reply: Reply| match &state.gate {
        Some(gate) => reply.held(gate),
        None => reply,
    };
    match path {
        METADATA => held(Reply::json(
            200,
            json!({"issuer": ISSUER, "jwks_uri": format!("http://{host}{KEYS}"),
                "authorization_endpoint": "https://invalid.example.com",
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"]}),
        )),
        KEYS => Reply::json(200, json!({"keys": state.keys})),
        _ => Reply::status(404),
    }
}

impl Environment for BotFramework {
    fn env(&self) -> Vec<(String, String)> {
        [
            ("TEAMS_OPENID_URL", self.url() + METADATA),
            ("TEAMS_TRUSTED_SERVICE_HOSTS", "127.0.0.1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

impl Deref for BotFramework {
    type Target = Upstream;

    fn deref(&self) -> &Upstream {
        &self.upstream
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
