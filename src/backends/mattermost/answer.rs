//! PURE: what the server's answers mean. Decides on the status and the error's `id` alone: the error's text is
//! translated, and may repeat what was sent (reference 6). It must not ask the server anything.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::lookup::is_id;
use super::refusals::{ARCHIVED, HOOKS, LOOKUPS, NOT_THE_API, PLUGIN, POSTS, Refusals, TOO_LONG};
use crate::backends::wire::{Answer, StatusGroup};
use crate::domain::delivery::{Failure, Later, Posted, Refusal};

/// How long the server may still be saving the first copy of a repeated post (reference 5: retry in < 1 s).
const SAVING: Duration = Duration::from_millis(500);
/// The error that says so.
const IS_SAVING: &str = "api.post.deduplicate_create_post.pending";

/// The form of every error (reference 6); the other fields are not for us.
#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// The fields of a new post that can be relied on (reference 4). They stand before the message, which may be long.
#[derive(Deserialize, Default)]
struct PostBody<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    channel_id: Option<Cow<'a, str>>,
}

const POST_FIELDS: [&str; 2] = ["id", "channel_id"];

/// A channel, as far as a look-up needs it.
#[derive(Deserialize)]
struct ChannelBody<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    delete_at: i64,
}

/// The bot itself.
#[derive(Deserialize)]
struct UserBody<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// What the answer to a new post means.
///
/// # Errors
/// [`Failure::Unknown`] when the post may be there all the same.
pub fn classify(answer: &Answer) -> Result<Posted, Failure> {
    if !answer.is_success() {
        return Err(failure(answer, &POSTS));
    }
    let post: PostBody<'_> = answer.leading(&POST_FIELDS).unwrap_or_default();
    let id = |raw: Option<Cow<'_, str>>| raw.filter(|id| is_id(id)).map(Cow::into_owned);
    let posted = Posted {
        channel: id(post.channel_id),
        message_id: id(post.id),
        link: None,
        pause: answer.retry_after,
    };
    let is_named = posted.channel.is_some() && posted.message_id.is_some();
    if is_named || is_created(answer) {
        Ok(posted)
    } else {
        Err(unusable(answer))
    }
}

/// Whether the status alone says that the post is there. Only the server answers 201, with every post (reference 1 and 4);
/// what stands before it (a login page, a gateway's check) answers 200, a redirect or an error, and a page if anything.
/// So a 201 counts whatever can be read of it, since a post that is there must not be sent again; any other success does so
/// only with a post's ids.
fn is_created(answer: &Answer) -> bool {
    answer.status == 201 && !answer.is_page()
}

/// What the answer of an incoming webhook means.
///
/// # Errors
/// As [`classify`].
pub fn classify_hook(answer: &Answer) -> Result<(), Failure> {
    if !answer.is_success() {
        return Err(failure(answer, &HOOKS));
    }
    // "ok" is all that the server says (reference 12).
    (answer.text() == "ok")
        .then_some(())
        .ok_or_else(|| unusable(answer))
}

/// The id of the channel that was looked up.
///
/// # Errors
/// Never [`Failure::Unknown`]: a look-up changes nothing.
pub fn classify_lookup(answer: &Answer) -> Result<String, Failure> {
    if !answer.is_success() {
        return Err(failure(answer, &LOOKUPS));
    }
    match answer.json::<ChannelBody<'_>>() {
        Some(channel) if channel.delete_at > 0 => {
            Err(Failure::refused(Refusal::Archived, "", ARCHIVED))
        }
        Some(channel) if is_id(&channel.id) => Ok(channel.id.into_owned()),
        _ => Err(unreadable(answer)),
    }
}

/// Whether `GET /users/me` shows that the token works.
///
/// # Errors
/// As [`classify_lookup`].
pub fn classify_check(answer: &Answer) -> Result<(), Failure> {
    if !answer.is_success() {
        return Err(failure(answer, &LOOKUPS));
    }
    match answer.json::<UserBody<'_>>() {
        Some(user) if is_id(&user.id) => Ok(()),
        _ => Err(unreadable(answer)),
    }
}

/// The entries of a list.
///
/// # Errors
/// As [`classify_lookup`].
pub fn classify_list<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<Vec<T>, Failure> {
    if !answer.is_success() {
        return Err(failure(answer, &LOOKUPS));
    }
    answer.json().ok_or_else(|| unreadable(answer))
}

/// Whether a refusal could also come from a server whose database is away (reference 8).
#[must_use]
pub fn is_doubtful(answer: &Answer) -> bool {
    match answer.status {
        401 | 403 => true,
        400 => matches!(
            error_id(answer).as_deref(),
            Some("api.context.invalid_param.app_error" | "web.incoming_webhook.invalid.app_error")
        ),
        404 => error_id(answer).as_deref() == Some("app.team.get_by_name.app_error"),
        _ => false,
    }
}

fn error_id(answer: &Answer) -> Option<Cow<'_, str>> {
    answer.json::<ErrorBody<'_>>().map(|error| error.id)
}

fn failure(answer: &Answer, route: &Refusals) -> Failure {
    let id = error_id(answer).unwrap_or_default();
    let status = answer.status;
    // A 501 that says why is as final as a 4xx; any other 5xx passes, whatever it says.
    let is_final = status == 501 || (400..500).contains(&status);
    let known = if is_final { route.rows } else { &[] };
    if let Some((id, reason, detail)) = known.iter().find(|(row, ..)| *row == id) {
        return Failure::refused(*reason, id, *detail);
    }
    match answer.group() {
        StatusGroup::Redirect => Failure::refused(
            Refusal::Misconfigured,
            "",
            "the Mattermost URL redirects to somewhere else; set it to the final address",
        ),
        StatusGroup::Throttled => Failure::later(
            Later::Throttled,
            answer.retry_after,
            "Mattermost limits the rate of requests",
        ),
        StatusGroup::Unavailable if status == 500 && id == IS_SAVING => Failure::later(
            Later::Unavailable,
            answer.retry_after.or(Some(SAVING)),
            "Mattermost is still saving an earlier attempt at this message",
        ),
        StatusGroup::Unavailable => Failure::later(
            Later::Unavailable,
            answer.retry_after,
            format!("Mattermost cannot take requests now (HTTP {status})"),
        ),
        StatusGroup::Refused => refusal(status, &id, route),
        StatusGroup::Success | StatusGroup::Strange => unusable(answer),
    }
}

/// A refusal that no table knows: by its status.
fn refusal(status: u16, id: &str, route: &Refusals) -> Failure {
    if id.starts_with("Post rejected by plugin.") {
        // The rest of such an id is the plugin's own text, which may repeat the message.
        return Failure::refused(Refusal::Rejected, "post-rejected-by-plugin", PLUGIN);
    }
    let code = if is_error_id(id) { id } else { "" };
    match status {
        401 => Failure::refused(route.unauthorised.0, code, route.unauthorised.1),
        404 | 405 => Failure::refused(Refusal::Misconfigured, code, route.elsewhere),
        413 => Failure::refused(Refusal::TooLong, code, TOO_LONG),
        _ => Failure::refused(
            Refusal::Rejected,
            code,
            format!(
                "Mattermost, or a proxy before it, refuses the message for good (HTTP {status})"
            ),
        ),
    }
}

/// Whether a foreign id is worth showing: words joined by dots, none as long as a token, so that a server that
/// repeats our credentials (threat E7) does not get them into a receipt.
fn is_error_id(id: &str) -> bool {
    const MAX_WORD: usize = 24;
    let words_fit = id
        .split(['.', '_'])
        .all(|word| word.len() <= MAX_WORD && word.bytes().all(|b| b.is_ascii_alphanumeric()));
    id.contains('.') && words_fit
}

fn unusable(answer: &Answer) -> Failure {
    Failure::Unknown {
        is_answered: !answer.is_page(),
        detail: "Mattermost gave an answer that cannot be used; the message may or may not have been posted"
            .to_owned(),
    }
}

/// A successful status without the expected content, where nothing was posted.
fn unreadable(answer: &Answer) -> Failure {
    if answer.is_page() {
        return Failure::refused(Refusal::Misconfigured, "", NOT_THE_API);
    }
    Failure::later(
        Later::Unavailable,
        answer.retry_after,
        "Mattermost gave an answer that cannot be used",
    )
}
