//! How a store is opened, whichever backend it has: each takes what is for it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::update::DEADLINE;
use crate::{COMMIT_DEADLINE, EXPORT_IDLE, Opener};

/// Bytes.
const MIB: u64 = 1024 * 1024;
/// Bytes.
const GIB: u64 = 1024 * MIB;

/// How a store is opened. What is not for its backend is not looked at, but must be within its bounds.
///
/// In brackets: the backends it is for.
#[derive(Clone)]
pub struct OpenOptions {
    /// The time: versions are above its [floor](crate::Version::floor).
    pub now: Timestamp,
    /// Where jitter comes from: the machine's random number in production, a test's own.
    pub seed: u64,
    /// The program that opens it, for those who find it in use. `dormouse`. (`file, sled`)
    pub program: String,
    /// Bytes of memory for the index, half of it for where records lie that were read or written of late. 1 MiB to 64 GiB.
    /// 64 MiB. (`sled`)
    pub cache_bytes: u64,
    /// Bytes of a segment of the log, 1 MiB to 1 GiB. 64 MiB. (`file, sled`)
    pub segment_bytes: u64,
    /// Bytes of the disk that only deletes and truncations may use, 1 MiB to 1,024 GiB. 64 MiB. (`file, sled`)
    pub reserve_bytes: u64,
    /// How many of a hundred bytes written may be what is live and moves, 1 to 99. 50. (`sled`)
    pub cleaner_share: u8,
    /// How long a commit may take whose caller names no deadline, 100 ms to less than 15 s. 10 s. It goes to the
    /// namespaces by [`opener`](Self::opener). (every backend)
    pub commit_deadline: Duration,
    /// How long an export is held of which nobody takes an item, 1 s to 24 h. 60 s. (every backend)
    pub export_idle: Duration,
    /// Longest wait for a connection, shorter than `commit_deadline`. 3 s. (`postgres`)
    pub checkout: Duration,
    /// Longest wait for a row that another transaction holds, shorter than `commit_deadline`. 2 s. (`postgres`)
    pub lock_timeout: Duration,
    /// Most connections for reads and commits, 1 to 1,000; one more is for hints. 8. (`postgres`)
    pub pool: usize,
    /// Least time between two notifications of other processes, 1 ms to 10 s. 10 ms. (`postgres`)
    pub notify_every: Duration,
    /// How long a removed record's row is kept before its number is remembered only in the floor, 1 min to 365 days.
    /// 24 h. (`postgres`)
    pub tombstones: Duration,
    /// The schema that holds the store, `[a-z_][a-z0-9_]*`, at most 63 bytes. `dormouse`. (`postgres`)
    pub schema: String,
    /// Another way to the same server, for hints: past a pooler, which would keep a connection for them alone. A pooler in
    /// the main way is one of sessions (not of transactions), and resets its connections. (`postgres`)
    pub listen_url: Option<String>,
    /// Certificates in PEM to trust instead of the system's. (`postgres`)
    pub root_certificates: Option<PathBuf>,
    /// A file in the form of `.pgpass`, asked when the url has no password. Ignored when others may read it.
    /// (`postgres`)
    pub passfile: Option<PathBuf>,
}

impl OpenOptions {
    /// The defaults at this time.
    #[must_use]
    pub fn new(now: Timestamp, seed: u64) -> Self {
        Self {
            now,
            seed,
            program: "dormouse".to_owned(),
            cache_bytes: 64 * MIB,
            segment_bytes: 64 * MIB,
            reserve_bytes: 64 * MIB,
            cleaner_share: 50,
            commit_deadline: COMMIT_DEADLINE,
            export_idle: EXPORT_IDLE,
            checkout: Duration::from_secs(3),
            lock_timeout: Duration::from_secs(2),
            pool: 8,
            notify_every: Duration::from_millis(10),
            tombstones: Duration::from_secs(24 * 60 * 60),
            schema: "dormouse".to_owned(),
            listen_url: None,
            root_certificates: None,
            passfile: None,
        }
    }

    /// Who opens the namespaces of the store.
    #[must_use]
    pub fn opener(&self) -> Opener {
        Opener {
            commit_deadline: self.commit_deadline,
            ..Opener::at(self.now, self.seed)
        }
    }

    /// The first option that is out of its bounds, by its name in settings (`cache` for `cache_bytes`), and what is
    /// taken.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let milliseconds = Duration::from_millis;
        let just_below = self.commit_deadline.saturating_sub(milliseconds(1));
        let below_update = DEADLINE - milliseconds(1);
        let (ten, day) = (Duration::from_secs(10), Duration::from_secs(24 * 60 * 60));
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        let pool = u64::try_from(self.pool).unwrap_or(u64::MAX);
        bytes("cache", self.cache_bytes, MIB, 64 * GIB)
            .or_else(|| bytes("segment", self.segment_bytes, MIB, GIB))
            .or_else(|| bytes("reserve", self.reserve_bytes, MIB, 1024 * GIB))
            .or_else(|| number("cleaner_share", self.cleaner_share.into(), 1, 99))
            .or_else(|| {
                time(
                    "commit_deadline",
                    self.commit_deadline,
                    milliseconds(100),
                    below_update,
                )
            })
            .or_else(|| time("export_idle", self.export_idle, second, day))
            .or_else(|| time("checkout", self.checkout, milliseconds(1), just_below))
            .or_else(|| time("lock_timeout", self.lock_timeout, milliseconds(1), just_below))
            .or_else(|| number("pool", pool, 1, 1000))
            .or_else(|| time("notify_every", self.notify_every, milliseconds(1), ten))
            .or_else(|| time("tombstones", self.tombstones, minute, 365 * day))
    }

    #[cfg(feature = "sled")]
    pub(super) fn sled(&self) -> crate::SledOptions {
        crate::SledOptions {
            now: self.now,
            program: self.program.clone(),
            segment_bytes: self.segment_bytes,
            cache_bytes: self.cache_bytes,
            reserve_bytes: self.reserve_bytes,
            cleaner_share: self.cleaner_share,
            export_idle: self.export_idle,
        }
    }

    #[cfg(feature = "local")]
    pub(super) fn local(&self) -> crate::LocalOptions {
        crate::LocalOptions {
            now: self.now,
            program: self.program.clone(),
            segment_bytes: self.segment_bytes,
            reserve_bytes: self.reserve_bytes,
            export_idle: self.export_idle,
        }
    }

    #[cfg(feature = "postgres")]
    pub(super) fn postgres(&self) -> crate::PostgresOptions {
        crate::PostgresOptions {
            schema: self.schema.clone(),
            pool: self.pool,
            checkout: self.checkout,
            lock_timeout: self.lock_timeout,
            notify_every: self.notify_every,
            tombstones: self.tombstones,
            export_idle: self.export_idle,
            listen_url: self.listen_url.clone(),
            passfile: self.passfile.clone(),
            root_certificates: self.root_certificates.clone(),
            ..crate::PostgresOptions::new(self.now, self.seed)
        }
    }
}

fn number(name: &str, is: u64, min: u64, max: u64) -> Option<String> {
    (!(min..=max).contains(&is)).then(|| format!("{name} is {is}; {min} to {max} is taken"))
}

fn bytes(name: &str, is: u64, min: u64, max: u64) -> Option<String> {
    let mib = |bytes: u64| bytes / MIB;
    (!(min..=max).contains(&is))
        .then(|| format!("{name} is {is} bytes; {} to {} MiB is taken", mib(min), mib(max)))
}

fn time(name: &str, is: Duration, min: Duration, max: Duration) -> Option<String> {
    (!(min..=max).contains(&is)).then(|| format!("{name} is {is:?}; {min:?} to {max:?} is taken"))
}

/// Without `listen_url`, which may hold a password.
impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("program", &self.program)
            .field("cache_bytes", &self.cache_bytes)
            .field("segment_bytes", &self.segment_bytes)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("cleaner_share", &self.cleaner_share)
            .field("commit_deadline", &self.commit_deadline)
            .field("export_idle", &self.export_idle)
            .field("checkout", &self.checkout)
            .field("lock_timeout", &self.lock_timeout)
            .field("pool", &self.pool)
            .field("notify_every", &self.notify_every)
            .field("tombstones", &self.tombstones)
            .field("schema", &self.schema)
            .field("listen_url", &self.listen_url.as_ref().map(|_| "***"))
            .field("root_certificates", &self.root_certificates.is_some())
            .field("passfile", &self.passfile.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_that_is_nothing_or_absurd_is_named() {
        type Spoil = fn(&mut OpenOptions);
        let cases: [(&str, Spoil); 21] = [
            ("cache", |o| o.cache_bytes = 0),
            ("cache", |o| o.cache_bytes = u64::MAX),
            ("segment", |o| o.segment_bytes = 0),
            ("segment", |o| o.segment_bytes = 2 * GIB),
            ("reserve", |o| o.reserve_bytes = 0),
            ("reserve", |o| o.reserve_bytes = u64::MAX),
            ("cleaner_share", |o| o.cleaner_share = 0),
            ("cleaner_share", |o| o.cleaner_share = 100),
            ("commit_deadline", |o| o.commit_deadline = Duration::ZERO),
            ("commit_deadline", |o| o.commit_deadline = DEADLINE),
            ("export_idle", |o| o.export_idle = Duration::ZERO),
            ("export_idle", |o| o.export_idle = Duration::MAX),
            ("checkout", |o| o.checkout = Duration::ZERO),
            ("checkout", |o| o.checkout = COMMIT_DEADLINE),
            ("lock_timeout", |o| o.lock_timeout = Duration::ZERO),
            ("lock_timeout", |o| o.lock_timeout = COMMIT_DEADLINE),
            ("pool", |o| o.pool = 0),
            ("pool", |o| o.pool = usize::MAX),
            ("notify_every", |o| o.notify_every = Duration::ZERO),
            ("tombstones", |o| o.tombstones = Duration::ZERO),
            ("tombstones", |o| o.tombstones = Duration::MAX),
        ];
        let sound = || OpenOptions::new(Timestamp::UNIX_EPOCH, 1);
        assert_eq!(sound().fault(), None);
        for (name, spoil) in cases {
            let mut options = sound();
            spoil(&mut options);
            let fault = options.fault().expect(name);
            assert!(fault.starts_with(&format!("{name} is ")), "{fault}");
        }
    }
}
