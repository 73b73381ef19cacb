//! What a command answers when it does not do what was asked (stores.md, section 12).

use dormouse_filesystem::{CommitError, LogError, Position, ReadError, RecordError, Version};
use dormouse_secrets::VaultState;
use jiff::Timestamp;

use crate::budget::Refusal;
use crate::command::InvalidCommand;
use crate::gate::Enforcement;
use crate::id::InvalidId;
use crate::name::InvalidName;
use crate::{AgentName, OpId, Reason, RunId, SessionId, Subject, TaskId};

/// A command that was not done, or of which that is not known. Each variant says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Not done: there is none, or none to be seen. Correct the id.
    #[error("there is no {what} {id}")]
    NotFound {
        /// The noun.
        what: &'static str,
        /// The id or name, as it was asked for.
        id: String,
    },
    /// Not done: the short form fits two. Give more digits.
    #[error("{given} may be {first} or {second}")]
    Ambiguous {
        /// The short form.
        given: String,
        /// One it fits.
        first: String,
        /// Another.
        second: String,
    },
    /// Not done: there is one of that name. Use it, or choose another name.
    #[error("{what} {id} exists already")]
    Exists {
        /// The noun.
        what: &'static str,
        /// The id or name.
        id: String,
    },
    /// Not done: the state does not allow it. Look at the state.
    #[error("{subject} is {state}: {event} is refused, {reason}")]
    Rejected {
        /// What it is about.
        subject: Subject,
        /// Its state's word.
        state: &'static str,
        /// The word of what was asked.
        event: &'static str,
        /// Why not.
        reason: Reason,
    },
    /// Not done: it was written since it was read. Read it again.
    #[error("{subject} is at version {current} by now")]
    Stale {
        /// What.
        subject: Subject,
        /// The version it is at.
        current: Version,
    },
    /// Not done: the agent is paused. Resume it.
    #[error("agent {agent} is paused")]
    AgentPaused {
        /// Which.
        agent: AgentName,
    },
    /// Not done: the agent is being deleted.
    #[error("agent {agent} is being deleted")]
    AgentDeleting {
        /// Which.
        agent: AgentName,
    },
    /// Not done: who asks may not. Ask somebody who may.
    #[error("{what}")]
    Forbidden {
        /// What is not allowed to whom.
        what: String,
    },
    /// Not done: the agent is not there to do it. Choose another.
    #[error("a task for agent {agent} cannot be delivered: {why}")]
    Undeliverable {
        /// Which.
        agent: AgentName,
        /// Why not.
        why: &'static str,
    },
    /// Not done: as many tasks are given away below one root as may be. Take results first, or do it yourself.
    #[error("no more can be given away below {root}: it is over the limit {limit}")]
    TreeFull {
        /// The task at the top.
        root: TaskId,
        /// The limit's name.
        limit: &'static str,
    },
    /// Not done: the metadata, or the patch of it, is not valid. Correct it.
    #[error("metadata: {reason}")]
    InvalidMetadata {
        /// What is wrong.
        reason: &'static str,
    },
    /// Not done: its worker needs secrets, and the vault is not unlocked. The task stays ready; unlock the vault.
    #[error("{task} stays ready: its worker needs secrets of {agent}, and the vault is {state}")]
    SecretsLocked {
        /// Which task.
        task: TaskId,
        /// Whose secrets.
        agent: AgentName,
        /// How the vault is.
        state: VaultState,
    },
    /// Not done: a field is not valid. Correct it.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Not done: no such id can be. Correct it.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// Not done: no such name can be. Correct it.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// Not done: the command line is not valid. Correct it.
    #[error(transparent)]
    InvalidCommand(#[from] InvalidCommand),
    /// Not done: more than fits. Make it smaller.
    #[error("it is over the limit {limit}")]
    TooLarge {
        /// The limit's name.
        limit: &'static str,
    },
    /// Not done: the cursor is of another query. Start again without it.
    #[error("the cursor belongs to another query")]
    CursorScope,
    /// Not done: the position is not among those kept. Start from the rows, then from a position that is.
    #[error("the log keeps positions {first} up to before {next}; the one asked for is not among them")]
    ReplayGap {
        /// The earliest position kept.
        first: Position,
        /// The position of the next entry.
        next: Position,
    },
    /// Not done: another holds the lease, or nobody. Stop working at once.
    #[error("the lease on {subject} is no longer held")]
    Fenced {
        /// What it was on.
        subject: Subject,
    },
    /// Not done: the lease's time is up. Stop working at once.
    #[error("the lease on {subject} expired at {at}")]
    LeaseExpired {
        /// What it is on.
        subject: Subject,
        /// When it expired.
        at: Timestamp,
    },
    /// Not done: the session began another life. Ask for its context again.
    #[error("session {session} is in its life {current}")]
    StaleIncarnation {
        /// Which session.
        session: SessionId,
        /// The life it is in.
        current: u32,
    },
    /// Not done: the agent has as many open sessions as it may. End some.
    #[error("agent {agent} has too many open sessions")]
    TooManySessions {
        /// Which agent.
        agent: AgentName,
    },
    /// Not done: the worker cannot do what its session's mode asks for. Choose another worker, or another mode.
    #[error("the session's mode is {mode}, and the worker {can}")]
    NoApprovalChannel {
        /// The word of the mode.
        mode: &'static str,
        /// What stands between the worker and its calls.
        can: Enforcement,
    },
    /// Not done: a run is at the thread. Wait for its end, or have the message queued.
    #[error("{run} is at the thread")]
    Busy {
        /// Which run.
        run: RunId,
    },
    /// Not done: as many as may be are there. Wait until there are fewer.
    #[error("the limit {limit} is reached; nothing was done")]
    Full {
        /// The limit's name.
        limit: &'static str,
    },
    /// Not done: something else was asked under this key before. Take another key.
    #[error("the key was used for another request; nothing was done")]
    KeyReused,
    /// Not done again: the same was asked under this key before, and these came of it. Read them.
    #[error("it was done before under the same key")]
    DoneBefore {
        /// What was made or changed, in the order it was told.
        results: Vec<Subject>,
    },
    /// Not done: an account is at its limit. Wait for its next period, give back what is held, or raise the limit.
    #[error("a limit is reached: {0}")]
    LimitExceeded(Box<Refusal>),
    /// Not done: an account is at the line from where a person is asked, by the gate that it names.
    #[error("a person is asked first: {0}")]
    NeedsApproval(Box<Refusal>),
    /// Not done: it lost every race. Try again later.
    #[error("the command lost {attempts} races; nothing was done")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// Not done: the store did not answer in time. Try again later.
    #[error("the store is not available; nothing was done")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not done: what is stored is not to be believed; it is untouched. An operator decides.
    #[error("what is stored cannot be believed; it is untouched")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not done: a newer build wrote it; it is untouched. Upgrade.
    #[error("a newer build wrote it; it is untouched")]
    TooNew(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not done: this store, or this build, cannot. An operator decides.
    #[error("the store cannot do it; nothing was done")]
    Unsupported(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Unknown: it was sent, and the answer was lost. Look whether rows of this operation are there.
    #[error("whether it was done is not known: the store's answer was lost")]
    Indeterminate {
        /// The operation, where it has one: rows it wrote carry it.
        op: Option<OpId>,
        /// What the store said.
        #[source]
        source: CommitError,
    },
}

impl CommandError {
    /// The stable code, as programs see it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Exists { .. } => "exists",
            Self::Rejected { .. } => "rejected",
            Self::AgentPaused { .. } => "agent_paused",
            Self::AgentDeleting { .. } => "agent_deleting",
            Self::Forbidden { .. } => "forbidden",
            Self::Undeliverable { .. } => "undeliverable",
            Self::TreeFull { .. } => "tree_full",
            Self::Stale { .. } => "stale",
            Self::InvalidMetadata { .. } => "invalid_metadata",
            Self::SecretsLocked { .. } => "secrets_locked",
            Self::Invalid { .. } | Self::InvalidId(_) | Self::InvalidName(_) | Self::InvalidCommand(_) => {
                "invalid"
            }
            Self::TooLarge { .. } => "too_large",
            Self::CursorScope => "cursor_scope",
            Self::ReplayGap { .. } => "replay_gap",
            Self::Fenced { .. } => "fenced",
            Self::LeaseExpired { .. } => "lease_expired",
            Self::StaleIncarnation { .. } => "stale_incarnation",
            Self::TooManySessions { .. } => "too_many_sessions",
            Self::NoApprovalChannel { .. } => "no_approval_channel",
            Self::Busy { .. } => "busy",
            Self::Full { .. } => "full",
            Self::KeyReused => "key_reused",
            Self::DoneBefore { .. } => "done_before",
            Self::LimitExceeded(_) => "limit_exceeded",
            Self::NeedsApproval(_) => "needs_approval",
            Self::Contended { .. } => "contended",
            Self::Unavailable(_) => "unavailable",
            Self::Corrupt(_) => "corrupt",
            Self::TooNew(_) => "too_new",
            Self::Unsupported(_) => "unsupported",
            Self::Indeterminate { .. } => "indeterminate",
        }
    }

    /// Whether it certainly was not done and may be tried again as it is, with jitter. A store that is closed stays so.
    #[must_use]
    pub fn is_congestion(&self) -> bool {
        match self {
            Self::Contended { .. } => true,
            Self::Unavailable(_) => self.closed().is_none(),
            _ => false,
        }
    }

    /// Why the store is closed, where it is.
    pub(crate) fn closed(&self) -> Option<&'static str> {
        let Self::Unavailable(source) = self else {
            return None;
        };
        let read = match source.downcast_ref::<ReadError>() {
            Some(ReadError::Closed { reason }) => Some(*reason),
            _ => None,
        };
        let commit = match source.downcast_ref::<CommitError>() {
            Some(CommitError::Closed { reason }) => Some(*reason),
            _ => None,
        };
        read.or(commit)
    }

    /// What was read changed meanwhile: the command is decided again.
    pub(crate) const LOST_RACE: Self = Self::Contended { attempts: 1 };

    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            reason: reason.into(),
        }
    }

    pub(crate) fn not_found(what: &'static str, id: &impl ToString) -> Self {
        Self::NotFound {
            what,
            id: id.to_string(),
        }
    }
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable { .. } | ReadError::Closed { .. } | ReadError::ExportIdle { .. } => {
                Self::Unavailable(error.into())
            }
            ReadError::Corrupt { .. } => Self::Corrupt(error.into()),
            ReadError::TooNew { .. } => Self::TooNew(error.into()),
            ReadError::Invalid { reason } => Self::invalid("request", reason),
            ReadError::Unsupported { .. } | ReadError::Unrouted { .. } => Self::Unsupported(error.into()),
        }
    }
}

/// For commits outside a command's runner, which names the operation itself.
impl From<CommitError> for CommandError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict { .. } => Self::LOST_RACE,
            CommitError::Busy { .. } | CommitError::Unavailable { .. } | CommitError::Closed { .. } => {
                Self::Unavailable(error.into())
            }
            CommitError::Indeterminate { .. } => Self::Indeterminate {
                op: None,
                source: error,
            },
            CommitError::TooLarge { limit } => Self::TooLarge { limit },
            CommitError::Invalid { .. } | CommitError::Unsupported { .. } | CommitError::Unrouted { .. } => {
                Self::Unsupported(error.into())
            }
            CommitError::Corrupt { .. } => Self::Corrupt(error.into()),
            CommitError::IndexUnknown { .. } => Self::TooNew(error.into()),
        }
    }
}

impl From<RecordError> for CommandError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Read(error) => error.into(),
            RecordError::Commit(error) => error.into(),
            RecordError::CursorScope => Self::CursorScope,
            RecordError::TooNew { .. } | RecordError::UnknownKind { .. } => Self::TooNew(error.into()),
            RecordError::Invalid(_) | RecordError::Misplaced { .. } => Self::Corrupt(error.into()),
            RecordError::Exists { .. } => Self::LOST_RACE,
            RecordError::NoIndex { .. } => Self::Unsupported(error.into()),
            RecordError::IndexBuilding { .. } => Self::Unavailable(error.into()),
        }
    }
}

impl From<LogError> for CommandError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::ReplayGap { first, next } => Self::ReplayGap { first, next },
            LogError::Incarnation { .. } => Self::CursorScope,
            LogError::Read(error) => error.into(),
            LogError::Commit(error) => error.into(),
        }
    }
}
