//! What becomes of a wake row: the table of workers.md, section 5, cell by cell.

use super::WakeState;
use crate::{Decision, Reason};

/// What happens to a wake row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeEvent {
    /// There is something to do.
    Ring,
    /// A process is at the lane from here on.
    Pick,
    /// That process found nothing ready.
    Drained,
    /// There is only later work.
    Next,
    /// The agent may run no more at once.
    Full,
    /// A place is free.
    Freed,
    /// The process that picked it is not heard of any more.
    PickExpired,
    /// The agent is paused.
    Pause,
    /// It is resumed.
    Resume,
    /// It is deleted.
    Delete,
}

impl WakeEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Ring,
        Self::Pick,
        Self::Drained,
        Self::Next,
        Self::Full,
        Self::Freed,
        Self::PickExpired,
        Self::Pause,
        Self::Resume,
        Self::Delete,
    ];

    /// The event's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Pick => "pick",
            Self::Drained => "drained",
            Self::Next => "next",
            Self::Full => "full",
            Self::Freed => "freed",
            Self::PickExpired => "pick_expired",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Delete => "delete",
        }
    }
}

/// What a decision depends on, besides the state and the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WakeFacts {
    /// Its time has not come.
    pub is_early: bool,
    /// It was rung since it was picked.
    pub again: bool,
    /// Its agent is paused.
    pub is_paused: bool,
}

/// A cell of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Due,
    /// `due; held if paused`
    DueOrHeld,
    /// `picked; i:early`
    Picked,
    /// `absent; again: due`
    AbsentOrDue,
    Full,
    Held,
    Absent,
    Same,
    Ignore(Reason),
    Reject(Reason),
}

const fn i(reason: Reason) -> Cell {
    Cell::Ignore(reason)
}

const fn x(reason: Reason) -> Cell {
    Cell::Reject(reason)
}

/// The table of the page: `TABLE[row][column]`, the row of an absent one first.
#[rustfmt::skip]
const TABLE: [[Cell; 10]; 5] = {
    use Cell::{AbsentOrDue, Absent as Gone, Due, DueOrHeld, Full, Held, Picked, Same as S};
    use Reason::{Absent, Held as AtRest, NotFull, NotHeld, Picked as Taken, Full as NoRoom, Same, Unpicked};
    [
        // ring      pick        drained       next        full          freed       pick expired  pause       resume      delete
        [DueOrHeld,  i(Absent),  i(Absent),    Due,        i(Absent),    i(Absent),  i(Absent),    i(Absent),  i(Absent),  i(Absent)],
        [S,          Picked,     x(Unpicked),  S,          x(Unpicked),  i(NotFull), i(Unpicked),  Held,       i(NotHeld), Gone],
        [S,          i(Taken),   AbsentOrDue,  Due,        Full,         S,          Due,          Held,       i(NotHeld), Gone],
        [S,          i(NoRoom),  x(Unpicked),  i(NoRoom),  i(Same),      Due,        i(Unpicked),  Held,       i(NotHeld), Gone],
        [S,          i(AtRest),  x(Unpicked),  S,          x(Unpicked),  i(AtRest),  i(Unpicked),  i(Same),    Due,        Gone],
    ]
};

/// What becomes of a wake row; none is no row.
#[must_use]
pub fn decide(state: Option<WakeState>, event: WakeEvent, facts: WakeFacts) -> Decision<Option<WakeState>> {
    let row = state.map_or(0, |state| 1 + state as usize);
    match TABLE[row][event as usize] {
        Cell::DueOrHeld if facts.is_paused => Decision::Apply(Some(WakeState::Held)),
        Cell::Picked if facts.is_early => Decision::Ignore(Reason::Early),
        Cell::AbsentOrDue if facts.again => Decision::Apply(Some(WakeState::Due)),
        Cell::Due | Cell::DueOrHeld => Decision::Apply(Some(WakeState::Due)),
        Cell::Picked => Decision::Apply(Some(WakeState::Picked)),
        Cell::Full => Decision::Apply(Some(WakeState::Full)),
        Cell::Held => Decision::Apply(Some(WakeState::Held)),
        Cell::Absent | Cell::AbsentOrDue => Decision::Apply(None),
        Cell::Same => Decision::Same,
        Cell::Ignore(reason) => Decision::Ignore(reason),
        Cell::Reject(reason) => Decision::Reject(reason),
    }
}
