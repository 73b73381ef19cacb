//! How a session is moved in a commit: its row, its history, its events and what it means for its gates.

use dormouse_filesystem::{Namespace, Tenant};
use dormouse_state::{Answer, Command, Observed};

use super::live::Newest;
use super::told::tell_applied;
use crate::draft::Draft;
use crate::gate::follow_session;
use crate::{CommandError, GateId, SessionId};

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

/// Who is told, by whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whom {
    /// The session.
    pub(crate) session: SessionId,
    /// In which life; none for whichever it is in.
    pub(crate) incarnation: Option<u32>,
    /// The gate whose own commit this is.
    pub(crate) gate: Option<GateId>,
}

impl Whom {
    /// The session, in whichever life it is.
    pub(crate) fn any(session: SessionId) -> Self {
        Self {
            session,
            incarnation: None,
            gate: None,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Moved {
    /// There is no such session.
    Unknown,
    /// It is in this other life.
    Stale(u32),
    /// Nothing is to be written.
    Not(Answer, Now),
    /// The row is staged: its state changed, or how far a source was read.
    To(Answer, Now),
}

/// Where a session stands after an input.
#[derive(Debug, Clone)]
pub(crate) struct Now {
    /// The number of its turn.
    pub(crate) turn: u32,
    /// Which of its lives it is in.
    pub(crate) incarnation: u32,
    /// The run that is bound, if one is.
    pub(crate) run: Option<crate::RunId>,
}

/// Tells a session something, and stages what it makes of it.
pub(crate) async fn apply(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    whom: Whom,
    input: Input<'_>,
) -> Result<Moved, CommandError> {
    let Some(read) = Newest::read(space, whom.session).await? else {
        return Ok(Moved::Unknown);
    };
    let current = read.row.state.incarnation;
    if whom.incarnation.is_some_and(|wanted| wanted != current) {
        return Ok(Moved::Stale(current));
    }
    let now = draft.now();
    let mut session = read.session(draft.session_options(), now)?;
    let answer = match input {
        Input::Observed(observed) => session.observe(observed, now),
        Input::Command(command) => session.command(command, now),
        Input::Clock => session.handle_timeout(now),
    };
    let stands = Now {
        turn: session.view().turn.number,
        incarnation: session.view().incarnation,
        run: session
            .view()
            .run
            .as_ref()
            .and_then(|run| run.as_str().parse().ok()),
    };
    if session.view() == read.state() {
        return Ok(Moved::Not(answer, stands));
    }
    let row = read.stage(space, draft, session.view()).await?;
    if let Answer::Applied(applied) = &answer {
        tell_applied(space, draft, &row, applied)?;
        follow_session(space, draft, whom.session, &applied.effects, whom.gate).await?;
    }
    Ok(Moved::To(answer, stands))
}
