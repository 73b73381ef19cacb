//! The settler: tells the ends of tasks to those that follow them, in commits of its own.
//!
//! What is to be told is rows, written in the commit of the end; a hint only says that there are some. Each commit takes
//! what it told out of the rows, so that a settler which is killed anywhere is followed by one that goes on, and two at
//! once tell nothing twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dormouse_filesystem::{Cursor, IndexValue, Query, Records, Versioned};
use tokio::sync::Notify;

use super::delegations::{deliver, stage_abandon};
use super::settlement::stage_dependent;
use super::{Delegation, DelegationIndex, Settlement, SettlementIndex, Task, TaskIndex, Tree};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::due::{DueRow, LeftLately, Pass};
use crate::engine::Engine;
use crate::limits::{DUE_RETRY, SETTLE_POLL, SETTLED_BYTES_MAX, SETTLED_MAX};
use crate::pause::pause;
use crate::{CommandError, Principal, TaskId};

/// Where commits say that they left something to settle.
#[derive(Debug, Default)]
pub(crate) struct SettleHint {
    bell: Notify,
    has_rung: AtomicBool,
}

impl SettleHint {
    pub(crate) fn ring(&self) {
        self.has_rung.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    fn take(&self) -> bool {
        self.has_rung.swap(false, Ordering::AcqRel)
    }
}

/// What a pass of the settler did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SettledOnce {
    /// Ends that all who follow them know of.
    pub settled: usize,
    /// Results that were delivered.
    pub delivered: usize,
    /// Rows that cannot be read or written, and are as they were.
    pub left: usize,
}

impl Engine {
    /// Settles the ends of tasks, of all tenants, until `shutdown`: what is left at its start, and what commits leave
    /// meanwhile. What cannot be believed is left, and looked at again each minute. Dropping it at any time leaves the
    /// rest to the next one.
    pub async fn serve_settlements(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut lately = LeftLately::default();
        // Ends with the shutdown.
        loop {
            let longest = tokio::select! {
                biased;
                () = &mut shutdown => return,
                longest = self.settle_and_wait(&mut lately) => longest,
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = self.settling().bell.notified() => {}
                () = pause(longest) => {}
            }
        }
    }

    /// Settles, and says how long to wait at most; none where whatever is left to settle rings.
    async fn settle_and_wait(&self, lately: &mut LeftLately) -> Option<Duration> {
        let mut pass = Pass::new(lately);
        let settled = self.settle_in(&mut pass).await;
        match settled.and_then(|_| pass.told()) {
            Err(error) => {
                tracing::warn!(%error, "ends of tasks were not settled; it is tried again");
                Some(DUE_RETRY)
            }
            // Another machine's ends come without a hint.
            Ok(_) if !self.is_exclusive() => Some(SETTLE_POLL),
            Ok(0) => None,
            Ok(_) => Some(lately.again_in()),
        }
    }

    /// Settles what this process left, if it left anything: for who owns a store for a moment, before it leaves.
    ///
    /// # Errors
    /// As [`settle_once`](Self::settle_once). What is not settled is found by the next one.
    pub async fn settle_rest(&self) -> Result<SettledOnce, CommandError> {
        if self.settling().take() {
            self.settle_once().await
        } else {
            Ok(SettledOnce::default())
        }
    }

    /// Settles all that there is, also what settling leaves, and delivers what is to be delivered.
    ///
    /// # Errors
    /// A store that does not answer: the first error.
    pub async fn settle_once(&self) -> Result<SettledOnce, CommandError> {
        let mut lately = LeftLately::default();
        let mut all = SettledOnce::default();
        // Ends when a pass finds nothing that can be settled: a chain of tasks is finite.
        loop {
            let mut pass = Pass::new(&mut lately);
            let once = self.settle_in(&mut pass).await?;
            all.settled += once.settled;
            all.delivered += once.delivered;
            all.left = pass.told()?;
            if once.settled + once.delivered == 0 {
                return Ok(all);
            }
        }
    }

    async fn settle_in(&self, pass: &mut Pass<'_>) -> Result<SettledOnce, CommandError> {
        let mut once = SettledOnce::default();
        for (tenant, task) in self.found::<Settlement>(SettlementIndex::Queue, None).await? {
            let row = DueRow::of("settlement", &tenant, &task);
            if !pass.skips(&row) {
                let core = self.handle(&tenant).core;
                once.settled += usize::from(pass.note(row, settle(&core, task).await));
            }
        }
        for (tenant, child) in self
            .found::<Delegation>(DelegationIndex::Undelivered, None)
            .await?
        {
            let row = DueRow::of("delegation", &tenant, &child);
            if !pass.skips(&row) {
                let core = self.handle(&tenant).core;
                once.delivered += usize::from(pass.note(row, deliver(&core, child).await));
            }
        }
        Ok(once)
    }
}

/// Tells the end of a task to all that follow it: first to what it gave away, which nobody waits for any more, then to
/// what waits for it. Whether there was anything to tell.
///
/// # Errors
/// `Corrupt` when some of them cannot be believed: all others know, and the settlement stays.
pub(super) async fn settle(core: &Core, task: TaskId) -> Result<bool, CommandError> {
    // Each commit gives up what is in the way of the next: ends when nothing is held.
    while abandon_page(core, task).await? {}
    let (mut after, mut damaged) = (None, None);
    // Ends with the last page: a task that has ended gets no further dependents.
    loop {
        match settle_page(core, task, &after, damaged.is_none()).await? {
            Told::Nothing => return Ok(false),
            Told::Last { is_gone: true, .. } => return Ok(true),
            Told::Last { issue, .. } => {
                let what = damaged.or(issue).unwrap_or_default();
                return Err(CommandError::Corrupt(what.into()));
            }
            Told::More { next, issue } => {
                after = next;
                damaged = damaged.or(issue);
            }
        }
    }
}

/// What a commit told.
enum Told {
    /// There is nothing to settle.
    Nothing,
    /// There may be more behind this cursor; none is from the start.
    More {
        next: Option<Cursor>,
        issue: Option<String>,
    },
    /// That was the last page, and whether the settlement is gone with it.
    Last { is_gone: bool, issue: Option<String> },
}

async fn settle_page(
    core: &Core,
    ended: TaskId,
    after: &Option<Cursor>,
    is_clean: bool,
) -> Result<Told, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let settlements = Records::<Settlement>::new(&core.space);
        let Some(settlement) = settlements.get(&ended).await? else {
            return Ok(Verdict::Nothing(Told::Nothing));
        };
        let query = Query::of(TaskIndex::Dependency)
            .equals([IndexValue::name(&ended.to_string())])
            .after(after.clone())
            .limit(SETTLED_MAX);
        let page = Records::<Task>::new(&core.space).find(&query).await?;
        let fitting = fitting(&page.rows);
        let is_cut = fitting < page.rows.len();
        for dependent in &page.rows[..fitting] {
            stage_dependent(&core.space, &mut draft, dependent, ended, settlement.end).await?;
        }
        let issue = page.issues.first().map(ToString::to_string);
        if is_cut || page.next.is_some() {
            settlements.stage_check(draft.batch(), &settlement);
            let next = if is_cut { after.clone() } else { page.next };
            return Ok(written(draft, fitting, Told::More { next, issue }));
        }
        let is_gone = is_clean && issue.is_none();
        if is_gone {
            settlements.stage_remove(draft.batch(), &settlement).await?;
            return Ok(Verdict::Commit(draft, Told::Last { is_gone, issue }));
        }
        settlements.stage_check(draft.batch(), &settlement);
        Ok(written(draft, fitting, Told::Last { is_gone, issue }))
    });
    Ok(done.await?.answer)
}

/// A page of nothing but damaged rows writes nothing.
fn written(draft: Draft, count: usize, told: Told) -> Verdict<Told> {
    match count {
        0 => Verdict::Nothing(told),
        _ => Verdict::Commit(draft, told),
    }
}

/// How many of these fit into a commit, one at least.
fn fitting(rows: &[Versioned<Task>]) -> usize {
    let mut bytes = 0_usize;
    let fits = |row: &&Versioned<Task>| {
        let json = serde_json::to_vec(&***row).expect("a task is plain data");
        bytes = bytes.saturating_add(json.len());
        bytes <= SETTLED_BYTES_MAX
    };
    rows.iter().take_while(fits).count().max(rows.len().min(1))
}

/// Gives up a page of what a task gave away; whether there may be more.
async fn abandon_page(core: &Core, parent: TaskId) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let settlements = Records::<Settlement>::new(&core.space);
        // Without it the end was settled by another, and the task may be at work again.
        let Some(settlement) = settlements.get(&parent).await? else {
            return Ok(Verdict::Nothing(false));
        };
        let query = Query::of(DelegationIndex::Held)
            .equals([IndexValue::name(&parent.to_string())])
            .limit(SETTLED_MAX);
        let page = Records::<Delegation>::new(&core.space).find(&query).await?;
        let Some(first) = page.rows.first() else {
            return Ok(Verdict::Nothing(false));
        };
        settlements.stage_check(draft.batch(), &settlement);
        let trees = Records::<Tree>::new(&core.space);
        let tree = trees.get(&first.root).await?;
        let mut freed = 0;
        for read in &page.rows {
            freed += u32::from(stage_abandon(core, &mut draft, read).await?);
        }
        if let Some(read) = tree {
            let mut tree = Tree::clone(&read);
            tree.open = tree.open.saturating_sub(freed);
            trees.stage_replace(draft.batch(), &read, &tree).await?;
        }
        Ok(Verdict::Commit(draft, page.next.is_some()))
    });
    Ok(done.await?.answer)
}
