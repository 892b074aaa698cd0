//! The tables, and the statements on them. No statement takes a value from outside but by a parameter.

/// Marks a file as this program's outbox (`mwpx`).
pub(super) const APPLICATION_ID: i32 = 0x6D77_7078;

/// The version of the tables; a file of a newer one is refused.
pub(super) const VERSION: i32 = 1;

pub(super) const WAITING: i64 = 0;
pub(super) const DELIVERED: i64 = 1;
pub(super) const FAILED: i64 = 2;

/// A row holds all that its delivery needs, so it can be moved and checked alone; but for its text, which has a table
/// of its own: that one can be written anew (see `scrub`) without the receipts. The numbers of the states are the
/// constants above, spelled out because an index takes no parameter.
pub(super) const TABLES: &str = "
    CREATE TABLE delivery (
        seq INTEGER PRIMARY KEY,
        id BLOB NOT NULL,
        place INTEGER NOT NULL,
        lane INTEGER NOT NULL,
        state INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        not_before_ms INTEGER NOT NULL,
        settled_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        ambiguous INTEGER NOT NULL,
        parts_taken INTEGER NOT NULL,
        replaced INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        webhook BLOB,
        backend TEXT NOT NULL,
        target TEXT NOT NULL,
        caller TEXT NOT NULL,
        ignored TEXT,
        channel TEXT,
        message_id TEXT,
        link TEXT,
        reason TEXT,
        platform_code TEXT,
        error TEXT,
        sum INTEGER NOT NULL
    );
    CREATE TABLE post (seq INTEGER PRIMARY KEY, text BLOB NOT NULL);
    CREATE UNIQUE INDEX delivery_id ON delivery (id, place);
    CREATE INDEX delivery_waiting ON delivery (lane, seq) WHERE state = 0;
    CREATE INDEX delivery_failed ON delivery (id) WHERE state = 2;
    CREATE INDEX delivery_settled ON delivery (settled_ms) WHERE state <> 0;
    CREATE TABLE once (
        key BLOB PRIMARY KEY,
        fingerprint BLOB NOT NULL,
        id BLOB NOT NULL,
        expires_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX once_id ON once (id);
    CREATE INDEX once_expires ON once (expires_ms);
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
";

/// The columns that are written when a delivery comes in, in the order of their parameters.
pub(super) const INSERT: &str = "
    INSERT INTO delivery (seq, id, place, lane, state, created_ms, not_before_ms, settled_ms, attempts, ambiguous,
        parts_taken, replaced, kind, webhook, backend, target, caller, ignored, channel, message_id, link, reason,
        platform_code, error, sum)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// The beginning of every statement that reads whole rows; `row::read` knows the order.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, id, place, lane, state, created_ms, not_before_ms, settled_ms, attempts, ambiguous, \
             parts_taken, replaced, kind, webhook, backend, target, caller, ignored, channel, message_id, link, \
             reason, platform_code, error, sum, \
             (SELECT text FROM post WHERE post.seq = delivery.seq) FROM delivery ",
            $rest
        )
    };
}

pub(super) const HEAD: &str =
    select!("INDEXED BY delivery_waiting WHERE state = 0 AND lane = ? ORDER BY seq LIMIT ?");
pub(super) const FIND: &str = select!("WHERE id = ? ORDER BY place");
pub(super) const FAILED_OF: &str = select!("WHERE id = ? AND state = 2 ORDER BY place");

/// What [`super::row::progress`] fills, from the third parameter on.
macro_rules! settle {
    ($also:literal) => {
        concat!(
            "UPDATE delivery SET ",
            $also,
            "attempts = ?3, ambiguous = ?4, parts_taken = ?5, not_before_ms = ?6, settled_ms = ?7, channel = ?8, \
             message_id = ?9, link = ?10, reason = ?11, platform_code = ?12, error = ?13 \
             WHERE id = ?1 AND place = ?2 AND state = 0"
        )
    };
}

/// Without the state: an update that names it rewrites every index that depends on it.
pub(super) const KEEP_WAITING: &str = settle!("");
pub(super) const SETTLE_DELIVERED: &str = settle!("state = 1, sum = 0, ");
pub(super) const SETTLE_FAILED: &str = settle!("state = 2, ");

pub(super) const POST_INSERT: &str = "INSERT INTO post (seq, text) VALUES (?, ?)";
pub(super) const POST_ERASE: &str =
    "DELETE FROM post WHERE seq = (SELECT seq FROM delivery WHERE id = ? AND place = ?)";
pub(super) const POST_REQUEUE: &str = "UPDATE post SET seq = ? WHERE seq = ?";
pub(super) const POST_EXPIRE: &str = "
    DELETE FROM post WHERE seq IN
        (SELECT seq FROM delivery INDEXED BY delivery_settled WHERE state <> 0 AND settled_ms <= ?
         ORDER BY settled_ms, seq LIMIT ?)";
pub(super) const POST_BYTES: &str = "SELECT ifnull(sum(length(text)), 0) FROM post";
pub(super) const POST_ALL: &str = "SELECT seq, text FROM post ORDER BY seq";
/// Without a condition: SQLite then frees the pages as they are, and overwrites them.
pub(super) const POST_CLEAR: &str = "DELETE FROM post";

pub(super) const DAMAGE: &str =
    "UPDATE delivery SET state = 2, reason = 'damaged', settled_ms = ? WHERE seq = ?";
pub(super) const RELANE: &str =
    "UPDATE delivery SET lane = ?, target = ?, kind = ?, webhook = NULL, sum = ? WHERE seq = ?";
/// What the platform has of it, or may have, stays known.
pub(super) const REQUEUE: &str = "
    UPDATE delivery SET seq = ?, state = 0, created_ms = ?, not_before_ms = 0, settled_ms = 0, reason = NULL,
        platform_code = NULL, error = NULL
    WHERE seq = ?";

pub(super) const ONCE_FIND: &str =
    "SELECT id, fingerprint FROM once WHERE key = ? AND expires_ms > ?";
pub(super) const ONCE_SET: &str =
    "INSERT OR REPLACE INTO once (key, fingerprint, id, expires_ms) VALUES (?, ?, ?, ?)";
/// Not while something of the message was posted, or may have been: another try would post it again.
pub(super) const ONCE_RELEASE: &str = "
    DELETE FROM once WHERE id = ?1 AND NOT EXISTS
        (SELECT 1 FROM delivery WHERE id = ?1 AND (state <> 2 OR parts_taken > 0 OR ambiguous > 0))";
pub(super) const ONCE_EXPIRE: &str = "
    DELETE FROM once WHERE key IN
        (SELECT key FROM once INDEXED BY once_expires WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?)";

pub(super) const COUNT_SETTLED: &str =
    "SELECT count(*) FROM delivery INDEXED BY delivery_settled WHERE state <> 0";
pub(super) const EXPIRE: &str = "
    DELETE FROM delivery WHERE seq IN
        (SELECT seq FROM delivery INDEXED BY delivery_settled WHERE state <> 0 AND settled_ms <= ?
         ORDER BY settled_ms, seq LIMIT ?)";

pub(super) const WAITING_LANES: &str = "
    SELECT lane, count(*), max(not_before_ms), min(created_ms), min(backend), max(kind = 2), min(seq)
    FROM delivery INDEXED BY delivery_waiting
    WHERE state = 0 GROUP BY lane ORDER BY lane";

/// How many wait, by the rows, by those rows that both indexes lead to, and by the index.
pub(super) const WAITING_ROWS: &str = "SELECT count(*) FROM delivery NOT INDEXED WHERE state = 0";
pub(super) const WAITING_KNOWN: &str = "
    SELECT count(*) FROM delivery AS one NOT INDEXED WHERE state = 0
    AND EXISTS (SELECT 1 FROM delivery AS found INDEXED BY delivery_waiting
        WHERE found.state = 0 AND found.lane = one.lane AND found.seq = one.seq)
    AND EXISTS (SELECT 1 FROM delivery AS found INDEXED BY delivery_id
        WHERE found.id = one.id AND found.place = one.place AND found.seq = one.seq)";
pub(super) const WAITING_INDEXED: &str =
    "SELECT count(*) FROM delivery INDEXED BY delivery_waiting WHERE state = 0";

pub(super) const LIST: &str =
    "SELECT DISTINCT id FROM delivery WHERE id < ? ORDER BY id DESC LIMIT ?";
pub(super) const LIST_FAILED: &str = "
    SELECT DISTINCT id FROM delivery INDEXED BY delivery_failed WHERE state = 2 AND id < ? ORDER BY id DESC LIMIT ?";
pub(super) const LOOK: &str = "SELECT state, target, channel, caller FROM delivery WHERE id = ?";

pub(super) const META_GET: &str = "SELECT value FROM meta WHERE name = ?";
pub(super) const META_SET: &str = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)";
pub(super) const LAST_SEQ: &str = "SELECT ifnull(max(seq), 0) FROM delivery";

/// Moves every time by a difference; what is 0 means "never" and stays.
pub(super) const SHIFT: &str = "
    UPDATE delivery SET created_ms = max(created_ms + ?1, 1),
        not_before_ms = iif(not_before_ms = 0, 0, max(not_before_ms + ?1, 1)),
        settled_ms = iif(settled_ms = 0, 0, max(settled_ms + ?1, 1))";
pub(super) const SHIFT_ONCE: &str = "UPDATE once SET expires_ms = max(expires_ms + ?1, 1)";

/// Made when there is something for it. The time of a note is that of its writing or a little later, so that no two of
/// a space have the same and their order is that in which they were written, whatever the clock does.
pub(super) const NOTE_TABLE: &str = "
    CREATE TABLE IF NOT EXISTS note (
        space INTEGER NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        updated_ms INTEGER NOT NULL,
        PRIMARY KEY (space, key)
    ) WITHOUT ROWID";
pub(super) const NOTE_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS note_oldest ON note (space, updated_ms)";
pub(super) const NOTE_IS_THERE: &str =
    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'note'";
pub(super) const NOTE_CHANGES: &str =
    "SELECT 1 FROM note WHERE space = ? AND key = ? AND value <> ?";
pub(super) const NOTE_PUT: &str = "
    INSERT INTO note (space, key, value, updated_ms)
    VALUES (?1, ?2, ?3, max(?4, (SELECT ifnull(max(updated_ms), 0) + 1 FROM note WHERE space = ?1)))
    ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, updated_ms = excluded.updated_ms";
pub(super) const NOTE_INSERT: &str =
    "INSERT INTO note (space, key, value, updated_ms) VALUES (?, ?, ?, ?)";
pub(super) const NOTE_COUNT: &str =
    "SELECT count(*) FROM note INDEXED BY note_oldest WHERE space = ?";
pub(super) const NOTE_EVICT: &str = "
    DELETE FROM note WHERE space = ?1 AND key IN
        (SELECT key FROM note INDEXED BY note_oldest WHERE space = ?1 ORDER BY updated_ms, key LIMIT ?2)";
pub(super) const NOTE_DELETE: &str = "DELETE FROM note WHERE space = ? AND key = ?";
pub(super) const NOTES: &str = "SELECT key, value FROM note WHERE space = ? ORDER BY key";
pub(super) const NOTE_BYTES: &str = "SELECT ifnull(sum(length(value)), 0) FROM note";
pub(super) const NOTE_ALL: &str =
    "SELECT space, key, value, updated_ms FROM note ORDER BY space, key";
pub(super) const NOTE_CLEAR: &str = "DELETE FROM note";
pub(super) const SHIFT_NOTE: &str = "UPDATE note SET updated_ms = max(updated_ms + ?1, 1)";
