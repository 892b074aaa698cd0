//! The limits of options: the parser holds them and the document shows them.

/// The longest heading.
pub const MAX_TITLE_CHARS: usize = 250;
/// The longest name a post appears under.
pub const MAX_NAME_CHARS: usize = 80;
/// The longest idempotency key.
pub const MAX_KEY_CHARS: usize = 255;
/// The longest link.
pub const MAX_LINK_BYTES: usize = 2048;
/// The longest that a caller may wait.
pub const MAX_WAIT_S: u64 = 60;
