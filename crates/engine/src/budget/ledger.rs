//! The tenant's ledger: all commands that touch accounts share commits.
//!
//! Each account is one row, so fighting for it would let one command through per flush. Here those that come while a
//! commit is in flight go together in the next, each with all its other rows: a claim, a step, a decision. No delay is
//! added. A command that is refused drops out and spoils nobody's commit. One whose own rows changed meanwhile is told
//! so and decides again by itself; where it was an account, those that it is about are decided again from what is there a
//! little later, and all others go on at once.

use dormouse_filesystem::update::{ATTEMPTS_MAX, DEADLINE, DELAY_MAX, DELAY_MIN};
use dormouse_filesystem::{
    BATCH_OPERATIONS_MAX, CommitError, Committed, Deadline, Failed, ScopedBatch, Tenant, Version,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::moves::{Move, Moved};
use super::sheet::{Mover, Refused, Sheet};
use super::touched::Touched;
use crate::combine::{Combiner, Waits};
use crate::core::Core;
use crate::draft::Draft;
use crate::resolve::{settled, the_same, unknown};
use crate::telling::Telling;
use crate::{CommandError, OpId, PrefixedId, Principal};

/// The commands of a tenant that wait for the ledger.
pub(crate) type Ledger = Combiner<Entry>;

/// One command: its own rows, what it does to accounts, where its answer is waited for, and what is said whether or not
/// anybody waits still.
pub(crate) struct Entry {
    mover: Mover,
    batch: ScopedBatch<Tenant>,
    moves: Vec<Move>,
    answer: oneshot::Sender<Answer>,
    telling: Telling,
    lost: Lost,
}

/// The races that a command lost for accounts.
#[derive(Debug, Default, Clone, Copy)]
struct Lost {
    times: u32,
    /// Until when it may lose more.
    deadline: Option<Instant>,
    /// It is decided again from here on.
    again_at: Option<Instant>,
}

impl Lost {
    /// One more; how often, when it was the last that it may lose.
    fn again(&mut self, core: &Core) -> Option<u32> {
        let now = Instant::now();
        let deadline = *self.deadline.get_or_insert(now + DEADLINE);
        let delay = DELAY_MIN.saturating_mul(1 << self.times.min(16)).min(DELAY_MAX);
        self.times += 1;
        self.again_at = Some(now + core.jittered(delay));
        (self.times >= ATTEMPTS_MAX || now + delay >= deadline).then_some(self.times)
    }
}

impl Waits for Entry {
    fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }

    fn not_before(&self) -> Option<Instant> {
        self.lost.again_at
    }
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
        lost: Lost::default(),
    };
    if core.ledger.enter(entry, core.budgets.ledger_mailbox)? {
        core.background.spawn(serve(core.unasked()));
    }
    // Without an answer the process is ending: the commit may have been sent.
    answered.await.unwrap_or_else(|_| Err(unknown(Some(op))))
}

async fn serve(core: Core) {
    let room = || {
        let mut left = core.budgets.ledger_batch;
        move |_: &Entry| left.checked_sub(1).inspect(|less| left = *less).is_some()
    };
    core.ledger.serve(room, |group| settle(&core, group)).await;
}

/// A commit in the making.
struct Composed {
    draft: Draft,
    /// Those that are in it, with their answers.
    entered: Vec<Decided<Vec<Moved>>>,
    /// Those that are refused.
    refused: Vec<Decided<CommandError>>,
    /// Those that are for the next one: their rows and those of others are the same.
    later: Vec<Entry>,
    freed: usize,
}

/// A command, what is decided about it, and which rows that changes.
struct Decided<T> {
    entry: Entry,
    answer: T,
    touched: Touched,
}

/// Commits a group, as far as it fits one commit, and tells each its answer. Those that are to be decided again are
/// given back.
async fn settle(core: &Core, group: Vec<Entry>) -> Vec<Entry> {
    let composed = match compose(core, group).await {
        Ok(composed) => composed,
        Err((group, error)) => {
            tell_all(group, &error);
            return Vec::new();
        }
    };
    let Composed {
        draft,
        entered,
        refused,
        later,
        freed,
    } = composed;
    // Any command in it says of all whether they were done.
    let op = entered.first().map_or(draft.op(), |one| one.entry.mover.op);
    let batch = draft.into_batch();
    let committed = match batch.writes() {
        true => settled(&core.space, batch, op, Deadline::at(Instant::now() + DEADLINE)).await,
        false => Ok(Committed {
            version: None,
            positions: Vec::new(),
        }),
    };
    let committed = committed.map(|done| done.version).map_err(|(error, unknown)| {
        if let Some(batch) = unknown {
            let ops: Vec<OpId> = entered.iter().map(|one| one.entry.mover.op).collect();
            core.unsettled.keep(&ops, op, &batch);
            if let Some(one) = entered.first() {
                one.entry.telling.doubted();
            }
        }
        error
    });
    let may_be_done = matches!(committed, Ok(_) | Err(CommitError::Indeterminate { .. }));
    if freed > 0 && may_be_done {
        core.freed.ring();
    }
    let mut again = match committed {
        Ok(version) => {
            answer(entered, refused, version);
            Vec::new()
        }
        Err(CommitError::Conflict { failed }) => retold(core, entered, refused, &failed),
        Err(
            error @ (CommitError::Busy { .. }
            | CommitError::Unavailable { .. }
            | CommitError::Closed { .. }
            | CommitError::Indeterminate { .. }),
        ) => {
            let again = behind(core, &entered, refused);
            tell_all(entered.into_iter().map(|one| one.entry), &error.into());
            again
        }
        Err(error) => alone(core, entered, refused, error).await,
    };
    again.extend(later);
    again
}

/// One of them spoils the commit of all: it is found by committing each alone.
async fn alone(
    core: &Core,
    entered: Vec<Decided<Vec<Moved>>>,
    refused: Vec<Decided<CommandError>>,
    error: CommitError,
) -> Vec<Entry> {
    let behind = behind(core, &entered, refused);
    let mut again = Vec::new();
    if entered.len() <= 1 {
        tell_all(entered.into_iter().map(|one| one.entry), &error.into());
    } else {
        for one in entered {
            again.extend(Box::pin(settle(core, vec![one.entry])).await);
        }
    }
    again.extend(behind);
    again
}

/// Those that were refused, where the commit failed: nothing of theirs was sent, so its failure is not their answer. What
/// they were refused for may be what it did not do: they are decided again a little later, as often as they may be. Where it had
/// nobody else's, they were refused by what is there, and are told so.
fn behind(core: &Core, entered: &[Decided<Vec<Moved>>], refused: Vec<Decided<CommandError>>) -> Vec<Entry> {
    let mut again = Vec::with_capacity(refused.len());
    for mut one in refused {
        if entered.is_empty() || one.entry.lost.again(core).is_some() {
            one.entry.told(Err(one.answer));
        } else {
            again.push(one.entry);
        }
    }
    again
}

/// Those whose own rows changed decide again by themselves. The others are decided again here: those whose accounts
/// changed a little later, each as often as it may be, and all else at once.
fn retold(
    core: &Core,
    entered: Vec<Decided<Vec<Moved>>>,
    refused: Vec<Decided<CommandError>>,
    failed: &[Failed],
) -> Vec<Entry> {
    let (mut left, mut is_told) = (Vec::new(), false);
    for one in entered {
        if failed.iter().any(|failed| one.entry.batch.names(&failed.key)) {
            one.entry.told(Err(CommandError::LOST_RACE));
            is_told = true;
        } else {
            left.push((one.entry, one.touched));
        }
    }
    left.extend(refused.into_iter().map(|one| (one.entry, one.touched)));
    let clashes = |(_, touched): &(Entry, Touched)| touched.is_among(core, failed);
    // Where it is nobody's, everybody waits, so that nothing goes round without end.
    let is_anybodys = is_told || left.iter().any(clashes);
    let mut again = Vec::with_capacity(left.len());
    for mut one in left {
        if is_anybodys && !clashes(&one) {
            again.push(one.0);
            continue;
        }
        match one.0.lost.again(core) {
            None => again.push(one.0),
            Some(attempts) => one.0.told(Err(CommandError::Contended { attempts })),
        }
    }
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
            Err(refused) => composed.refused.push(Decided {
                entry,
                answer: told(refused),
                touched: sheet.touched(),
            }),
            Ok(_) if !composed.draft.batch().join(&entry.batch) => {
                sheet.undo();
                if composed.entered.is_empty() {
                    // Not even alone.
                    let limit = "BATCH_OPERATIONS_MAX";
                    composed.refused.push(Decided {
                        entry,
                        answer: CommandError::TooLarge { limit },
                        touched: Touched::default(),
                    });
                } else {
                    composed.later.push(entry);
                }
            }
            Ok(answer) => composed.entered.push(Decided {
                entry,
                answer,
                touched: sheet.touched(),
            }),
        }
    }
    composed.freed = sheet.freed;
    match sheet.stage(core, &mut composed.draft).await {
        Ok(()) => Ok(composed),
        Err(error) => {
            let entered = composed.entered.into_iter().map(|one| one.entry);
            let refused = composed.refused.into_iter().map(|one| one.entry);
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

fn answer(entered: Vec<Decided<Vec<Moved>>>, refused: Vec<Decided<CommandError>>, version: Option<Version>) {
    // Where nobody waits any more, it is done all the same.
    for one in entered {
        let moved = one.answer;
        one.entry.told(Ok(Entered { version, moved }));
    }
    for one in refused {
        one.entry.told(Err(one.answer));
    }
}

fn tell_all(group: impl IntoIterator<Item = Entry>, error: &CommandError) {
    for entry in group {
        let same = the_same(error, Some(entry.mover.op));
        entry.told(Err(same));
    }
}
