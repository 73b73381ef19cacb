//! The row of a message.

use std::fmt;

use dormouse_filesystem::{
    Class, IndexEntry, IndexValue, Record, RecordId, RecordKind, Segment, Tenant, indexes,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Attachment, KeptText, MessageStatus, Thread};
use crate::command::CommandSpec;
use crate::event::{About, InThread};
use crate::id::segment;
use crate::{AgentName, Incarnation, MessageId, OpId, Principal, RunId, Subject, TaskId, ThreadId};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// What a person says to the agent: it has a turn.
    User,
    /// What the agent says.
    Assistant,
    /// What the agent is told beside that.
    System,
    /// What others say in short.
    Summary,
    /// Where a checkpoint is.
    CheckpointRef,
    /// What became of a tool's call.
    ToolRef,
    /// What is only shown.
    Display,
}

impl MessageKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::User,
        Self::Assistant,
        Self::System,
        Self::Summary,
        Self::CheckpointRef,
        Self::ToolRef,
        Self::Display,
    ];

    /// The kind's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
            Self::Summary => "summary",
            Self::CheckpointRef => "checkpoint_ref",
            Self::ToolRef => "tool_ref",
            Self::Display => "display",
        }
    }
}

/// The place of a message: what names its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageAt {
    /// The thread.
    pub thread: ThreadId,
    /// Its sequence there.
    pub sequence: u64,
}

impl fmt::Display for MessageAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.thread, self.sequence)
    }
}

impl RecordId for MessageAt {
    fn segments(&self) -> Vec<Segment> {
        vec![segment(&self.thread.to_string()), Segment::number(self.sequence)]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        let [thread, sequence] = segments else { return None };
        let is_number = sequence.len() == 20 && sequence.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self {
            thread: thread.parse().ok()?,
            sequence: is_number.then(|| sequence.parse().ok())??,
        })
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The thread it is in.
    pub thread: ThreadId,
    /// Which thread of that id.
    pub incarnation: Incarnation,
    /// Its place there.
    pub sequence: u64,
    /// The agent of the thread.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// What it is.
    pub kind: MessageKind,
    /// Where it is.
    pub status: MessageStatus,
    /// Who wrote it.
    pub by: Principal,
    /// What it says; none once that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<KeptText>,
    /// What comes with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// What its provider says of it, at most 16 KiB.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub provider: serde_json::Map<String, serde_json::Value>,
    /// The command line that does its turn, when a process is to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandSpec>,
    /// The task of its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The first run of its turn, or the run that writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Of a summary: the sequences of the messages it tells of, rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<u64>,
    /// The sequence of the message that stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<u64>,
    /// When it came.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

impl Message {
    /// What its events are about.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(Subject::Message(self.id), &self.agent, self.agent_incarnation)
    }

    /// Its place.
    #[must_use]
    pub fn at(&self) -> MessageAt {
        MessageAt {
            thread: self.thread,
            sequence: self.sequence,
        }
    }

    /// Its place, as events say it.
    pub(super) fn place(&self) -> InThread {
        InThread {
            thread: self.thread,
            sequence: self.sequence,
        }
    }

    /// Whether it belongs to this thread, and not to a former one of its id.
    pub(super) fn is_of(&self, thread: &Thread) -> bool {
        self.thread == thread.id && self.incarnation == thread.incarnation
    }

    /// The same without anything that was said.
    pub(super) fn emptied(&self) -> Self {
        Self {
            text: None,
            attachments: Vec::new(),
            provider: serde_json::Map::new(),
            command: None,
            ..self.clone()
        }
    }
}

indexes! {
    /// What finds messages.
    pub enum MessageIndex {
        /// By id.
        Id = own "id",
        /// Those that wait for their turn: by thread and sequence.
        Queued = own "queued",
        /// Summaries that stand: by thread and sequence.
        Summary = own "summary",
        /// Those that a run wrote: by run.
        Run = own "run",
    }
}

impl Record for Message {
    type Scope = Tenant;
    type Id = MessageAt;
    type Index = MessageIndex;
    const KIND: RecordKind = RecordKind::of("message");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Advisory;

    fn id(&self) -> MessageAt {
        self.at()
    }

    fn index_entries(&self) -> Vec<IndexEntry<MessageIndex>> {
        let thread = IndexValue::name(&self.thread.to_string());
        let id = IndexValue::name(&self.id.to_string());
        let mut entries = vec![IndexEntry::new(MessageIndex::Id, [id])];
        if self.status == MessageStatus::Queued {
            entries.push(IndexEntry::new(MessageIndex::Queued, [thread.clone()]));
        }
        if self.kind == MessageKind::Summary && self.status == MessageStatus::Final {
            entries.push(IndexEntry::new(MessageIndex::Summary, [thread]));
        }
        if let (MessageKind::Assistant, Some(run)) = (self.kind, self.run) {
            let run = IndexValue::name(&run.to_string());
            entries.push(IndexEntry::new(MessageIndex::Run, [run]));
        }
        entries
    }
}
