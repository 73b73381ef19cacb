//! What a worker sends to ask.

use std::time::Duration;

use dormouse_engine::gate::{Canonical, Timeout};
use dormouse_engine::run::OutcomeKind;
use dormouse_engine::supervisor::Question;
use dormouse_engine::task::{ChildEnd, OnFailed, Priority};
use dormouse_engine::{AgentName, TaskId};
use dormouse_state::GateKind;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::problem::{Code, Problem};

/// What a worker asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRequest {
    /// What is asked.
    #[serde(rename = "type")]
    pub(crate) kind: GateKind,
    /// What is to be done, or the question.
    pub(crate) action: String,
    /// With what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<Box<RawValue>>,
    /// Where it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cwd: Option<String>,
    /// Which of the run's questions it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// One line on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<String>,
    /// More.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// What can be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) options: Vec<String>,
    /// Whether several of them can.
    #[serde(default)]
    pub(crate) several: bool,
    /// Whether rejecting is offered first.
    #[serde(default)]
    pub(crate) default_no: bool,
    /// Whether the input may be edited.
    #[serde(default)]
    pub(crate) allow_edit: bool,
    /// For how long it can be decided.
    #[serde(default)]
    pub(crate) expires: Expires,
}

/// What a worker gives to another agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGift {
    /// Whom.
    pub(crate) agent: AgentName,
    /// What it is called.
    pub(crate) title: String,
    /// What is to be done, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) body: String,
    /// How much it presses.
    #[serde(default)]
    pub(crate) priority: Priority,
    /// What is to be done first: ids, their short forms, or numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) after: Vec<String>,
    /// What becomes of it when that is not done.
    #[serde(default)]
    pub(crate) on_failed: OnFailed,
}

/// A task that was given away.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GiftView {
    /// Which.
    pub(crate) id: TaskId,
    /// Its number.
    pub(crate) number: u64,
    /// The word of its state.
    pub(crate) state: String,
    /// Whether its agent is paused, so that nothing is done before somebody resumes it.
    pub(crate) is_paused: bool,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResultView {
    /// Which.
    pub(crate) id: TaskId,
    /// How it ended: the word of its state, or deleted.
    pub(crate) end: ChildEnd,
    /// How its last run did, if that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<OutcomeKind>,
    /// What that said in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// For how long a gate can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expires {
    /// As its type has it.
    #[default]
    ByType,
    /// So many milliseconds.
    AfterMs(u64),
    /// For ever.
    Never,
}

/// Longest key, in bytes.
const KEY_MAX: usize = 128;

impl NewRequest {
    /// The question, for the engine.
    ///
    /// # Errors
    /// What is not valid, by its field.
    pub(super) fn question(self) -> Result<Question, Problem> {
        let invalid = |what: &str| Problem::new(Code::Invalid, what.to_owned());
        if self.action.trim().is_empty() {
            return Err(invalid("action: it is empty"));
        }
        if self
            .key
            .as_ref()
            .is_some_and(|key| key.is_empty() || key.len() > KEY_MAX)
        {
            return Err(invalid("key: 1 to 128 bytes are taken"));
        }
        let input = match &self.input {
            Some(input) => Some(
                Canonical::parse(input.get())
                    .map_err(|why| Problem::new(Code::Invalid, format!("input: {why}")))?,
            ),
            None => None,
        };
        if self.allow_edit && (input.is_none() || self.kind != GateKind::Approval) {
            return Err(invalid(
                "allow_edit: only an approval with an input can be edited",
            ));
        }
        Ok(Question {
            input,
            cwd: self.cwd,
            key: self.key,
            summary: self.summary,
            detail: self.detail,
            options: self.options,
            several: self.several,
            default_no: self.default_no,
            takes_edits: self.allow_edit,
            timeout: match self.expires {
                Expires::ByType => Timeout::Default,
                Expires::AfterMs(milliseconds) => Timeout::After(Duration::from_millis(milliseconds)),
                Expires::Never => Timeout::Never,
            },
            ..Question::new(self.kind, self.action)
        })
    }
}
