//! How a session follows its runs.

use async_trait::async_trait;
use dormouse_filesystem::{Namespace, Records, Tenant};
use dormouse_state::{
    Answer, Applied, Command, Event, Evidence, FailedRunGates, Observed, Position, RunEnd, Session, SourceId,
    Step,
};

use super::create::created;
use super::live::Newest;
use super::told::tell_applied;
use super::{SessionRow, TurnTask};
use crate::core::Core;
use crate::gate::{end_asked_by, follow_session};
use crate::outcome::Outcome;
use crate::run::{Companion, Run, RunState, is_tried_again};
use crate::{CommandError, Draft, Reason, RunId, SessionId, Subject, TaskId};

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
        let Some(id) = after.session else {
            return Ok(());
        };
        if draft.writes_session(id) {
            // Its own command ends it together with its run, of which there is nothing more to say.
            return Ok(());
        }
        let end = match outcome {
            Some(outcome) => Some(end_of(outcome, is_tried_again(tenant, after, outcome).await?)),
            None => None,
        };
        let change = RunChange { before, after, end };
        match Newest::read(tenant, id).await? {
            // Another agent's, or a former one's of that name, is as one that is not there.
            Some(read) if before.is_none() && read.row.agent_incarnation != after.agent_incarnation => {
                Err(CommandError::not_found("session", &id))
            }
            Some(read) => moved(tenant, draft, &read, change).await,
            None => begun(tenant, draft, id, change).await,
        }
    }
}

/// Stages that a task was called off between two attempts: the turn that waited for the next one is over, and so is what
/// the last one asked.
pub(crate) async fn called_off(
    core: &Core,
    draft: &mut Draft,
    task: TaskId,
    last_run: RunId,
) -> Result<(), CommandError> {
    let Some(run) = Records::<Run>::new(&core.space).get(&last_run).await? else {
        return Ok(());
    };
    end_asked_by(core, draft, &run).await?;
    let Some(id) = run.session else { return Ok(()) };
    let Some(read) = Newest::read(&core.space, id).await? else {
        return Ok(());
    };
    let session = read.session(draft.session_options(), draft.now())?;
    let (turn, is_bound) = (session.view().turn.clone(), session.view().run.is_some());
    let whose = read.row.turn_task.filter(|whose| whose.turn == turn.number);
    if is_bound || !turn.is_running() || whose.is_none_or(|whose| whose.task != task) {
        return Ok(());
    }
    let mut hearing = Hearing::new(session, &read.row, draft);
    let run = run_id(&run);
    hearing.say(&Command::BindRun { run: run.clone() });
    hearing.say(&Command::RunEnded {
        run,
        end: RunEnd::Cancelled,
    });
    staged(&core.space, draft, &read, hearing).await
}

/// What became of a run.
struct RunChange<'a> {
    before: Option<&'a Run>,
    after: &'a Run,
    /// How it ended, when it did.
    end: Option<RunEnd>,
}

/// The session of a first run begins with it.
async fn begun(
    tenant: &Namespace<Tenant>,
    draft: &mut Draft,
    id: SessionId,
    change: RunChange<'_>,
) -> Result<(), CommandError> {
    let session = Session::new(draft.session_options(), draft.now());
    let row = SessionRow {
        id,
        agent: change.after.agent.clone(),
        agent_incarnation: change.after.agent_incarnation,
        external: None,
        state: session.snapshot(),
        turn_task: None,
        ends: Vec::new(),
        created_at: draft.now(),
        updated_at: draft.now(),
        op: draft.op(),
    };
    let mut hearing = Hearing::new(session, &row, draft);
    hearing.hear(change)?;
    let row = SessionRow {
        state: hearing.session.snapshot(),
        turn_task: hearing.turn_task,
        ..row
    };
    Records::new(tenant).stage_create(draft.batch(), &row)?;
    draft.tell(&row.about(), &created(&row))?;
    tell(tenant, draft, &row, &hearing.told).await
}

/// A session that is there hears of its run.
async fn moved(
    tenant: &Namespace<Tenant>,
    draft: &mut Draft,
    read: &Newest,
    change: RunChange<'_>,
) -> Result<(), CommandError> {
    let session = read.session(draft.session_options(), draft.now())?;
    let mut hearing = Hearing::new(session, &read.row, draft);
    hearing.hear(change)?;
    staged(tenant, draft, read, hearing).await
}

/// Stages what a session heard.
async fn staged(
    tenant: &Namespace<Tenant>,
    draft: &mut Draft,
    read: &Newest,
    hearing: Hearing,
) -> Result<(), CommandError> {
    if hearing.told.is_empty() {
        return Ok(());
    }
    let row = SessionRow {
        turn_task: hearing.turn_task,
        ..read.row.at(hearing.session.view(), draft)
    };
    let row = read.stage_with(tenant, draft, row).await?;
    tell(tenant, draft, &row, &hearing.told).await
}

async fn tell(
    tenant: &Namespace<Tenant>,
    draft: &mut Draft,
    row: &SessionRow,
    told: &[Applied],
) -> Result<(), CommandError> {
    for applied in told {
        tell_applied(tenant, draft, row, applied)?;
        follow_session(tenant, draft, row.id, &applied.effects, None).await?;
    }
    Ok(())
}

/// A session that hears what became of a run.
struct Hearing {
    id: SessionId,
    session: Session,
    turn_task: Option<TurnTask>,
    told: Vec<Applied>,
    now: jiff::Timestamp,
}

impl Hearing {
    fn new(session: Session, row: &SessionRow, draft: &Draft) -> Self {
        Self {
            id: row.id,
            session,
            turn_task: row.turn_task,
            told: Vec::new(),
            now: draft.now(),
        }
    }

    /// What the change of a run says to its session.
    fn hear(&mut self, change: RunChange<'_>) -> Result<(), CommandError> {
        let (after, run) = (change.after, run_id(change.after));
        let Some(before) = change.before else {
            return self.claim(after);
        };
        match (before.state, after.state) {
            // A command has no stream that says more: its process being there is all that is known of its work.
            (RunState::Starting, RunState::Running) => {
                let seen = self.seen(&run, after.spawn);
                let answer = self.session.observe(&seen, self.now);
                self.note(answer);
            }
            (RunState::Starting | RunState::Running, RunState::Waiting) => {
                self.say(&Command::RunParked { run: run.clone() });
            }
            _ => {}
        }
        if let Some(end) = change.end {
            self.say(&Command::RunEnded { run, end });
        }
        Ok(())
    }

    /// A claim begins a turn, unless it is a later attempt at the task whose turn runs. While a run is at it, or
    /// another task's turn waits, the session takes none.
    fn claim(&mut self, run: &Run) -> Result<(), CommandError> {
        let state = self.session.view();
        let (number, is_running) = (state.turn.number, state.turn.is_running());
        let whose = self.turn_task.filter(|turn| is_running && turn.turn == number);
        let is_later_attempt = whose.is_some_and(|turn| Some(turn.task) == run.task);
        if state.run.is_some() || (whose.is_some() && !is_later_attempt) {
            return Err(self.refused(Reason::Run));
        }
        let bind = Command::BindRun { run: run_id(run) };
        let begin = Command::BeginTurn { expected_turn: None };
        let words: &[&Command] = match (is_later_attempt, is_running) {
            (true, _) => &[&bind],
            // A turn that nobody here began is superseded, before its successor is bound.
            (false, true) => &[&begin, &bind],
            (false, false) => &[&bind, &begin],
        };
        for word in words {
            let answer = self.session.command(word, self.now);
            if let Answer::Rejected(_) = answer {
                return Err(self.refused(Reason::State));
            }
            self.note(answer);
        }
        let turn = self.session.view().turn.number;
        self.turn_task = run.task.map(|task| TurnTask { task, turn });
        Ok(())
    }

    fn refused(&self, reason: Reason) -> CommandError {
        CommandError::Rejected {
            subject: Subject::Session(self.id),
            state: self.session.row().name(),
            event: "claim",
            reason,
        }
    }

    fn say(&mut self, command: &Command) {
        let answer = self.session.command(command, self.now);
        self.note(answer);
    }

    /// What was ignored or rejected changed nothing: a run is the engine's own word, so there is nobody to tell.
    fn note(&mut self, answer: Answer) {
        if let Answer::Applied(applied) = answer {
            self.told.push(applied);
        }
    }

    /// The process of a run is there, for the first time or again.
    fn seen(&self, run: &dormouse_state::RunId, spawn: u32) -> Observed {
        Observed {
            incarnation: self.session.view().incarnation,
            run: Some(run.clone()),
            source: SourceId::new("supervisor"),
            position: Position { spawn, seq: 1 },
            subagent: false,
            starts_turn: false,
            evidence: Evidence::Formal,
            at: self.now,
            event: Event::Working {
                call: None,
                step: Step::Started,
            },
        }
    }
}

fn run_id(run: &Run) -> dormouse_state::RunId {
    dormouse_state::RunId::new(run.id.to_string())
}

fn end_of(outcome: &Outcome, is_tried_again: bool) -> RunEnd {
    let gates = match outcome {
        Outcome::Lost { .. } if is_tried_again => FailedRunGates::Keep,
        _ => FailedRunGates::Invalidate,
    };
    let failed = |text: &str| RunEnd::Failed {
        reason: outcome.name().to_owned(),
        text: text.to_owned(),
        gates,
    };
    match outcome {
        Outcome::Success { .. } | Outcome::Partial { .. } => RunEnd::Ok,
        Outcome::Cancelled { .. } => RunEnd::Cancelled,
        Outcome::Failed { message, .. } => failed(message.as_str()),
        Outcome::Blocked { .. } | Outcome::Timeout { .. } | Outcome::Lost { .. } => failed(""),
    }
}
