//! A run, and what it printed.

use bytes::Bytes;
use dormouse_engine::outcome::{Facts, Outcome};
use dormouse_engine::run::{Checkpoint, OpenCall, RunRow, RunState, RunWait, StopReason};
use dormouse_engine::transcript::Frame;
use dormouse_engine::{AgentName, RunId, SessionId, TaskId};
use dormouse_filesystem::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A run, as the API answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// The task it is an attempt at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The agent that works.
    pub agent: AgentName,
    /// Which attempt at its task, from 1.
    pub attempt: u32,
    /// Where it is.
    pub state: RunState,
    /// What it waits for, when it is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<RunWait>,
    /// The session that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// How it ended; none while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What else is known of its end; none when its holder vanished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// What is known of its effects.
    pub checkpoint: Checkpoint,
    /// The calls of its provider that are open, or were cut, so that they may have happened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<OpenCall>,
    /// The session of its provider, where that is known before it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_session: Option<String>,
    /// The run, lost, whose session of its provider goes on in this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<RunId>,
    /// Why it is being stopped, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Its version.
    pub version: Version,
}

impl RunView {
    /// The view of a row and its outcome.
    #[must_use]
    pub fn of(row: &RunRow) -> Self {
        let run = &row.run;
        Self {
            id: run.id,
            task: run.task,
            agent: run.agent.clone(),
            attempt: run.attempt,
            state: run.state,
            wait: run.wait,
            session: run.session,
            outcome: row.outcome.as_ref().map(|row| row.outcome.clone()),
            facts: row.outcome.as_ref().and_then(|row| row.facts.clone()),
            checkpoint: run.checkpoint.clone(),
            calls: run.calls.clone(),
            provider_session: run.provider_session.as_ref().map(ToString::to_string),
            continues: run.continues,
            stop_reason: run.stop_reason.clone(),
            started_at: run.started_at,
            ended_at: run.ended_at,
            version: run.version(),
        }
    }
}

/// A piece of what a run printed: text where it is UTF-8, else base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkView {
    /// Bytes printed before it. A gap to the end of the piece before means that the middle was left out.
    pub offset: u64,
    /// When it was read.
    pub at: Timestamp,
    /// `stdout` or `stderr`.
    pub channel: String,
    /// What was printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What was printed, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

impl ChunkView {
    /// The view of a frame.
    #[must_use]
    pub fn of(frame: &Frame) -> Self {
        let text = std::str::from_utf8(&frame.bytes).ok().map(str::to_owned);
        Self {
            offset: frame.offset,
            at: frame.at,
            channel: frame.channel.name().to_owned(),
            base64: text.is_none().then(|| data_encoding::BASE64.encode(&frame.bytes)),
            text,
        }
    }

    /// The offset behind its last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.bytes().len() as u64
    }

    /// The bytes that were printed.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        match (&self.text, &self.base64) {
            (Some(text), _) => Bytes::copy_from_slice(text.as_bytes()),
            (None, Some(base64)) => data_encoding::BASE64
                .decode(base64.as_bytes())
                .unwrap_or_default()
                .into(),
            (None, None) => Bytes::new(),
        }
    }
}
