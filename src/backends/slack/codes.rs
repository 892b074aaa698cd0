//! Slack's error codes: what each means for a delivery, and how a person mends it. Pure.
//!
//! The list is the union in reference/slack.md, section 1.4 (\[PM\], \[REF\], `[PMold]`, \[SPEC\], checked 2026-08);
//! Slack says that others may appear, so an unknown code is a refusal for good.

/// What a code means for the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Too fast; wait as long as `Retry-After` says.
    Throttled,
    /// Slack cannot now.
    Later,
    /// Something broke inside Slack, perhaps after it had posted.
    Ambiguous,
    /// The installation, the token or its rights.
    Credentials,
    /// Not known, or hidden from the bot.
    UnknownChannel,
    /// Known, but not for this bot.
    NotAllowed,
    /// Archived.
    Archived,
    /// More than Slack takes.
    TooLong,
    /// The request is refused for good.
    Rejected,
}

/// The meaning of a listed code.
pub(super) fn meaning(code: &str) -> Option<Meaning> {
    Some(match code {
        "ratelimited" | "rate_limited" => Meaning::Throttled,

        "service_unavailable"
        | "request_timeout"
        | "team_added_to_org"
        | "org_login_required"
        | "message_limit_exceeded" => Meaning::Later,

        "internal_error" | "fatal_error" => Meaning::Ambiguous,

        "not_authed"
        | "invalid_auth"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "missing_scope"
        | "not_allowed_token_type"
        | "no_permission"
        | "access_denied"
        | "accesslimited"
        | "app_access_restricted"
        | "team_access_not_granted"
        | "enterprise_is_restricted"
        | "two_factor_setup_required"
        | "ekm_access_denied"
        | "is_bot"
        | "as_user_not_supported"
        | "send_on_behalf_not_allowed"
        | "metadata_must_be_sent_from_app"
        | "method_deprecated"
        | "deprecated_endpoint"
        | "unknown_method" => Meaning::Credentials,

        "channel_not_found" | "team_not_found" => Meaning::UnknownChannel,

        "not_in_channel"
        | "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "restricted_action_non_threadable_channel"
        | "restricted_action_thread_locked"
        | "cannot_reply_to_message"
        | "messages_tab_disabled"
        | "slack_connect_canvas_sharing_blocked"
        | "slack_connect_file_link_sharing_blocked"
        | "slack_connect_lists_sharing_blocked" => Meaning::NotAllowed,

        "is_archived" => Meaning::Archived,

        "msg_too_long" | "msg_blocks_too_long" | "attachment_payload_limit_exceeded" => {
            Meaning::TooLong
        }

        "no_text"
        | "invalid_blocks"
        | "invalid_blocks_format"
        | "too_many_attachments"
        | "too_many_contact_cards"
        | "markdown_text_conflict"
        | "invalid_metadata_format"
        | "invalid_metadata_schema"
        | "metadata_too_large"
        | "missing_file_data"
        | "invalid_arguments"
        | "invalid_arg_name"
        | "invalid_array_arg"
        | "invalid_charset"
        | "invalid_form_data"
        | "invalid_post_type"
        | "missing_post_type"
        | "invalid_json"
        | "json_not_object"
        | "upgrade_required"
        | "duplicate_channel_not_found"
        | "duplicate_message_not_found"
        | "draft_already_deleted"
        | "draft_already_sent"
        | "draft_has_conflict"
        | "draft_not_found" => Meaning::Rejected,

        _ => return None,
    })
}

/// What happened and how to mend it, for a person who sees this code for the first time.
pub(super) fn advice(code: &str, meaning: Meaning) -> &'static str {
    match code {
        "not_authed" | "invalid_auth" => {
            "Slack refuses the bot token: check SLACK_BOT_TOKEN, and that the app's allowed IP addresses include this server"
        }
        "account_inactive" | "token_revoked" => {
            "the bot token is no longer valid (the app was removed or the token revoked): reinstall the app and set the new SLACK_BOT_TOKEN"
        }
        "token_expired" => {
            "the bot token has expired: it is one of an app with token rotation, which is not renewed here; set the SLACK_BOT_TOKEN of an app without token rotation"
        }
        "not_allowed_token_type" => {
            "Slack does not take this kind of token here: SLACK_BOT_TOKEN must be the Bot User OAuth Token (xoxb-…)"
        }
        "unknown_method" | "method_deprecated" | "deprecated_endpoint" => {
            "Slack does not offer this call at the configured address: check SLACK_API_URL"
        }
        "team_not_found" => {
            "Slack cannot tell which workspace the channel's name belongs to (the app is installed for the organisation): use the channel's id"
        }
        "not_in_channel" => {
            "the bot is not in this channel: invite it with /invite @name there, or give the app the scope chat:write.public"
        }
        "messages_tab_disabled" => {
            "the app takes no direct messages: turn on its Messages Tab under App Home"
        }
        "restricted_action_thread_only_channel" => {
            "this channel takes replies in threads only: use another channel"
        }
        "message_limit_exceeded" => "the workspace's plan has no room for further messages",
        "team_added_to_org" => "the workspace is being moved into an organisation",
        "org_login_required" => "the workspace is being moved; it is not open at present",
        _ => advice_for(meaning),
    }
}

fn advice_for(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Throttled => "Slack asks to post more slowly",
        Meaning::Later => "Slack is not available at present",
        Meaning::Ambiguous => {
            "Slack had an internal error; the message may or may not have been posted"
        }
        Meaning::Credentials => {
            "Slack refuses the app or its token in this workspace: check the app's installation, its scopes and SLACK_BOT_TOKEN"
        }
        Meaning::UnknownChannel => {
            "Slack does not know this channel, or it is a private channel that the bot is not in: check the id, or invite the bot with /invite @name there"
        }
        Meaning::NotAllowed => {
            "the bot may not post in this channel: ask the channel's manager or a workspace admin to allow it"
        }
        Meaning::Archived => "the channel is archived: unarchive it, or use another channel",
        Meaning::TooLong => "the message is longer than Slack takes: shorten it",
        Meaning::Rejected => "Slack refuses the message",
    }
}
