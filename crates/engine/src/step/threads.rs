//! The threads on which futures of runs are polled, and what becomes of one that does not give its thread back.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// The name of the threads that runs' futures have of their own: what one says that panics is told by its outcome alone.
pub const WORKER_THREAD: &str = "dormouse-worker";

/// `worker.threads`: where the futures of runs are polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WorkerThreads {
    /// Where their driver is: one that blocks its thread keeps that from the clocks and heartbeats on it.
    #[default]
    OfCaller,
    /// On so many threads of their own, which are shared by all runs of the engine: one that blocks keeps one of these.
    Own(NonZeroUsize),
}

/// The futures of an engine's runs.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: WorkerThreads,
    /// Made for the first run; none where the system gives no threads.
    runtime: OnceLock<Option<Runtime>>,
    stuck: Arc<AtomicUsize>,
}

impl Workers {
    pub(crate) fn new(threads: WorkerThreads) -> Self {
        Self {
            threads,
            runtime: OnceLock::new(),
            stuck: Arc::default(),
        }
    }

    /// How many were abandoned and have not returned.
    pub(crate) fn stuck(&self) -> usize {
        self.stuck.load(Ordering::Acquire)
    }

    /// Begins one.
    pub(super) fn spawn<F>(&self, work: F) -> (JoinHandle<F::Output>, Slot)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let slot = Slot(Arc::new(Shared {
            state: Mutex::new(State::Polled),
            stuck: Arc::clone(&self.stuck),
        }));
        let leaves = Leaves(Slot(Arc::clone(&slot.0)));
        let work = async move {
            let _leaves = leaves;
            work.await
        };
        let task = match self.own() {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        };
        (task, slot)
    }

    fn own(&self) -> Option<&Runtime> {
        let WorkerThreads::Own(threads) = self.threads else {
            return None;
        };
        let made = self.runtime.get_or_init(|| {
            let made = Builder::new_multi_thread()
                .worker_threads(threads.get())
                .thread_name(WORKER_THREAD)
                .enable_all()
                .build();
            made.inspect_err(|error| {
                tracing::error!(%error, "the system gives no threads for workers; they share those of the engine");
            })
            .ok()
        });
        made.as_ref()
    }
}

/// Its threads end with what runs on them: one that blocks is not waited for.
impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(Some(runtime)) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The place of one future.
#[derive(Debug)]
pub(super) struct Slot(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stuck: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Polled,
    Abandoned,
    Returned,
}

impl Slot {
    /// It does not give its thread back: it is counted until it does.
    pub(super) fn abandon(&self) {
        self.turn(State::Abandoned);
    }

    fn turn(&self, next: State) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (*state, next) {
            (State::Polled, State::Abandoned) => drop(self.0.stuck.fetch_add(1, Ordering::AcqRel)),
            (State::Abandoned, State::Returned) => drop(self.0.stuck.fetch_sub(1, Ordering::AcqRel)),
            (State::Polled, State::Polled | State::Returned) => {}
            (State::Abandoned, State::Polled | State::Abandoned)
            | (State::Returned, State::Polled | State::Abandoned | State::Returned) => return,
        }
        *state = next;
    }
}

/// Is dropped with the future.
struct Leaves(Slot);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.turn(State::Returned);
    }
}
