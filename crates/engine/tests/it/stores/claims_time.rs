//! Tasks that fail again and again, whose agent sleeps in between: only timers bring them back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_engine::outcome::{BlockEvidence, BlockReason, ClockKind, Outcome};
use dormouse_engine::run::ClaimOptions;
use dormouse_engine::task::{NewTask, Task, TaskState, Wait};
use dormouse_engine::wake::{Starter, WakeOptions};
use dormouse_engine::{Clock as _, CommandError, RunId, TaskId, Tenant};
use dormouse_filesystem::Memory;
use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::house::{HandClock, House, facts, failed, name, operator, success};
use super::wakes::wake;

/// Ends each run at once, as it is told to.
#[derive(Debug)]
struct Ends {
    outcome: Outcome,
    clock: Arc<HandClock>,
    /// When each was begun.
    begun: Mutex<Vec<Timestamp>>,
}

#[async_trait]
impl Starter for Ends {
    async fn start(&self, tenant: &Tenant, task: TaskId) -> Result<RunId, CommandError> {
        let claimed = tenant
            .runs
            .claim(&operator(), task, ClaimOptions::default())
            .await?;
        self.begun.lock().unwrap().push(self.clock.now());
        tenant.runs.started(&claimed, None).await?;
        tenant.runs.finish(&claimed, &self.outcome, &facts()).await?;
        Ok(claimed.run.id)
    }

    fn at_work(&self) -> usize {
        0
    }

    async fn fewer_than(&self, _most: usize) {}
}

/// What a task was seen to be, each time that it was another.
struct Seen {
    states: Vec<TaskState>,
    begun: Vec<Timestamp>,
    task: Task,
}

/// Serves what is due and what is ready until the task has ended, a second at a time.
async fn lived(house: &House, outcome: Outcome) -> Seen {
    let task = house.ready_task().await;
    let ends = Arc::new(Ends {
        outcome,
        clock: Arc::clone(&house.clock),
        begun: Mutex::default(),
    });
    let (leave_due, due_told) = oneshot::channel::<()>();
    let (leave_wakes, wakes_told) = oneshot::channel::<()>();
    let (engine, starter) = (house.engine.clone(), Arc::clone(&ends));
    let due = tokio::spawn(async move { engine.serve_due(async { drop(due_told.await) }).await });
    let engine = house.engine.clone();
    let wakes = tokio::spawn(async move {
        let told = async { drop(wakes_told.await) };
        engine.serve_wakes(starter, WakeOptions::default(), told).await;
    });
    let mut states: Vec<TaskState> = Vec::new();
    // Ends with the task: five failures are minutes.
    for _ in 0..3600 {
        sleep(Duration::from_secs(1)).await;
        let read = house.tenant.tasks.get(task.id).await.unwrap();
        if states.last() != Some(&read.state) {
            states.push(read.state.clone());
        }
        match read.state {
            TaskState::Waiting { .. } => {
                let row = wake(house, &read.assignee).await;
                assert_eq!(row, None, "its agent sleeps");
            }
            TaskState::Failed { .. } | TaskState::Quarantined => break,
            _ => {}
        }
        house.clock.advance(1);
    }
    leave_due.send(()).unwrap();
    leave_wakes.send(()).unwrap();
    due.await.unwrap();
    wakes.await.unwrap();
    let begun = ends.begun.lock().unwrap().clone();
    let task = house.tenant.tasks.get(task.id).await.unwrap().into_inner();
    Seen { states, begun, task }
}

/// ST-29: by timer, while its agent sleeps. WK-26, with `what_says_when_it_may_be_tried_again_is_not_tried_before`.
#[tokio::test(start_paused = true)]
async fn what_fails_comes_back_by_timer_while_its_agent_sleeps_and_is_quarantined_at_the_fifth() {
    let house = House::in_memory().await;
    let Seen { states, begun, task } = lived(&house, failed(false)).await;
    assert_eq!((begun.len(), task.failures), (5, 5));
    assert_eq!(states.last(), Some(&TaskState::Quarantined));
    for (nth, (before, after)) in begun.iter().zip(&begun[1..]).enumerate() {
        let waited = after.duration_since(*before).as_secs();
        let most = 10 << nth;
        // A second at a time: it is seen up to two later.
        assert!((0..=most + 2).contains(&waited), "{waited} s after failure {nth}");
    }
    for state in &states {
        if let TaskState::Waiting { on } = state {
            let Wait::Until { until } = on else {
                panic!("{on:?}");
            };
            let again = begun.iter().find(|at| *at >= until);
            let late = again.unwrap().duration_since(*until).as_secs();
            assert!(late <= 2, "{late} s late");
        }
    }
    assert!(
        states
            .iter()
            .any(|state| matches!(state, TaskState::Waiting { .. }))
    );
}

/// ST-29: the delays double. Each is drawn, so it is the longest of many that says how long it may be.
#[tokio::test(start_paused = true)]
async fn the_longest_delay_of_many_doubles_with_each_failure() {
    // That one of them is in the lower half of its range all these times is none in four million.
    const LIVES: usize = 24;
    let mut longest = [0; 4];
    for _ in 0..LIVES {
        let house = House::in_memory().await;
        let Seen { begun, .. } = lived(&house, failed(false)).await;
        for (longest, pair) in longest.iter_mut().zip(begun.windows(2)) {
            *longest = pair[1].duration_since(pair[0]).as_secs().max(*longest);
        }
    }
    for (nth, longest) in longest.into_iter().enumerate() {
        assert!(longest > (10 << nth) / 2, "{longest} s after failure {nth}");
    }
}

/// ST-29
#[tokio::test(start_paused = true)]
async fn what_ran_out_of_time_or_met_a_defence_is_failed_at_once_and_the_event_says_why() {
    let blocked = Outcome::Blocked {
        reason: BlockReason::LoginWall,
        evidence: Some(BlockEvidence {
            url: Some(Scrubbed::constant("https://example.org/login")),
            detail: Some(Scrubbed::constant("a form asks for a password")),
        }),
    };
    let timeout = Outcome::Timeout {
        clock: ClockKind::Wall,
        limit_ms: 1000,
    };
    for (outcome, words) in [
        (timeout, vec!["timeout"]),
        (blocked, vec!["login_wall", "https://example.org/login"]),
    ] {
        let house = House::in_memory().await;
        let Seen { begun, task, .. } = lived(&house, outcome.clone()).await;
        assert_eq!((begun.len(), task.failures), (1, 0));
        assert!(matches!(task.state, TaskState::Failed { .. }), "{:?}", task.state);
        let events = house.events().await;
        let told: Vec<_> = events
            .iter()
            .filter(|event| event.kind == "task.failed")
            .collect();
        let [told] = told[..] else {
            panic!("{:?}", house.event_types().await);
        };
        let text = serde_json::to_string(&told.data).unwrap();
        for word in words {
            assert!(text.contains(word), "{word} is not in {text}");
        }
        // The event says where the evidence is.
        let run = task.last_run.unwrap();
        assert_eq!(told.data["by"]["evidence"], format!("run:{run}"), "{text}");
        let kept = house.tenant.runs.get(run).await.unwrap().outcome.unwrap();
        assert_eq!(kept.outcome, outcome);
    }
}

#[tokio::test(start_paused = true)]
async fn what_says_when_it_may_be_tried_again_is_not_tried_before() {
    let house = House::in_memory().await;
    let again = house.clock.now() + jiff::SignedDuration::from_mins(20);
    let limited = Outcome::Failed {
        reason: dormouse_engine::outcome::FailReason::RateLimited,
        permanent: false,
        retry_at: Some(again),
        message: Scrubbed::constant("the limit is reached"),
        hint: None,
    };
    let Seen { begun, task, .. } = lived(&house, limited).await;
    assert_eq!((begun.len(), task.state), (5, TaskState::Quarantined));
    assert!(begun[1] >= again, "it was tried at {}, before {again}", begun[1]);
    // A time that is over binds nothing: then it is as without one.
    let waited = begun[2].duration_since(begun[1]).as_secs();
    assert!((0..=22).contains(&waited), "{waited} s");
}

/// Refuses the first that it is given, in a way that says nothing of when it would not.
#[derive(Debug)]
struct RefusesOnce {
    inner: Ends,
    is_refused: AtomicBool,
}

#[async_trait]
impl Starter for RefusesOnce {
    async fn start(&self, tenant: &Tenant, task: TaskId) -> Result<RunId, CommandError> {
        if !self.is_refused.swap(true, Ordering::Relaxed) {
            return Err(CommandError::Corrupt("what it stands on".into()));
        }
        self.inner.start(tenant, task).await
    }

    fn at_work(&self) -> usize {
        0
    }

    async fn fewer_than(&self, _most: usize) {}
}

/// Where the store is this process's alone, no other timer would find it.
#[tokio::test(start_paused = true)]
async fn a_lane_whose_tasks_were_all_refused_is_looked_at_again_though_nothing_else_is_due() {
    let store = Arc::new(Memory::new(Timestamp::UNIX_EPOCH));
    let house = House::over_exclusive(store).await;
    house.agent("alice").await;
    let task = house.task(NewTask::new(name("alice"), "count the sheep")).await;
    let starter = Arc::new(RefusesOnce {
        inner: Ends {
            outcome: success(),
            clock: Arc::clone(&house.clock),
            begun: Mutex::default(),
        },
        is_refused: AtomicBool::new(false),
    });
    let serving = {
        let (engine, starter) = (house.engine.clone(), Arc::clone(&starter));
        tokio::spawn(async move {
            engine
                .serve_wakes(starter, WakeOptions::default(), std::future::pending())
                .await;
        })
    };
    for _ in 0..120 {
        sleep(Duration::from_secs(1)).await;
        house.clock.advance(1);
    }
    serving.abort();
    let read = house.tenant.tasks.get(task.id).await.unwrap();
    assert!(matches!(read.state, TaskState::Done { .. }), "{:?}", read.state);
}

/// Each delay as it is stored, a second before it is over and when it is: on every store.
pub(super) async fn what_fails_waits_as_it_is_stored_and_is_quarantined_at_the_fifth(house: House) {
    let task = house.ready_task().await;
    let tasks = &house.tenant.tasks;
    for nth in 0..4 {
        let claimed = house.claim(&task).await;
        let runs = &house.tenant.runs;
        runs.finish(&claimed, &failed(false), &facts()).await.unwrap();
        let read = tasks.get(task.id).await.unwrap();
        let TaskState::Waiting {
            on: Wait::Until { until },
        } = read.state
        else {
            panic!("{:?}", read.state)
        };
        let delay = until.duration_since(house.clock.now());
        assert!(delay.as_secs() <= 10 << nth, "{delay:?} after failure {nth}");
        assert_eq!(read.failures, nth + 1);
        // What is due in less than a second is not waited for.
        let seconds = delay.as_secs();
        house.clock.advance(seconds);
        if until > house.clock.now() {
            house.engine.serve_due_once().await.unwrap();
            let read = tasks.get(task.id).await.unwrap();
            assert!(
                matches!(read.state, TaskState::Waiting { .. }),
                "{:?}",
                read.state
            );
        }
        house.clock.advance(1);
        house.engine.serve_due_once().await.unwrap();
        assert_eq!(tasks.get(task.id).await.unwrap().state, TaskState::Ready);
        assert!(wake(&house, &task.assignee).await.is_some(), "its agent is woken");
    }
    let claimed = house.claim(&task).await;
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &failed(false), &facts()).await.unwrap();
    let read = tasks.get(task.id).await.unwrap();
    assert_eq!((&read.state, read.failures), (&TaskState::Quarantined, 5));
    let events = house.events().await;
    let told = events
        .iter()
        .find(|event| event.kind == "task.quarantined")
        .unwrap();
    assert_eq!(
        told.data["by"]["evidence"],
        format!("run:{}", read.last_run.unwrap())
    );
}

super::on_every_store! {
    /// ST-29: the delays, as they are stored.
    what_fails_waits_as_it_is_stored_and_is_quarantined_at_the_fifth;
}
