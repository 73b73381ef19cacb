//! All that is known about a session, in the form in which it is kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Denial, Display, Evidence, Execution, Gates, LastError, Lifecycle, Mode, Position, Row, RunId, SourceId,
    Todo, Turn,
};

/// The schema this version writes.
pub const SCHEMA: u32 = 1;

/// The most sources of one session.
pub const SOURCES_MAX: usize = 8;

/// The state of a session. It can be stored as it is; [`Session::restore`](crate::Session::restore) takes
/// it back after checking it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// [`SCHEMA`] at the time of writing.
    pub schema: u32,
    /// Which life of the session this is, from 1.
    pub incarnation: u32,
    /// Counts applied changes.
    pub sequence: u64,
    /// How it stands.
    pub lifecycle: Lifecycle,
    /// What it is doing; none exactly when it is not active.
    pub execution: Option<Execution>,
    /// The newest turn.
    pub turn: Turn,
    /// The gates.
    pub gates: Gates,
    /// Whether a person answered in this turn.
    pub human_resolved: bool,
    /// Whether nothing was heard for long.
    pub stalled: bool,
    /// Whether it pauses when the turn ends.
    pub pause_pending: bool,
    /// How well the state is known.
    pub evidence: Evidence,
    /// The bound run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The source whose announcements begin turns, while no run is bound; a bound run makes that the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_authority: Option<SourceId>,
    /// The sources, at most [`SOURCES_MAX`].
    pub sources: BTreeMap<SourceId, SourceMark>,
    /// Under which rule calls are made. Absent reads as the strictest.
    #[serde(default = "Mode::strictest")]
    pub mode: Mode,
    /// The provider's plan.
    #[serde(default)]
    pub todo: Todo,
    /// The newest refused calls, newest first.
    #[serde(default)]
    pub denials: Vec<Denial>,
    /// The newest failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// When it entered its row.
    pub entered_at: Timestamp,
    /// When it last showed life.
    pub activity_at: Timestamp,
}

/// How far a source was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceMark {
    /// The last event that was read.
    pub position: Position,
    /// The run it is a source of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

impl Snapshot {
    /// The state of a session nothing is known about.
    pub(crate) fn new(mode: Mode, now: Timestamp) -> Snapshot {
        Snapshot {
            schema: SCHEMA,
            incarnation: 1,
            sequence: 0,
            lifecycle: Lifecycle::Initializing,
            execution: None,
            turn: Turn::none_yet(),
            gates: Gates::default(),
            human_resolved: false,
            stalled: false,
            pause_pending: false,
            evidence: Evidence::Formal,
            run: None,
            turn_authority: None,
            sources: BTreeMap::new(),
            mode,
            todo: Todo::default(),
            denials: Vec::new(),
            last_error: None,
            entered_at: now,
            activity_at: now,
        }
    }

    /// The one word to show at `now`; a due auto-idle counts as happened.
    #[must_use]
    pub fn display(&self, now: Timestamp) -> Display {
        Display::of(self, now)
    }

    /// The row of the table.
    #[must_use]
    pub fn row(&self) -> Row {
        Row::of(
            self.lifecycle,
            self.execution,
            self.turn.is_running(),
            self.gates.blocking_count(),
        )
    }
}
