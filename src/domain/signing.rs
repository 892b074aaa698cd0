//! Signed URLs: a credential for places that leak. It opens one channel, can expire, and shows nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::secret::Secret;

/// What a signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `c`: any message to exactly this channel.
    Channel,
    /// `m`: exactly this message and these options.
    Message,
}

/// `?sig=<scope>.<exp>.<mac>`, parsed and not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    scope: Scope,
    expires: String,
    mac: Vec<u8>,
}

/// What is signed, as decoded from the URL and before any cleaning.
#[derive(Clone, Copy)]
pub struct Signed<'a> {
    /// The channel as decoded.
    pub channel: &'a str,
    /// The message as decoded.
    pub message: &'a str,
    /// Every known option but `sig`, decoded, in any order.
    pub options: &'a [(&'static str, String)],
}

/// Why a signature opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Malformed, or made with another key or for another request.
    #[error("the signature does not match this request")]
    Bad,
    /// Genuine, but its time is over.
    #[error("the signature has expired")]
    Expired,
}

/// `SIGNING_KEYS`: the first signs, all verify.
#[derive(Debug, Clone, Default)]
pub struct SigningKeys(Vec<Secret>);

/// Why `SIGNING_KEYS` is refused; it shows no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("key {entry} has {length} characters, at least {min} are needed", min = SigningKeys::MIN_KEY_CHARS)]
pub struct SigningKeyError {
    entry: usize,
    length: usize,
}

impl Scope {
    fn letter(self) -> &'static str {
        match self {
            Self::Channel => "c",
            Self::Message => "m",
        }
    }
}

impl Signature {
    /// Parses `<scope>.<exp>.<mac>`.
    ///
    /// # Errors
    /// [`SignatureError::Bad`] for any other form.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let mut fields = text.split('.');
        let (Some(scope), Some(expires), Some(mac), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(SignatureError::Bad);
        };
        let scope = match scope {
            "c" => Scope::Channel,
            "m" => Scope::Message,
            _ => return Err(SignatureError::Bad),
        };
        let digits = !expires.is_empty()
            && expires.len() <= 15
            && expires.bytes().all(|b| b.is_ascii_digit());
        if !digits {
            return Err(SignatureError::Bad);
        }
        let mac = URL_SAFE_NO_PAD
            .decode(mac)
            .map_err(|_| SignatureError::Bad)?;
        Ok(Self {
            scope,
            expires: expires.to_owned(),
            mac,
        })
    }

    /// What this signature covers.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    fn is_over(&self, now_unix_s: u64) -> bool {
        let expires: u64 = self.expires.parse().unwrap_or(0);
        expires != 0 && expires <= now_unix_s
    }
}

impl SigningKeys {
    /// The fewest characters of a key.
    pub const MIN_KEY_CHARS: usize = 32;

    /// Parses keys separated by white space.
    ///
    /// # Errors
    /// Every key that is too short.
    pub fn parse(text: &str) -> Result<Self, Vec<SigningKeyError>> {
        let short: Vec<_> = text
            .split_whitespace()
            .enumerate()
            .map(|(index, key)| SigningKeyError {
                entry: index + 1,
                length: key.chars().count(),
            })
            .filter(|fault| fault.length < Self::MIN_KEY_CHARS)
            .collect();
        if short.is_empty() {
            Ok(Self(
                text.split_whitespace()
                    .map(|key| Secret::new(key.to_owned()))
                    .collect(),
            ))
        } else {
            Err(short)
        }
    }

    /// Whether no key is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks a signature against every key, then its time.
    ///
    /// # Errors
    /// [`SignatureError::Bad`] before [`SignatureError::Expired`]: only a genuine signature learns that.
    pub fn verify(
        &self,
        signature: &Signature,
        signed: Signed<'_>,
        now_unix_s: u64,
    ) -> Result<(), SignatureError> {
        let text = canonical(signature.scope, &signature.expires, signed);
        let mut genuine = false;
        for key in &self.0 {
            genuine |= mac(key, &text).is_some_and(|m| m.verify_slice(&signature.mac).is_ok());
        }
        if !genuine {
            return Err(SignatureError::Bad);
        }
        if signature.is_over(now_unix_s) {
            return Err(SignatureError::Expired);
        }
        Ok(())
    }

    /// Makes the value of `sig` with the first key; `None` without keys. `expires` is Unix seconds, 0 is never.
    #[must_use]
    pub fn sign(&self, scope: Scope, expires: u64, signed: Signed<'_>) -> Option<String> {
        let expires = expires.to_string();
        let mac = mac(self.0.first()?, &canonical(scope, &expires, signed))?;
        let mac = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        Some(format!("{}.{expires}.{mac}", scope.letter()))
    }
}

/// The lines that are signed: `v1`, scope, exp, channel, and for `m` the message and the options by name.
fn canonical(scope: Scope, expires: &str, signed: Signed<'_>) -> String {
    let mut text = format!("v1\n{}\n{expires}\n{}", scope.letter(), signed.channel);
    if scope == Scope::Message {
        text.push('\n');
        text.push_str(signed.message);
        let mut options: Vec<_> = signed
            .options
            .iter()
            .filter(|(name, _)| *name != "sig")
            .collect();
        options.sort();
        for (name, value) in options {
            text.push('\n');
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
    }
    text
}

/// HMAC takes keys of any length, so `None` cannot happen; it is not worth a panic.
fn mac(key: &Secret, text: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).ok()?;
    mac.update(text.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    fn signed(message: &'static str) -> Signed<'static> {
        Signed {
            channel: "demo",
            message,
            options: &[],
        }
    }

    /// Computed with Python: hmac.new(key, b"v1\nc\n0\ndemo", sha256), base64url without padding.
    #[test]
    fn the_mac_is_the_documented_one() {
        let keys = SigningKeys::parse(KEY).unwrap();
        assert_eq!(
            keys.sign(Scope::Channel, 0, signed("any")).unwrap(),
            "c.0.m_h7m0zh4jFRs07MBiCEx0efXjj4fdD68sJwJtddCXI"
        );
        let options = [("title", "T".to_owned()), ("level", "error".to_owned())];
        let all = Signed {
            channel: "demo",
            message: "hi\nyou",
            options: &options,
        };
        assert_eq!(
            keys.sign(Scope::Message, 1_800_000_000, all).unwrap(),
            "m.1800000000.R0Yc1TaUYcFmXhsbIJ81xSxXy32bepK4UskOWW-MmcI"
        );
    }

    #[test]
    fn a_channel_signature_opens_any_message_to_that_channel_alone() {
        let keys = SigningKeys::parse(KEY).unwrap();
        let sig = Signature::parse(&keys.sign(Scope::Channel, 0, signed("a")).unwrap()).unwrap();
        assert_eq!(keys.verify(&sig, signed("b"), 1), Ok(()));
        let elsewhere = Signed {
            channel: "Demo",
            message: "b",
            options: &[],
        };
        assert_eq!(keys.verify(&sig, elsewhere, 1), Err(SignatureError::Bad));
    }

    #[test]
    fn a_message_signature_opens_exactly_that_message_and_options() {
        let keys = SigningKeys::parse(KEY).unwrap();
        let options = [("title", "T".to_owned())];
        let exact = Signed {
            channel: "demo",
            message: "a",
            options: &options,
        };
        let sig = Signature::parse(&keys.sign(Scope::Message, 0, exact).unwrap()).unwrap();
        assert_eq!(keys.verify(&sig, exact, 1), Ok(()));
        for other in [
            Signed {
                message: "b",
                ..exact
            },
            Signed {
                options: &[],
                ..exact
            },
            Signed {
                options: &[("title", "U".to_owned())],
                ..exact
            },
        ] {
            assert_eq!(keys.verify(&sig, other, 1), Err(SignatureError::Bad));
        }
    }

    #[test]
    fn keys_rotate_and_signatures_expire() {
        let old = SigningKeys::parse(OTHER).unwrap();
        let both = SigningKeys::parse(&format!("{KEY} {OTHER}")).unwrap();
        let sig = Signature::parse(&old.sign(Scope::Channel, 100, signed("a")).unwrap()).unwrap();
        assert_eq!(both.verify(&sig, signed("a"), 99), Ok(()));
        assert_eq!(
            both.verify(&sig, signed("a"), 100),
            Err(SignatureError::Expired)
        );
        let new_only = SigningKeys::parse(KEY).unwrap();
        assert_eq!(
            new_only.verify(&sig, signed("a"), 99),
            Err(SignatureError::Bad)
        );
    }

    #[test]
    fn malformed_signatures_and_short_keys() {
        for bad in [
            "",
            "c",
            "c.0",
            "c.0.x.y",
            "x.0.AAAA",
            "c.-1.AAAA",
            "c..AAAA",
            "c.0.!!",
            "c.1e3.AAAA",
        ] {
            assert_eq!(Signature::parse(bad), Err(SignatureError::Bad), "{bad}");
        }
        assert_eq!(SigningKeys::parse("short also").unwrap_err().len(), 2);
    }
}
