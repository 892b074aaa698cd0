//! From a channel's name to its id, page by page. It keeps nothing: the dispatcher caches what is found.

use http::HeaderValue;

use super::is_target_id;
use super::list::{Asked, Channel, Query};
use crate::backends::Wire;
use crate::domain::delivery::{Failure, Refusal};

/// Our own bound on one look-up: 10,000 channels at the first page size.
const MAX_PAGES: usize = 50;

/// Page sizes, each tried when an answer of the one before is larger than the wire reads.
const SMALLER_SIZES: [usize; 2] = [50, 12];

const SCOPE: &str = "channels:read";

/// The id of the channel with this name; `list` is the URL of `conversations.list`.
///
/// # Errors
/// [`Refusal::UnknownChannel`] when no visible channel has the name, or the failure of a page.
pub(super) async fn find(
    wire: &dyn Wire,
    list: &str,
    authorization: &HeaderValue,
    name: &str,
) -> Result<String, Failure> {
    let wanted = name.trim_start_matches('#').to_lowercase();
    let is_wanted = |channel: &Channel| {
        channel.name.as_deref() == Some(wanted.as_str()) && is_target_id(&channel.id)
    };
    let mut sizes = SMALLER_SIZES.into_iter();
    let mut query = Query::new(list, authorization);
    for _ in 0..MAX_PAGES {
        match query.ask(wire).await? {
            Asked::Page(page) => {
                if let Some(channel) = page.channels.into_iter().find(is_wanted) {
                    return Ok(channel.id);
                }
                query.cursor = page.next.ok_or_else(not_found)?;
            }
            // Without a word on what is needed, private channels are the likely cause.
            Asked::Denied { needed, .. } => {
                if needed == SCOPE || !query.public_only() {
                    return Err(lacking_scope());
                }
            }
            Asked::TooLarge => query.size = sizes.next().ok_or_else(too_many)?,
        }
    }
    Err(too_many())
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
fn lacking_scope() -> Failure {
    Failure::refused(
        Refusal::NotAllowed,
        "missing_scope",
        format!(
            "the app may not look up names: use the channel's id, or add the scope {SCOPE} (groups:read for private channels) under OAuth & Permissions and reinstall the app"
        ),
    )
}
