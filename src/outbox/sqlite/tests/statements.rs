//! What the statements cost.

use rusqlite::StatementStatus;

use super::{Folder, open};
use crate::outbox::sqlite::schema;

/// SQLite prepares a statement anew when a bound value could change its plan, for 10 µs a time.
#[test]
fn no_statement_is_prepared_anew_for_another_value() {
    let folder = Folder::new();
    let outbox = open(&folder.file());

    for sql in [
        schema::HEAD,
        schema::LIST,
        schema::EXPIRE,
        schema::ONCE_EXPIRE,
    ] {
        let mut statement = outbox.connection.prepare(sql).unwrap();
        for value in 1..=3 {
            statement.raw_bind_parameter(1, value).unwrap();
            statement.raw_bind_parameter(2, value).unwrap();
            let mut rows = statement.raw_query();
            while rows.next().unwrap().is_some() {}
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
    }
}
