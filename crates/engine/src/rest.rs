//! What does not fit the commit of its cause, and is done behind it, in commits of its own: in the background, whether or
//! not the caller of the command waits still. What a crash leaves of it is found by the janitor.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::DropGuard;

use crate::agent::heed_bad_end;
use crate::budget::sweep_hold;
use crate::core::Core;
use crate::gate::wake_rest;
use crate::{AgentName, GateId, HoldId};

/// Something that a commit leaves.
#[derive(Debug)]
pub(crate) enum Rest {
    /// More of what a run holds is to be closed, from this one on.
    Holds(HoldId),
    /// A run of this agent ended badly: it may be one of too many. What is left of it is found at the next such end.
    BadEnd(AgentName),
    /// More tasks wait for this gate, which was decided.
    Waiting {
        /// Which.
        gate: GateId,
        /// Said when it is done, or left to the janitor.
        done: DropGuard,
    },
}

/// Does what is left, if there is a runtime to do it.
pub(crate) fn spawn(core: Core, rest: Vec<Rest>) {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    let background = core.background.clone();
    background.spawn_on(
        async move {
            for one in rest {
                let (what, done) = match one {
                    Rest::Holds(hold) => ("holds", sweep_hold(&core, hold, &mut 0).await),
                    Rest::BadEnd(agent) => {
                        let heeded = heed_bad_end(&Arc::new(core.clone()), &agent).await;
                        ("bad ends", heeded)
                    }
                    Rest::Waiting { gate, done } => {
                        let woken = wake_rest(&core, gate).await;
                        drop(done);
                        ("tasks that wait", woken)
                    }
                };
                if let Err(error) = done {
                    tracing::warn!(tenant = %core.tenant, what, %error, "what a commit left was not done yet");
                }
            }
        },
        &runtime,
    );
}
