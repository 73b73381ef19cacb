//! What a lease is on and an event is about: a kind and an id, written `run:run_…`.

use std::fmt;
use std::str::FromStr;

use dormouse_filesystem::{BadRowId, RecordId, Segment};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::budget::AccountPath;
use crate::id::segment;
use crate::{
    AgentName, GateId, HoldId, MessageId, RunId, SessionId, SinkName, SweepName, TaskId, ThreadId, WakeId,
};

/// A thing with a name of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An agent.
    Agent(AgentName),
    /// A task.
    Task(TaskId),
    /// A run.
    Run(RunId),
    /// A session.
    Session(SessionId),
    /// A gate.
    Gate(GateId),
    /// A thread.
    Thread(ThreadId),
    /// A message of a thread.
    Message(MessageId),
    /// An account.
    Account(AccountPath),
    /// A hold.
    Hold(HoldId),
    /// A timed wake.
    Wake(WakeId),
    /// The relay of a tenant's events to a sink; the tenant is the one whose namespace it is in.
    Relay(SinkName),
    /// A sweep of a tenant's rows.
    Sweep(SweepName),
    /// A row that could not be believed.
    Record(BadRowId),
}

impl Subject {
    /// The kind's word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Agent(_) => "agent",
            Self::Task(_) => "task",
            Self::Run(_) => "run",
            Self::Session(_) => "session",
            Self::Gate(_) => "gate",
            Self::Thread(_) => "thread",
            Self::Message(_) => "message",
            Self::Account(_) => "account",
            Self::Hold(_) => "hold",
            Self::Wake(_) => "wake",
            Self::Relay(_) => "relay",
            Self::Sweep(_) => "sweep",
            Self::Record(_) => "record",
        }
    }

    /// The id's text.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Agent(name) => name.to_string(),
            Self::Task(id) => id.to_string(),
            Self::Run(id) => id.to_string(),
            Self::Session(id) => id.to_string(),
            Self::Gate(id) => id.to_string(),
            Self::Thread(id) => id.to_string(),
            Self::Message(id) => id.to_string(),
            Self::Account(path) => path.to_string(),
            Self::Hold(id) => id.to_string(),
            Self::Wake(id) => id.to_string(),
            Self::Relay(name) => name.to_string(),
            Self::Sweep(name) => name.to_string(),
            Self::Record(id) => id.to_string(),
        }
    }

    fn from_parts(kind: &str, id: &str) -> Option<Self> {
        match kind {
            "agent" => id.parse().ok().map(Self::Agent),
            "task" => id.parse().ok().map(Self::Task),
            "run" => id.parse().ok().map(Self::Run),
            "session" => id.parse().ok().map(Self::Session),
            "gate" => id.parse().ok().map(Self::Gate),
            "thread" => id.parse().ok().map(Self::Thread),
            "message" => id.parse().ok().map(Self::Message),
            "account" => id.parse().ok().map(Self::Account),
            "hold" => id.parse().ok().map(Self::Hold),
            "wake" => id.parse().ok().map(Self::Wake),
            "relay" => id.parse().ok().map(Self::Relay),
            "sweep" => id.parse().ok().map(Self::Sweep),
            "record" => id.parse().ok().map(Self::Record),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.id())
    }
}

/// A text that names no subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subject is a kind and an id, as in run:run_…")]
pub struct InvalidSubject;

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        text.split_once(':')
            .and_then(|(kind, id)| Self::from_parts(kind, id))
            .ok_or(InvalidSubject)
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl RecordId for Subject {
    fn segments(&self) -> Vec<Segment> {
        vec![segment(self.kind()), segment(&self.id())]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        match segments {
            [kind, id] => Self::from_parts(kind, id),
            _ => None,
        }
    }
}
