//! Which account: one of the levels of the chain a run is charged to.

use std::fmt;
use std::str::FromStr;

use dormouse_filesystem::{RecordId, Segment};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::segment;
use crate::run::Run;
use crate::{AgentName, CommandError, Incarnation, RunId, SessionId, TaskId};

/// An account: whose counters it has. As text `tenant`, `agent.alice`, `session.ses_…`, `task.tsk_…`, `run.run_…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountPath {
    /// All of the tenant.
    Tenant,
    /// One agent.
    Agent(AgentName),
    /// One session.
    Session(SessionId),
    /// One task, over all its runs.
    Task(TaskId),
    /// One run.
    Run(RunId),
}

impl AccountPath {
    /// The word of the level.
    #[must_use]
    pub fn level(&self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Agent(_) => "agent",
            Self::Session(_) => "session",
            Self::Task(_) => "task",
            Self::Run(_) => "run",
        }
    }

    fn name(&self) -> Option<String> {
        match self {
            Self::Tenant => None,
            Self::Agent(name) => Some(name.to_string()),
            Self::Session(id) => Some(id.to_string()),
            Self::Task(id) => Some(id.to_string()),
            Self::Run(id) => Some(id.to_string()),
        }
    }

    fn from_parts(level: &str, name: Option<&str>) -> Option<Self> {
        match (level, name) {
            ("tenant", None) => Some(Self::Tenant),
            ("agent", Some(name)) => name.parse().ok().map(Self::Agent),
            ("session", Some(id)) => id.parse().ok().map(Self::Session),
            ("task", Some(id)) => id.parse().ok().map(Self::Task),
            ("run", Some(id)) => id.parse().ok().map(Self::Run),
            _ => None,
        }
    }
}

impl fmt::Display for AccountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            None => f.write_str(self.level()),
            Some(name) => write!(f, "{}.{name}", self.level()),
        }
    }
}

impl FromStr for AccountPath {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        let (level, name) = match text.split_once('.') {
            Some((level, name)) => (level, Some(name)),
            None => (text, None),
        };
        Self::from_parts(level, name).ok_or_else(|| {
            let wanted = "is none of tenant, agent.NAME, session.ses_…, task.tsk_…, run.run_…";
            CommandError::invalid("account", wanted)
        })
    }
}

impl Serialize for AccountPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AccountPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl RecordId for AccountPath {
    fn segments(&self) -> Vec<Segment> {
        let level = segment(self.level());
        std::iter::once(level)
            .chain(self.name().map(|name| segment(&name)))
            .collect()
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        match segments {
            [level] => Self::from_parts(level, None),
            [level, name] => Self::from_parts(level, Some(name)),
            _ => None,
        }
    }
}

/// The accounts that work is charged to, the widest first: tenant, agent, session, task, run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// The agent that works.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// The session that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The task it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The run that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

impl Chain {
    /// What is an agent's, and of no run.
    #[must_use]
    pub fn of_agent(agent: &AgentName, incarnation: Incarnation) -> Self {
        Self {
            agent: agent.clone(),
            agent_incarnation: incarnation,
            session: None,
            task: None,
            run: None,
        }
    }

    /// What a run does.
    #[must_use]
    pub fn of_run(run: &Run) -> Self {
        Self {
            agent: run.agent.clone(),
            agent_incarnation: run.agent_incarnation,
            session: run.session,
            task: run.task,
            run: Some(run.id),
        }
    }

    /// Its accounts, the widest first.
    #[must_use]
    pub fn paths(&self) -> Vec<AccountPath> {
        let mut paths = vec![AccountPath::Tenant, AccountPath::Agent(self.agent.clone())];
        paths.extend(self.session.map(AccountPath::Session));
        paths.extend(self.task.map(AccountPath::Task));
        paths.extend(self.run.map(AccountPath::Run));
        paths
    }
}
