//! Commits whose answer was lost: settled within their command where that goes, kept for whoever asks later where not.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use dormouse_filesystem::update::{DEADLINE, DELAY_MIN};
use dormouse_filesystem::{
    CommitError, Committed, Deadline, LogHead, Namespace, PAGE_MAX, Position, Resolved, ScopedBatch, Tenant,
};
use tokio::time::{Instant, sleep};

use crate::core::Core;
use crate::limits::{RESOLVE_ATTEMPTS_MAX, UNSETTLED_MAX};
use crate::telling::tell_all;
use crate::{CommandError, OpId};

/// What became of a command of which that was not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was done, once: by its first sending, or by this.
    Done,
    /// It was not done, and will not be. It may be asked for again.
    NotDone,
}

/// The commits of this process of which it is not known whether they were done, the newest
/// [`UNSETTLED_MAX`] of them.
#[derive(Default)]
pub(crate) struct Unsettled(Mutex<VecDeque<Kept>>);

/// A batch that several commands may share.
#[derive(Debug, Clone)]
struct Kept {
    op: OpId,
    /// What its rows or events carry.
    mark: OpId,
    batch: ScopedBatch<Tenant>,
}

impl fmt::Debug for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unsettled({})", self.with(|kept| kept.len()))
    }
}

impl Unsettled {
    /// Keeps the batch of these commands, one of which marks rows or events of it.
    pub(crate) fn keep(&self, ops: &[OpId], mark: OpId, batch: &ScopedBatch<Tenant>) {
        self.with(|kept| {
            kept.retain(|of| !ops.contains(&of.op));
            kept.extend(ops.iter().map(|op| Kept {
                op: *op,
                mark,
                batch: batch.clone(),
            }));
            while kept.len() > UNSETTLED_MAX {
                kept.pop_front();
            }
        });
    }

    fn get(&self, op: OpId) -> Option<Kept> {
        self.with(|kept| kept.iter().find(|of| of.op == op).cloned())
    }

    fn forget(&self, op: OpId) {
        self.with(|kept| kept.retain(|of| of.op != op));
    }

    fn with<T>(&self, f: impl FnOnce(&mut VecDeque<Kept>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Commits a batch, and where its answer is lost settles it as long as there is time. `op` is a command in it, whose rows
/// or events carry it.
///
/// # Errors
/// As any commit; `Conflict` without keys where it is known by now that it was not done. `Indeterminate` with the batch,
/// where it is not known still.
pub(crate) async fn settled(
    space: &Namespace<Tenant>,
    batch: ScopedBatch<Tenant>,
    op: OpId,
    deadline: Deadline,
) -> Result<Committed, (CommitError, Option<ScopedBatch<Tenant>>)> {
    let kept = batch.clone();
    let error = match space.commit_by(batch, deadline).await {
        Err(error @ CommitError::Indeterminate { .. }) => error,
        answered => return answered.map_err(|error| (error, None)),
    };
    let (op, mut delay) = (op.to_string(), DELAY_MIN);
    // Ends with an answer, after RESOLVE_ATTEMPTS_MAX attempts, or when the time is up.
    for attempt in 0..RESOLVE_ATTEMPTS_MAX {
        if attempt > 0 {
            sleep(delay).await;
            delay *= 4;
        }
        if deadline.has_passed() {
            break;
        }
        match space.resolve(&kept, &op, deadline).await {
            Ok(Resolved::Done(version)) => {
                let positions = Vec::new();
                return Ok(Committed { version, positions });
            }
            Ok(Resolved::NotDone) => {
                let failed = Vec::new();
                return Err((CommitError::Conflict { failed }, None));
            }
            Ok(Resolved::Unknown) => {}
            Err(error) => return Err((error, None)),
        }
    }
    Err((error, Some(kept)))
}

/// What became of the command of this operation, by the store.
pub(crate) async fn resolve(core: &Core, op: OpId) -> Result<Settled, CommandError> {
    let Some(kept) = core.unsettled.get(op) else {
        return by_log(core, op).await;
    };
    let deadline = Deadline::at(Instant::now() + DEADLINE);
    let resolved = core
        .space
        .resolve(&kept.batch, &kept.mark.to_string(), deadline)
        .await;
    let outcome = match resolved.map_err(CommandError::from)? {
        Resolved::Done(_) => Settled::Done,
        Resolved::NotDone => Settled::NotDone,
        Resolved::Unknown => return Err(unknown(Some(op))),
    };
    core.unsettled.forget(op);
    if outcome == Settled::Done {
        // Whoever sleeps was told when it was not there yet.
        tell_all(&core.due, &core.bell, &core.settling);
        core.live.note_unheld();
    }
    Ok(outcome)
}

/// Of a command of another process, or of one long ago: its events are looked for among the last ones.
async fn by_log(core: &Core, op: OpId) -> Result<Settled, CommandError> {
    let op_text = op.to_string();
    let LogHead { first, next, .. } = core.events.head().await?;
    let looked = UNSETTLED_LOOK_MAX;
    let begin = first.get().max(next.get().saturating_sub(looked));
    let mut after = Position::new(begin - 1);
    // Ends with the end of the log.
    loop {
        let page = core.events.tail(after, PAGE_MAX).await?;
        let Some(last) = page.last() else {
            return Err(CommandError::not_found("unsettled command", &op));
        };
        after = last.position;
        let is_its = |entry: &[u8]| {
            entry
                .windows(op_text.len())
                .any(|part| part == op_text.as_bytes())
        };
        if page.iter().any(|logged| is_its(&logged.entry)) {
            return Ok(Settled::Done);
        }
    }
}

/// How many events are looked through for a command that this process does not know.
const UNSETTLED_LOOK_MAX: u64 = 10_000;

pub(crate) fn unknown(op: Option<OpId>) -> CommandError {
    CommandError::Indeterminate {
        op,
        source: CommitError::Indeterminate { source: None },
    }
}

/// What befell the commit of several befell each of them.
pub(crate) fn the_same(error: &CommandError, op: Option<OpId>) -> CommandError {
    match error {
        CommandError::Indeterminate { .. } => unknown(op),
        CommandError::Contended { attempts } => CommandError::Contended { attempts: *attempts },
        CommandError::Unavailable(_) => match error.closed() {
            // Not tried again by any of them: a store that is closed stays so.
            Some(reason) => CommandError::Unavailable(CommitError::Closed { reason }.into()),
            None => CommandError::Unavailable(error.to_string().into()),
        },
        CommandError::TooLarge { limit } => CommandError::TooLarge { limit },
        CommandError::Corrupt(_) => CommandError::Corrupt(error.to_string().into()),
        CommandError::TooNew(_) => CommandError::TooNew(error.to_string().into()),
        other => CommandError::Unsupported(other.to_string().into()),
    }
}
