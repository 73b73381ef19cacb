//! Where a gate meets its session: the session hears of it, and its row is in the same commit.

use dormouse_filesystem::{Namespace, Tenant};
use dormouse_state::{Answer, Command, Observed};

use super::InTurn;
use crate::draft::Draft;
use crate::session::{Input, Moved, Whom, apply};
use crate::{CommandError, GateId};

/// What a session is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word<'a> {
    /// What was seen.
    Event(&'a Observed),
    /// What the engine says.
    Command(&'a Command),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Heard {
    /// There is no such session.
    Unknown,
    /// It began another life.
    Stale {
        /// Which.
        current: u32,
    },
    /// It answered, and is in this turn now.
    Answered {
        /// How.
        answer: Answer,
        /// The number of the turn.
        turn: u32,
    },
}

/// Tells a session something, and stages what it makes of it: its row, its history, its events, and the end of gates
/// other than `own`.
pub(super) async fn tell_session(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    turn: InTurn,
    word: Word<'_>,
    own: Option<GateId>,
) -> Result<Heard, CommandError> {
    let whom = Whom {
        session: turn.session,
        incarnation: Some(turn.incarnation),
        gate: own,
    };
    let input = match word {
        Word::Event(observed) => Input::Observed(observed),
        Word::Command(command) => Input::Command(command),
    };
    Ok(match apply(space, draft, whom, input).await? {
        Moved::Unknown => Heard::Unknown,
        Moved::Stale(current) => Heard::Stale { current },
        Moved::Not(answer, now) | Moved::To(answer, now) => Heard::Answered {
            answer,
            turn: now.turn,
        },
    })
}
