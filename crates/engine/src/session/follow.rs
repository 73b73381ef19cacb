//! How a session follows its runs.

use async_trait::async_trait;
use dormouse_filesystem::{Namespace, Records, Tenant, Versioned};
use dormouse_state::{
    Answer, Command, Effect, Event, Evidence, FailedRunGates, Observed, Options, Phase, Position, RunEnd,
    Session, SourceId, Step,
};
use jiff::Timestamp;

use super::SessionRow;
use crate::event::Change;
use crate::outcome::Outcome;
use crate::run::{Companion, Run, RunState, is_tried_again};
use crate::{CommandError, Draft, SessionId};

/// The longest history entry is an edge; the log's name below the session's id.
const HISTORY: &str = "history";

/// Lets sessions follow the runs that name one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sessions;

#[async_trait]
impl Companion for Sessions {
    async fn follow(
        &self,
        tenant: &Namespace<Tenant>,
        draft: &mut Draft,
        before: Option<&Run>,
        after: &Run,
        outcome: Option<&Outcome>,
    ) -> Result<(), CommandError> {
        let Some(id) = after.session else { return Ok(()) };
        let rows = Records::<SessionRow>::new(tenant);
        let read = rows.get(&id).await?;
        let (mut row, mut session) = match &read {
            Some(read) => (SessionRow::clone(read), read.session(draft.now())?),
            None => begin(draft, id, after)?,
        };
        let mut told = Told::default();
        let ended = match outcome {
            Some(outcome) => Some(end_of(outcome, is_tried_again(tenant, after, outcome).await?)),
            None => None,
        };
        hear(&mut session, &mut told, draft.now(), before, after, ended);
        if read.is_some() && told.is_empty() {
            return Ok(());
        }
        (row.state, row.updated_at, row.op) = (session.snapshot(), draft.now(), draft.op());
        stage(&rows, draft, read.as_ref(), &row).await?;
        told.tell(tenant, draft, &row)?;
        for applied in &told.0 {
            crate::gate::follow_session(tenant, draft, id, &applied.effects, None).await?;
        }
        Ok(())
    }
}

async fn stage(
    rows: &Records<SessionRow>,
    draft: &mut Draft,
    read: Option<&Versioned<SessionRow>>,
    row: &SessionRow,
) -> Result<(), CommandError> {
    match read {
        None => rows.stage_create(draft.batch(), row)?,
        Some(read) => rows.stage_replace(draft.batch(), read, row).await?,
    }
    Ok(())
}

/// The session of a first run begins with it.
fn begin(draft: &mut Draft, id: SessionId, run: &Run) -> Result<(SessionRow, Session), CommandError> {
    let session = Session::new(Options::default(), draft.now());
    let row = SessionRow {
        id,
        agent: run.agent.clone(),
        agent_incarnation: run.agent_incarnation,
        state: session.snapshot(),
        created_at: draft.now(),
        updated_at: draft.now(),
        op: draft.op(),
    };
    draft.tell(&row.about(), &Change::SessionCreated {})?;
    Ok((row, session))
}

/// What the change of a run says to its session.
fn hear(
    session: &mut Session,
    told: &mut Told,
    now: Timestamp,
    before: Option<&Run>,
    after: &Run,
    ended: Option<RunEnd>,
) {
    let run = dormouse_state::RunId::new(after.id.to_string());
    if before.is_none() {
        // A later attempt goes on with the turn that its lost run left waiting for a person.
        if session.view().turn.phase != Phase::Running {
            told.add(session.command(&Command::BeginTurn { expected_turn: None }, now));
        }
        told.add(session.command(&Command::BindRun { run: run.clone() }, now));
    }
    let has_begun = before.is_some_and(|before| before.state == RunState::Starting);
    if has_begun && after.state == RunState::Running {
        // A command has no stream that says more: its process being there is all that is known of its work.
        let working = Event::Working {
            call: None,
            step: Step::Started,
        };
        let place = Position {
            spawn: after.spawn,
            seq: 1,
        };
        told.add(session.observe(&seen(session, &run, place, working, now), now));
    }
    if after.state == RunState::Waiting && before.is_some_and(|before| before.state != RunState::Waiting) {
        told.add(session.command(&Command::RunParked { run: run.clone() }, now));
    }
    if let Some(end) = ended {
        told.add(session.command(&Command::RunEnded { run, end }, now));
    }
}

fn seen(
    session: &Session,
    run: &dormouse_state::RunId,
    position: Position,
    event: Event,
    now: Timestamp,
) -> Observed {
    Observed {
        incarnation: session.view().incarnation,
        run: Some(run.clone()),
        source: SourceId::new("supervisor"),
        position,
        subagent: false,
        starts_turn: false,
        evidence: Evidence::Formal,
        at: now,
        event,
    }
}

fn end_of(outcome: &Outcome, is_tried_again: bool) -> RunEnd {
    match outcome {
        Outcome::Success { .. } | Outcome::Partial { .. } => RunEnd::Ok,
        Outcome::Cancelled { .. } => RunEnd::Cancelled,
        Outcome::Failed { message, .. } => failed(outcome.name(), message.as_str()),
        Outcome::Lost { .. } if is_tried_again => RunEnd::Failed {
            reason: outcome.name().to_owned(),
            text: String::new(),
            gates: FailedRunGates::Keep,
        },
        Outcome::Blocked { .. } | Outcome::Timeout { .. } | Outcome::Lost { .. } => {
            failed(outcome.name(), "")
        }
    }
}

fn failed(reason: &str, text: &str) -> RunEnd {
    RunEnd::Failed {
        reason: reason.to_owned(),
        text: text.to_owned(),
        gates: FailedRunGates::Invalidate,
    }
}

/// What a session answered, gathered to be told in the commit.
#[derive(Default)]
pub(crate) struct Told(Vec<dormouse_state::Applied>);

impl Told {
    /// What was ignored or rejected changed nothing: a run is the engine's own word, so there is nobody to tell.
    pub(crate) fn add(&mut self, answer: Answer) {
        if let Answer::Applied(applied) = answer {
            self.0.push(applied);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn tell(
        &self,
        tenant: &Namespace<Tenant>,
        draft: &mut Draft,
        row: &SessionRow,
    ) -> Result<(), CommandError> {
        let name = [
            crate::id::segment("session"),
            crate::id::segment(&row.id.to_string()),
            crate::id::segment(HISTORY),
        ];
        let history = tenant.log(&name);
        for applied in &self.0 {
            for edge in &applied.edges {
                let entry = serde_json::to_vec(edge).expect("an edge is plain data");
                draft.batch().append(&history, entry);
            }
            for change in applied.effects.iter().filter_map(change_of) {
                draft.tell(&row.about(), &change)?;
            }
        }
        Ok(())
    }
}

/// The event of an effect. Those of gates and providers come with the services that cause them.
fn change_of(effect: &Effect) -> Option<Change> {
    match effect {
        Effect::TurnStarted { turn, .. } => Some(Change::SessionTurnStarted { turn: *turn }),
        Effect::TurnEnded {
            turn,
            result,
            duration_ms,
            ..
        } => Some(Change::SessionTurnEnded {
            turn: *turn,
            result: *result,
            duration_ms: *duration_ms,
        }),
        Effect::Errored { reason } => Some(Change::SessionErrored {
            reason: reason.clone(),
        }),
        Effect::BecameIdle => Some(Change::SessionIdle {}),
        Effect::Paused { after_turn } => Some(Change::SessionPaused {
            after_turn: *after_turn,
        }),
        Effect::ModeChanged { from, to } => Some(Change::SessionModeChanged { from: *from, to: *to }),
        Effect::Ended { turns, .. } => Some(Change::SessionEnded { turns: *turns }),
        Effect::SessionStarted
        | Effect::AwaitingHuman { .. }
        | Effect::GateEnded { .. }
        | Effect::Resumed(_)
        | Effect::Stalled { .. }
        | Effect::PermissionDenied { .. }
        | Effect::RunBound { .. }
        | Effect::RunUnbound { .. } => None,
    }
}
