//! Where a gate meets its session: the session hears of it, and its row is in the same commit.

use dormouse_filesystem::{Namespace, Records, Tenant};
use dormouse_state::{Answer, Command, Observed};

use super::InTurn;
use super::resolve::follow_session;
use crate::draft::Draft;
use crate::session::{SessionRow, Told};
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
    let rows = Records::<SessionRow>::new(space);
    let Some(read) = rows.get(&turn.session).await? else {
        return Ok(Heard::Unknown);
    };
    let mut session = read.session(draft.now())?;
    let current = session.view().incarnation;
    if current != turn.incarnation {
        return Ok(Heard::Stale { current });
    }
    let answer = match word {
        Word::Event(observed) => session.observe(observed, draft.now()),
        Word::Command(command) => session.command(command, draft.now()),
    };
    if let Answer::Applied(applied) = &answer {
        let row = SessionRow {
            state: session.snapshot(),
            updated_at: draft.now(),
            op: draft.op(),
            ..SessionRow::clone(&read)
        };
        rows.stage_replace(draft.batch(), &read, &row).await?;
        let mut told = Told::default();
        told.add(answer.clone());
        told.tell(space, draft, &row)?;
        follow_session(space, draft, turn.session, &applied.effects, own).await?;
    }
    let turn = session.view().turn.number;
    Ok(Heard::Answered { answer, turn })
}
