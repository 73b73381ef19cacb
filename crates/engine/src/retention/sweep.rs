//! A sweep of one kind: pages of what is due, each tenant's under a lease, several rows a commit.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_filesystem::{Cursor, IndexValue, Query, Record, Records, SystemIndex, Tenant, Versioned};
use jiff::{SignedDuration, Timestamp};

use super::Retention;
use crate::bad::heed;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::due::is_of_store;
use crate::engine::Engine;
use crate::found::{just_after, of_tenant};
use crate::lease::{LeaseEvent, LeaseGuard, check, give_back, take_up};
use crate::limits::{SWEEP_OPERATIONS, SWEEP_PAGE};
use crate::{CommandError, Principal, Subject, TenantId};

/// A kind whose rows go some time after they ended.
pub(crate) trait Retires: Record<Scope = Tenant> {
    /// The name of its sweep, and of the lease it goes under.
    const SWEEP: &'static str;
    /// The system index that finds the ended ones by when they ended.
    const RETIRE: Self::Index;

    /// How long they are kept from then on.
    fn kept(retention: &Retention) -> Duration;

    /// When it ended; none while it has not.
    fn ended_at(&self) -> Option<Timestamp>;

    /// Stages that it goes, with what belongs to it.
    fn stage_gone(
        core: &Core,
        draft: &mut Draft,
        row: &Versioned<Self>,
    ) -> impl Future<Output = Result<Gone, CommandError>> + Send;
}

/// How far a row's removal is staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// All of it.
    Wholly,
    /// A part of what belongs to it: the rest and the row itself come with the next commit.
    Partly,
    /// It went, and so many in all with it, of which some may be on the same page: the commit ends with it.
    Among {
        /// How many rows, itself among them.
        removed: usize,
    },
    /// Nothing: it is staged that it is looked at again later.
    Later,
    /// Nothing: something needs it still. It is looked at again with the next page that begins anew.
    Not,
}

/// One kind's sweep.
#[async_trait]
pub(super) trait Sweep: fmt::Debug + Send + Sync {
    /// The name of its lease.
    fn name(&self) -> &'static str;

    /// Up to when rows have to have ended to be due now; none where none can be.
    fn until(&self, retention: &Retention, now: Timestamp) -> Option<Timestamp>;

    /// Sweeps a page of what ended up to then, behind a cursor of such pages.
    async fn page(
        &self,
        engine: &Engine,
        until: Timestamp,
        after: Option<Cursor>,
    ) -> Result<Page, CommandError>;

    /// When the first of those is due that are not yet.
    async fn next(&self, engine: &Engine, retention: &Retention) -> Result<Timestamp, CommandError>;
}

/// What a page did.
#[derive(Debug)]
pub(super) struct Page {
    /// How many rows went.
    pub(super) removed: usize,
    /// Where the next page begins; none after the last.
    pub(super) next: Option<Cursor>,
}

/// The sweep of a kind.
pub(super) fn of<R: Retires>() -> Box<dyn Sweep> {
    Box::new(Of::<R>(PhantomData))
}

struct Of<R>(PhantomData<fn() -> R>);

impl<R: Retires> fmt::Debug for Of<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sweep({})", R::SWEEP)
    }
}

#[async_trait]
impl<R: Retires> Sweep for Of<R> {
    fn name(&self) -> &'static str {
        R::SWEEP
    }

    fn until(&self, retention: &Retention, now: Timestamp) -> Option<Timestamp> {
        ago(now, R::kept(retention))
    }

    async fn page(
        &self,
        engine: &Engine,
        until: Timestamp,
        after: Option<Cursor>,
    ) -> Result<Page, CommandError> {
        let query = Query::of(R::RETIRE)
            .range(None, just_after(until).map(IndexValue::instant))
            .after(after)
            .limit(SWEEP_PAGE);
        let found = SystemIndex::<R>::new(engine.system()).find(&query).await?;
        let mut due: BTreeMap<TenantId, Vec<R::Id>> = BTreeMap::new();
        for (tenant, id) in found.rows.into_iter().filter_map(of_tenant) {
            due.entry(tenant).or_default().push(id);
        }
        let mut removed = 0;
        for (tenant, ids) in due {
            removed += sweep::<R>(&engine.handle(&tenant).core, &ids, until).await?;
        }
        Ok(Page {
            removed,
            next: found.next,
        })
    }

    async fn next(&self, engine: &Engine, retention: &Retention) -> Result<Timestamp, CommandError> {
        let now = engine.environment().clock.now();
        let kept = SignedDuration::try_from(R::kept(retention)).unwrap_or(SignedDuration::MAX);
        let due = |ended: Timestamp| ended.checked_add(kept).unwrap_or(Timestamp::MAX);
        let from = ago(now, R::kept(retention)).and_then(just_after);
        let query = Query::of(R::RETIRE)
            .range(from.map(IndexValue::instant), None)
            .limit(1);
        let found = SystemIndex::<R>::new(engine.system()).find(&query).await?;
        let Some((tenant, id)) = found.rows.into_iter().find_map(of_tenant) else {
            // Whatever ends from now on is due later than this.
            return Ok(due(now));
        };
        let row = Records::<R>::new(engine.handle(&tenant).space()).get(&id).await;
        match row.map_err(CommandError::from) {
            Err(error) if is_of_store(&error) => Err(error),
            // One that cannot be believed, or is no longer ended, says nothing: it is looked again soon enough.
            row => {
                let ended = row.ok().flatten().and_then(|row| row.ended_at());
                Ok(ended.map_or(later(now, UNKNOWN), due).min(due(now)))
            }
        }
    }
}

/// When it is looked again where the first row does not say when it is due.
const UNKNOWN: Duration = Duration::from_secs(60 * 60);

/// The instant that was so long ago; none before the first of all.
pub(super) fn ago(now: Timestamp, kept: Duration) -> Option<Timestamp> {
    now.checked_sub(SignedDuration::try_from(kept).ok()?).ok()
}

/// So much later.
pub(super) fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// Sweeps rows of one tenant, unless another does. How many went.
async fn sweep<R: Retires>(core: &Core, ids: &[R::Id], until: Timestamp) -> Result<usize, CommandError> {
    let subject = Subject::Sweep(R::SWEEP.parse().expect("the names of sweeps are names"));
    let Some(guard) = take_up(core, &subject).await? else {
        return Ok(0);
    };
    let swept = sweep_held::<R>(core, &guard, ids, until).await;
    give_back(core, guard).await?;
    swept
}

async fn sweep_held<R: Retires>(
    core: &Core,
    guard: &LeaseGuard,
    ids: &[R::Id],
    until: Timestamp,
) -> Result<usize, CommandError> {
    let (mut left, mut removed, mut is_alone) = (ids, 0, false);
    // Ends with the last row: each commit does at least one, or a part of one, or finds that one cannot go.
    while !left.is_empty() {
        // The next page goes on, before the lease may be another's.
        if guard.must_stop() {
            break;
        }
        let page = if is_alone { &left[..1] } else { left };
        match commit::<R>(core, guard, page, until).await {
            Ok(done) => {
                left = &left[done.passed..];
                removed += done.removed;
            }
            Err(error) if is_of_store(&error) || is_fence(&error) => return Err(error),
            // One of them is in the way: which, they say one by one.
            Err(_) if !is_alone => is_alone = true,
            Err(error) => {
                let id = &left[0];
                tracing::warn!(tenant = %core.tenant, kind = %R::KIND, %id, %error, "what is old was not cleared away");
                left = &left[1..];
            }
        }
    }
    Ok(removed)
}

/// Whether it is another's to go on.
fn is_fence(error: &CommandError) -> bool {
    matches!(
        error,
        CommandError::Fenced { .. } | CommandError::LeaseExpired { .. }
    )
}

/// What a commit did.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    /// How many rows were looked at and are done with.
    passed: usize,
    /// How many of them went.
    removed: usize,
}

async fn commit<R: Retires>(
    core: &Core,
    guard: &LeaseGuard,
    ids: &[R::Id],
    until: Timestamp,
) -> Result<Done, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let held = check(core, guard, LeaseEvent::Write, draft.now()).await?;
        held.stage_check(core, &mut draft);
        let (mut done, mut writes) = (Done::default(), false);
        for id in ids {
            match stage::<R>(core, &mut draft, id, until).await? {
                Gone::Wholly => {
                    (done.removed, writes) = (done.removed + 1, true);
                    done.passed += 1;
                }
                Gone::Partly => {
                    writes = true;
                    break;
                }
                Gone::Among { removed } => {
                    (done.removed, writes) = (done.removed + removed, true);
                    done.passed += 1;
                    break;
                }
                Gone::Later => {
                    writes = true;
                    done.passed += 1;
                }
                Gone::Not => done.passed += 1,
            }
            if draft.batch().operations() >= SWEEP_OPERATIONS {
                break;
            }
        }
        Ok(if writes {
            Verdict::Commit(draft, done)
        } else {
            Verdict::Nothing(done)
        })
    });
    done.await.map(|done| done.answer)
}

/// One row. One that cannot be believed stays as it is, and keeps no other from its end.
async fn stage<R: Retires>(
    core: &Core,
    draft: &mut Draft,
    id: &R::Id,
    until: Timestamp,
) -> Result<Gone, CommandError> {
    let row = match Records::<R>::new(&core.space)
        .get(id)
        .await
        .map_err(CommandError::from)
    {
        Ok(row) => row,
        Err(error) if is_of_store(&error) => return Err(error),
        Err(error) => {
            tracing::warn!(tenant = %core.tenant, kind = %R::KIND, %id, %error, "what is old was not cleared away");
            heed(core, &error).await;
            return Ok(Gone::Not);
        }
    };
    match row {
        Some(row) if row.ended_at().is_some_and(|at| at <= until) => R::stage_gone(core, draft, &row).await,
        // It went, or began anew, since it was found.
        _ => Ok(Gone::Not),
    }
}
