//! The routes of the fake Mattermost. Section numbers are those of `mattermost.md`.

use serde_json::{Map, Value, json};

use super::encoding::percent_decode;
use super::mattermost::{
    Access, Channel, MAX_POST_CHARS, MAX_PROPS_CHARS, Mattermost, Post, Server, State, TEAM,
};
use super::{Reply, Request, unique};

const NO_PERMISSION: (u16, &str) = (403, "api.context.permissions.app_error");
const VERSION: &str = "5.37.0.5.37.0.0123456789abcdef0123456789abcdef.false";

type Refusal = (u16, &'static str);

pub(super) fn answer(server: &Server, request: &Request) -> Reply {
    let limited = {
        let mut state = server.state();
        let (left, retry_after) = state.limited;
        state.limited.0 = left.saturating_sub(1);
        (left > 0).then_some(retry_after)
    };
    if let Some(seconds) = limited {
        // Section 7: plain text, no request id.
        return Reply::text(429, "limit exceeded")
            .header("Retry-After", &seconds.to_string())
            .header("X-Ratelimit-Limit", "4")
            .header("X-Ratelimit-Remaining", "0")
            .header("X-Ratelimit-Reset", &(seconds + 1).to_string());
    }
    let decoded: Vec<String> = request
        .path()
        .split('/')
        .skip(1)
        .map(|segment| String::from_utf8_lossy(&percent_decode(segment)).into_owned())
        .collect();
    let path: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let posting = matches!(
        (request.method.as_str(), path.as_slice()),
        ("POST", ["api", "v4", "posts"] | ["hooks", _])
            | ("PUT" | "DELETE", ["api", "v4", "posts", ..])
    );
    let queue = if posting {
        &server.next
    } else {
        &server.next_other
    };
    let limits = server.state().limits;
    queue.apply(|| {
        let reply = route(server, request, &path);
        match limits {
            Some((remaining, reset_s)) => reply
                .header("X-Ratelimit-Remaining", &remaining.to_string())
                .header("X-Ratelimit-Reset", &reset_s.to_string()),
            None => reply,
        }
    })
}

fn route(server: &Server, request: &Request, path: &[&str]) -> Reply {
    let method = request.method.as_str();
    let result = match (method, path) {
        ("POST", [""] | ["api", "v4"]) => return Reply::status(405),
        ("GET", ["api", "v4", "system", "ping"]) => return ping(&server.state(), request),
        ("POST", ["hooks", id]) => return hook(server, request, id),
        (_, ["api", "v4", rest @ ..]) => match authenticate(server, request) {
            Err((401, id)) => {
                let reply = Mattermost::error(401, id);
                return reply.header("Set-Cookie", "MMAUTHTOKEN=; Path=/; Max-Age=0; HttpOnly");
            }
            Err(refusal) => Err(refusal),
            Ok(()) => match (method, rest) {
                ("POST", ["posts"]) => create(server, request),
                ("PUT", ["posts", id, "patch"]) => patch(server, request, id),
                ("DELETE", ["posts", id]) => delete(server, id),
                ("GET", rest) => look_up(server, request, rest),
                ("POST", ["channels", id, "members"]) => join(server, id),
                _ => Err((404, "")),
            },
        },
        _ => Err((404, "")),
    };
    match result {
        Ok(reply) => reply
            .header("X-Request-Id", &unique("", 26))
            .header("X-Version-Id", VERSION),
        // The router's own 404: error JSON as text/plain, without a request id (section 2).
        Err((404, "")) => {
            let body = json!({"id": "api.context.404.app_error", "message": "Sorry, we could not find the page.",
                "detailed_error": "", "status_code": 404});
            Reply::text(404, &body.to_string())
        }
        Err((status, id)) => Mattermost::error(status, id),
    }
}

fn ping(state: &State, request: &Request) -> Reply {
    let mut body = json!({"status": "OK", "AndroidLatestVersion": "", "IosLatestVersion": ""});
    let mut status = 200;
    if request.param("get_server_status").as_deref() == Some("true") {
        let database = if state.database_down {
            "UNHEALTHY"
        } else {
            "OK"
        };
        status = if state.database_down { 500 } else { 200 };
        body["status"] = database.into();
        body["database_status"] = database.into();
        body["filestore_status"] = "OK".into();
    }
    Reply::json(status, body)
}

/// Section 2: `Bearer` or `Token` in any case, exactly one space, nothing in the query.
fn authenticate(server: &Server, request: &Request) -> Result<(), Refusal> {
    let mut state = server.state();
    if request.param("access_token").is_some() {
        return Err((401, "api.context.token_provided.app_error"));
    }
    let given = request
        .header("authorization")
        .and_then(|value| value.split_once(' '));
    let scheme = |scheme: &str| {
        scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token")
    };
    let known = given.is_some_and(|(name, token)| scheme(name) && token == state.token);
    if !known || (state.database_down && !state.token_cached) {
        return Err((401, "api.context.session_expired.app_error"));
    }
    state.token_cached = true;
    Ok(())
}

/// Keys are case-insensitive, wrong types are dropped (section 4, leniency of 5.37).
fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn string(object: &Map<String, Value>, name: &str) -> String {
    field(object, name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The first JSON value; what follows it is ignored.
fn parse(body: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(body).into_owned();
    serde_json::Deserializer::from_str(&text)
        .into_iter()
        .next()?
        .ok()
}

fn writable<'a>(state: &'a State, id: &str) -> Result<&'a Channel, Refusal> {
    let channel = state
        .channels
        .iter()
        .find(|channel| channel.id == id)
        .ok_or(NO_PERMISSION)?;
    match channel.access {
        Access::Member => Ok(channel),
        Access::Archived => Err((400, "api.post.create_post.can_not_post_to_deleted.error")),
        Access::PublicNotMember | Access::PrivateNotMember => Err(NO_PERMISSION),
    }
}

fn create(server: &Server, request: &Request) -> Result<Reply, Refusal> {
    let object = match parse(&request.body) {
        Some(Value::Object(object)) => object,
        Some(Value::Array(_)) => return Err(NO_PERMISSION),
        _ => return Err((400, "api.context.invalid_body_param.app_error")),
    };
    let mut state = server.state();
    let channel_id = string(&object, "channel_id");
    if state.database_down {
        return Err(match state.memberships_cached.contains(&channel_id) {
            true => (400, "api.context.invalid_param.app_error"),
            false => NO_PERMISSION,
        });
    }
    let writable = writable(&state, &channel_id).map(|channel| channel.id.clone());
    if writable == Err(NO_PERMISSION) {
        return Err(NO_PERMISSION);
    }
    let pending_post_id = string(&object, "pending_post_id");
    let first = state.pending.get(&pending_post_id).cloned();
    if let Some(post) =
        first.and_then(|id| server.posts.all().into_iter().find(|post| post.id == id))
    {
        // Section 5: a hit shows itself by an empty id and missing metadata.
        let mut echo = shown(&state, &post);
        echo["pending_post_id"] = "".into();
        echo.as_object_mut().unwrap().remove("metadata");
        return Ok(Reply::json(201, echo));
    }
    writable?;
    let (message, root_id) = (string(&object, "message"), string(&object, "root_id"));
    if !string(&object, "id").is_empty() {
        return Err((400, "app.post.save.existing.app_error"));
    }
    if !root_id.is_empty() {
        let root = server
            .posts
            .all()
            .into_iter()
            .find(|post| post.id == root_id && !post.deleted && post.root_id.is_empty());
        let root = root.ok_or((400, "api.post.create_post.root_id.app_error"))?;
        if root.channel_id != channel_id {
            return Err((400, "api.post.create_post.channel_root_id.app_error"));
        }
    }
    match string(&object, "type").as_str() {
        "" | "slack_attachment" | "me" => {}
        custom if custom.starts_with("custom_") => {}
        system if system.starts_with("system_") => {
            return Err((400, "api.context.invalid_param.app_error"));
        }
        _ => return Err((400, "model.post.is_valid.type.app_error")),
    }
    let props = props(&object);
    check_text(&state, &message, &props)?;
    state.memberships_cached.insert(channel_id.clone());
    let post = accept(
        server,
        &mut state,
        Post {
            channel_id,
            root_id,
            message,
            props,
            pending_post_id,
            ..blank()
        },
    );
    Ok(Reply::json(201, shown(&state, &post)))
}

fn check_text(state: &State, message: &str, props: &Value) -> Result<(), Refusal> {
    if message.chars().count() > state.max_post_chars {
        return Err((400, "model.post.is_valid.msg.app_error"));
    }
    if go_json_chars(props) > MAX_PROPS_CHARS {
        return Err((400, "model.post.is_valid.props.app_error"));
    }
    if message.contains('\0') || has_nul(props) {
        return Err((500, "app.post.save.app_error"));
    }
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.values().any(has_nul),
        _ => false,
    }
}

/// Go writes `<`, `>`, `&` and the two line separators as six characters; control characters as serde does, or shorter.
fn go_json_chars(value: &Value) -> usize {
    value
        .to_string()
        .chars()
        .map(|c| {
            if matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
                6
            } else {
                1
            }
        })
        .sum()
}

/// The bag as the server stores it: attachments with every key, and the mark of a bot.
fn props(object: &Map<String, Value>) -> Value {
    let mut props = field(object, "props")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if let Some(given) = props.remove("attachments") {
        let boxes: Option<Vec<Value>> = given
            .as_array()
            .and_then(|items| items.iter().map(attachment).collect());
        if let Some(boxes) = boxes {
            props.insert("attachments".to_owned(), boxes.into());
        }
    }
    props.insert("from_bot".to_owned(), "true".into());
    Value::Object(props)
}

/// An attachment with its defaults; `None` when a field has the wrong type, which silently loses them all.
fn attachment(given: &Value) -> Option<Value> {
    const TEXTS: [&str; 13] = [
        "fallback",
        "color",
        "pretext",
        "author_name",
        "author_link",
        "author_icon",
        "title",
        "title_link",
        "text",
        "image_url",
        "thumb_url",
        "footer",
        "footer_icon",
    ];
    let mut full = json!({"id": 0, "fields": null, "ts": null});
    for name in TEXTS {
        full[name] = match given.get(name) {
            None | Some(Value::Null) => "".into(),
            Some(Value::String(text)) => text.clone().into(),
            Some(_) => return None,
        };
    }
    for name in ["fields", "ts", "actions"] {
        if let Some(value) = given.get(name) {
            full[name] = value.clone();
        }
    }
    Some(full)
}

fn blank() -> Post {
    Post {
        id: unique("", 26),
        channel_id: String::new(),
        root_id: String::new(),
        message: String::new(),
        props: json!({}),
        pending_post_id: String::new(),
        create_at: 0,
        edits: 0,
        deleted: false,
        via_hook: false,
    }
}

fn accept(server: &Server, state: &mut State, post: Post) -> Post {
    state.clock_ms += 1;
    let post = Post {
        create_at: state.clock_ms,
        ..post
    };
    if !post.pending_post_id.is_empty() {
        state
            .pending
            .insert(post.pending_post_id.clone(), post.id.clone());
    }
    server.posts.push(post.clone());
    post
}

fn shown(state: &State, post: &Post) -> Value {
    let edit_at = if post.edits > 0 { state.clock_ms } else { 0 };
    json!({"id": post.id, "create_at": post.create_at, "update_at": state.clock_ms, "edit_at": edit_at, "delete_at": 0,
        "is_pinned": false, "user_id": state.bot_id, "channel_id": post.channel_id, "root_id": post.root_id,
        "parent_id": post.root_id, "original_id": "", "message": post.message, "type": "", "props": post.props,
        "hashtags": "", "pending_post_id": post.pending_post_id, "reply_count": 0, "last_reply_at": 0,
        "participants": null, "metadata": {}})
}

/// Section 11: only given fields change, `props` as a whole.
fn patch(server: &Server, request: &Request, id: &str) -> Result<Reply, Refusal> {
    let Some(Value::Object(object)) = parse(&request.body) else {
        return Err((400, "api.context.invalid_body_param.app_error"));
    };
    let mut state = server.state();
    let mut post = existing(server, &state, id)?;
    if matches!(writable(&state, &post.channel_id), Err((400, _))) {
        return Err((
            400,
            "api.post.patch_post.can_not_update_post_in_deleted.error",
        ));
    }
    if let Some(message) = field(&object, "message").and_then(Value::as_str) {
        post.message = message.to_owned();
    }
    if let Some(given) = field(&object, "props").filter(|props| props.is_object()) {
        post.props = props(json!({"props": given}).as_object().unwrap());
        post.props.as_object_mut().unwrap().remove("from_bot");
    }
    check_text(&state, &post.message, &post.props)?;
    post.edits += 1;
    state.clock_ms += 1;
    let changed = post.clone();
    server.posts.change(|posts| {
        posts
            .iter_mut()
            .filter(|known| known.id == id)
            .for_each(|known| *known = changed.clone())
    });
    Ok(Reply::json(200, shown(&state, &post)))
}

fn delete(server: &Server, id: &str) -> Result<Reply, Refusal> {
    let state = server.state();
    existing(server, &state, id)?;
    server.posts.change(|posts| {
        posts
            .iter_mut()
            .filter(|post| post.id == id)
            .for_each(|post| post.deleted = true)
    });
    Ok(Reply::json(200, json!({"status": "OK"})))
}

fn existing(server: &Server, state: &State, id: &str) -> Result<Post, Refusal> {
    if id.len() != 26 {
        return Err((400, "api.context.invalid_url_param.app_error"));
    }
    let post = server
        .posts
        .all()
        .into_iter()
        .find(|post| post.id == id && !post.deleted && !post.via_hook);
    post.filter(|_| !state.database_down).ok_or(NO_PERMISSION)
}

fn look_up(server: &Server, request: &Request, path: &[&str]) -> Result<Reply, Refusal> {
    let state = server.state();
    let by_id = |id: &str| state.channels.iter().find(|channel| channel.id == id);
    let value = match path {
        ["users", "me", ..] if state.database_down => {
            return Err((500, "app.user.missing_account.const"));
        }
        ["users", "me"] => {
            json!({"id": state.bot_id, "username": "proxy", "is_bot": true, "roles": "system_user"})
        }
        ["users", "me", "teams"] => {
            json!([{"id": state.team_id, "name": TEAM, "display_name": "Acme", "type": "O"}])
        }
        ["users", "me", "teams", team, "channels"] if *team == state.team_id => {
            let mine = state
                .channels
                .iter()
                .filter(|channel| channel.access == Access::Member);
            mine.map(|channel| channel_json(&state, channel)).collect()
        }
        ["config", "client"] => json!({"MaxPostSize": MAX_POST_CHARS.to_string()}),
        ["teams", ..] if state.database_down => {
            return Err((404, "app.team.get_by_name.app_error"));
        }
        ["teams", "name", team, "channels", "name", name] => {
            named(&state, request, team.eq_ignore_ascii_case(TEAM), name)?
        }
        ["teams", team, "channels", "name", name] => {
            named(&state, request, *team == state.team_id, name)?
        }
        ["teams", team, "channels"] if *team == state.team_id => {
            let number = |name: &str, default: usize| {
                request
                    .param(name)
                    .and_then(|n| n.parse().ok())
                    .unwrap_or(default)
            };
            let per_page = number("per_page", 60).min(200);
            let public = state.channels.iter().filter(|channel| {
                matches!(channel.access, Access::Member | Access::PublicNotMember)
            });
            let page = public.skip(number("page", 0) * per_page).take(per_page);
            page.map(|channel| channel_json(&state, channel)).collect()
        }
        ["channels", ..] if state.database_down => {
            return Err((500, "app.channel.get.find.app_error"));
        }
        ["channels", id, ..] if id.len() != 26 => {
            return Err((400, "api.context.invalid_url_param.app_error"));
        }
        ["channels", id] => {
            let channel = by_id(id).ok_or((404, "app.channel.get.existing.app_error"))?;
            readable(channel)?;
            channel_json(&state, channel)
        }
        ["channels", id, "members", "me"] => match by_id(id).ok_or(NO_PERMISSION)?.access {
            Access::Member | Access::Archived => json!({"channel_id": id, "user_id": state.bot_id}),
            _ => return Err(NO_PERMISSION),
        },
        ["channels", id, "posts"] => {
            readable(by_id(id).ok_or(NO_PERMISSION)?)?;
            let since = request
                .param("since")
                .and_then(|ms| ms.parse().ok())
                .unwrap_or(0u64);
            let posts = server.posts.all();
            let here = posts
                .iter()
                .rev()
                .filter(|post| post.channel_id == *id && !post.deleted && post.create_at >= since);
            let order: Vec<&str> = here.clone().map(|post| post.id.as_str()).collect();
            let bodies: Map<String, Value> = here
                .map(|post| (post.id.clone(), shown(&state, post)))
                .collect();
            json!({"order": order, "posts": bodies})
        }
        _ => return Err((404, "")),
    };
    Ok(Reply::json(200, value))
}

fn readable(channel: &Channel) -> Result<(), Refusal> {
    if channel.access == Access::PrivateNotMember {
        Err(NO_PERMISSION)
    } else {
        Ok(())
    }
}

fn named(state: &State, request: &Request, team_known: bool, name: &str) -> Result<Value, Refusal> {
    if name.contains(' ') {
        return Err((404, ""));
    }
    if !team_known {
        return Err((404, "app.team.get_by_name.missing.app_error"));
    }
    let deleted = request.param("include_deleted").as_deref() == Some("true");
    let hidden =
        |access| access == Access::PrivateNotMember || (access == Access::Archived && !deleted);
    let found = state
        .channels
        .iter()
        .find(|channel| channel.name.eq_ignore_ascii_case(name) && !hidden(channel.access));
    found
        .map(|channel| channel_json(state, channel))
        .ok_or((404, "app.channel.get_by_name.missing.app_error"))
}

fn channel_json(state: &State, channel: &Channel) -> Value {
    let kind = if channel.access == Access::PrivateNotMember {
        "P"
    } else {
        "O"
    };
    let delete_at = if channel.access == Access::Archived {
        state.clock_ms
    } else {
        0
    };
    json!({"id": channel.id, "team_id": state.team_id, "name": channel.name, "display_name": channel.name, "type": kind,
        "delete_at": delete_at})
}

fn join(server: &Server, id: &str) -> Result<Reply, Refusal> {
    let mut state = server.state();
    let bot = state.bot_id.clone();
    let channel = state
        .channels
        .iter_mut()
        .find(|channel| channel.id == id)
        .ok_or(NO_PERMISSION)?;
    if !matches!(channel.access, Access::PublicNotMember | Access::Member) {
        return Err(NO_PERMISSION);
    }
    channel.access = Access::Member;
    Ok(Reply::json(201, json!({"channel_id": id, "user_id": bot})))
}

/// Section 12: no token, no post id, no de-duplication; long text is split.
fn hook(server: &Server, request: &Request, id: &str) -> Reply {
    let mut state = server.state();
    if id.len() != 26 || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Reply::status(405);
    }
    if state.database_down || id != state.hook {
        return Mattermost::error(400, "web.incoming_webhook.invalid.app_error");
    }
    let form = request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let payload = if form {
        let payload = request
            .form()
            .into_iter()
            .find(|(name, _)| name == "payload");
        payload
            .map(|(_, payload)| payload.into_bytes())
            .unwrap_or_default()
    } else {
        request.body.clone()
    };
    let Some(Value::Object(object)) = parse(&payload) else {
        return Mattermost::error(400, "model.incoming_hook.parse_data.app_error");
    };
    let text = string(&object, "text");
    let attachments = field(&object, "attachments").cloned();
    if text.is_empty()
        && attachments
            .as_ref()
            .and_then(Value::as_array)
            .is_none_or(Vec::is_empty)
    {
        return Mattermost::error(400, "web.incoming_webhook.text.app_error");
    }
    let wanted = match string(&object, "channel").trim_start_matches('#') {
        "" => state.hook_channel.clone(),
        name if name.starts_with('@') => {
            return Mattermost::error(400, "web.incoming_webhook.user.app_error");
        }
        name => name.to_owned(),
    };
    let Some(channel) = state
        .channels
        .iter()
        .find(|channel| channel.name == wanted)
        .cloned()
    else {
        return Mattermost::error(404, "web.incoming_webhook.channel.app_error");
    };
    if channel.access == Access::PrivateNotMember {
        return Mattermost::error(403, "web.incoming_webhook.permissions.app_error");
    }
    if text.contains('\0') {
        return Mattermost::error(500, "api.post.create_webhook_post.creating.app_error");
    }
    let mut props = json!({"from_webhook": "true", "webhook_display_name": "proxy"});
    if let Some(attachments) = attachments {
        props["attachments"] = attachments;
    }
    let chars: Vec<char> = text.chars().collect();
    let parts = if chars.is_empty() {
        vec![&chars[..]]
    } else {
        chars.chunks(MAX_POST_CHARS).collect()
    };
    for part in parts {
        let message = part.iter().collect();
        let post = Post {
            channel_id: channel.id.clone(),
            message,
            props: props.clone(),
            via_hook: true,
            ..blank()
        };
        accept(server, &mut state, post);
    }
    Reply::text(200, "ok")
}
