//! Serving wakes: the one loop of a process that claims what is ready and gives it to whoever does the work.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::serving::Serving;
use crate::engine::Engine;
use crate::limits::{CLAIMS_AT_ONCE, INSTANCE_MAX};
use crate::pause::pause_until;
use crate::{CommandError, RunId, TaskId, Tenant, TenantId};

/// Does the work of claimed tasks: a supervisor of processes, or of whatever else.
#[async_trait]
pub trait Starter: fmt::Debug + Send + Sync + 'static {
    /// Claims this ready task and begins its work, which goes on by itself. What it refuses is tried again later; what
    /// another claimed is passed over.
    async fn start(&self, tenant: &Tenant, task: TaskId) -> Result<RunId, CommandError>;

    /// How many runs are at work.
    fn at_work(&self) -> usize;

    /// Waits until fewer than so many are at work.
    async fn fewer_than(&self, most: usize);
}

/// How wakes are served.
#[derive(Debug, Clone)]
pub struct WakeOptions {
    /// `runs.instance_max`: most runs at work in this process.
    pub instance_max: usize,
    /// Most claims under way at once.
    pub claims_at_once: usize,
    /// How many claims a tenant has for each one of a tenant that is not named, which has one.
    pub weights: HashMap<TenantId, u32>,
}

impl Default for WakeOptions {
    fn default() -> Self {
        Self {
            instance_max: INSTANCE_MAX,
            claims_at_once: CLAIMS_AT_ONCE,
            weights: HashMap::new(),
        }
    }
}

impl WakeOptions {
    pub(super) fn weight(&self, tenant: &TenantId) -> u32 {
        self.weights.get(tenant).copied().unwrap_or(1)
    }
}

impl Engine {
    /// Claims what is ready, in all tenants, until `shutdown`: fair by tenant, then by agent, then by rank and number. To be
    /// called once in a process; several processes may, where the store is shared.
    ///
    /// It sleeps while nothing is due: commits of this process ring it, those of others are heard by the store's hints, and
    /// where several share the store the rows are looked at each minute besides. Claims under way when it is told to leave
    /// are waited for; what they started goes on.
    pub async fn serve_wakes(
        &self,
        starter: Arc<dyn Starter>,
        options: WakeOptions,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut listening = self.bell().listen();
        let mut freed = self.freed().subscribe();
        let mut hints = self.hints_of_wakes().await;
        let mut serving = Serving::new(self.clone(), starter, options);
        let mut wants_look = true;
        // Ends with the shutdown.
        loop {
            if wants_look {
                serving.look().await;
            }
            serving.hear();
            serving.take_turns();
            self.bell().set_full(serving.is_full());
            let (room, look_at) = (serving.room_awaited(), serving.look_at());
            wants_look = tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(step) = serving.steps.join_next(), if !serving.steps.is_empty() => {
                    serving.take(step.expect("a step does not panic"));
                    false
                }
                // Before the ring of whose run it was: who was refused reads no later than who had the place.
                _ = freed.changed() => {
                    serving.accounts_have_more();
                    false
                }
                _ = listening.rung.changed() => true,
                () = hint(&mut hints) => true,
                () = room => false,
                () = pause_until(look_at) => true,
            };
        }
        listening.leaves();
        serving.end().await;
    }

    /// Hints of what other processes ring; none where there are none, or the store has no room for one more watch.
    async fn hints_of_wakes(&self) -> Option<dormouse_filesystem::Watch> {
        if self.is_exclusive() {
            return None;
        }
        let rows = dormouse_filesystem::SystemIndex::<super::Wake>::new(self.system());
        rows.watch(super::WakeIndex::Due).await.ok()
    }
}

/// Returns with the next hint; never when there are none any more.
async fn hint(hints: &mut Option<dormouse_filesystem::Watch>) {
    if let Some(watch) = hints {
        if watch.next().await.is_some() {
            return;
        }
        *hints = None;
    }
    std::future::pending::<()>().await;
}

/// The instant this far from now.
pub(super) fn later(delay: Duration) -> Instant {
    Instant::now() + delay
}
