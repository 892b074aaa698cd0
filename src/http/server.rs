//! The listening socket, the guard above it, and actix above that.

use std::cell::Cell;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_server::Server;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};
use tracing_actix_web::TracingLogger;

use super::grace::Grace;
use super::guard::{Guarded, HeadBudget, Limits};
use super::span::RootSpan;
use super::{State, answer};
use crate::dispatch::Dispatcher;

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Connections of a worker beyond its part of the cap: those that were accepted and are yet to be refused, and the one that
/// waits for what others have left behind. Without a bound the acceptor takes a whole flood at once, and with it all files
/// that may be open; then it pauses, and nobody is let in or refused.
const BEYOND: usize = 4;

/// Serves on an open socket. `dispatcher` is called once in every worker: its connections are the worker's.
/// Signals are the caller's business.
///
/// # Errors
/// When the socket cannot be used.
pub fn serve<D>(
    listener: TcpListener,
    state: &web::Data<State>,
    dispatcher: D,
) -> std::io::Result<Server>
where
    D: Fn() -> Dispatcher + Send + Clone + 'static,
{
    let address = listener.local_addr()?;
    let limits = Limits {
        max_target_bytes: state.settings.max_url_bytes,
        ..Limits::default()
    };
    let budget = Arc::new(HeadBudget::default());
    let grace = state.settings.shutdown_grace.as_secs().max(1);
    let builder = Server::build()
        .workers(state.settings.workers)
        .max_concurrent_connections(
            state
                .settings
                .max_connections
                .div_ceil(state.settings.workers)
                + BEYOND,
        )
        .disable_signals()
        .shutdown_timeout(grace);
    let draining = builder.graceful_shutdown_signal();
    let state = state.clone();
    let server = builder.listen("http", listener, move || {
        let (state, budget, draining) = (state.clone(), Arc::clone(&budget), draining.clone());
        let admitting = state.clone();
        let dispatcher = web::Data::new(dispatcher());
        let (of_worker, is_waiting) = (dispatcher.clone(), Rc::new(Cell::new(false)));
        let app = App::new()
            .app_data(state.clone())
            .app_data(dispatcher)
            .app_data(Grace::default())
            .wrap(TracingLogger::<RootSpan>::new())
            .default_service(web::to(answer))
            .into_factory()
            .map_err(|error| error.error_response());
        let http = actix_http::HttpService::build()
            .keep_alive(KEEP_ALIVE)
            // The guard keeps the deadline of every head, and lingers at the end.
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(Duration::ZERO)
            .local_addr(address)
            .graceful_shutdown_signal(move || {
                let draining = draining.clone();
                async move { draining.notified().await }
            })
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |io: TcpStream| {
            let peer = io.peer_addr().ok();
            let address = peer.map(|peer| peer.ip());
            let admitted = match admitting.connections.try_admit(address) {
                Ok(permit) => Ok((io, permit)),
                // Now and not in the future below: until that is polled it would be open.
                Err(full) => {
                    admitting.crowd.refuse(io, full, &admitting);
                    Err(())
                }
            };
            let budget = Arc::clone(&budget);
            async move {
                let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                let (io, permit) =
                    admitted.map_err(|()| actix_http::error::DispatchError::from(refused()))?;
                // Small answers go out at once; a socket that cannot say so still works.
                io.set_nodelay(true).ok();
                Ok((Guarded::new(io, limits, budget, Some(permit)), peer))
            }
        })
        .and_then(http)
        // A worker that stops waits for its connections; so one of them waits for what all of them left behind, too. Not each:
        // while a platform hangs, those that are closed already would use up what the worker may have.
        .and_then(fn_service(move |()| {
            let (dispatcher, is_waiting) = (of_worker.clone(), Rc::clone(&is_waiting));
            async move {
                if !is_waiting.replace(true) {
                    dispatcher.background_ended().await;
                    is_waiting.set(false);
                }
                Ok(())
            }
        }))
    })?;
    Ok(server.run())
}
