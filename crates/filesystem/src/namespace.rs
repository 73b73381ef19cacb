//! Namespaces: the capability to a part of a store. They only narrow, so another tenant's record cannot be named.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::handshake::handshake;
use crate::{
    Batch, Capabilities, CommitError, Committed, Deadline, Key, Lane, LogError, LogHead, Logged, OpenError,
    Position, Prefix, ReadError, RecordStore, Segment, Stream, Watch, capability,
};

/// How long a commit may take when its caller names no deadline.
pub const COMMIT_DEADLINE: Duration = Duration::from_secs(10);

/// Longest name of a [log](Namespace::log) in its namespace, in bytes, separators included: below the longest names
/// of a tenant and an agent it still fits a key.
pub const LOG_NAME_MAX: usize = 240;

mod sealed {
    pub trait Sealed {}
}

/// Whose records a namespace holds. Three types, and no more can be made.
pub trait Scope: sealed::Sealed + fmt::Debug + Send + Sync + 'static {
    /// The scope's name in errors.
    const NAME: &'static str;
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl Scope for $name { const NAME: &'static str = $text; }
    )*};
}
scopes! {
    /// What belongs to the installation: what must be found without listing tenants.
    System = "system",
    /// What belongs to one tenant.
    Tenant = "tenant",
    /// What belongs to one agent of one tenant.
    Agent = "agent",
}

/// What is needed of a store before a record is entrusted to it.
pub type Requirements = Capabilities;

impl Requirements {
    /// What the program needs on one machine.
    ///
    /// Durability is [`PowerLoss`](capability::Durability::PowerLoss): an acknowledged commit survives the loss of
    /// power. Tests in memory lower it with struct update.
    #[must_use]
    pub fn embedded() -> Self {
        Self {
            atomicity: capability::Atomicity::Batch,
            reach: capability::Reach::Process,
            durability: capability::Durability::PowerLoss,
            listing: capability::Listing::Ordered,
            logs: capability::Logs::CommitOrdered,
            export: capability::Export::None,
            watch: capability::Watch::Local,
        }
    }

    /// As [`embedded`](Self::embedded), but nothing has to survive: for tests over the memory backend.
    #[must_use]
    pub fn volatile() -> Self {
        Self {
            durability: capability::Durability::Volatile,
            ..Self::embedded()
        }
    }
}

/// The capability to the records and logs below one root.
///
/// [`Namespace::open`] alone makes one, so no unproved store ever reaches a record. Cloning is cheap.
///
/// ```compile_fail
/// # use dormouse_filesystem::{Agent, Namespace, System};
/// fn widened(agent: Namespace<Agent>) -> Namespace<System> {
///     agent // a namespace only narrows
/// }
/// ```
pub struct Namespace<S: Scope> {
    store: Arc<dyn RecordStore>,
    root: Prefix,
    lane: Lane,
    scope: PhantomData<fn() -> S>,
}

impl<S: Scope> Clone for Namespace<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            root: self.root.clone(),
            lane: self.lane.clone(),
            scope: PhantomData,
        }
    }
}

impl<S: Scope> fmt::Debug for Namespace<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace<{}>({})", S::NAME, self.root)
    }
}

impl Namespace<System> {
    /// Compares what is needed with what is promised, then proves the promise by a real compare-and-swap handshake
    /// under keys made from `seed`, which must be unique to the opener. It leaves nothing behind.
    ///
    /// # Errors
    /// `Lacks` names the capability; `Broken` the promise that did not hold; `Unavailable` when there is no answer.
    pub async fn open(
        store: Arc<dyn RecordStore>,
        need: &Requirements,
        seed: u64,
    ) -> Result<Self, OpenError> {
        let root = fixed(&["s"]);
        // Tenants may be mounted elsewhere than the system.
        for place in [&root, &fixed(&["t"])] {
            compare(need, &store.capabilities(place))?;
        }
        handshake(&*store, &root, seed).await?;
        Ok(Self {
            store,
            root,
            lane: Lane::System,
            scope: PhantomData,
        })
    }

    /// The namespace of one tenant, whether or not it has records yet.
    #[must_use]
    pub fn tenant(&self, id: &Segment) -> Namespace<Tenant> {
        let root = fixed(&["t"]).child(id).expect("two segments are never too deep");
        Namespace {
            store: Arc::clone(&self.store),
            root,
            lane: Lane::Tenant(id.clone()),
            scope: PhantomData,
        }
    }

    /// The store underneath: for health and closing, never for records.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn RecordStore> {
        &self.store
    }
}

impl Namespace<Tenant> {
    /// The namespace of one agent.
    #[must_use]
    pub fn agent(&self, id: &Segment) -> Namespace<Agent> {
        let root = self
            .at(&["a"])
            .child(id)
            .expect("four segments are never too deep");
        Namespace {
            store: Arc::clone(&self.store),
            root,
            lane: self.lane.clone(),
            scope: PhantomData,
        }
    }
}

impl<S: Scope> Namespace<S> {
    /// An empty batch for this namespace.
    #[must_use]
    pub fn batch(&self) -> ScopedBatch<S> {
        ScopedBatch {
            batch: Batch::new(self.lane.clone()),
            root: self.root.clone(),
            is_foreign: false,
            scope: PhantomData,
        }
    }

    /// Commits within [`COMMIT_DEADLINE`].
    ///
    /// # Errors
    /// As [`RecordStore::commit`]; `Invalid` when the batch was made for another namespace.
    pub async fn commit(&self, batch: ScopedBatch<S>) -> Result<Committed, CommitError> {
        self.commit_by(batch, Deadline::after(COMMIT_DEADLINE)).await
    }

    /// Commits before a deadline.
    ///
    /// # Errors
    /// As [`RecordStore::commit`]; `Invalid` when the batch was made for another namespace.
    pub async fn commit_by(
        &self,
        batch: ScopedBatch<S>,
        deadline: Deadline,
    ) -> Result<Committed, CommitError> {
        if batch.is_foreign || batch.root != self.root {
            return Err(CommitError::Invalid {
                reason: "the batch names another namespace",
            });
        }
        self.store.commit(batch.batch, deadline).await
    }

    /// A log of this namespace, whether or not it has entries yet.
    ///
    /// # Panics
    /// When the name has more than 8 segments, or more than [`LOG_NAME_MAX`] bytes printed.
    #[must_use]
    pub fn log(&self, name: &[Segment]) -> Log {
        assert!(name.len() <= 8, "a log's name has at most 8 segments");
        let bytes: usize = name.iter().map(|segment| segment.as_str().len() + 1).sum();
        assert!(
            bytes <= LOG_NAME_MAX + 1,
            "a log's name has at most {LOG_NAME_MAX} bytes"
        );
        let key = self
            .at(&["l"])
            .key(name)
            .expect("the longest root, `l` and such a name fit a key");
        Log {
            store: Arc::clone(&self.store),
            stream: Stream::new(key),
        }
    }

    /// Hints that something of this namespace changed, records and logs alike.
    ///
    /// # Errors
    /// As [`RecordStore::watch`].
    pub async fn watch(&self) -> Result<Watch, ReadError> {
        self.store.watch(&self.root).await
    }

    /// The place this namespace is rooted at.
    #[must_use]
    pub fn root(&self) -> &Prefix {
        &self.root
    }

    /// The innermost name: the tenant or agent; none for the system.
    pub(crate) fn name(&self) -> Option<&str> {
        self.root.segments().skip(1).last()
    }

    pub(crate) fn at(&self, segments: &[&str]) -> Prefix {
        segments.iter().fold(self.root.clone(), |prefix, segment| {
            let segment = Segment::parse(segment).expect("names fixed in this crate are legal");
            prefix
                .child(&segment)
                .expect("a root and fixed names are never too deep")
        })
    }

    pub(crate) fn backend(&self) -> &dyn RecordStore {
        &*self.store
    }
}

/// A prefix of names fixed in this crate.
pub(crate) fn fixed(segments: &[&str]) -> Prefix {
    Prefix::parse(&segments.join("/")).expect("names fixed in this crate are legal")
}

/// What one commit does to one namespace. Records add to it through [`Records`](crate::Records).
pub struct ScopedBatch<S: Scope> {
    batch: Batch,
    root: Prefix,
    is_foreign: bool,
    scope: PhantomData<fn() -> S>,
}

impl<S: Scope> fmt::Debug for ScopedBatch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ScopedBatch<{}>({}, {} operations)",
            S::NAME,
            self.root,
            self.batch.operations()
        )
    }
}

impl<S: Scope> ScopedBatch<S> {
    /// Adds an entry to a log of this namespace. A foreign log makes the whole batch `Invalid`.
    pub fn append(&mut self, log: &Log, entry: impl Into<Bytes>) -> &mut Self {
        self.is_foreign |= !self.root.holds(log.stream.key());
        self.batch.append(log.stream.clone(), entry);
        self
    }

    /// How many operations it has so far.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.batch.operations()
    }

    /// Whether it would change anything.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.batch.writes()
    }

    /// The raw batch, for records of the namespace at this root only.
    pub(crate) fn of(&mut self, root: &Prefix) -> &mut Batch {
        self.is_foreign |= self.root != *root;
        &mut self.batch
    }

    /// As [`of`](Self::of), for a record that was read: one of another namespace makes the whole batch `Invalid`.
    pub(crate) fn of_read(&mut self, root: &Prefix, read: &Key) -> &mut Batch {
        self.is_foreign |= !root.holds(read);
        self.of(root)
    }
}

/// A log of a namespace.
#[derive(Clone)]
pub struct Log {
    store: Arc<dyn RecordStore>,
    stream: Stream,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", self.stream)
    }
}

impl Log {
    /// Entries strictly after a position, as [`RecordStore::tail`].
    ///
    /// # Errors
    /// `ReplayGap` when the position is not kept or not written.
    pub async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.store.tail(&self.stream, after, limit).await
    }

    /// Where the log begins and ends.
    ///
    /// # Errors
    /// As any read.
    pub async fn head(&self) -> Result<LogHead, LogError> {
        self.store.head(&self.stream).await
    }

    /// Drops the entries before a position, as [`RecordStore::truncate`].
    ///
    /// # Errors
    /// As any commit.
    pub async fn truncate(&self, before: Position) -> Result<Position, LogError> {
        self.store.truncate(&self.stream, before).await
    }

    /// Hints that the log has grown, among its neighbours under one name.
    ///
    /// # Errors
    /// As [`RecordStore::watch`].
    pub async fn watch(&self) -> Result<Watch, ReadError> {
        let segments: Vec<&str> = self.stream.key().segments().collect();
        let above = segments
            .split_last()
            .map_or_else(Prefix::root, |(_, above)| fixed(above));
        self.store.watch(&above).await
    }

    /// The log's full name.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }
}

fn compare(need: &Requirements, has: &Capabilities) -> Result<(), OpenError> {
    fn one<C: Copy + Ord + fmt::Debug>(capability: &'static str, need: C, has: C) -> Result<(), OpenError> {
        if has >= need {
            return Ok(());
        }
        Err(OpenError::Lacks {
            capability,
            has: format!("{has:?}"),
            needs: format!("{need:?}"),
        })
    }
    one("atomicity", need.atomicity, has.atomicity)?;
    one("reach", need.reach, has.reach)?;
    one("durability", need.durability, has.durability)?;
    one("listing", need.listing, has.listing)?;
    one("logs", need.logs, has.logs)?;
    one("export", need.export, has.export)?;
    one("watch", need.watch, has.watch)
}
