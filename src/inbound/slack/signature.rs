//! Slack's request signature: reference/slack.md 5, checked 2026-11-21.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::domain::digest;
use crate::domain::secret::Secret;
use crate::inbound::{Mark, Unverified};

/// How far a request's time may be from ours, both ways, in seconds.
const MAX_SKEW_S: u64 = 300;
/// A time of the year 5138 has eleven digits; more would be no time.
const MAX_TIME_DIGITS: usize = 11;
const VERSION: &str = "v0=";

/// What a request shows for itself.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// `X-Slack-Signature`, if it was given exactly once.
    pub signature: Option<&'a str>,
    /// `X-Slack-Request-Timestamp`, if it was given exactly once.
    pub timestamp: Option<&'a str>,
}

/// Checks a request against every secret; the time it takes does not tell how much of a signature was right. The mark is
/// what only this one request has in common with its replay.
///
/// # Errors
/// [`Unverified`].
pub fn verify(
    secrets: &[Secret],
    proof: Proof<'_>,
    body: &[u8],
    unix_s: u64,
) -> Result<Mark, Unverified> {
    if secrets.is_empty() {
        return Err(Unverified::Unconfigured);
    }
    let (Some(signature), Some(timestamp)) = (proof.signature, proof.timestamp) else {
        return Err(Unverified::Missing);
    };
    let at = seconds(timestamp).ok_or(Unverified::Malformed)?;
    let given = mac_of(signature).ok_or(Unverified::Malformed)?;
    let is_good = secrets.iter().fold(false, |good, secret| {
        let expected = mac(secret, timestamp, body);
        good | bool::from(expected.ct_eq(&given))
    });
    if !is_good {
        return Err(Unverified::Forged);
    }
    if unix_s.abs_diff(at) > MAX_SKEW_S {
        return Err(Unverified::Stale);
    }
    Ok(digest::first(given))
}

fn seconds(text: &str) -> Option<u64> {
    let is_time = !text.is_empty()
        && text.len() <= MAX_TIME_DIGITS
        && text.bytes().all(|b| b.is_ascii_digit());
    is_time.then(|| text.parse().ok()).flatten()
}

/// The MAC of `v0=<64 lower-case hexadecimal digits>`.
fn mac_of(signature: &str) -> Option<[u8; 32]> {
    let digits = signature.strip_prefix(VERSION)?.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    let mut mac = [0; 32];
    if pairs.len() != mac.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in mac.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(mac)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn mac(secret: &Secret, timestamp: &str, body: &[u8]) -> [u8; 32] {
    // A key of any length is a key.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return [0; 32];
    };
    for piece in [b"v0:", timestamp.as_bytes(), b":", body] {
        mac.update(piece);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
