//! Where a gate was shown: kept apart from the gate, so that showing it changes nothing of it.

use std::fmt;
use std::str::FromStr;

use dormouse_filesystem::{
    Class, IndexEntry, IndexValue, Query, Record, RecordId, RecordKind, Records, Segment, Tenant, Versioned,
    indexes,
};
use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Gate, GateError};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::id::segment;
use crate::limits::SURFACES_MAX;
use crate::{CommandError, GateId, OpId, Principal};

/// The name of a place where gates are shown: 1 to 32 of `a-z 0-9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Surface(String);

/// A text that is no such name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a surface has 1 to 32 of a-z, 0-9, _ and -")]
pub struct InvalidSurface;

impl FromStr for Surface {
    type Err = InvalidSurface;

    fn from_str(text: &str) -> Result<Self, InvalidSurface> {
        let is_plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
        if (1..=32).contains(&text.len()) && text.chars().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSurface)
        }
    }
}

impl TryFrom<String> for Surface {
    type Error = InvalidSurface;

    fn try_from(text: String) -> Result<Self, InvalidSurface> {
        text.parse()
    }
}

impl From<Surface> for String {
    fn from(surface: Surface) -> Self {
        surface.0
    }
}

impl fmt::Display for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which gate, at which surface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DisplayId {
    /// The gate.
    pub gate: GateId,
    /// The surface.
    pub surface: Surface,
}

impl fmt::Display for DisplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.gate, self.surface)
    }
}

impl RecordId for DisplayId {
    fn segments(&self) -> Vec<Segment> {
        vec![segment(&self.gate.to_string()), segment(&self.surface.0)]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        match segments {
            [gate, surface] => Some(Self {
                gate: gate.parse().ok()?,
                surface: surface.parse().ok()?,
            }),
            _ => None,
        }
    }
}

/// A gate was shown at a surface. What is lost of it costs a message that is not taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateDisplay {
    /// The gate.
    pub gate: GateId,
    /// The surface.
    pub surface: Surface,
    /// How the surface finds it again: the id of a message, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Scrubbed>,
    /// When it was shown last.
    pub shown_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

indexes! {
    /// What finds displays.
    pub enum DisplayIndex {
        /// By gate.
        Gate = own "gate",
    }
}

impl Record for GateDisplay {
    type Scope = Tenant;
    type Id = DisplayId;
    type Index = DisplayIndex;
    const KIND: RecordKind = RecordKind::of("gate_display");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Advisory;

    fn id(&self) -> DisplayId {
        DisplayId {
            gate: self.gate,
            surface: self.surface.clone(),
        }
    }

    fn index_entries(&self) -> Vec<IndexEntry<DisplayIndex>> {
        let gate = IndexValue::name(&self.gate.to_string());
        vec![IndexEntry::new(DisplayIndex::Gate, [gate])]
    }
}

/// Where a gate was shown.
pub(super) async fn of(core: &Core, gate: GateId) -> Result<Vec<Versioned<GateDisplay>>, CommandError> {
    let query = Query::of(DisplayIndex::Gate)
        .equals([IndexValue::name(&gate.to_string())])
        .limit(SURFACES_MAX);
    Ok(Records::<GateDisplay>::new(&core.space).find(&query).await?.rows)
}

/// Keeps that it was shown there.
pub(super) async fn shown(
    core: &Core,
    by: &Principal,
    gate: GateId,
    surface: &Surface,
    reference: Option<&Scrubbed>,
) -> Result<(), GateError> {
    let staged = |mut draft: Draft| async move {
        let rows = Records::<GateDisplay>::new(&core.space);
        if Records::<Gate>::new(&core.space).get(&gate).await?.is_none() {
            return Ok(Verdict::Nothing(Err(GateError::UnknownGate { gate })));
        }
        let row = GateDisplay {
            gate,
            surface: surface.clone(),
            reference: reference.cloned(),
            shown_at: draft.now(),
            op: draft.op(),
        };
        match rows.get(&row.id()).await? {
            Some(read) => rows.stage_replace(draft.batch(), &read, &row).await?,
            None if of(core, gate).await?.len() >= SURFACES_MAX => {
                let limit = "gates.surfaces_max";
                return Ok(Verdict::Nothing(Err(GateError::Full { limit })));
            }
            None => rows.stage_create(draft.batch(), &row)?,
        }
        Ok(Verdict::Commit(draft, Ok(())))
    };
    core.command(by, staged).await?.answer
}
