//! Tasks that wait for others: each is told of each end once, by what it says of ends that are no success.

use std::sync::Arc;

use dormouse_engine::event::Event;
use dormouse_engine::limits::DEPENDENCIES_MAX;
use dormouse_engine::outcome::Outcome;
use dormouse_engine::task::{NewTask, OnFailed, Start, Steps, Task, TaskEdit, TaskFilter, TaskState, Wait};
use dormouse_engine::{CommandError, PrefixedId, Reason, TaskId};
use dormouse_filesystem::RecordStore;

use super::hooked::Hooked;
use super::house::{House, facts, failed, name, operator, partial, success};

super::on_every_store! {
    a_task_waits_until_all_that_it_names_are_done;
    what_is_not_done_fails_calls_off_or_lets_go_on_as_the_task_says;
    an_end_goes_down_a_chain;
    one_that_is_made_after_the_end_is_as_if_it_had_waited;
    what_is_no_task_of_the_tenant_or_one_too_many_is_refused_and_nothing_written;
    a_task_that_is_tried_again_has_told_its_first_end_and_tells_its_second;
    deleting_a_task_tells_those_that_wait_for_it;
    one_that_waits_for_several_and_failed_waits_for_the_rest_when_tried_again;
    more_dependents_than_a_commit_takes_are_told_in_several;
}

impl House {
    async fn after(&self, title: &str, after: &[TaskId], on_failed: OnFailed) -> Task {
        self.task(NewTask {
            after: after.to_vec(),
            on_failed,
            ..NewTask::new(name("alice"), title)
        })
        .await
    }

    async fn end(&self, task: TaskId, outcome: &Outcome) {
        let task = self.now(task).await;
        let claimed = self.claim(&task).await;
        let runs = &self.tenant.runs;
        runs.finish(&claimed, outcome, &facts()).await.unwrap();
    }

    async fn now(&self, task: TaskId) -> Task {
        self.tenant.tasks.get(task).await.unwrap().into_inner()
    }

    async fn settle(&self) {
        let settled = self.engine.settle_once().await.unwrap();
        assert_eq!(settled.left, 0);
    }

    /// How often this was told of this task.
    pub(super) async fn times(&self, kind: &str, task: TaskId) -> usize {
        let subject = format!("task:{task}");
        let events = self.events().await;
        let is_it = |event: &&Event| event.kind == kind && event.subject == subject;
        events.iter().filter(is_it).count()
    }
}

const TASKS: TaskState = TaskState::Waiting { on: Wait::Tasks };

async fn a_task_waits_until_all_that_it_names_are_done(house: House) {
    let first = house.ready_task().await.id;
    let second = house.after("second", &[], OnFailed::Fail).await.id;
    let third = house
        .after("third", &[first, second, first], OnFailed::Fail)
        .await;
    assert_eq!(
        (&third.state, &third.open_dependencies),
        (&TASKS, &vec![first, second])
    );
    for refused in [
        house.tenant.tasks.enqueue(&operator(), third.id).await,
        house.tenant.tasks.retry(&operator(), third.id, Steps::Kept).await,
    ] {
        match refused.unwrap_err() {
            CommandError::Rejected { reason, .. } => assert_eq!(reason, Reason::Tasks),
            other => panic!("{other}"),
        }
    }
    house.end(first, &success()).await;
    house.settle().await;
    assert_eq!(house.now(third.id).await.state, TASKS);
    house.tenant.tasks.due(&operator(), third.id).await.unwrap();
    assert_eq!(house.now(third.id).await.state, TASKS, "it is not due by itself");
    house.end(second, &partial()).await;
    house.settle().await;
    house.settle().await;
    assert_eq!(house.now(third.id).await.state, TaskState::Ready);
    assert_eq!(house.times("task.ready", third.id).await, 1);
    house.end(third.id, &success()).await;
}

async fn what_is_not_done_fails_calls_off_or_lets_go_on_as_the_task_says(house: House) {
    let first = house.ready_task().await.id;
    let mut made = Vec::new();
    for on_failed in OnFailed::ALL {
        made.push(house.after(on_failed.word(), &[first], on_failed).await.id);
    }
    house.end(first, &failed(true)).await;
    house.settle().await;
    let [fail, run, cancel] = made[..] else {
        unreachable!()
    };
    let (fail, run, cancel) = (
        house.now(fail).await,
        house.now(run).await,
        house.now(cancel).await,
    );
    assert_eq!((fail.state.word(), fail.attempts), ("failed", 0));
    assert_eq!((fail.undone_by, cancel.undone_by), (Some(first), Some(first)));
    assert!(fail.ended_at.is_some());
    assert_eq!(
        (run.state, cancel.state),
        (TaskState::Ready, TaskState::Cancelled)
    );
    let event = house
        .events()
        .await
        .into_iter()
        .find(|event| event.kind == "task.failed" && event.subject == format!("task:{}", fail.id));
    assert_eq!(event.unwrap().data["dependency"], first.to_string());
    let again = house.tenant.tasks.retry(&operator(), fail.id, Steps::Kept).await;
    let again = again.unwrap();
    assert_eq!((again.state, again.undone_by), (TaskState::Ready, None));
}

async fn an_end_goes_down_a_chain(house: House) {
    let first = house.ready_task().await.id;
    let mut chain = vec![first];
    for depth in 0..5 {
        let last = *chain.last().unwrap();
        chain.push(
            house
                .after(&format!("link {depth}"), &[last], OnFailed::Fail)
                .await
                .id,
        );
    }
    house.tenant.tasks.cancel(&operator(), first, None).await.unwrap();
    house.settle().await;
    for task in &chain[1..] {
        assert_eq!(house.now(*task).await.state.word(), "failed");
        assert_eq!(house.times("task.failed", *task).await, 1);
    }
    assert!(
        !house.stored().await.contains("\"settlement\""),
        "nothing is left to settle"
    );
}

async fn one_that_is_made_after_the_end_is_as_if_it_had_waited(house: House) {
    let done = house.ready_task().await.id;
    house.end(done, &success()).await;
    let undone = house.after("undone", &[], OnFailed::Fail).await.id;
    house.end(undone, &failed(true)).await;
    assert_eq!(
        house.after("goes on", &[done], OnFailed::Fail).await.state,
        TaskState::Ready
    );
    let failed = house.after("fails", &[done, undone], OnFailed::Fail).await;
    assert_eq!((failed.state.word(), failed.undone_by), ("failed", Some(undone)));
    assert_eq!(house.times("task.failed", failed.id).await, 1);
    let off = house.after("is called off", &[undone], OnFailed::Cancel).await;
    assert_eq!(off.state, TaskState::Cancelled);
    let on = house.after("goes on", &[undone], OnFailed::Run).await;
    assert_eq!(on.state, TaskState::Ready);
    house.settle().await;
}

/// ST-31, with `who_gets_a_task_and_is_paused_or_gone_is_truthfully_said`: its own id and a higher number name no task yet.
async fn what_is_no_task_of_the_tenant_or_one_too_many_is_refused_and_nothing_written(house: House) {
    let first = house.ready_task().await;
    let tasks = &house.tenant.tasks;
    let unknown = TaskId::make(first.created_at, &house.engine.environment().random);
    let other = house.engine.tenant(&"another".parse().unwrap()).await.unwrap();
    other
        .agents
        .create(&operator(), &name("alice"), Default::default())
        .await
        .unwrap();
    let foreign = other
        .tasks
        .create(&operator(), NewTask::new(name("alice"), "theirs"))
        .await
        .unwrap();
    let mut many = vec![first.id];
    while many.len() <= DEPENDENCIES_MAX {
        many.push(house.after("one of many", &[], OnFailed::Fail).await.id);
    }
    let events = house.event_count().await;
    let new = |after: Vec<TaskId>| NewTask {
        after,
        ..NewTask::new(name("alice"), "second")
    };
    for (after, code) in [
        (vec![unknown], "not_found"),
        (vec![first.id, foreign.id], "not_found"),
        (many.clone(), "invalid"),
    ] {
        let refused = tasks.create(&operator(), new(after)).await.unwrap_err();
        assert_eq!(refused.code(), code);
    }
    let missing = tasks.create(&operator(), new(vec![unknown])).await.unwrap_err();
    let theirs = tasks
        .create(&operator(), new(vec![foreign.id]))
        .await
        .unwrap_err();
    assert_eq!(
        missing.to_string().replace(&unknown.to_string(), "?"),
        theirs.to_string().replace(&foreign.id.to_string(), "?"),
        "in the same words"
    );
    // The next number, which would be its own, and those behind it.
    for number in ["66", "#66", "67"] {
        assert_eq!(tasks.resolve(number).await.unwrap_err().code(), "not_found");
    }
    assert_eq!(events, house.event_count().await);
    assert!(!house.now(first.id).await.has_followers);
    // As many as may be, each its own row and precondition; and one that is named again is one.
    let last = many.pop().unwrap();
    let made = tasks.create(&operator(), new(many.clone())).await.unwrap();
    assert_eq!((made.number, &made.open_dependencies), (66, &many));
    for id in &many {
        assert!(house.now(*id).await.has_followers);
    }
    assert!(!house.now(last).await.has_followers);
    let made = tasks.create(&operator(), new(vec![last; DEPENDENCIES_MAX])).await;
    assert_eq!(made.unwrap().open_dependencies, [last]);
}

async fn a_task_that_is_tried_again_has_told_its_first_end_and_tells_its_second(house: House) {
    let first = house.ready_task().await.id;
    let early = house.after("early", &[first], OnFailed::Fail).await.id;
    house.end(first, &failed(true)).await;
    // Nobody has settled yet: trying it again does so first.
    house
        .tenant
        .tasks
        .retry(&operator(), first, Steps::Kept)
        .await
        .unwrap();
    assert_eq!(house.now(early).await.state.word(), "failed");
    let late = house.after("late", &[first], OnFailed::Fail).await.id;
    house.settle().await;
    assert_eq!(house.now(late).await.state, TASKS);
    house.end(first, &success()).await;
    house.settle().await;
    assert_eq!(house.now(late).await.state, TaskState::Ready);
    assert_eq!(house.now(early).await.state.word(), "failed");
}

async fn deleting_a_task_tells_those_that_wait_for_it(house: House) {
    let first = house.ready_task().await.id;
    let second = house.after("second", &[first], OnFailed::Cancel).await.id;
    house.tenant.tasks.delete(&operator(), first).await.unwrap();
    house.settle().await;
    assert_eq!(house.now(second).await.state, TaskState::Cancelled);
    let refused = house.tenant.tasks.delete(&operator(), first).await.unwrap_err();
    assert_eq!(refused.code(), "not_found");
    let all = house.tenant.tasks.list(&TaskFilter::default(), None, 10).await;
    assert_eq!(all.unwrap().rows.len(), 1);
    // Its number is not given again.
    assert_eq!(house.after("third", &[], OnFailed::Fail).await.number, 3);
}

async fn one_that_waits_for_several_and_failed_waits_for_the_rest_when_tried_again(house: House) {
    let first = house.ready_task().await.id;
    let second = house.after("second", &[], OnFailed::Fail).await.id;
    let third = house.after("third", &[first, second], OnFailed::Fail).await.id;
    house.end(first, &failed(true)).await;
    house.settle().await;
    assert_eq!(house.now(third).await.state.word(), "failed");
    let again = house.tenant.tasks.retry(&operator(), third, Steps::Kept).await;
    assert_eq!(again.unwrap().state, TASKS);
    house.end(second, &success()).await;
    house.settle().await;
    assert_eq!(house.now(third).await.state, TaskState::Ready);
}

/// By number and by bytes.
async fn more_dependents_than_a_commit_takes_are_told_in_several(house: House) {
    let first = house.ready_task().await.id;
    let mut made = Vec::new();
    for n in 0..70 {
        let body = "x".repeat(if n % 10 == 0 { 60 * 1024 } else { 10 });
        let new = NewTask {
            body,
            after: vec![first],
            start: match n % 3 {
                0 => Start::Backlog,
                _ => Start::Ready,
            },
            ..NewTask::new(name("alice"), format!("{n}"))
        };
        made.push(house.task(new).await.id);
    }
    house.end(first, &success()).await;
    house.settle().await;
    for (n, task) in made.iter().enumerate() {
        let task = house.now(*task).await;
        let expected = if n % 3 == 0 {
            TaskState::Backlog
        } else {
            TaskState::Ready
        };
        assert_eq!((task.state, task.open_dependencies), (expected, vec![]));
    }
}

async fn hooked() -> (Arc<Hooked>, House) {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    (store, house)
}

/// The dependent comes between the reading and the writing of the end, and the other way round.
#[tokio::test]
async fn a_dependent_that_is_made_while_the_task_ends_is_told_of_the_end() {
    for is_first_the_end in [true, false] {
        let (store, house) = hooked().await;
        let first = house.ready_task().await;
        let claimed = house.claim(&first).await;
        let tenant = house.tenant.clone();
        let new = NewTask {
            after: vec![first.id],
            ..NewTask::new(name("alice"), "second")
        };
        let runs = &house.tenant.runs;
        if is_first_the_end {
            store.before_commit(async move { drop(tenant.tasks.create(&operator(), new).await.unwrap()) });
            runs.finish(&claimed, &success(), &facts()).await.unwrap();
        } else {
            store.before_commit(async move {
                let finished = tenant.runs.finish(&claimed, &success(), &facts()).await;
                finished.unwrap();
            });
            house.tenant.tasks.create(&operator(), new).await.unwrap();
        }
        house.settle().await;
        let second = house.tenant.tasks.resolve("2").await.unwrap();
        let second = house.now(second).await;
        assert_eq!(second.state, TaskState::Ready, "{is_first_the_end}");
        assert!(second.open_dependencies.is_empty());
    }
}

/// Two settlers at once: each dependent is told once.
#[tokio::test]
async fn two_settlers_at_once_tell_nothing_twice() {
    let (_, house) = hooked().await;
    let first = house.ready_task().await.id;
    let mut made = Vec::new();
    for n in 0..100 {
        made.push(house.after(&format!("{n}"), &[first], OnFailed::Fail).await.id);
    }
    house.end(first, &success()).await;
    let (one, other) = (house.neighbour().await, house.neighbour().await);
    let (one, other) = tokio::join!(one.settle_once(), other.settle_once());
    assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
    house.settle().await;
    for task in made {
        assert_eq!(house.now(task).await.state, TaskState::Ready);
        assert_eq!(house.times("task.ready", task).await, 1);
    }
}

/// A damaged dependent keeps no other from being told; the settlement stays until it is seen to.
#[tokio::test]
async fn a_damaged_dependent_keeps_no_other_waiting() {
    let house = House::in_memory().await;
    let first = house.ready_task().await.id;
    let damaged = house.after("damaged", &[first], OnFailed::Fail).await.id;
    let whole = house.after("whole", &[first], OnFailed::Fail).await.id;
    house.end(first, &success()).await;
    house.spoil("task", &damaged).await;
    let settled = house.engine.settle_once().await.unwrap();
    assert_eq!((settled.settled, settled.left), (0, 1));
    assert_eq!(house.now(whole).await.state, TaskState::Ready);
    assert_eq!(house.times("task.ready", whole).await, 1);
}

/// The loop is rung by the commit, and looks at its start.
#[tokio::test]
async fn the_settler_is_rung_by_an_end_and_finds_at_its_start_what_is_left() {
    let house = House::in_memory().await;
    let first = house.ready_task().await.id;
    let before = house.after("before", &[first], OnFailed::Fail).await.id;
    house.end(first, &success()).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let engine = house.engine.clone();
    let serving = tokio::spawn(async move {
        engine.serve_settlements(async move { drop(stopped.await) }).await;
    });
    let ready = async |task| {
        while house.now(task).await.state != TaskState::Ready {
            tokio::task::yield_now().await;
        }
    };
    ready(before).await;
    let second = house.after("second", &[], OnFailed::Fail).await.id;
    let meanwhile = house.after("meanwhile", &[second], OnFailed::Fail).await.id;
    house.end(second, &success()).await;
    ready(meanwhile).await;
    drop(stop);
    serving.await.unwrap();
}

/// A visitor settles what it left itself, and looks for nothing else.
#[tokio::test]
async fn who_only_visits_settles_what_its_own_commands_left() {
    let house = House::in_memory().await;
    let first = house.ready_task().await.id;
    let second = house.after("second", &[first], OnFailed::Fail).await.id;
    assert_eq!(house.engine.settle_rest().await.unwrap(), Default::default());
    house.tenant.tasks.cancel(&operator(), first, None).await.unwrap();
    assert_eq!(house.engine.settle_rest().await.unwrap().settled, 1);
    assert_eq!(house.now(second).await.state.word(), "failed");
    let edit = TaskEdit {
        title: Some("other".to_owned()),
        ..TaskEdit::default()
    };
    let refused = house.tenant.tasks.edit(&operator(), second, &edit).await;
    assert_eq!(refused.unwrap_err().code(), "rejected");
}
