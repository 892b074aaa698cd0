//! A value that cannot be printed by accident.

use subtle::ConstantTimeEq as _;

/// A credential. It has no `Display`, its `Debug` is its name, and comparison takes the same time
/// whatever differs; [`Secret::expose`] is the only way out and is easy to search for.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The credential itself: for a request header or a key, never for a log, an error or the store.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the two are equal, in time that depends on their lengths alone.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(other).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("s3cret".into());
        assert_eq!(format!("{secret:?}"), "Secret");
        assert!(secret.matches(b"s3cret"));
        assert!(!secret.matches(b"s3creT"));
        assert!(!secret.matches(b"s3cre"));
    }
}
