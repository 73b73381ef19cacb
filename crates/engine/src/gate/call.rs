//! What is asked about: a call, exactly, and the digest that stands for it.

use std::collections::BTreeSet;

use dormouse_filesystem::Digest;
use dormouse_state::GateKind;

use super::Canonical;
use crate::{AgentName, TenantId};

/// What every digest begins with: another scheme is another text.
const SCHEME: &str = "dormouse.gate.v1";

/// A call of a tool, with all that makes it this call and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The tool, or what else is to be done.
    pub tool: String,
    /// With what.
    pub input: Input,
    /// The folder it is done in.
    pub cwd: Option<String>,
    /// The names of the secrets it gets.
    pub secrets: BTreeSet<String>,
    /// What it is expected to cost, as it is shown.
    pub estimate: Option<String>,
}

/// The input of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// As the provider gave it.
    Given(Canonical),
    /// The provider gave none: what it shows stands for it, and the gate says so.
    Shown {
        /// Its title.
        title: String,
        /// Its content.
        content: String,
    },
}

/// Whose call it is, and what is asked about it.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The agent.
    pub agent: &'a AgentName,
    /// What is asked.
    pub kind: GateKind,
}

impl Call {
    /// A call with this input and nothing else.
    #[must_use]
    pub fn new(tool: impl Into<String>, input: Input) -> Self {
        Self {
            tool: tool.into(),
            input,
            cwd: None,
            secrets: BTreeSet::new(),
            estimate: None,
        }
    }

    /// The digest of this call by this asker. Equal calls have equal digests, and no others do.
    #[must_use]
    pub fn digest(&self, asker: Asker<'_>) -> Digest {
        let mut parts = Parts::default();
        parts.add(SCHEME);
        parts.add(asker.tenant.as_str());
        parts.add(asker.agent.as_str());
        parts.add(kind_word(asker.kind));
        parts.add(&self.tool);
        match &self.input {
            Input::Given(input) => parts.list([input.as_str()]),
            Input::Shown { title, content } => parts.list([title.as_str(), content.as_str()]),
        }
        parts.list(self.cwd.as_deref());
        parts.list(self.secrets.iter().map(String::as_str));
        parts.list(self.estimate.as_deref());
        Digest::of(&parts.0)
    }
}

/// The word of what is asked.
#[must_use]
pub fn kind_word(kind: GateKind) -> &'static str {
    match kind {
        GateKind::Approval => "approval",
        GateKind::Question => "question",
        GateKind::Notification => "notification",
    }
}

/// Parts of a digest, each behind its length, so that no two sequences of parts are the same bytes.
#[derive(Default)]
pub(super) struct Parts(Vec<u8>);

impl Parts {
    pub(super) fn add(&mut self, part: &str) {
        self.count(part.len());
        self.0.extend(part.as_bytes());
    }

    fn list<'a>(&mut self, parts: impl IntoIterator<Item = &'a str>) {
        let parts: Vec<&str> = parts.into_iter().collect();
        self.count(parts.len());
        for part in parts {
            self.add(part);
        }
    }

    fn count(&mut self, number: usize) {
        self.0.extend((number as u64).to_be_bytes());
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}
