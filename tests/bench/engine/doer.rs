//! Does tasks that take no time: claimed, and done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use dormouse_engine::run::ClaimOptions;
use dormouse_engine::wake::{Starter, WakeOptions};
use dormouse_engine::{CommandError, Engine, RunId, TaskId, Tenant};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::house;

#[derive(Debug)]
pub(crate) struct Doer {
    at_work: watch::Sender<usize>,
    done: Arc<AtomicUsize>,
    is_done: watch::Sender<usize>,
}

impl Doer {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            at_work: watch::Sender::new(0),
            done: Arc::default(),
            is_done: watch::Sender::new(0),
        })
    }

    /// Waits until so many are done.
    pub(crate) async fn did(&self, count: usize) {
        let mut done = self.is_done.subscribe();
        done.wait_for(|done| *done >= count)
            .await
            .expect("it is there as long as this");
    }

    /// Serves with so many workers until it is told to end.
    pub(crate) fn serve(self: &Arc<Self>, engine: &Engine, workers: usize) -> Serving {
        let (leave, told) = oneshot::channel::<()>();
        let (engine, doer) = (engine.clone(), Arc::clone(self));
        let served = tokio::spawn(async move {
            let options = WakeOptions {
                instance_max: workers,
                claims_at_once: workers,
                ..WakeOptions::default()
            };
            engine
                .serve_wakes(Arc::new(Handle(doer)), options, async { drop(told.await) })
                .await;
        });
        Serving { leave, served }
    }
}

pub(crate) struct Serving {
    leave: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Serving {
    pub(crate) async fn end(self) {
        let _ = self.leave.send(());
        self.served.await.expect("it does not panic");
    }
}

#[derive(Debug)]
struct Handle(Arc<Doer>);

#[async_trait]
impl Starter for Handle {
    async fn start(&self, tenant: &Tenant, task: TaskId) -> Result<RunId, CommandError> {
        let claimed = tenant
            .runs
            .claim(&house::by(), task, ClaimOptions::default())
            .await?;
        let (run, tenant, doer) = (claimed.run.id, tenant.clone(), Arc::clone(&self.0));
        doer.at_work.send_modify(|count| *count += 1);
        tokio::spawn(async move {
            house::finish(&tenant, &claimed).await;
            doer.at_work.send_modify(|count| *count -= 1);
            let done = doer.done.fetch_add(1, Ordering::Relaxed) + 1;
            doer.is_done.send_if_modified(|seen| {
                let is_later = done > *seen;
                *seen = done.max(*seen);
                is_later
            });
        });
        Ok(run)
    }

    fn at_work(&self) -> usize {
        *self.0.at_work.borrow()
    }

    async fn fewer_than(&self, most: usize) {
        let mut count = self.0.at_work.subscribe();
        let _ = count.wait_for(|count| *count < most).await;
    }
}
