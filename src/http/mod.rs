//! The only layer that knows actix-web: listens, routes, and answers.
//!
//! The route table is [`route`], on the raw path. Nothing here knows a chat platform.

mod body;
pub mod caller;
pub mod guard;
pub mod inbound;
pub mod limit;
pub mod problem;
pub mod receipt;
pub mod settings;

mod crowd;
mod deliveries;
mod events;
pub mod extract;
mod failed;
mod grace;
mod install;
mod log_budget;
pub mod openapi;
mod operate;
mod page;
mod pieces;
mod post;
mod preview;
mod problems;
mod reader;
mod repeat;
mod replay;
mod reply;
pub mod route;
mod scope;
mod server;
mod span;
mod submit;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::Either;

use crate::backends::Conversations;
use crate::clock::Clock;
use crate::dispatch::{Bell, Dispatcher};
use crate::domain::channel::Directory;
use crate::domain::delivery::DeliveryId;
use crate::telemetry::{Metrics, Sink};
use crowd::Crowd;
use grace::Grace;
use guard::{ConnectionCap, Refusal, refusal_of};
use limit::{Limits, rate_limit_header};
use log_budget::LogBudget;
use problem::{Code, Problem};
use repeat::Remembered;
use replay::Replays;
use reply::{PostHeaders, Reply};
use route::Route;
use span::{Begun, Facts};

pub use server::serve;
pub use settings::Settings;

/// What all workers share.
pub struct State {
    /// How the server listens and what it accepts.
    pub settings: Settings,
    /// Who may post.
    pub callers: caller::Settings,
    /// How many posts are let in.
    pub limits: Limits,
    /// What channels mean.
    pub directory: Directory,
    /// What verifies the requests of platforms.
    pub inbound: inbound::Settings,
    /// The conversations in which bots were seen.
    pub conversations: Arc<Conversations>,
    /// `MAX_PARTS`
    pub max_parts: usize,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The log, for its count of dropped lines.
    pub log: Option<Sink>,
    seen: inbound::Seen,
    events: inbound::Seen,
    begun: install::Begun,
    connections: Arc<ConnectionCap>,
    crowd: Crowd,
    log_budget: LogBudget,
    checked: tokio::sync::Mutex<Option<Instant>>,
    stopping: tokio::sync::watch::Sender<bool>,
    refused: AtomicU64,
    gets: Replays<Remembered>,
    onces: Replays<Remembered>,
    streams: Arc<events::Streams>,
    lists: page::lists::Lists,
    openapi: OnceLock<Bytes>,
}

/// What [`State`] is made of.
pub struct Parts {
    /// How the server listens and what it accepts.
    pub settings: Settings,
    /// Who may post.
    pub callers: caller::Settings,
    /// How many posts are let in.
    pub limits: limit::Settings,
    /// What channels mean.
    pub directory: Directory,
    /// What verifies the requests of platforms.
    pub inbound: inbound::Settings,
    /// The conversations in which bots were seen.
    pub conversations: Arc<Conversations>,
    /// `MAX_PARTS`
    pub max_parts: usize,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The log, for its count of dropped lines.
    pub log: Option<Sink>,
}

/// One request and what it may use.
struct Context<'a> {
    state: &'a State,
    dispatcher: &'a Arc<Dispatcher>,
    request: &'a HttpRequest,
    address: IpAddr,
    /// When the request's head had arrived.
    begun: Instant,
    /// The grace after a stop.
    over: &'a Bell,
}

impl State {
    /// A server's state before its first request.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        // Behind a trusted proxy all connections come from a few addresses.
        let per_peer =
            (parts.callers.trusted_hops == 0).then(|| parts.settings.max_connections_per_address());
        let connections = ConnectionCap::new(parts.settings.max_connections, per_peer);
        Self {
            limits: Limits::new(parts.limits, &parts.clock),
            settings: parts.settings,
            callers: parts.callers,
            directory: parts.directory,
            inbound: parts.inbound,
            conversations: parts.conversations,
            seen: inbound::Seen::new(REQUESTS_REMEMBERED_FOR),
            events: inbound::Seen::new(EVENTS_REMEMBERED_FOR),
            begun: install::Begun::default(),
            max_parts: parts.max_parts,
            metrics: parts.metrics,
            clock: parts.clock,
            log: parts.log,
            connections: Arc::new(connections),
            crowd: Crowd::default(),
            log_budget: LogBudget::default(),
            checked: tokio::sync::Mutex::default(),
            stopping: tokio::sync::watch::Sender::new(false),
            refused: AtomicU64::new(0),
            gets: Replays::new(GETS_REMEMBERED_FOR),
            onces: Replays::new(KEYS_REMEMBERED_FOR),
            streams: Arc::default(),
            lists: page::lists::Lists::default(),
            openapi: OnceLock::new(),
        }
    }

    /// From now on `/ready` says 503 and posts are refused.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Logs what is only counted until now; the last thing before the end.
    pub fn stopped(&self) {
        self.log_budget.report();
        self.crowd.report();
    }

    /// `SHUTDOWN_GRACE`
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.settings.shutdown_grace
    }

    /// How many posts were refused because the process was stopping.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// How long the same GET answers the first receipt again.
const GETS_REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// How long a platform's request is known again: longer than its signature is good (threats.md F2).
const REQUESTS_REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// How long an event is known again where there is no outbox: Slack may repeat it for 24 h (reference/slack.md 6.2).
const EVENTS_REMEMBERED_FOR: Duration = Duration::from_secs(26 * 3600);
/// How long an idempotency key is remembered where there is no outbox.
const KEYS_REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3600);

impl Context<'_> {
    fn query(&self) -> &[u8] {
        self.request.uri().query().unwrap_or_default().as_bytes()
    }
}

/// Answers every request; a panic anywhere below costs that request alone.
async fn answer(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let (Some(state), Some(dispatcher), Some(grace)) = (
        request.app_data::<web::Data<State>>(),
        request.app_data::<web::Data<Dispatcher>>(),
        request.app_data::<Grace>(),
    ) else {
        return HttpResponse::InternalServerError().finish();
    };
    let address = caller::client_address(
        request.peer_addr(),
        request.headers(),
        state.callers.trusted_hops,
    );
    let at = request.extensions().get::<Begun>().and_then(|it| it.at);
    let context = Context {
        state,
        dispatcher,
        request: &request,
        address,
        begun: at.unwrap_or_else(|| state.clock.now()),
        over: grace.bell(state, dispatcher),
    };
    let handled = AssertUnwindSafe(handle(&context, payload))
        .catch_unwind()
        .await;
    let (reply, facts, post) = handled.unwrap_or_else(|_| {
        let detail = "the proxy failed in a way it did not expect; its log names the place";
        (
            refuse(Problem::new(Code::Internal, detail)),
            Facts::default(),
            None,
        )
    });
    let facts = Facts {
        code: reply.code(),
        ..facts
    };
    let mut extensions = request.extensions_mut();
    let mut unknown = Begun::default();
    let begun = extensions.get_mut().unwrap_or(&mut unknown);
    begun.facts = Some(facts);
    reply.into_response(&request, &begun.id, &state.settings.public_url, post)
}

/// The route table: what each route does.
async fn handle<'a>(
    context: &Context<'a>,
    payload: web::Payload,
) -> (Reply, Facts, Option<PostHeaders<'a>>) {
    let path = context.request.uri().path();
    if let Some(refusal) = refusal_of(path) {
        return (
            refuse(refused_head(refusal, &context.state.settings)),
            Facts::default(),
            None,
        );
    }
    let route = Route::of(path);
    let is_options = context.request.method() == Method::OPTIONS;
    match route {
        Route::Unknown => (refuse(not_found()), Facts::default(), None),
        Route::Post { .. } if !is_options => posted(context, route, payload).await,
        // Boxed, because the future of every post would be as large as that of whatever is asked seldom.
        _ => {
            let (reply, facts) = Box::pin(handle_other(context, route, payload)).await;
            (reply, facts, None)
        }
    }
}

/// What each route does that is no post.
async fn handle_other(
    context: &Context<'_>,
    route: Route<'_>,
    payload: web::Payload,
) -> (Reply, Facts) {
    let method = context.request.method().as_str();
    let reads = matches!(method, "GET" | "HEAD");
    let reply = match route {
        Route::Unknown => refuse(not_found()),
        Route::SlackInstall | Route::SlackInstalled if !install::is_on(context) => {
            refuse(not_found())
        }
        Route::Post { .. } => Reply::Options(route.allow(context.state.settings.get_posts)),
        _ if method == "OPTIONS" => Reply::Options(route.allow(false)),
        Route::Delivery(id) if method == "DELETE" => deliveries::drop_one(context, id)
            .await
            .unwrap_or_else(refuse),
        Route::Retry(id) if method == "POST" => {
            deliveries::retry(context, id).await.unwrap_or_else(refuse)
        }
        Route::Sign if method == "POST" => page::sign::answer(context, payload)
            .await
            .unwrap_or_else(refuse),
        Route::Events if method == "GET" => events::open(context).unwrap_or_else(refuse),
        Route::Retry(_) | Route::Sign | Route::Events => refuse(read_only(route)),
        Route::Inbound(source) => {
            let (reply, facts) = inbound::receive(context, source, payload).await;
            return (reply, facts);
        }
        // Not HEAD: it would use the state up.
        Route::SlackInstall | Route::SlackInstalled if method != "GET" => refuse(read_only(route)),
        Route::SlackInstall | Route::SlackInstalled if context.state.is_stopping() => {
            refuse(inbound::stopping())
        }
        _ if !reads => refuse(read_only(route)),
        Route::Deliveries => deliveries::list(context).await.unwrap_or_else(refuse),
        Route::Delivery(id) => deliveries::show(context, id).await.unwrap_or_else(refuse),
        Route::Home => page::home(context),
        Route::Asset(asset) => page::asset(context, asset),
        Route::Channels => page::channels::list(context).await.unwrap_or_else(refuse),
        Route::Health => operate::health(),
        Route::Ready => operate::ready(context).await,
        Route::Metrics => operate::metrics(context).unwrap_or_else(refuse),
        Route::Problems => problems::answer(context),
        Route::OpenApi => operate::openapi(context),
        Route::SlackInstall => install::begin(context).unwrap_or_else(refuse),
        Route::SlackInstalled => install::finish(context).await,
    };
    (reply, Facts::default())
}

async fn posted<'a>(
    context: &Context<'a>,
    route: Route<'_>,
    payload: web::Payload,
) -> (Reply, Facts, Option<PostHeaders<'a>>) {
    let Route::Post { channel, form } = route else {
        return (refuse(not_found()), Facts::default(), None);
    };
    let mut request = post::Request {
        context,
        route,
        standings: post::Standings::default(),
        names: Vec::new(),
        facts: Facts::default(),
    };
    let reply = if context.state.is_stopping() {
        context.state.refused.fetch_add(1, Ordering::Relaxed);
        let detail = "the proxy is stopping and takes no more posts; try again in a moment";
        refuse(
            Problem::new(Code::ShuttingDown, detail)
                .retry_after_s(1)
                .closing(),
        )
    } else {
        let over = std::pin::pin!(context.over.rung());
        let answered = std::pin::pin!(request.answer(channel, form, payload));
        match futures_util::future::select(answered, over).await {
            Either::Left((Ok(receipt), _)) => Reply::Receipt(Box::new(receipt)),
            Either::Left((Err(problem), _)) => refuse(problem),
            Either::Right(_) => {
                context.state.refused.fetch_add(1, Ordering::Relaxed);
                let detail = "the proxy is stopping; the platform has not answered yet, so the message may or may not have been posted";
                refuse(
                    Problem::new(Code::ShuttingDown, detail)
                        .retry_after_s(1)
                        .closing(),
                )
            }
        }
    };
    let headers = PostHeaders {
        policy: context.state.limits.policy_header(),
        limit: rate_limit_header(&request.standings.known, request.standings.refused.as_ref()),
    };
    (reply, request.facts, Some(headers))
}

fn refuse(mut problem: Problem) -> Reply {
    if problem.id.is_empty() {
        problem.id = DeliveryId::generate().to_string();
    }
    Reply::Problem(Box::new(problem))
}

fn not_found() -> Problem {
    Problem::new(
        Code::NotFound,
        "there is nothing at this path; a post goes to /post/channel/{channel}/msg/{message}, and a slash of the channel is written %2F",
    )
}

fn read_only(route: Route<'_>) -> Problem {
    let allow = route.allow(false);
    Problem {
        allow: Some(allow),
        ..Problem::new(
            Code::MethodNotAllowed,
            format!("this path does not take the method; send one of {allow}"),
        )
    }
}

/// What the guard below actix refused.
fn refused_head(refusal: Refusal, settings: &Settings) -> Problem {
    match refusal {
        Refusal::Malformed(reason) => Problem::new(Code::BadRequest, reason),
        Refusal::TargetTooLong => Problem::new(
            Code::UriTooLong,
            format!(
                "the request target is longer than {} bytes (MAX_URL), or than 65533 once its raw bytes are percent-encoded; shorten the message",
                settings.max_url_bytes
            ),
        ),
        Refusal::HeadersTooLarge => Problem::new(
            Code::HeadersTooLarge,
            "more than 64 header fields, or more than 16384 bytes of them; send fewer",
        ),
        Refusal::HeadTimeout => Problem::new(
            Code::RequestTimeout,
            "the request head did not arrive within 5 seconds",
        ),
    }
    .closing()
}
