//! `ALLOW_MENTIONS`: which mentions in a message may notify people.

use std::collections::BTreeSet;

/// The mentions that stay live; all others are shown as typed and notify nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Mentions {
    /// `none`: nobody is notified.
    #[default]
    None,
    /// `all`: whatever the platform understands.
    All,
    /// These names, without the sign, in lower case.
    Named(BTreeSet<String>),
}

/// Why a text is no list of mentions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected none, all, or names without the sign separated by commas, such as here,channel,alice"
)]
pub struct MentionsError;

impl Mentions {
    /// Parses `none`, `all` or `here,channel,alice`.
    ///
    /// # Errors
    /// [`MentionsError`] for a name with a sign, a space or nothing in it.
    pub fn parse(text: &str) -> Result<Self, MentionsError> {
        match text.trim() {
            "none" => return Ok(Self::None),
            "all" => return Ok(Self::All),
            _ => {}
        }
        let is_name_char = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        text.split(',')
            .map(str::trim)
            .map(|name| {
                let valid = !name.is_empty() && name.chars().all(is_name_char);
                valid.then(|| name.to_lowercase()).ok_or(MentionsError)
            })
            .collect::<Result<_, _>>()
            .map(Self::Named)
    }

    /// Whether the mention of this name (without its sign, in any case) stays live.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Named(names) => names.contains(&name.to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_sign() {
        let named = Mentions::parse("here, Channel,alice").unwrap();
        assert!(named.allows("HERE") && named.allows("channel") && !named.allows("all"));
        assert!(!Mentions::parse("none").unwrap().allows("here"));
        assert!(Mentions::parse("all").unwrap().allows("anyone"));
        for bad in ["", "@here", "a,,b", "a b"] {
            assert_eq!(Mentions::parse(bad), Err(MentionsError), "{bad}");
        }
    }
}
