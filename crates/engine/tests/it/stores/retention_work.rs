//! What work leaves behind goes: steps, holds and days of accounts.

use dormouse_engine::budget::AccountPath;
use dormouse_engine::retention::Swept;
use dormouse_engine::step::{Effect, Failure, StepContext};
use dormouse_engine::task::{NewTask, Task};

use super::budgets::{chain, limit, of, set, tokens, wanted};
use super::house::{House, operator};
use super::retention::sweep;
use super::steps::{Tally, attempt, counted};

const DAY: i64 = 24 * 60 * 60;

super::on_every_store! {
    steps_go_a_week_after_the_end_of_their_task_and_not_before;
    closed_holds_go_after_30_days_and_days_of_accounts_after_400;
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
