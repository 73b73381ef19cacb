//! What commands on a run are going to read, read together: each trip to the store waits for a thread or a server.

use dormouse_filesystem::Ahead;
use dormouse_secrets::Secrets;

use super::{Claimed, OutcomeRow, Process, Run};
use crate::core::Core;
use crate::lease::{Heartbeat, Lease};
use crate::task::Task;
use crate::{CommandError, budget, capability, gate};

/// For the end of a run. Most often it holds nothing and asked nothing, which is what most of the pages say.
pub(super) async fn of_end(core: &Core, claimed: &Claimed) -> Result<Core, CommandError> {
    let run = &claimed.run;
    let subject = run.subject();
    let mut ahead = Ahead::of(&core.space)
        .record::<Run>(&run.id)
        .record::<OutcomeRow>(&run.id)
        .record::<Lease>(&subject)
        .record::<Heartbeat>(&subject)
        .record::<Process>(&run.id);
    if let Some(task) = run.task {
        ahead = ahead.record::<Task>(&task);
    }
    ahead = Secrets::ahead_of_run_ended(ahead, &run.id.to_string());
    ahead = budget::ahead_of_end(ahead, run);
    ahead = capability::ahead_of_end(ahead, run);
    ahead = gate::ahead_of_end(ahead, run);
    Ok(core.reading(ahead.read().await?))
}
