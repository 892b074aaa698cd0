//! How a connection is made: the name is resolved, and every address is looked at before anything is sent to it, so that
//! a name that was harmless a moment ago cannot lead inside (E1, DNS rebinding).

use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_service::Service;
use actix_tls::connect::rustls_0_23::TlsConnector;
use actix_tls::connect::tcp::TcpConnectorService;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Host, ResolverService};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::Stream;
use super::origin::Origin;
use crate::backends::wire::WireError;
use crate::domain::address::is_off_limits;

/// Opens connections, with TLS where the origin asks for it.
pub(super) struct Connector {
    connect: Connect,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
}

impl Connector {
    /// With the system's resolver; the time is that of a connection, and again that of its handshake.
    pub(super) fn new(tls: Option<Arc<ClientConfig>>, timeout: Duration) -> Self {
        Self {
            connect: Connect::new(),
            tls,
            timeout,
        }
    }

    /// Opens a connection to this origin.
    pub(super) async fn connect(&self, to: &Origin) -> Result<Box<dyn Stream>, WireError> {
        let opened = self.connect.call(ConnectInfo::new(to.clone()));
        let connection = timeout(self.timeout, opened)
            .await
            .map_err(|_| WireError::Connect)?
            .map_err(|error| unreachable(&error))?;
        if !to.is_secure() {
            return Ok(Box::new(connection.into_parts().0));
        }
        let tls = self.tls.as_ref().ok_or(WireError::Tls)?;
        let handshake = TlsConnector::service(Arc::clone(tls)).call(connection);
        let secured = timeout(self.timeout, handshake)
            .await
            .map_err(|_| WireError::Connect)?
            .map_err(|error| insecure(&error))?;
        Ok(Box::new(secured.into_parts().0))
    }
}

fn unreachable(error: &ConnectError) -> WireError {
    match error {
        ConnectError::Resolver(error) if error.is::<OffLimits>() => WireError::OffLimits,
        ConnectError::Resolver(_) | ConnectError::NoRecords => WireError::Resolve,
        _ => WireError::Connect,
    }
}

fn insecure(error: &io::Error) -> WireError {
    // rustls reports its errors inside an `io::Error`.
    match error.get_ref() {
        Some(inner) if inner.is::<rustls::Error>() => WireError::Tls,
        _ => WireError::Connect,
    }
}

/// The host has only addresses that nothing may be sent to.
#[derive(Debug, thiserror::Error)]
#[error("the address is off limits")]
pub(in crate::dispatch) struct OffLimits;

/// No thread for the system's resolver.
#[derive(Debug, thiserror::Error)]
#[error("no thread can be started for a look-up")]
struct NoThread;

/// Resolves, looks, connects; what is written is then sent at once.
#[derive(Clone)]
pub(in crate::dispatch) struct Connect {
    resolver: Rc<ResolverService>,
    tcp: TcpConnectorService,
}

impl Connect {
    /// With the system's resolver.
    pub(in crate::dispatch) fn new() -> Self {
        Self::with(ResolverService::default())
    }

    fn with(resolver: ResolverService) -> Self {
        Self {
            resolver: Rc::new(resolver),
            tcp: TcpConnectorService::default(),
        }
    }
}

impl<R: Host + 'static> Service<ConnectInfo<R>> for Connect {
    type Response = Connection<R, TcpStream>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, ConnectError>>;

    actix_service::always_ready!();

    fn call(&self, to: ConnectInfo<R>) -> Self::Future {
        let (resolver, tcp) = (Rc::clone(&self.resolver), self.tcp);
        Box::pin(async move {
            // Where no thread can be started for it, the system's resolver panics (threats.md P-4).
            let look_up = AssertUnwindSafe(async { resolver.call(to).await });
            let mut found = look_up
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(ConnectError::Resolver(Box::new(NoThread))))?;
            let allowed: Vec<_> = found
                .take_addrs()
                .filter(|address| !is_off_limits(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(ConnectError::Resolver(Box::new(OffLimits)));
            }
            let connection = tcp.call(found.set_addrs(allowed)).await?;
            // Else a request right behind a handshake waits until the handshake's end is acknowledged: 40 ms.
            let set = connection.io_ref().set_nodelay(true);
            set.map_err(ConnectError::Io).map(|()| connection)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use actix_tls::connect::Resolve;

    /// A resolver that says what it was told to say, whatever it is asked.
    struct Says(Vec<SocketAddr>);

    impl Resolve for Says {
        fn lookup<'a>(
            &'a self,
            _: &'a str,
            _: u16,
        ) -> LocalBoxFuture<'a, Result<Vec<SocketAddr>, Box<dyn std::error::Error>>> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(future)
    }

    fn connect(host: &str, says: &[SocketAddr]) -> Result<SocketAddr, ConnectError> {
        let resolver = ResolverService::custom(Says(says.to_vec()));
        let to = ConnectInfo::new(host.to_owned());
        let connection = run(Connect::with(resolver).call(to))?;
        let stream = connection.io_ref();
        assert!(stream.nodelay().unwrap());
        Ok(stream.peer_addr().unwrap())
    }

    fn is_off(result: &Result<SocketAddr, ConnectError>) -> bool {
        matches!(result, Err(ConnectError::Resolver(error)) if error.is::<OffLimits>())
    }

    /// E1: what a name leads to is looked at when the connection is made, not when it was configured.
    #[test]
    fn a_name_that_leads_to_metadata_is_not_followed() {
        for address in [
            "169.254.169.254:80",
            "[fe80::1]:80",
            "[::ffff:a9fe:a9fe]:80",
        ] {
            let reached = connect("chat.example:80", &[address.parse().unwrap()]);
            assert!(is_off(&reached), "{address}");
        }
    }

    #[test]
    fn an_address_that_is_written_out_is_looked_at_as_well() {
        assert!(is_off(&connect("169.254.169.254:80", &[])));
        assert!(is_off(&connect("0.0.0.0:80", &[])));
    }

    #[test]
    fn of_several_addresses_those_that_are_allowed_are_tried() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let bad = "169.254.169.254:80".parse().unwrap();

        let reached = connect("chat.example:80", &[bad, good]);

        assert_eq!(reached.unwrap(), good);
    }
}
