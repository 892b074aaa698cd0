//! Opens the file of the outbox, or says in one line why not and what to do. A file that is not understood is never
//! changed, let alone replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::place::beside;
use super::{log, schema};

/// What every SQLite database begins with (<https://www.sqlite.org/fileformat.html>, 1.3.1).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// As many as Linux follows.
const MAX_LINKS: usize = 40;

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

/// The file's path from the root, without links: where it is, or where it is to be made.
pub(super) fn real_path(path: &Path) -> Result<PathBuf, OpenError> {
    let mut real = path.to_owned();
    for _ in 0..MAX_LINKS {
        let folder = real.parent().filter(|name| !name.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let found = folder.canonicalize().map_err(|error| match error.kind() {
            ErrorKind::NotFound => OpenError::NoFolder(path.to_owned()),
            _ => refused(path, error),
        })?;
        real = match real.file_name() {
            Some(name) => found.join(name),
            // `..` is a folder, which is told when it is opened.
            None => return Ok(real),
        };
        match fs::read_link(&real) {
            Ok(target) => real = found.join(target),
            Err(_) => return Ok(real),
        }
    }
    let error = io::Error::other("too many symbolic links");
    Err(refused(path, error))
}

/// A connection that alone has the file, with its tables.
pub(super) fn open(path: &Path, real: &Path) -> Result<Connection, OpenError> {
    prepare_file(path, real)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(real, flags);
    let connection = opened.map_err(|error| explain(path, &error))?;
    // A file that is refused stays as it is, and so does its log.
    keep_log(&connection, true).map_err(|error| explain(path, &error))?;
    lock(&connection).map_err(|error| explain(path, &error))?;
    check_log(path, real)?;
    let is_new = recognise(&connection, path)?;
    set_up(&connection, path)?;
    if is_new {
        create(&connection).map_err(|error| explain(path, &error))?;
    } else {
        check(&connection, path)?;
    }
    keep_log(&connection, false).map_err(|error| explain(path, &error))?;
    Ok(connection)
}

/// Whether the end of the connection leaves the log, instead of folding it into the file.
fn keep_log(connection: &Connection, keeps: bool) -> rusqlite::Result<bool> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps)
}

/// Only once the file is locked: nobody writes the log meanwhile.
fn check_log(path: &Path, real: &Path) -> Result<(), OpenError> {
    let found = log::is_whole(&beside(real, "-wal"));
    if found.map_err(|error| refused(path, error))? {
        return Ok(());
    }
    Err(OpenError::Corrupt {
        path: path.to_owned(),
        detail: "its log, beside it, is, and what was stored after the damage would be lost"
            .to_owned(),
    })
}

/// Makes the file if it is missing, for this user alone; and looks at what SQLite would take for an empty database.
fn prepare_file(path: &Path, real: &Path) -> Result<(), OpenError> {
    let is_other = |found: fs::Metadata| !found.is_file() && !found.is_dir();
    if fs::metadata(real).is_ok_and(is_other) {
        return Err(OpenError::NotADatabase(path.to_owned()));
    }
    let mut file = match OpenOptions::new().read(true).write(true).open(real) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return create_file(real).map_err(|error| refused(path, error));
        }
        Err(error) => return Err(refused(path, error)),
    };
    let length = file.metadata().map_err(|error| refused(path, error))?.len();
    if length == 0 {
        return empty_file(path, real);
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

pub(super) fn create_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    // The file's name must survive a crash as its contents do.
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// An empty file is a new one, unless its log says that it was cut: SQLite would throw that log away.
fn empty_file(path: &Path, real: &Path) -> Result<(), OpenError> {
    if fs::metadata(beside(real, "-wal")).is_ok_and(|found| found.len() > 0) {
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
    if found != "ok" {
        return Err(OpenError::Corrupt {
            path: path.to_owned(),
            // One line of the log.
            detail: found.lines().last().unwrap_or_default().to_owned(),
        });
    }
    // That says nothing of an index that does not know its rows: what waits would do so for ever.
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let count = || {
        Ok((
            number(schema::WAITING_ROWS)?,
            number(schema::WAITING_KNOWN)?,
            number(schema::WAITING_INDEXED)?,
        ))
    };
    let (rows, known, indexed) = count().map_err(|error| explain(path, &error))?;
    if rows == known && rows == indexed {
        return Ok(());
    }
    Err(OpenError::Corrupt {
        path: path.to_owned(),
        detail: "an index does not fit its rows".to_owned(),
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
        Some(_) => OpenError::Other {
            path,
            detail: error.to_string(),
        },
        // What was read is not what is ever written.
        None => OpenError::Corrupt {
            path,
            detail: error.to_string(),
        },
    }
}
