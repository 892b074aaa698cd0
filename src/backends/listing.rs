//! What a platform shows of its channels to a bot that asks. Names are the platform's words: who shows them cleans them.

/// The answer to one question for channels.
#[derive(Debug, PartialEq, Eq)]
pub enum Listing {
    /// Some of them.
    Page(Page),
    /// The platform shows a bot no list: why, and how an id is found all the same.
    None(&'static str),
}

/// Some channels.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In the platform's order.
    pub channels: Vec<Listed>,
    /// What to ask for the next page with; `None` after the last.
    pub next: Option<String>,
}

/// One channel.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// The target in `backend:target`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What stands in the way of a post, or is worth knowing; else empty.
    pub note: &'static str,
}
