//! Posts, as the document shows them: their forms, options and headers.

use serde_json::{Map, Value, json};

use super::Surface;
use super::answers::references;
use super::operation::Operation;
use crate::domain::channel::Channel;
use crate::domain::look::Level;
use crate::domain::options::KNOWN;
use crate::domain::options::limit::{
    MAX_KEY_CHARS, MAX_LINK_BYTES, MAX_NAME_CHARS, MAX_TITLE_CHARS, MAX_WAIT_S,
};
use crate::http::page::Asset;
use crate::http::route::Form;

/// What shows nothing, for a regular expression: Unicode's `White_Space`, which not every dialect's `\s` is.
const BLANK: &str = r"\t\n\u000b\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";
/// Control characters, likewise.
const CONTROL: &str = r"\u0000-\u001f\u007f-\u009f";
/// What turns or hides text: bidi controls and the byte order mark.
const MISLEADING: &str = r"\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff";

/// A post in one of its forms.
pub(super) fn operation(form: Form<'_>, surface: &Surface) -> Operation {
    let (name, summary) = match form {
        Form::Path(_) => ("message", "Posts a message"),
        Form::Base64(_) => ("base64", "Posts a message that is written as base64url"),
        Form::Query => ("query", "Posts a message that stands in the query"),
    };
    let mut parameters: Vec<Value> = KNOWN
        .iter()
        .filter(|known| surface.scheme(known.name).is_none())
        .map(|known| reference(known.name))
        .collect();
    parameters.extend(["Idempotency-Key", "Prefer"].map(reference));
    if form == Form::Query {
        parameters.push(reference("message-query"));
    }
    let operation = Operation::new(name, "posts", summary)
        .says(description(surface))
        .answers(
            "200",
            "The platform has accepted it; of a dry run, what would be sent.",
            "application/json",
            "Receipt",
        )
        .answers("200", "", "text/plain", "Line")
        .limits("200");
    Operation {
        parameters,
        security: security(surface),
        ..queued(operation, surface)
    }
}

/// 202 is said only where there is an outbox.
fn queued(operation: Operation, surface: &Surface) -> Operation {
    if !surface.has_outbox {
        return operation;
    }
    let mut operation = operation
        .answers(
            "202",
            "It is on stable storage, and will be delivered or end `failed`; it is never forgotten.",
            "application/json",
            "QueuedReceipt",
        )
        .answers("202", "", "text/plain", "Line")
        .header("202", "Location")
        .limits("202");
    let link = |operation: &str| json!({"operationId": operation, "parameters": {"id": "$response.body#/id"}});
    operation.answers["202"]["links"] = json!({
        "receipt": link("get-delivery"),
        "retry": link("post-retry"),
        "drop": link("delete-delivery"),
    });
    operation
}

impl Operation {
    fn limits(mut self, status: &str) -> Self {
        let headers = references(&["RateLimit", "RateLimit-Policy", "X-Request-Id"]);
        let mut all = self.answers[status]["headers"].take();
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), headers) {
            all.extend(more);
        }
        self.answers[status]["headers"] = all;
        self
    }
}

fn description(surface: &Surface) -> String {
    format!(
        "The path is percent-decoded exactly once. `name=value` that is no option is ignored and listed in the receipt. \
         No body is needed; up to {} bytes are read and thrown away. The whole target has at most {} bytes.",
        surface.max_body_bytes, surface.max_url_bytes
    )
}

fn security(surface: &Surface) -> Vec<&'static str> {
    if !surface.is_closed {
        return Vec::new();
    }
    let options = ["sig", "token"].iter();
    let options = options.filter_map(|option| surface.scheme(option));
    ["bearer", "basic"].into_iter().chain(options).collect()
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

/// The parameters of a route's pattern.
pub(super) fn path_parameters(pattern: &str) -> Vec<Value> {
    let segments = pattern.split('/');
    let names = segments.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(reference).collect()
}

/// Every parameter that operations refer to: options under their names, the others beside them.
pub(super) fn parameters(surface: &Surface) -> Value {
    let mut all: Map<String, Value> = KNOWN
        .iter()
        .map(|known| {
            let schema = option_schema(known.name, surface).unwrap_or_else(|| json!({"type": "string"}));
            let description = format!("{}; takes {}.", known.doc, known.expected);
            let option = json!({"name": known.name, "in": "query", "description": description, "schema": schema});
            (known.name.to_owned(), option)
        })
        .collect();
    all.extend(paths());
    let header = |name: &str, what: &str, schema: Value| {
        let value = json!({"name": name, "in": "header", "description": what, "schema": schema});
        (name.to_owned(), value)
    };
    let message = format!(r"^[^\u0000]*[^\u0000{BLANK}][^\u0000]*$");
    all.extend([
        (
            "message-query".to_owned(),
            json!({"name": "message", "in": "query", "required": true,
                "description": "The message, decoded as a form field: `+` is a space.",
                "schema": {"type": "string", "pattern": message}}),
        ),
        header(
            "Idempotency-Key",
            "The same as `once`; if both are given they must be the same. The quotes of a structured field are taken off.",
            json!({"type": "string", "pattern": r#"^(?!""$)[!-~]([ -~]*[!-~])?$"#, "maxLength": MAX_KEY_CHARS}),
        ),
        header(
            "Prefer",
            "`respond-async` or `wait=N` (RFC 7240); the option `wait` overrules it.",
            json!({"type": "string"}),
        ),
        header(
            "X-Request-Id",
            "An id of the caller's own, 1 to 64 of letters, digits, `-_.`; any other is not taken, and the answer carries a new one.",
            json!({"type": "string"}),
        ),
    ]);
    Value::Object(all)
}

/// A channel, as it is written in a path or a query.
pub(super) fn channel_schema() -> Value {
    let any = format!("[^{CONTROL}{MISLEADING}]*");
    let pattern = format!("^{any}[^{CONTROL}{MISLEADING}{BLANK}]{any}$");
    json!({"type": "string", "pattern": pattern, "maxLength": Channel::MAX_CHARS})
}

fn paths() -> [(String, Value); 5] {
    let path = |name: &str, what: &str, schema: Value| {
        let value = json!({"name": name, "in": "path", "required": true, "description": what, "schema": schema});
        (name.to_owned(), value)
    };
    let message = format!(r"^[^\u0000]*[^\u0000{BLANK}][^\u0000]*$");
    let files: Vec<&str> = Asset::all().iter().map(|asset| asset.name).collect();
    [
        path(
            "channel",
            "An alias, or `[backend:]target`.",
            channel_schema(),
        ),
        path(
            "message",
            "Everything up to `?`, raw slashes and empty segments included.",
            json!({"type": "string", "pattern": message}),
        ),
        path(
            "text",
            "The message as base64url of its UTF-8 bytes, padding optional.",
            json!({"type": "string", "format": "base64url",
                "contentEncoding": "base64url", "contentMediaType": "text/plain; charset=utf-8"}),
        ),
        path(
            "id",
            "The `id` of a receipt.",
            json!({"type": "string", "format": "uuid"}),
        ),
        path("name", "The file.", json!({"enum": files})),
    ]
}

/// What an option takes; `None` for one that is not known here.
pub(super) fn option_schema(name: &str, surface: &Surface) -> Option<Value> {
    let line = |max: usize| {
        let pattern = format!(r"^[^\u0000]*[^\u0000{BLANK}][^\u0000]*$");
        json!({"type": "string", "pattern": pattern, "maxLength": max})
    };
    let levels = [Level::Info, Level::Success, Level::Warning, Level::Error];
    Some(match name {
        "title" => line(MAX_TITLE_CHARS),
        "as" => line(MAX_NAME_CHARS),
        "link" => json!({"type": "string", "maxLength": MAX_LINK_BYTES,
            "pattern": format!(r"^[Hh][Tt][Tt][Pp][Ss]?://([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?([/?#][^{BLANK}{CONTROL}{MISLEADING}]*)?$")}),
        "level" => json!({"enum": levels.map(Level::word)}),
        "format" => json!({"enum": ["plain"]}),
        "once" => json!({"type": "string", "maxLength": MAX_KEY_CHARS,
            "pattern": format!("^[^{CONTROL}{BLANK}\"]([^{CONTROL}]*[^{CONTROL}{BLANK}\"])?$")}),
        // Without an outbox there is nothing to store it in before the platform has answered.
        "wait" => {
            json!({"type": "integer", "minimum": u8::from(!surface.has_outbox), "maximum": MAX_WAIT_S})
        }
        "dry" => json!({"enum": ["1", "0"]}),
        "token" | "sig" => json!({"type": "string"}),
        _ => return None,
    })
}
