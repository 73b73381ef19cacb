//! Turns: one run of a thread at a time, and the next message when a turn is over.
//!
//! What is done to runs and tasks is noted in the draft of its commit, by the one function that stages a run and the
//! one that moves a task. At the end of the draft it is decided once what becomes of their threads: a claim makes its
//! run the active one or is `Busy`; an end of it frees the thread, interrupts the drafts it left, and puts what it
//! said, as the turn's answer, behind them; the end of a turn's task submits the first message that waits.

use dormouse_filesystem::{IndexValue, Query, RecordError, Records, Versioned};
use dormouse_secrets::Scrubbed;

use super::{
    KeptText, Message, MessageEvent, MessageIndex, MessageKind, MessageStatus, Thread, ThreadState, Turn,
    decide,
};
use crate::agent::{Agent, AgentState};
use crate::bad::heed;
use crate::core::Core;
use crate::draft::Draft;
use crate::event::Change;
use crate::limits::PAGE_MAX;
use crate::outcome::Outcome;
use crate::run::{Run, RunState};
use crate::task::{Clean, Grounds, NewTask, Numbers, Task, numbered};
use crate::{CommandError, Decision, MessageId, PrefixedId, RunId, TaskId, ThreadId};

/// What a commit does that concerns a thread.
#[derive(Debug, Clone)]
pub(crate) enum TurnNote {
    /// A run of one of its turns begins, or goes on after it was parked.
    Begins {
        /// Whose.
        thread: ThreadId,
        /// Which.
        run: RunId,
    },
    /// A run of one of its turns has ended.
    Ended {
        /// Whose.
        thread: ThreadId,
        /// Which.
        run: RunId,
        /// What it said, where it got so far.
        said: Option<Scrubbed>,
    },
    /// The task of one of its turns has ended.
    Over {
        /// Whose.
        thread: ThreadId,
        /// Which.
        task: TaskId,
    },
}

impl TurnNote {
    fn thread(&self) -> ThreadId {
        match self {
            Self::Begins { thread, .. } | Self::Ended { thread, .. } | Self::Over { thread, .. } => *thread,
        }
    }
}

/// Notes what the staging of a run means for its thread.
pub(crate) fn note_run(draft: &mut Draft, run: &Run, outcome: Option<&Outcome>) {
    let Some(thread) = run.thread else { return };
    match (run.state, outcome) {
        (RunState::Ended, outcome) => {
            let said = match outcome {
                Some(Outcome::Success { text } | Outcome::Partial { text, .. }) => text.clone(),
                _ => None,
            };
            let run = run.id;
            draft.note_turn(TurnNote::Ended { thread, run, said });
        }
        (RunState::Starting, _) => draft.note_turn(TurnNote::Begins { thread, run: run.id }),
        (RunState::Running | RunState::Stopping | RunState::Waiting, _) => {}
    }
}

/// Notes what the move of a task means for its thread.
pub(crate) fn note_task(draft: &mut Draft, task: &Task) {
    if task.state.has_ended() {
        note_gone(draft, task);
    }
}

/// Notes that a task goes, whatever its state.
pub(crate) fn note_gone(draft: &mut Draft, task: &Task) {
    if let Some(turn) = task.turn {
        let (thread, task) = (turn.thread, task.id);
        draft.note_turn(TurnNote::Over { thread, task });
    }
}

/// Stages what becomes of the threads of a draft: its last step.
///
/// # Errors
/// `Busy`, when it claims a turn of a thread that another run is at.
pub(crate) async fn settle(core: &Core, draft: &mut Draft) -> Result<(), CommandError> {
    let notes = draft.take_turns();
    let mut threads: Vec<ThreadId> = Vec::new();
    for note in &notes {
        if !threads.contains(&note.thread()) {
            threads.push(note.thread());
        }
    }
    for id in threads {
        let of_thread = notes.iter().filter(|note| note.thread() == id);
        let begins = notes
            .iter()
            .any(|note| note.thread() == id && matches!(note, TurnNote::Begins { .. }));
        match Records::<Thread>::new(&core.space).get(&id).await {
            Ok(Some(read)) if read.state != ThreadState::Deleted => {
                settle_thread(core, draft, &read, of_thread).await?;
            }
            // Its turn goes on without it.
            Ok(_) => {}
            Err(error) => match CommandError::from(error) {
                // A damaged thread keeps no run from its end.
                error @ (CommandError::Corrupt(_) | CommandError::TooNew(_)) if !begins => {
                    tracing::warn!(thread = %id, %error, "a turn ended, and its thread cannot be believed");
                    heed(core, &error).await;
                }
                error => return Err(error),
            },
        }
    }
    Ok(())
}

async fn settle_thread(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<Thread>,
    notes: impl Iterator<Item = &TurnNote>,
) -> Result<(), CommandError> {
    let mut thread = Thread::clone(read);
    for note in notes {
        match note {
            TurnNote::Begins { run, .. } => {
                if thread.active_run.is_some_and(|other| other != *run)
                    && let Some(left) = let_go(core, &mut thread).await?
                {
                    stage_left(core, draft, &mut thread, left, None).await?;
                }
                match thread.active_run {
                    Some(other) if other != *run => return Err(CommandError::Busy { run: other }),
                    Some(_) | None => thread.active_run = Some(*run),
                }
            }
            TurnNote::Ended { run, said, .. } if thread.active_run == Some(*run) => {
                thread.active_run = None;
                stage_left(core, draft, &mut thread, *run, said.as_ref()).await?;
            }
            TurnNote::Over { task, .. } if thread.turn == Some(*task) => thread.turn = None,
            TurnNote::Ended { .. } | TurnNote::Over { .. } => {}
        }
    }
    ring(core, draft, &mut thread).await?;
    if thread == **read {
        return Ok(());
    }
    (thread.updated_at, thread.op) = (draft.now(), draft.op());
    Records::<Thread>::new(&core.space)
        .stage_replace(draft.batch(), read, &thread)
        .await?;
    Ok(())
}

/// Frees a thread of what has ended: a run or a task whose end was not told to it, since it could not be believed then.
/// The run that it was held for, if one was.
pub(super) async fn let_go(core: &Core, thread: &mut Thread) -> Result<Option<RunId>, CommandError> {
    if let Some(id) = thread.turn {
        let task = Records::<Task>::new(&core.space).get(&id).await;
        if is_over(task, |task| task.state.has_ended())? {
            thread.turn = None;
        }
    }
    let Some(id) = thread.active_run else {
        return Ok(None);
    };
    let run = Records::<Run>::new(&core.space).get(&id).await;
    if !is_over(run, |run| run.state == RunState::Ended)? {
        return Ok(None);
    }
    thread.active_run = None;
    Ok(Some(id))
}

/// Whether there is none, or one that has ended. Of one that cannot be believed nobody knows.
fn is_over<R>(
    read: Result<Option<Versioned<R>>, RecordError>,
    has_ended: impl FnOnce(&R) -> bool,
) -> Result<bool, CommandError> {
    match read.map_err(CommandError::from) {
        Ok(row) => Ok(row.is_none_or(|row| has_ended(&row))),
        Err(CommandError::Corrupt(_) | CommandError::TooNew(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a run wrote: its drafts, and its final message.
pub(super) async fn written_by(core: &Core, run: RunId) -> Result<Vec<Versioned<Message>>, CommandError> {
    let query = Query::of(MessageIndex::Run)
        .equals([IndexValue::name(&run.to_string())])
        .limit(PAGE_MAX);
    Ok(Records::<Message>::new(&core.space).find(&query).await?.rows)
}

/// What an ended run leaves: its drafts are interrupted, and what it said is its final message, if it wrote none.
pub(super) async fn stage_left(
    core: &Core,
    draft: &mut Draft,
    thread: &mut Thread,
    run: RunId,
    said: Option<&Scrubbed>,
) -> Result<(), CommandError> {
    let rows = Records::<Message>::new(&core.space);
    let mut is_said = said.is_none_or(Scrubbed::is_empty);
    for read in written_by(core, run).await? {
        is_said |= read.status == MessageStatus::Final;
        if !read.is_of(thread) || read.status != MessageStatus::Draft {
            continue;
        }
        let Decision::Apply(status) = decide(read.status, MessageEvent::Interrupt) else {
            unreachable!("a draft is interrupted")
        };
        let message = Message {
            status,
            updated_at: draft.now(),
            op: draft.op(),
            ..Message::clone(&read)
        };
        rows.stage_replace(draft.batch(), &read, &message).await?;
        let at = message.place();
        draft.tell(
            &message.about(),
            &Change::MessageInterrupted { at, run: Some(run) },
        )?;
    }
    let (false, Some(said)) = (is_said, said) else {
        return Ok(());
    };
    let message = answer(core, draft, thread, run, said);
    rows.stage_create(draft.batch(), &message)?;
    thread.last_activity = draft.now();
    let at = message.place();
    draft.tell(&message.about(), &Change::MessageFinal { at, run: Some(run) })
}

/// What a run said, as a message.
fn answer(core: &Core, draft: &Draft, thread: &mut Thread, run: RunId, said: &Scrubbed) -> Message {
    Message {
        id: MessageId::make(draft.now(), &core.environment.random),
        thread: thread.id,
        incarnation: thread.incarnation,
        sequence: thread.next(),
        agent: thread.agent.clone(),
        agent_incarnation: thread.agent_incarnation,
        kind: MessageKind::Assistant,
        status: MessageStatus::Final,
        by: draft.actor().clone(),
        text: Some(KeptText::Here(said.clone())),
        attachments: Vec::new(),
        provider: serde_json::Map::new(),
        command: None,
        task: None,
        run: Some(run),
        covers: Vec::new(),
        superseded_by: None,
        created_at: draft.now(),
        updated_at: draft.now(),
        op: draft.op(),
    }
}

/// Submits the first message that waits, when the thread is free. While its agent goes, none is: its version becomes a
/// precondition of what is made for it.
pub(super) async fn ring(core: &Core, draft: &mut Draft, thread: &mut Thread) -> Result<(), CommandError> {
    let is_free = thread.turn.is_none() && thread.active_run.is_none();
    if !is_free || thread.queued == 0 || thread.state != ThreadState::Open {
        return Ok(());
    }
    let agents = Records::<Agent>::new(&core.space);
    let agent = agents.get(&thread.agent).await?;
    let is_there = |agent: &Versioned<Agent>| {
        agent.incarnation == thread.agent_incarnation
            && matches!(agent.state, AgentState::Active | AgentState::Paused)
    };
    let Some(agent) = agent.filter(is_there) else {
        return Ok(());
    };
    let Some(read) = first_queued(core, thread).await? else {
        thread.queued = 0;
        return Ok(());
    };
    if draft.is_first_to_expect_agent(&agent.name) {
        agents.stage_check(draft.batch(), &agent);
    }
    let Decision::Apply(status) = decide(read.status, MessageEvent::Submit) else {
        unreachable!("a queued message is submitted")
    };
    let mut message = Message {
        status,
        updated_at: draft.now(),
        op: draft.op(),
        ..Message::clone(&read)
    };
    thread.queued -= 1;
    let mut numbers = Numbers::read(core).await?;
    submit(core, draft, (&agent, &mut numbers), thread, &mut message)?;
    numbers.stage(core, draft).await?;
    Records::<Message>::new(&core.space)
        .stage_replace(draft.batch(), &read, &message)
        .await?;
    let (at, task) = (message.place(), message.task.expect("it was submitted"));
    draft.tell(&message.about(), &Change::MessageSubmitted { at, task })
}

async fn first_queued(core: &Core, thread: &Thread) -> Result<Option<Versioned<Message>>, CommandError> {
    let rows = Records::<Message>::new(&core.space);
    let mut after = None;
    // Ends with the first that belongs to it, or with the last page.
    loop {
        let query = Query::of(MessageIndex::Queued)
            .equals([IndexValue::name(&thread.id.to_string())])
            .after(after)
            .limit(8);
        let page = rows.find(&query).await?;
        let first = page.rows.into_iter().find(|message| message.is_of(thread));
        after = page.next;
        if first.is_some() || after.is_none() {
            return Ok(first);
        }
    }
}

/// Stages the task of a message's turn. Its text is not in it: what is redacted is in no task.
pub(super) fn submit(
    core: &Core,
    draft: &mut Draft,
    (agent, numbers): (&Versioned<Agent>, &mut Numbers),
    thread: &mut Thread,
    message: &mut Message,
) -> Result<(), CommandError> {
    let run = message
        .run
        .unwrap_or_else(|| RunId::make(draft.now(), &core.environment.random));
    let new = NewTask {
        command: message.command.clone(),
        turn: Some(Turn {
            thread: thread.id,
            message: message.sequence,
            run,
        }),
        ..NewTask::new(
            agent.name.clone(),
            format!("message {} of {}", message.sequence, thread.id),
        )
    };
    let clean = Clean::of(&new, &core.scrubber);
    let grounds = Grounds::of(agent.clone());
    let task = numbered(core, draft, &grounds, (&new, &clean), numbers.take())?;
    (message.task, message.run) = (Some(task.id), Some(run));
    thread.turn = Some(task.id);
    Ok(())
}
