//! The routes of the fake Teams. Section numbers are those of `teams.md`.

use serde_json::{Value, json};

use super::encoding::percent_decode;
use super::teams::{FlowRun, Post, Server, State, Teams};
use super::{Reply, Request, unique};

/// What the flow accepts (3.2), counted after an expansion that was measured as 28,897 for 24,453 sent bytes.
const MAX_FLOW_BYTES: usize = 28_672;

type Refusal = (u16, &'static str);

pub(super) fn answer(server: &Server, request: &Request) -> Reply {
    if request.path().ends_with("/oauth2/v2.0/token") {
        server.state().token_fetches += 1;
        return server.next_token.apply(|| token(server, request));
    }
    let posting = request.method != "GET";
    if posting {
        let mut state = server.state();
        let (left, retry_after) = state.limited;
        if left > 0 {
            state.limited.0 -= 1;
            return Teams::error(429, "Throttled").header("Retry-After", &retry_after.to_string());
        }
    }
    let queue = if posting {
        &server.next
    } else {
        &server.next_other
    };
    queue.apply(|| match request.path().strip_prefix("/teams/v3/") {
        Some(rest) => connector(server, request, rest).header("MS-CV", &unique("", 22)),
        None if request.path().starts_with("/workflows/") => workflow(server, request),
        None => Reply::html(404, "<h2>Our services aren't available right now</h2>"),
    })
}

/// Section 1. The statuses of errors other than `invalid_client` are unconfirmed.
fn token(server: &Server, request: &Request) -> Reply {
    let mut state = server.state();
    let form = request.form();
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    };
    let kind = request.header("content-type").unwrap_or_default();
    let refusal =
        if request.method != "POST" || !kind.starts_with("application/x-www-form-urlencoded") {
            Some((
                400,
                "invalid_request",
                900_144,
                "The request body must be a form with 'grant_type'.",
            ))
        } else if field("grant_type") != "client_credentials" {
            Some((
                400,
                "unsupported_grant_type",
                70_003,
                "The app requested an unsupported grant type.",
            ))
        } else if request.path() != format!("/{}/oauth2/v2.0/token", state.tenant) {
            Some((400, "invalid_request", 90_002, "Tenant not found."))
        } else if field("client_id") != state.app_id {
            Some((
                400,
                "unauthorized_client",
                700_016,
                "Application was not found in the directory.",
            ))
        } else if field("client_secret") != state.password {
            Some((
                401,
                "invalid_client",
                7_000_215,
                "Invalid client secret provided.",
            ))
        } else if field("scope") != "https://api.botframework.com/.default" {
            Some((
                400,
                "invalid_scope",
                70_011,
                "The provided value for the input parameter 'scope' is not valid.",
            ))
        } else {
            None
        };
    if let Some((status, error, code, text)) = refusal {
        return Reply::json(
            status,
            json!({"error": error, "error_description": format!("AADSTS{code}: {text} Trace ID: 0 Correlation ID: 0"),
                "error_codes": [code], "timestamp": "2026-04-17 01:45:00Z", "trace_id": "00000000-0000-4000-8000-000000000001",
                "correlation_id": "00000000-0000-4000-8000-000000000002", "error_uri": "https://login.example/error"}),
        );
    }
    let bearer = state
        .bearer
        .get_or_insert_with(|| unique("eyJ", 60))
        .clone();
    let expires_in = state.expires_in_s;
    Reply::json(
        200,
        json!({"token_type": "Bearer", "expires_in": expires_in, "ext_expires_in": expires_in, "access_token": bearer}),
    )
}

fn connector(server: &Server, request: &Request, rest: &str) -> Reply {
    let segments: Vec<String> = rest
        .split('/')
        .map(|segment| String::from_utf8_lossy(&percent_decode(segment)).into_owned())
        .collect();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let result = authenticate(server, request).and_then(|()| match (request.method.as_str(), path.as_slice()) {
        ("POST", ["conversations"]) => create(server, request),
        ("POST", ["conversations", id, "activities"]) => reply(server, request, id, None),
        ("POST", ["conversations", id, "activities", parent]) => reply(server, request, id, Some(parent)),
        ("PUT", ["conversations", id, "activities", activity]) => edit(server, request, id, activity),
        ("DELETE", ["conversations", id, "activities", activity]) => delete(server, id, activity),
        ("GET", ["teams", team, "conversations"]) => conversations(&server.state(), team),
        ("GET", ["teams", team]) if *team == server.state().team => {
            Ok(Reply::json(200, json!({"id": team, "name": "Acme", "aadGroupId": "0b1c2d3e-0000-4000-8000-000000000003"})))
        }
        ("GET", ["teams", _]) => Err((404, "ConversationNotFound")),
        _ => Err((404, "NotFound")),
    });
    result.unwrap_or_else(|(status, code)| Teams::error(status, code))
}

fn authenticate(server: &Server, request: &Request) -> Result<(), Refusal> {
    let state = server.state();
    let given = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    if given.is_some() && given == state.bearer.as_deref() {
        Ok(())
    } else {
        Err((401, "Unauthorized"))
    }
}

fn json_body(request: &Request) -> Result<Value, Refusal> {
    let kind = request.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err((400, "BadSyntax"));
    }
    serde_json::from_slice(&request.body)
        .ok()
        .filter(Value::is_object)
        .ok_or((400, "BadSyntax"))
}

/// Where a post may go: 404 for what does not exist, 403 where the app is not installed.
fn installed(state: &State, channel: &str) -> Result<(), Refusal> {
    if channel == state.not_installed {
        return Err((403, "BotNotInConversationRoster"));
    }
    let known = state.channels.iter().any(|(id, _)| id == channel);
    if known {
        Ok(())
    } else {
        Err((404, "ConversationNotFound"))
    }
}

/// The rules of 2.4 to 2.6.
fn check_activity(state: &State, activity: &Value) -> Result<(), Refusal> {
    let text = activity["text"].as_str().unwrap_or_default();
    let attachments = activity["attachments"].as_array().map_or(0, Vec::len);
    if activity["type"] != "message" || (text.is_empty() && attachments == 0) {
        return Err((400, "BadSyntax"));
    }
    let format = &activity["textFormat"];
    if !format.is_null() && format != "plain" && format != "markdown" {
        return Err((400, "BadArgument"));
    }
    for entity in activity["entities"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entity| entity["type"] == "mention")
    {
        if !entity["text"]
            .as_str()
            .is_some_and(|mention| text.contains(mention))
        {
            return Err((400, "BadArgument"));
        }
    }
    let utf16 = |text: &str| text.encode_utf16().count() * 2;
    let cards: usize = activity["attachments"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|card| utf16(&card.to_string()))
        .sum();
    if utf16(text) + cards > state.max_bytes {
        Err((413, "MessageSizeTooBig"))
    } else {
        Ok(())
    }
}

/// Section 2.3: a new thread in a channel.
fn create(server: &Server, request: &Request) -> Result<Reply, Refusal> {
    let body = json_body(request)?;
    let mut state = server.state();
    let channel = body["channelData"]["channel"]["id"]
        .as_str()
        .unwrap_or_default();
    // "Incorrect conversation creation parameters"
    if !body["activity"].is_object() || body["isGroup"] != true || channel.is_empty() {
        return Err((400, "BadSyntax"));
    }
    if body["tenantId"] != state.tenant.as_str() {
        return Err((400, "BadArgument"));
    }
    installed(&state, channel)?;
    check_activity(&state, &body["activity"])?;
    let post = accept(server, &mut state, channel, None, &body["activity"]);
    Ok(Reply::json(
        201,
        json!({"id": post.thread(), "activityId": post.id}),
    ))
}

/// To a bare channel id this opens a thread as well (2.2).
fn reply(
    server: &Server,
    request: &Request,
    id: &str,
    parent: Option<&str>,
) -> Result<Reply, Refusal> {
    let activity = json_body(request)?;
    let mut state = server.state();
    let (channel, thread) = id
        .split_once(";messageid=")
        .map_or((id, None), |(channel, root)| (channel, Some(root)));
    installed(&state, channel)?;
    let root = match thread.or(parent).or(activity["replyToId"].as_str()) {
        Some(root) => {
            let exists = |post: &Post| {
                post.channel == channel && post.id == root && post.root == root && !post.deleted
            };
            let missing = if thread.is_some() {
                "ConversationNotFound"
            } else {
                "ActivityNotFoundInConversation"
            };
            server
                .posts
                .all()
                .iter()
                .any(exists)
                .then_some(Some(root))
                .ok_or((404, missing))?
        }
        None => None,
    };
    check_activity(&state, &activity)?;
    let post = accept(server, &mut state, channel, root, &activity);
    let both = !post.text().is_empty()
        && activity["attachments"]
            .as_array()
            .is_some_and(|cards| !cards.is_empty());
    // Text beside a card becomes two messages, and then no id is returned (2.4).
    Ok(if both {
        Reply::status(202)
    } else {
        Reply::json(201, json!({"id": post.id}))
    })
}

fn accept(
    server: &Server,
    state: &mut State,
    channel: &str,
    root: Option<&str>,
    activity: &Value,
) -> Post {
    state.last_id += 1;
    let id = state.last_id.to_string();
    let post = Post {
        root: root.map_or_else(|| id.clone(), str::to_owned),
        id,
        channel: channel.to_owned(),
        activity: activity.clone(),
        edits: 0,
        deleted: false,
    };
    server.posts.push(post.clone());
    post
}

fn change(
    server: &Server,
    id: &str,
    activity: &str,
    edit: impl Fn(&mut Post),
) -> Result<(), Refusal> {
    let channel = id.split(";messageid=").next().unwrap_or_default();
    installed(&server.state(), channel)?;
    server.posts.change(|posts| {
        let found = posts
            .iter_mut()
            .find(|post| post.channel == channel && post.id == activity && !post.deleted);
        found
            .map(edit)
            .ok_or((404, "ActivityNotFoundInConversation"))
    })
}

fn edit(server: &Server, request: &Request, id: &str, activity: &str) -> Result<Reply, Refusal> {
    let body = json_body(request)?;
    check_activity(&server.state(), &body)?;
    change(server, id, activity, |post| {
        post.activity = body.clone();
        post.edits += 1;
    })?;
    Ok(Reply::json(200, json!({"id": activity})))
}

fn delete(server: &Server, id: &str, activity: &str) -> Result<Reply, Refusal> {
    change(server, id, activity, |post| post.deleted = true)?;
    Ok(Reply::status(200))
}

/// General comes without a name.
fn conversations(state: &State, team: &str) -> Result<Reply, Refusal> {
    if team != state.team {
        return Err((404, "ConversationNotFound"));
    }
    let entry = |(id, name): &(String, String)| {
        if id == team {
            json!({"id": id})
        } else {
            json!({"id": id, "name": name, "type": "standard"})
        }
    };
    let list: Vec<Value> = state.channels.iter().map(entry).collect();
    Ok(Reply::json(200, json!({"conversations": list})))
}

/// Section 3.2: 202 says only that the flow was started.
fn workflow(server: &Server, request: &Request) -> Reply {
    let refuse = |status, code: &str| {
        Reply::json(
            status,
            json!({"error": {"code": code, "message": "said for people"}}),
        )
    };
    if request.target != server.state().workflow {
        return refuse(401, "DirectApiAuthorizationRequired");
    }
    if request.body.len() > MAX_FLOW_BYTES {
        return refuse(413, "RequestEntityTooLarge");
    }
    let json = request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/json"));
    let Some(body) = serde_json::from_slice::<Value>(&request.body)
        .ok()
        .filter(|_| json)
    else {
        return refuse(400, "InvalidRequestContent");
    };
    let card = |item: &Value| {
        item["contentType"] == "application/vnd.microsoft.card.adaptive"
            && item["content"]["type"] == "AdaptiveCard"
    };
    let cards = body["attachments"]
        .as_array()
        .is_some_and(|items| !items.is_empty() && items.iter().all(card));
    let expanded = request.body.len() * 28_897 / 24_453;
    let lost = if body["type"] != "message" || !cards {
        Some("no attachments envelope".to_owned())
    } else if expanded > MAX_FLOW_BYTES {
        Some(format!("{expanded} bytes after expansion"))
    } else {
        None
    };
    server.flows.push(FlowRun { body, lost });
    Reply::status(202)
}
