//! The states of a task (stores.md, section 5): the table as data, and what reads it.

use jiff::Timestamp;

use super::settle::{Counters, Settled, settle_lapse, settle_outcome};
use super::{TaskState, Wait};
use crate::outcome::Outcome;
use crate::run::{Checkpoint, StopReason};
use crate::{Decision, Reason};

/// What can happen to a task, except that it is deleted ([`decide_delete`]).
#[derive(Debug, Clone, PartialEq)]
pub enum TaskEvent<'a> {
    /// Somebody approves it.
    Approve,
    /// Somebody refuses it.
    Refuse,
    /// It is put aside.
    Shelve,
    /// It is taken up again.
    Enqueue,
    /// A run claims it.
    Claim,
    /// Its run waits for something.
    Park(Wait),
    /// What it waited for is there.
    Due,
    /// Its run ended.
    Finish {
        /// How.
        outcome: &'a Outcome,
        /// The run's last checkpoint.
        checkpoint: &'a Checkpoint,
    },
    /// Its run's holder vanished.
    Lapse(Lapse<'a>),
    /// It is called off.
    Cancel,
    /// It is to be tried again.
    Retry,
    /// It is given to another agent.
    Assign,
    /// Its text or metadata is changed.
    Edit,
}

/// How a run lapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lapse<'a> {
    /// The run's last checkpoint.
    pub checkpoint: &'a Checkpoint,
    /// Why it was being stopped, if it was.
    pub stop: Option<&'a StopReason>,
    /// Whether the holder is proven dead, so that it can do nothing more.
    pub holder_is_dead: bool,
    /// How long a holder that is not known to be dead may be at work still: as long as a lease lives.
    pub lease_ttl: std::time::Duration,
}

/// What a decision on a task depends on, besides its state and the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskFacts {
    /// The time of the command.
    pub now: Timestamp,
    /// Not to be tried before.
    pub not_before: Option<Timestamp>,
    /// Whether tasks it depends on are still open.
    pub has_open_dependencies: bool,
    /// Whether policy still wants an approval.
    pub needs_approval: bool,
    /// Whether a run of it is parked.
    pub has_parked_run: bool,
    /// What was counted so far.
    pub counters: Counters,
    /// A random number: the jitter of a delay is made of it.
    pub roll: u64,
}

/// The task is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// The rows of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    PendingApproval,
    Backlog,
    Ready,
    Running,
    Waiting,
    Ended,
}

/// The columns of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Approve,
    Refuse,
    Shelve,
    Enqueue,
    Claim,
    Park,
    Due,
    Finish,
    Lapse,
    Cancel,
    Retry,
    Assign,
    Edit,
    Delete,
}

/// A cell of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// `R¹`: waiting while dependencies are open or its time has not come.
    ReadyOrWait,
    /// `R¹⁴`: pending while an approval is due, else as `R¹`.
    ReadyOrPending,
    /// `R³`: from a time only.
    ReadyFromTime,
    /// `R⁶`: not from done.
    ReadyAgain,
    Backlog,
    /// `B⁵`
    BacklogUnparked,
    Running,
    Parked,
    /// W, `due`: ready, unless it came early; `R¹` when it waited for tasks.
    Due,
    Cancelled,
    TableB,
    TableC,
    Same,
    /// `·⁵`
    SameUnparked,
    Gone,
    /// `gone⁵`
    GoneUnparked,
    Ignore(Reason),
    Reject(Reason),
}

const fn i(reason: Reason) -> Cell {
    Cell::Ignore(reason)
}

const fn x(reason: Reason) -> Cell {
    Cell::Reject(reason)
}

/// The table of the page, cell by cell: `TABLE[row][column]`.
#[rustfmt::skip]
const TABLE: [[Cell; 14]; 6] = {
    use Cell::*;
    use Reason::{End, Fenced, Late, Live, Lost, Run, Same as S, State};
    [
        // approve        refuse     shelve           enqueue         claim     park       due      finish     lapse    cancel     retry          assign        edit    delete
        [ReadyOrWait,     Cancelled, Backlog,         x(State),       x(State), x(State),  i(Late), x(Fenced), i(Late), Cancelled, x(Live),       Same,         Same,   Gone],
        [x(State),        x(State),  i(S),            ReadyOrPending, x(State), x(State),  i(Late), x(Fenced), i(Late), Cancelled, x(Live),       SameUnparked, Same,   GoneUnparked],
        [i(S),            x(State),  Backlog,         i(S),           Running,  x(State),  i(Late), x(Fenced), i(Late), Cancelled, x(Live),       SameUnparked, Same,   GoneUnparked],
        [i(S),            x(State),  x(Run),          i(S),           x(Lost),  Parked,    i(Late), TableB,    TableC,  Same,      x(Live),       x(Run),       Same,   x(Run)],
        [i(S),            x(State),  BacklogUnparked, ReadyFromTime,  x(Lost),  i(S),      Due,     x(Fenced), i(Late), Cancelled, ReadyFromTime, SameUnparked, Same,   GoneUnparked],
        [x(End),          x(End),    x(End),          x(End),         x(Lost),  x(Fenced), i(Late), x(Fenced), i(Late), i(Late),   ReadyAgain,    x(End),       x(End), Gone],
    ]
};

/// What becomes of a task.
#[must_use]
pub fn decide(state: &TaskState, event: &TaskEvent<'_>, facts: &TaskFacts) -> Decision<Settled> {
    let to = |state: TaskState| {
        Decision::Apply(Settled {
            state,
            counters: facts.counters,
        })
    };
    match cell(row(state), column(event)) {
        Cell::ReadyOrWait => to(ready_or_wait(facts)),
        Cell::ReadyOrPending if facts.needs_approval => to(TaskState::PendingApproval),
        Cell::ReadyOrPending => to(ready_or_wait(facts)),
        Cell::ReadyFromTime => from_time(state, retried(event, facts)),
        Cell::ReadyAgain => again(state, facts),
        Cell::Backlog => to(TaskState::Backlog),
        Cell::BacklogUnparked | Cell::SameUnparked if facts.has_parked_run => Decision::Reject(Reason::Run),
        Cell::BacklogUnparked => to(TaskState::Backlog),
        Cell::Running => to(TaskState::Running),
        Cell::Parked => to(parked(event)),
        Cell::Due => due(state, facts),
        Cell::Cancelled => to(TaskState::Cancelled),
        Cell::TableB | Cell::TableC => settled(event, facts),
        Cell::Same | Cell::SameUnparked => Decision::Same,
        Cell::Ignore(reason) => Decision::Ignore(reason),
        Cell::Reject(reason) => Decision::Reject(reason),
        Cell::Gone | Cell::GoneUnparked => unreachable!("only the column of delete has these cells"),
    }
}

/// Whether a task may be deleted.
#[must_use]
pub fn decide_delete(state: &TaskState, facts: &TaskFacts) -> Decision<Gone> {
    match cell(row(state), Column::Delete) {
        Cell::GoneUnparked if facts.has_parked_run => Decision::Reject(Reason::Run),
        Cell::Gone | Cell::GoneUnparked => Decision::Apply(Gone),
        Cell::Reject(reason) => Decision::Reject(reason),
        other => unreachable!("the column of delete has no cell {other:?}"),
    }
}

/// The state of a new task that policy lets through and nobody put aside, and of one that is approved.
#[must_use]
pub fn ready_or_wait(facts: &TaskFacts) -> TaskState {
    if facts.has_open_dependencies {
        return TaskState::Waiting { on: Wait::Tasks };
    }
    match facts.not_before {
        Some(until) if facts.now < until => TaskState::Waiting {
            on: Wait::Until { until },
        },
        _ => TaskState::Ready,
    }
}

fn cell(row: Row, column: Column) -> Cell {
    TABLE[row as usize][column as usize]
}

pub(super) fn row(state: &TaskState) -> Row {
    match state {
        TaskState::PendingApproval => Row::PendingApproval,
        TaskState::Backlog => Row::Backlog,
        TaskState::Ready => Row::Ready,
        TaskState::Running => Row::Running,
        TaskState::Waiting { .. } => Row::Waiting,
        TaskState::Done { .. } | TaskState::Failed { .. } | TaskState::Quarantined | TaskState::Cancelled => {
            Row::Ended
        }
    }
}

fn column(event: &TaskEvent<'_>) -> Column {
    match event {
        TaskEvent::Approve => Column::Approve,
        TaskEvent::Refuse => Column::Refuse,
        TaskEvent::Shelve => Column::Shelve,
        TaskEvent::Enqueue => Column::Enqueue,
        TaskEvent::Claim => Column::Claim,
        TaskEvent::Park(_) => Column::Park,
        TaskEvent::Due => Column::Due,
        TaskEvent::Finish { .. } => Column::Finish,
        TaskEvent::Lapse(_) => Column::Lapse,
        TaskEvent::Cancel => Column::Cancel,
        TaskEvent::Retry => Column::Retry,
        TaskEvent::Assign => Column::Assign,
        TaskEvent::Edit => Column::Edit,
    }
}

impl TaskEvent<'_> {
    /// The event's word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match column(self) {
            Column::Approve => "approve",
            Column::Refuse => "refuse",
            Column::Shelve => "shelve",
            Column::Enqueue => "enqueue",
            Column::Claim => "claim",
            Column::Park => "park",
            Column::Due => "due",
            Column::Finish => "finish",
            Column::Lapse => "lapse",
            Column::Cancel => "cancel",
            Column::Retry => "retry",
            Column::Assign => "assign",
            Column::Edit => "edit",
            Column::Delete => "delete",
        }
    }
}

/// Taking a task up from its wait keeps what was counted; retrying it starts afresh.
fn retried(event: &TaskEvent<'_>, facts: &TaskFacts) -> Counters {
    match event {
        TaskEvent::Retry => Counters::default(),
        _ => facts.counters,
    }
}

fn from_time(state: &TaskState, counters: Counters) -> Decision<Settled> {
    match state {
        TaskState::Waiting {
            on: Wait::Gate { .. },
        } => Decision::Reject(Reason::Gate),
        TaskState::Waiting { on: Wait::Tasks } => Decision::Reject(Reason::Tasks),
        _ => Decision::Apply(Settled {
            state: TaskState::Ready,
            counters,
        }),
    }
}

fn again(state: &TaskState, facts: &TaskFacts) -> Decision<Settled> {
    match state {
        TaskState::Done { .. } => Decision::Reject(Reason::End),
        // Another task than the one that ended it.
        _ if facts.has_open_dependencies => Decision::Apply(Settled {
            state: TaskState::Waiting { on: Wait::Tasks },
            counters: Counters::default(),
        }),
        _ => from_time(state, retried(&TaskEvent::Retry, facts)),
    }
}

fn due(state: &TaskState, facts: &TaskFacts) -> Decision<Settled> {
    match state {
        TaskState::Waiting {
            on: Wait::Until { until },
        } if facts.now < *until => Decision::Ignore(Reason::Early),
        TaskState::Waiting { on: Wait::Tasks } if facts.has_open_dependencies => {
            Decision::Ignore(Reason::Early)
        }
        TaskState::Waiting { on: Wait::Tasks } => Decision::Apply(Settled {
            state: ready_or_wait(facts),
            counters: facts.counters,
        }),
        _ => Decision::Apply(Settled {
            state: TaskState::Ready,
            counters: facts.counters,
        }),
    }
}

fn parked(event: &TaskEvent<'_>) -> TaskState {
    match event {
        TaskEvent::Park(wait) => TaskState::Waiting { on: *wait },
        other => unreachable!("{other:?} does not park"),
    }
}

fn settled(event: &TaskEvent<'_>, facts: &TaskFacts) -> Decision<Settled> {
    match event {
        TaskEvent::Finish { outcome, checkpoint } => {
            Decision::Apply(settle_outcome(outcome, checkpoint, facts))
        }
        TaskEvent::Lapse(lapse) => Decision::Apply(settle_lapse(*lapse, facts)),
        other => unreachable!("{other:?} settles nothing"),
    }
}
