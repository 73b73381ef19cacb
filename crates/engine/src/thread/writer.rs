//! What a run writes into its thread: drafts as it goes, and one final message.

use std::sync::Arc;

use dormouse_filesystem::{Records, Versioned};
use dormouse_secrets::Scrubbed;
use tokio::time::Instant;

use super::append::Work;
use super::text::{self, Content};
use super::turn::written_by;
use super::{Appended, Message, MessageAt, MessageEvent, MessageKind, MessageStatus, decide};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::lease::{LeaseEvent, check};
use crate::limits::DRAFT_EVERY;
use crate::run::Claimed;
use crate::{CommandError, Decision, MessageId, PrefixedId, Principal, Subject, ThreadId};

/// What became of a text that a run goes on writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    /// It is durable.
    Stored,
    /// It is held, since another was stored less than `threads.draft_every` ago: the next one, or
    /// [`flush`](DraftWriter::flush), stores it.
    Held,
}

/// What a final message says.
#[derive(Debug, Clone, PartialEq)]
pub struct Final {
    /// Its text, at most 4 MiB.
    pub text: Scrubbed,
    /// What its provider says of it, at most 16 KiB, clean.
    pub provider: serde_json::Map<String, serde_json::Value>,
}

/// Writes the messages of one run: a draft, which each text replaces, and then the final one. Every write carries the
/// run's lease, so a run that was replaced changes nothing.
#[derive(Debug)]
pub struct DraftWriter<'c> {
    core: Arc<Core>,
    claimed: &'c Claimed,
    thread: ThreadId,
    draft: Option<MessageAt>,
    held: Option<Scrubbed>,
    stored_at: Option<Instant>,
}

impl<'c> DraftWriter<'c> {
    pub(super) fn new(core: &Arc<Core>, claimed: &'c Claimed, thread: ThreadId) -> Self {
        Self {
            core: Arc::clone(core),
            claimed,
            thread,
            draft: None,
            held: None,
            stored_at: None,
        }
    }

    /// Goes on with the draft: this is all of it so far. It is stored at most once in 500 ms.
    ///
    /// # Errors
    /// `Fenced` and `LeaseExpired`: stop at once. `Rejected` when it was redacted, superseded or deleted meanwhile;
    /// `TooLarge`.
    pub async fn write(&mut self, text: Scrubbed) -> Result<Wrote, CommandError> {
        self.held = Some(text);
        if self.due_in().is_zero() {
            self.flush().await?;
            return Ok(Wrote::Stored);
        }
        Ok(Wrote::Held)
    }

    /// How long it is until what is held may be stored.
    #[must_use]
    pub fn due_in(&self) -> std::time::Duration {
        self.stored_at.map_or(std::time::Duration::ZERO, |at| {
            DRAFT_EVERY.saturating_sub(at.elapsed())
        })
    }

    /// Stores what is held, now.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn flush(&mut self) -> Result<(), CommandError> {
        let Some(text) = self.held.clone() else {
            return Ok(());
        };
        self.stored_at = Some(Instant::now());
        let content = Content::of(&self.core, text, Vec::new()).await?;
        let by = Principal::engine();
        let done = self
            .core
            .command(&by, |draft| self.staged_draft(draft, &content))
            .await?;
        let (at, former) = done.answer;
        text::purge(&self.core, &former).await;
        (self.draft, self.held) = (Some(at), None);
        Ok(())
    }

    /// The message is final. The same again answers the first.
    ///
    /// # Errors
    /// As [`write`](Self::write); `Rejected` when another message of this run is final.
    pub async fn finish(&mut self, last: &Final) -> Result<Appended, CommandError> {
        let content = Content::of(&self.core, last.text.clone(), Vec::new()).await?;
        let by = Principal::engine();
        let done = self
            .core
            .command(&by, |draft| self.staged_final(draft, last, &content))
            .await?;
        let (appended, former) = done.answer;
        text::purge(&self.core, &former).await;
        self.held = None;
        Ok(appended)
    }

    async fn staged_draft(
        &self,
        mut draft: Draft,
        content: &Content,
    ) -> Result<Verdict<(MessageAt, Vec<dormouse_filesystem::blob::BlobId>)>, CommandError> {
        self.stage_held(&mut draft).await?;
        let rows = Records::<Message>::new(&self.core.space);
        let Some(at) = self.draft else {
            let mut work = Work::begin_any(&self.core, self.thread).await?;
            let message = self.made(&draft, &mut work, content, MessageStatus::Draft);
            content.attach(&self.core, &mut draft).await?;
            rows.stage_create(draft.batch(), &message)?;
            work.end(&self.core, &mut draft).await?;
            return Ok(Verdict::Commit(draft, (message.at(), Vec::new())));
        };
        let read = self.read(at).await?;
        match decide(read.status, MessageEvent::Update) {
            Decision::Same => {}
            Decision::Reject(reason) => return Err(self.rejected(&read, MessageEvent::Update, reason)),
            cell => unreachable!("no cell of update is {cell:?}"),
        }
        let message = Message {
            text: Some(content.text.clone()),
            updated_at: draft.now(),
            op: draft.op(),
            ..Message::clone(&read)
        };
        text::stage_removed(&self.core, &mut draft, &read).await?;
        content.attach(&self.core, &mut draft).await?;
        rows.stage_replace(draft.batch(), &read, &message).await?;
        Ok(Verdict::Commit(draft, (at, text::blobs_of(&read))))
    }

    async fn staged_final(
        &self,
        mut draft: Draft,
        last: &Final,
        content: &Content,
    ) -> Result<Verdict<(Appended, Vec<dormouse_filesystem::blob::BlobId>)>, CommandError> {
        self.stage_held(&mut draft).await?;
        // Takes the thread's version, so that of two final messages at once one is second.
        let mut work = Work::begin_any(&self.core, self.thread).await?;
        let written = written_by(&self.core, self.claimed.run.id).await?;
        if let Some(first) = written.iter().find(|it| it.status == MessageStatus::Final) {
            let is_replay = self.is_same(first, last).await?;
            return match decide(first.status, MessageEvent::Finalise { is_replay }) {
                Decision::Ignore(_) => Ok(Verdict::Nothing((Appended::of(first), Vec::new()))),
                Decision::Reject(reason) => {
                    Err(self.rejected(first, MessageEvent::Finalise { is_replay }, reason))
                }
                cell => unreachable!("no cell of a final message is {cell:?}"),
            };
        }
        let rows = Records::<Message>::new(&self.core.space);
        let own = self.draft;
        let read = written
            .into_iter()
            .find(|it| it.status == MessageStatus::Draft && own.is_none_or(|at| at == it.at()));
        content.attach(&self.core, &mut draft).await?;
        let (message, former) = match &read {
            None if own.is_some() => {
                let read = self.read(own.expect("it was written")).await?;
                let event = MessageEvent::Finalise { is_replay: false };
                let Decision::Reject(reason) = decide(read.status, event) else {
                    // It was a draft a moment ago: all is read again.
                    return Err(CommandError::LOST_RACE);
                };
                return Err(self.rejected(&read, event, reason));
            }
            None => {
                let mut message = self.made(&draft, &mut work, content, MessageStatus::Final);
                message.provider.clone_from(&last.provider);
                rows.stage_create(draft.batch(), &message)?;
                (message, Vec::new())
            }
            Some(read) => {
                let message = Message {
                    status: MessageStatus::Final,
                    text: Some(content.text.clone()),
                    provider: last.provider.clone(),
                    updated_at: draft.now(),
                    op: draft.op(),
                    ..Message::clone(read)
                };
                text::stage_removed(&self.core, &mut draft, read).await?;
                rows.stage_replace(draft.batch(), read, &message).await?;
                (message, text::blobs_of(read))
            }
        };
        let at = message.place();
        let run = message.run;
        draft.tell(&message.about(), &Change::MessageFinal { at, run })?;
        work.end(&self.core, &mut draft).await?;
        Ok(Verdict::Commit(draft, (Appended::of(&message), former)))
    }

    /// The lease is a precondition of the write.
    async fn stage_held(&self, draft: &mut Draft) -> Result<(), CommandError> {
        let held = check(&self.core, &self.claimed.guard, LeaseEvent::Write, draft.now()).await?;
        held.stage_check(&self.core, draft);
        Ok(())
    }

    async fn read(&self, at: MessageAt) -> Result<Versioned<Message>, CommandError> {
        let row = Records::<Message>::new(&self.core.space).get(&at).await?;
        row.ok_or_else(|| CommandError::not_found("message", &at))
    }

    async fn is_same(&self, stored: &Message, last: &Final) -> Result<bool, CommandError> {
        let Some(kept) = &stored.text else {
            return Ok(false);
        };
        if kept.bytes() != last.text.len() as u64 || stored.provider != last.provider {
            return Ok(false);
        }
        Ok(text::read(&self.core.space, kept).await? == last.text)
    }

    fn rejected(&self, message: &Message, event: MessageEvent, reason: crate::Reason) -> CommandError {
        CommandError::Rejected {
            subject: Subject::Message(message.id),
            state: message.status.word(),
            event: event.word(),
            reason,
        }
    }

    fn made(&self, draft: &Draft, work: &mut Work, content: &Content, status: MessageStatus) -> Message {
        let run = &self.claimed.run;
        Message {
            id: MessageId::make(draft.now(), &self.core.environment.random),
            thread: work.thread.id,
            incarnation: work.thread.incarnation,
            sequence: work.thread.next(),
            agent: work.thread.agent.clone(),
            agent_incarnation: work.thread.agent_incarnation,
            kind: MessageKind::Assistant,
            status,
            by: draft.actor().clone(),
            text: Some(content.text.clone()),
            attachments: Vec::new(),
            provider: serde_json::Map::new(),
            command: None,
            task: run.task,
            run: Some(run.id),
            covers: Vec::new(),
            superseded_by: None,
            created_at: draft.now(),
            updated_at: draft.now(),
            op: draft.op(),
        }
    }
}
