//! Ending what a dead supervisor left, by the machine's own processes.

use async_trait::async_trait;

use crate::recovery::{OrphanFate, Orphans};
use crate::run::Process;
use crate::worker::orphans::{self, Swept};

/// The processes of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemOrphans;

#[async_trait]
impl Orphans for SystemOrphans {
    async fn end(&self, process: &Process) -> OrphanFate {
        match orphans::end(&process.row()).await {
            Ok(Swept::Gone | Swept::Elsewhere) => OrphanFate::Gone,
            Ok(Swept::Killed(_)) => OrphanFate::Killed,
            Err(error) => {
                tracing::error!(run = %process.run, %error, "what is left of the run could not be ended");
                OrphanFate::Alive
            }
        }
    }
}
