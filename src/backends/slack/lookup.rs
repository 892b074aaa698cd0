//! From a channel's name to its id, page by page through `conversations.list`. It keeps nothing: the
//! dispatcher caches what is found.

use http::{HeaderValue, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::answer::{classify_read, safe_scopes, unread};
use crate::backends::Wire;
use crate::backends::wire::{Answer, Call};
use crate::domain::delivery::{Failure, Later, Refusal};

/// Our own bound on one look-up: 10,000 channels at the first page size.
const MAX_PAGES: usize = 50;

/// Page sizes, each tried when an answer of the one before is larger than the wire reads. Slack advises
/// 100 to 200 \[PAG\], checked 2026.
const PAGE_SIZES: [usize; 3] = [200, 50, 12];

/// A longer cursor than this is none of Slack's.
const MAX_CURSOR_BYTES: usize = 1024;

/// Private channels are asked for as well; a token that may not see them gets the public ones.
const TYPES: [&str; 2] = ["public_channel%2Cprivate_channel", "public_channel"];

#[derive(Deserialize)]
struct Page {
    ok: bool,
    error: Option<String>,
    needed: Option<String>,
    #[serde(default)]
    channels: Vec<Conversation>,
    response_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Conversation {
    id: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    next_cursor: Option<String>,
}

/// What the next request asks for.
struct Query<'a> {
    base: &'a str,
    types: &'static str,
    sizes: std::slice::Iter<'static, usize>,
    size: usize,
    cursor: String,
}

/// What a page brings.
enum Step {
    Found(String),
    Next(String),
    End,
    PublicOnly,
    Smaller,
}

/// The id of the channel with this name; `base` is the URL of `conversations.list`.
///
/// # Errors
/// [`Refusal::UnknownChannel`] when no visible channel has the name, or the failure of a page.
pub(super) async fn find(
    wire: &dyn Wire,
    base: &str,
    authorization: &HeaderValue,
    name: &str,
) -> Result<String, Failure> {
    let wanted = name.trim_start_matches('#').to_lowercase();
    let mut query = Query::new(base);
    for _ in 0..MAX_PAGES {
        let uri = query.uri()?;
        let answer = wire
            .call(Call::get(&uri, Some(authorization)))
            .await
            .map_err(unread)?;
        match read(&answer, &wanted)? {
            Step::Found(id) => return Ok(id),
            Step::Next(cursor) => query.cursor = cursor,
            Step::End => return Err(not_found()),
            Step::PublicOnly => query.public_only()?,
            Step::Smaller => query.smaller()?,
        }
    }
    Err(too_many())
}

impl<'a> Query<'a> {
    fn new(base: &'a str) -> Self {
        let [types, _] = TYPES;
        let mut sizes = PAGE_SIZES.iter();
        let size = sizes.next().copied().unwrap_or_default();
        Self {
            base,
            types,
            sizes,
            size,
            cursor: String::new(),
        }
    }

    fn uri(&self) -> Result<Uri, Failure> {
        let mut text = format!(
            "{}?types={}&exclude_archived=true&limit={}",
            self.base, self.types, self.size
        );
        if !self.cursor.is_empty() {
            text.push_str("&cursor=");
            text.extend(utf8_percent_encode(&self.cursor, NON_ALPHANUMERIC));
        }
        text.parse().map_err(|_| unusable())
    }

    /// Cursors belong to one query, so the list begins anew.
    fn public_only(&mut self) -> Result<(), Failure> {
        let [_, public] = TYPES;
        if self.types == public {
            return Err(lacking_scope("channels:read"));
        }
        self.types = public;
        self.cursor.clear();
        Ok(())
    }

    fn smaller(&mut self) -> Result<(), Failure> {
        self.size = self.sizes.next().copied().ok_or_else(too_many)?;
        Ok(())
    }
}

fn read(answer: &Answer, wanted: &str) -> Result<Step, Failure> {
    if answer.is_success() && answer.truncated {
        return Ok(Step::Smaller);
    }
    let Some(page) = answer.json::<Page>().filter(|_| answer.is_success()) else {
        classify_read(answer)?;
        return Err(unusable());
    };
    if page.ok {
        return next(page, wanted);
    }
    match page.error.as_deref() {
        Some("missing_scope" | "invalid_types") => refused_types(page.needed.as_deref()),
        Some("invalid_cursor") => Err(Failure::later(
            Later::Unavailable,
            None,
            "Slack let go of the list of channels half-way; the look-up begins anew",
        )),
        _ => {
            classify_read(answer)?;
            Err(unusable())
        }
    }
}

/// Without a word on what is needed, private channels are the likely cause.
fn refused_types(needed: Option<&str>) -> Result<Step, Failure> {
    match safe_scopes(needed.unwrap_or_default()).as_str() {
        "channels:read" => Err(lacking_scope("channels:read")),
        _ => Ok(Step::PublicOnly),
    }
}

fn next(page: Page, wanted: &str) -> Result<Step, Failure> {
    let found = page
        .channels
        .into_iter()
        .find(|c| c.name.as_deref() == Some(wanted) && super::is_target_id(&c.id));
    if let Some(channel) = found {
        return Ok(Step::Found(channel.id));
    }
    let cursor = page
        .response_metadata
        .and_then(|metadata| metadata.next_cursor)
        .unwrap_or_default();
    match cursor.len() {
        0 => Ok(Step::End),
        1..=MAX_CURSOR_BYTES => Ok(Step::Next(cursor)),
        _ => Err(unusable()),
    }
}

fn too_many() -> Failure {
    Failure::refused(
        Refusal::UnknownChannel,
        "",
        "the workspace has too many channels to find one by its name: use the channel's id (at the foot of the channel's About page)",
    )
}

fn not_found() -> Failure {
    Failure::refused(
        Refusal::UnknownChannel,
        "",
        "no channel that the bot can see has this name: check the name, invite the bot with /invite @name if the channel is private, or use the channel's id (archived channels are not searched)",
    )
}

/// A look-up's scope is no reason to stop posts by id, so this is not a failure of the credentials.
fn lacking_scope(scope: &str) -> Failure {
    Failure::refused(
        Refusal::NotAllowed,
        "missing_scope",
        format!(
            "the app may not look up names: use the channel's id, or add the scope {scope} (groups:read for private channels) under OAuth & Permissions and reinstall the app"
        ),
    )
}

fn unusable() -> Failure {
    Failure::later(
        Later::Unavailable,
        None,
        "Slack's list of channels cannot be read: it has an outage, or SLACK_API_URL is not the address of its API; a channel's id needs no list",
    )
}
