//! What an operator asks: does it live, can it take posts, what has it counted.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::outbox::StoreHealth;

use super::Context;
use super::caller::secret_of;
use super::openapi::{Surface, document};
use super::problem::{Code, Problem};
use super::reader::too_many;
use super::receipt::json_line;
use super::reply::{JSON, Reply};

/// How old the backends' state may be before `/ready` asks them.
const CHECK_EVERY: Duration = Duration::from_secs(15);
/// How long that may take.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Readiness<'a> {
    status: &'static str,
    backends: &'a [Backend],
    store: Store,
}

#[derive(Serialize)]
struct Backend {
    name: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Store {
    name: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<usize>,
}

/// `GET /health`
pub(super) fn health() -> Reply {
    Reply::Text(200, JSON, Bytes::from_static(b"{\"status\":\"ok\"}\n"))
}

/// `GET /ready`: fixed words only, since anybody may read it.
pub(super) async fn ready(context: &Context<'_>) -> Reply {
    let state = context.state;
    if !state.is_stopping() {
        check_if_old(context).await;
    }
    let backends: Vec<Backend> = context
        .dispatcher
        .platforms()
        .health()
        .states()
        .map(|(name, state)| Backend {
            name,
            status: if state.is_failing() { "failing" } else { "ok" },
            reason: state.is_failing().then(|| state.word()),
        })
        .collect();
    let store = store(context);
    let (code, status) = match store.status {
        _ if state.is_stopping() => (503, "shutting-down"),
        "ok" => (200, "ready"),
        _ => (503, "store-unavailable"),
    };
    Reply::Text(
        code,
        JSON,
        json_line(&Readiness {
            status,
            backends: &backends,
            store,
        })
        .into(),
    )
}

fn store(context: &Context<'_>) -> Store {
    let Some(desk) = context.dispatcher.desk() else {
        return Store {
            name: "none",
            status: "ok",
            waiting: None,
        };
    };
    Store {
        name: "sqlite",
        status: match desk.store.health() {
            StoreHealth::Ok => "ok",
            StoreHealth::Full => "full",
            StoreHealth::Gone => "gone",
            StoreHealth::Failed => "failed",
        },
        waiting: Some(desk.queue.waiting()),
    }
}

/// Asks the backends, one caller at a time, unless somebody just did.
async fn check_if_old(context: &Context<'_>) {
    let state = context.state;
    let mut checked = state.checked.lock().await;
    let now = state.clock.now();
    if checked.is_none_or(|at| now.saturating_duration_since(at) >= CHECK_EVERY) {
        // The outcomes are noted in the backends' health.
        drop(context.dispatcher.check(now + CHECK_DEADLINE).await);
        *checked = Some(now);
    }
}

/// `GET /metrics`
pub(super) fn metrics(context: &Context<'_>) -> Result<Reply, Problem> {
    let state = context.state;
    if let Some(token) = &state.settings.metrics_token {
        let sent = secret_of(context.request.headers()).ok().flatten();
        if !sent.as_ref().is_some_and(|sent| token.matches(sent)) {
            context
                .denied(sent.is_some())
                .map_err(|refused| too_many(&refused))?;
            let detail = "the counters need 'Authorization: Bearer <METRICS_TOKEN>'";
            return Err(Problem::new(Code::Unauthorized, detail));
        }
    }
    state
        .metrics
        .connections()
        .set(i64::try_from(state.connections.open()).unwrap_or(i64::MAX));
    if let Some(desk) = context.dispatcher.desk() {
        let waiting = i64::try_from(desk.queue.waiting()).unwrap_or(i64::MAX);
        state.metrics.waiting().set(waiting);
    }
    let dropped = state
        .log
        .as_ref()
        .map_or(0, crate::telemetry::Sink::dropped);
    Ok(Reply::Text(
        200,
        "text/plain; version=0.0.4; charset=utf-8",
        state.metrics.render(dropped).into(),
    ))
}

/// `GET /openapi.json`: made once.
pub(super) fn openapi(context: &Context<'_>) -> Reply {
    let made = context
        .state
        .openapi
        .get_or_init(|| json_line(&document(&Surface::of(context))).into());
    Reply::Text(200, JSON, made.clone())
}
