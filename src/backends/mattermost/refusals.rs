//! PURE: the error ids that are final, and what a stranger is told to do about each. It must not hold texts of
//! the server: they are translated, and may repeat the message (reference 6).

use crate::domain::delivery::Refusal;

/// An error id, the reason, and what to do.
type Row = (&'static str, Refusal, &'static str);

/// The refusals of one route.
pub(super) struct Refusals {
    /// By the error's id.
    pub(super) rows: &'static [Row],
    /// What a 401 means, whatever its id.
    pub(super) unauthorised: (Refusal, &'static str),
    /// What a 404 or 405 means that the rows do not know.
    pub(super) elsewhere: &'static str,
}

const CREDENTIALS: &str = "Mattermost does not take the bot's token: it is wrong, revoked or expired, or the bot is \
     disabled. Make a new access token for the bot and set MATTERMOST_TOKEN";
const NO_PERMISSION: &str = "the bot may not post in this Mattermost channel, or the channel's id is wrong: add the bot \
     to the team and then to the channel (/invite @bot), or check the id";
pub(super) const ARCHIVED: &str =
    "the Mattermost channel is archived: restore it, or post to another";
pub(super) const TOO_LONG: &str = "the message is longer than this Mattermost server takes: shorten it, or leave title and link out";
pub(super) const NOT_THE_API: &str = "the URL answers, but it is not Mattermost's API: set MATTERMOST_URL to the site's address, \
     with its subpath if it has one";
const OUR_FAULT: &str = "Mattermost cannot read the request that this program wrote: please report it with the platform's code";
pub(super) const PLUGIN: &str =
    "a plugin of the Mattermost server rejects the message: ask its administrator";
const HOOK_GONE: &str = "the Mattermost server does not know this incoming webhook (it was deleted, or its address is \
     wrong): make a new one and put it into CHANNELS";

/// What is final when posting as the bot (reference 6).
pub(super) const POSTS: Refusals = Refusals {
    unauthorised: (Refusal::Credentials, CREDENTIALS),
    elsewhere: NOT_THE_API,
    rows: &[
        (
            "api.context.permissions.app_error",
            Refusal::NotAllowed,
            NO_PERMISSION,
        ),
        (
            "api.post.create_post.can_not_post_to_deleted.error",
            Refusal::Archived,
            ARCHIVED,
        ),
        (
            "model.post.is_valid.msg.app_error",
            Refusal::TooLong,
            TOO_LONG,
        ),
        (
            "model.post.is_valid.message_length.app_error",
            Refusal::TooLong,
            TOO_LONG,
        ),
        (
            "model.post.is_valid.props.app_error",
            Refusal::TooLong,
            TOO_LONG,
        ),
        (
            "api.context.invalid_body_param.app_error",
            Refusal::Rejected,
            OUR_FAULT,
        ),
        (
            "api.context.invalid_param.app_error",
            Refusal::Rejected,
            "Mattermost cannot read this channel: check its id, or try again later",
        ),
        (
            "api.post.create_post.town_square_read_only",
            Refusal::NotAllowed,
            "this Mattermost channel is read-only: post to another, or ask an administrator",
        ),
        (
            "api.post.create_post.can_not_post_in_restricted_dm.error",
            Refusal::NotAllowed,
            "the bot may not write direct messages to this person: they need a team in common",
        ),
    ],
};

/// What is final at an incoming webhook (reference 12).
///
/// A refused webhook is never [`Refusal::Credentials`]: that would pause all the others.
pub(super) const HOOKS: Refusals = Refusals {
    unauthorised: (Refusal::Misconfigured, HOOK_GONE),
    elsewhere: HOOK_GONE,
    rows: &[
        (
            "web.incoming_webhook.invalid.app_error",
            Refusal::Misconfigured,
            HOOK_GONE,
        ),
        (
            "web.incoming_webhook.disabled.app_error",
            Refusal::Rejected,
            "incoming webhooks are switched off on this Mattermost server: an administrator can enable them",
        ),
        (
            "web.incoming_webhook.channel.app_error",
            Refusal::UnknownChannel,
            "the channel of this Mattermost webhook is gone: choose another in the webhook's settings",
        ),
        (
            "web.incoming_webhook.user.app_error",
            Refusal::UnknownChannel,
            "the user that this Mattermost webhook writes to is gone: choose a channel in its settings",
        ),
        (
            "web.incoming_webhook.channel_locked.app_error",
            Refusal::NotAllowed,
            "this Mattermost webhook is locked to another channel: unlock it in the webhook's settings",
        ),
        (
            "web.incoming_webhook.permissions.app_error",
            Refusal::NotAllowed,
            "the owner of this Mattermost webhook is not in its channel: add them, or make a new webhook",
        ),
        (
            "web.incoming_webhook.split_props_length.app_error",
            Refusal::TooLong,
            TOO_LONG,
        ),
        (
            "web.incoming_webhook.text.app_error",
            Refusal::Rejected,
            OUR_FAULT,
        ),
        (
            "model.incoming_hook.parse_data.app_error",
            Refusal::Rejected,
            OUR_FAULT,
        ),
    ],
};

/// What is final in a look-up (reference 10).
pub(super) const LOOKUPS: Refusals = Refusals {
    unauthorised: (Refusal::Credentials, CREDENTIALS),
    elsewhere: NOT_THE_API,
    rows: &[
        (
            "app.channel.get_by_name.missing.app_error",
            Refusal::UnknownChannel,
            "the Mattermost team has no such channel that the bot can see: check the name; an archived channel must be \
         restored, and the bot invited to a private one",
        ),
        (
            "app.team.get_by_name.missing.app_error",
            Refusal::UnknownChannel,
            "Mattermost has no such team: write team/channel-name as in the channel's URL",
        ),
        (
            "app.team.get_by_name.app_error",
            Refusal::UnknownChannel,
            "Mattermost cannot find this team: write team/channel-name as in the channel's URL",
        ),
        (
            "app.channel.get.existing.app_error",
            Refusal::UnknownChannel,
            "Mattermost has no channel with this id: copy it from the channel's \"View Info\"",
        ),
        (
            "api.context.permissions.app_error",
            Refusal::NotAllowed,
            "the bot may not look up channels of this Mattermost team: add it to the team, or use the channel's id",
        ),
    ],
};
