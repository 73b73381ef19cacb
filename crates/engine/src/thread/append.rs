//! Appending a message: what is to be said of it, and staging it behind the others of its thread.

use dormouse_filesystem::{Records, Versioned};
use dormouse_secrets::{Scrubbed, Scrubber};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::text::{CleanAttachment, Content};
use super::turn::{let_go, ring, stage_left, submit};
use super::{Message, MessageEvent, MessageKind, MessageStatus, Thread, ThreadEvent, decide, decide_thread};
use crate::agent::Agent;
use crate::command::CommandSpec;
use crate::core::Core;
use crate::draft::Draft;
use crate::event::Change;
use crate::limits::{PROVIDER_MAX, QUEUED_MAX};
use crate::task::{Numbers, scrubbed};
use crate::{CommandError, Decision, MessageId, PrefixedId, RunId, Subject, TaskId, ThreadId};

/// What is to be said of a new message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewMessage {
    /// What it is. Summaries are made by [`Threads::summarise`](super::Threads::summarise).
    pub kind: MessageKind,
    /// What it says, at most 4 MiB.
    pub text: String,
    /// What comes with it, at most 32.
    pub attachments: Vec<NewAttachment>,
    /// What its provider says of it, at most 16 KiB.
    pub provider: Map<String, Value>,
    /// The command line that does its turn, when a process is to.
    pub command: Option<CommandSpec>,
}

impl NewMessage {
    /// What a person says, and nothing with it.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            kind: MessageKind::User,
            text: text.into(),
            attachments: Vec::new(),
            provider: Map::new(),
            command: None,
        }
    }
}

/// What comes with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAttachment {
    /// What names it among those of the message: 1 to 200 bytes.
    pub id: String,
    /// What it is called: 1 to 200 bytes.
    pub name: String,
    /// What it is, as `text/plain`: 1 to 200 bytes.
    pub media_type: String,
    /// What could be read of it; of all together at most 200,000 characters.
    #[serde(default)]
    pub text: Option<String>,
}

/// What is to be done about a message that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// Nothing: it is final as it is. Not of a user's.
    Note,
    /// Nothing yet: [`Threads::send`](super::Threads::send) says what.
    Accept,
    /// Its turn is given to the agent: at once, or behind those before it.
    Submit(WhenBusy),
}

/// What becomes of a message while a run is at its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenBusy {
    /// It waits for its turn.
    #[default]
    Queue,
    /// It is refused: nothing is written, and the same can be tried again.
    Refuse,
    /// It is kept as one that was not taken up.
    Reject,
}

/// A message, and what is to be done about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The message.
    pub message: NewMessage,
    /// What is to be done about it.
    pub arrival: Arrival,
    /// The id that the first run of its turn is to have, where it is needed beforehand; else a new one.
    pub run: Option<RunId>,
}

impl Append {
    /// A message of a user, whose turn is given to the agent, behind those before it.
    #[must_use]
    pub fn submit(message: NewMessage) -> Self {
        Self {
            message,
            arrival: Arrival::Submit(WhenBusy::Queue),
            run: None,
        }
    }

    /// A message that is final as it is.
    #[must_use]
    pub fn note(message: NewMessage) -> Self {
        Self {
            message,
            arrival: Arrival::Note,
            run: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), CommandError> {
        let is_users = self.message.kind == MessageKind::User;
        if self.message.kind == MessageKind::Summary {
            return Err(CommandError::invalid(
                "kind",
                "a summary names what it covers: it is not appended",
            ));
        }
        if is_users == (self.arrival == Arrival::Note) {
            let why = "a user's message has a turn, and no other has one";
            return Err(CommandError::invalid("kind", why));
        }
        if let Some(command) = &self.message.command {
            if !is_users {
                return Err(CommandError::invalid(
                    "command",
                    "only a user's message has a turn",
                ));
            }
            command.validate()?;
        }
        let provider = serde_json::to_vec(&self.message.provider).expect("JSON is plain data");
        if provider.len() > PROVIDER_MAX {
            return Err(CommandError::TooLarge {
                limit: "threads.provider_max",
            });
        }
        Ok(())
    }
}

/// A message that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where.
    pub thread: ThreadId,
    /// Its place there.
    pub sequence: u64,
    /// Its id.
    pub message: MessageId,
    /// Where it is.
    pub status: MessageStatus,
    /// The task of its turn, once it was submitted.
    pub task: Option<TaskId>,
    /// The first run of its turn, which may not have begun.
    pub run: Option<RunId>,
}

impl Appended {
    pub(super) fn of(message: &Message) -> Self {
        Self {
            thread: message.thread,
            sequence: message.sequence,
            message: message.id,
            status: message.status,
            task: message.task,
            run: message.run,
        }
    }
}

/// A message whose texts are clean and whose blobs are written.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) kind: MessageKind,
    pub(super) content: Content,
    provider: Map<String, Value>,
    command: Option<CommandSpec>,
    arrival: Arrival,
    run: Option<RunId>,
}

impl Ready {
    pub(super) async fn of(core: &Core, new: &Append, scrubber: &Scrubber) -> Result<Self, CommandError> {
        let message = &new.message;
        let attachments = message
            .attachments
            .iter()
            .map(|attachment| clean(attachment, scrubber));
        let content = Content::of(core, scrubber.scrub(&message.text), attachments.collect());
        Ok(Self {
            kind: message.kind,
            content: content.await?,
            provider: scrubbed(scrubber, &message.provider),
            command: message.command.clone(),
            arrival: new.arrival,
            run: new.run,
        })
    }
}

impl Ready {
    /// What the engine itself says, which is clean.
    pub(super) async fn note(
        core: &Core,
        text: Scrubbed,
        provider: Map<String, Value>,
    ) -> Result<Self, CommandError> {
        Ok(Self {
            kind: MessageKind::System,
            content: Content::of(core, text, Vec::new()).await?,
            provider,
            command: None,
            arrival: Arrival::Note,
            run: None,
        })
    }
}

fn clean(attachment: &NewAttachment, scrubber: &Scrubber) -> CleanAttachment {
    let clean = |text: &str| -> Scrubbed { scrubber.scrub(text) };
    CleanAttachment {
        id: clean(&attachment.id).into_string(),
        name: clean(&attachment.name),
        media_type: clean(&attachment.media_type),
        text: attachment.text.as_deref().map(clean),
    }
}

/// A thread to which messages are being appended.
pub(super) struct Work {
    pub(super) read: Versioned<Thread>,
    pub(super) thread: Thread,
    /// Whether it was held for what has ended.
    is_let_go: bool,
    /// The run that it was held for.
    left: Option<RunId>,
}

impl Work {
    /// The thread, if it is there and takes messages.
    pub(super) async fn begin(core: &Core, id: ThreadId) -> Result<Self, CommandError> {
        let read = super::service::get(core, id).await?;
        match decide_thread(Some(read.state), ThreadEvent::Append) {
            Decision::Same => {}
            Decision::Reject(reason) => {
                return Err(CommandError::Rejected {
                    subject: Subject::Thread(id),
                    state: read.state.word(),
                    event: ThreadEvent::Append.word(),
                    reason,
                });
            }
            cell => unreachable!("no cell of append is {cell:?}"),
        }
        let mut thread = Thread::clone(&read);
        let left = let_go(core, &mut thread).await?;
        Ok(Self {
            is_let_go: thread != *read,
            left,
            thread,
            read,
        })
    }

    /// Stages the thread as it has become.
    pub(super) async fn end(mut self, core: &Core, draft: &mut Draft) -> Result<(), CommandError> {
        if let Some(left) = self.left {
            stage_left(core, draft, &mut self.thread, left, None).await?;
        }
        if self.is_let_go {
            ring(core, draft, &mut self.thread).await?;
        }
        self.thread.last_activity = draft.now();
        (self.thread.updated_at, self.thread.op) = (draft.now(), draft.op());
        Records::<Thread>::new(&core.space)
            .stage_replace(draft.batch(), &self.read, &self.thread)
            .await?;
        Ok(())
    }

    /// Where a message begins. Nothing is staged yet.
    pub(super) fn arrive(&self, arrival: Arrival) -> Result<MessageStatus, CommandError> {
        match arrival {
            Arrival::Note => Ok(MessageStatus::Final),
            Arrival::Accept => Ok(MessageStatus::Accepted),
            Arrival::Submit(when_busy) => self.turn(MessageStatus::Accepted, when_busy),
        }
    }

    /// What becomes of a message that is to have its turn.
    pub(super) fn turn(
        &self,
        status: MessageStatus,
        when_busy: WhenBusy,
    ) -> Result<MessageStatus, CommandError> {
        let is_free = self.thread.turn.is_none() && self.thread.active_run.is_none();
        let event = match (self.thread.active_run, when_busy) {
            (Some(run), WhenBusy::Refuse) => return Err(CommandError::Busy { run }),
            (Some(_), WhenBusy::Reject) => MessageEvent::RejectBusy,
            _ if is_free && self.thread.queued == 0 => MessageEvent::Submit,
            _ => MessageEvent::Queue,
        };
        let next = match decide(status, event) {
            Decision::Apply(next) => next,
            Decision::Same | Decision::Ignore(_) => status,
            Decision::Reject(reason) => {
                return Err(CommandError::Rejected {
                    subject: Subject::Thread(self.thread.id),
                    state: status.word(),
                    event: event.word(),
                    reason,
                });
            }
        };
        if next == MessageStatus::Queued && next != status && self.thread.queued >= QUEUED_MAX {
            return Err(CommandError::Full {
                limit: "threads.queued_max",
            });
        }
        Ok(next)
    }

    /// Stages a message that is final as it is behind the others.
    pub(super) async fn note(
        &mut self,
        core: &Core,
        draft: &mut Draft,
        ready: &Ready,
    ) -> Result<(), CommandError> {
        let message = self.made(core, draft, ready, MessageStatus::Final);
        put(core, draft, ready, &message).await
    }

    /// Stages a message of this status behind the others.
    pub(super) async fn append(
        &mut self,
        core: &Core,
        draft: &mut Draft,
        (agent, numbers): (&Versioned<Agent>, &mut Numbers),
        (ready, status): (&Ready, MessageStatus),
    ) -> Result<Message, CommandError> {
        let mut message = self.made(core, draft, ready, status);
        match status {
            MessageStatus::Queued => self.thread.queued += 1,
            MessageStatus::Submitted => {
                submit(core, draft, (agent, numbers), &mut self.thread, &mut message)?;
            }
            _ => {}
        }
        put(core, draft, ready, &message).await?;
        Ok(message)
    }

    fn made(&mut self, core: &Core, draft: &Draft, ready: &Ready, status: MessageStatus) -> Message {
        let random = &core.environment.random;
        let has_turn = ready.kind == MessageKind::User;
        Message {
            id: MessageId::make(draft.now(), random),
            thread: self.thread.id,
            incarnation: self.thread.incarnation,
            sequence: self.thread.next(),
            agent: self.thread.agent.clone(),
            agent_incarnation: self.thread.agent_incarnation,
            kind: ready.kind,
            status,
            by: draft.actor().clone(),
            text: Some(ready.content.text.clone()),
            attachments: ready.content.attachments.clone(),
            provider: ready.provider.clone(),
            command: ready.command.clone(),
            task: None,
            run: has_turn.then(|| ready.run.unwrap_or_else(|| RunId::make(draft.now(), random))),
            covers: Vec::new(),
            superseded_by: None,
            created_at: draft.now(),
            updated_at: draft.now(),
            op: draft.op(),
        }
    }

    /// Where a message of this arrival begins.
    pub(super) fn arrival(&self, ready: &Ready) -> Result<MessageStatus, CommandError> {
        self.arrive(ready.arrival)
    }
}

/// Stages a new message with its content, and tells of it.
async fn put(core: &Core, draft: &mut Draft, ready: &Ready, message: &Message) -> Result<(), CommandError> {
    ready.content.attach(core, draft).await?;
    Records::<Message>::new(&core.space).stage_create(draft.batch(), message)?;
    let accepted = Change::MessageAccepted {
        at: message.place(),
        kind: message.kind,
        status: message.status,
        task: message.task,
    };
    draft.tell(&message.about(), &accepted)
}

impl Work {
    /// Whether a message was appended.
    pub(super) fn has_changed(&self) -> bool {
        self.thread.next_sequence != self.read.next_sequence
    }
}

impl Work {
    /// The thread, if it is there, also when it takes no messages of others.
    pub(super) async fn begin_any(core: &Core, id: ThreadId) -> Result<Self, CommandError> {
        let read = super::service::get(core, id).await?;
        let thread = Thread::clone(&read);
        let (is_let_go, left) = (false, None);
        Ok(Self {
            read,
            thread,
            is_let_go,
            left,
        })
    }

    /// Stages that something of the thread was written, which is no activity.
    pub(super) async fn touch(mut self, core: &Core, draft: &mut Draft) -> Result<(), CommandError> {
        (self.thread.updated_at, self.thread.op) = (draft.now(), draft.op());
        Records::<Thread>::new(&core.space)
            .stage_replace(draft.batch(), &self.read, &self.thread)
            .await?;
        Ok(())
    }
}
