//! How a run ended: exactly one of these, written once.

use std::collections::BTreeMap;

use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::adapter::{Provider, Tokens};

/// Longest failure message and output text of an outcome, in bytes.
pub const OUTCOME_TEXT_MAX: usize = 4 * 1024;

/// What became of the work. All text is [`Scrubbed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Success {
        /// What the worker said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Scrubbed>,
    },
    /// Ended by itself with something to show, not all of it.
    Partial {
        /// Why not all.
        cause: PartialCause,
        /// What the worker said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Scrubbed>,
    },
    /// An outside defence stopped it; it was not fought.
    Blocked {
        /// Which.
        reason: BlockReason,
        /// What was seen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<BlockEvidence>,
    },
    /// It failed.
    Failed {
        /// The class.
        reason: FailReason,
        /// Whether no retry can mend it.
        permanent: bool,
        /// Not to be tried before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
        /// What went wrong, at most [`OUTCOME_TEXT_MAX`] bytes.
        message: Scrubbed,
        /// What to do about it, where we know.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<Scrubbed>,
    },
    /// A clock ran out.
    Timeout {
        /// Which.
        clock: ClockKind,
        /// Its limit, in milliseconds.
        limit_ms: u64,
    },
    /// Somebody stopped it.
    Cancelled {
        /// Who.
        by: CancelledBy,
        /// Why, as they said it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Scrubbed>,
    },
    /// Its holder vanished. Written by recovery only.
    Lost {
        /// When the holder was last heard of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_heartbeat_at: Option<Timestamp>,
    },
}

impl Outcome {
    /// What went wrong of what failed, and what to do about it. Rows of former builds have both in one text where the worker
    /// was never started; of what a worker said nothing is taken for a hint.
    #[must_use]
    pub fn failure(&self) -> Option<(&str, Option<&str>)> {
        let Self::Failed {
            reason,
            message,
            hint,
            ..
        } = self
        else {
            return None;
        };
        if let Some(hint) = hint {
            return Some((message.as_str(), Some(hint.as_str())));
        }
        let in_text = reason
            .is_before_start()
            .then(|| message.as_str().split_once(HINT));
        Some(match in_text.flatten() {
            Some((what, hint)) => (what, Some(hint)),
            None => (message.as_str(), None),
        })
    }
}

/// What former builds wrote between a message and its hint.
const HINT: &str = "\nhint: ";

/// Why a result is not the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartialCause {
    /// The worker said so.
    Declared,
    /// The limit of turns.
    MaxTurns,
    /// The limit of tokens.
    MaxTokens,
    /// The limit of money.
    MaxBudget,
}

/// The outside defence that was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BlockReason {
    /// A test for humans.
    Captcha {
        /// Its maker, where known.
        provider: Option<String>,
    },
    /// A login is asked for.
    LoginWall,
    /// Too many requests.
    RateLimit {
        /// Not before, in seconds.
        retry_after_seconds: Option<u64>,
    },
    /// The visit was taken for fraud.
    FraudDetect {
        /// Whose product.
        vendor: Option<String>,
    },
    /// Blocked, by what is not known.
    Unknown,
}

/// What was seen of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockEvidence {
    /// The address, without user info.
    pub url: Option<Scrubbed>,
    /// What else was seen.
    pub detail: Option<Scrubbed>,
}

/// Why a run failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// A non-zero exit code.
    Exit,
    /// A signal that was not ours.
    Signal,
    /// It could not be started.
    Spawn,
    /// A future panicked.
    Panic,
    /// The provider's stream ended without its terminal event.
    StreamEnded,
    /// The model refused.
    Refused,
    /// The provider did not know us.
    Auth,
    /// The provider wants money.
    Billing,
    /// The conversation is too long.
    ContextOverflow,
    /// The provider did not understand.
    BadRequest,
    /// The provider is overloaded.
    Overloaded,
    /// The provider's rate limit.
    RateLimited,
    /// A denial was the last word.
    PermissionDenied,
    /// A human was needed and could not be asked.
    GateUnavailable,
    /// The isolation asked for could not be had.
    Isolation,
    /// A secret was missing, locked or unreadable.
    SecretUnavailable,
    /// The process that owned the tree vanished.
    KeeperLost,
    /// The run's guard was dropped.
    Abandoned,
    /// The worker said so.
    Worker,
}

impl FailReason {
    /// Whether the worker was never started: the message is ours alone.
    fn is_before_start(self) -> bool {
        match self {
            Self::Spawn | Self::Isolation | Self::SecretUnavailable => true,
            Self::Exit
            | Self::Signal
            | Self::Panic
            | Self::StreamEnded
            | Self::Refused
            | Self::Auth
            | Self::Billing
            | Self::ContextOverflow
            | Self::BadRequest
            | Self::Overloaded
            | Self::RateLimited
            | Self::PermissionDenied
            | Self::GateUnavailable
            | Self::KeeperLost
            | Self::Abandoned
            | Self::Worker => false,
        }
    }
}

/// The clocks of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockKind {
    /// From claim to end.
    Wall,
    /// From progress to progress.
    Idle,
}

/// Who stopped a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelledBy {
    /// A person or program that was allowed to.
    Principal,
    /// The engine, leaving.
    Shutdown,
    /// The agent was paused with its runs.
    AgentPause,
}

/// How a worker process left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its code, when it left by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the signal was ours.
    pub by_us: bool,
    /// Whether the kernel ended it for want of memory.
    pub oom: bool,
}

/// What a worker's processes used, strays included where the kernel attributes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResourceUsage {
    /// Processor time in user mode, in milliseconds.
    pub user_ms: u64,
    /// Processor time in the kernel, in milliseconds.
    pub system_ms: u64,
    /// Largest resident size, in bytes.
    pub resident_max_bytes: u64,
}

/// The terminal record of a run, beside its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// How the process left; none when it never ran.
    pub exit: Option<Exit>,
    /// What it used.
    pub usage: ResourceUsage,
    /// From claim to end, in milliseconds.
    pub clock_ms: u64,
    /// Processes that carried the run.
    pub spawns: u32,
    /// Parts of the work completed.
    pub segments_completed: u32,
    /// The part that was begun and not completed.
    pub segment_current: Option<Scrubbed>,
    /// Transcript bytes left out of the middle.
    pub elided_bytes: u64,
    /// Whether it finished by itself though a stop had begun.
    pub after_stop: bool,
    /// Processes that outlived the worker's first one and were killed.
    pub strays: u32,
    /// Processes that the kernel had not let go of, though they were killed again and again: they may be there still, and
    /// the row of the run's processes stays until they are gone.
    #[serde(default, skip_serializing_if = "are_none")]
    pub alive: u32,
    /// How the worker was walled in.
    pub isolation: String,
    /// How many credentials that nobody registered were seen in its output, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub formats: BTreeMap<String, u64>,
    /// What the stream of a known provider said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamFacts>,
    /// What the worker said on its report channel, where it said anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports: Option<ReportFacts>,
}

/// What a worker said on its report channel, beside the outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportFacts {
    /// Lines that were no reports, or too long.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad_lines: u64,
    /// Whether the process left with a code that is not 0 though it had reported its result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exit_mismatch: bool,
    /// The result, else what there was to show, where the outcome has none of it: at most [`OUTCOME_TEXT_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Scrubbed>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn are_none(processes: &u32) -> bool {
    *processes == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What the stream of a known provider said of a run, beside its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamFacts {
    /// Whose.
    pub provider: Provider,
    /// The provider's session, by which it is resumed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Scrubbed>,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Scrubbed>,
    /// What was used.
    pub used: Tokens,
    /// What the provider's counters showed at the end, by thread, where they go on when one is resumed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, Tokens>,
    /// Calls that were not allowed.
    pub denials: u64,
    /// Events the adapter does not know.
    pub unknown_events: u64,
    /// Lines that were too long, and are cut.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lines_cut: u64,
    /// Lines that are no event: they are text for a log.
    #[serde(default, skip_serializing_if = "is_none")]
    pub log_lines: u64,
    /// What the adapter warned of, each once, by its word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether the process left with a code that is not 0 though its stream says it is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exit_mismatch: bool,
    /// The last words, where the outcome has none of them: at most [`OUTCOME_TEXT_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Scrubbed>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Outcome {
    /// Success or Partial.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Success { .. } | Self::Partial { .. })
    }

    /// The variant's name, as printed and indexed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Success { .. } => "success",
            Self::Partial { .. } => "partial",
            Self::Blocked { .. } => "blocked",
            Self::Failed { .. } => "failed",
            Self::Timeout { .. } => "timeout",
            Self::Cancelled { .. } => "cancelled",
            Self::Lost { .. } => "lost",
        }
    }
}
