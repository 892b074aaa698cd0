//! The bodies of answers.

use serde_json::{Value, json};

use super::post::channel_schema;
use crate::dispatch::sent::Reason;
use crate::http::problem::CODES;

const REASONS: [Reason; 4] = [
    Reason::Async,
    Reason::BackendUnavailable,
    Reason::BackendThrottled,
    Reason::BehindEarlierMessages,
];

/// All of them by name.
pub(super) fn all() -> Value {
    json!({
        "Receipt": receipt(),
        "QueuedReceipt": {"$ref": "#/components/schemas/Receipt", "required": ["reason"],
            "properties": {"status": {"const": "queued"}}},
        "StoredReceipt": {"$ref": "#/components/schemas/Receipt", "required": ["created_at", "attempts"],
            "properties": {"status": {"enum": ["queued", "delivered", "failed"]}}},
        "Receipts": receipts(),
        "Delivery": delivery(),
        "Problem": problem(),
        "Readiness": readiness(),
        "Health": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}},
        "Said": said(),
        "Choice": choice(),
        "List": list(),
        "Channels": {"anyOf": [{"$ref": "#/components/schemas/Choice"}, {"$ref": "#/components/schemas/List"}]},
        "Wish": wish(),
        "SignedUrl": signed_url(),
        "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
        "Line": {"type": "string", "description": "One line.", "pattern": "^[^\n]*\n$"},
        "Text": {"type": "string"},
    })
}

fn receipt() -> Value {
    let reasons = REASONS.map(Reason::word);
    json!({
        "type": "object",
        "description": "What became of a message.",
        "required": ["id", "status", "deliveries"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "status": {"enum": ["delivered", "queued", "failed", "dry"]},
            "reason": {"enum": reasons, "description": "Why it is queued."},
            "created_at": {"type": "string", "format": "date-time", "description": "When it was accepted."},
            "attempts": {"type": "integer", "minimum": 0},
            "error": {"type": "string", "description": "What the last attempt that failed ended with."},
            "message": {"type": "string", "description": "Of a dry run: the message as decoded and cleaned."},
            "deliveries": {"type": "array", "items": {"$ref": "#/components/schemas/Delivery"}},
            "replaced": {"type": "integer", "minimum": 1, "description": "How many characters became U+FFFD."},
            "ignored": {"type": "array", "items": {"type": "string"}, "description": "Names of the query that mean nothing here."},
        },
    })
}

fn delivery() -> Value {
    json!({
        "type": "object",
        "description": "What became of it at one destination.",
        "required": ["backend", "channel", "status"],
        "properties": {
            "backend": {"type": "string"},
            "channel": {"type": "string", "description": "The platform's id; for a webhook its alias."},
            "status": {"enum": ["delivered", "queued", "failed", "dry"]},
            "message_id": {"type": "string", "description": "The platform's id of the (first) post."},
            "link": {"type": "string", "description": "Where a person can see it."},
            "parts": {"type": "integer", "minimum": 2, "description": "How many posts it took."},
            "reason": {"type": "string", "description": "Why it failed or waits, in one word."},
            "platform_code": {"type": "string", "description": "The platform's own code."},
            "detail": {"type": "string", "description": "What happened, and how to fix it."},
            "attempts": {"type": "integer", "minimum": 0},
            "ambiguous": {"type": "integer", "minimum": 1, "description": "How many attempts may have posted without telling."},
            "error": {"type": "string", "description": "What the last attempt that failed ended with."},
            "requests": {"type": "array", "description": "Of a dry run: the exact JSON of each post, without credentials."},
        },
    })
}

fn receipts() -> Value {
    json!({
        "type": "object",
        "required": ["deliveries"],
        "properties": {
            "deliveries": {"type": "array", "items": {"$ref": "#/components/schemas/StoredReceipt"}},
            "next": {"type": "string", "format": "uuid", "description": "For `after`; missing on the last page."},
            "channels": {"type": "array", "items": {"type": "string"}, "description": "What `channel` stands for, as receipts write it."},
        },
    })
}

/// Every code of the table; each answer narrows it to its own.
fn problem() -> Value {
    let codes: Vec<&str> = CODES.iter().map(|row| row.text).collect();
    json!({
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status", "detail", "code", "id"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "description": "Where the code is explained."},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What is wrong and how to fix it."},
            "code": {"enum": codes},
            "id": {"type": "string"},
            "platform_code": {"type": "string", "description": "The platform's own code."},
            "deliveries": {"type": "array", "items": {"$ref": "#/components/schemas/Delivery"}},
        },
    })
}

fn readiness() -> Value {
    let backend = json!({
        "type": "object",
        "required": ["name", "status"],
        "properties": {
            "name": {"type": "string"},
            "status": {"enum": ["ok", "failing"]},
            "reason": {"type": "string"},
        },
    });
    let store = json!({
        "type": "object",
        "required": ["name", "status"],
        "properties": {
            "name": {"enum": ["sqlite", "none"]},
            "status": {"enum": ["ok", "full", "gone", "failed"]},
            "waiting": {"type": "integer", "minimum": 0},
        },
    });
    json!({
        "type": "object",
        "required": ["status", "backends", "store"],
        "properties": {
            "status": {"enum": ["ready", "shutting-down", "store-unavailable"]},
            "backends": {"type": "array", "items": backend},
            "store": store,
        },
    })
}

fn said() -> Value {
    json!({
        "type": "object",
        "required": ["response_type", "text"],
        "properties": {
            "response_type": {"enum": ["ephemeral", "comment"]},
            "text": {"type": "string"},
        },
    })
}

fn choice() -> Value {
    let place = json!({
        "type": "object",
        "required": ["backend", "channel"],
        "properties": {"backend": {"type": "string"}, "channel": {"type": "string"}},
    });
    let entry = json!({
        "type": "object",
        "required": ["channel"],
        "properties": {
            "channel": {"type": "string", "description": "As it is written in a URL."},
            "destinations": {"type": "array", "items": place, "description": "Where an alias goes."},
        },
    });
    json!({
        "type": "object",
        "required": ["caller", "open", "signs", "get_posts", "keeps", "others", "lists", "backends", "channels"],
        "properties": {
            "caller": {"type": "string", "description": "Who asks, as the log calls it."},
            "public_url": {"type": "string"},
            "open": {"type": "boolean", "description": "Whether posting is open."},
            "signs": {"type": "boolean", "description": "Whether `/sign` makes signed URLs."},
            "get_posts": {"type": "boolean", "description": "Whether GET posts."},
            "keeps": {"type": "boolean", "description": "Whether there are receipts."},
            "others": {"type": "boolean", "description": "Whether other channels than these may be written."},
            "lists": {"type": "boolean", "description": "Whether the platforms' own lists may be asked for."},
            "backends": {"type": "array", "items": {"type": "string"}},
            "channels": {"type": "array", "items": entry},
        },
    })
}

/// What a platform's bot can see.
fn list() -> Value {
    let entry = json!({
        "type": "object",
        "required": ["channel", "name"],
        "properties": {"channel": {"type": "string"}, "name": {"type": "string"}, "note": {"type": "string"}},
    });
    json!({
        "type": "object",
        "required": ["channels", "more"],
        "properties": {
            "channels": {"type": "array", "items": entry},
            "more": {"type": "boolean", "description": "Whether some were left out."},
            "advice": {"type": "string"},
        },
    })
}

/// What is asked of `/sign`.
fn wish() -> Value {
    json!({
        "type": "object",
        "required": ["channel", "scope", "expires"],
        "additionalProperties": false,
        "properties": {
            "channel": channel_schema(),
            "message": {"type": ["string", "null"], "description": "Needed for the scope `m`; without it any may follow."},
            "options": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Options of the post, but `token` and `sig`."},
            "scope": {"enum": ["c", "m"], "description": "`c`: any message to this channel; `m`: exactly this message and these options."},
            "expires": {"anyOf": [
                {"type": "integer", "minimum": 1, "description": "Unix seconds to come."},
                {"type": "string", "description": "A duration such as `30d`, or `never`."},
            ]},
        },
    })
}

fn signed_url() -> Value {
    json!({
        "type": "object",
        "required": ["sig", "target"],
        "properties": {
            "sig": {"type": "string", "description": "The value of the option."},
            "target": {"type": "string", "description": "Path and query; without a message, `&message=…` goes at its end."},
            "expires_at": {"type": "string", "format": "date-time"},
        },
    })
}
