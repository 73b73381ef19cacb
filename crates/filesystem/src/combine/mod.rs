//! The combiner: updates of one hot key queue up inside the process, and go as one commit.
//!
//! Fighting for a key makes almost only conflicts. So the first update of a key goes at once; while its commit is
//! in flight the others queue, in order, and then up to [`COMBINE_MAX`] of them are applied one after another to the
//! entry in memory and committed together. No delay is added. Distinct keys never wait for one another.

mod member;
mod queues;
mod round;
mod share;
mod task;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use self::member::{Reply, member};
pub use self::queues::{COMBINE_MAX, COMBINE_QUEUE_MAX, COMBINE_WAITING_MAX};
use self::queues::{Entered, Queues};
use crate::records::{Guarded, Known, Turns};
use crate::update::{DEADLINE, Update, check_supported};
use crate::{Change, CloseError, Deadline, Entry, Key, Lane, RecordStore, Retry, UpdateError, Updated};

/// A store with its combiner: what namespaces hold. Cloning is cheap, and clones share the queues.
///
/// It is the store underneath for everything but [`update`](Store::update) and [`close`](Store::close).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::{convert::Infallible, sync::Arc};
/// use dormouse_filesystem::{Change, Entry, Key, Lane, Memory, RecordKind, Store};
///
/// let store = Store::new(Arc::new(Memory::new(jiff::Timestamp::UNIX_EPOCH)), 1);
/// let visits = Key::parse("counters/visits")?;
/// let add = |entry: Option<&Entry>| {
///     let count = entry.map_or(0, |entry| entry.value[0]) + 1;
///     Ok::<_, Infallible>((Change::put(RecordKind::of("counter"), vec![count]), count))
/// };
/// let (one, two) = tokio::join!(
///     store.update(&visits, &Lane::System, add),
///     store.update(&visits, &Lane::System, add),
/// );
/// assert_eq!((one?.outcome, two?.outcome), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// What is read through, where that is not the store underneath alone.
    over: Option<Arc<dyn RecordStore>>,
}

struct Inner {
    store: Arc<dyn RecordStore>,
    queues: Queues,
    retry: Retry,
    tasks: TaskTracker,
    known: Arc<Known>,
    turns: Turns,
}

impl Store {
    /// A combiner over a store. The seed is for the jitter between attempts: the machine's, or a test's.
    #[must_use]
    pub fn new(store: Arc<dyn RecordStore>, seed: u64) -> Self {
        let known = Arc::new(Known::default());
        let store: Arc<dyn RecordStore> = Arc::new(Guarded::new(store, Arc::clone(&known)));
        Self {
            inner: Arc::new(Inner {
                store,
                known,
                turns: Turns::default(),
                queues: Queues::default(),
                retry: Retry::seeded(seed),
                tasks: TaskTracker::new(),
            }),
            over: None,
        }
    }

    /// The same, where all but combined updates goes through `store`, which stands over the one underneath.
    pub(crate) fn over(&self, store: Arc<dyn RecordStore>) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            over: Some(store),
        }
    }

    /// The store underneath, to share: its plain commits and the combiner's meet as those of two processes would.
    #[must_use]
    pub fn underneath(&self) -> &Arc<dyn RecordStore> {
        &self.inner.store
    }

    /// What is known of the catalogue.
    pub(crate) fn known(&self) -> &Known {
        &self.inner.known
    }

    /// Who may replace a collection: one at a time, in the order in which they asked.
    pub(crate) fn turns(&self) -> &Turns {
        &self.inner.turns
    }

    /// How long to wait after an attempt.
    pub(crate) fn delay(&self, attempt: u32) -> std::time::Duration {
        self.inner.retry.delay(attempt)
    }

    /// Changes one record by a function of what it is, as [`cas_update`](crate::cas_update), together with the others
    /// that are waiting to change it.
    ///
    /// The function sees the record as those before it leave it, under the version it was read at. All of a group
    /// are told the same version and what is stored at it, each its own outcome. One that refuses or panics is left
    /// out, and those behind it see the record without its change; a panic is resumed in its caller. Dropped before
    /// it is on its way, it is not applied.
    ///
    /// # Errors
    /// [`UpdateError`]; `QueueFull` over [`COMBINE_QUEUE_MAX`] or [`COMBINE_WAITING_MAX`].
    ///
    /// # Panics
    /// As the function does.
    pub async fn update<E, T, F>(&self, key: &Key, lane: &Lane, f: F) -> Result<Updated<T>, UpdateError<E>>
    where
        E: Send + 'static,
        T: Send + 'static,
        F: FnMut(Option<&Entry>) -> Result<(Change, T), E> + Send + 'static,
    {
        check_supported(&self.inner.store.capabilities(&key.parent()), None)?;
        let deadline = Instant::now() + DEADLINE;
        let (waiting, ticket) = member(f, deadline);
        match self.inner.queues.enter(key, Box::new(waiting)) {
            Entered::First => self.begin(key, lane),
            Entered::Behind => {}
            Entered::Full => return Err(UpdateError::QueueFull),
        }
        match ticket.reply().await {
            Reply::Answer(answer) => answer,
            Reply::Panic(panic) => std::panic::resume_unwind(panic),
            Reply::Alone(f) => self.alone(key, lane, deadline, f).await,
        }
    }

    /// Begins a queue's task. It ends with its queue, and is joined at close.
    fn begin(&self, key: &Key, lane: &Lane) {
        let inner = Arc::clone(&self.inner);
        self.inner
            .tasks
            .spawn(task::serve(inner, key.clone(), lane.clone()));
    }

    async fn alone<E, T, F>(
        &self,
        key: &Key,
        lane: &Lane,
        deadline: Instant,
        f: F,
    ) -> Result<Updated<T>, UpdateError<E>>
    where
        F: FnMut(Option<&Entry>) -> Result<(Change, T), E> + Send,
    {
        let update = Update {
            store: &*self.inner.store,
            key,
            retry: &self.inner.retry,
            lane,
            deadline,
        };
        update.run(f).await
    }

    /// Waits for the updates on their way, then closes the store underneath.
    ///
    /// # Errors
    /// As [`RecordStore::close`].
    pub async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
        self.inner.tasks.close();
        // Updates that take longer are answered by the closed store.
        let _ = timeout_at(deadline.instant(), self.inner.tasks.wait()).await;
        self.inner.store.close(deadline).await
    }
}

impl Deref for Store {
    type Target = dyn RecordStore;

    fn deref(&self) -> &Self::Target {
        &**self.over.as_ref().unwrap_or(&self.inner.store)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Store({}, {} keys being updated)",
            self.inner.store,
            self.inner.queues.len()
        )
    }
}
