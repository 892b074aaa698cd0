//! `healthcheck`: whether the proxy of this environment lives, for containers without a shell.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use clap::Command;

use super::{Exit, refuse, say};
use crate::config;
use crate::env::Env;
use crate::http::Settings;

pub(super) const NAME: &str = "healthcheck";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Ask the proxy on HOST and PORT whether it lives; for containers without a shell")
        .after_help("Example, in a Dockerfile:\n  HEALTHCHECK CMD [\"/usr/local/bin/message-webhook-proxy\", \"healthcheck\"]")
}

/// Asks `/health` of the proxy that this environment describes.
pub(super) fn run(env: Env) -> Exit {
    let settings = match config::parse_for_healthcheck(env) {
        Ok(settings) => settings,
        Err(faults) => return refuse(&faults),
    };
    let address = own_address(&settings);
    match ask_health(address) {
        Ok(true) => return Exit::Done,
        Ok(false) => say(&format!("{address} does not answer /health with 200")),
        Err(error) => say(&format!("{address} does not answer /health: {error}")),
    }
    Exit::Unavailable
}

/// Where the proxy of these settings is reached from the same machine.
pub(super) fn own_address(settings: &Settings) -> SocketAddr {
    let host = match settings.host {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        other => other,
    };
    SocketAddr::new(host, settings.port)
}

fn ask_health(address: SocketAddr) -> std::io::Result<bool> {
    let deadline = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, deadline)?;
    stream.set_read_timeout(Some(deadline))?;
    stream.set_write_timeout(Some(deadline))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(&head == b"HTTP/1.1 200")
}
