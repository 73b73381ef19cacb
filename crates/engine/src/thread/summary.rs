//! Summaries: what stands for messages that were submitted or are final.

use std::sync::Arc;

use dormouse_filesystem::{IndexValue, Query, Records, Versioned};
use dormouse_secrets::Scrubbed;

use super::append::Work;
use super::service::message;
use super::text::{self, Content};
use super::{Appended, Message, MessageEvent, MessageIndex, MessageKind, MessageStatus, Thread, decide};
use crate::core::Core;
use crate::credentials::Credentials;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::limits::{COVERS_MAX, SUMMARIES_MAX};
use crate::{
    CommandError, Decision, Incarnation, MessageId, PrefixedId, Principal, Reason, Subject, ThreadId,
};

/// A summary to be made, with the evidence of what was read for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSummary {
    /// The thread whose messages were read, told from former ones of its id.
    pub incarnation: Incarnation,
    /// The sequences of the messages it tells of: 1 to 256.
    pub covers: Vec<u64>,
    /// The sequences of the standing summaries it replaces: all that tell of one of these, at most 64.
    pub replaces: Vec<u64>,
    /// What it says, at most 4 MiB.
    pub text: String,
}

/// Most summaries that one replaces: each is several operations of the commit.
const REPLACES_MAX: usize = 64;

pub(super) async fn summarise(
    core: &Arc<Core>,
    by: &Principal,
    thread: ThreadId,
    new: &NewSummary,
) -> Result<Appended, CommandError> {
    let covers = sorted("covers", &new.covers, 1..=COVERS_MAX)?;
    let replaces = sorted("replaces", &new.replaces, 0..=REPLACES_MAX)?;
    let agent = super::service::get(core, thread).await?.agent.clone();
    let clean = Credentials::new(core).scrubber(&agent).await?.scrub(&new.text);
    let content = Content::of(core, clean.clone(), Vec::new()).await?;
    let wanted = Wanted {
        incarnation: new.incarnation,
        covers,
        replaces,
        clean,
        content,
    };
    let done = core
        .command(by, |draft| wanted.staged(core, draft, thread))
        .await?;
    Ok(done.answer)
}

fn sorted(
    field: &'static str,
    sequences: &[u64],
    bounds: std::ops::RangeInclusive<usize>,
) -> Result<Vec<u64>, CommandError> {
    let mut sorted = sequences.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if bounds.contains(&sorted.len()) {
        return Ok(sorted);
    }
    let (least, most, found) = (bounds.start(), bounds.end(), sorted.len());
    Err(CommandError::invalid(
        field,
        format!("names {found} messages, {least} to {most} are taken"),
    ))
}

struct Wanted {
    incarnation: Incarnation,
    covers: Vec<u64>,
    replaces: Vec<u64>,
    clean: Scrubbed,
    content: Content,
}

impl Wanted {
    async fn staged(
        &self,
        core: &Core,
        mut draft: Draft,
        thread: ThreadId,
    ) -> Result<Verdict<Appended>, CommandError> {
        // It takes the thread's version, as a redaction does: neither misses the other.
        let mut work = Work::begin_any(core, thread).await?;
        if work.thread.incarnation != self.incarnation {
            return Err(CommandError::not_found("thread", &thread));
        }
        let standing = standing(core, &work.thread).await?;
        if let Some(same) = self.replayed(core, &standing).await? {
            return Ok(Verdict::Nothing(same));
        }
        let replaced = self.check_overlaps(&standing)?;
        if standing.len() - replaced.len() >= SUMMARIES_MAX {
            return Err(CommandError::Full {
                limit: "threads.summaries_max",
            });
        }
        self.stage_covered(core, &mut draft, &work.thread).await?;
        let summary = self.made(core, &draft, &mut work);
        self.content.attach(core, &mut draft).await?;
        let rows = Records::<Message>::new(&core.space);
        rows.stage_create(draft.batch(), &summary)?;
        let (at, run) = (summary.place(), None);
        draft.tell(&summary.about(), &Change::MessageFinal { at, run })?;
        for read in replaced {
            stage_superseded(core, &mut draft, read, Some(summary.sequence), Says::On).await?;
        }
        work.end(core, &mut draft).await?;
        Ok(Verdict::Commit(draft, Appended::of(&summary)))
    }

    /// The same summary of the same messages, if it stands.
    async fn replayed(
        &self,
        core: &Core,
        standing: &[Versioned<Message>],
    ) -> Result<Option<Appended>, CommandError> {
        for summary in standing.iter().filter(|summary| summary.covers == self.covers) {
            let Some(kept) = &summary.text else { continue };
            if text::read(&core.space, kept).await? == self.clean {
                return Ok(Some(Appended::of(summary)));
            }
        }
        Ok(None)
    }

    /// The summaries it replaces: exactly those that tell of one of its messages.
    fn check_overlaps<'m>(
        &self,
        standing: &'m [Versioned<Message>],
    ) -> Result<Vec<&'m Versioned<Message>>, CommandError> {
        let mut replaced = Vec::with_capacity(self.replaces.len());
        for summary in standing {
            let shared = summary
                .covers
                .iter()
                .find(|it| self.covers.binary_search(it).is_ok());
            let is_replaced = self.replaces.binary_search(&summary.sequence).is_ok();
            match (shared, is_replaced) {
                (Some(_), true) => replaced.push(summary),
                (Some(message), false) => {
                    let why = format!("summary {} tells of message {message} already", summary.sequence);
                    return Err(CommandError::invalid("covers", why));
                }
                (None, true) => {
                    let why = format!("summary {} tells of none of these messages", summary.sequence);
                    return Err(CommandError::invalid("replaces", why));
                }
                (None, false) => {}
            }
        }
        if replaced.len() < self.replaces.len() {
            return Err(CommandError::invalid(
                "replaces",
                "not each of these is a summary that stands",
            ));
        }
        Ok(replaced)
    }

    /// Its messages are to stay as they were read.
    async fn stage_covered(
        &self,
        core: &Core,
        draft: &mut Draft,
        thread: &Thread,
    ) -> Result<(), CommandError> {
        let rows = Records::<Message>::new(&core.space);
        for sequence in &self.covers {
            let read = message(core, thread, *sequence).await?;
            let is_told = matches!(read.status, MessageStatus::Submitted | MessageStatus::Final);
            if !is_told || read.kind == MessageKind::Summary {
                return Err(CommandError::Rejected {
                    subject: Subject::Message(read.id),
                    state: read.status.word(),
                    event: "summarise",
                    reason: Reason::State,
                });
            }
            rows.stage_check(draft.batch(), &read);
        }
        Ok(())
    }

    fn made(&self, core: &Core, draft: &Draft, work: &mut Work) -> Message {
        Message {
            id: MessageId::make(draft.now(), &core.environment.random),
            thread: work.thread.id,
            incarnation: work.thread.incarnation,
            sequence: work.thread.next(),
            agent: work.thread.agent.clone(),
            agent_incarnation: work.thread.agent_incarnation,
            kind: MessageKind::Summary,
            status: MessageStatus::Final,
            by: draft.actor().clone(),
            text: Some(self.content.text.clone()),
            attachments: Vec::new(),
            provider: serde_json::Map::new(),
            command: None,
            task: None,
            run: None,
            covers: self.covers.clone(),
            superseded_by: None,
            created_at: draft.now(),
            updated_at: draft.now(),
            op: draft.op(),
        }
    }
}

/// The summaries of a thread that stand.
pub(super) async fn standing(core: &Core, thread: &Thread) -> Result<Vec<Versioned<Message>>, CommandError> {
    let query = Query::of(MessageIndex::Summary)
        .equals([IndexValue::name(&thread.id.to_string())])
        // There are no more, beside what is left of a former thread of the id.
        .limit(SUMMARIES_MAX);
    let (rows, mut found, mut after) = (Records::<Message>::new(&core.space), Vec::new(), None);
    // Ends with the last page.
    loop {
        let page = rows.find(&query.clone().after(after)).await?;
        found.extend(page.rows.into_iter().filter(|message| message.is_of(thread)));
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// What a superseded message says from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// What it said.
    On,
    /// Nothing: it told of what is gone.
    Nothing,
}

/// Stages that another message stands for this one.
pub(super) async fn stage_superseded(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<Message>,
    by: Option<u64>,
    says: Says,
) -> Result<Message, CommandError> {
    let status = match decide(read.status, MessageEvent::Supersede) {
        Decision::Apply(status) => status,
        Decision::Same | Decision::Ignore(_) => return Ok(Message::clone(read)),
        Decision::Reject(reason) => {
            return Err(CommandError::Rejected {
                subject: Subject::Message(read.id),
                state: read.status.word(),
                event: MessageEvent::Supersede.word(),
                reason,
            });
        }
    };
    let said = match says {
        Says::On => Message::clone(read),
        Says::Nothing => {
            text::stage_removed(core, draft, read).await?;
            read.emptied()
        }
    };
    let message = Message {
        status,
        superseded_by: by,
        updated_at: draft.now(),
        op: draft.op(),
        ..said
    };
    Records::<Message>::new(&core.space)
        .stage_replace(draft.batch(), read, &message)
        .await?;
    let at = message.place();
    draft.tell(&message.about(), &Change::MessageSuperseded { at, by })?;
    Ok(message)
}
