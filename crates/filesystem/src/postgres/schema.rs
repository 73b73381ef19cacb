//! The tables of a store, and the migrations that make them.
//!
//! Every migration is one transaction, made once: openers that come at the same time wait for one another under an
//! advisory lock, and one that is killed leaves what was there before.

use tokio_postgres::Client;

use super::failure::unreachable;
use super::options::PostgresOptions;
use super::sql::BEGIN;
use crate::{OpenError, Version};

/// The newest schema this build knows, and makes.
pub(super) const SCHEMA: i32 = 1;
/// Longest wait for another opener's migration.
const MIGRATION_MAX: &str = "60s";
/// The first half of the advisory lock's number: Dormouse's migrations. The other is the schema's name.
const LOCK: i32 = 0x446f_726d;

/// What makes schema `n + 1` out of schema `n`. `{s}` is the schema's name, `{v}` the first version.
///
/// A removed record keeps its row, without a value, for as long as its number must be known; `removed` says since
/// when. The indexes are partial on a column that an ordinary replace does not touch, so that it stays within its
/// page. A row of version 0 never was a record: it is there to be locked by those who expect nothing.
const MIGRATIONS: [&str; 1] = [r#"
CREATE TABLE "{s}".dormouse_meta (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    schema integer NOT NULL,
    store uuid NOT NULL DEFAULT gen_random_uuid(),
    floor bigint NOT NULL
);
CREATE SEQUENCE "{s}".dormouse_version AS bigint START WITH {v};
CREATE TABLE "{s}".dormouse_record (
    key text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    kind text,
    value bytea,
    crc bigint,
    removed timestamptz,
    CHECK ((value IS NULL) = (removed IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX dormouse_record_live ON "{s}".dormouse_record (key) WHERE removed IS NULL;
CREATE INDEX dormouse_record_removed ON "{s}".dormouse_record (removed) WHERE removed IS NOT NULL;
CREATE TABLE "{s}".dormouse_log (
    stream text COLLATE "C" PRIMARY KEY,
    incarnation bigint NOT NULL,
    first bigint NOT NULL,
    next bigint NOT NULL,
    bytes bigint NOT NULL,
    last bigint NOT NULL,
    predecessor bigint,
    predecessor_next bigint
) WITH (fillfactor = 50);
CREATE TABLE "{s}".dormouse_log_entry (
    stream text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    value bytea NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (stream, position)
);
INSERT INTO "{s}".dormouse_meta (schema, floor) VALUES (0, {v} - 1);
"#];

/// What a store says of itself.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    /// The store's own id, 32 hexadecimal digits.
    pub(super) store: String,
}

/// Makes the store's tables where they are missing or old, and reads what the store says of itself.
///
/// # Errors
/// `TooNew`, untouched; `Foreign` for tables of another kind; `Unavailable`.
pub(super) async fn migrate(
    client: &Client,
    options: &PostgresOptions,
    place: &str,
) -> Result<Meta, OpenError> {
    if found(client, &options.schema, place).await? < SCHEMA {
        upgrade(client, options, place).await?;
    }
    let sql = format!(
        r#"SELECT replace(store::text, '-', '') FROM "{}".dormouse_meta"#,
        options.schema
    );
    let row = client
        .query_one(&sql, &[])
        .await
        .map_err(|error| foreign(error, place))?;
    let store = row.try_get(0).map_err(|error| foreign(error, place))?;
    Ok(Meta { store })
}

/// The schema's number; 0 where there is nothing.
pub(super) async fn found(client: &Client, schema: &str, place: &str) -> Result<i32, OpenError> {
    let table = format!(r#""{schema}".dormouse_meta"#);
    let exists = client
        .query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table])
        .await
        .and_then(|row| row.try_get::<_, bool>(0))
        .map_err(|error| unreachable("its tables were looked for", error))?;
    if !exists {
        return Ok(0);
    }
    let found: i32 = client
        .query_one(&format!("SELECT schema FROM {table}"), &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| foreign(error, place))?;
    if found > SCHEMA {
        return Err(OpenError::TooNew {
            found: u32::try_from(found).unwrap_or(u32::MAX),
            known: SCHEMA.unsigned_abs(),
        });
    }
    Ok(found)
}

/// Whoever is killed here leaves a connection that ends, and with it the transaction and the lock.
async fn upgrade(client: &Client, options: &PostgresOptions, place: &str) -> Result<(), OpenError> {
    let schema = &options.schema;
    let failed = |error| unreachable("its tables were made", error);
    let begin = format!(
        "{BEGIN}; SET LOCAL lock_timeout = '{MIGRATION_MAX}'; \
         SELECT pg_advisory_xact_lock({LOCK}, hashtext('{schema}')); \
         CREATE SCHEMA IF NOT EXISTS \"{schema}\""
    );
    client.batch_execute(&begin).await.map_err(failed)?;
    let first = Version::floor(options.now).max(Version::new(1));
    // Another opener may have been first.
    let from = found(client, schema, place).await?;
    for (number, migration) in (1..).zip(MIGRATIONS) {
        if number > from {
            let sql = migration
                .replace("{s}", schema)
                .replace("{v}", &first.to_string());
            let done = format!(r#"{sql} UPDATE "{schema}".dormouse_meta SET schema = {number};"#);
            client.batch_execute(&done).await.map_err(failed)?;
        }
    }
    client.batch_execute("COMMIT").await.map_err(failed)
}

fn foreign(error: tokio_postgres::Error, place: &str) -> OpenError {
    match error.code() {
        Some(code) if code.code().starts_with("42") => OpenError::Foreign {
            path: place.to_owned(),
            reason: "it has tables of these names that are not a store's".to_owned(),
        },
        _ => unreachable("its tables were read", error),
    }
}
