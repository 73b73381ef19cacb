//! The threads of a tenant: the one service that writes their rows and those of their messages.

use std::sync::Arc;

use dormouse_filesystem::{Cursor, IndexValue, Query, Records, Versioned};
use dormouse_secrets::Scrubbed;

use super::{
    Append, Appended, DraftWriter, KeptText, Message, MessageAt, MessageEvent, MessageIndex, MessagePage,
    MessageStatus, NewSummary, Thread, ThreadEvent, ThreadIndex, ThreadPage, ThreadState, WhenBusy, combine,
    decide_thread, erase, list, send, summary, text,
};
use crate::agent::Agents;
use crate::core::Core;
use crate::draft::Verdict;
use crate::event::Change;
use crate::find::resolve;
use crate::idempotency::{self, ClientKey, Once};
use crate::run::Claimed;
use crate::{
    AgentName, CommandError, Decision, Incarnation, MessageId, PrefixedId, Principal, Reason, RunId,
    SessionId, Subject, ThreadId,
};

/// A thread to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewThread {
    /// The agent it is with.
    pub agent: AgentName,
    /// The session that shows it.
    pub session: Option<SessionId>,
    /// Its id, where it is chosen by who makes it; else a new one. That of a deleted thread may be taken again: what
    /// was known of the former one is not believed of it.
    pub id: Option<ThreadId>,
}

impl NewThread {
    /// A thread with this agent.
    #[must_use]
    pub fn new(agent: AgentName) -> Self {
        Self {
            agent,
            session: None,
            id: None,
        }
    }
}

/// A tenant's threads.
#[derive(Debug, Clone)]
pub struct Threads {
    core: Arc<Core>,
    rows: Records<Thread>,
}

impl Threads {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            rows: Records::new(&core.space),
        }
    }

    /// Makes a thread.
    ///
    /// # Errors
    /// `NotFound` and `AgentDeleting` for its agent; `Exists` for an id that was chosen and is taken.
    pub async fn create(&self, by: &Principal, new: &NewThread) -> Result<Thread, CommandError> {
        let done = self.core.command(by, |mut draft| async move {
            let agent = Agents::new(&self.core).require(&mut draft, &new.agent).await?;
            let random = &self.core.environment.random;
            let id = new.id.unwrap_or_else(|| ThreadId::make(draft.now(), random));
            let read = self.rows.get(&id).await?;
            match decide_thread(read.as_ref().map(|thread| thread.state), ThreadEvent::Create) {
                Decision::Apply(_) => {}
                Decision::Reject(Reason::Exists) => {
                    let id = id.to_string();
                    return Err(CommandError::Exists { what: "thread", id });
                }
                cell => unreachable!("no cell of create is {cell:?}"),
            }
            let thread = Thread {
                id,
                agent: agent.name.clone(),
                agent_incarnation: agent.incarnation,
                session: new.session,
                incarnation: Incarnation::make(draft.now(), random),
                state: ThreadState::Open,
                // What is left of a former one keeps its places.
                next_sequence: read.as_ref().map_or(1, |former| former.next_sequence),
                active_run: None,
                turn: None,
                queued: 0,
                last_activity: draft.now(),
                is_erasing: read.as_ref().is_some_and(|former| former.is_erasing),
                created_at: draft.now(),
                updated_at: draft.now(),
                op: draft.op(),
            };
            match &read {
                None => self.rows.stage_create(draft.batch(), &thread)?,
                Some(former) => self.rows.stage_replace(draft.batch(), former, &thread).await?,
            }
            let session = thread.session;
            draft.tell(&thread.about(), &Change::ThreadCreated { session })?;
            Ok(Verdict::Commit(draft, thread))
        });
        Ok(done.await?.answer)
    }

    /// Appends a message. A submitted one is a turn: its task is made in the same commit, at once or when those before
    /// it are over.
    ///
    /// # Errors
    /// `NotFound` for the thread, `Rejected` when it is closed; `Busy` and `Full` when it is not to be queued, or not to
    /// be queued any more: nothing is written then, and the same can be tried again; `Invalid`, `TooLarge` for what is
    /// said.
    pub async fn append(
        &self,
        by: &Principal,
        thread: ThreadId,
        new: &Append,
    ) -> Result<Appended, CommandError> {
        new.check()?;
        let Some(once) = self.core.once.clone() else {
            return combine::append(&self.core, by, thread, new).await;
        };
        let appended = combine::append(&self.core, by, thread, new).await;
        match appended {
            Err(CommandError::DoneBefore { results }) if !results.is_empty() => self.appended(&results).await,
            // Another append under the same key was in the same commit: now its row is there.
            Err(CommandError::DoneBefore { .. }) => {
                let now = self.core.environment.clock.now();
                match idempotency::before(&self.core, &once, now).await {
                    Err(CommandError::DoneBefore { results }) => self.appended(&results).await,
                    Err(error) => Err(error),
                    Ok(_) => combine::append(&self.core, by, thread, new).await,
                }
            }
            appended => appended,
        }
    }

    /// Appends a message once under a key: asked again, also with another id for its run, it answers the first.
    ///
    /// # Errors
    /// As [`append`](Self::append); `KeyReused` when another thread or message was named under the key.
    pub async fn append_once(
        &self,
        by: &Principal,
        thread: ThreadId,
        new: &Append,
        key: &ClientKey,
    ) -> Result<Appended, CommandError> {
        let message = serde_json::to_vec(&(&new.message, new.arrival)).expect("a message is plain data");
        let named = thread.to_string();
        let request: [&[u8]; 2] = [named.as_bytes(), &message];
        let once = Once::new(&self.core.tenant, by, "threads.append", key, &request);
        let core = Core {
            once: Some(Arc::new(once)),
            ..Core::clone(&self.core)
        };
        Self::new(&Arc::new(core)).append(by, thread, new).await
    }

    /// What was appended under a key before, as it is now.
    async fn appended(&self, results: &[Subject]) -> Result<Appended, CommandError> {
        let message = results.iter().find_map(|result| match result {
            Subject::Message(id) => Some(*id),
            _ => None,
        });
        let message =
            message.ok_or_else(|| CommandError::Corrupt("a key of an append names no message".into()))?;
        Ok(Appended::of(&*self.message_of(message).await?))
    }

    /// Says what is to be done about a message that was accepted.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` for one that had its turn, or was written by a run; `Busy`, `Full` as of
    /// [`append`](Self::append).
    pub async fn send(
        &self,
        by: &Principal,
        at: MessageAt,
        when_busy: WhenBusy,
    ) -> Result<Appended, CommandError> {
        let done = self
            .core
            .command(by, |draft| send::staged(&self.core, draft, at, when_busy));
        Ok(done.await?.answer)
    }

    /// What a run writes: its drafts and its final message. None for a run that is at no thread.
    #[must_use]
    pub fn writer<'c>(&self, claimed: &'c Claimed) -> Option<DraftWriter<'c>> {
        let thread = claimed.run.thread?;
        Some(DraftWriter::new(&self.core, claimed, thread))
    }

    /// Puts a summary in the place of the messages it covers; the same again answers the first.
    ///
    /// # Errors
    /// `NotFound` for the thread, also where it is not the incarnation that is named; `Rejected` for a message that is
    /// neither submitted nor final, or a summary itself; `Invalid` for one that a standing summary covers, which is not
    /// replaced.
    pub async fn summarise(
        &self,
        by: &Principal,
        thread: ThreadId,
        new: &NewSummary,
    ) -> Result<Appended, CommandError> {
        summary::summarise(&self.core, by, thread, new).await
    }

    /// Lets another message of its thread stand for a message.
    ///
    /// # Errors
    /// `NotFound` for either; `Rejected` for one that is redacted or deleted.
    pub async fn supersede(
        &self,
        by: &Principal,
        at: MessageAt,
        by_sequence: u64,
    ) -> Result<Message, CommandError> {
        erase::supersede(&self.core, by, at, by_sequence).await
    }

    /// Takes away what a message says: text, attachments, what its provider said, and their blobs. Summaries that tell
    /// of it are superseded, and say nothing more either.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn redact(&self, by: &Principal, at: MessageAt) -> Result<Message, CommandError> {
        erase::erase(&self.core, by, at, MessageEvent::Redact).await
    }

    /// Deletes a message: the same, and it is not shown any more.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete_message(&self, by: &Principal, at: MessageAt) -> Result<Message, CommandError> {
        erase::erase(&self.core, by, at, MessageEvent::Delete).await
    }

    /// Takes no more messages. What is there stays.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn close(&self, by: &Principal, id: ThreadId) -> Result<Thread, CommandError> {
        let done = self.core.command(by, |mut draft| async move {
            let read = get(&self.core, id).await?;
            let state = match decide_thread(Some(read.state), ThreadEvent::Close) {
                Decision::Apply(state) => state,
                Decision::Ignore(_) | Decision::Same => return Ok(Verdict::Nothing(read.into_inner())),
                Decision::Reject(_) => return Err(CommandError::not_found("thread", &id)),
            };
            let thread = Thread {
                state,
                updated_at: draft.now(),
                op: draft.op(),
                ..Thread::clone(&read)
            };
            self.rows.stage_replace(draft.batch(), &read, &thread).await?;
            draft.tell(&thread.about(), &Change::ThreadClosed {})?;
            Ok(Verdict::Commit(draft, thread))
        });
        Ok(done.await?.answer)
    }

    /// Deletes a thread: at once it is missing, and then its messages go, page by page. Whoever looks for what is old
    /// goes on where this was cut short.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` while a turn of it is under way: its task is to be cancelled first.
    pub async fn delete(&self, by: &Principal, id: ThreadId) -> Result<(), CommandError> {
        erase::delete(&self.core, by, id).await
    }

    /// A thread.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub async fn get(&self, id: ThreadId) -> Result<Versioned<Thread>, CommandError> {
        get(&self.core, id).await
    }

    /// The id that is meant by a whole id or its first 8 digits or more.
    ///
    /// # Errors
    /// `InvalidId`; `NotFound` and `Ambiguous` for a short form. A whole id is not looked up.
    pub async fn resolve(&self, given: &str) -> Result<ThreadId, CommandError> {
        resolve(&self.rows, ThreadIndex::Id, given).await
    }

    /// One page of threads, the latest activity first; of one agent or of all.
    ///
    /// # Errors
    /// `Invalid` for a limit that is not 1 to 1,000, `CursorScope`.
    pub async fn list(
        &self,
        agent: Option<&AgentName>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<ThreadPage, CommandError> {
        list::threads(&self.rows, agent, after, limit).await
    }

    /// One page of the messages of a thread, in the order of their sequences, strictly after one; 0 is before the first.
    /// Deleted ones are left out.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for a limit that is not 1 to 1,000.
    pub async fn messages(
        &self,
        thread: ThreadId,
        after: u64,
        limit: usize,
    ) -> Result<MessagePage, CommandError> {
        list::messages(&self.core, thread, after, limit).await
    }

    /// A message by its place.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub async fn message(&self, at: MessageAt) -> Result<Versioned<Message>, CommandError> {
        let thread = get(&self.core, at.thread).await?;
        message(&self.core, &thread, at.sequence).await
    }

    /// A message by its id.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub async fn message_of(&self, id: MessageId) -> Result<Versioned<Message>, CommandError> {
        let query = Query::of(MessageIndex::Id)
            .equals([IndexValue::name(&id.to_string())])
            .limit(1);
        let found = Records::<Message>::new(&self.core.space).find(&query).await?;
        let missing = || CommandError::not_found("message", &id);
        let message = found.rows.into_iter().next().ok_or_else(missing)?;
        let thread = get(&self.core, message.thread)
            .await
            .map_err(|error| match error {
                CommandError::NotFound { .. } => missing(),
                other => other,
            })?;
        if message.is_of(&thread) && message.status != MessageStatus::Deleted {
            Ok(message)
        } else {
            Err(missing())
        }
    }

    /// A text of a message, wherever it is kept.
    ///
    /// # Errors
    /// `Corrupt` when its blob cannot be believed; as any read.
    pub async fn text(&self, text: &KeptText) -> Result<Scrubbed, CommandError> {
        text::read(&self.core.space, text).await
    }

    /// The run that is at a thread.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub async fn active_run(&self, id: ThreadId) -> Result<Option<RunId>, CommandError> {
        Ok(self.get(id).await?.active_run)
    }
}

/// A thread that is there.
pub(super) async fn get(core: &Core, id: ThreadId) -> Result<Versioned<Thread>, CommandError> {
    let row = Records::<Thread>::new(&core.space).get(&id).await?;
    row.filter(|thread| thread.state != ThreadState::Deleted)
        .ok_or_else(|| CommandError::not_found("thread", &id))
}

/// A message of this thread that is there.
pub(super) async fn message(
    core: &Core,
    thread: &Thread,
    sequence: u64,
) -> Result<Versioned<Message>, CommandError> {
    let at = MessageAt {
        thread: thread.id,
        sequence,
    };
    let row = Records::<Message>::new(&core.space).get(&at).await?;
    row.filter(|message| message.is_of(thread) && message.status != MessageStatus::Deleted)
        .ok_or_else(|| CommandError::not_found("message", &at))
}
