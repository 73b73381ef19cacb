//! Who decides, how far the decision goes, and how it travels back.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Channel, Principal};

/// Who decided a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Author {
    /// What kind of author.
    pub kind: AuthorKind,
    /// Who asked for it.
    pub principal: Principal,
    /// Whether it is concluded from what was seen, and nobody said it.
    #[serde(default)]
    pub inferred: bool,
}

/// What kind of author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorKind {
    /// A person, here.
    Person,
    /// A rule of the tenant.
    Rule,
    /// An approval given for the session before.
    Grant,
    /// Somebody at the provider's own terminal.
    Terminal,
    /// The clock.
    Timeout,
    /// The start of the engine after an end without a word.
    Restart,
    /// The engine, since the question lost its meaning.
    Engine,
}

impl AuthorKind {
    /// The kind's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Rule => "rule",
            Self::Grant => "grant",
            Self::Terminal => "terminal",
            Self::Timeout => "timeout",
            Self::Restart => "restart",
            Self::Engine => "engine",
        }
    }
}

impl Author {
    /// The person behind this principal.
    #[must_use]
    pub fn person(by: &Principal) -> Self {
        Self {
            kind: AuthorKind::Person,
            principal: by.clone(),
            inferred: false,
        }
    }

    /// The engine, for this cause.
    #[must_use]
    pub fn engine(kind: AuthorKind) -> Self {
        Self {
            kind,
            principal: Principal::engine(),
            inferred: kind == AuthorKind::Terminal,
        }
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            AuthorKind::Person => write!(f, "{}", self.principal),
            kind => f.write_str(kind.word()),
        }
    }
}

/// How far an approval goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// For this one call.
    #[default]
    Once,
    /// For equal calls of this life of the session too.
    Session,
}

/// How the answer travels to whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Reply {
    /// The call was put off; a later process is told.
    Deferred,
    /// The call blocks in a tool or callback of ours.
    Prompt,
    /// A request of the app server's protocol blocks.
    AppServer,
    /// A request of the agent client protocol blocks.
    Acp,
    /// A tool of ours blocks.
    Mcp,
    /// A command of a script blocks.
    Script,
    /// It cannot travel: the answer is given elsewhere.
    Elsewhere {
        /// Where.
        place: String,
    },
}

impl Reply {
    /// Whether the input may be edited: the way back can carry another.
    #[must_use]
    pub fn takes_edits(&self) -> bool {
        match self {
            Self::Deferred | Self::Prompt | Self::Mcp => true,
            Self::Script | Self::AppServer | Self::Acp | Self::Elsewhere { .. } => false,
        }
    }

    /// Whether an approval for the session can be offered.
    #[must_use]
    pub fn takes_session(&self) -> bool {
        match self {
            Self::AppServer | Self::Acp => true,
            Self::Deferred | Self::Prompt | Self::Mcp | Self::Script | Self::Elsewhere { .. } => false,
        }
    }
}

/// For how long a gate can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// As its type has it.
    Default,
    /// This long: 1 s to 90 d.
    After(std::time::Duration),
    /// For ever.
    Never,
}

/// Whether the same person stands behind two principals, whichever way they came.
pub(super) fn is_same(one: &Principal, other: &Principal) -> bool {
    one.kind == other.kind
        && one.name == other.name
        && (one.channel != Channel::Engine) == (other.channel != Channel::Engine)
}

/// When a gate that is opened at this time and may be decided for so long expires.
pub(super) fn expiry(now: Timestamp, timeout_ms: u64) -> Timestamp {
    let millis = i64::try_from(timeout_ms).unwrap_or(i64::MAX);
    now.checked_add(jiff::SignedDuration::from_millis(millis))
        .unwrap_or(Timestamp::MAX)
}
