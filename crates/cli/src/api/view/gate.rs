//! A gate: what is asked, what came of it, and what follows.

use dormouse_engine::budget::BudgetAsk;
use dormouse_engine::gate::{Author, Gate, GateDisplay, Reply, Scope, kind_word};
use dormouse_engine::{AgentName, GateId, RunId, SessionId, Subject};
use dormouse_filesystem::{Digest, Version};
use dormouse_state::{GateKind, Invalidation, OnTimeout};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A gate, as the API answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateView {
    /// Its id.
    pub id: GateId,
    /// The agent that asks.
    pub agent: AgentName,
    /// What is asked.
    #[serde(rename = "type")]
    pub kind: GateKind,
    /// `pending`, or how it left that.
    pub status: String,
    /// One line; none once the content was erased, as is everything else that was asked and said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// More, if there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// With what: the canonical JSON, as text, so that no number in it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Where it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The names of the secrets it gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// What it is expected to cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<String>,
    /// What can be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Whether several of them can.
    #[serde(default)]
    pub several: bool,
    /// Whether rejecting is what is offered first.
    #[serde(default)]
    pub default_no: bool,
    /// How far an approval may go.
    pub scopes: Vec<Scope>,
    /// Whether the input may be edited.
    pub editable: bool,
    /// Whether the turn waits.
    pub blocking: bool,
    /// Whether it can be decided here.
    pub decidable: bool,
    /// Where it can be answered, when that is elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The digest of the call: a decision is about this and nothing else.
    pub digest: Digest,
    /// What the call belongs to, whichever attempt makes it.
    pub origin: Subject,
    /// The run that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The session that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u32>,
    /// Since when it is asked.
    pub opened_at: Timestamp,
    /// Until when it can be decided; none is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What follows when nobody decides.
    pub on_timeout: OnTimeout,
    /// The gate of the same call that lost its meaning before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<GateId>,
    /// The line of an account that it asks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetAsk>,
    /// How it left pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionView>,
    /// What its decision does, or did, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Where it is asked beside lists: told of one gate, not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<ShownView>,
    /// Its version: what a decision has to name.
    pub version: Version,
}

/// A place where a gate was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownView {
    /// Which kind of place.
    pub surface: String,
    /// Where exactly: whose terminal, which message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When it was shown last.
    pub at: Timestamp,
}

impl ShownView {
    /// The view of a row.
    #[must_use]
    pub fn of(shown: &GateDisplay) -> Self {
        let reference = shown.reference.as_ref();
        Self {
            surface: shown.surface.to_string(),
            reference: reference.map(|reference| reference.as_str().to_owned()),
            at: shown.shown_at,
        }
    }
}

/// How a gate left pending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionView {
    /// By whom.
    pub by: Author,
    /// When.
    pub at: Timestamp,
    /// Why it lost its meaning, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Invalidation>,
    /// Why, as somebody said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The answer to a question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The options chosen, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<usize>,
    /// The input to use instead of the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The digest of the call with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// How far the approval goes.
    #[serde(default)]
    pub scope: Scope,
    /// The limit of the account from then on, until its period ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised_to: Option<u64>,
}

impl GateView {
    /// The view of a row.
    #[must_use]
    pub fn of(gate: &Gate, version: Version) -> Self {
        let content = gate.content.as_ref();
        let text = |text: &dormouse_secrets::Scrubbed| text.as_str().to_owned();
        let offers_session = content.is_some_and(|content| content.offers_session);
        Self {
            id: gate.id,
            agent: gate.agent.clone(),
            kind: gate.kind,
            status: gate.word().to_owned(),
            summary: content.map(|content| text(&content.summary)),
            detail: content.and_then(|content| content.detail.as_ref().map(text)),
            action: content
                .map(|content| text(&content.tool))
                .filter(|tool| !tool.is_empty()),
            input: content.and_then(|content| content.input.as_ref().map(text)),
            cwd: content.and_then(|content| content.cwd.as_ref().map(text)),
            secrets: content.map(|content| content.secrets.clone()).unwrap_or_default(),
            estimate: content.and_then(|content| content.estimate.clone()),
            options: content
                .map(|content| content.options.iter().map(text).collect())
                .unwrap_or_default(),
            several: content.is_some_and(|content| content.several),
            default_no: content.is_some_and(|content| content.default_no),
            scopes: if offers_session {
                vec![Scope::Once, Scope::Session]
            } else {
                vec![Scope::Once]
            },
            budget: gate.budget.clone(),
            editable: gate.kind == GateKind::Approval
                && gate.budget.is_none()
                && gate.decidable
                && gate.reply.takes_edits(),
            blocking: gate.blocking,
            decidable: gate.decidable,
            place: match &gate.reply {
                Reply::Elsewhere { place } => Some(place.clone()),
                Reply::Deferred
                | Reply::Prompt
                | Reply::AppServer
                | Reply::Acp
                | Reply::Mcp
                | Reply::Script => None,
            },
            digest: gate.digest,
            origin: gate.origin.clone(),
            run: gate.caller.map(|caller| caller.run),
            session: gate.session.map(|turn| turn.session),
            turn: gate.session.map(|turn| turn.turn),
            opened_at: gate.opened_at,
            expires_at: gate.expires_at,
            on_timeout: gate.on_timeout,
            previous: gate.previous,
            decision: DecisionView::of(gate),
            effect: None,
            shown: Vec::new(),
            version,
        }
    }

    /// The view of a row, with what its decision does.
    #[must_use]
    pub fn with_effect(self, effect: String) -> Self {
        Self {
            effect: Some(effect),
            ..self
        }
    }

    /// Whether nobody has decided yet.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.decision.is_none()
    }

    /// The word of what is asked.
    #[must_use]
    pub fn kind_word(&self) -> &'static str {
        kind_word(self.kind)
    }

    /// What it is about, in one line.
    #[must_use]
    pub fn title(&self) -> String {
        match (&self.action, &self.summary) {
            // What is approved is the action, whatever the worker says of it.
            (Some(action), Some(summary)) if action != summary && self.kind == GateKind::Approval => {
                format!("{action} ({summary})")
            }
            (_, Some(summary)) => summary.clone(),
            (_, None) => "(its content was erased)".to_owned(),
        }
    }
}

impl DecisionView {
    fn of(gate: &Gate) -> Option<Self> {
        let end = gate.end.as_ref()?;
        let said = end.said.clone().unwrap_or_default();
        Some(Self {
            by: end.by.clone(),
            at: end.at,
            cause: end.cause,
            comment: said.comment.map(|comment| comment.as_str().to_owned()),
            answer: said.answer.map(|answer| answer.as_str().to_owned()),
            chosen: said.chosen,
            input: said
                .edited
                .as_ref()
                .map(|edited| edited.input.as_str().to_owned()),
            digest: said.edited.map(|edited| edited.digest),
            scope: said.scope,
            raised_to: said.raised_to,
        })
    }
}
