//! The PostgreSQL store: for several machines. One schema of a database is one store.
//!
//! A commit goes to the process's queue. As soon as a connection is free, all that can share a transaction goes in
//! one: alone in one exchange with the server, or up to 64 in two. Commits of this process that would wait for one
//! another's rows wait in the queue instead; those of other processes are kept apart by the server's row locks.
//! Hints follow commits on a connection of their own.

mod address;
mod arrays;
mod begin;
mod claims;
mod committer;
mod export;
mod facts;
mod failure;
mod fate;
mod hints;
mod inspect;
mod open;
mod options;
mod passfile;
mod prune;
mod queue;
mod read;
mod schema;
mod session;
mod shared;
mod single;
mod sql;
mod step;
mod store;
mod tls;
mod traces;
mod transaction;
mod truncate;

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::options::PostgresOptions;
use self::shared::Shared;
use crate::OpenError;

/// Why a store that was shut down takes no write.
const SHUT_DOWN: &str = "it was shut down";

/// A store in a schema of a PostgreSQL database, for any number of processes on any number of machines at once.
///
/// What it acknowledges survives the loss of power: a server that could take it back is refused at opening. Dropped
/// without [`close`](crate::RecordStore::close) it ends as if the process had died: what is under way is done or not,
/// and nobody is told.
///
/// ```no_run
/// use dormouse_filesystem::{Postgres, PostgresOptions};
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// # let (now, seed) = (jiff::Timestamp::UNIX_EPOCH, 0);
/// let store = Postgres::open("postgres://dormouse@localhost/agents", PostgresOptions::new(now, seed)).await?;
/// # Ok(())
/// # }
/// ```
pub struct Postgres {
    shared: Arc<Shared>,
    has_ended: watch::Receiver<bool>,
    tasks: JoinHandle<()>,
}

impl Postgres {
    /// Opens the store of a schema, making schema and tables if there is nothing.
    ///
    /// The url is `postgres://user:password@host:port/database`, with the parameters of libpq. The way to another
    /// machine is encrypted and verified (`sslmode=verify-full`); less is spelled out, and plain text refused.
    ///
    /// # Errors
    /// `Refused` for a url, a server or a way to it that cannot be used, with the reason; `TooNew`, `Foreign` for what
    /// the schema holds; in each of these nothing was changed. `Unavailable` when the server does not answer.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, OpenError> {
        open::open(url, options).await
    }

    /// Looks at a server and the schema of a store on it. Changes nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open) would say, as far as it can be told without making or migrating anything.
    pub async fn inspect(url: &str, options: PostgresOptions) -> Result<crate::Inspection, OpenError> {
        inspect::inspect(url, options).await
    }
}

/// What is under way is cut off.
impl Drop for Postgres {
    fn drop(&mut self) {
        self.tasks.abort();
        self.shared.queue.close(SHUT_DOWN);
        self.shared.watches.close();
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Postgres({}, {:?})", self.shared.place, self.shared.state())
    }
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shared.place)
    }
}
