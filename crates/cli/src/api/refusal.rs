//! What the engine refuses, as problem documents.

use axum::response::Response;
use dormouse_engine::budget::{AccountPath, Dimension, Refusal};
use dormouse_engine::run::SendError;
use dormouse_engine::wake::WakeError;
use dormouse_engine::{CommandError, Engine, Reason, Subject};
use dormouse_filesystem::Issue;

use crate::problem::{Code, Problem};

/// What a handler gives.
pub(super) type Answered = Result<Response, Problem>;

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let detail = chain(&error);
        match &error {
            CommandError::NotFound { what: "hold", .. } => {
                Self::new(Code::NotFound, detail).hint("it is what usage reserve printed, in the same run")
            }
            CommandError::NotFound { what, .. } => {
                Self::new(Code::NotFound, detail).hint(format!("see dormouse {} list", listed(what)))
            }
            CommandError::Ambiguous { .. } => {
                Self::new(Code::BadRequest, detail).hint("give more digits of the id")
            }
            CommandError::Exists { .. } => {
                Self::new(Code::Exists, detail).hint("use it, or choose another name")
            }
            CommandError::Rejected {
                subject: Subject::Agent(agent),
                reason: Reason::Run,
                ..
            } => Self::new(Code::State, detail).hint(format!(
                "see dormouse runs list --agent {agent}; --force stops what is at work"
            )),
            CommandError::Rejected { subject, .. } => Self::new(Code::State, detail).hint(format!(
                "see dormouse {} show {}",
                listed(subject.kind()),
                subject.id()
            )),
            CommandError::Forbidden { .. } => Self::new(Code::Forbidden, detail)
                .hint("an operator says whom an agent gives tasks to: its delegates_to"),
            CommandError::Undeliverable { .. } => {
                Self::new(Code::State, detail).hint("nothing was made; choose another agent")
            }
            CommandError::TreeFull { .. } => {
                Self::new(Code::Limit, detail).hint("take the results of what was given away first")
            }
            CommandError::Stale { subject, current } => {
                let shown = format!("dormouse {} show {}", listed(subject.kind()), subject.id());
                Self::new(Code::Stale, detail)
                    .current_version(current.get())
                    .hint(format!("read it again, {shown}, and say what is to change"))
            }
            CommandError::SecretsLocked { task, .. } => Self::new(Code::Locked, detail).hint(format!(
                "unlock them with dormouse secret unlock, then dormouse run {task}"
            )),
            CommandError::AgentPaused { agent } => Self::new(Code::State, detail).hint(format!(
                "dormouse agent show {agent} says why, dormouse agent resume {agent} lets it go on"
            )),
            CommandError::AgentDeleting { .. } => {
                Self::new(Code::State, detail).hint("wait until it is gone, or choose another agent")
            }
            CommandError::Busy { run } => Self::new(Code::Busy, detail).hint(format!(
                "wait for its end, or have it queued; see dormouse runs show {run}"
            )),
            CommandError::Full { .. } => Self::new(Code::Limit, detail).hint("wait until there are fewer"),
            CommandError::KeyReused => Self::new(Code::KeyReused, detail)
                .hint("take another key, or ask what was asked under this one"),
            CommandError::DoneBefore { .. } => Self::new(Code::State, detail),
            CommandError::Fenced { .. }
            | CommandError::LeaseExpired { .. }
            | CommandError::StaleIncarnation { .. } => Self::new(Code::Stale, detail),
            CommandError::TooManySessions { .. } => {
                Self::new(Code::State, detail).hint("end sessions that are not needed any more")
            }
            CommandError::NoApprovalChannel { .. } => Self::new(Code::Invalid, detail)
                .hint("use a worker that can ask, or another mode: dormouse session set SESSION mode=…"),
            CommandError::InvalidId(_) => Self::new(Code::BadRequest, detail),
            CommandError::Invalid { .. }
            | CommandError::InvalidMetadata { .. }
            | CommandError::InvalidName(_)
            | CommandError::InvalidCommand(_)
            | CommandError::TooLarge { .. } => Self::new(Code::Invalid, detail),
            CommandError::CursorScope => {
                Self::new(Code::BadRequest, detail).hint("start again without --cursor")
            }
            CommandError::ReplayGap { .. } => {
                Self::new(Code::Gap, detail).hint("read the rows, then go on from a position that is kept")
            }
            CommandError::LimitExceeded(refusal) => exceeded(refusal, detail),
            CommandError::NeedsApproval(refusal) => {
                let problem = Self::new(Code::NeedsApproval, detail);
                match refusal.gate {
                    Some(gate) => problem.hint(format!(
                        "raise the limit with dormouse gate approve {gate} --limit {} or more",
                        said(refusal.dimension, refusal.needed())
                    )),
                    None => problem.hint("try again: nobody is asked yet"),
                }
            }
            CommandError::Contended { .. } | CommandError::Unavailable(_) => {
                Self::new(Code::Unavailable, detail).retry_after_ms(200)
            }
            CommandError::Corrupt(_) => {
                Self::new(Code::Corrupt, detail).hint("see dormouse doctor; the bytes are kept")
            }
            CommandError::TooNew(_) => Self::new(Code::TooNew, detail).hint("upgrade dormouse"),
            CommandError::Unsupported(_) => Self::new(Code::Internal, detail),
            CommandError::Indeterminate { op: Some(op), .. } => {
                Self::new(Code::Unknown, detail).hint(format!("look for events of {op} before trying again"))
            }
            CommandError::Indeterminate { op: None, .. } => {
                Self::new(Code::Unknown, detail).hint("look whether it was done before trying again")
            }
        }
    }
}

/// When a full or leaving server is asked again.
const WAKE_AGAIN_MS: u64 = 1_000;

/// Why an agent was not woken.
pub(super) fn unwoken(error: WakeError, engine: &Engine) -> Problem {
    let detail = error.to_string();
    match error {
        WakeError::Command(error) => error.into(),
        WakeError::Unknown { .. } => Problem::new(Code::NotFound, detail).hint("see dormouse agent list"),
        WakeError::Paused { agent } => CommandError::AgentPaused { agent }.into(),
        WakeError::Full { .. } => Problem::new(Code::Limit, detail)
            .hint("wait until some were served, or raise wakes.due_max")
            .retry_after_ms(WAKE_AGAIN_MS),
        // A person has to mend it: trying again is of no use.
        WakeError::Unavailable { .. } if engine.degraded().contains(&"wakes") => {
            Problem::new(Code::Unavailable, detail).hint("restart the server, and see its log")
        }
        WakeError::Unavailable { .. } => Problem::new(Code::Unavailable, detail)
            .hint("try again when another dormouse serve has taken over")
            .retry_after_ms(WAKE_AGAIN_MS),
    }
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        let detail = error.to_string();
        match error {
            SendError::Unsupported { kind: "run", .. } => Self::new(Code::State, detail)
                .hint("see dormouse runs list: its worker has to be at work here"),
            SendError::Unsupported { .. } => Self::new(Code::Invalid, detail)
                .hint("dormouse run --stdin stream keeps the input of a script or of claude -p open"),
            SendError::QueueFull { .. } => Self::new(Code::Limit, detail)
                .hint("wait until its turn is over; worker.inbox_max is how many may wait"),
            SendError::Ended { .. } => {
                Self::new(Code::State, detail).hint("see dormouse runs list; a new run has a new id")
            }
            SendError::Command(error) => error.into(),
        }
    }
}

fn exceeded(refusal: &Refusal, detail: String) -> Problem {
    let problem = Problem::new(Code::Limit, detail);
    let show = match &refusal.account {
        AccountPath::Tenant => "--tenant-wide".to_owned(),
        AccountPath::Agent(name) => name.to_string(),
        AccountPath::Session(id) => format!("--session {id}"),
        AccountPath::Task(id) => format!("--task {id}"),
        AccountPath::Run(id) => format!("--run {id}"),
    };
    problem.hint(match (refusal.gate, refusal.period_ends_at) {
        (Some(gate), _) => format!(
            "it was not raised: see dormouse gate show {gate}, or set it with dormouse budget set {show}"
        ),
        (None, Some(at)) => format!("its period ends at {at}; see dormouse budget show {show}"),
        (None, None) => {
            format!("see dormouse budget show {show}; more is allowed with dormouse budget set {show}")
        }
    })
}

/// An amount as arguments take it.
fn said(dimension: Dimension, amount: u64) -> String {
    match dimension {
        Dimension::UsdMicros => {
            let text = dimension.shown(amount);
            text.trim_end_matches(" USD").to_owned()
        }
        Dimension::WallMs => format!("{amount}ms"),
        Dimension::InputTokens
        | Dimension::OutputTokens
        | Dimension::OutputBytes
        | Dimension::EgressBytes
        | Dimension::Processes
        | Dimension::Concurrency => amount.to_string(),
    }
}

/// A page from which rows had to be left out is no page: what is missing might be what is asked for.
pub(super) fn whole(issues: &[Issue]) -> Result<(), Problem> {
    match issues {
        [] => Ok(()),
        [first, ..] => {
            let detail = format!(
                "{} of the stored rows cannot be believed, first: {first}",
                issues.len()
            );
            Err(Problem::new(Code::Corrupt, detail).hint("see dormouse doctor; the bytes are kept"))
        }
    }
}

/// The command that lists things of this noun.
fn listed(noun: &str) -> &str {
    match noun {
        "run" => "runs",
        noun => noun,
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
