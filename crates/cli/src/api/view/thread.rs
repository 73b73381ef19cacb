//! A thread, and a message in it.

use dormouse_engine::thread::{KeptText, Message, MessageKind, MessageStatus, Thread, ThreadState};
use dormouse_engine::{AgentName, Incarnation, MessageId, RunId, SessionId, TaskId, ThreadId};
use dormouse_filesystem::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A thread, as the API answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreadView {
    /// Its id.
    pub id: ThreadId,
    /// The agent it is with.
    pub agent: AgentName,
    /// The session that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Told from a former thread of that id: what summaries name as evidence.
    pub incarnation: Incarnation,
    /// Where it is.
    pub state: ThreadState,
    /// The sequence of the newest message; 0 before the first.
    pub last_sequence: u64,
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
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Its version.
    pub version: Version,
}

impl ThreadView {
    /// The view of a row.
    #[must_use]
    pub fn of(thread: &Thread, version: Version) -> Self {
        Self {
            id: thread.id,
            agent: thread.agent.clone(),
            session: thread.session,
            incarnation: thread.incarnation,
            state: thread.state,
            last_sequence: thread.next_sequence - 1,
            active_run: thread.active_run,
            turn: thread.turn,
            queued: thread.queued,
            last_activity: thread.last_activity,
            created_at: thread.created_at,
            updated_at: thread.updated_at,
            version,
        }
    }
}

/// What comes with a message, as the API answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttachmentView {
    /// What names it among those of the message.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it is.
    pub media_type: String,
    /// Bytes of the text that could be read of it.
    pub bytes: u64,
    /// That text, where it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A message, as the API answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageView {
    /// Its id.
    pub id: MessageId,
    /// The thread it is in.
    pub thread: ThreadId,
    /// Its place there.
    pub sequence: u64,
    /// What it is.
    pub kind: MessageKind,
    /// Where it is.
    pub status: MessageStatus,
    /// Who wrote it.
    pub by: String,
    /// What it says, or the beginning of it; none when that is not asked for or gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether there is more of the text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
    /// Bytes of the whole text.
    pub bytes: u64,
    /// What comes with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachmentView>,
    /// The task of its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The first run of its turn, or the run that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Of a summary: the sequences of the messages it tells of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<u64>,
    /// The sequence of the message that stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<u64>,
    /// When it came.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Its version.
    pub version: Version,
}

impl MessageView {
    /// The view of a row, without what it says.
    #[must_use]
    pub fn of(message: &Message, version: Version) -> Self {
        let attachments = message.attachments.iter().map(|attachment| AttachmentView {
            id: attachment.id.clone(),
            name: attachment.name.to_string(),
            media_type: attachment.media_type.to_string(),
            bytes: attachment.text.as_ref().map_or(0, KeptText::bytes),
            text: None,
        });
        Self {
            id: message.id,
            thread: message.thread,
            sequence: message.sequence,
            kind: message.kind,
            status: message.status,
            by: message.by.to_string(),
            text: None,
            is_cut: false,
            bytes: message.text.as_ref().map_or(0, KeptText::bytes),
            attachments: attachments.collect(),
            task: message.task,
            run: message.run,
            covers: message.covers.clone(),
            superseded_by: message.superseded_by,
            created_at: message.created_at,
            updated_at: message.updated_at,
            version,
        }
    }
}
