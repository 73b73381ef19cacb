//! The statements. All are prepared once a connection, and all walk an index.

/// The texts, with the schema's name in them.
#[derive(Debug)]
pub(super) struct Sql {
    schema: String,
    /// Rows for keys that never were, and are only checked to be absent: `$1` keys, in order.
    pub(super) place: String,
    /// Locks rows in the order of `$1` keys, those of `$2` to be written; tells key, version, whether it is there.
    pub(super) lock: String,
    /// Fails with `division_by_zero` unless keys `$1` are at versions `$2` (0: absent), those of `$3` to be written.
    pub(super) guard: String,
    /// Rows for logs that never were: `$1` streams, in order.
    pub(super) place_logs: String,
    /// Locks the rows of logs `$1`, in that order; tells stream, next position and incarnation (0: never was).
    pub(super) lock_logs: String,
    /// Places logs `$1`, locked before, at positions `$2`, behind predecessors `$3` that ended at `$4`.
    pub(super) begin_logs: String,
    /// One record alone, `$1` key, `$2` kind, `$3` value, `$4` checksum: where there is none, or (`replace`) at `$5`.
    /// No row: the expectation did not hold.
    pub(super) create: String,
    pub(super) replace: String,
    pub(super) get: String,
    pub(super) get_many: String,
    /// Pages of keys, upwards: between `$1` and `$2`, `$3` rows at most of each; tells which page, key, version.
    pub(super) list_many: String,
    pub(super) versions: String,
    pub(super) tail: String,
    pub(super) head: String,
    pub(super) heads: String,
    pub(super) truncate_lock: String,
    pub(super) truncate: String,
    pub(super) prune: String,
    pub(super) bytes: String,
    /// Whether a transaction `$1` left any of these rows: records `$2` at versions `$3` with checksums `$4`, entries of
    /// logs `$5` at positions `$6` with versions `$7` and values `$8`, or logs `$9` begun at versions `$10`.
    pub(super) traces: String,
    /// The highest version there is.
    pub(super) point: String,
}

/// The transaction's number: with it, what became of a commit whose answer was lost can be asked.
pub(super) const TRANSACTION: &str = "SELECT pg_current_xact_id()::text";
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";
/// What became of a transaction.
pub(super) const STATUS: &str = "SELECT pg_xact_status($1::text::xid8)";

/// Which parts a write has. A part that is not there costs nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) puts: bool,
    pub(super) makes: bool,
    pub(super) deletes: bool,
    pub(super) appends: bool,
    pub(super) begins: bool,
}

impl Sql {
    pub(super) fn of(schema: &str) -> Self {
        let named = |text: &str| text.replace("{s}", &format!("\"{schema}\""));
        Self {
            place: named(PLACE),
            lock: named(LOCK),
            guard: named(GUARD),
            place_logs: named(PLACE_LOGS),
            lock_logs: named(LOCK_LOGS),
            begin_logs: named(BEGIN_LOGS),
            create: named(CREATE),
            replace: named(REPLACE),
            get: named(GET),
            get_many: named(GET_MANY),
            list_many: named(LIST_MANY),
            versions: named(VERSIONS),
            tail: named(TAIL),
            head: named(HEAD),
            heads: named(HEADS),
            truncate_lock: named(TRUNCATE_LOCK),
            truncate: named(TRUNCATE),
            prune: named(PRUNE),
            bytes: named(BYTES),
            traces: named(TRACES),
            point: named(POINT),
            schema: schema.to_owned(),
        }
    }

    /// Numbers `$1` commits and writes them: what they replace (`$2` to `$6`), remove (`$7`, `$8`), append (`$9` to
    /// `$11`), begin without appending to it (`$12`), make (`$13` to `$17`). Tells for each its version and the
    /// transaction's number. Fails with `division_by_zero` where a record came to be since it was looked for.
    ///
    /// The numbers are drawn here, under every lock, so they rise with each key and each log. They are the
    /// sequence's; only where that is behind (its values are cached, it was restored) they follow what is there.
    pub(super) fn write(&self, shape: Shape) -> String {
        let mut text = WRITE.to_owned();
        for (is_there, part) in [
            (shape.puts, WRITE_PUTS),
            (shape.makes, WRITE_MAKES),
            (shape.deletes, WRITE_DELETES),
            (shape.appends, WRITE_APPENDS),
            (shape.begins, WRITE_BEGINS),
        ] {
            if is_there {
                text.push_str(part);
            }
        }
        text.push_str(WRITE_END);
        if shape.makes {
            text.push_str(WRITE_MADE);
        }
        text.push_str(WRITE_ORDER);
        let old = |is_there: bool, query: &str| {
            if is_there {
                query.to_owned()
            } else {
                "0".to_owned()
            }
        };
        text.replace("{puts}", &old(shape.puts, OLD_PUTS))
            .replace("{makes}", &old(shape.makes, OLD_MAKES))
            .replace("{deletes}", &old(shape.deletes, OLD_DELETES))
            .replace("{logs}", &old(shape.appends, OLD_LOGS))
            .replace("{s}", &format!("\"{}\"", self.schema))
    }

    /// One page: keys within `$1` and `$2`, `$3` rows at most.
    pub(super) fn list(&self, is_down: bool, with_values: bool) -> String {
        let text = if with_values { LIST_ENTRIES } else { LIST_KEYS };
        text.replace("{order}", if is_down { "DESC" } else { "ASC" })
            .replace("{s}", &format!("\"{}\"", self.schema))
    }
}

const PLACE: &str = "INSERT INTO {s}.dormouse_record (key, version, removed) \
    SELECT key, 0, now() FROM unnest($1::text[]) AS asked (key) ON CONFLICT (key) DO NOTHING";

/// The lateral halves are evaluated row by row in the order of the array, whatever the plan.
const LOCK: &str = "SELECT asked.key, coalesce(w.version, c.version), coalesce(w.live, c.live) \
    FROM unnest($1::text[], $2::boolean[]) WITH ORDINALITY AS asked (key, writes, ord) \
    LEFT JOIN LATERAL (SELECT version, removed IS NULL AS live FROM {s}.dormouse_record r \
        WHERE r.key = asked.key AND asked.writes FOR UPDATE) w ON true \
    LEFT JOIN LATERAL (SELECT version, removed IS NULL AS live FROM {s}.dormouse_record r \
        WHERE r.key = asked.key AND NOT asked.writes FOR SHARE) c ON true";

/// What is only checked to be absent wants a row without a value: a row that is not there holds no lock. What is made
/// needs none: its row comes with the write, and two that come at once find each other by the key.
const GUARD: &str = "SELECT 1 / CASE WHEN EXISTS (SELECT 1 \
    FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS asked (key, at, writes) \
    LEFT JOIN {s}.dormouse_record r ON r.key = asked.key \
    WHERE CASE WHEN r.key IS NULL THEN asked.at <> 0 OR NOT asked.writes WHEN asked.at = 0 THEN r.removed IS NULL \
        ELSE r.removed IS NOT NULL OR r.version <> asked.at END) THEN 0 ELSE 1 END";

const PLACE_LOGS: &str = "INSERT INTO {s}.dormouse_log (stream, incarnation, first, next, bytes, last) \
    SELECT stream, 0, 1, 1, 0, 0 FROM unnest($1::text[]) AS asked (stream) ON CONFLICT (stream) DO NOTHING";

const LOCK_LOGS: &str = "SELECT asked.stream, l.next, l.incarnation \
    FROM unnest($1::text[]) WITH ORDINALITY AS asked (stream, ord) \
    LEFT JOIN LATERAL (SELECT next, incarnation FROM {s}.dormouse_log l \
        WHERE l.stream = asked.stream FOR UPDATE) l ON true";

const BEGIN_LOGS: &str = "UPDATE {s}.dormouse_log l \
    SET first = b.first, next = b.first, predecessor = b.incarnation, predecessor_next = b.ended \
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS b (stream, first, incarnation, ended) \
    WHERE l.stream = b.stream";

const OLD_PUTS: &str = "(SELECT max(version) FROM {s}.dormouse_record WHERE key = ANY ($2::text[]))";
const OLD_MAKES: &str = "(SELECT max(version) FROM {s}.dormouse_record WHERE key = ANY ($13::text[]))";
const OLD_DELETES: &str = "(SELECT max(version) FROM {s}.dormouse_record WHERE key = ANY ($7::text[]))";
const OLD_LOGS: &str = "(SELECT max(last) FROM {s}.dormouse_log WHERE stream = ANY ($9::text[]))";

/// Parameters of parts that are left out have their types named here, so that every shape takes the same seventeen.
const WRITE: &str = "WITH given AS (SELECT $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::int[], \
        $7::text[], $8::int[], $9::text[], $10::bytea[], $11::int[], $12::text[], \
        $13::text[], $14::text[], $15::bytea[], $16::bigint[], $17::int[]), \
    base AS MATERIALIZED (SELECT greatest((SELECT floor FROM {s}.dormouse_meta), \
        {puts}, {makes}, {deletes}, {logs}) AS at), \
    numbered AS MATERIALIZED (SELECT n, greatest(nextval('{s}.dormouse_version'), base.at + n) AS version \
        FROM base, generate_series(1, $1::int) AS n)";

const WRITE_PUTS: &str = ", put AS (UPDATE {s}.dormouse_record r \
    SET version = v.version, kind = p.kind, value = p.value, crc = p.crc, removed = NULL \
    FROM unnest($2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::int[]) AS p (key, kind, value, crc, n) \
    JOIN numbered v ON v.n = p.n WHERE r.key = p.key)";

/// In the order of keys, as all locks are taken. A row that stands there is one that was removed, or only held a lock;
/// where it is a record by now, or was one of a later number, nothing is returned for it.
const WRITE_MAKES: &str = ", made AS (INSERT INTO {s}.dormouse_record AS r (key, version, kind, value, crc) \
    SELECT p.key, v.version, p.kind, p.value, p.crc \
    FROM unnest($13::text[], $14::text[], $15::bytea[], $16::bigint[], $17::int[]) AS p (key, kind, value, crc, n) \
    JOIN numbered v ON v.n = p.n ORDER BY p.key COLLATE \"C\" \
    ON CONFLICT (key) DO UPDATE SET version = excluded.version, kind = excluded.kind, value = excluded.value, \
        crc = excluded.crc, removed = NULL WHERE r.removed IS NOT NULL AND r.version < excluded.version \
    RETURNING 1)";

const WRITE_DELETES: &str = ", gone AS (UPDATE {s}.dormouse_record r \
    SET version = v.version, kind = NULL, value = NULL, crc = NULL, removed = now() \
    FROM unnest($7::text[], $8::int[]) AS d (key, n) JOIN numbered v ON v.n = d.n WHERE r.key = d.key)";

const WRITE_APPENDS: &str = ", appended AS MATERIALIZED (SELECT a.stream, a.value, v.version, \
        l.next - 1 + row_number() OVER (PARTITION BY a.stream ORDER BY a.ord) AS position \
        FROM unnest($9::text[], $10::bytea[], $11::int[]) WITH ORDINALITY AS a (stream, value, n, ord) \
        JOIN numbered v ON v.n = a.n JOIN {s}.dormouse_log l ON l.stream = a.stream), \
    entered AS (INSERT INTO {s}.dormouse_log_entry (stream, position, value, version) \
        SELECT stream, position, value, version FROM appended), \
    moved AS (UPDATE {s}.dormouse_log l SET next = l.next + m.count, bytes = l.bytes + m.bytes, last = m.last, \
        incarnation = CASE WHEN l.incarnation = 0 THEN m.begun ELSE l.incarnation END \
        FROM (SELECT stream, count(*) AS count, sum(octet_length(value)) AS bytes, max(version) AS last, \
            min(version) AS begun FROM appended GROUP BY stream) m WHERE l.stream = m.stream)";

/// A commit that begins logs is alone in its transaction. Those it appends to get their incarnation there.
const WRITE_BEGINS: &str = ", begun AS (UPDATE {s}.dormouse_log l SET incarnation = v.version, last = v.version \
    FROM numbered v WHERE l.stream = ANY ($12::text[]))";

const WRITE_END: &str = " SELECT version, pg_current_xact_id()::text FROM numbered";
const WRITE_MADE: &str =
    " WHERE 1 / CASE WHEN (SELECT count(*) FROM made) = cardinality($13::text[]) THEN 1 ELSE 0 END = 1";
const WRITE_ORDER: &str = " ORDER BY n";

const CREATE: &str = "INSERT INTO {s}.dormouse_record AS r (key, kind, value, crc, version) \
    SELECT $1, $2, $3, $4, greatest(nextval('{s}.dormouse_version'), floor + 1) FROM {s}.dormouse_meta \
    ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, value = excluded.value, crc = excluded.crc, \
        removed = NULL, version = greatest(excluded.version, r.version + 1) WHERE r.removed IS NOT NULL \
    RETURNING version, pg_current_xact_id()::text";
const REPLACE: &str = "UPDATE {s}.dormouse_record SET kind = $2, value = $3, crc = $4, \
        version = greatest(nextval('{s}.dormouse_version'), version + 1, \
            (SELECT floor + 1 FROM {s}.dormouse_meta)) \
    WHERE key = $1 AND version = $5 AND removed IS NULL RETURNING version, pg_current_xact_id()::text";

const GET: &str = "SELECT key, version, kind, crc, value FROM {s}.dormouse_record \
    WHERE key = $1 AND removed IS NULL";
const GET_MANY: &str = "SELECT key, version, kind, crc, value FROM {s}.dormouse_record \
    WHERE key = ANY ($1::text[]) AND removed IS NULL";
const VERSIONS: &str = "SELECT key, version FROM {s}.dormouse_record \
    WHERE key = ANY ($1::text[]) AND removed IS NULL";

const LIST_KEYS: &str = "SELECT key, version FROM {s}.dormouse_record \
    WHERE removed IS NULL AND key > $1 AND key < $2 ORDER BY key {order} LIMIT $3";

const LIST_MANY: &str = "SELECT asked.nth, page.key, page.version \
    FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS asked (low, high, most, nth) \
    CROSS JOIN LATERAL (SELECT key, version FROM {s}.dormouse_record \
        WHERE removed IS NULL AND key > asked.low AND key < asked.high ORDER BY key LIMIT asked.most) page \
    ORDER BY asked.nth, page.key";

/// A value past the page's bytes is not read; that of the first row always is.
const LIST_ENTRIES: &str = "SELECT key, version, kind, crc, \
        CASE WHEN n = 1 OR run <= 1048576 THEN value END AS value \
    FROM (SELECT key, version, kind, crc, value, row_number() OVER page AS n, sum(weight) OVER page AS run \
        FROM (SELECT key, version, kind, crc, value, \
                octet_length(key) + octet_length(kind) + octet_length(value) AS weight \
            FROM {s}.dormouse_record WHERE removed IS NULL AND key > $1 AND key < $2 \
            ORDER BY key {order} LIMIT $3) taken \
        WINDOW page AS (ORDER BY key {order} ROWS UNBOUNDED PRECEDING)) weighed \
    ORDER BY key {order}";

const TAIL: &str = "SELECT l.first, l.next, e.position, e.version, e.value FROM {s}.dormouse_log l \
    LEFT JOIN LATERAL (SELECT position, version, CASE WHEN n = 1 OR run <= 1048576 THEN value END AS value \
        FROM (SELECT position, version, value, row_number() OVER page AS n, sum(weight) OVER page AS run \
            FROM (SELECT position, version, value, greatest(octet_length(value), 1) AS weight \
                FROM {s}.dormouse_log_entry WHERE stream = $1 AND position > $2 \
                ORDER BY position LIMIT $3) taken \
            WINDOW page AS (ORDER BY position ROWS UNBOUNDED PRECEDING)) weighed) e ON true \
    WHERE l.stream = $1 ORDER BY e.position";

const HEAD: &str = "SELECT stream, incarnation, first, next, bytes, predecessor, predecessor_next \
    FROM {s}.dormouse_log WHERE stream = $1";
const HEADS: &str = "SELECT stream, incarnation, first, next, bytes, predecessor, predecessor_next \
    FROM {s}.dormouse_log WHERE stream > $1 AND stream < $2 ORDER BY stream LIMIT $3";

const TRUNCATE_LOCK: &str = "SELECT first, next FROM {s}.dormouse_log WHERE stream = $1 FOR UPDATE";

/// One step, under the lock of the statement before. Nothing happens beyond `next`.
const TRUNCATE: &str = "WITH step AS MATERIALIZED (SELECT least($2::bigint, first + 1000) AS until \
        FROM {s}.dormouse_log WHERE stream = $1 AND $2::bigint > first AND $2::bigint <= next), \
    gone AS (DELETE FROM {s}.dormouse_log_entry e USING step \
        WHERE e.stream = $1 AND e.position < step.until RETURNING octet_length(e.value) AS n) \
    UPDATE {s}.dormouse_log l SET first = step.until, bytes = l.bytes - (SELECT coalesce(sum(n), 0) FROM gone) \
    FROM step WHERE l.stream = $1 RETURNING l.first";

/// The number of a row that goes lives on in the floor.
const PRUNE: &str = "WITH old AS MATERIALIZED (SELECT key FROM {s}.dormouse_record \
        WHERE removed IS NOT NULL AND removed < now() - make_interval(secs => $1) \
        ORDER BY removed LIMIT 1000 FOR UPDATE SKIP LOCKED), \
    gone AS (DELETE FROM {s}.dormouse_record r USING old WHERE r.key = old.key RETURNING r.version), \
    raised AS (UPDATE {s}.dormouse_meta SET floor = greatest(floor, (SELECT max(version) FROM gone)) \
        WHERE EXISTS (SELECT 1 FROM gone)) \
    SELECT count(*) FROM gone";

const TRACES: &str = "SELECT EXISTS (SELECT 1 \
        FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS w (key, version, crc) \
        JOIN {s}.dormouse_record r ON r.key = w.key \
        WHERE r.version = w.version AND r.crc IS NOT DISTINCT FROM w.crc AND r.xmin = ($1::text::xid8)::xid) \
    OR EXISTS (SELECT 1 \
        FROM unnest($5::text[], $6::bigint[], $7::bigint[], $8::bytea[]) AS a (stream, position, version, value) \
        JOIN {s}.dormouse_log_entry e ON e.stream = a.stream AND e.position = a.position \
        WHERE e.version = a.version AND e.value = a.value AND e.xmin = ($1::text::xid8)::xid) \
    OR EXISTS (SELECT 1 FROM unnest($9::text[], $10::bigint[]) AS b (stream, version) \
        JOIN {s}.dormouse_log l ON l.stream = b.stream \
        WHERE l.incarnation = b.version AND l.xmin = ($1::text::xid8)::xid)";

const BYTES: &str = "SELECT (pg_total_relation_size('{s}.dormouse_record') \
    + pg_total_relation_size('{s}.dormouse_log') + pg_total_relation_size('{s}.dormouse_log_entry'))::bigint";

const POINT: &str = "SELECT greatest((SELECT floor FROM {s}.dormouse_meta), \
    (SELECT max(version) FROM {s}.dormouse_record), (SELECT max(last) FROM {s}.dormouse_log))";
