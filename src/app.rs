//! Wiring: settings in, a running server out; and how it stops.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_server::Server;
use actix_web::web;
use futures_util::future::{Either, join, select};

use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::dispatch::{
    Courier, Desk, Dispatcher, HttpWire, Installations, OutboxSettings, Phase, Platforms, Queue,
};
use crate::http::{self, Parts, State};
use crate::outbox::{Note, Open, OpenError, Opened, Store, Waiting};
use crate::telemetry::{Metrics, Sink};

mod threads;

/// A server that listens.
pub struct App {
    address: SocketAddr,
    state: web::Data<State>,
    server: Server,
    platforms: Arc<Platforms>,
    desk: Option<Desk>,
    courier: Option<Courier>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; is another process on it? HOST and PORT change it"
    )]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The outbox cannot be opened.
    #[error(transparent)]
    Outbox(#[from] OpenError),
    /// The system does not let it start as many threads as it needs.
    #[error(
        "{needed} threads cannot be started: {source}; raise the limit (`ulimit -u` or `ulimit -v`, TasksMax or MemoryMax in systemd, pids_limit or mem_limit in Compose), or lower WORKERS"
    )]
    Threads {
        /// How many.
        needed: usize,
        /// What the system says.
        source: std::io::Error,
    },
    /// A counter has a name that Prometheus does not take.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl BuildError {
    /// Whether the configuration is at fault: trying again would not help.
    #[must_use]
    pub fn is_of_the_configuration(&self) -> bool {
        matches!(self, Self::Outbox(error) if error.is_of_the_setting())
    }
}

/// Why a server that listened has ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The server itself failed.
    #[error(transparent)]
    Server(#[from] std::io::Error),
    /// The outbox cannot be written any more: nothing could be promised.
    #[error(
        "the outbox cannot be written any more; nothing that was promised is lost, start again when the disk is mended"
    )]
    Outbox,
}

/// Connections that wait to be accepted; the system's own maximum if that is less.
const BACKLOG: u32 = 1024;

impl App {
    /// Binds the socket (port 0 takes a free one) and starts the workers.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(settings: Settings, log: Option<Sink>) -> Result<Self, BuildError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let needed = threads::needed(settings.http.workers);
        threads::try_to_start(needed).map_err(|source| BuildError::Threads { needed, source })?;
        let address = SocketAddr::new(settings.http.host, settings.http.port);
        let listen = |source| BuildError::Listen { address, source };
        let listener = bind(address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let metrics = Arc::new(Metrics::new()?);
        let (desk, left) = open(&settings.outbox, &clock)?.unzip();
        if let Some(left) = &left {
            http::inbound::load_conversations(&left.notes, &settings.conversations);
        }
        metrics.started(clock.unix());
        let platforms = Platforms::new(
            settings.platforms,
            &settings.webhooks,
            settings.relay,
            settings
                .inbound
                .teams
                .as_ref()
                .map(|door| door.openid.clone()),
            Installations::new(settings.outbox.keys),
            Arc::clone(&clock),
            Arc::clone(&metrics),
        );
        let platforms = Arc::new(platforms);
        let (client, started) = (settings.client, clock.now());
        let state = web::Data::new(State::new(Parts {
            settings: settings.http,
            callers: settings.callers,
            limits: settings.limits,
            directory: settings.directory,
            inbound: settings.inbound,
            conversations: settings.conversations,
            max_parts: settings.max_parts,
            metrics,
            clock: Arc::clone(&clock),
            log,
        }));
        let (of_workers, shared) = (desk.clone(), Arc::clone(&platforms));
        let dispatcher = move || {
            Dispatcher::new(
                Arc::clone(&shared),
                HttpWire::new(&client, Arc::clone(&clock), started),
                of_workers.clone(),
            )
        };
        let first = dispatcher();
        if let Some(left) = &left {
            first.load_installations(&left.notes);
        }
        let courier = Courier::new(first, settings.outbox.courier);
        if let (Some(courier), Some(left)) = (&courier, &left) {
            courier.load(&left.waiting, left.is_doubtful);
        }
        let server = http::serve(listener, &state, dispatcher).map_err(listen)?;
        Ok(Self {
            address,
            state,
            server,
            platforms,
            desk,
            courier,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then stops accepting and finishes what is under way within the grace.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let handle = self.server.handle();
        let state = self.state;
        let courier = self.courier.map(|courier| {
            actix_web::rt::spawn(async move {
                let house = std::pin::pin!(courier.keep_house());
                let round = std::pin::pin!(courier.run());
                join(round, house).await;
            })
        });
        let mut server = std::pin::pin!(self.server);
        let failed = std::pin::pin!(store_failed(self.desk.as_ref()));
        let shutdown = std::pin::pin!(shutdown);
        match select(&mut server, select(failed, shutdown)).await {
            Either::Left((ended, _)) => return Ok(ended?),
            Either::Right((Either::Left(_), _)) => return Err(RunError::Outbox),
            Either::Right((Either::Right(_), _)) => {}
        }
        let before = self.platforms.delivered();
        state.stop();
        tracing::info!("stopping: no new connections, finishing what is under way");
        let stopping = async {
            let (_, ended) = join(handle.stop(true), server).await;
            if let Some(courier) = courier {
                // It ends by itself: what it does has deadlines of its own.
                courier.await.ok();
            }
            ended
        };
        let stopping = std::pin::pin!(stopping);
        let phases = std::pin::pin!(stop_phases(self.desk.as_ref(), state.grace()));
        let ended = match select(stopping, phases).await {
            Either::Left((ended, _)) => ended,
            Either::Right(((), stopping)) => stopping.await,
        };
        let kept = self.desk.as_ref().map_or(0, |desk| {
            desk.store.close(desk.queue.is_anything_doubtful());
            desk.queue.waiting()
        });
        let delivered = self.platforms.delivered() - before;
        tracing::info!(
            delivered,
            kept,
            refused = state.refused(),
            "what became of posts while stopping"
        );
        state.stopped();
        Ok(ended?)
    }
}

/// What an earlier process left.
struct Left {
    waiting: Vec<Waiting>,
    /// Whether some of that may have been posted.
    is_doubtful: bool,
    notes: Vec<Note>,
}

/// The outbox and what is in it, if there is to be one.
fn open(
    settings: &OutboxSettings,
    clock: &Arc<dyn Clock>,
) -> Result<Option<(Desk, Left)>, OpenError> {
    let Some(path) = &settings.path else {
        return Ok(None);
    };
    let now_ms = u64::try_from(clock.unix().as_millis()).unwrap_or(u64::MAX);
    let Opened {
        store,
        waiting,
        notes,
        is_doubtful,
    } = Store::open(&Open {
        path,
        now_ms,
        clock: Arc::clone(clock),
    })?;
    let count: u64 = waiting.iter().map(|found| u64::from(found.count)).sum();
    tracing::info!(file = %path.display(), waiting = count, "outbox open");
    let queue = Arc::new(Queue::new(settings.max));
    let left = Left {
        waiting,
        is_doubtful,
        notes,
    };
    Ok(Some((Desk { store, queue }, left)))
}

/// Ready when the store has failed for good.
async fn store_failed(desk: Option<&Desk>) {
    match desk {
        Some(desk) => desk.store.failed().await,
        None => std::future::pending().await,
    }
}

/// Ends the waits of those who are not answered when the grace is nearly over: they are told what is stored.
async fn stop_phases(desk: Option<&Desk>, grace: Duration) {
    if let Some(desk) = desk {
        desk.queue.enter_phase(Phase::Stopping);
        tokio::time::sleep(grace.mul_f64(0.9)).await;
        desk.queue.enter_phase(Phase::Over);
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    // A restart must not wait for the last connections of the old process to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

#[cfg(test)]
mod tests;
