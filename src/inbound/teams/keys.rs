//! The issuer and its keys, as its OpenID documents give them. PURE; both documents come from another machine, so whatever is
//! not understood in them is passed over, and how much is kept is bounded.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;

use super::CHANNEL;
use crate::domain::web_url::WebUrl;

/// More keys than Microsoft publishes at once, by far.
const MAX_KEYS: usize = 256;
/// Longer names of keys are no names.
const MAX_KID_BYTES: usize = 256;
/// 8192 bits: the largest key that ring takes.
const MAX_MODULUS_BYTES: usize = 1024;
const MAX_EXPONENT_BYTES: usize = 8;
const MAX_ISSUER_BYTES: usize = 512;

/// The issuer of each cloud, by the host of its metadata: reference/teams.md 1.1, checked 2026-11-21.
const ISSUERS: [(&str, &str); 3] = [
    ("login.botframework.com", "https://api.botframework.com"),
    ("login.botframework.azure.us", "https://api.botframework.us"),
    (
        "login.botframework.azure.cn",
        "https://api.botframework.azure.cn",
    ),
];

/// The issuer of the cloud whose metadata is on this host; elsewhere the metadata names it.
#[must_use]
pub fn issuer_of(host: &str) -> Option<&'static str> {
    let found = ISSUERS.iter().find(|(known, _)| *known == host);
    found.map(|(_, issuer)| *issuer)
}

/// The OpenID metadata.
#[derive(Debug)]
pub struct Metadata {
    /// Who signs.
    pub issuer: String,
    /// Where its keys are.
    pub keys: WebUrl,
}

#[derive(Deserialize)]
struct RawMetadata {
    issuer: String,
    jwks_uri: String,
}

impl Metadata {
    /// Reads the document. Keys come over TLS, except on this machine.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let raw: RawMetadata = serde_json::from_slice(body).ok()?;
        let keys = WebUrl::parse(&raw.jwks_uri).ok()?;
        let is_safe = keys.is_https() || keys.is_loopback();
        let is_good = is_safe && !raw.issuer.is_empty() && raw.issuer.len() <= MAX_ISSUER_BYTES;
        is_good.then_some(Self {
            issuer: raw.issuer,
            keys,
        })
    }
}

/// A key that tokens are signed with.
#[derive(Debug)]
pub struct Key {
    kid: String,
    pub(super) decoding: DecodingKey,
    is_endorsed: bool,
}

impl Key {
    /// Whether it may sign for Teams. A key that names no channels may sign for none.
    #[must_use]
    pub fn is_endorsed(&self) -> bool {
        self.is_endorsed
    }
}

/// The keys of an issuer.
#[derive(Debug)]
pub struct KeySet {
    issuer: String,
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct RawKeys {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: String,
    n: String,
    e: String,
    #[serde(default)]
    r#use: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    endorsements: Value,
}

impl KeySet {
    /// Reads the document; `None` if it holds no key that could be used.
    #[must_use]
    pub fn parse(issuer: String, body: &[u8]) -> Option<Self> {
        let raw: RawKeys = serde_json::from_slice(body).ok()?;
        let keys: Vec<Key> = raw
            .keys
            .into_iter()
            .filter_map(key)
            .take(MAX_KEYS)
            .collect();
        (!keys.is_empty()).then_some(Self { issuer, keys })
    }

    /// Who signs with these keys.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The key of this name.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

fn key(raw: Value) -> Option<Key> {
    let raw: RawKey = serde_json::from_value(raw).ok()?;
    let is_for_tokens = raw.kty == "RSA"
        && raw.r#use.is_none_or(|r#use| r#use == "sig")
        && raw.alg.is_none_or(|alg| alg == "RS256")
        && !raw.kid.is_empty()
        && raw.kid.len() <= MAX_KID_BYTES;
    if !is_for_tokens {
        return None;
    }
    let modulus = number(&raw.n, MAX_MODULUS_BYTES)?;
    let exponent = number(&raw.e, MAX_EXPONENT_BYTES)?;
    let channels = raw.endorsements.as_array();
    Some(Key {
        kid: raw.kid,
        decoding: DecodingKey::from_rsa_raw_components(&modulus, &exponent),
        is_endorsed: channels.is_some_and(|names| names.iter().any(|name| name == CHANNEL)),
    })
}

/// A big number without the zeros in front, which ring does not take.
fn number(text: &str, max_bytes: usize) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    let start = bytes.iter().position(|&byte| byte != 0)?;
    let number = bytes.get(start..)?;
    (number.len() <= max_bytes).then(|| number.to_vec())
}
