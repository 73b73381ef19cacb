//! The tenant's ledger: all commands that touch accounts share commits.
//!
//! Each account is one row, so fighting for it would let one command through per flush. Here those that come while a
//! commit is in flight go together in the next, each with all its other rows: a claim, a step, a decision. No delay is
//! added. A command that is refused drops out and spoils nobody's commit. One whose own rows changed meanwhile is told
//! so and decides again by itself; where it was an account, all of the commit are decided again from what is there now.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use dormouse_filesystem::update::{ATTEMPTS_MAX, DEADLINE, DELAY_MAX, DELAY_MIN};
use dormouse_filesystem::{
    BATCH_OPERATIONS_MAX, CommitError, Committed, Deadline, Failed, ScopedBatch, Tenant, Version,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::moves::{Move, Moved};
use super::sheet::{Mover, Refused, Sheet};
use crate::core::Core;
use crate::draft::Draft;
use crate::resolve::{settled, unknown};
use crate::telling::Telling;
use crate::{CommandError, OpId, PrefixedId, Principal};

/// The commands of a tenant that wait for the ledger.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Entry>,
    is_served: bool,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ledger({} wait)", self.with(|queue| queue.waiting.len()))
    }
}

/// One command: its own rows, what it does to accounts, where its answer is waited for, and what is said whether or not
/// anybody waits still.
struct Entry {
    mover: Mover,
    batch: ScopedBatch<Tenant>,
    moves: Vec<Move>,
    answer: oneshot::Sender<Answer>,
    telling: Telling,
}

impl Entry {
    /// What became of it: this process hears of it first, then whoever waits.
    fn told(self, answer: Answer) {
        drop(self.telling);
        drop(self.answer.send(answer));
    }
}

/// A command whose commit is done, or that had nothing to write.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) version: Option<Version>,
    pub(crate) moved: Vec<Moved>,
}

type Answer = Result<Entered, CommandError>;

/// Operations that the accounts of a commit take at most, beside what each move takes.
const ACCOUNTS_OPERATIONS: usize = 96;
/// Operations that one move takes at most: a hold with its entries, a day, an event.
const MOVE_OPERATIONS: usize = 10;

/// Commits a draft with what it does to accounts, together with others. A caller that is dropped while it waits is
/// passed over, unless its commit is in flight.
pub(crate) async fn enter(core: &Core, mut draft: Draft) -> Answer {
    let moves = draft.take_moves();
    let telling = Telling::of(core, &mut draft);
    let (by, op) = (draft.actor().clone(), draft.op());
    let (answer, answered) = oneshot::channel();
    let entry = Entry {
        mover: Mover { by, op },
        batch: draft.into_batch(),
        moves,
        answer,
        telling,
    };
    push(core, entry)?;
    // Without an answer the process is ending: the commit may have been sent.
    answered.await.unwrap_or_else(|_| Err(unknown(op)))
}

fn push(core: &Core, entry: Entry) -> Result<(), CommandError> {
    let begins = core.ledger.with(|queue| {
        if queue.waiting.len() >= core.budgets.ledger_mailbox {
            return Err(CommandError::LOST_RACE);
        }
        queue.waiting.push_back(entry);
        Ok(!std::mem::replace(&mut queue.is_served, true))
    })?;
    if begins {
        core.background.spawn(serve(core.unasked()));
    }
    Ok(())
}

/// Commits group after group. Ends when nobody waits.
async fn serve(core: Core) {
    let cut_short = CutShort(&core.ledger);
    while let Some(group) = cut_short.0.next(core.budgets.ledger_batch) {
        settle(&core, group).await;
    }
    // Nobody serves any more, or already another does.
    std::mem::forget(cut_short);
}

/// Serving that ends by a panic, or with the runtime: who waits still is told by the drop of its sender, and the next
/// command begins anew.
struct CutShort<'l>(&'l Ledger);

impl Drop for CutShort<'_> {
    fn drop(&mut self) {
        self.0.with(|queue| *queue = Queue::default());
    }
}

impl Ledger {
    fn with<T>(&self, f: impl FnOnce(&mut Queue) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next group, in the order of arrival; none when nobody waits, and then nobody serves.
    fn next(&self, max: usize) -> Option<Vec<Entry>> {
        self.with(|queue| {
            let mut group = Vec::new();
            while group.len() < max.max(1) {
                let Some(entry) = queue.waiting.pop_front() else {
                    break;
                };
                if !entry.answer.is_closed() {
                    group.push(entry);
                }
            }
            queue.is_served = !group.is_empty();
            queue.is_served.then_some(group)
        })
    }
}

/// A commit in the making.
struct Composed {
    draft: Draft,
    /// Those that are in it, with their answers.
    entered: Vec<(Entry, Vec<Moved>)>,
    /// Those that are refused.
    refused: Vec<(Entry, CommandError)>,
    /// Those that are for the next one: their rows and those of others are the same.
    later: Vec<Entry>,
    freed: usize,
}

/// Commits a group, in as many commits as it needs, and tells each its answer.
async fn settle(core: &Core, group: Vec<Entry>) {
    let deadline = Instant::now() + DEADLINE;
    let (mut left, mut delay, mut lost) = (group, DELAY_MIN, 0);
    // Ends with the last of them: each commit has one at least, and ATTEMPTS_MAX lose their races.
    while !left.is_empty() {
        let composed = match compose(core, left).await {
            Ok(composed) => composed,
            Err((group, error)) => return tell_all(group, &error),
        };
        let Composed {
            draft,
            entered,
            refused,
            later,
            freed,
        } = composed;
        left = later;
        // Any command in it says of all whether they were done.
        let op = entered.first().map_or(draft.op(), |(entry, _)| entry.mover.op);
        let batch = draft.into_batch();
        let committed = match batch.writes() {
            true => settled(&core.space, batch, op, Deadline::at(deadline)).await,
            false => Ok(Committed {
                version: None,
                positions: Vec::new(),
            }),
        };
        let committed = committed.map(|done| done.version).map_err(|(error, unknown)| {
            if let Some(batch) = unknown {
                let ops: Vec<OpId> = entered.iter().map(|(entry, _)| entry.mover.op).collect();
                core.unsettled.keep(&ops, op, &batch);
            }
            error
        });
        let may_be_done = matches!(committed, Ok(_) | Err(CommitError::Indeterminate { .. }));
        if freed > 0 && may_be_done {
            core.freed.ring();
        }
        match committed {
            Ok(version) => answer(entered, refused, version),
            Err(CommitError::Conflict { failed }) => {
                let again = retold(entered, refused, &failed);
                left.splice(0..0, again);
                if left.is_empty() {
                    return;
                }
                lost += 1;
                if lost == ATTEMPTS_MAX || Instant::now() + delay >= deadline {
                    return tell_all(left, &CommandError::Contended { attempts: lost });
                }
                sleep(core.jittered(delay)).await;
                delay = (delay * 2).min(DELAY_MAX);
            }
            Err(
                error @ (CommitError::Busy { .. }
                | CommitError::Unavailable { .. }
                | CommitError::Closed { .. }
                | CommitError::Indeterminate { .. }),
            ) => {
                let error = error.into();
                tell_all(entered.into_iter().map(|(entry, _)| entry), &error);
                tell_all(refused.into_iter().map(|(entry, _)| entry), &error);
            }
            Err(error) => alone(core, entered, refused, error).await,
        }
    }
}

/// One of them spoils the commit of all: it is found by committing each alone.
async fn alone(
    core: &Core,
    entered: Vec<(Entry, Vec<Moved>)>,
    refused: Vec<(Entry, CommandError)>,
    error: CommitError,
) {
    for (entry, why) in refused {
        entry.told(Err(why));
    }
    if entered.len() <= 1 {
        return tell_all(entered.into_iter().map(|(entry, _)| entry), &error.into());
    }
    for (entry, _) in entered {
        Box::pin(settle(core, vec![entry])).await;
    }
}

/// Those whose own rows changed decide again by themselves; the others are decided again here.
fn retold(
    entered: Vec<(Entry, Vec<Moved>)>,
    refused: Vec<(Entry, CommandError)>,
    failed: &[Failed],
) -> Vec<Entry> {
    let mut again = Vec::with_capacity(entered.len());
    for (entry, _) in entered {
        if failed.iter().any(|failed| entry.batch.names(&failed.key)) {
            entry.told(Err(CommandError::LOST_RACE));
        } else {
            again.push(entry);
        }
    }
    again.extend(refused.into_iter().map(|(entry, _)| entry));
    again
}

async fn compose(core: &Core, group: Vec<Entry>) -> Result<Composed, (Vec<Entry>, CommandError)> {
    let moves: Vec<&Move> = group.iter().flat_map(|entry| &entry.moves).collect();
    let mover = group
        .first()
        .map_or_else(|| engine(core), |entry| entry.mover.clone());
    let mut sheet = match Sheet::read(core, &moves, mover).await {
        Ok(sheet) => sheet,
        Err(error) => return Err((group, error)),
    };
    let engine = engine(core);
    let mut composed = Composed {
        draft: Draft::new(core, &engine.by, sheet.now, engine.op),
        entered: Vec::new(),
        refused: Vec::new(),
        later: Vec::new(),
        freed: 0,
    };
    let mut own = ACCOUNTS_OPERATIONS;
    for entry in group {
        own += entry.moves.len() * MOVE_OPERATIONS;
        let taken = composed.draft.batch().operations() + entry.batch.operations() + own;
        let has_room = taken <= BATCH_OPERATIONS_MAX || composed.entered.is_empty();
        if !has_room {
            composed.later.push(entry);
            continue;
        }
        match sheet.apply(entry.mover.clone(), &entry.moves) {
            Err(refused) => composed.refused.push((entry, told(refused))),
            Ok(_) if !composed.draft.batch().join(&entry.batch) => {
                sheet.undo();
                if composed.entered.is_empty() {
                    // Not even alone.
                    let limit = "BATCH_OPERATIONS_MAX";
                    composed.refused.push((entry, CommandError::TooLarge { limit }));
                } else {
                    composed.later.push(entry);
                }
            }
            Ok(moved) => composed.entered.push((entry, moved)),
        }
    }
    composed.freed = sheet.freed;
    match sheet.stage(core, &mut composed.draft).await {
        Ok(()) => Ok(composed),
        Err(error) => {
            let entered = composed.entered.into_iter().map(|(entry, _)| entry);
            let refused = composed.refused.into_iter().map(|(entry, _)| entry);
            Err((entered.chain(refused).chain(composed.later).collect(), error))
        }
    }
}

fn engine(core: &Core) -> Mover {
    let now = core.environment.clock.now();
    Mover {
        by: Principal::engine(),
        op: OpId::make(now, &core.environment.random),
    }
}

fn told(refused: Refused) -> CommandError {
    match refused {
        Refused::Error(error) => error,
        Refused::Limit { refusal, .. } => CommandError::LimitExceeded(refusal),
        Refused::Ask(refusal) => CommandError::NeedsApproval(refusal),
    }
}

fn answer(entered: Vec<(Entry, Vec<Moved>)>, refused: Vec<(Entry, CommandError)>, version: Option<Version>) {
    // Where nobody waits any more, it is done all the same.
    for (entry, moved) in entered {
        entry.told(Ok(Entered { version, moved }));
    }
    for (entry, why) in refused {
        entry.told(Err(why));
    }
}

/// What befell the commit of all befell each.
fn tell_all(group: impl IntoIterator<Item = Entry>, error: &CommandError) {
    for entry in group {
        let same = match error {
            CommandError::Indeterminate { .. } => unknown(entry.mover.op),
            CommandError::Contended { attempts } => CommandError::Contended { attempts: *attempts },
            CommandError::Unavailable(_) => CommandError::Unavailable(error.to_string().into()),
            CommandError::TooLarge { limit } => CommandError::TooLarge { limit },
            CommandError::Corrupt(_) => CommandError::Corrupt(error.to_string().into()),
            CommandError::TooNew(_) => CommandError::TooNew(error.to_string().into()),
            other => CommandError::Unsupported(other.to_string().into()),
        };
        entry.told(Err(same));
    }
}
