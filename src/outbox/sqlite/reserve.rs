//! Space kept back beside the database, so that a full disk stops new messages and not the deliveries of old ones.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::place::beside;

/// As much as the settling of some ten thousand deliveries writes before the log is used again from its start.
const BYTES: usize = 4 << 20;

/// The file `<database>.reserve`.
pub(super) struct Reserve {
    path: PathBuf,
    /// The database and its log.
    files: [PathBuf; 2],
    /// A write to them was refused because of a limit.
    is_limited: bool,
}

impl Reserve {
    pub(super) fn beside(database: &Path) -> Self {
        Self {
            path: beside(database, ".reserve"),
            files: [database.to_owned(), beside(database, "-wal")],
            is_limited: false,
        }
    }

    /// Makes it whole unless it is, and only where as much is left beside it: else the disk would be full again with
    /// the next message.
    pub(super) fn take(&self) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|found| found.len() == BYTES as u64) {
            return Ok(());
        }
        let written = self.write();
        if written.is_err() {
            self.give();
        }
        written
    }

    fn write(&self) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.path)?;
        if self.is_limited {
            // The limit of a file's size is met by the longest of them.
            let longest = self.files.iter().filter_map(|file| fs::metadata(file).ok());
            let longest = longest.map(|found| found.len()).max().unwrap_or(0);
            file.set_len(longest + 2 * BYTES as u64)?;
            file.set_len(0)?;
        }
        // Written, not only sized: a hole holds no space.
        let zeros = [0; 1 << 16];
        for _ in 0..2 * BYTES / zeros.len() {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        file.set_len(BYTES as u64)?;
        file.sync_all()
    }

    /// Whether more is refused by a quota or by a limit on the size of files (`ulimit -f`): no fault of the disk. SQLite
    /// does not tell the two from one, so the reserve is written to see, as large as the files are.
    pub(super) fn is_at_a_limit(&mut self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded};
        self.is_limited = true;
        let refused = self
            .write()
            .is_err_and(|error| matches!(error.kind(), FileTooLarge | QuotaExceeded));
        self.is_limited = refused;
        if refused {
            self.give();
        }
        refused
    }

    /// Gives the space to the database.
    pub(super) fn give(&self) {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, "the reserve of the outbox cannot be removed");
            }
            _ => {}
        }
    }
}
