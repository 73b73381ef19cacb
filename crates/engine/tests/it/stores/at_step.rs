//! A run behind its first external step, or within it: held by a process that does nothing more.

use dormouse_engine::run::{Checkpoint, Claimed};
use dormouse_engine::step::{Effect, Failure, StepContext, StepFault};
use dormouse_engine::supervisor::RunEnd;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::house::House;

/// A held run. Dropped, its holder is gone without a word.
#[derive(Debug)]
pub(super) struct AtStep {
    steps: StepContext,
    driving: JoinHandle<Option<RunEnd>>,
    lives: oneshot::Sender<()>,
}

/// Drives a run until its end, or until the sender is dropped: then it is gone as with its process, where no runtime goes on to
/// write an end of it.
pub(super) async fn until_gone(
    driving: impl Future<Output = RunEnd> + Send + 'static,
    lives: oneshot::Receiver<()>,
) -> Option<RunEnd> {
    let mut driving = Box::pin(driving);
    tokio::select! {
        end = &mut driving => return Some(end),
        _ = lives => {}
    }
    let gone = std::thread::spawn(move || drop(driving)).join();
    gone.expect("dropping does not panic");
    None
}

impl AtStep {
    /// Behind it: what it did is known, so it is safe.
    pub(super) async fn behind(house: &House, claimed: Claimed) -> Self {
        let at = Self::driven(
            house,
            claimed,
            async |steps: StepContext, told: mpsc::Sender<StepContext>| {
                let once = async |_| Ok(1);
                steps.step("a", &"input", Effect::External, once).await?;
                told.send(steps).await.unwrap();
                std::future::pending().await
            },
        )
        .await;
        let run = house.tenant.runs.get(at.claimed().run.id).await.unwrap().run;
        assert!(matches!(run.checkpoint, Checkpoint::Safe { .. }), "{run:?}");
        at
    }

    /// Within it: whether it happens is not known.
    pub(super) async fn within(house: &House, claimed: Claimed) -> Self {
        let at = Self::driven(
            house,
            claimed,
            async |steps: StepContext, told: mpsc::Sender<StepContext>| {
                let own = steps.clone();
                let hangs = async move |_| {
                    told.send(own).await.unwrap();
                    std::future::pending::<Result<u32, StepFault>>().await
                };
                steps.step("a", &"input", Effect::External, hangs).await?;
                Ok(())
            },
        )
        .await;
        let run = house.tenant.runs.get(at.claimed().run.id).await.unwrap().run;
        assert!(matches!(run.checkpoint, Checkpoint::SideEffect { .. }), "{run:?}");
        at
    }

    async fn driven<F, Fut>(house: &House, claimed: Claimed, work: F) -> Self
    where
        F: FnOnce(StepContext, mpsc::Sender<StepContext>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let (told, mut tell) = mpsc::channel(1);
        let runs = house.tenant.runs.clone();
        let drive = async move { runs.drive(claimed, |steps| work(steps, told)).await };
        let (lives, dies) = oneshot::channel();
        let driving = tokio::spawn(until_gone(drive, dies));
        let steps = tell.recv().await.expect("it comes to its step");
        Self {
            steps,
            driving,
            lives,
        }
    }

    /// What it is held by.
    pub(super) fn claimed(&self) -> &Claimed {
        self.steps.claimed()
    }

    /// How it ended, when it does.
    pub(super) async fn ended(self) -> RunEnd {
        let Self {
            steps,
            driving,
            lives,
        } = self;
        drop(steps);
        let end = driving.await.unwrap().expect("it is not gone");
        drop(lives);
        end
    }
}
