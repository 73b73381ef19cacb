//! A session.

use dormouse_engine::session::SessionRow;
use dormouse_engine::{AgentName, CommandError, SessionId};
use dormouse_filesystem::Version;
use dormouse_state::{Evidence, Execution, LastError, Lifecycle, Mode, Turn};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A session, as the API answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// The agent that has it.
    pub agent: AgentName,
    /// The one word to show for it now.
    pub display: String,
    /// How it stands.
    pub lifecycle: Lifecycle,
    /// What it is doing; none exactly when it is not active.
    pub execution: Option<Execution>,
    /// The newest turn.
    pub turn: Turn,
    /// The ids of the gates nobody has answered yet.
    pub pending: Vec<String>,
    /// The run that works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// How well the state is known.
    pub evidence: Evidence,
    /// Under which rule calls are made.
    pub mode: Mode,
    /// The newest failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Which life of it this is, from 1.
    pub incarnation: u32,
    /// Applied changes.
    pub sequence: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it entered its state.
    pub entered_at: Timestamp,
    /// When it last showed life.
    pub activity_at: Timestamp,
    /// Its version.
    pub version: Version,
}

impl SessionView {
    /// The view of a row.
    ///
    /// # Errors
    /// `Corrupt` and `TooNew`, when the state cannot be believed.
    pub fn of(row: &SessionRow, version: Version, now: Timestamp) -> Result<Self, CommandError> {
        let session = row.session(now)?;
        let state = session.view();
        Ok(Self {
            id: row.id,
            agent: row.agent.clone(),
            display: session.display(now).name().to_owned(),
            lifecycle: state.lifecycle,
            execution: state.execution,
            turn: state.turn.clone(),
            pending: state
                .gates
                .pending
                .keys()
                .map(|gate| gate.as_str().to_owned())
                .collect(),
            run: state.run.as_ref().map(|run| run.as_str().to_owned()),
            evidence: state.evidence,
            mode: state.mode,
            last_error: state.last_error.clone(),
            incarnation: state.incarnation,
            sequence: state.sequence,
            created_at: row.created_at,
            entered_at: state.entered_at,
            activity_at: state.activity_at,
            version,
        })
    }
}
