//! How a session is moved in a commit: its row, its history, its events and what it means for its gates.

use dormouse_filesystem::{Namespace, Records, Tenant, Versioned};
use dormouse_state::{Answer, Command, Observed, Session};

use super::{SessionRow, Told};
use crate::draft::Draft;
use crate::gate::follow_session;
use crate::{CommandError, SessionId};

/// What a session is told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'a> {
    /// What was seen.
    Observed(&'a Observed),
    /// What the engine says.
    Command(&'a Command),
    /// The time of the draft.
    Clock,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Moved {
    /// There is no such session.
    Unknown,
    /// Nothing is to be written.
    Not(Answer),
    /// The row is staged: its state changed, or how far a source was read.
    To(Answer),
}

/// Tells a session something, and stages what it makes of it.
pub(crate) async fn apply(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    id: SessionId,
    input: Input<'_>,
) -> Result<Moved, CommandError> {
    let Some(read) = Records::<SessionRow>::new(space).get(&id).await? else {
        return Ok(Moved::Unknown);
    };
    let mut session = read.session(draft.now())?;
    let answer = match input {
        Input::Observed(observed) => session.observe(observed, draft.now()),
        Input::Command(command) => session.command(command, draft.now()),
        Input::Clock => session.handle_timeout(draft.now()),
    };
    if matches!(input, Input::Clock) && answer.applied().is_none() || *session.view() == read.state {
        return Ok(Moved::Not(answer));
    }
    let row = stage(space, draft, &read, &session).await?;
    if let Answer::Applied(applied) = &answer {
        let mut told = Told::default();
        told.add(answer.clone());
        told.tell(space, draft, &row)?;
        follow_session(space, draft, id, &applied.effects, None).await?;
    }
    Ok(Moved::To(answer))
}

/// Stages the row at this state.
pub(super) async fn stage(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    read: &Versioned<SessionRow>,
    session: &Session,
) -> Result<SessionRow, CommandError> {
    let row = SessionRow {
        state: session.snapshot(),
        updated_at: draft.now(),
        op: draft.op(),
        ..SessionRow::clone(read)
    };
    let rows = Records::<SessionRow>::new(space);
    rows.stage_replace(draft.batch(), read, &row).await?;
    Ok(row)
}
