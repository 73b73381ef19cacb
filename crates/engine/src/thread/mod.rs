//! Threads: conversations with an agent, message by message, and one run at a time (stores.md, section 9).
//!
//! A thread is a row, and each of its messages another. Who appends takes the thread's version, so sequences rise; those
//! that come while a commit is in flight go together in the next (`combine`). A submitted message is a *turn*: its
//! task is made in the same commit, and the claim of that task makes its run the thread's active one, until it ends.
//! What comes meanwhile is queued, and the commit that ends a turn's task submits the next (`turn`).
//!
//! Content is [`Scrubbed`](dormouse_secrets::Scrubbed) by type, in the row up to 64 KiB and in a blob beyond; it is in
//! no event, index or task, so that what is redacted is gone.

mod append;
mod combine;
mod erase;
mod list;
mod message;
mod note;
mod send;
mod service;
mod summary;
mod table;
mod text;
mod turn;
mod writer;

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use append::{Append, Appended, Arrival, NewAttachment, NewMessage, WhenBusy};
pub use list::{MessagePage, ThreadPage};
pub use message::{Message, MessageAt, MessageIndex, MessageKind};
pub use service::{NewThread, Threads};
pub use summary::NewSummary;
pub use table::{MessageEvent, MessageStatus, ThreadEvent, ThreadState, decide, decide_thread};
pub use text::{Attachment, KeptText};
pub use writer::{DraftWriter, Final, Wrote};

pub(crate) use combine::Appends;
pub(crate) use erase::{delete_thread, erase_deleted, sweep_blobs};
pub(crate) use note::stage_note;
pub(crate) use turn::{TurnNote, note_gone, note_run, note_task, settle};

use crate::event::About;
use crate::{AgentName, Incarnation, OpId, RunId, SessionId, Subject, TaskId, ThreadId};

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thread {
    /// Its id.
    pub id: ThreadId,
    /// The agent it is with.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// The session that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Told from a former thread of that id.
    pub incarnation: Incarnation,
    /// Where it is.
    pub state: ThreadState,
    /// The sequence of its next message, from 1; never given twice.
    pub next_sequence: u64,
    /// The run that is at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_run: Option<RunId>,
    /// The task of the message that was submitted last, until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TaskId>,
    /// Messages that wait for their turn.
    pub queued: u32,
    /// When a message was last appended or finished.
    pub last_activity: Timestamp,
    /// Whether messages of a deleted one are still to be removed.
    #[serde(default, skip_serializing_if = "is_not")]
    pub is_erasing: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_not(fact: &bool) -> bool {
    !*fact
}

impl Thread {
    /// What its events are about.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(Subject::Thread(self.id), &self.agent, self.agent_incarnation)
    }

    /// Since when nothing is left of it but its tombstone.
    #[must_use]
    pub fn gone_at(&self) -> Option<Timestamp> {
        let is_gone = self.state == ThreadState::Deleted && !self.is_erasing;
        is_gone.then_some(self.updated_at)
    }

    /// The sequence of the message that is appended now.
    fn next(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence - 1
    }
}

/// Of which message a task is the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// The thread.
    pub thread: ThreadId,
    /// The message's sequence there.
    pub message: u64,
    /// The first run of the task, as who submitted the message was told before it began.
    pub run: RunId,
}

indexes! {
    /// What finds threads.
    pub enum ThreadIndex {
        /// By the beginning of their id; deleted ones are in no index of their own tenant.
        Id = own "id",
        /// By when something last happened there.
        Activity = own "activity",
        /// The same, by agent.
        Agent = own "agent",
        /// Deleted ones of which messages are left, over all tenants.
        Erasing = system "erasing",
        /// Those of which nothing is left but their tombstone, over all tenants, by when that was so.
        Retire = system "retire",
    }
}

impl Record for Thread {
    type Scope = Tenant;
    type Id = ThreadId;
    type Index = ThreadIndex;
    const KIND: RecordKind = RecordKind::of("thread");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> ThreadId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<ThreadIndex>> {
        let mut entries = Vec::new();
        if self.is_erasing {
            let since = IndexValue::instant(self.updated_at);
            entries.push(IndexEntry::new(ThreadIndex::Erasing, [since]));
        }
        if let Some(since) = self.gone_at() {
            entries.push(IndexEntry::new(ThreadIndex::Retire, [IndexValue::instant(since)]));
        }
        if self.state != ThreadState::Deleted {
            let agent = IndexValue::segment(self.agent.segment());
            let activity = IndexValue::instant(self.last_activity);
            entries.push(IndexEntry::new(ThreadIndex::Id, []));
            entries.push(IndexEntry::new(ThreadIndex::Activity, [activity.clone()]));
            entries.push(IndexEntry::new(ThreadIndex::Agent, [agent, activity]));
        }
        entries
    }
}
