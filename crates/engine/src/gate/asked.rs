//! What is read before a gate is opened: the call's key, what it may take over, and whether there is room.

use dormouse_filesystem::{IndexValue, Query, Records, Versioned};
use futures::future::try_join3;

use super::adopt::{Usable, usable};
use super::open::Prepared;
use super::{Gate, GateIndex, GateKey, NewGate};
use crate::CommandError;
use crate::core::Core;
use crate::limits::GATES_PENDING_MAX;

/// What there is of a call already.
pub(super) struct Asked {
    /// Its key, where it was asked before.
    pub(super) key: Option<Versioned<GateKey>>,
    /// What it may take over.
    pub(super) usable: Vec<Usable>,
    /// Whether its run, outside of a session, has as many pending as it may.
    pub(super) is_full: bool,
}

impl Asked {
    /// Reads all of it together: most calls are new, and need it all.
    pub(super) async fn read(core: &Core, wanted: &Prepared<'_>) -> Result<Self, CommandError> {
        let is_full = is_full(core, wanted.new_gate());
        let Some(key) = wanted.key() else {
            return Ok(Self {
                key: None,
                usable: Vec::new(),
                is_full: is_full.await?,
            });
        };
        let keys = Records::<GateKey>::new(&core.space);
        let key = async { Ok(keys.get(&key).await?) };
        let (key, usable, is_full) = try_join3(key, usable(core, wanted), is_full).await?;
        Ok(Self { key, usable, is_full })
    }
}

/// Whether a run without session has as many pending as it may.
async fn is_full(core: &Core, new: &NewGate) -> Result<bool, CommandError> {
    let (Some(caller), None) = (new.caller, &new.session) else {
        return Ok(false);
    };
    let query = Query::of(GateIndex::Run)
        .equals([IndexValue::name(&caller.run.to_string())])
        .limit(GATES_PENDING_MAX);
    let found = Records::<Gate>::new(&core.space).find(&query).await?;
    Ok(found.rows.len() >= GATES_PENDING_MAX)
}
