//! How a store on a server is opened.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::EXPORT_IDLE;

/// How a store on a PostgreSQL server is opened.
#[derive(Clone)]
pub struct PostgresOptions {
    /// The time: a new store's versions begin at its [floor](crate::Version::floor).
    pub now: Timestamp,
    /// Where the jitter between retries comes from: fixed in tests, the machine's in production.
    pub seed: u64,
    /// The schema that holds the store, `[a-z_][a-z0-9_]*`, at most 63 bytes. One schema is one store. `dormouse`.
    pub schema: String,
    /// Most connections for reads and commits; one more is for hints. 8.
    pub pool: usize,
    /// Longest wait for one of them. 3 s, shorter than any commit's deadline.
    pub checkout: Duration,
    /// Longest wait for a row that another transaction holds. 2 s.
    pub lock_timeout: Duration,
    /// Least time between two notifications of other processes. 10 ms.
    pub notify_every: Duration,
    /// How long a removed record's row is kept before its number is remembered only in the floor. 24 h.
    pub tombstones: Duration,
    /// How long an export is held of which nobody takes an item. [`EXPORT_IDLE`], 60 s.
    pub export_idle: Duration,
    /// Another way to the same server, for hints: past a pooler, which would keep a connection for them alone. A pooler in
    /// the main way is one of sessions (not of transactions), and resets its connections.
    pub listen_url: Option<String>,
    /// A file in the form of `.pgpass`, asked when the url has no password. Ignored when others may read it.
    pub passfile: Option<PathBuf>,
    /// Certificates in PEM to trust instead of the system's.
    pub root_certificates: Option<PathBuf>,
}

impl PostgresOptions {
    /// The defaults at this time.
    #[must_use]
    pub fn new(now: Timestamp, seed: u64) -> Self {
        Self {
            now,
            seed,
            schema: "dormouse".to_owned(),
            pool: 8,
            checkout: Duration::from_secs(3),
            lock_timeout: Duration::from_secs(2),
            notify_every: Duration::from_millis(10),
            tombstones: Duration::from_secs(24 * 60 * 60),
            export_idle: EXPORT_IDLE,
            listen_url: None,
            passfile: None,
            root_certificates: None,
        }
    }

    /// What is out of bounds, if anything is.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if !is_schema(&self.schema) {
            Some("a schema is [a-z_][a-z0-9_]*, at most 63 bytes")
        } else if self.pool == 0 {
            Some("the pool has no connection")
        } else if self.checkout.is_zero() || self.lock_timeout.as_millis() == 0 {
            Some("checkout and lock_timeout are longer than nothing")
        } else if self.export_idle.is_zero() {
            Some("export_idle is longer than nothing")
        } else {
            None
        }
    }
}

fn is_schema(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    name.len() <= 63
        && name.bytes().next().is_some_and(is_first)
        && name.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}

/// Without `listen_url`, which may hold a password.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("schema", &self.schema)
            .field("pool", &self.pool)
            .field("checkout", &self.checkout)
            .field("lock_timeout", &self.lock_timeout)
            .field("notify_every", &self.notify_every)
            .field("tombstones", &self.tombstones)
            .field("export_idle", &self.export_idle)
            .field("listen_url", &self.listen_url.as_ref().map(|_| "***"))
            .field("passfile", &self.passfile.is_some())
            .field("root_certificates", &self.root_certificates.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_plain_name() {
        for good in ["dormouse", "_a9"] {
            assert!(is_schema(good), "{good}");
        }
        for bad in ["", "9a", "A", "a\"b", "a b", "a;", &"a".repeat(64)] {
            assert!(!is_schema(bad), "{bad}");
        }
    }
}
