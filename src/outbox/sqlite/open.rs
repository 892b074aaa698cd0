//! Opens the file of the outbox, or says in one line why not and what to do. A file that is not understood is never
//! changed, let alone replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema;

/// What every SQLite database begins with (<https://www.sqlite.org/fileformat.html>, 1.3.1).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Statements that are kept prepared: all of them.
const STATEMENTS: usize = 56;

/// Name, value and what reading it gives. A checkpoint every 16 MiB: rarer ones cost space, more frequent ones time.
/// `secure_delete` overwrites the text of what is delivered.
const PRAGMAS: &[(&str, &str, &str)] = &[
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", "2"),
    ("secure_delete", "ON", "1"),
    ("cell_size_check", "ON", "1"),
    ("cache_size", "-2048", "-2048"),
    ("temp_store", "MEMORY", "2"),
    ("trusted_schema", "OFF", "0"),
    ("wal_autocheckpoint", "4096", "4096"),
];

/// Why the outbox cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file's folder is missing.
    #[error("outbox {}: its folder is missing; create it, or name another file in DATABASE_URL", .0.display())]
    NoFolder(PathBuf),
    /// The file or its folder may not be written.
    #[error("outbox {}: it cannot be written ({error}); give this user the right to, or name another file in DATABASE_URL", .path.display())]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The disk is full, and what must be written to start cannot be.
    #[error("outbox {}: the disk is full; free some space", .0.display())]
    Full(PathBuf),
    /// Not a database.
    #[error("outbox {}: this file is not a database; name another file in DATABASE_URL, or move this one away", .0.display())]
    NotADatabase(PathBuf),
    /// A database of something else.
    #[error("outbox {}: this is another program's database; name another file in DATABASE_URL", .0.display())]
    Foreign(PathBuf),
    /// Its tables are newer than this program.
    #[error("outbox {}: written by a newer version (tables {found}, known {}); start that version, or name another file in DATABASE_URL", .path.display(), schema::VERSION)]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its tables.
        found: i32,
    },
    /// Its contents are not what was written.
    #[error("outbox {}: the file is damaged ({detail}); restore it from a copy, or move it away to start with an empty one", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        detail: String,
    },
    /// Another process has it.
    #[error("outbox {}: another process has it open; stop that one, or name another file in DATABASE_URL", .0.display())]
    InUse(PathBuf),
    /// Anything else.
    #[error("outbox {}: it cannot be opened ({detail}); see whether the disk and its file system are in order", .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        detail: String,
    },
}

impl OpenError {
    /// Whether an operator must change the setting or the file: trying again would not help.
    #[must_use]
    pub fn is_of_the_setting(&self) -> bool {
        match self {
            Self::NoFolder(_)
            | Self::NotWritable { .. }
            | Self::NotADatabase(_)
            | Self::Foreign(_)
            | Self::Newer { .. }
            | Self::Corrupt { .. } => true,
            Self::Full(_) | Self::InUse(_) | Self::Other { .. } => false,
        }
    }
}

/// A connection that alone has the file, with its tables.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    prepare_file(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags);
    let connection = opened.map_err(|error| explain(path, &error))?;
    lock(&connection).map_err(|error| explain(path, &error))?;
    let is_new = recognise(&connection, path)?;
    set_up(&connection, path)?;
    if is_new {
        create(&connection).map_err(|error| explain(path, &error))?;
    } else {
        check(&connection, path)?;
    }
    Ok(connection)
}

/// Makes the file if it is missing, for this user alone; and looks at what SQLite would take for an empty database.
fn prepare_file(path: &Path) -> Result<(), OpenError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && !folder.is_dir() => {
            return Err(OpenError::NoFolder(path.to_owned()));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return create_file(path, folder).map_err(|error| refused(path, error));
        }
        Err(error) => return Err(refused(path, error)),
    };
    let length = file.metadata().map_err(|error| refused(path, error))?.len();
    if length == 0 {
        return empty_file(path);
    }
    let mut start = [0; MAGIC.len()];
    match file.read_exact(&mut start) {
        Ok(()) if start == *MAGIC => Ok(()),
        Ok(()) => Err(OpenError::NotADatabase(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(OpenError::NotADatabase(path.to_owned()))
        }
        Err(error) => Err(refused(path, error)),
    }
}

fn create_file(path: &Path, folder: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    // The file's name must survive a crash as its contents do.
    File::open(folder)?.sync_all()
}

/// An empty file is a new one, unless its log says that it was cut: SQLite would throw that log away.
fn empty_file(path: &Path) -> Result<(), OpenError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if fs::metadata(log).is_ok_and(|found| found.len() > 0) {
        return Err(OpenError::Corrupt {
            path: path.to_owned(),
            detail: "it is empty and its log is not".to_owned(),
        });
    }
    Ok(())
}

fn refused(path: &Path, error: io::Error) -> OpenError {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::StorageFull => OpenError::Full(path),
        ErrorKind::NotADirectory => OpenError::NoFolder(path),
        _ => OpenError::NotWritable { path, error },
    }
}

/// Exclusive from the first page on: nobody else may even read, and no shared memory file is needed.
fn lock(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.execute_batch("BEGIN IMMEDIATE; COMMIT")
}

/// Whether the file is new. Reads only.
fn recognise(connection: &Connection, path: &Path) -> Result<bool, OpenError> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i32>(0));
    let read = || {
        Ok((
            number("PRAGMA application_id")?,
            number("PRAGMA user_version")?,
            number("SELECT count(*) FROM sqlite_schema")?,
        ))
    };
    let (application, version, tables) = read().map_err(|error| explain(path, &error))?;
    match (application, version) {
        (0, 0) if tables == 0 => Ok(true),
        (schema::APPLICATION_ID, schema::VERSION) => Ok(false),
        (schema::APPLICATION_ID, found) if found > schema::VERSION => Err(OpenError::Newer {
            path: path.to_owned(),
            found,
        }),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// Sets the pragmas, and reads them back: one that is not known is silently ignored, and WAL may be refused.
fn set_up(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else a statement with `LIMIT ?` is prepared anew each time, which costs more than running it (sqlite.org/c3ref/c_dbconfig_defensive.html).
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(|error| explain(path, &error))?;
    let set = |name: &str, value: &str| {
        connection
            .pragma_update_and_check(None, name, value, |_| Ok(()))
            .or_else(
                // Some answer nothing when they are set.
                |error| match error {
                    rusqlite::Error::QueryReturnedNoRows => Ok(()),
                    error => Err(error),
                },
            )?;
        connection.pragma_query_value(None, name, |row| {
            Ok(match row.get_ref(0)? {
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                other => other.as_str().unwrap_or_default().to_owned(),
            })
        })
    };
    for (name, value, want) in PRAGMAS {
        let found = set(name, value).map_err(|error| explain(path, &error))?;
        if found != *want {
            return Err(OpenError::Other {
                path: path.to_owned(),
                detail: format!("{name} is {found} and must be {want}"),
            });
        }
    }
    Ok(())
}

/// All tables at once, or none.
fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(schema::TABLES)?;
    connection.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", schema::VERSION)?;
    connection.execute_batch("COMMIT")
}

fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| explain(path, &error))?;
    if found == "ok" {
        return Ok(());
    }
    Err(OpenError::Corrupt {
        path: path.to_owned(),
        detail: found,
    })
}

/// What an error of SQLite means to whoever starts the program.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse(path),
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path),
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Corrupt {
            path,
            detail: error.to_string(),
        },
        Some(ErrorCode::DiskFull) => OpenError::Full(path),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            OpenError::NotWritable {
                path,
                error: io::Error::other(error.to_string()),
            }
        }
        _ => OpenError::Other {
            path,
            detail: error.to_string(),
        },
    }
}
