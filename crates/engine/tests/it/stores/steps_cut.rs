//! Steps whose call is cut in the middle: what is called again, under which key, and what only a person repeats.

use dormouse_engine::outcome::{CancelledBy, Outcome};
use dormouse_engine::run::Checkpoint;
use dormouse_engine::step::{
    Effect, Failure, Step, StepContext, StepError, StepFault, StepId, StepKey, StepPlace, StepState,
};
use dormouse_engine::supervisor::RunEnd;
use dormouse_engine::task::{NewTask, Steps, Task, TaskState};
use dormouse_engine::{Clock, OpId, PrefixedId, RunId, Subject};
use dormouse_filesystem::{Digest, Records};
use jiff::SignedDuration;

use super::at_step::until_gone;
use super::house::{House, facts, name, operator};
use super::steps::{Tally, again, attempt, counted, outcome, state};

/// Calls the next step of this name, and drops the call in the middle of what it does. The key that it was given.
async fn cut(steps: &StepContext, step: &str, input: &str, effect: Effect) -> StepKey {
    let (sender, given) = tokio::sync::oneshot::channel();
    let call = steps.step::<u32, _, _, _>(step, input, effect, async move |key| {
        sender.send(key).unwrap();
        std::future::pending().await
    });
    tokio::select! {
        _ = call => unreachable!("it never ends"),
        key = given => key.unwrap(),
    }
}

/// Calls the next step of this name to its end, and gives back the key that it was given.
async fn whole(
    steps: &StepContext,
    step: &str,
    input: &str,
    end: Result<u32, StepFault>,
) -> (StepKey, Result<u32, StepError>) {
    let (sender, given) = tokio::sync::oneshot::channel();
    let called = steps.step(step, input, Effect::Idempotent, async move |key| {
        sender.send(key).unwrap();
        end
    });
    let called = called.await;
    (given.await.unwrap(), called)
}

async fn retry(house: &House, task: &Task) {
    let tasks = &house.tenant.tasks;
    tasks.retry(&operator(), task.id, Steps::Kept).await.unwrap();
}

async fn a_cut_call_is_the_next_one_and_an_external_one_is_not_called_again(house: House) {
    let task = house.ready_task().await;
    // May be repeated: under the key it had, and the step behind it is another.
    let end = attempt(&house, &task, async move |steps: StepContext| {
        for effect in [Effect::Pure, Effect::Idempotent] {
            let first = cut(&steps, effect.word(), "7", effect).await;
            assert_eq!(cut(&steps, effect.word(), "7", effect).await, first);
            let tally = Tally::default();
            let (counts, input) = (tally.clone(), "7");
            let (key, same) = (first.clone(), first.clone());
            let found: u32 = steps
                .step(effect.word(), input, effect, async move |given| {
                    assert_eq!(given, key);
                    Ok(counts.add())
                })
                .await?;
            assert_eq!((found, tally.count()), (1, 1));
            assert_ne!(
                cut(&steps, effect.word(), input, effect).await,
                same,
                "it was done"
            );
        }
        Err(Failure::of("later"))
    })
    .await;
    assert!(matches!(outcome(&end), Outcome::Failed { .. }), "{end:?}");
    again(&house, &task).await;
    // May not: the attempt ends, and the next one is a person's.
    let tally = Tally::default();
    let counts = tally.clone();
    let end = attempt(&house, &task, async move |steps: StepContext| {
        counted(&steps, "before", Effect::External, &Tally::default()).await?;
        cut(&steps, "charge", "input", Effect::External).await;
        let never = counted(&steps, "charge", Effect::External, &counts).await;
        unreachable!("the attempt is ended: {never:?}")
    })
    .await;
    assert!(matches!(outcome(&end), Outcome::Lost { .. }), "{end:?}");
    assert!(matches!(state(&house, &task).await, TaskState::Failed { .. }));
    assert_eq!(tally.count(), 0);
    retry(&house, &task).await;
    let counts = tally.clone();
    let end = attempt(&house, &task, async move |steps: StepContext| {
        assert_eq!(counted(&steps, "charge", Effect::External, &counts).await?, 1);
        Ok(())
    })
    .await;
    assert_eq!(outcome(&end), &Outcome::Success { text: None });
}

/// Calls of one name that overlap have no order, and yet none of them is done twice.
async fn a_cut_external_call_is_not_called_again_behind_a_later_one_of_its_name(house: House) {
    let task = house.ready_task().await;
    let end = attempt(&house, &task, async move |steps: StepContext| {
        let (begun, is_begun) = tokio::sync::oneshot::channel();
        let first = steps.step::<u32, _, _, _>("charge", "input", Effect::External, async move |_| {
            begun.send(()).unwrap();
            std::future::pending().await
        });
        let later = async {
            is_begun.await.unwrap();
            counted(&steps, "charge", Effect::External, &Tally::default()).await
        };
        tokio::select! {
            _ = first => unreachable!("it never ends"),
            later = later => assert_eq!(later?, 1),
        }
        let never = counted(&steps, "charge", Effect::External, &Tally::default()).await;
        unreachable!("the attempt is ended: {never:?}")
    })
    .await;
    assert!(matches!(outcome(&end), Outcome::Lost { .. }), "{end:?}");
}

async fn the_key_of_a_step_is_another_for_another_input(house: House) {
    let task = house.ready_task().await;
    let end = attempt(&house, &task, async move |steps: StepContext| {
        let unknown = || Err(StepFault::Unknown("no answer".to_owned()));
        // Nothing is remembered of any of these, so that all have one number.
        let (first, error) = whole(&steps, "mail", "a", unknown()).await;
        assert!(matches!(error, Err(StepError::NotDone { .. })), "{error:?}");
        let (other, _) = whole(&steps, "mail", "b", unknown()).await;
        assert_ne!(other, first);
        let (newer, _) = whole(&steps.version(2), "mail", "a", unknown()).await;
        assert_ne!(newer, first, "under another version it means something else");
        let (same, done) = whole(&steps, "mail", "a", Ok(1)).await;
        assert_eq!((same, done?), (first, 1));
        Ok(())
    })
    .await;
    assert_eq!(outcome(&end), &Outcome::Success { text: None });
}

/// Its call is cut, the run waits for a time, goes on with other work, and its process is gone.
async fn an_effect_that_was_open_when_its_run_parked_stays_open(house: House) {
    let task = house.ready_task().await;
    let until = house.clock.now() + SignedDuration::from_hours(1);
    let end = attempt(&house, &task, async move |steps: StepContext| {
        cut(&steps, "charge", "input", Effect::External).await;
        steps.sleep_until("nap", until).await?;
        Ok(())
    })
    .await;
    assert!(matches!(end, RunEnd::Parked(_)), "{end:?}");
    again(&house, &task).await;
    let claimed = house.claim(&task).await;
    let (runs, id) = (house.tenant.runs.clone(), claimed.run.id);
    let (done, is_done) = tokio::sync::oneshot::channel();
    let (lives, dies) = tokio::sync::oneshot::channel();
    let drive = async move {
        runs.drive::<_, _, ()>(claimed, async move |steps: StepContext| {
            counted(&steps, "mail", Effect::External, &Tally::default()).await?;
            done.send(()).unwrap();
            std::future::pending().await
        })
        .await
    };
    let driving = tokio::spawn(until_gone(drive, dies));
    is_done.await.unwrap();
    let run = house.tenant.runs.get(id).await.unwrap().run;
    assert_eq!(run.spawn, 2, "it is the run that was parked");
    assert!(
        matches!(run.checkpoint, Checkpoint::SideEffect { .. }),
        "{:?}",
        run.checkpoint
    );
    drop(lives);
    assert_eq!(driving.await.unwrap(), None);
    // The work itself is dropped in a turn of its own.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let house = house.reopened().await;
    house.recover().await;
    let state = state(&house, &task).await;
    assert!(
        matches!(state, TaskState::Failed { .. }),
        "a person decides: {state:?}"
    );
}

/// The step of [`counted`] as a run left it that had begun it, and of whose effects nothing more was written.
async fn begun_by(house: &House, task: &Task, run: RunId) {
    let now = house.clock.now();
    let step = Step {
        step: StepId {
            origin: Subject::Task(task.id),
            epoch: task.step_epoch,
            name: "charge".parse().unwrap(),
            place: StepPlace::Ordinal(1),
        },
        agent: task.assignee.clone(),
        agent_incarnation: task.agent_incarnation,
        run,
        effect: Effect::External,
        input: Digest::of(b"-\n\"input\""),
        state: StepState::Begun,
        retires_from: None,
        created_at: now,
        updated_at: now,
        op: OpId::make(now, &house.engine.environment().random),
    };
    let space = house.tenant.space();
    let mut batch = space.batch();
    Records::<Step>::new(space)
        .stage_create(&mut batch, &step)
        .unwrap();
    space.commit(batch).await.unwrap();
}

/// Neither its process gone, nor a shutdown, nor a pause: what makes a task ready by itself is no word on its steps.
async fn an_end_that_makes_a_task_ready_by_itself_is_no_retry_of_what_was_begun(house: House) {
    let mut house = house;
    house.agent("alice").await;
    for ended_by in [None, Some(CancelledBy::Shutdown), Some(CancelledBy::AgentPause)] {
        let task = house.task(NewTask::new(name("alice"), "charge")).await;
        let claimed = house.claim(&task).await;
        begun_by(&house, &task, claimed.run.id).await;
        match ended_by {
            None => {
                drop(claimed);
                house = house.reopened().await;
                house.recover().await;
            }
            Some(by) => {
                let outcome = Outcome::Cancelled { by, reason: None };
                let runs = &house.tenant.runs;
                runs.finish(&claimed, &outcome, &facts()).await.unwrap();
            }
        }
        assert_eq!(state(&house, &task).await, TaskState::Ready, "{ended_by:?}");
        let tally = Tally::default();
        let counts = tally.clone();
        let end = attempt(&house, &task, async move |steps: StepContext| {
            let never = counted(&steps, "charge", Effect::External, &counts).await;
            unreachable!("the attempt is ended: {never:?}")
        })
        .await;
        assert!(matches!(outcome(&end), Outcome::Lost { .. }), "{end:?}");
        assert!(matches!(state(&house, &task).await, TaskState::Failed { .. }));
        // That end has an open effect: a retry of it is a person's word.
        retry(&house, &task).await;
        let counts = tally.clone();
        attempt(&house, &task, async move |steps: StepContext| {
            assert_eq!(counted(&steps, "charge", Effect::External, &counts).await?, 1);
            Ok(())
        })
        .await;
        assert_eq!(tally.count(), 1, "{ended_by:?}");
    }
}

super::on_every_store! {
    a_cut_call_is_the_next_one_and_an_external_one_is_not_called_again;
    a_cut_external_call_is_not_called_again_behind_a_later_one_of_its_name;
    the_key_of_a_step_is_another_for_another_input;
    an_effect_that_was_open_when_its_run_parked_stays_open;
    an_end_that_makes_a_task_ready_by_itself_is_no_retry_of_what_was_begun;
}
