//! A gate as it is stored: written when it is opened, when it leaves pending, and when its content goes.

use dormouse_filesystem::{Class, Digest, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use dormouse_secrets::Scrubbed;
use dormouse_state::{GateKind, GateOutcome, Invalidation, OnTimeout};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Author, GateState, Lines, Reply, Scope, escaped};
use crate::budget::BudgetAsk;
use crate::event::About;
use crate::found::never;
use crate::{AgentName, GateId, Incarnation, OpId, RunId, SessionId, Subject};

/// A durable question to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Its id.
    pub id: GateId,
    /// The agent that asks.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// The session that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<InTurn>,
    /// What the call belongs to whichever attempt makes it: the task, or the run when it is ad hoc.
    pub origin: Subject,
    /// The run that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Caller>,
    /// The call, as the provider names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// What is asked.
    pub kind: GateKind,
    /// Whether the turn waits. Absent reads as true.
    #[serde(default = "strictly_blocking")]
    pub blocking: bool,
    /// How the answer travels.
    pub reply: Reply,
    /// Whether it can be decided here. Absent reads as false.
    #[serde(default)]
    pub decidable: bool,
    /// What is shown; none once it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The digest of the real call.
    pub digest: Digest,
    /// What follows when nobody decides.
    pub on_timeout: OnTimeout,
    /// Since when it is asked.
    pub opened_at: Timestamp,
    /// Until when it can be decided; none is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How long it was given, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How it left pending; none while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// The gate of the same key that lost its meaning before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<GateId>,
    /// The line of an account that it asks about, when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetAsk>,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

fn strictly_blocking() -> bool {
    true
}

/// The turn of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InTurn {
    /// The session.
    pub session: SessionId,
    /// Which life of it.
    pub incarnation: u32,
    /// The number of the turn.
    pub turn: u32,
}

/// Who asks: a process of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The run.
    pub run: RunId,
    /// Which of its processes, from 1.
    pub spawn: u32,
}

/// What is shown of a call. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// One line.
    pub summary: Scrubbed,
    /// More, if there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Scrubbed>,
    /// The tool.
    pub tool: Scrubbed,
    /// Its input in canonical form, scrubbed; none where the provider gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Scrubbed>,
    /// Where it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Scrubbed>,
    /// The names of the secrets it gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// What it is expected to cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<String>,
    /// What can be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Scrubbed>,
    /// Whether several of them can.
    #[serde(default)]
    pub several: bool,
    /// Whether rejecting is what is offered first.
    #[serde(default)]
    pub default_no: bool,
    /// Whether an approval may be given for the session.
    #[serde(default)]
    pub offers_session: bool,
}

impl Content {
    /// The summary as it is safe to show, on one line.
    #[must_use]
    pub fn shown_summary(&self) -> String {
        escaped(self.summary.as_str(), Lines::Escape)
    }

    /// The detail as it is safe to show.
    #[must_use]
    pub fn shown_detail(&self) -> Option<String> {
        Some(escaped(self.detail.as_ref()?.as_str(), Lines::Keep))
    }

    /// The input as it is safe to show, on one line.
    #[must_use]
    pub fn shown_input(&self) -> Option<String> {
        Some(escaped(self.input.as_ref()?.as_str(), Lines::Escape))
    }
}

/// How a gate left pending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How.
    pub status: GateStatus,
    /// By whom.
    pub by: Author,
    /// When.
    pub at: Timestamp,
    /// Why it lost its meaning, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Invalidation>,
    /// What a person said with it; none once it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
}

/// What a person said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// The input to use instead of the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Edited>,
    /// How far the approval goes.
    #[serde(default)]
    pub scope: Scope,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Scrubbed>,
    /// The options chosen, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<usize>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Scrubbed>,
    /// The limit of the account from now on, until its period ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised_to: Option<u64>,
}

/// Another input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edited {
    /// In canonical form.
    pub input: Scrubbed,
    /// The digest of the call with it: what the capability fits.
    pub digest: Digest,
}

/// The ways out of pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateStatus {
    /// The call may be made.
    Approved,
    /// It may not; the question gets no answer.
    Rejected,
    /// Answered, or seen.
    Answered,
    /// Nobody decided in time.
    Expired,
    /// It lost its meaning.
    Invalidated,
    /// Withdrawn as if it had never been.
    Discarded,
}

impl GateStatus {
    /// The status' word, as printed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Answered => "answered",
            Self::Expired => "expired",
            Self::Invalidated => "invalidated",
            Self::Discarded => "discarded",
        }
    }
}

impl Gate {
    /// Where it is in the table.
    #[must_use]
    pub fn state(&self) -> GateState {
        match &self.end {
            None => GateState::Pending(self.kind),
            Some(end) => GateState::Ended(end.status),
        }
    }

    /// Its status' word, as printed.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.end.as_ref().map_or("pending", |end| end.status.word())
    }

    /// Whether nobody has decided yet.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.end.is_none()
    }

    /// Whether its time is up.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The digest its capability fits: of the call as it was asked for, or as it was edited.
    #[must_use]
    pub fn granted_digest(&self) -> Digest {
        let said = self.end.as_ref().and_then(|end| end.said.as_ref());
        let edited = said.and_then(|said| said.edited.as_ref());
        edited.map_or(self.digest, |edited| edited.digest)
    }

    /// What its events are about.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(Subject::Gate(self.id), &self.agent, self.agent_incarnation)
    }

    /// The end as the session's machine has it.
    pub(crate) fn outcome(&self) -> Option<GateOutcome> {
        let end = self.end.as_ref()?;
        Some(match end.status {
            GateStatus::Approved => GateOutcome::Approved,
            GateStatus::Rejected => GateOutcome::Rejected,
            GateStatus::Answered => GateOutcome::Answered,
            GateStatus::Expired => GateOutcome::Expired(self.on_timeout),
            GateStatus::Invalidated => {
                GateOutcome::Invalidated(end.cause.unwrap_or(Invalidation::Superseded))
            }
            GateStatus::Discarded => GateOutcome::Discarded,
        })
    }

    /// The row without anything anybody asked or said.
    #[must_use]
    pub(crate) fn erased(&self) -> Self {
        let mut erased = self.clone();
        erased.content = None;
        erased.call = None;
        if let Some(end) = &mut erased.end {
            end.said = None;
        }
        erased
    }
}

indexes! {
    /// What finds gates.
    pub enum GateIndex {
        /// By id, so in the order they were opened.
        Id = own "id",
        /// The pending ones, by agent and when they were opened.
        Pending = own "pending",
        /// The pending ones, by when they were opened.
        PendingSince = own "pending_since",
        /// The ended ones, by when they did.
        Decided = own "decided_at",
        /// The ended ones, by agent and when they did.
        AgentDecided = own "agent_decided",
        /// By session: the pending ones first, then the ended ones.
        Session = own "session",
        /// The pending ones, by the run that asked.
        Run = own "run",
        /// The pending ones whose call has a name, by what it belongs to, its digest, and when they were opened.
        Asked = own "asked",
        /// The pending ones, by when they expire, over all tenants; those that never do at the end.
        Due = system "gate_due",
    }
}

impl Record for Gate {
    type Scope = Tenant;
    type Id = GateId;
    type Index = GateIndex;
    const KIND: RecordKind = RecordKind::of("gate");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> GateId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<GateIndex>> {
        use GateIndex as I;
        let agent = || IndexValue::segment(self.agent.segment());
        let mut entries = vec![IndexEntry::new(I::Id, [])];
        let mut add = |index, values: Vec<IndexValue>| entries.push(IndexEntry::new(index, values));
        match &self.end {
            None => {
                add(I::Pending, vec![agent(), IndexValue::instant(self.opened_at)]);
                add(I::PendingSince, vec![IndexValue::instant(self.opened_at)]);
                if let Some(caller) = self.caller {
                    add(I::Run, vec![IndexValue::name(&caller.run.to_string())]);
                }
                if self.call.is_some() {
                    let names = [&self.origin.id(), &self.digest.to_string()];
                    let [origin, digest] = names.map(|name| IndexValue::name(name));
                    add(
                        I::Asked,
                        vec![origin, digest, IndexValue::instant(self.opened_at)],
                    );
                }
                add(
                    I::Due,
                    vec![self.expires_at.map_or_else(never, IndexValue::instant)],
                );
            }
            Some(end) => {
                add(I::Decided, vec![IndexValue::instant(end.at)]);
                add(I::AgentDecided, vec![agent(), IndexValue::instant(end.at)]);
            }
        }
        if let Some(turn) = &self.session {
            let (ended, at) = self.end.as_ref().map_or((0, self.opened_at), |end| (1, end.at));
            let session = IndexValue::name(&turn.session.to_string());
            add(
                I::Session,
                vec![session, IndexValue::number(ended), IndexValue::instant(at)],
            );
        }
        entries
    }
}
