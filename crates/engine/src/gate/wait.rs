//! Waiting for a gate: in memory, one per gate. Rows are the truth; hints only make it quick.

use dormouse_filesystem::{Prefix, Records, Watch};

use super::{Gate, GateError};
use crate::core::Core;
use crate::id::segment;
use crate::limits::WAIT_POLL;
use crate::{CommandError, GateId};

/// Returns when the gate has left pending; ends with that, or when it is dropped.
pub(super) async fn wait(core: &Core, gate: GateId) -> Result<Gate, GateError> {
    let Some(_waiting) = core.gates.waiting.enter(gate) else {
        return Err(GateError::AlreadyAwaited { gate });
    };
    // A store that has no room for one more watch is asked now and then instead.
    let mut hints = core.store.watch(&rows(core)).await.ok();
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
            biased;
            () = hint(&mut hints) => {}
            () = tokio::time::sleep(WAIT_POLL) => {}
        }
    }
}

/// Returns with the next hint; never when there are none any more.
async fn hint(hints: &mut Option<Watch>) {
    if let Some(watch) = hints {
        if watch.next().await.is_some() {
            return;
        }
        *hints = None;
    }
    std::future::pending::<()>().await;
}

/// Where the rows of gates are. All of them: what is watched is what lies below a prefix, and below the key of one gate
/// lies nothing.
fn rows(core: &Core) -> Prefix {
    let root = core.space.root().clone();
    let names = ["r", "gate"];
    names.iter().fold(root, |prefix, name| {
        prefix
            .child(&segment(name))
            .expect("a tenant's prefix has room for its rows")
    })
}
