//! Wiring: settings in, a running server out; and how it stops.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_server::Server;
use actix_web::web;

use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::dispatch::{Dispatcher, HttpWire, Platforms};
use crate::http::{self, Parts, State};
use crate::telemetry::{Metrics, Sink};

/// A server that listens.
pub struct App {
    address: SocketAddr,
    state: web::Data<State>,
    server: Server,
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
    /// A counter has a name that Prometheus does not take.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Connections that wait to be accepted; the system's own maximum if that is less.
const BACKLOG: u32 = 1024;

impl App {
    /// Binds the socket (port 0 takes a free one) and starts the workers.
    ///
    /// # Errors
    /// [`BuildError`] when the socket cannot be bound.
    pub fn build(settings: Settings, log: Option<Sink>) -> Result<Self, BuildError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let address = SocketAddr::new(settings.http.host, settings.http.port);
        let listen = |source| BuildError::Listen { address, source };
        let listener = bind(address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let metrics = Arc::new(Metrics::new()?);
        metrics.started(clock.unix());
        let platforms = Platforms::new(
            settings.platforms,
            &settings.webhooks,
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
            max_parts: settings.max_parts,
            metrics,
            clock: Arc::clone(&clock),
            log,
        }));
        let dispatcher = move || {
            Dispatcher::new(
                Arc::clone(&platforms),
                HttpWire::new(&client, Arc::clone(&clock), started),
            )
        };
        let server = http::serve(listener, &state, dispatcher).map_err(listen)?;
        Ok(Self {
            address,
            state,
            server,
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
    /// When the server itself fails.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        let handle = self.server.handle();
        let state = self.state;
        let mut server = std::pin::pin!(self.server);
        let mut shutdown = std::pin::pin!(shutdown);
        let stopped = futures_util::future::select(&mut server, &mut shutdown).await;
        if let futures_util::future::Either::Left((ended, _)) = stopped {
            return ended;
        }
        state.stop();
        tracing::info!("stopping: no new connections, finishing what is under way");
        let (_, ended) = futures_util::future::join(handle.stop(true), server).await;
        state.stopped();
        ended
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
