//! Durable steps: done once in the life of a task, whatever happens to the attempts at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dormouse_engine::gate::{Choice, NewGate};
use dormouse_engine::limits::{STEP_RESULT_MAX, STEPS_MAX};
use dormouse_engine::outcome::{FailReason, Outcome};
use dormouse_engine::run::{Checkpoint, OutcomeKind, RunState, RunWait};
use dormouse_engine::step::{
    Effect, Failure, Step, StepContext, StepError, StepFault, StepId, StepPlace, StepState,
};
use dormouse_engine::supervisor::RunEnd;
use dormouse_engine::task::{NewTask, Steps, Task, TaskState, Wait};
use dormouse_engine::{AgentName, CommandError, Incarnation, OpId, PrefixedId, RunId, Subject};
use dormouse_filesystem::{Digest, Records};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::at_step::until_gone;
use super::gates;
use super::house::{HandClock, House, name, operator};

/// How often something was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Arc<AtomicU32>);

impl Tally {
    pub(super) fn add(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// One attempt at the task.
pub(super) async fn attempt<F, Fut>(house: &House, task: &Task, work: F) -> RunEnd
where
    F: FnOnce(StepContext) -> Fut,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let claimed = house.claim(task).await;
    house.tenant.runs.drive(claimed, work).await
}

/// The end of an attempt, and its task ready for the next one.
pub(super) async fn again(house: &House, task: &Task) {
    house.tenant.tasks.enqueue(&operator(), task.id).await.unwrap();
}

#[track_caller]
pub(super) fn outcome(end: &RunEnd) -> &Outcome {
    match end {
        RunEnd::Recorded(finished) => &finished.outcome.outcome,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn state(house: &House, task: &Task) -> TaskState {
    house.tenant.tasks.get(task.id).await.unwrap().into_inner().state
}

/// A step that counts how often its closure is called, and answers with that.
pub(super) async fn counted(
    steps: &StepContext,
    step: &str,
    effect: Effect,
    tally: &Tally,
) -> Result<u32, StepError> {
    let tally = tally.clone();
    steps
        .step(step, &"input", effect, |_| async move { Ok(tally.add()) })
        .await
}

/// A step that is called, counted, and ends without a result.
async fn failing(
    steps: &StepContext,
    effect: Effect,
    tally: &Tally,
    fault: StepFault,
) -> Result<u32, StepError> {
    let tally = tally.clone();
    let call = async move |_| {
        tally.add();
        Err(fault)
    };
    steps.step("a", &"input", effect, call).await
}

/// A ready task of another new agent.
async fn ready_task_of(house: &House, agent: &str) -> Task {
    let agent = house.agent(agent).await;
    house.task(NewTask::new(agent, "count the sheep")).await
}

/// Its first attempt fails behind the step.
async fn a_finished_step_is_given_to_the_next_attempt(house: House) {
    let task = house.ready_task().await;
    for effect in Effect::ALL {
        let tally = Tally::default();
        for nth in 0..2 {
            let (tally, seen) = (tally.clone(), tally.clone());
            let end = attempt(&house, &task, async move |steps: StepContext| {
                let found = counted(&steps, effect.word(), effect, &tally).await?;
                assert_eq!(found, 1);
                Err(Failure::of("and then it fails"))
            })
            .await;
            assert!(
                matches!(outcome(&end), Outcome::Failed { permanent: false, .. }),
                "{nth}: {end:?}"
            );
            assert_eq!(seen.count(), 1, "{effect:?}");
            house
                .tenant
                .tasks
                .retry(&operator(), task.id, Steps::Kept)
                .await
                .unwrap();
        }
    }
}

async fn what_was_not_done_is_done_again_and_what_failed_for_good_is_not(house: House) {
    let task = house.ready_task().await;
    for effect in Effect::ALL {
        // Not done: free again, in this attempt under the same number, and in the next one.
        let tally = Tally::default();
        let seen = tally.clone();
        let end = attempt(&house, &task, async move |steps: StepContext| {
            for _ in 0..2 {
                let fault = StepFault::NotDone("nobody there".to_owned());
                let error = failing(&steps, effect, &tally, fault).await.unwrap_err();
                assert!(matches!(error, StepError::NotDone { .. }), "{error}");
            }
            let found = counted(&steps, "a", effect, &tally).await?;
            assert_eq!(found, 3);
            Err(Failure::of("later"))
        })
        .await;
        assert!(matches!(outcome(&end), Outcome::Failed { .. }), "{end:?}");
        assert_eq!(seen.count(), 3);
        again(&house, &task).await;
        let tally = seen.clone();
        attempt(&house, &task, async move |steps: StepContext| {
            assert_eq!(counted(&steps, "a", effect, &tally).await?, 3);
            Err(Failure::of("later"))
        })
        .await;
        assert_eq!(seen.count(), 3, "the number given back is the finished step's");
        house
            .tenant
            .tasks
            .retry(&operator(), task.id, Steps::Fresh)
            .await
            .unwrap();

        // For good: kept for every later attempt.
        let tally = Tally::default();
        for _ in 0..2 {
            let counts = tally.clone();
            let end = attempt(&house, &task, async move |steps: StepContext| {
                let fault = StepFault::Permanent("no such account".to_owned());
                match failing(&steps, effect, &counts, fault).await.unwrap_err() {
                    StepError::Permanent { message, .. } => assert_eq!(message.as_str(), "no such account"),
                    other => panic!("{other:?}"),
                }
                Err(Failure::of("later"))
            })
            .await;
            assert!(matches!(outcome(&end), Outcome::Failed { .. }), "{end:?}");
            house
                .tenant
                .tasks
                .retry(&operator(), task.id, Steps::Kept)
                .await
                .unwrap();
        }
        assert_eq!(tally.count(), 1);
        house
            .tenant
            .tasks
            .cancel(&operator(), task.id, None)
            .await
            .unwrap();
        house
            .tenant
            .tasks
            .retry(&operator(), task.id, Steps::Fresh)
            .await
            .unwrap();
    }
}

fn unknown() -> StepFault {
    StepFault::Unknown("no answer".to_owned())
}

/// ST-45, with the two before it
async fn an_effect_of_which_nothing_is_known_ends_the_attempt_and_only_a_person_repeats_it(house: House) {
    a_finished_step_is_given_to_the_next_attempt_in(&house).await;
    let task = ready_task_of(&house, "bob").await;
    let tally = Tally::default();
    for effect in [Effect::Pure, Effect::Idempotent] {
        let counts = tally.clone();
        let end = attempt(&house, &task, async move |steps: StepContext| {
            let error = failing(&steps, effect, &counts, unknown()).await;
            assert!(matches!(error, Err(StepError::NotDone { .. })), "{error:?}");
            Err(Failure::of("later"))
        })
        .await;
        assert!(matches!(outcome(&end), Outcome::Failed { .. }), "{end:?}");
        again(&house, &task).await;
    }
    assert_eq!(tally.count(), 2);
    let counts = tally.clone();
    let end = attempt(&house, &task, async move |steps: StepContext| {
        let never = failing(&steps, Effect::External, &counts, unknown()).await;
        unreachable!("the attempt is ended: {never:?}")
    })
    .await;
    assert!(matches!(outcome(&end), Outcome::Lost { .. }), "{end:?}");
    assert!(matches!(state(&house, &task).await, TaskState::Failed { .. }));
    // A person says so: then it is done.
    house
        .tenant
        .tasks
        .retry(&operator(), task.id, Steps::Kept)
        .await
        .unwrap();
    let counts = tally.clone();
    let end = attempt(&house, &task, async move |steps: StepContext| {
        assert_eq!(counted(&steps, "a", Effect::External, &counts).await?, 4);
        Ok(())
    })
    .await;
    assert_eq!(outcome(&end), &Outcome::Success { text: None });
}

async fn a_finished_step_is_given_to_the_next_attempt_in(house: &House) {
    let task = house.ready_task().await;
    let tally = Tally::default();
    for _ in 0..2 {
        let tally = tally.clone();
        attempt(house, &task, async move |steps: StepContext| {
            assert_eq!(counted(&steps, "a", Effect::External, &tally).await?, 1);
            Err(Failure::of("later"))
        })
        .await;
        again(house, &task).await;
    }
    assert_eq!(tally.count(), 1);
}

/// ST-46
async fn another_input_is_refused_and_loops_and_keys_have_each_their_own_result(house: House) {
    let task = house.ready_task().await;
    attempt(&house, &task, async move |steps: StepContext| {
        for nth in 1..=3_u32 {
            let found: u32 = steps
                .step("loop", &json!({ "nth": nth }), Effect::Pure, async move |_| {
                    Ok(nth * 10)
                })
                .await?;
            assert_eq!(found, nth * 10);
        }
        let keyed = |key: &'static str| {
            let steps = steps.clone();
            async move {
                steps
                    .step_keyed("mail", key, &key, Effect::Idempotent, async move |_| {
                        Ok(key.to_owned())
                    })
                    .await
            }
        };
        let (a, b) = tokio::join!(keyed("a@example.org"), keyed("b@example.org"));
        let found: (String, String) = (a?, b?);
        assert_eq!(found, ("a@example.org".to_owned(), "b@example.org".to_owned()));
        Err(Failure::of("later"))
    })
    .await;
    again(&house, &task).await;
    let end = attempt(&house, &task, async move |steps: StepContext| {
        let uncalled = async |_| -> Result<u32, StepFault> { unreachable!("it was done") };
        // Members in another order, and space between them, are the same input.
        let same: Value = serde_json::from_str(" { \"nth\" : 1 } ").unwrap();
        assert_eq!(steps.step("loop", &same, Effect::Pure, uncalled).await?, 10);
        for input in [
            json!({ "nth": 3 }),
            json!({ "nth": "2" }),
            json!([2]),
            json!({ "nth": 2, "more": null }),
        ] {
            let changed: Result<u32, _> = steps.step("loop", &input, Effect::Pure, uncalled).await;
            assert!(
                matches!(changed, Err(StepError::StepChanged { .. })),
                "{changed:?}"
            );
        }
        let newer = steps.version(2);
        let changed: Result<u32, _> = newer
            .step("loop", &json!({ "nth": 2 }), Effect::Pure, uncalled)
            .await;
        assert!(
            matches!(changed, Err(StepError::StepChanged { .. })),
            "{changed:?}"
        );
        assert_eq!(
            steps
                .step("loop", &json!({ "nth": 2 }), Effect::Pure, uncalled)
                .await?,
            20
        );
        let untold = async |_| -> Result<String, StepFault> { unreachable!("it was done") };
        let key = "b@example.org";
        let found = steps
            .step_keyed("mail", key, &key, Effect::Idempotent, untold)
            .await?;
        assert_eq!(found, key);
        let changed = steps
            .step_keyed("mail", key, &"c", Effect::Idempotent, untold)
            .await;
        assert!(
            matches!(changed, Err(StepError::StepChanged { .. })),
            "{changed:?}"
        );
        Ok(())
    })
    .await;
    assert_eq!(outcome(&end), &Outcome::Success { text: None });
}

/// The process is gone in the middle of the step: what it was given, and whether it is given again.
async fn a_process_that_is_gone_in_a_step_repeats_what_may_be_and_nothing_else(house: House) {
    let mut house = house;
    house.agent("alice").await;
    for effect in Effect::ALL {
        let task = house.task(NewTask::new(name("alice"), effect.word())).await;
        let (sender, mut keys) = tokio::sync::mpsc::unbounded_channel();
        let cut = sender.clone();
        let claimed = house.claim(&task).await;
        let (runs, id) = (house.tenant.runs.clone(), claimed.run.id);
        let (lives, dies) = tokio::sync::oneshot::channel();
        let drive = async move {
            runs.drive(claimed, async move |steps: StepContext| {
                steps
                    .step("pay", &7, effect, async move |key| {
                        cut.send(key).unwrap();
                        std::future::pending::<Result<u32, StepFault>>().await
                    })
                    .await?;
                Ok(())
            })
            .await
        };
        let driving = tokio::spawn(until_gone(drive, dies));
        let first = keys.recv().await.unwrap();
        let run = house.tenant.runs.get(id).await.unwrap().run;
        let is_open = matches!(run.checkpoint, Checkpoint::SideEffect { .. });
        assert_eq!(is_open, effect == Effect::External, "{:?}", run.checkpoint);
        drop(lives);
        assert_eq!(driving.await.unwrap(), None);
        // The work itself is dropped in a turn of its own.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        house = house.reopened().await;
        house.recover().await;
        let state = state(&house, &task).await;
        if effect == Effect::External {
            assert!(matches!(state, TaskState::Failed { .. }), "{state:?}");
            continue;
        }
        assert_eq!(state, TaskState::Ready);
        let end = attempt(&house, &task, async move |steps: StepContext| {
            steps
                .step("pay", &7, effect, async move |key| {
                    sender.send(key).unwrap();
                    Ok(1)
                })
                .await?;
            Ok(())
        })
        .await;
        assert_eq!(outcome(&end), &Outcome::Success { text: None });
        assert_eq!(keys.recv().await.unwrap(), first, "the same key");
    }
}

/// A text whose JSON has so many bytes.
fn of_json_len(bytes: usize) -> String {
    "z".repeat(bytes - 2)
}

async fn a_result_over_the_limit_is_told_now_and_later_and_its_effect_happens_once(house: House) {
    let task = house.ready_task().await;
    let tally = Tally::default();
    for _ in 0..2 {
        let tally = tally.clone();
        attempt(&house, &task, async move |steps: StepContext| {
            for (step, bytes) in [("small", 64 * 1024), ("blob", 64 * 1024 + 1), ("large", STEP_RESULT_MAX)] {
                let tally = tally.clone();
                let found: String = steps
                    .step(step, &bytes, Effect::External, async move |_| {
                        tally.add();
                        Ok(of_json_len(bytes))
                    })
                    .await?;
                assert_eq!(found.len(), bytes - 2);
            }
            let tally = tally.clone();
            let larger: Result<String, _> = steps
                .step("larger", &"", Effect::External, async move |_| {
                    tally.add();
                    Ok(of_json_len(STEP_RESULT_MAX + 1))
                })
                .await;
            assert!(
                matches!(&larger, Err(StepError::TooLarge { bytes, .. }) if *bytes == STEP_RESULT_MAX as u64 + 1),
                "{larger:?}"
            );
            Err(Failure::of("later"))
        })
        .await;
        again(&house, &task).await;
    }
    assert_eq!(tally.count(), 4);
}

/// The row of a finished step of this task.
fn row(house: &House, task: &Task, nth: u64) -> Step {
    let now = dormouse_engine::Clock::now(&*house.clock);
    let random = &house.engine.environment().random;
    Step {
        step: StepId {
            origin: Subject::Task(task.id),
            epoch: task.step_epoch,
            name: "many".parse().unwrap(),
            place: StepPlace::Ordinal(nth),
        },
        agent: name("alice"),
        agent_incarnation: task.agent_incarnation,
        run: RunId::make(now, random),
        effect: Effect::Pure,
        input: Digest::of(b"-\n0"),
        state: StepState::Permanent {
            message: dormouse_secrets::Scrubbed::constant("no"),
        },
        retires_from: None,
        created_at: now,
        updated_at: now,
        op: OpId::make(now, random),
    }
}

/// ST-48, with the one before it
async fn there_are_so_many_steps_and_no_more(house: House) {
    a_result_over_the_limit_is_told_now_and_later_and_its_effect_happens_once_in(&house).await;
    let task = ready_task_of(&house, "bob").await;
    let space = house.tenant.space();
    let rows = Records::<Step>::new(space);
    let made: Vec<u64> = (1..STEPS_MAX).collect();
    for page in made.chunks(500) {
        let mut batch = space.batch();
        for nth in page {
            rows.stage_create(&mut batch, &row(&house, &task, *nth)).unwrap();
        }
        space.commit(batch).await.unwrap();
    }
    let tally = Tally::default();
    let counts = tally.clone();
    let end = attempt(&house, &task, async move |steps: StepContext| {
        counted(&steps, "last", Effect::External, &counts).await?;
        for effect in Effect::ALL {
            let more = counted(&steps, "more", effect, &counts).await;
            assert!(matches!(more, Err(StepError::StepsExhausted)), "{more:?}");
        }
        // What is there is given out as before.
        assert!(matches!(
            counted(&steps, "many", Effect::Pure, &counts).await,
            Err(StepError::StepChanged { .. })
        ));
        Err(StepError::StepsExhausted.into())
    })
    .await;
    assert!(
        matches!(outcome(&end), Outcome::Failed { permanent: true, .. }),
        "{end:?}"
    );
    assert_eq!(tally.count(), 1);
    // Afresh, there is room.
    house
        .tenant
        .tasks
        .retry(&operator(), task.id, Steps::Fresh)
        .await
        .unwrap();
    let end = attempt(&house, &task, async move |steps: StepContext| {
        assert_eq!(counted(&steps, "more", Effect::Pure, &tally).await?, 2);
        Ok(())
    })
    .await;
    assert_eq!(outcome(&end), &Outcome::Success { text: None });
}

async fn a_result_over_the_limit_is_told_now_and_later_and_its_effect_happens_once_in(house: &House) {
    let task = house.ready_task().await;
    attempt(house, &task, async move |steps: StepContext| {
        let larger: Result<String, _> = steps
            .step("larger", &"", Effect::External, async |_| {
                Ok(of_json_len(STEP_RESULT_MAX + 1))
            })
            .await;
        assert!(matches!(larger, Err(StepError::TooLarge { .. })), "{larger:?}");
        Ok(())
    })
    .await;
}

/// ST-49
async fn no_secret_is_in_what_is_stored_or_returned(house: House) {
    const VALUE: &str = "kR7-wombat-sleep-quietly";
    super::credentials::with_secret(&house).await;
    super::credentials::put(&house, "agent:alice:GH_TOKEN", VALUE).await;
    let task = house.task(NewTask::new(name("alice"), "count")).await;
    for _ in 0..2 {
        let end = attempt(&house, &task, async move |steps: StepContext| {
            let found: Value = steps
                .step("login", &"", Effect::External, async |_| {
                    Ok(json!({ "token": VALUE, VALUE: [1, { "url": format!("https://u:{VALUE}@example.org") }] }))
                })
                .await?;
            let printed = found.to_string();
            assert!(!printed.contains(VALUE), "{printed}");
            assert_eq!(found["token"], "[redacted:GH_TOKEN]");
            let error: Result<u32, _> = steps
                .step("fails", &"", Effect::External, async |_| {
                    Err(StepFault::Permanent(format!("{VALUE} was refused")))
                })
                .await;
            let error = error.unwrap_err().to_string();
            assert!(error.contains("was refused") && !error.contains(VALUE), "{error}");
            Err(Failure::of(format!("{VALUE} did not help")))
        })
        .await;
        assert!(!format!("{end:?}").contains(VALUE));
        again(&house, &task).await;
    }
    let stored = house.stored().await;
    assert!(stored.contains("[redacted:GH_TOKEN]"));
    assert!(!stored.contains(VALUE));
}

/// ST-50
async fn a_retry_keeps_steps_and_a_fresh_one_does_not_and_a_key_is_called_once_at_a_time(house: House) {
    let task = house.ready_task().await;
    let tally = Tally::default();
    for (steps, expected) in [
        (Steps::Kept, 1),
        (Steps::Kept, 1),
        (Steps::Fresh, 1),
        (Steps::Kept, 2),
    ] {
        let counts = tally.clone();
        let end = attempt(&house, &task, async move |steps: StepContext| {
            assert_eq!(counted(&steps, "a", Effect::External, &counts).await?, expected);
            Err(Failure::permanent("for now"))
        })
        .await;
        assert!(
            matches!(outcome(&end), Outcome::Failed { permanent: true, .. }),
            "{end:?}"
        );
        house
            .tenant
            .tasks
            .retry(&operator(), task.id, steps)
            .await
            .unwrap();
    }
    let end = attempt(&house, &task, async move |steps: StepContext| {
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let (begun, is_begun) = tokio::sync::oneshot::channel::<()>();
        let first = steps.step_keyed("once", "key", &"", Effect::External, async move |_| {
            begun.send(()).unwrap();
            wait.await.unwrap();
            Ok(1)
        });
        let second = async {
            is_begun.await.unwrap();
            let second: Result<u32, _> = steps
                .step_keyed("once", "key", &"", Effect::External, async |_| {
                    unreachable!("it is in progress")
                })
                .await;
            assert!(
                matches!(second, Err(StepError::StepInProgress { .. })),
                "{second:?}"
            );
            go.send(()).unwrap();
        };
        let (first, ()) = tokio::join!(first, second);
        assert_eq!(first?, 1);
        let later: u32 = steps
            .step_keyed("once", "key", &"", Effect::External, async |_| {
                unreachable!("it was done")
            })
            .await?;
        assert_eq!(later, 1);
        Ok(())
    })
    .await;
    assert_eq!(outcome(&end), &Outcome::Success { text: None });
}

async fn an_external_step_is_open_from_its_begin_to_its_result(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let (runs, id) = (house.tenant.runs.clone(), claimed.run.id);
    let checkpoint = async move || runs.get(id).await.unwrap().run.checkpoint.clone();
    let looks = checkpoint.clone();
    let end = house
        .tenant
        .runs
        .drive::<_, _, ()>(claimed, async move |steps: StepContext| {
            let inner = looks.clone();
            let open: u32 = steps
                .step("pay", &"", Effect::External, async move |_| {
                    assert!(matches!(inner().await, Checkpoint::SideEffect { .. }));
                    Ok(1)
                })
                .await?;
            assert!(matches!(looks().await, Checkpoint::Safe { .. }));
            // A call that is dropped leaves its effect open, whatever other steps end.
            tokio::select! {
                biased;
                _ = steps.step_keyed::<u32, _, _, _>("pay", "dropped", &"", Effect::External, async |_| {
                    std::future::pending().await
                }) => unreachable!("it never ends"),
                () = async {
                    while !matches!(looks().await, Checkpoint::SideEffect { .. }) {
                        tokio::task::yield_now().await;
                    }
                } => {}
            }
            let _: u32 = steps
                .step("other", &"", Effect::External, async |_| Ok(open))
                .await?;
            assert!(matches!(looks().await, Checkpoint::SideEffect { .. }));
            // Called again, nobody knows whether it happened.
            let never: Result<u32, _> = steps
                .step_keyed("pay", "dropped", &"", Effect::External, async |_| {
                    unreachable!("it may have happened")
                })
                .await;
            unreachable!("the attempt is ended: {never:?}")
        })
        .await;
    assert!(matches!(outcome(&end), Outcome::Lost { .. }), "{end:?}");
    assert!(matches!(state(&house, &task).await, TaskState::Failed { .. }));
}

async fn an_open_effect_of_an_attempt_that_failed_is_not_repeated_by_itself(house: House) {
    let task = house.ready_task().await;
    let end = attempt(&house, &task, async move |steps: StepContext| {
        let cut = steps.step_keyed::<u32, _, _, _>("pay", "7", &"", Effect::External, async |_| {
            std::future::pending().await
        });
        tokio::select! {
            biased;
            _ = cut => unreachable!("it never ends"),
            () = async { tokio::time::sleep(std::time::Duration::from_millis(200)).await } => {}
        }
        Err(Failure::of("it took too long"))
    })
    .await;
    assert!(
        matches!(outcome(&end), Outcome::Failed { permanent: false, .. }),
        "{end:?}"
    );
    again(&house, &task).await;
    let end = attempt(&house, &task, async move |steps: StepContext| {
        let never: Result<u32, _> = steps
            .step_keyed("pay", "7", &"", Effect::External, async |_| {
                unreachable!("it may have happened")
            })
            .await;
        unreachable!("the attempt is ended: {never:?}")
    })
    .await;
    assert!(matches!(outcome(&end), Outcome::Lost { .. }), "{end:?}");
    house
        .tenant
        .tasks
        .retry(&operator(), task.id, Steps::Kept)
        .await
        .unwrap();
    let end = attempt(&house, &task, async move |steps: StepContext| {
        let found: u32 = steps
            .step_keyed("pay", "7", &"", Effect::External, async |_| Ok(7))
            .await?;
        assert_eq!(found, 7);
        Ok(())
    })
    .await;
    assert_eq!(outcome(&end), &Outcome::Success { text: None });
}

async fn a_sleep_parks_the_run_and_goes_on_when_its_time_has_come(house: House) {
    let task = house.ready_task().await;
    let tally = Tally::default();
    let work = |tally: Tally, clock: Arc<HandClock>| {
        async move |steps: StepContext| {
            counted(&steps, "before", Effect::External, &tally).await?;
            // Each time it would be another hour; the first one counts.
            let now = dormouse_engine::Clock::now(&*clock);
            steps
                .sleep_until("nap", now + SignedDuration::from_hours(1))
                .await?;
            counted(&steps, "after", Effect::External, &tally).await?;
            Ok::<(), Failure>(())
        }
    };
    let until = dormouse_engine::Clock::now(&*house.clock) + SignedDuration::from_hours(1);
    let end = attempt(&house, &task, work(tally.clone(), Arc::clone(&house.clock))).await;
    let RunEnd::Parked(parked) = &end else {
        panic!("{end:?}")
    };
    assert_eq!(parked.wait, RunWait::Until { until });
    assert_eq!(parked.run.state, RunState::Waiting);
    let on = Wait::Until { until };
    assert_eq!(state(&house, &task).await, TaskState::Waiting { on });
    // The parked run goes with its task: it is not put aside, and ends when that is called off.
    let shelved = house.tenant.tasks.shelve(&operator(), task.id).await;
    assert!(
        matches!(shelved, Err(CommandError::Rejected { .. })),
        "{shelved:?}"
    );
    // Woken early, it sleeps on.
    again(&house, &task).await;
    let end = attempt(&house, &task, work(tally.clone(), Arc::clone(&house.clock))).await;
    assert!(matches!(end, RunEnd::Parked(_)), "{end:?}");
    house.clock.advance(3600);
    house.tenant.tasks.due(&operator(), task.id).await.unwrap();
    let end = attempt(&house, &task, work(tally.clone(), Arc::clone(&house.clock))).await;
    assert_eq!(outcome(&end), &Outcome::Success { text: None });
    let RunEnd::Recorded(finished) = end else {
        unreachable!()
    };
    assert_eq!(
        (finished.run.attempt, finished.run.spawn),
        (1, 3),
        "one run, three times at work"
    );
    assert_eq!(tally.count(), 2);
}

async fn a_gate_parks_the_run_and_is_the_same_one_in_every_attempt(house: House) {
    let task = house.ready_task().await;
    let decided = Arc::new(std::sync::Mutex::new(Vec::new()));
    let work = |told: Arc<std::sync::Mutex<Vec<String>>>| {
        async move |steps: StepContext| {
            let new = NewGate::approval(
                name("alice"),
                gates::call_of("{\"file\":\"report.md\"}"),
                "publish",
            );
            let gate = steps.gate("may-i", &new).await?;
            told.lock().unwrap().push(format!("{} {}", gate.id, gate.word()));
            Err::<(), _>(Failure::of("later"))
        }
    };
    let end = attempt(&house, &task, work(Arc::clone(&decided))).await;
    let RunEnd::Parked(parked) = &end else {
        panic!("{end:?}")
    };
    let RunWait::Gate { gate } = parked.wait else {
        panic!("{parked:?}")
    };
    // The process is gone meanwhile.
    let house = house.reopened().await;
    house.recover().await;
    let row = house.tenant.gates.get(gate).await.unwrap().into_inner();
    let decide = gates::shown(&house, &row, Choice::Reject).await;
    house.tenant.gates.decide(&operator(), &decide).await.unwrap();
    for _ in 0..2 {
        let end = attempt(&house, &task, work(Arc::clone(&decided))).await;
        assert!(matches!(outcome(&end), Outcome::Failed { .. }), "{end:?}");
        again(&house, &task).await;
    }
    let told = decided.lock().unwrap().clone();
    assert_eq!(told, vec![format!("{gate} rejected"); 2]);
}

async fn whoever_lost_the_lease_writes_no_step(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let tally = Tally::default();
    let counts = tally.clone();
    let neighbour = house.successor().await;
    let end = house
        .tenant
        .runs
        .drive(claimed, async move |steps: StepContext| {
            counted(&steps, "a", Effect::External, &counts).await?;
            neighbour.recover(&super::house::NoOrphans).await.unwrap();
            counted(&steps, "b", Effect::External, &counts).await?;
            Ok(())
        })
        .await;
    assert_eq!(end, RunEnd::Unrecorded);
    assert_eq!(tally.count(), 1, "the second effect never happened");
}

async fn a_driven_run_ends_with_what_its_future_does(house: House) {
    let task = house.ready_task().await;
    let end = attempt(&house, &task, async move |_| panic!("on purpose")).await;
    assert!(
        matches!(
            outcome(&end),
            Outcome::Failed {
                reason: FailReason::Panic,
                permanent: true,
                ..
            }
        ),
        "{end:?}"
    );
    // It would panic again: only a person has it tried once more.
    let outcome_kind = OutcomeKind::Failed;
    assert_eq!(
        state(&house, &task).await,
        TaskState::Failed {
            outcome: outcome_kind
        }
    );
    let tasks = &house.tenant.tasks;
    tasks.retry(&operator(), task.id, Steps::Kept).await.unwrap();
    // Told to stop, it may end by itself; what it finished stands.
    let (tasks, id) = (house.tenant.tasks.clone(), task.id);
    let end = attempt(&house, &task, async move |steps: StepContext| {
        tasks.cancel(&operator(), id, None).await?;
        steps.stopped().await;
        Err(Failure::of("stopped"))
    })
    .await;
    assert!(matches!(outcome(&end), Outcome::Cancelled { .. }), "{end:?}");
    assert_eq!(state(&house, &task).await, TaskState::Cancelled);
}

/// One that does not stop is dropped when its grace is over.
#[tokio::test(start_paused = true)]
async fn a_future_that_ignores_its_stop_is_dropped() {
    let house = House::in_memory().await;
    let task = house.ready_task().await;
    let (tasks, id) = (house.tenant.tasks.clone(), task.id);
    let end = attempt(&house, &task, async move |_: StepContext| {
        tasks.cancel(&operator(), id, None).await?;
        std::future::pending().await
    })
    .await;
    assert!(matches!(outcome(&end), Outcome::Cancelled { .. }), "{end:?}");
}

/// Its heart beats: an hour of work keeps its lease.
#[tokio::test(start_paused = true)]
async fn a_driven_run_keeps_its_lease_for_as_long_as_it_works() {
    let house = House::in_memory().await;
    let task = house.ready_task().await;
    let clock = Arc::clone(&house.clock);
    let end = attempt(&house, &task, async move |steps: StepContext| {
        for _ in 0..360 {
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            clock.advance(10);
        }
        counted(&steps, "a", Effect::External, &Tally::default()).await?;
        Ok(())
    })
    .await;
    assert_eq!(outcome(&end), &Outcome::Success { text: None });
}

#[test]
fn names_and_keys_are_read_strictly() {
    use dormouse_engine::step::StepName;
    for good in ["a", "7", "fetch-list.v2_x", &"a".repeat(63)] {
        assert_eq!(good.parse::<StepName>().unwrap().as_str(), good);
    }
    for bad in ["", "A", "-a", ".a", "a b", "ä", &"a".repeat(64)] {
        bad.parse::<StepName>().unwrap_err();
    }
    StepPlace::keyed("").unwrap_err();
    StepPlace::keyed(&"k".repeat(1025)).unwrap_err();
    for place in [
        StepPlace::Ordinal(1),
        StepPlace::keyed("any text / at all").unwrap(),
    ] {
        assert_eq!(place.to_string().parse::<StepPlace>().unwrap(), place);
    }
}

#[test]
fn a_step_is_stored_so() {
    let random = dormouse_engine::Random::seeded(7);
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let agent: AgentName = name("alice");
    super::records::check(&Step {
        step: StepId {
            origin: Subject::Task(PrefixedId::make(now, &random)),
            epoch: 1,
            name: "send".parse().unwrap(),
            place: StepPlace::Ordinal(2),
        },
        agent,
        agent_incarnation: Incarnation::make(now, &random),
        run: RunId::make(now, &random),
        effect: Effect::External,
        input: Digest::of(b"input"),
        state: StepState::Done {
            result: dormouse_engine::step::StepResult::Json(dormouse_secrets::Scrubbed::constant("7")),
        },
        retires_from: None,
        created_at: now,
        updated_at: now,
        op: OpId::make(now, &random),
    });
}

super::on_every_store! {
    a_finished_step_is_given_to_the_next_attempt;
    what_was_not_done_is_done_again_and_what_failed_for_good_is_not;
    an_effect_of_which_nothing_is_known_ends_the_attempt_and_only_a_person_repeats_it;
    another_input_is_refused_and_loops_and_keys_have_each_their_own_result;
    a_process_that_is_gone_in_a_step_repeats_what_may_be_and_nothing_else;
    a_result_over_the_limit_is_told_now_and_later_and_its_effect_happens_once;
    there_are_so_many_steps_and_no_more;
    no_secret_is_in_what_is_stored_or_returned;
    a_retry_keeps_steps_and_a_fresh_one_does_not_and_a_key_is_called_once_at_a_time;
    an_external_step_is_open_from_its_begin_to_its_result;
    an_open_effect_of_an_attempt_that_failed_is_not_repeated_by_itself;
    a_sleep_parks_the_run_and_goes_on_when_its_time_has_come;
    a_gate_parks_the_run_and_is_the_same_one_in_every_attempt;
    whoever_lost_the_lease_writes_no_step;
    a_driven_run_ends_with_what_its_future_does;
}
