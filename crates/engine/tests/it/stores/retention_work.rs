//! What work leaves behind goes: steps, holds and days of accounts.

use dormouse_engine::budget::AccountPath;
use dormouse_engine::retention::Swept;
use dormouse_engine::step::{Effect, Failure, StepContext};
use dormouse_engine::task::{NewTask, Task};
use dormouse_engine::{RunId, TaskId};

use super::budgets::{chain, limit, of, set, tokens, wanted};
use super::house::{House, facts, operator, success};
use super::retention::sweep;
use super::steps::{Tally, attempt, counted};

const DAY: i64 = 24 * 60 * 60;

super::on_every_store! {
    steps_go_a_week_after_the_end_of_their_task_and_not_before;
    closed_holds_go_after_30_days_and_days_of_accounts_after_400;
    an_account_of_a_task_goes_with_it;
    what_ties_a_deleted_task_goes_with_its_tombstone;
}

async fn kind(house: &House, kind: &str) -> usize {
    let entries = house.entries().await;
    entries.iter().filter(|entry| entry.kind.as_str() == kind).count()
}

/// An attempt at a task that does so many steps.
async fn steps(house: &House, task: &Task, count: u32, fails: bool) {
    attempt(house, task, async move |steps: StepContext| {
        let tally = Tally::default();
        for _ in 0..count {
            counted(&steps, "count", Effect::Idempotent, &tally).await?;
        }
        match fails {
            true => Err(Failure::of("later")),
            false => Ok(()),
        }
    })
    .await;
}

/// What is left of a task that goes, its account too, is gone with the last row that tells of it.
async fn an_account_of_a_task_goes_with_it(house: House) {
    let alice = house.agent("alice").await;
    let accounts = async || kind(&house, "account").await;
    let before = accounts().await;
    let mut tasks = Vec::new();
    for title in ["ended", "deleted", "kept"] {
        let task = house.task(NewTask::new(alice.clone(), title)).await;
        set(&house, &AccountPath::Task(task.id), &limit(10)).await;
        tasks.push(task);
    }
    let claimed = house.claim(&tasks[0]).await;
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    let by = operator();
    house.tenant.tasks.delete(&by, tasks[1].id).await.unwrap();
    let held = accounts().await - before;
    assert!(held >= 3, "{held}");
    house.clock.advance(90 * DAY + 1);
    sweep(&mut house.engine.sweeper()).await;
    assert_eq!(accounts().await - before, held - 2);
    let kept = house.tenant.budgets.get(&AccountPath::Task(tasks[2].id)).await;
    assert!(kept.unwrap().is_some(), "its task is there");
}

/// How a deleted task was given away, and what a deleted one gave away itself, is known as long as somebody waits for it,
/// and no longer than its tombstone.
async fn what_ties_a_deleted_task_goes_with_its_tombstone(house: House) {
    let alice = house.agent("alice").await;
    let give = async |run: RunId| {
        let new = NewTask::new(alice.clone(), "child");
        let given = house.tenant.delegations.delegate(&operator(), run, new).await;
        given.unwrap().task.id
    };
    let delete = async |task: TaskId| house.tenant.tasks.delete(&operator(), task).await.unwrap();
    let claim = async |title: &str| {
        let task = house.task(NewTask::new(alice.clone(), title)).await;
        house.claim(&task).await
    };
    let (first, second) = (claim("first parent").await, claim("second parent").await);
    let (taken, awaited) = (give(first.run.id).await, give(second.run.id).await);
    delete(taken).await;
    delete(awaited).await;
    house.engine.settle_once().await.unwrap();
    let consume = async |run: RunId, child: TaskId| {
        let delegations = &house.tenant.delegations;
        delegations.consume(&operator(), run, child).await.unwrap();
    };
    consume(first.run.id, taken).await;
    let runs = &house.tenant.runs;
    runs.finish(&first, &success(), &facts()).await.unwrap();
    delete(first.task.id).await;
    house.engine.settle_once().await.unwrap();
    let left = async || {
        let mut left = Vec::new();
        for name in ["task_tombstone", "delegation", "tree"] {
            left.push(kind(&house, name).await);
        }
        left
    };
    assert_eq!(left().await, [3, 2, 2]);
    house.clock.advance(90 * DAY + 1);
    sweep(&mut house.engine.sweeper()).await;
    assert_eq!(left().await, [1, 1, 1], "one is awaited still");
    consume(second.run.id, awaited).await;
    sweep(&mut house.engine.sweeper()).await;
    assert_eq!(left().await, [0, 0, 1], "of a root that is there");
}

async fn steps_go_a_week_after_the_end_of_their_task_and_not_before(house: House) {
    let done = house.ready_task().await;
    steps(&house, &done, 70, false).await;
    let waits = house.task(NewTask::new(done.assignee.clone(), "goes on")).await;
    steps(&house, &waits, 3, true).await;
    assert_eq!(kind(&house, "step").await, 73);
    let mut sweeper = house.engine.sweeper();
    house.clock.advance(7 * DAY - 1);
    assert_eq!(sweep(&mut sweeper).await.removed, 0);
    house.clock.advance(2);
    assert_eq!(sweep(&mut sweeper).await.removed, 70);
    assert_eq!(kind(&house, "step").await, 3, "a retry finds them");
    assert_eq!(sweep(&mut sweeper).await, Swept::default());
    // It ends now, and its time begins.
    let tasks = &house.tenant.tasks;
    tasks.cancel(&operator(), waits.id, None).await.unwrap();
    house.clock.advance(7 * DAY - 2);
    assert_eq!(sweep(&mut sweeper).await.removed, 0);
    house.clock.advance(7 * DAY);
    assert_eq!(sweep(&mut sweeper).await.removed, 3);
    assert_eq!(kind(&house, "step").await, 0);
}

async fn closed_holds_go_after_30_days_and_days_of_accounts_after_400(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(1000)).await;
    let own = chain(&house, &alice).await;
    let budgets = &house.tenant.budgets;
    let wanted = wanted(&own, tokens(1));
    let hold = budgets.reserve(&operator(), &wanted).await.unwrap().hold.unwrap();
    let open = budgets.reserve(&operator(), &wanted).await.unwrap().hold.unwrap();
    budgets.reconcile(&operator(), hold, &tokens(1)).await.unwrap();
    let days = async || {
        let path = AccountPath::Agent(alice.clone());
        budgets.history(&path, None, 10).await.unwrap().rows.len()
    };
    let mut sweeper = house.engine.sweeper();
    house.clock.advance(30 * DAY - 1);
    assert_eq!(sweep(&mut sweeper).await.removed, 0);
    house.clock.advance(2);
    assert_eq!(sweep(&mut sweeper).await.removed, 1);
    assert_eq!(budgets.hold(hold).await.unwrap_err().code(), "not_found");
    assert!(budgets.hold(open).await.unwrap().is_open(), "it stands");
    assert_eq!(days().await, 1);
    house.clock.advance(369 * DAY);
    assert_eq!(sweep(&mut sweeper).await.removed, 0);
    house.clock.advance(2 * DAY);
    assert_eq!(sweep(&mut sweeper).await.removed, 1);
    assert_eq!(days().await, 0);
    assert_eq!(kind(&house, "usage").await, 0);
}
