//! Exit codes: one table for commands, outcomes and HTTP answers.

use dormouse_engine::outcome::{Exit as WorkerExit, Outcome};

/// What the program's exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: failed, or a check failed.
    Failed,
    /// 2: usage, configuration or input refused.
    Refused,
    /// 3: not found, or not visible to this token.
    NotFound,
    /// 4: not allowed, no token, wrong key, secrets locked.
    NotAllowed,
    /// 5: waits for a human.
    Waiting,
    /// 6: no owner, server or store ready in time.
    NotReady,
    /// 7: conflict: decided, running, exists, stale version.
    Conflict,
    /// 8: sent, and the answer was lost.
    Unknown,
    /// 9: a limit or budget is reached.
    Limit,
    /// 10: the outcome Partial.
    Partial,
    /// 11: the outcome Blocked.
    Blocked,
    /// 12: the outcome Lost.
    Lost,
    /// 124: the outcome Timeout.
    Timeout,
    /// 130: the outcome Cancelled.
    Cancelled,
    /// The worker's own, as `run --exit worker` asks for.
    Worker(u8),
}

/// The table, as every `--help` and `help exit-codes` prints it.
pub const TABLE: &[(Exit, &str)] = &[
    (Exit::Done, "done; the outcome Success"),
    (Exit::Failed, "failed, or a check failed; the outcome Failed"),
    (Exit::Refused, "usage, configuration or input refused"),
    (Exit::NotFound, "not found, or not visible"),
    (
        Exit::NotAllowed,
        "not allowed, no token, wrong key, secrets locked",
    ),
    (Exit::Waiting, "waits for a human"),
    (Exit::NotReady, "no owner, server or store ready in time"),
    (
        Exit::Conflict,
        "conflict: decided, running, exists, stale version",
    ),
    (Exit::Unknown, "unknown: sent, and the answer was lost"),
    (Exit::Limit, "a limit or budget is reached"),
    (Exit::Partial, "the outcome Partial"),
    (Exit::Blocked, "the outcome Blocked"),
    (Exit::Lost, "the outcome Lost"),
    (Exit::Timeout, "the outcome Timeout"),
    (Exit::Cancelled, "the outcome Cancelled"),
];

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Refused => 2,
            Self::NotFound => 3,
            Self::NotAllowed => 4,
            Self::Waiting => 5,
            Self::NotReady => 6,
            Self::Conflict => 7,
            Self::Unknown => 8,
            Self::Limit => 9,
            Self::Partial => 10,
            Self::Blocked => 11,
            Self::Lost => 12,
            Self::Timeout => 124,
            Self::Cancelled => 130,
            Self::Worker(code) => code,
        }
    }

    /// What an HTTP answer means. The problem's code tells the one pair of 409s apart.
    #[must_use]
    pub fn of_status(status: u16, code: &str) -> Self {
        match status {
            200..=299 | 304 => Self::Done,
            401 | 403 | 423 => Self::NotAllowed,
            404 | 410 => Self::NotFound,
            409 if code == "needs_approval" => Self::Waiting,
            409 | 412 => Self::Conflict,
            429 => Self::Limit,
            400..=499 => Self::Refused,
            503 => Self::NotReady,
            504 => Self::Unknown,
            _ => Self::Failed,
        }
    }

    /// What the end of a run means.
    #[must_use]
    pub const fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Success { .. } => Self::Done,
            Outcome::Partial { .. } => Self::Partial,
            Outcome::Blocked { .. } => Self::Blocked,
            Outcome::Failed { .. } => Self::Failed,
            Outcome::Timeout { .. } => Self::Timeout,
            Outcome::Cancelled { .. } => Self::Cancelled,
            Outcome::Lost { .. } => Self::Lost,
        }
    }

    /// The worker's own code, 128 + its signal, or 12 where neither is known.
    #[must_use]
    pub fn of_worker(exit: Option<&WorkerExit>) -> Self {
        let Some(exit) = exit else { return Self::Lost };
        let signal = exit.signal.map(|signal| 128 + signal);
        exit.code
            .or(signal)
            .and_then(|code| u8::try_from(code).ok())
            .map_or(Self::Lost, Self::Worker)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
