//! The outbox's file and the internal API, looked at from outside: a running server keeps the file for itself, and a
//! request to the internal API would be one that no platform has signed.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};

use super::{Finding, State};
use crate::dispatch::OutboxSettings;
use crate::dispatch::relay::settings::RelaySettings;
use crate::domain::address::is_off_limits;
use crate::domain::web_url::WebUrl;

/// What every SQLite database begins with (<https://www.sqlite.org/fileformat.html>, 1.3.1).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

pub(super) fn outbox(settings: &OutboxSettings) -> Finding {
    let Some(path) = &settings.path else {
        let detail = "none: a post is answered when the platform has answered, and never queued";
        return Finding::new("outbox", State::Ok, detail);
    };
    let (state, what) = look(path);
    Finding::new("outbox", state, format!("{}: {what}", path.display()))
}

/// The file is opened and closed; nothing of it is locked or written.
fn look(path: &Path) -> (State, String) {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => begins_well(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => folder(path),
        Err(error) => (
            State::Wrong,
            format!(
                "it cannot be written ({error}); give this user the right to, or name another file in DATABASE_URL"
            ),
        ),
    }
}

fn begins_well(mut file: File) -> (State, String) {
    let mut start = [0; MAGIC.len()];
    let about = file.metadata().ok();
    // A pipe or a device may have no end.
    let is_file = about.as_ref().is_some_and(fs::Metadata::is_file);
    let is_empty = is_file && about.is_some_and(|about| about.len() == 0);
    let read = if is_file {
        file.read_exact(&mut start)
    } else {
        Ok(())
    };
    match read {
        Ok(()) if start == *MAGIC => (
            State::Ok,
            "it is a database that this user may write; a server that runs keeps it for itself, so it was not opened".to_owned(),
        ),
        _ if is_empty => (State::Ok, "it is empty, and this user may write it".to_owned()),
        _ => (
            State::Wrong,
            "this file is not a database; name another file in DATABASE_URL, or move this one away".to_owned(),
        ),
    }
}

fn folder(path: &Path) -> (State, String) {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let is_folder = |about: fs::Metadata| about.is_dir();
    match fs::metadata(folder.unwrap_or(Path::new("."))).map(is_folder) {
        Ok(true) => (
            State::Ok,
            "it is not there yet, its folder is; serve makes it".to_owned(),
        ),
        _ => (
            State::Wrong,
            "its folder is missing; create it, or name another file in DATABASE_URL".to_owned(),
        ),
    }
}

/// Whether the address takes connections; nothing is sent.
pub(super) async fn relay(settings: &RelaySettings, timeout: Duration) -> Finding {
    let name = "RELAY_URL";
    let Some((host, port)) = authority(&settings.base) else {
        return Finding::new(name, State::Wrong, "it names no host");
    };
    let shown = format!("{host}:{port}");
    let connected = tokio::time::timeout(timeout, connect(&host, port)).await;
    let why = match connected {
        Ok(Ok(true)) => {
            let detail = format!("{shown} takes connections; nothing was sent");
            return Finding::new(name, State::Ok, detail);
        }
        Ok(Ok(false)) => {
            let detail = format!(
                "{shown} is a link-local address or a cloud's metadata service, where nothing is ever sent; mend RELAY_URL"
            );
            return Finding::new(name, State::Wrong, detail);
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    let detail =
        format!("{shown} takes no connection ({why}); start the internal API, or mend RELAY_URL");
    Finding::new(name, State::Unavailable, detail)
}

/// Connects as the relay does; `false` where it never would.
async fn connect(host: &str, port: u16) -> std::io::Result<bool> {
    let found = lookup_host((host, port)).await?;
    let allowed: Vec<_> = found.filter(|to| !is_off_limits(to.ip())).collect();
    if allowed.is_empty() {
        return Ok(false);
    }
    TcpStream::connect(&*allowed).await.map(|_| true)
}

fn authority(base: &WebUrl) -> Option<(String, u16)> {
    let uri = base.to_uri().ok()?;
    let port = uri
        .port_u16()
        .unwrap_or(if base.is_https() { 443 } else { 80 });
    Some((base.host().to_owned(), port))
}
