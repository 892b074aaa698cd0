//! The root span and the one line a request leaves in the log: the route, never the path.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage as _, web};
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder};

use super::State;
use super::reply::REQUEST_ID;
use super::route::Route;

/// Builds the span of a request.
pub(super) struct RootSpan;

/// What the handler learned and the log may show. None of it is the message, the path or a secret.
#[derive(Default)]
pub(super) struct Facts {
    /// The `code` of a problem.
    pub code: Option<&'static str>,
    /// The caller's name.
    pub caller: Option<String>,
    /// The backend, if there was one destination.
    pub backend: Option<&'static str>,
    /// The channel on it.
    pub channel: Option<String>,
    /// The source, if a platform called.
    pub source: Option<&'static str>,
    /// Why it was not let in.
    pub reason: Option<&'static str>,
}

/// A request that is being answered.
#[derive(Default)]
pub(super) struct Begun {
    /// Its id: the caller's own, or one of ours.
    pub id: String,
    /// When its head had arrived.
    pub at: Option<Instant>,
    /// What became of it, once that is known.
    pub facts: Option<Facts>,
}

impl RootSpanBuilder for RootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = public_id(request);
        let route = Route::of(request.uri().path()).pattern();
        // At debug level, because a span that nobody reads still costs 1 µs; the log line below says it all.
        let span = tracing::debug_span!(
            "request",
            route,
            request_id = %id,
            status = tracing::field::Empty,
            caller = tracing::field::Empty,
            backend = tracing::field::Empty,
            channel = tracing::field::Empty,
            latency_us = tracing::field::Empty,
        );
        let state = request.app_data::<web::Data<State>>();
        let at = state.map(|state| state.clock.now());
        let facts = None;
        request.extensions_mut().insert(Begun { id, at, facts });
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        // Our handler answers every request; an error here is actix's own and has no facts.
        let Ok(response) = outcome else { return };
        let Some(state) = response.request().app_data::<web::Data<State>>() else {
            return;
        };
        let extensions = response.request().extensions();
        let Some(begun) = extensions.get::<Begun>() else {
            return;
        };
        let Some(facts) = &begun.facts else { return };
        let now = state.clock.now();
        let status = response.status().as_u16();
        let took = now.saturating_duration_since(begun.at.unwrap_or(now));
        let latency_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let route = Route::of(response.request().uri().path());
        state
            .metrics
            .request(route.pattern(), response.status().as_str());
        if !state.log_budget.allows(status) {
            return;
        }
        let caller = facts.caller.as_deref();
        let channel = facts.channel.as_deref();
        span.record("status", status)
            .record("latency_us", latency_us);
        let request_id = begun.id.as_str();
        if status < 400 && route.is_probe() {
            tracing::debug!(
                route = route.pattern(),
                status,
                latency_us,
                request_id,
                "request"
            );
            return;
        }
        tracing::info!(
            route = route.pattern(),
            status,
            latency_us,
            request_id,
            code = facts.code,
            caller,
            backend = facts.backend,
            channel,
            source = facts.source,
            reason = facts.reason,
            "request"
        );
    }
}

fn public_id(request: &ServiceRequest) -> String {
    let own = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_id(id));
    match own {
        Some(id) => id.to_owned(),
        None => {
            let id = request
                .extensions()
                .get::<RequestId>()
                .map(|id| **id)
                .unwrap_or_default();
            id.simple().encode_lower(&mut [0; 32]).to_owned()
        }
    }
}

/// 1 to 64 of letters, digits, `-_.`
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
