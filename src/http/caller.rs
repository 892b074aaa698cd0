//! Who is calling: a token's name, a signature, or an address by trusted hops.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{self, HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envconfig::Envconfig;

use crate::domain::options::PostOptions;
use crate::domain::signing::{Scope, Signature, SignatureError, Signed, SigningKeys};
use crate::domain::token::{Token, TokenTable};
use crate::env::{Reader, Var, parse_bool};

/// Where each proxy on the way writes whom it was called by.
pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who may post.
#[derive(Default)]
pub struct Settings {
    /// `PROXY_TOKENS`
    pub tokens: TokenTable,
    /// `SIGNING_KEYS`
    pub keys: SigningKeys,
    /// `ALLOW_ANONYMOUS`
    pub allow_anonymous: bool,
    /// `ALLOW_QUERY_TOKEN`
    pub allow_query_token: bool,
    /// `TRUSTED_PROXY_HOPS`
    pub trusted_hops: usize,
}

/// The variables of this module.
pub const VARS: &[Var] = &[
    Var {
        name: "PROXY_TOKENS",
        default: "",
        secret: true,
        doc: "who may post: `ci=<secret> deploy@alias,alias=<secret>`, secrets of at least 16 characters; after `@` the only channels of that token",
    },
    Var {
        name: "SIGNING_KEYS",
        default: "",
        secret: true,
        doc: "keys of signed URLs, at least 32 characters each: the first signs, all verify",
    },
    Var {
        name: "ALLOW_ANONYMOUS",
        default: "false",
        secret: false,
        doc: "`true`: without tokens and keys, anybody who reaches the address may post",
    },
    Var {
        name: "ALLOW_QUERY_TOKEN",
        default: "false",
        secret: false,
        doc: "`true`: a token may also come as `?token=`; everything in between logs it",
    },
    Var {
        name: "TRUSTED_PROXY_HOPS",
        default: "0",
        secret: false,
        doc: "the client address is the n-th from the right of `X-Forwarded-For` (Heroku: 1); 0: the connection's",
    },
];

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "PROXY_TOKENS")]
    tokens: Option<String>,
    #[envconfig(from = "SIGNING_KEYS")]
    keys: Option<String>,
    #[envconfig(from = "ALLOW_ANONYMOUS")]
    allow_anonymous: Option<String>,
    #[envconfig(from = "ALLOW_QUERY_TOKEN")]
    allow_query_token: Option<String>,
    #[envconfig(from = "TRUSTED_PROXY_HOPS")]
    trusted_hops: Option<String>,
}

/// Somebody who may post.
#[derive(Clone, Copy)]
pub enum Caller<'a> {
    /// With this token.
    Token(&'a Token),
    /// With a signed URL.
    Signed,
    /// Because posting is open.
    Anonymous,
}

/// Why a caller may not post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No credentials.
    Missing,
    /// Credentials that are not good, or in a place where they do not count.
    Bad,
    /// A genuine signature whose time is over.
    Expired,
}

impl Settings {
    /// Reads the variables.
    #[must_use]
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let vars: Vars = reader.vars();
        let tokens = vars.tokens.map_or_else(
            || Ok(TokenTable::default()),
            |text| TokenTable::parse(&text),
        );
        let keys = vars.keys.map_or_else(
            || Ok(SigningKeys::default()),
            |text| SigningKeys::parse(&text),
        );
        Self {
            tokens: tokens.unwrap_or_else(|faults| {
                faults
                    .iter()
                    .for_each(|fault| reader.fault("PROXY_TOKENS", fault));
                TokenTable::default()
            }),
            keys: keys.unwrap_or_else(|faults| {
                faults
                    .iter()
                    .for_each(|fault| reader.fault("SIGNING_KEYS", fault));
                SigningKeys::default()
            }),
            allow_anonymous: reader.value(
                "ALLOW_ANONYMOUS",
                vars.allow_anonymous.as_deref(),
                false,
                parse_bool,
            ),
            allow_query_token: reader.value(
                "ALLOW_QUERY_TOKEN",
                vars.allow_query_token.as_deref(),
                false,
                parse_bool,
            ),
            trusted_hops: reader.value(
                "TRUSTED_PROXY_HOPS",
                vars.trusted_hops.as_deref(),
                0,
                |text| {
                    text.parse()
                        .ok()
                        .filter(|n| *n <= 16)
                        .ok_or("expected a number from 0 to 16")
                },
            ),
        }
    }

    /// Whether anybody may post: nothing is configured that says who may.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.tokens.is_empty() && self.keys.is_empty()
    }

    /// Finds out who posts. `signed` is what a signature of this request covers.
    ///
    /// # Errors
    /// [`Denied`] says why not.
    pub fn identify(
        &self,
        headers: &HeaderMap,
        options: &PostOptions,
        signed: Signed<'_>,
        now_unix_s: impl FnOnce() -> u64,
    ) -> Result<Caller<'_>, Denied> {
        if self.is_open() {
            return Ok(Caller::Anonymous);
        }
        if let Some(secret) = secret_of(headers)? {
            return self
                .tokens
                .find(&secret)
                .map(Caller::Token)
                .ok_or(Denied::Bad);
        }
        if let Some(sig) = &options.sig {
            let signature = Signature::parse(sig.expose()).map_err(|_| Denied::Bad)?;
            // A signature that anybody may extend must not carry a second credential.
            if signature.scope() == Scope::Channel && options.token.is_some() {
                return Err(Denied::Bad);
            }
            return self.verify(&signature, signed, now_unix_s());
        }
        match &options.token {
            Some(_) if !self.allow_query_token => Err(Denied::Bad),
            Some(token) => self
                .tokens
                .find(token.expose().as_bytes())
                .map(Caller::Token)
                .ok_or(Denied::Bad),
            None => Err(Denied::Missing),
        }
    }

    fn verify(
        &self,
        signature: &Signature,
        signed: Signed<'_>,
        now_unix_s: u64,
    ) -> Result<Caller<'_>, Denied> {
        match self.keys.verify(signature, signed, now_unix_s) {
            Ok(()) => Ok(Caller::Signed),
            Err(SignatureError::Bad) => Err(Denied::Bad),
            Err(SignatureError::Expired) => Err(Denied::Expired),
        }
    }
}

impl Caller<'_> {
    /// The name in logs and metrics.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Token(token) => token.name(),
            Self::Signed => "signed",
            Self::Anonymous => "anonymous",
        }
    }
}

/// The secret of `Authorization: Bearer <secret>` or of the password of `Basic`; `None` without the header.
pub(super) fn secret_of(headers: &HeaderMap) -> Result<Option<Cow<'_, [u8]>>, Denied> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // Two credentials: nobody can say which one the caller meant.
    if values.next().is_some() {
        return Err(Denied::Bad);
    }
    let (scheme, rest) = split_at_space(value.as_bytes()).ok_or(Denied::Bad)?;
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Ok(Some(rest.into()));
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let mut decoded = STANDARD.decode(rest).map_err(|_| Denied::Bad)?;
        let colon = decoded.iter().position(|&b| b == b':').ok_or(Denied::Bad)?;
        return Ok(Some(decoded.split_off(colon + 1).into()));
    }
    Err(Denied::Bad)
}

fn split_at_space(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = value.iter().position(|&b| b == b' ')?;
    Some((&value[..space], value[space + 1..].trim_ascii()))
}

/// The client's address: the connection's, or the n-th from the right of `X-Forwarded-For`. What stands
/// further left is the caller's to write and is never looked at.
#[must_use]
pub fn client_address(
    peer: Option<SocketAddr>,
    headers: &HeaderMap,
    trusted_hops: usize,
) -> IpAddr {
    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |p| p.ip());
    let forwarded = (trusted_hops > 0)
        .then(|| forwarded_for(headers, trusted_hops))
        .flatten();
    forwarded.unwrap_or(peer).to_canonical()
}

fn forwarded_for(headers: &HeaderMap, hops: usize) -> Option<IpAddr> {
    let lines: Vec<&[u8]> = headers
        .get_all(FORWARDED_FOR)
        .map(header::HeaderValue::as_bytes)
        .collect();
    let entry = lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(|&b| b == b','))
        .nth(hops - 1)?;
    let text = std::str::from_utf8(entry).ok()?.trim();
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// What limits count as one address: IPv4 whole, IPv6 by /64, which is what one customer gets.
#[must_use]
pub fn limit_unit(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) >> 64 << 64).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            );
        }
        map
    }

    fn address(forwarded: &[&str], hops: usize) -> String {
        let pairs: Vec<_> = forwarded.iter().map(|v| ("x-forwarded-for", *v)).collect();
        client_address("10.0.0.9:1".parse().ok(), &headers(&pairs), hops).to_string()
    }

    /// C1: a table for no, one and two hops.
    #[test]
    fn hops_are_counted_from_the_right() {
        for (forwarded, hops, want) in [
            (&["1.1.1.1, 2.2.2.2"][..], 0, "10.0.0.9"),
            (&["1.1.1.1, 2.2.2.2"], 1, "2.2.2.2"),
            (&["1.1.1.1, 2.2.2.2"], 2, "1.1.1.1"),
            (&["1.1.1.1, 2.2.2.2"], 3, "10.0.0.9"),
            (&["1.1.1.1", "2.2.2.2"], 1, "2.2.2.2"),
            (&["1.1.1.1", "2.2.2.2"], 2, "1.1.1.1"),
            (&["evil, [2001:db8::1]:443"], 1, "2001:db8::1"),
            (&["[2001:db8::1]"], 1, "2001:db8::1"),
            (&["1.2.3.4:5678"], 1, "1.2.3.4"),
            (&["::ffff:1.2.3.4"], 1, "1.2.3.4"),
            (&["1.1.1.1, unknown"], 1, "10.0.0.9"),
            (&["1.1.1.1, "], 1, "10.0.0.9"),
            (&[], 1, "10.0.0.9"),
        ] {
            assert_eq!(address(forwarded, hops), want, "{forwarded:?} with {hops}");
        }
    }

    proptest! {
        /// C1: no prefix a caller can write changes the address.
        #[test]
        fn what_the_caller_writes_is_not_looked_at(prefix in "[ -~]{0,60}") {
            let forged = format!("{prefix}, 7.7.7.7");
            prop_assert_eq!(address(&[forged.as_str()], 1), "7.7.7.7");
        }
    }

    #[test]
    fn ipv6_counts_by_64() {
        let unit = limit_unit("2001:db8:1:2:3:4:5:6".parse().unwrap());
        assert_eq!(unit.to_string(), "2001:db8:1:2::");
    }

    #[test]
    fn bearer_and_basic_carry_a_secret() {
        let secret = |value: &str| {
            secret_of(&headers(&[("authorization", value)]))
                .map(|s| s.map(|s| String::from_utf8(s.into_owned()).unwrap()))
        };
        assert_eq!(secret("Bearer abc"), Ok(Some("abc".into())));
        assert_eq!(secret("bearer  abc"), Ok(Some("abc".into())));
        assert_eq!(secret("Basic Y2k6czpjcmV0"), Ok(Some("s:cret".into())));
        for bad in ["Bearer", "Digest x", "Basic !!", "Basic Y2k=", "abc"] {
            assert_eq!(secret(bad), Err(Denied::Bad), "{bad}");
        }
        assert_eq!(secret_of(&headers(&[])), Ok(None));
        assert_eq!(
            secret_of(&headers(&[
                ("authorization", "Bearer a"),
                ("authorization", "Bearer a")
            ])),
            Err(Denied::Bad)
        );
    }
}
