//! What a worker asks, and what becomes of a run that does.

use std::collections::BTreeSet;

use dormouse_state::GateKind;
use serde::{Deserialize, Serialize};

use crate::gate::{Call, Canonical, Input, Timeout};

/// What becomes of a run that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnGate {
    /// Its worker waits for the answer; its clocks stand still meanwhile.
    #[default]
    Wait,
    /// Its worker is stopped, and the run waits without holding anything. Decided, its task is ready again, and the
    /// next claim of it goes on with this run, from the beginning of its command.
    Park,
    /// Every question that waits is rejected at once, by whoever started the run.
    Reject,
}

/// What a worker asks.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is asked.
    pub kind: GateKind,
    /// What is to be done, or the question itself.
    pub action: String,
    /// With what.
    pub input: Option<Canonical>,
    /// The folder it is done in.
    pub cwd: Option<String>,
    /// Names this question among the run's: the same key and content asked again finds the same gate. Without one
    /// they are counted, so that a command that is run again from its beginning finds what it asked.
    pub key: Option<String>,
    /// One line on it; the action, where none is given.
    pub summary: Option<String>,
    /// More, if there is.
    pub detail: Option<String>,
    /// What can be chosen.
    pub options: Vec<String>,
    /// Whether several of them can.
    pub several: bool,
    /// Whether rejecting is offered first.
    pub default_no: bool,
    /// Whether the input may be edited: the worker uses what the answer has.
    pub takes_edits: bool,
    /// For how long it can be decided.
    pub timeout: Timeout,
}

impl Question {
    /// A question of this kind, with every default.
    #[must_use]
    pub fn new(kind: GateKind, action: impl Into<String>) -> Self {
        Self {
            kind,
            action: action.into(),
            input: None,
            cwd: None,
            key: None,
            summary: None,
            detail: None,
            options: Vec::new(),
            several: false,
            default_no: false,
            takes_edits: false,
            timeout: Timeout::Default,
        }
    }

    pub(super) fn call(&self) -> Call {
        let input = match &self.input {
            Some(input) => Input::Given(input.clone()),
            None => Input::Shown {
                title: self.action.clone(),
                content: self.detail.clone().unwrap_or_default(),
            },
        };
        Call {
            cwd: self.cwd.clone(),
            secrets: BTreeSet::new(),
            ..Call::new(self.action.clone(), input)
        }
    }
}
