//! Whether the file that is open is still the one that the next process will find, and what to do where it is not.
//!
//! A file that is removed lives on for who has it open: SQLite would go on writing to it, and what was promised meanwhile
//! would end with the process.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Sqlite, open};

/// The database and its log, as they were when they were opened.
pub(super) struct Place {
    database: PathBuf,
    log: PathBuf,
    database_is: Option<Identity>,
    /// Unknown until SQLite has made it.
    log_is: Option<Identity>,
}

/// The device and the number of a file on it.
type Identity = (u64, u64);

/// What is known of a name.
#[derive(PartialEq, Eq)]
enum Found {
    File(Identity),
    Nothing,
    /// The system does not say: no reason to think that it is gone.
    Unknown,
}

impl Place {
    pub(super) fn of(database: &Path) -> Self {
        let mut place = Self {
            database: database.to_owned(),
            log: beside(database, "-wal"),
            database_is: None,
            log_is: None,
        };
        // From now on it is compared.
        place.is_kept();
        place
    }

    /// Whether both names still lead to the files that are open.
    pub(super) fn is_kept(&mut self) -> bool {
        is_still(&mut self.database_is, &self.database) && is_still(&mut self.log_is, &self.log)
    }

    fn has_database(&mut self) -> bool {
        is_still(&mut self.database_is, &self.database)
    }
}

impl Sqlite {
    /// Whether the next process would find what is written here.
    pub(in crate::outbox) fn is_in_place(&mut self) -> bool {
        self.place.is_kept()
    }

    /// The file is not where the next process looks for it: what the log holds is folded into it, for it may be the log
    /// alone that is gone.
    pub(in crate::outbox) fn save(&mut self) {
        if let Err(error) = self.empty_log() {
            tracing::warn!(%error, "the log of the outbox cannot be emptied");
        }
    }

    /// At the end: where the file was removed, a copy of what it holds takes its place; where there is another meanwhile,
    /// one beside it.
    pub(super) fn rescue(&mut self) {
        if self.place.has_database() {
            return;
        }
        let names = [
            self.place.database.clone(),
            beside(&self.place.database, ".rescued"),
        ];
        let copied = names.into_iter().find_map(|name| match self.copy(&name) {
            Ok(()) => Some(name),
            Err(error) => {
                tracing::debug!(%error, "the outbox was not copied");
                None
            }
        });
        match copied {
            Some(file) => tracing::warn!(
                file = %file.display(),
                "the file of the outbox was removed or replaced while it was open: what it held is in this one"
            ),
            None => tracing::error!(
                "the file of the outbox was removed or replaced while it was open, and no copy can be made: what waits is lost unless that file is somewhere else"
            ),
        }
    }

    /// Only into a file that is not there yet.
    fn copy(&self, file: &Path) -> io::Result<()> {
        // It would be taken for the copy's.
        if fs::metadata(beside(file, "-wal")).is_ok_and(|log| log.len() > 0) {
            return Err(io::Error::other("a log is in the way"));
        }
        open::create_file(file)?;
        let copied = self
            .connection
            .execute("VACUUM INTO ?", [file.to_string_lossy()])
            .map_err(io::Error::other)
            .and_then(|_| fs::File::open(file)?.sync_all());
        if copied.is_err() {
            // Half a copy is none.
            drop(fs::remove_file(file));
        }
        copied
    }
}

/// A name that was not there when it was looked at first is known from when it is.
fn is_still(known: &mut Option<Identity>, path: &Path) -> bool {
    match (find(path), &known) {
        (Found::File(found), Some(known)) => found == *known,
        (Found::File(found), None) => {
            *known = Some(found);
            true
        }
        (Found::Nothing, known) => known.is_none(),
        (Found::Unknown, _) => true,
    }
}

fn find(path: &Path) -> Found {
    match fs::metadata(path) {
        Ok(found) => Found::File((found.dev(), found.ino())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Found::Nothing
        }
        Err(_) => Found::Unknown,
    }
}

/// The file with this end to its name.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}
