//! Agents: rows. A sleeping agent is its row and nothing else: no timer, no handle, no file.

mod delete;
mod intensity;
mod removal;
mod removing;
mod service;
mod stop;
mod stored;
mod table;

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use dormouse_secrets::{AgentAt, Formats, Scrubbed, SecretName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use delete::AtWork;
pub use intensity::Intensity;
pub(crate) use intensity::{heed_bad_end, is_bad};
pub(crate) use removing::Removals;
pub use service::{AgentPage, Agents};
pub use table::{AgentEvent, decide};

use self::stored::Stored;
use crate::command::{ClockSettings, Effects};
use crate::credentials::{FormatsWord, is_not_said};
use crate::event::About;
use crate::{AgentName, Incarnation, OpId, Subject};

/// Where an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// It claims what is ready.
    Active,
    /// It claims and fires nothing; tasks keep arriving.
    Paused,
    /// What is its goes.
    Deleting,
    /// It has gone; its name may be taken again.
    Deleted,
}

impl AgentState {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Active, Self::Paused, Self::Deleting, Self::Deleted];

    /// The state's word, as printed and indexed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }
}

/// What is set of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// Runs at once.
    pub concurrency: u32,
    /// The agents it may give tasks to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegates_to: Vec<AgentName>,
    /// The secrets its workers get, each of them; where none is named, all that it sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// What is done about credentials that nobody registered; none leaves it to the program.
    #[serde(default, with = "FormatsWord", skip_serializing_if = "is_not_said")]
    pub formats: Option<Formats>,
    /// What is known of the effects of its workers, where their command says nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Effects>,
    /// The clocks of its runs, where their command sets them not itself.
    #[serde(default, skip_serializing_if = "ClockSettings::is_empty")]
    pub clocks: ClockSettings,
}

impl Default for AgentConfig {
    /// One run at once, and nobody to delegate to.
    fn default() -> Self {
        Self {
            concurrency: 1,
            delegates_to: Vec::new(),
            secrets: Vec::new(),
            formats: None,
            effects: None,
            clocks: ClockSettings::default(),
        }
    }
}

impl AgentConfig {
    /// The SHA-256 of its JSON, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).expect("a configuration is plain data");
        Sha256::digest(json)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// An agent; once it is deleted, its tombstone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Agent {
    /// Its name, unique in its tenant.
    pub name: AgentName,
    /// Told from a former agent of that name.
    pub incarnation: Incarnation,
    /// Where it is.
    pub state: AgentState,
    /// What is set of it; of a deleted one nothing is kept, and this is the default.
    pub config: AgentConfig,
    /// The digest of that.
    pub config_digest: String,
    /// Why it is paused, as somebody said it.
    pub paused_reason: Option<Scrubbed>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
    /// When all that was its had gone.
    pub deleted_at: Option<Timestamp>,
}

impl Agent {
    /// What is left of it when all that was its has gone.
    pub(crate) fn tombstone(&self, at: Timestamp, op: OpId) -> Self {
        Self {
            state: AgentState::Deleted,
            config: AgentConfig::default(),
            paused_reason: None,
            updated_at: at,
            op,
            deleted_at: Some(at),
            ..self.clone()
        }
    }

    /// What its events are about.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(Subject::Agent(self.name.clone()), &self.name, self.incarnation)
    }

    /// Whose secrets are its own: this life's.
    #[must_use]
    pub fn of_secrets(&self) -> AgentAt {
        AgentAt {
            id: self.name.as_str().parse().expect("both have the same alphabet"),
            incarnation: self.incarnation.of_secrets(),
        }
    }
}

indexes! {
    /// What finds agents.
    pub enum AgentIndex {
        /// By name.
        Name = own "name",
        /// By state.
        State = own "state",
        /// Those that are being deleted, over all tenants: what recovery finds.
        Deleting = system "agent_deleting",
        /// Those that are gone, by when, over all tenants.
        Retire = system "retire",
    }
}

impl Record for Agent {
    type Scope = Tenant;
    type Id = AgentName;
    type Index = AgentIndex;
    const KIND: RecordKind = RecordKind::of("agent");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> AgentName {
        self.name.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<AgentIndex>> {
        let mut entries = vec![
            IndexEntry::new(AgentIndex::Name, []),
            IndexEntry::new(AgentIndex::State, [IndexValue::name(self.state.word())]),
        ];
        if self.state == AgentState::Deleting {
            entries.push(IndexEntry::new(AgentIndex::Deleting, []));
        }
        if let Some(at) = self.deleted_at {
            entries.push(IndexEntry::new(AgentIndex::Retire, [IndexValue::instant(at)]));
        }
        entries
    }
}
