//! Faults, from a script or a seed, as a store behind a network has them. What comes of them is always a legal answer.

mod plan;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, future, stream};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub use self::plan::FaultKind;
use self::plan::{Plan, meet};
use super::Operation;
use crate::{
    Batch, BusyCause, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported, Failed,
    GET_MANY_MAX, Health, Item, Key, Listed, LogError, LogHead, Logged, Page, Position, Prefix, ReadError,
    RecordStore, Stream, Watch, Watches,
};

/// What lost answers and missing ones say they come from.
const SOURCE: &str = "an injected fault";

/// A store to which things happen.
///
/// From a script: [`next`](Self::next) and [`always`](Self::always). From a seed: every operation is met with some
/// chance by something that applies to it and ends (so by no [`Hang`](FaultKind::Hang)); the same operations in the
/// same order meet the same faults. A torn write is not among them: a store has none to show; the files below it do.
///
/// ```
/// # futures::executor::block_on(async {
/// use dormouse_filesystem::wrapper::{Fault, FaultKind, Operation};
/// use dormouse_filesystem::{Key, Memory, ReadError, RecordStore};
///
/// let store = Fault::scripted(Memory::new(jiff::Timestamp::UNIX_EPOCH));
/// store.next(Operation::Get, FaultKind::Refuse);
/// let key = Key::parse("a").unwrap();
/// assert!(matches!(store.get(&key).await, Err(ReadError::Unavailable { .. })));
/// assert!(store.get(&key).await.is_ok(), "the next call works");
/// # });
/// ```
pub struct Fault<S> {
    inner: S,
    /// Shared with the exports under way, which outlive the call that began them.
    plan: Arc<Mutex<Plan>>,
    /// Those that lose their hints.
    deaf: Watches,
}

impl<S: RecordStore> Fault<S> {
    /// Nothing happens but what is scripted.
    pub fn scripted(inner: S) -> Self {
        Self::planned(inner, Plan::default())
    }

    /// Something happens to so many operations of a thousand.
    pub fn seeded(inner: S, seed: u64, per_mille: u32) -> Self {
        let seeded = Some((StdRng::seed_from_u64(seed), per_mille));
        Self::planned(
            inner,
            Plan {
                seeded,
                ..Plan::default()
            },
        )
    }

    fn planned(inner: S, plan: Plan) -> Self {
        Self {
            inner,
            plan: Arc::new(Mutex::new(plan)),
            deaf: Watches::default(),
        }
    }

    /// What happens to the next operation of this kind that has nothing scripted yet.
    ///
    /// # Panics
    /// When it cannot happen to it.
    pub fn next(&self, operation: Operation, fault: FaultKind) {
        assert!(
            fault.applies_to(operation),
            "{fault:?} does not happen to {operation:?}"
        );
        self.plan().next[operation as usize].push_back(fault);
    }

    /// What happens to every operation of this kind that has nothing scripted; none: no more.
    ///
    /// # Panics
    /// When it cannot happen to it.
    pub fn always(&self, operation: Operation, fault: Option<FaultKind>) {
        assert!(
            fault.is_none_or(|fault| fault.applies_to(operation)),
            "{fault:?} does not happen to it"
        );
        self.plan().always[operation as usize] = fault;
    }

    /// Nothing that was scripted and did not happen yet will.
    ///
    /// What [`always`](Self::always) happens goes on.
    pub fn forget(&self) {
        self.plan()
            .next
            .iter_mut()
            .for_each(std::collections::VecDeque::clear);
    }

    /// How often something happened.
    pub fn met(&self) -> u64 {
        self.plan().met
    }

    /// The store inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Held for one look at the plan.
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to this operation, once its delay is over and unless it hangs.
    async fn meet(&self, operation: Operation) -> Option<FaultKind> {
        meet(&self.plan, operation).await
    }

    /// For an operation that is refused or damaged, or nothing.
    async fn meet_read(&self, operation: Operation) -> Result<Option<FaultKind>, ReadError> {
        match self.meet(operation).await {
            Some(FaultKind::Refuse) => Err(ReadError::Unavailable {
                reason: SOURCE,
                source: None,
            }),
            other => Ok(other),
        }
    }

    /// The versions that are there, for every key of the batch.
    async fn conflict(&self, batch: &Batch) -> CommitError {
        let keys: Vec<Key> = batch.keys().map(|(key, _)| key.clone()).collect();
        let mut failed = Vec::with_capacity(keys.len());
        for some in keys.chunks(GET_MANY_MAX) {
            let Ok(entries) = self.inner.get_many(some).await else {
                return busy();
            };
            let found = some.iter().zip(entries);
            failed.extend(found.map(|(key, entry)| Failed {
                key: key.clone(),
                actual: entry.map(|entry| entry.version),
            }));
        }
        if failed.is_empty() {
            busy()
        } else {
            CommitError::Conflict { failed }
        }
    }
}

/// What an export comes to after its fault, if it met one.
fn exported(
    fault: Option<FaultKind>,
    items: BoxStream<'static, Result<Exported, ReadError>>,
) -> BoxStream<'static, Result<Exported, ReadError>> {
    match fault {
        Some(FaultKind::Refuse) => crate::export::refused(ReadError::Unavailable {
            reason: SOURCE,
            source: None,
        }),
        Some(FaultKind::Damage) => damaged(items),
        _ => items,
    }
}

/// Its first record cannot be read, so it has no end.
fn damaged(
    items: BoxStream<'static, Result<Exported, ReadError>>,
) -> BoxStream<'static, Result<Exported, ReadError>> {
    let mut is_damaged = false;
    let damage = move |item| {
        let item = match item {
            Ok(Exported::Record(entry)) if !is_damaged => {
                is_damaged = true;
                Some(Err(ReadError::Corrupt { key: entry.key }))
            }
            Ok(Exported::End(_)) if is_damaged => None,
            other => Some(other),
        };
        future::ready(item)
    };
    items.filter_map(damage).boxed()
}

fn busy() -> CommitError {
    CommitError::Busy {
        cause: BusyCause::Contention,
    }
}

fn lost() -> CommitError {
    CommitError::Indeterminate {
        source: Some(SOURCE.into()),
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RecordStore> RecordStore for Fault<S> {
    fn capabilities(&self, at: &Prefix) -> Capabilities {
        self.inner.capabilities(at)
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        match self.meet_read(Operation::Get).await? {
            Some(FaultKind::Damage) => Err(ReadError::Corrupt { key: key.clone() }),
            _ => self.inner.get(key).await,
        }
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        match (self.meet_read(Operation::GetMany).await?, keys.first()) {
            (Some(FaultKind::Damage), Some(key)) => Err(ReadError::Corrupt { key: key.clone() }),
            _ => self.inner.get_many(keys).await,
        }
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        let fault = self.meet_read(Operation::List).await?;
        let mut listed = self.inner.list(page).await?;
        if let (Some(FaultKind::Damage), Some(item)) = (fault, listed.items.first_mut()) {
            *item = Item::Corrupt {
                key: item.key().clone(),
            };
        }
        Ok(listed)
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        let fault = self.meet_read(Operation::ListMany).await?;
        let mut listed = self.inner.list_many(pages).await?;
        let first = listed.iter_mut().find_map(|listed| listed.items.first_mut());
        if let (Some(FaultKind::Damage), Some(item)) = (fault, first) {
            *item = Item::Corrupt {
                key: item.key().clone(),
            };
        }
        Ok(listed)
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        match self.meet(Operation::Commit).await {
            Some(FaultKind::Refuse) => Err(busy()),
            Some(FaultKind::Conflict) => Err(self.conflict(&batch).await),
            Some(FaultKind::LoseBefore) => Err(lost()),
            Some(FaultKind::LoseAfter) => {
                self.inner.commit(batch, deadline).await?;
                Err(lost())
            }
            _ => self.inner.commit(batch, deadline).await,
        }
    }

    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.meet_read(Operation::Tail).await?;
        self.inner.tail(log, after, limit).await
    }

    async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
        self.meet_read(Operation::Head).await?;
        self.inner.head(log).await
    }

    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        self.meet_read(Operation::Heads).await?;
        self.inner.heads(under, after, limit).await
    }

    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        match self.meet(Operation::Truncate).await {
            Some(FaultKind::Refuse) => Err(busy().into()),
            Some(FaultKind::LoseBefore) => Err(lost().into()),
            Some(FaultKind::LoseAfter) => {
                self.inner.truncate(log, before).await?;
                Err(lost().into())
            }
            _ => self.inner.truncate(log, before).await,
        }
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        match self.meet_read(Operation::Watch).await? {
            Some(FaultKind::LoseHints) => self.deaf.watch(prefix),
            _ => self.inner.watch(prefix).await,
        }
    }

    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
        let (plan, items) = (Arc::clone(&self.plan), self.inner.export(prefix));
        stream::once(async move { exported(meet(&plan, Operation::Export).await, items) })
            .flatten()
            .boxed()
    }

    async fn health(&self) -> Health {
        self.meet(Operation::Health).await;
        self.inner.health().await
    }

    async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
        self.meet(Operation::Close).await;
        let closed = self.inner.close(deadline).await;
        self.deaf.close();
        closed
    }
}

impl<S: RecordStore> fmt::Debug for Fault<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({} met, {:?})", self.met(), self.inner)
    }
}

impl<S: RecordStore> fmt::Display for Fault<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}
