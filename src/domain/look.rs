//! How a post looks beside its text: its level, and whether formatting is live.

/// The colour bar and emoji of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// News.
    Info,
    /// Something went well.
    Success,
    /// Somebody should look.
    Warning,
    /// Something broke.
    Error,
}

/// Whether the platform's light formatting in the message stays live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `*bold*` and `` `code` `` as the platform reads them.
    #[default]
    Markup,
    /// Every character shows as typed.
    Plain,
}

impl Level {
    /// The word of the option.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The level of a word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "info" => Self::Info,
            "success" => Self::Success,
            "warning" => Self::Warning,
            "error" => Self::Error,
            _ => return None,
        })
    }
}
