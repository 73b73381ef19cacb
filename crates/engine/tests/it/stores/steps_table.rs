//! Every row of a step × every call of it, through runs that are driven: what it does is what the table says, and what
//! only returns or refuses leaves every byte as it was.

use std::sync::{Arc, Mutex};

use dormouse_engine::limits::STEP_RESULT_MAX;
use dormouse_engine::outcome::Outcome;
use dormouse_engine::run::Checkpoint;
use dormouse_engine::step::{CallCell, Effect, Failure, StepContext, StepError, StepFault, StepRow};
use dormouse_engine::task::{NewTask, Steps, Task};

use super::golden::{aligned, check};
use super::house::{House, name, operator};
use super::matrix::bytes;
use super::steps::{again, attempt, outcome};

super::on_every_store! {
    every_row_of_a_step_meets_every_call;
}

async fn every_row_of_a_step_meets_every_call(house: House) {
    house.agent("alice").await;
    let house = Arc::new(house);
    let columns: Vec<(&str, Effect, &str)> = Effect::ALL
        .into_iter()
        .map(|effect| (effect.word(), effect, "input"))
        .chain([("another input", Effect::External, "another")])
        .collect();
    let head = columns.iter().map(|(word, ..)| (*word).to_owned());
    let mut rows = vec![std::iter::once(String::new()).chain(head).collect::<Vec<_>>()];
    for row in StepRow::ALL {
        let mut cells = vec![row.word().to_owned()];
        for (_, effect, input) in &columns {
            cells.push(cell(&house, row, *effect, input).await);
        }
        rows.push(cells);
    }
    check("step_calls.txt", &aligned(&rows));
}

/// What a call does where this is stored of the step.
async fn cell(house: &Arc<House>, row: StepRow, effect: Effect, input: &'static str) -> String {
    let new = NewTask::new(name("alice"), format!("{} {}", row.word(), effect.word()));
    let task = house.task(new).await;
    stored(house, &task, row).await;
    let seen = Arc::new(Mutex::new(None));
    let (of, told) = (Arc::clone(house), Arc::clone(&seen));
    let end = attempt(house, &task, async move |steps: StepContext| {
        let before = bytes(&of).await;
        let (within, call_told) = (Arc::clone(&of), Arc::clone(&told));
        let run = steps.claimed().run.id;
        let call = async move |_| {
            let run = within.tenant.runs.get(run).await.unwrap().run;
            let is_begun = matches!(run.checkpoint, Checkpoint::SideEffect { .. });
            let cell = if is_begun { CallCell::Begin } else { CallCell::Call };
            *call_told.lock().unwrap() = Some(cell);
            Ok(7)
        };
        let answer: Result<u32, StepError> = steps.step("a", input, effect, call).await;
        if told.lock().unwrap().is_none() {
            let cell = match answer {
                Err(StepError::StepChanged { .. }) => CallCell::Changed,
                Ok(_) | Err(StepError::Permanent { .. } | StepError::TooLarge { .. }) => CallCell::Return,
                Err(other) => panic!("{other:?}"),
            };
            *told.lock().unwrap() = Some(cell);
            assert_eq!(bytes(&of).await, before, "{} wrote", cell.word());
        }
        Ok(())
    })
    .await;
    let seen = *seen.lock().unwrap();
    match (seen, outcome(&end)) {
        (Some(cell), Outcome::Success { .. }) => cell.word().to_owned(),
        (None, Outcome::Lost { .. }) => CallCell::Lose.word().to_owned(),
        other => panic!("{row:?} {effect:?}: {other:?}"),
    }
}

/// Brings the step so far, in attempts of its own; its task is ready.
async fn stored(house: &House, task: &Task, row: StepRow) {
    match row {
        StepRow::Free => return,
        StepRow::Begun => {
            let end = attempt(house, task, async |steps: StepContext| {
                let (began, has_begun) = tokio::sync::oneshot::channel();
                let call = steps.step::<u32, _, _, _>("a", "input", Effect::External, async move |_| {
                    began.send(()).unwrap();
                    std::future::pending().await
                });
                tokio::select! {
                    _ = call => unreachable!("it never ends"),
                    begun = has_begun => begun.unwrap(),
                }
                Err(Failure::of("later"))
            });
            assert!(matches!(outcome(&end.await), Outcome::Failed { .. }));
            return again(house, task).await;
        }
        StepRow::BegunAsked => {
            let unknown = ended(house, task, Err(StepFault::Unknown("no answer".to_owned()))).await;
            assert!(matches!(unknown, Outcome::Lost { .. }), "{unknown:?}");
        }
        StepRow::Done => drop(ended(house, task, Ok(1)).await),
        StepRow::Permanent => drop(ended(house, task, Err(StepFault::Permanent("never".to_owned()))).await),
        StepRow::TooLarge => {
            attempt(house, task, async |steps: StepContext| {
                let large = |_| async { Ok("x".repeat(STEP_RESULT_MAX + 1)) };
                let answer = steps
                    .step::<String, _, _, _>("a", "input", Effect::External, large)
                    .await;
                assert!(matches!(answer, Err(StepError::TooLarge { .. })), "{answer:?}");
                Err(Failure::of("later"))
            })
            .await;
        }
    }
    let tasks = &house.tenant.tasks;
    tasks.retry(&operator(), task.id, Steps::Kept).await.unwrap();
}

/// An attempt whose external step ends so, and that fails then.
async fn ended(house: &House, task: &Task, end: Result<u32, StepFault>) -> Outcome {
    let end = attempt(house, task, async move |steps: StepContext| {
        let called = steps
            .step("a", "input", Effect::External, async move |_| end)
            .await;
        drop::<Result<u32, StepError>>(called);
        Err(Failure::of("later"))
    })
    .await;
    outcome(&end).clone()
}
