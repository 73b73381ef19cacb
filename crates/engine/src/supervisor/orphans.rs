//! Ending what a dead supervisor left, by the machine's own processes.

use async_trait::async_trait;

use crate::recovery::{OrphanFate, Orphans};
use crate::run::{Process, ProcessMark};
use crate::worker::orphans::{self, Swept};
use crate::worker::{Boot, ProcessId, ProcessRow};

/// The processes of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemOrphans;

#[async_trait]
impl Orphans for SystemOrphans {
    async fn end(&self, process: &Process) -> OrphanFate {
        match orphans::end(&row(process)).await {
            Ok(Swept::Gone | Swept::Elsewhere) => OrphanFate::Gone,
            Ok(Swept::Killed(_)) => OrphanFate::Killed,
            Err(error) => {
                tracing::error!(run = %process.run, %error, "what is left of the run could not be ended");
                OrphanFate::Alive
            }
        }
    }
}

fn row(process: &Process) -> ProcessRow {
    let id = |mark: ProcessMark| ProcessId {
        pid: mark.pid,
        start_time: mark.start_time,
    };
    ProcessRow {
        boot: Boot {
            host: process.host.clone(),
            boot_id: process.boot_id.clone(),
        },
        keeper: id(process.keeper),
        worker: process.worker.map(id),
        run: process.run.to_string(),
    }
}
