//! Counters in Prometheus text. Labels are ours or the operator's; none is the caller's to invent.

use std::time::Duration;

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, TextEncoder,
};

use super::labelled::Labelled;
use crate::domain::delivery::Failure;

type Counters<const LABELS: usize> = Labelled<IntCounter, LABELS>;

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    requests: Counters<2>,
    posts: Counters<1>,
    deliveries: Counters<2>,
    delivery_seconds: Labelled<Histogram, 1>,
    limited: Counters<1>,
    inbound: Counters<2>,
    unauthorized: IntCounter,
    log_lines_dropped: IntGauge,
    connections: IntGauge,
    connections_refused: IntCounter,
    waiting: IntGauge,
    start_time: IntGauge,
}

/// Upper bounds in seconds: a fast answer takes milliseconds, a link preview several seconds.
const SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

impl Metrics {
    /// All counters at zero.
    ///
    /// # Errors
    /// When a name is not a valid metric name, which a test would find.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("message_webhook_proxy".into()), None)?;
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let delivery_seconds = HistogramVec::new(
            HistogramOpts::new(
                "delivery_seconds",
                "time of one attempt at one destination, all parts and the waits between them included",
            )
            .buckets(SECONDS.to_vec()),
            &["backend"],
        )?;
        registry.register(Box::new(delivery_seconds.clone()))?;
        let unauthorized = IntCounter::new(
            "unauthorized_total",
            "requests with missing or bad credentials",
        )?;
        registry.register(Box::new(unauthorized.clone()))?;
        let connections_refused = IntCounter::new(
            "connections_refused_total",
            "connections that were refused because too many were open",
        )?;
        registry.register(Box::new(connections_refused.clone()))?;
        Ok(Self {
            requests: counters(
                &registry,
                "requests_total",
                "requests by route and status",
                ["route", "status"],
            )?,
            posts: counters(
                &registry,
                "posts_total",
                "posts by caller: a token's name, 'signed' or 'anonymous'",
                ["caller"],
            )?,
            deliveries: counters(
                &registry,
                "deliveries_total",
                "messages by backend and what became of them at an attempt, or without one",
                ["backend", "result"],
            )?,
            inbound: counters(
                &registry,
                "inbound_requests_total",
                "requests of platforms by source and what became of them: 'accepted', or why not",
                ["source", "outcome"],
            )?,
            limited: counters(
                &registry,
                "rate_limited_total",
                "refused posts by limit",
                ["policy"],
            )?,
            log_lines_dropped: gauge(
                "log_lines_dropped",
                "log lines dropped because the log's reader stood still",
            )?,
            connections: gauge("connections", "open connections")?,
            waiting: gauge("outbox_waiting", "deliveries that wait in the outbox")?,
            start_time: gauge("start_time_seconds", "start of the process, Unix seconds")?,
            delivery_seconds: Labelled::new(move |labels| {
                delivery_seconds.with_label_values(labels)
            }),
            unauthorized,
            connections_refused,
            registry,
        })
    }

    /// A request was answered.
    pub fn request(&self, route: &str, status: &str) {
        self.requests.count([route, status], IntCounter::inc);
    }

    /// The gauge of waiting deliveries.
    #[must_use]
    pub fn waiting(&self) -> &IntGauge {
        &self.waiting
    }

    /// A caller was let in.
    pub fn post(&self, caller: &str) {
        self.posts.count([caller], IntCounter::inc);
    }

    /// An attempt ended, at one post with so many messages in it.
    pub fn delivery(
        &self,
        backend: &str,
        failure: Option<&Failure>,
        messages: u32,
        took: Duration,
    ) {
        let result = failure.map_or("delivered", Failure::word);
        self.deliveries.count([backend, result], |counter| {
            counter.inc_by(messages.into());
        });
        self.delivery_seconds
            .count([backend], |seconds| seconds.observe(took.as_secs_f64()));
    }

    /// A message was not sent, or not any more: that took no time.
    pub fn not_sent(&self, backend: &str, failure: &Failure) {
        let labels = [backend, failure.word()];
        self.deliveries.count(labels, IntCounter::inc);
    }

    /// A platform's request was answered, or not let in.
    pub fn inbound(&self, source: &str, outcome: &str) {
        self.inbound.count([source, outcome], IntCounter::inc);
    }

    /// A limit refused a post.
    pub fn limited(&self, policy: &str) {
        self.limited.count([policy], IntCounter::inc);
    }

    /// Credentials were missing or bad.
    pub fn unauthorized(&self) {
        self.unauthorized.inc();
    }

    /// A connection was one too many.
    pub fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// The process started at this time.
    pub fn started(&self, unix: Duration) {
        self.start_time
            .set(i64::try_from(unix.as_secs()).unwrap_or_default());
    }

    /// The gauge of open connections.
    #[must_use]
    pub fn connections(&self) -> &IntGauge {
        &self.connections
    }

    /// The text form.
    #[must_use]
    pub fn render(&self, log_lines_dropped: u64) -> Vec<u8> {
        self.log_lines_dropped
            .set(i64::try_from(log_lines_dropped).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        // Writing to memory fails only for a family without samples, which `gather` leaves out.
        if TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .is_err()
        {
            text.clear();
        }
        text
    }
}

fn counters<const LABELS: usize>(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: [&str; LABELS],
) -> Result<Counters<LABELS>, prometheus::Error> {
    let counters = IntCounterVec::new(Opts::new(name, help), &labels)?;
    registry.register(Box::new(counters.clone()))?;
    Ok(Labelled::new(move |labels| {
        counters.with_label_values(labels)
    }))
}
