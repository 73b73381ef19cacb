//! Opening a gate: what is asked, by whom, and within which bounds.

use std::time::Duration;

use dormouse_secrets::{Scrubbed, Scrubber};
use dormouse_state::{Evidence, GateKind, OnTimeout, Position, SourceId};

use super::{Call, Caller, Content, GateError, GateOptions, InTurn, Input, Reply, Timeout};
use crate::budget::BudgetAsk;
use crate::limits::{
    APPROVAL_TIMEOUT, GATE_DETAIL_MAX, GATE_OPTION_MAX, GATE_OPTIONS_MAX, GATE_SUMMARY_MAX, GATE_TIMEOUT_MAX,
    GATE_TIMEOUT_MIN, NOTIFICATION_TIMEOUT, QUESTION_TIMEOUT,
};
use crate::{AgentName, SessionId, Subject, TaskId};

/// A gate to be opened.
#[derive(Debug, Clone)]
pub struct NewGate {
    /// The agent that asks.
    pub agent: AgentName,
    /// The task the call belongs to; the run itself when none; the session when there is no run either.
    pub task: Option<TaskId>,
    /// The process that asks.
    pub caller: Option<Caller>,
    /// The session that waits, and where in it the question was seen.
    pub session: Option<SeenIn>,
    /// The call, as the provider names it, unique in its origin; without one a repeat asks again.
    pub call_id: Option<String>,
    /// What is asked.
    pub kind: GateKind,
    /// Whether the turn waits. A notification never blocks.
    pub blocking: bool,
    /// How the answer travels.
    pub reply: Reply,
    /// The call.
    pub call: Call,
    /// What it is about, on one line.
    pub summary: String,
    /// More, if there is.
    pub detail: Option<String>,
    /// What can be chosen, for a question.
    pub options: Vec<String>,
    /// Whether several of them can.
    pub several: bool,
    /// Whether rejecting is offered first.
    pub default_no: bool,
    /// Whether the provider offers an approval for the session.
    pub offers_session: bool,
    /// For how long it can be decided.
    pub timeout: Timeout,
    /// What follows when nobody decides.
    pub on_timeout: OnTimeout,
    /// The line of an account that is asked about, when one is: then it is of no task, run or session.
    pub budget: Option<BudgetAsk>,
}

/// Where a question was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenIn {
    /// The session.
    pub session: SessionId,
    /// Which life of it.
    pub incarnation: u32,
    /// The source.
    pub source: SourceId,
    /// The place in it.
    pub position: Position,
    /// How well it is known.
    pub evidence: Evidence,
}

impl SeenIn {
    /// That turn of the session.
    pub(super) fn turn(&self, turn: u32) -> InTurn {
        InTurn {
            session: self.session,
            incarnation: self.incarnation,
            turn,
        }
    }
}

impl NewGate {
    /// An approval of this call, with every default.
    #[must_use]
    pub fn approval(agent: AgentName, call: Call, summary: impl Into<String>) -> Self {
        Self {
            agent,
            task: None,
            caller: None,
            session: None,
            call_id: None,
            kind: GateKind::Approval,
            blocking: true,
            reply: Reply::Mcp,
            call,
            summary: summary.into(),
            detail: None,
            options: Vec::new(),
            several: false,
            default_no: false,
            offers_session: false,
            timeout: Timeout::Default,
            on_timeout: OnTimeout::Deny,
            budget: None,
        }
    }

    /// A question with nothing to do behind it.
    #[must_use]
    pub fn question(agent: AgentName, text: impl Into<String>) -> Self {
        let title = text.into();
        let call = Call::new(
            "",
            Input::Shown {
                title: title.clone(),
                content: String::new(),
            },
        );
        Self {
            kind: GateKind::Question,
            ..Self::approval(agent, call, title)
        }
    }

    /// Something to look at; nobody waits.
    #[must_use]
    pub fn notification(agent: AgentName, text: impl Into<String>) -> Self {
        Self {
            kind: GateKind::Notification,
            blocking: false,
            ..Self::question(agent, text)
        }
    }

    /// What the call belongs to, whichever attempt makes it.
    pub(super) fn origin(&self) -> Result<Subject, GateError> {
        if let Some(ask) = &self.budget {
            return Ok(Subject::Account(ask.account.clone()));
        }
        match (self.task, self.caller, &self.session) {
            (Some(task), _, _) => Ok(Subject::Task(task)),
            (None, Some(caller), _) => Ok(Subject::Run(caller.run)),
            (None, None, Some(seen)) => Ok(Subject::Session(seen.session)),
            (None, None, None) => Err(GateError::invalid("origin", "it is of no task, run or session")),
        }
    }

    /// How long it can be decided, in milliseconds; none is for ever.
    pub(super) fn timeout_ms(&self, options: &GateOptions) -> Result<Option<u64>, GateError> {
        let by_type = match self.kind {
            GateKind::Approval => options.approval_timeout,
            GateKind::Question => options.question_timeout,
            GateKind::Notification => options.notification_timeout,
        };
        let wanted = match self.timeout {
            Timeout::Default => by_type,
            said @ (Timeout::After(_) | Timeout::Never) => said,
        };
        let timeout = match (wanted, self.kind) {
            (Timeout::Never, _) => return Ok(None),
            (Timeout::After(timeout), _) => timeout,
            (Timeout::Default, GateKind::Approval) => APPROVAL_TIMEOUT,
            (Timeout::Default, GateKind::Question) => QUESTION_TIMEOUT,
            (Timeout::Default, GateKind::Notification) => NOTIFICATION_TIMEOUT,
        };
        if !(GATE_TIMEOUT_MIN..=GATE_TIMEOUT_MAX).contains(&timeout) {
            return Err(GateError::invalid("timeout", "1 s to 90 d, or never"));
        }
        Ok(Some(millis(timeout)))
    }

    /// What is shown of it: scrubbed, then cut. Text whose meaning scrubbing would change is refused.
    pub(super) fn content(&self, scrubber: &Scrubber) -> Result<Content, GateError> {
        self.check()?;
        let cut = |text: &str, max| scrubber.scrub(text).truncate_to(max);
        let input = match &self.call.input {
            Input::Given(input) => Some(scrubber.scrub(input.as_str())),
            Input::Shown { .. } => None,
        };
        Ok(Content {
            summary: cut(&chars(&self.summary, GATE_SUMMARY_MAX), usize::MAX),
            detail: self.detail.as_deref().map(|detail| cut(detail, GATE_DETAIL_MAX)),
            tool: clean(scrubber, "tool", &self.call.tool)?,
            input,
            cwd: match &self.call.cwd {
                Some(cwd) => Some(clean(scrubber, "cwd", cwd)?),
                None => None,
            },
            secrets: self.call.secrets.iter().cloned().collect(),
            estimate: self.call.estimate.clone(),
            options: self.options.iter().map(|option| scrubber.scrub(option)).collect(),
            several: self.several,
            default_no: self.default_no,
            offers_session: self.offers_session && self.reply.takes_session(),
        })
    }

    fn check(&self) -> Result<(), GateError> {
        if self.kind == GateKind::Notification && self.blocking {
            return Err(GateError::invalid("blocking", "a notification never blocks"));
        }
        if self.options.len() > GATE_OPTIONS_MAX {
            return Err(GateError::invalid(
                "options",
                format!("at most {GATE_OPTIONS_MAX}"),
            ));
        }
        if self
            .options
            .iter()
            .any(|option| option.chars().count() > GATE_OPTION_MAX)
        {
            let reason = format!("an option has at most {GATE_OPTION_MAX} characters");
            return Err(GateError::invalid("options", reason));
        }
        if self.kind != GateKind::Question && !self.options.is_empty() {
            return Err(GateError::invalid("options", "only a question has options"));
        }
        Ok(())
    }
}

/// What the digest of an edited call is made from again, so it must be stored as it is.
fn clean(scrubber: &Scrubber, field: &'static str, text: &str) -> Result<Scrubbed, GateError> {
    let scrubbed = scrubber.scrub(text);
    if scrubbed.as_str() == text {
        Ok(scrubbed)
    } else {
        Err(GateError::invalid(field, "it holds a secret"))
    }
}

fn chars(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
