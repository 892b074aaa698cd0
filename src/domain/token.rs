//! `PROXY_TOKENS`: named secrets, and the channels each may post to.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::channel::{Channel, Destination, Directory};

/// One accepted secret.
pub struct Token {
    name: String,
    hash: [u8; 32],
    channels: Option<Vec<String>>,
    scope: Option<Vec<Destination>>,
}

/// Why an entry of `PROXY_TOKENS` is refused; it never shows the entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The secret is too short to resist guessing.
    #[error("entry {entry}: the secret has {length} characters, at least {min} are needed", min = TokenTable::MIN_SECRET_CHARS)]
    ShortSecret {
        /// Position in the variable, from 1.
        entry: usize,
        /// The secret's length.
        length: usize,
    },
    /// A name that could not be told apart in a log or a metric.
    #[error(
        "entry {entry}: a name is 1 to 64 letters, digits, '-', '_' or '.', not 'signed' or 'anonymous', written name=secret or name@channel,channel=secret"
    )]
    BadName {
        /// Position in the variable, from 1.
        entry: usize,
    },
    /// `name@=secret`, or an empty channel between commas.
    #[error("entry {entry}: an empty channel after '@'; write name@channel,channel=secret")]
    EmptyScope {
        /// Position in the variable, from 1.
        entry: usize,
    },
}

/// All accepted secrets. Only their SHA-256 is kept.
#[derive(Default)]
pub struct TokenTable(Vec<Token>);

impl TokenTable {
    /// The fewest characters of a secret.
    pub const MIN_SECRET_CHARS: usize = 16;

    /// Parses `ci=<secret> deploy@deploys,alerts=<secret>`; an entry without `=` is a secret whose name is
    /// `default` (a platform that generates one value can give no more).
    ///
    /// # Errors
    /// Every fault of every entry.
    pub fn parse(text: &str) -> Result<Self, Vec<TokenError>> {
        let (tokens, faults): (Vec<_>, Vec<_>) = text
            .split_whitespace()
            .enumerate()
            .map(|(index, entry)| Token::parse(index + 1, entry))
            .partition(Result::is_ok);
        let faults: Vec<TokenError> = faults.into_iter().filter_map(Result::err).collect();
        if faults.is_empty() {
            Ok(Self(tokens.into_iter().filter_map(Result::ok).collect()))
        } else {
            Err(faults)
        }
    }

    /// Whether no token is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens, in the order of the variable.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.0.iter()
    }

    /// Resolves the channels of all tokens.
    ///
    /// # Errors
    /// One line for every token with a channel that nobody knows.
    pub fn bind(&mut self, directory: &Directory) -> Result<(), Vec<String>> {
        let bind = |token: &mut Token| {
            token
                .bind(directory)
                .err()
                .map(|fault| format!("the channels of the token '{}': {fault}", token.name))
        };
        let faults: Vec<String> = self.0.iter_mut().filter_map(bind).collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    /// The token with this secret. Every entry is compared, so the time tells nothing about which is near.
    #[must_use]
    pub fn find(&self, secret: &[u8]) -> Option<&Token> {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.hash.ct_eq(&hash)) {
                found = Some(token);
            }
        }
        found
    }
}

impl Token {
    fn parse(entry: usize, text: &str) -> Result<Self, TokenError> {
        let (label, secret) = text.split_once('=').unwrap_or(("default", text));
        let (name, scope) = match label.split_once('@') {
            Some((name, scope)) => (name, Some(scope)),
            None => (label, None),
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        // Callers without a token have these names in logs and metrics.
        let taken = matches!(name, "signed" | "anonymous");
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_word) || taken {
            return Err(TokenError::BadName { entry });
        }
        let length = secret.chars().count();
        if length < TokenTable::MIN_SECRET_CHARS {
            return Err(TokenError::ShortSecret { entry, length });
        }
        let channels: Option<Vec<String>> =
            scope.map(|s| s.split(',').map(str::to_owned).collect());
        if channels.iter().flatten().any(String::is_empty) {
            return Err(TokenError::EmptyScope { entry });
        }
        Ok(Self {
            name: name.to_owned(),
            hash: Sha256::digest(secret.as_bytes()).into(),
            channels,
            scope: None,
        })
    }

    /// The name in logs, metrics and limits.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The destinations this token may post to; `None` is all of them.
    #[must_use]
    pub fn scope(&self) -> Option<&[Destination]> {
        self.scope.as_deref()
    }

    /// Turns the channels into destinations, so that a spelling never decides.
    fn bind(&mut self, directory: &Directory) -> Result<(), String> {
        let Some(channels) = &self.channels else {
            return Ok(());
        };
        let mut scope = Vec::new();
        for written in channels {
            let channel =
                Channel::parse(written).map_err(|fault| format!("'{written}': {fault}"))?;
            let destinations = directory
                .resolve(&channel)
                .map_err(|fault| format!("'{written}': {fault}"))?;
            scope.extend_from_slice(&destinations);
        }
        self.scope = Some(scope);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_scopes_and_rotation() {
        let table = TokenTable::parse(
            "ci=0123456789abcdef  ci=fedcba9876543210 deploy@deploys,slack:C0123=aaaaaaaaaaaaaaaa=",
        )
        .unwrap();
        assert_eq!(table.find(b"0123456789abcdef").unwrap().name(), "ci");
        assert_eq!(table.find(b"fedcba9876543210").unwrap().name(), "ci");
        let deploy = table.find(b"aaaaaaaaaaaaaaaa=").unwrap();
        assert_eq!(
            deploy.channels.as_ref().unwrap()[..],
            ["deploys", "slack:C0123"]
        );
        assert!(table.find(b"0123456789abcdeg").is_none());
        assert!(table.find(b"").is_none());
    }

    #[test]
    fn a_generated_secret_without_a_name_is_default() {
        let table = TokenTable::parse("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(
            table
                .find(b"0123456789abcdef0123456789abcdef")
                .unwrap()
                .name(),
            "default"
        );
    }

    #[test]
    fn every_fault_is_reported_and_shows_no_secret() {
        let faults = TokenTable::parse(
            "ci=shortsecret b@d=x =0123456789abcdef x@=0123456789abcdef signed=0123456789abcdef",
        )
        .err()
        .unwrap();
        assert_eq!(faults.len(), 5);
        assert!(
            faults
                .iter()
                .all(|f| !f.to_string().contains("shortsecret"))
        );
    }
}
