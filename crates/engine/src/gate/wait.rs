//! Waiting for a gate: in memory, one per gate. Rows are the truth; hints only make it quick.

use dormouse_filesystem::{Prefix, Records};

use super::{Gate, GateError};
use crate::core::Core;
use crate::id::segment;
use crate::limits::WAIT_POLL;
use crate::{CommandError, GateId};

/// Returns when the gate has left pending; ends with that, or when it is dropped.
pub(super) async fn wait(core: &Core, gate: GateId) -> Result<Gate, GateError> {
    let Some(_waiting) = core.gates.enter(gate) else {
        return Err(GateError::AlreadyAwaited { gate });
    };
    let mut hints = core.store.watch(&rows(core)).await.map_err(CommandError::from)?;
    let rows = Records::<Gate>::new(&core.space);
    // Ends with the decision.
    loop {
        match rows.get(&gate).await.map_err(CommandError::from) {
            Ok(None) => return Err(GateError::UnknownGate { gate }),
            Ok(Some(read)) if !read.is_pending() => return Ok(read.into_inner()),
            Ok(Some(_)) => {}
            // It is read again: a store that is away for a moment decides nothing.
            Err(error) if error.is_congestion() => {}
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            hint = hints.next() => if hint.is_none() {
                tokio::time::sleep(WAIT_POLL).await;
            },
            () = tokio::time::sleep(WAIT_POLL) => {}
        }
    }
}

/// Where the rows of gates are.
fn rows(core: &Core) -> Prefix {
    let root = core.space.root().clone();
    let names = ["r", "gate"];
    names.iter().fold(root, |prefix, name| {
        prefix
            .child(&segment(name))
            .expect("a tenant's prefix has room for its rows")
    })
}
