//! The token: its form, its signature, and for whom and when it is good. PURE.
//!
//! The library reads the parts and has the signature checked; the rules are spelled out here, because it takes lists where
//! one value is right, rounds times, and has a clock of its own.

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;

use super::keys::Key;
use super::rs256;
use crate::inbound::Unverified;

/// How far the sender's clock may be from ours, in seconds: reference/teams.md 4.
const SKEW_S: u64 = 300;

/// A token that has the form of one. Nothing in it is believed.
pub struct Token<'a> {
    text: &'a str,
    kid: String,
    issuer: String,
}

#[derive(Deserialize)]
struct Issued {
    iss: String,
}

/// What is looked at in a signed token. Another type than that of the specification is a refusal.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    exp: u64,
    #[serde(default)]
    nbf: Option<u64>,
    #[serde(default)]
    serviceurl: Option<String>,
}

/// A token that is good, and the key that says so.
pub struct Verified<'a> {
    pub(super) key: &'a Key,
    service_url: Option<String>,
}

impl<'a> Token<'a> {
    /// Reads the value of `Authorization`: `Bearer`, one space, three parts in base64url.
    ///
    /// # Errors
    /// [`Unverified`].
    pub fn of(authorization: Option<&'a str>) -> Result<Self, Unverified> {
        rs256::install();
        let value = authorization.ok_or(Unverified::Missing)?;
        let text = value.strip_prefix("Bearer ").ok_or(Unverified::Malformed)?;
        let is_plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if text.split('.').count() != 3 || !text.split('.').all(is_plain) {
            return Err(Unverified::Malformed);
        }
        let header = decode_header(text).map_err(|_| Unverified::Malformed)?;
        // Whatever a header says must be understood is not understood here.
        if header.alg != Algorithm::RS256 || header.crit.is_some() {
            return Err(Unverified::Malformed);
        }
        let kid = header.kid.filter(|kid| !kid.is_empty());
        let issued: Issued = insecure_decode_claims(text).map_err(|_| Unverified::Malformed)?;
        Ok(Self {
            text,
            kid: kid.ok_or(Unverified::Malformed)?,
            issuer: issued.iss,
        })
    }

    /// The name of the key that it says it is signed with.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Whether it says that it is of this issuer: a look before its key is looked for, and no proof.
    #[must_use]
    pub fn is_of(&self, issuer: &str) -> bool {
        self.issuer == issuer
    }
}

/// Checks the signature, the issuer, the receiver and the times.
///
/// # Errors
/// [`Unverified`].
pub fn verify<'a>(
    token: &Token<'_>,
    key: &'a Key,
    issuer: &str,
    app_id: &str,
    unix_s: u64,
) -> Result<Verified<'a>, Unverified> {
    let mut rules = Validation::new(Algorithm::RS256);
    // Its clock is not ours, and it takes one of several receivers: these are checked below.
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules.validate_aud = false;
    let decoded = decode::<Claims>(token.text, &key.decoding, &rules);
    let claims = decoded.map_err(|e| reason(e.kind()))?.claims;
    if claims.iss != issuer || claims.aud != app_id {
        return Err(Unverified::Misdirected);
    }
    let is_over = claims.exp.saturating_add(SKEW_S) <= unix_s;
    let is_early = |nbf: u64| nbf >= unix_s.saturating_add(SKEW_S);
    if is_over || claims.nbf.is_some_and(is_early) {
        return Err(Unverified::Stale);
    }
    Ok(Verified {
        key,
        service_url: claims.serviceurl,
    })
}

fn reason(kind: &ErrorKind) -> Unverified {
    match kind {
        ErrorKind::InvalidSignature => Unverified::Forged,
        _ => Unverified::Malformed,
    }
}

impl Verified<'_> {
    /// Whether the token is for this service: but for case and one slash at the end, as the platform's newest SDK compares
    /// (reference/teams.md 4.1, step 12).
    pub(super) fn is_of_service(&self, service_url: &str) -> bool {
        let bare = |url: &str| url.strip_suffix('/').unwrap_or(url).to_ascii_lowercase();
        self.service_url
            .as_deref()
            .is_some_and(|claimed| bare(claimed) == bare(service_url))
    }
}
