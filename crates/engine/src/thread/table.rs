//! The states of messages and threads (stores.md, section 9): tables as data, and what reads them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Decision, Reason};

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// It is there, and nothing was done about it.
    Accepted,
    /// It waits for the turns before it.
    Queued,
    /// Its turn was given to the agent.
    Submitted,
    /// A run is writing it.
    Draft,
    /// Its content is final.
    Final,
    /// It was not taken up, since a run was at the thread.
    RejectedBusy,
    /// The run that wrote it ended before it was final.
    Interrupted,
    /// Another stands for it.
    Superseded,
    /// Its content is gone.
    Redacted,
    /// It is gone, but for its place.
    Deleted,
}

impl MessageStatus {
    /// Every status, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Queued,
        Self::Submitted,
        Self::Draft,
        Self::Final,
        Self::RejectedBusy,
        Self::Interrupted,
        Self::Superseded,
        Self::Redacted,
        Self::Deleted,
    ];

    /// The status' word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Submitted => "submitted",
            Self::Draft => "draft",
            Self::Final => "final",
            Self::RejectedBusy => "rejected_busy",
            Self::Interrupted => "interrupted",
            Self::Superseded => "superseded",
            Self::Redacted => "redacted",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for MessageStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What can happen to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageEvent {
    /// It is to wait for the turns before it.
    Queue,
    /// Its turn is given to the agent.
    Submit,
    /// It is not taken up, since a run is at the thread.
    RejectBusy,
    /// Its run goes on writing it.
    Update,
    /// Its run has written it.
    Finalise {
        /// Whether this very content was final before.
        is_replay: bool,
    },
    /// Its run ended before it was final.
    Interrupt,
    /// Another stands for it.
    Supersede,
    /// Its content is to go.
    Redact,
    /// It is to go.
    Delete,
}

impl MessageEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Queue,
        Self::Submit,
        Self::RejectBusy,
        Self::Update,
        Self::Finalise { is_replay: false },
        Self::Finalise { is_replay: true },
        Self::Interrupt,
        Self::Supersede,
        Self::Redact,
        Self::Delete,
    ];

    /// The event's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Submit => "submit",
            Self::RejectBusy => "reject_busy",
            Self::Update => "update",
            Self::Finalise { .. } => "finalise",
            Self::Interrupt => "interrupt",
            Self::Supersede => "supersede",
            Self::Redact => "redact",
            Self::Delete => "delete",
        }
    }
}

/// A cell of the table of messages.
#[derive(Clone, Copy)]
enum Cell {
    /// It moves there.
    To(MessageStatus),
    /// Applied; it stays where it is.
    Stays,
    /// Nothing changes, and that is right.
    I(Reason),
    /// Nothing changes, and the asker is told so.
    X(Reason),
}

/// What becomes of a message: a row for each status, a column for each event, in the order of their `ALL`.
#[rustfmt::skip]
const TABLE: [[Cell; 10]; 10] = {
    use Cell::{I, Stays, To, X};
    use MessageStatus::{Deleted, Final, Interrupted, Queued, Redacted, RejectedBusy, Submitted, Superseded};
    use Reason::{End, Final as Done, Late, Replay, Same, State};
    const SUP: Cell = To(Superseded);
    const RED: Cell = To(Redacted);
    const DEL: Cell = To(Deleted);
    [
        /* accepted */      [To(Queued), To(Submitted), To(RejectedBusy), X(State), X(State), X(State), X(State), SUP, RED, DEL],
        /* queued */        [I(Same), To(Submitted), To(RejectedBusy), X(State), X(State), X(State), X(State), SUP, RED, DEL],
        /* submitted */     [I(Late), I(Same), X(State), X(State), X(State), X(State), X(State), SUP, RED, DEL],
        /* draft */         [X(State), X(State), X(State), Stays, To(Final), To(Final), To(Interrupted), SUP, RED, DEL],
        /* final */         [X(State), X(State), X(State), X(Done), X(Done), I(Replay), I(Late), SUP, RED, DEL],
        /* rejected_busy */ [X(End), X(End), I(Same), X(End), X(End), X(End), X(End), SUP, RED, DEL],
        /* interrupted */   [X(End), X(End), X(End), X(End), X(End), X(End), I(Same), SUP, RED, DEL],
        /* superseded */    [X(End), X(End), X(End), X(End), X(End), X(End), X(End), I(Same), RED, DEL],
        /* redacted */      [X(End), X(End), X(End), X(End), X(End), X(End), X(End), X(End), I(Same), DEL],
        /* deleted */       [X(End), X(End), X(End), X(End), X(End), X(End), X(End), X(End), I(Late), I(Same)],
    ]
};

/// What becomes of a message of this status.
#[must_use]
pub fn decide(status: MessageStatus, event: MessageEvent) -> Decision<MessageStatus> {
    let row = MessageStatus::ALL.iter().position(|other| *other == status);
    let column = MessageEvent::ALL.iter().position(|other| *other == event);
    let (row, column) = row
        .zip(column)
        .expect("every status and every event is in its list");
    match TABLE[row][column] {
        Cell::To(next) => Decision::Apply(next),
        Cell::Stays => Decision::Same,
        Cell::I(reason) => Decision::Ignore(reason),
        Cell::X(reason) => Decision::Reject(reason),
    }
}

/// Where a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadState {
    /// It takes messages.
    Open,
    /// It takes none, and is kept.
    Closed,
    /// It is gone: this is its tombstone.
    Deleted,
}

impl ThreadState {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Open, Self::Closed, Self::Deleted];

    /// The state's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Deleted => "deleted",
        }
    }
}

/// What can happen to a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadEvent {
    /// It is made.
    Create,
    /// A message comes.
    Append,
    /// It is to take no more messages.
    Close,
    /// It is to go.
    Delete {
        /// Whether a turn is under way.
        has_turn: bool,
    },
}

impl ThreadEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Append,
        Self::Close,
        Self::Delete { has_turn: false },
        Self::Delete { has_turn: true },
    ];

    /// The event's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Append => "append",
            Self::Close => "close",
            Self::Delete { .. } => "delete",
        }
    }
}

/// What becomes of a thread in this state; none for one that never was.
#[must_use]
pub fn decide_thread(state: Option<ThreadState>, event: ThreadEvent) -> Decision<ThreadState> {
    use Decision::{Apply, Ignore, Reject, Same};
    use ThreadEvent as E;
    use ThreadState as S;
    match (state, event) {
        (None | Some(S::Deleted), E::Create) => Apply(S::Open),
        (None, E::Append | E::Close | E::Delete { .. }) => Reject(Reason::Missing),
        (Some(S::Open | S::Closed), E::Create) => Reject(Reason::Exists),
        (Some(S::Open), E::Append) => Same,
        (Some(S::Open), E::Close) => Apply(S::Closed),
        (Some(S::Closed), E::Append) => Reject(Reason::State),
        (Some(S::Closed), E::Close) => Ignore(Reason::Same),
        (Some(S::Open | S::Closed), E::Delete { has_turn: false }) => Apply(S::Deleted),
        (Some(S::Open | S::Closed), E::Delete { has_turn: true }) => Reject(Reason::Run),
        (Some(S::Deleted), E::Append | E::Close) => Reject(Reason::Missing),
        (Some(S::Deleted), E::Delete { .. }) => Ignore(Reason::Same),
    }
}
