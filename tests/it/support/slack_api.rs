//! The routes of the fake Slack. Section numbers are those of `slack.md`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::slack::{Access, Channel, Post, Server, State};
use super::{Reply, Request};

/// Above it Slack cuts the text, posts it and warns (1.3).
const MAX_TEXT_CHARS: usize = 40_000;
/// `chat.update` refuses instead (1.3).
const MAX_UPDATE_CHARS: usize = 4_000;

/// The arguments of a call, and the warnings its form earned.
struct Call {
    args: Map<String, Value>,
    warnings: Vec<&'static str>,
}

type Answer = Result<Value, Value>;

fn refuse<T>(code: &str) -> Result<T, Value> {
    Err(json!({"ok": false, "error": code}))
}

pub(super) fn answer(server: &Server, request: &Request) -> Reply {
    let path = request.path();
    let webhook = path.starts_with("/services/");
    let posting = webhook || matches!(path, "/api/chat.postMessage" | "/api/chat.update");
    if posting {
        let mut state = server.state();
        let (left, retry_after) = state.limited;
        if left > 0 {
            state.limited.0 -= 1;
            // 1.5: the webhook's 429 is JSON although its other answers are text.
            let body = match webhook {
                true => json!({"retry_after": retry_after, "ok": false, "error": "rate_limited"}),
                false => json!({"ok": false, "error": "ratelimited"}),
            };
            return Reply::json(429, body).header("Retry-After", &retry_after.to_string());
        }
    }
    let queue = if posting {
        &server.next
    } else {
        &server.next_other
    };
    queue.apply(|| match path.strip_prefix("/api/") {
        Some(method) => api(server, request, method),
        None if webhook => incoming(server, request),
        None => Reply::html(404, "<html>There has been a glitch</html>"),
    })
}

fn api(server: &Server, request: &Request, method: &str) -> Reply {
    let granted = server
        .state()
        .scopes
        .iter()
        .cloned()
        .collect::<Vec<_>>()
        .join(",");
    if method == "oauth.v2.access" {
        let (Ok(body) | Err(body)) = server.state().oauth.access(request);
        return Reply::json(200, body);
    }
    let result = call(server, request, method).and_then(|call| {
        let mut warnings = call.warnings.clone();
        let mut body = match method {
            "chat.postMessage" => post(server, &call.args, &mut warnings),
            "chat.update" => update(server, &call.args),
            "conversations.list" => list(&server.state(), &call.args),
            "conversations.info" => info(&server.state(), &call.args),
            "conversations.join" => join(server, &call.args, &mut warnings),
            _ => Ok(json!({"ok": true, "url": "https://acme.slack.com/", "team": "Acme", "user": "message-proxy",
                "team_id": "T0TEAM001", "user_id": "U0PROXY001", "bot_id": "B0PROXY001", "is_enterprise_install": false})),
        }?;
        if !warnings.is_empty() {
            body["warning"] = warnings.join(",").into();
            body["response_metadata"]["warnings"] = warnings.into();
        }
        Ok(body)
    });
    let (Ok(body) | Err(body)) = result;
    Reply::json(200, body).header("x-oauth-scopes", &granted)
}

/// Authentication and the form of the call (1.1).
fn call(server: &Server, request: &Request, method: &str) -> Result<Call, Value> {
    const METHODS: [&str; 6] = [
        "chat.postMessage",
        "chat.update",
        "conversations.list",
        "conversations.info",
        "conversations.join",
        "auth.test",
    ];
    if !METHODS.contains(&method) {
        return refuse("unknown_method");
    }
    // Only the write methods read JSON; the others see no arguments in it.
    let reads_json =
        method.starts_with("chat.") || matches!(method, "conversations.join" | "auth.test");
    let kind = request
        .header("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let mut warnings = Vec::new();
    let mut args = Map::new();
    if request.method == "GET" {
        args.extend(
            request
                .query()
                .into_iter()
                .map(|(name, value)| (name, value.into())),
        );
    } else if kind.starts_with("application/json") {
        if !kind.contains("charset=utf-8") {
            warnings.push("missing_charset");
        }
        match serde_json::from_slice(&request.body) {
            Ok(Value::Object(object)) if reads_json => args = object,
            Ok(Value::Object(_)) => {}
            Ok(_) => return refuse("json_not_object"),
            Err(_) => return refuse("invalid_json"),
        }
        // A token inside a JSON body or a query is not accepted.
        args.remove("token");
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        if kind.contains("charset") {
            warnings.push("superfluous_charset");
        }
        args.extend(
            request
                .form()
                .into_iter()
                .map(|(name, value)| (name, value.into())),
        );
    } else if !request.body.is_empty() {
        return refuse(if kind.is_empty() {
            "missing_post_type"
        } else {
            "invalid_post_type"
        });
    }
    args.retain(|_, value| !value.is_null());
    let form_token = (request.method == "POST")
        .then(|| args.remove("token"))
        .flatten();
    // The word `Bearer` is case-sensitive.
    let bearer = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    match bearer.or(form_token.as_ref().and_then(Value::as_str)) {
        None => refuse("not_authed"),
        Some(token) => {
            let state = server.state();
            let of_workspace = || state.oauth.verdict(token).unwrap_or(Err("invalid_auth"));
            let verdict = if token == state.token {
                Ok(())
            } else {
                of_workspace()
            };
            match verdict {
                Ok(()) => Ok(Call { args, warnings }),
                Err(code) => refuse(code),
            }
        }
    }
}

fn need(state: &State, any: &[&str]) -> Result<(), Value> {
    if any.iter().any(|scope| state.scopes.contains(*scope)) {
        return Ok(());
    }
    let provided = state.scopes.iter().cloned().collect::<Vec<_>>().join(",");
    Err(
        json!({"ok": false, "error": "missing_scope", "needed": any.join(","), "provided": provided}),
    )
}

fn text<'a>(args: &'a Map<String, Value>, name: &str) -> &'a str {
    args.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Ids as they are; `#name` only for public channels; a bare name is unconfirmed, so it is refused.
fn find<'a>(state: &'a State, wanted: &str) -> Result<&'a Channel, Value> {
    let private = |channel: &&Channel| {
        matches!(
            channel.access,
            Access::PrivateMember | Access::PrivateNotMember
        )
    };
    let found = match wanted.strip_prefix('#') {
        Some(name) => state
            .channels
            .iter()
            .find(|channel| channel.name == name)
            .filter(|channel| !private(channel)),
        None => state.channels.iter().find(|channel| channel.id == wanted),
    };
    // A private channel it is not in does not exist for the bot (4.2).
    let visible = found.filter(|channel| channel.access != Access::PrivateNotMember);
    visible.map_or_else(|| refuse("channel_not_found"), Ok)
}

fn post(server: &Server, args: &Map<String, Value>, warnings: &mut Vec<&'static str>) -> Answer {
    let mut state = server.state();
    need(&state, &["chat:write"])?;
    if ["username", "icon_emoji", "icon_url"]
        .iter()
        .any(|name| args.contains_key(*name))
    {
        need(&state, &["chat:write.customize"])?;
    }
    let channel = find(&state, text(args, "channel"))?.clone();
    match channel.access {
        Access::Archived => return refuse("is_archived"),
        Access::PublicNotMember if !state.scopes.contains("chat:write.public") => {
            return refuse("not_in_channel");
        }
        _ => {}
    }
    check_content(args)?;
    let thread_ts = args
        .get("thread_ts")
        .map(|ts| ts.as_str().map(str::to_owned));
    if let Some(ts) = &thread_ts {
        let Some(ts) = ts else {
            return refuse("invalid_arguments");
        };
        let root =
            |post: &Post| post.channel == channel.id && post.ts == *ts && post.thread_ts.is_none();
        if !server.posts.all().iter().any(root) {
            return refuse("cannot_reply_to_message");
        }
    }
    let mut kept = text(args, "text").to_owned();
    if kept.chars().count() > MAX_TEXT_CHARS {
        kept = kept.chars().take(MAX_TEXT_CHARS).collect();
        warnings.push("message_truncated");
    }
    state.clock += 1;
    let ts = format!("{}.000100", state.clock);
    let message = json!({"type": "message", "text": kept, "bot_id": "B0PROXY001", "user": "U0PROXY001",
        "app_id": "A0PROXY001", "ts": ts});
    server.posts.push(Post {
        channel: channel.id.clone(),
        ts: ts.clone(),
        text: kept,
        body: Value::Object(args.clone()),
        thread_ts: thread_ts.flatten(),
        edits: 0,
        via_webhook: false,
    });
    Ok(json!({"ok": true, "channel": channel.id, "ts": ts, "message": message}))
}

/// Sizes of 1.2 and 1.3, and something to show.
fn check_content(args: &Map<String, Value>) -> Result<(), Value> {
    // In a form they are JSON text.
    let array = |name: &str| match args.get(name) {
        Some(Value::String(text)) => serde_json::from_str(text)
            .ok()
            .and_then(|value: Value| value.as_array().cloned()),
        Some(value) => value.as_array().cloned(),
        None => Some(Vec::new()),
    };
    let Some(blocks) = array("blocks") else {
        return refuse("invalid_blocks_format");
    };
    let Some(attachments) = array("attachments") else {
        return refuse("invalid_arguments");
    };
    let (plain, markdown) = (text(args, "text"), text(args, "markdown_text"));
    if !markdown.is_empty() && (!plain.is_empty() || !blocks.is_empty()) {
        return refuse("markdown_text_conflict");
    }
    if plain.is_empty() && markdown.is_empty() && blocks.is_empty() && attachments.is_empty() {
        return refuse("no_text");
    }
    if attachments.len() > 100 {
        return refuse("too_many_attachments");
    }
    let nested = attachments
        .iter()
        .filter_map(|attachment| attachment.get("blocks")?.as_array())
        .flatten();
    for (at, block) in blocks.iter().chain(nested).enumerate() {
        let limit = if block["type"] == "header" {
            150
        } else {
            3_000
        };
        let content = &block["text"]["text"];
        if !content.is_null()
            && !content
                .as_str()
                .is_some_and(|text| (1..=limit).contains(&text.chars().count()))
        {
            let detail = format!(
                "[ERROR] must be less than {} characters [json-pointer:/blocks/{at}/text/text]",
                limit + 1
            );
            return Err(
                json!({"ok": false, "error": "invalid_blocks", "errors": [detail],
                "response_metadata": {"messages": [detail]}}),
            );
        }
    }
    if blocks.len() > 50 {
        refuse("invalid_blocks")
    } else {
        Ok(())
    }
}

fn update(server: &Server, args: &Map<String, Value>) -> Answer {
    let state = server.state();
    need(&state, &["chat:write"])?;
    let channel = find(&state, text(args, "channel"))?.id.clone();
    if text(args, "text").chars().count() > MAX_UPDATE_CHARS {
        return refuse("msg_too_long");
    }
    check_content(args)?;
    let ts = text(args, "ts").to_owned();
    let changed = server.posts.change(|posts| {
        let post = posts
            .iter_mut()
            .find(|post| post.channel == channel && post.ts == ts)?;
        if post.via_webhook {
            return Some(false);
        }
        post.text = text(args, "text").to_owned();
        post.body = Value::Object(args.clone());
        post.edits += 1;
        Some(true)
    });
    match changed {
        None => refuse("message_not_found"),
        Some(false) => refuse("cant_update_message"),
        Some(true) => Ok(
            json!({"ok": true, "channel": channel, "ts": ts, "text": text(args, "text"), "message": {}}),
        ),
    }
}

/// Pages of `page_size`; the second page is empty although a cursor follows (4.2).
fn list(state: &State, args: &Map<String, Value>) -> Answer {
    let types = Some(text(args, "types"))
        .filter(|types| !types.is_empty())
        .unwrap_or("public_channel");
    for kind in types.split(',') {
        match kind.trim() {
            "public_channel" => need(state, &["channels:read"])?,
            "private_channel" => need(state, &["groups:read"])?,
            "mpim" => need(state, &["mpim:read"])?,
            "im" => need(state, &["im:read"])?,
            _ => return refuse("invalid_types"),
        }
    }
    let limit = match args.get("limit") {
        None => 100,
        Some(limit) => match limit
            .as_str()
            .and_then(|limit| limit.parse().ok())
            .or_else(|| limit.as_u64())
        {
            Some(limit @ 1..=999) => limit as usize,
            _ => return refuse("invalid_limit"),
        },
    };
    let wanted = |channel: &&Channel| match channel.access {
        Access::PrivateNotMember => false,
        Access::PrivateMember => types.contains("private_channel"),
        Access::Archived => {
            types.contains("public_channel") && text(args, "exclude_archived") != "true"
        }
        _ => types.contains("public_channel"),
    };
    let size = limit.min(state.page_size);
    let (start, empty) = match text(args, "cursor") {
        "" => (0, false),
        cursor => {
            let decoded = STANDARD
                .decode(cursor)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            let place = decoded.as_deref().and_then(|text| text.strip_prefix("at:"));
            match place.and_then(|place| place.trim_end_matches('!').parse().ok()) {
                Some(start) => (start, place.is_some_and(|place| place.ends_with('!'))),
                None => return refuse("invalid_cursor"),
            }
        }
    };
    let visible: Vec<&Channel> = state.channels.iter().filter(wanted).collect();
    let page: Vec<Value> = visible
        .iter()
        .skip(start)
        .take(if empty { 0 } else { size })
        .map(|c| describe(c))
        .collect();
    let end = start + page.len();
    // The mark makes the page after the first one empty; both lengths encode with a final `=`.
    let next = match end < visible.len() {
        true if start == 0 && !empty => STANDARD.encode(format!("at:{end:0>4}!")),
        true => STANDARD.encode(format!("at:{end:0>5}")),
        false => String::new(),
    };
    Ok(json!({"ok": true, "channels": page, "response_metadata": {"next_cursor": next}}))
}

fn describe(channel: &Channel) -> Value {
    let private = matches!(
        channel.access,
        Access::PrivateMember | Access::PrivateNotMember
    );
    let member = matches!(channel.access, Access::Member | Access::PrivateMember);
    json!({"id": channel.id, "name": channel.name, "is_channel": true, "is_private": private,
        "is_archived": channel.access == Access::Archived, "is_member": member, "num_members": 7})
}

fn info(state: &State, args: &Map<String, Value>) -> Answer {
    need(state, &["channels:read", "groups:read"])?;
    let channel = state
        .channels
        .iter()
        .find(|channel| channel.id == text(args, "channel"));
    match channel.filter(|channel| channel.access != Access::PrivateNotMember) {
        Some(channel) => Ok(json!({"ok": true, "channel": describe(channel)})),
        None => refuse("channel_not_found"),
    }
}

fn join(server: &Server, args: &Map<String, Value>, warnings: &mut Vec<&'static str>) -> Answer {
    let mut state = server.state();
    need(&state, &["channels:join"])?;
    let id = text(args, "channel");
    let Some(channel) = state.channels.iter_mut().find(|channel| channel.id == id) else {
        return refuse("channel_not_found");
    };
    match channel.access {
        Access::Archived => return refuse("is_archived"),
        Access::PrivateNotMember => return refuse("channel_not_found"),
        Access::PrivateMember => return refuse("method_not_supported_for_channel_type"),
        Access::Member => warnings.push("already_in_channel"),
        Access::PublicNotMember => channel.access = Access::Member,
    }
    Ok(json!({"ok": true, "channel": describe(channel)}))
}

/// Section 3: plain text, real statuses, `ok` and no `ts`. `channel`, `username` and icons are ignored.
fn incoming(server: &Server, request: &Request) -> Reply {
    let mut state = server.state();
    if request.target != state.webhook {
        let team = request.target.starts_with("/services/T0TEAM001/");
        return Reply::text(404, if team { "no_service" } else { "no_team" });
    }
    let channel = state
        .channels
        .iter()
        .find(|channel| channel.name == state.webhook_channel)
        .cloned();
    let Some(channel) = channel else {
        return Reply::text(404, "channel_not_found");
    };
    if channel.access == Access::Archived {
        return Reply::text(410, "channel_is_archived");
    }
    let Ok(Value::Object(args)) = serde_json::from_slice(&request.body) else {
        return Reply::text(400, "invalid_payload");
    };
    if let Err(refusal) = check_content(&args) {
        return Reply::text(400, refusal["error"].as_str().unwrap_or("invalid_payload"));
    }
    state.clock += 1;
    server.posts.push(Post {
        channel: channel.id,
        ts: format!("{}.000200", state.clock),
        text: text(&args, "text").to_owned(),
        thread_ts: None,
        body: Value::Object(args),
        edits: 0,
        via_webhook: true,
    });
    Reply::text(200, "ok")
}
