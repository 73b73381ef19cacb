//! The guard of a driven run: whoever drops it on the way leaves no run behind that waits for its lease.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::drive::{Driving, Worked};
use super::ends::Said;
use super::threads::Slot;
use super::{Failure, Report};
use crate::limits::ABANDON_AFTER;
use crate::supervisor::RunEnd;

/// The work of a run, while its future lives.
pub(super) struct Work {
    task: JoinHandle<Result<Report, Failure>>,
    slot: Slot,
    /// What is seen of it, once it is over: its task is asked for that once only.
    over: Option<Said>,
}

impl Work {
    pub(super) fn new(task: JoinHandle<Result<Report, Failure>>, slot: Slot) -> Self {
        Self {
            task,
            slot,
            over: None,
        }
    }

    /// Waits until it ends by itself.
    pub(super) async fn joined(&mut self) {
        if self.over.is_none() {
            let joined = (&mut self.task).await;
            self.over = Some(Said::Joined(joined));
        }
    }

    /// Ends it, and waits until what it held is dropped. One that does not give its thread back is left alone, and counted.
    pub(super) async fn ended(&mut self, hand: &Driving) {
        if self.over.is_some() {
            return;
        }
        self.task.abort();
        let said = match timeout(ABANDON_AFTER, &mut self.task).await {
            Ok(Err(error)) if error.is_cancelled() => Said::Nothing,
            Ok(joined) => Said::Joined(joined),
            Err(_) => {
                tracing::error!(run = %hand.run(), "a future that was told to end keeps its thread; its run ends without it");
                self.slot.abandon();
                Said::Nothing
            }
        };
        self.over = Some(said);
    }

    /// Whether it ended because the lease is another's.
    pub(super) fn is_fenced(&self) -> bool {
        matches!(&self.over, Some(Said::Joined(Ok(Err(failure)))) if failure.is_fenced())
    }

    /// How it ended, if it did by itself; it has said nothing more behind that.
    pub(super) fn take_said(&mut self) -> Said {
        self.over.replace(Said::Nothing).unwrap_or(Said::Nothing)
    }
}

/// What is done of a run, and ends it when it is dropped before that was.
pub(super) struct Guard {
    hand: Arc<Driving>,
    work: Option<Work>,
    worked: Option<Worked>,
    is_over: bool,
}

impl Guard {
    pub(super) fn new(hand: &Arc<Driving>) -> Self {
        Self {
            hand: Arc::clone(hand),
            work: None,
            worked: None,
            is_over: false,
        }
    }

    /// Works until that is over.
    pub(super) async fn attend(&mut self, work: Work) -> Worked {
        let work = self.work.insert(work);
        self.hand.attend(work).await
    }

    /// Writes how it ended.
    pub(super) async fn ends(mut self, worked: Worked) -> RunEnd {
        self.work = None;
        let worked = self.worked.insert(worked);
        let end = self.hand.ended(worked).await;
        self.is_over = true;
        end
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (work, worked) = (self.work.take(), self.worked.take());
        if let Some(work) = &work {
            work.task.abort();
        }
        // Without a runtime the process ends, or as good as that: then the run lapses.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let hand = Arc::clone(&self.hand);
        let background = hand.background();
        background.spawn_on(async move { hand.abandoned(work, worked).await }, &runtime);
    }
}

#[cfg(test)]
mod tests {
    use super::super::threads::{WorkerThreads, Workers};
    use super::*;

    #[tokio::test]
    async fn what_the_work_said_stays_with_it_until_it_is_taken_and_its_task_is_asked_once() {
        let workers = Workers::new(WorkerThreads::OfCaller);
        let (task, slot) = workers.spawn(async { Ok::<_, Failure>(Report::default()) });
        let mut work = Work::new(task, slot);
        work.joined().await;
        // As whoever ends the run in place of a driver that was dropped behind that.
        work.joined().await;
        assert!(matches!(work.take_said(), Said::Joined(Ok(Ok(_)))));
        work.joined().await;
        assert!(matches!(work.take_said(), Said::Nothing));
    }
}
