//! Namespaces: the capability to a part of a store. They only narrow, so another tenant's record cannot be named.

mod batch;
mod log;
mod opener;
mod requirements;
mod resolve;
mod scope;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

pub use self::batch::ScopedBatch;
pub use self::log::Log;
pub use self::opener::Opener;
pub use self::requirements::Requirements;
pub use self::resolve::Resolved;
pub use self::scope::{Agent, Scope, System, Tenant};
use crate::handshake::handshake;
use crate::portable::refuse_unfinished;
use crate::{
    CommitError, Committed, Deadline, Lane, OpenError, Prefix, ReadError, RecordStore, Segment, Store,
    Stream, Watch,
};

/// How long a commit may take when neither its caller nor the [`Opener`] names a deadline.
pub const COMMIT_DEADLINE: Duration = Duration::from_secs(10);

/// Longest name of a [log](Namespace::log) in its namespace, in bytes, separators included: below the longest names
/// of a tenant and an agent it still fits a key.
pub const LOG_NAME_MAX: usize = 240;

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
    store: Store,
    root: Prefix,
    lane: Lane,
    commit_deadline: Duration,
    scope: PhantomData<fn() -> S>,
}

impl<S: Scope> Clone for Namespace<S> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            root: self.root.clone(),
            lane: self.lane.clone(),
            commit_deadline: self.commit_deadline,
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
    /// under keys that are the opener's own. It leaves nothing behind, and removes what openers left that were killed
    /// in theirs more than [an hour](Opener::REST_MAX) ago.
    ///
    /// # Errors
    /// `Lacks` names the capability; `Importing` that an import was not ended; `Broken` the promise that did not hold; `Unavailable` when there is no answer.
    pub async fn open(
        store: Arc<dyn RecordStore>,
        need: &Requirements,
        opener: Opener,
    ) -> Result<Self, OpenError> {
        let root = fixed(&["s"]);
        // Tenants may be mounted elsewhere than the system.
        for place in [&root, &fixed(&["t"])] {
            requirements::compare(need, &store.capabilities(place))?;
        }
        refuse_unfinished(&*store).await?;
        handshake(&*store, &root, opener).await?;
        Ok(Self {
            store: Store::new(store, opener.seed),
            root,
            lane: Lane::System,
            commit_deadline: opener.commit_deadline,
            scope: PhantomData,
        })
    }

    /// The namespace of one tenant, whether or not it has records yet.
    #[must_use]
    pub fn tenant(&self, id: &Segment) -> Namespace<Tenant> {
        let root = fixed(&["t"]).child(id).expect("two segments are never too deep");
        Namespace {
            store: self.store.clone(),
            root,
            lane: Lane::Tenant(id.clone()),
            commit_deadline: self.commit_deadline,
            scope: PhantomData,
        }
    }

    /// The store underneath, with its combiner: for health and closing, never for records.
    #[must_use]
    pub fn store(&self) -> &Store {
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
            store: self.store.clone(),
            root,
            lane: self.lane.clone(),
            commit_deadline: self.commit_deadline,
            scope: PhantomData,
        }
    }
}

impl<S: Scope> Namespace<S> {
    /// An empty batch for this namespace.
    #[must_use]
    pub fn batch(&self) -> ScopedBatch<S> {
        ScopedBatch::new(self.lane.clone(), self.root.clone())
    }

    /// Commits within the deadline of its [`Opener`].
    ///
    /// # Errors
    /// As [`RecordStore::commit`]; `Invalid` when the batch was made for another namespace.
    pub async fn commit(&self, batch: ScopedBatch<S>) -> Result<Committed, CommitError> {
        self.commit_by(batch, Deadline::after(self.commit_deadline)).await
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
        self.store.commit(batch.into_batch(&self.root)?, deadline).await
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
        Log::new(Arc::clone(self.store.underneath()), Stream::new(key))
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

    /// The same place, read through a store that stands over the one underneath.
    pub(crate) fn over(&self, store: Arc<dyn RecordStore>) -> Self {
        Self {
            store: self.store.over(store),
            ..self.clone()
        }
    }

    /// The lane its commits go in.
    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Whose it is: nobody's for the system, the tenant's, or the tenant's and the agent's.
    pub(crate) fn owner(&self) -> Vec<Segment> {
        // The root is `s`, `t/<tenant>` or `t/<tenant>/a/<agent>`.
        let names = self.root.segments().skip(1).step_by(2);
        names
            .map(|name| Segment::parse(name).expect("a root is made of segments"))
            .collect()
    }

    /// The names of [`owner`](Self::owner), joined.
    pub(crate) fn owner_name(&self) -> Option<String> {
        let names: Vec<String> = self.owner().iter().map(Segment::to_string).collect();
        (!names.is_empty()).then(|| names.join("/"))
    }

    pub(crate) fn at(&self, segments: &[&str]) -> Prefix {
        self.root
            .under(segments)
            .expect("names fixed in this crate are legal, and a root and they never too deep")
    }

    pub(crate) fn backend(&self) -> &dyn RecordStore {
        &*self.store
    }

    /// Until when a commit of its own may take that begins now.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.commit_deadline)
    }

    pub(crate) fn combiner(&self) -> &Store {
        &self.store
    }
}

/// A prefix of names fixed in this crate.
pub(crate) fn fixed(segments: &[&str]) -> Prefix {
    Prefix::root()
        .under(segments)
        .expect("names fixed in this crate are legal")
}
