//! Commits whose answer was lost: settled inside their command, or by whoever asks what became of them.

use dormouse_engine::limits::RESOLVE_ATTEMPTS_MAX;
use dormouse_engine::task::NewTask;
use dormouse_engine::{CommandError, OpId, PrefixedId, Random, Settled};
use dormouse_filesystem::wrapper::{FaultKind, Operation};

use super::budgets::{chain, limit, of, set, tokens, wanted};
use super::house::{House, operator, tenant_id};

super::on_every_store! {
    an_answer_that_is_lost_once_is_settled_inside_its_command;
    /// ST-38
    what_is_not_known_is_resolved_with_and_without_effect_and_happened_once;
    what_was_written_over_since_is_known_by_the_log;
    what_is_not_known_of_a_shared_commit_is_resolved_for_each;
}

const LOSSES: [FaultKind; 2] = [FaultKind::LoseBefore, FaultKind::LoseAfter];

async fn titles(house: &House) -> Vec<String> {
    let created = house
        .events()
        .await
        .into_iter()
        .filter(|event| event.kind == "task.created");
    let mut titles = Vec::new();
    for event in created {
        let id = event.subject.strip_prefix("task:").unwrap().parse().unwrap();
        titles.push(house.tenant.tasks.get(id).await.unwrap().title.to_string());
    }
    titles
}

/// What is not known, by its operation.
fn unknown<T: std::fmt::Debug>(answer: Result<T, CommandError>) -> OpId {
    match answer.unwrap_err() {
        CommandError::Indeterminate { op, .. } => op.unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn an_answer_that_is_lost_once_is_settled_inside_its_command(house: House) {
    let alice = house.agent("alice").await;
    let (engine, fault) = house.faulty().await;
    let tenant = engine.tenant(&tenant_id()).await.unwrap();
    for (nth, loss) in LOSSES.into_iter().enumerate() {
        fault.next(Operation::Commit, loss);
        let new = NewTask::new(alice.clone(), format!("count {nth}"));
        let task = tenant.tasks.create(&operator(), new).await.unwrap();
        assert_eq!(task.number, nth as u64 + 1);
        fault.next(Operation::Commit, loss);
        let claimed = tenant
            .runs
            .claim(&operator(), task.id, Default::default())
            .await
            .unwrap();
        // The token is that of the commit that was done.
        tenant.runs.heartbeat(&claimed, None).await.unwrap();
        fault.next(Operation::Commit, loss);
        tenant
            .runs
            .finish(&claimed, &super::house::success(), &super::house::facts())
            .await
            .unwrap();
    }
    assert_eq!(fault.met(), 6);
    assert_eq!(titles(&house).await, ["count 0", "count 1"], "each once");
    let ends = house.event_types().await;
    assert_eq!(ends.iter().filter(|kind| *kind == "run.ended").count(), 2);
}

/// No answer comes as long as a command asks.
fn lose(
    fault: &dormouse_filesystem::wrapper::Fault<std::sync::Arc<dyn dormouse_filesystem::RecordStore>>,
    first: FaultKind,
) {
    fault.next(Operation::Commit, first);
    for _ in 0..RESOLVE_ATTEMPTS_MAX {
        fault.next(Operation::Commit, FaultKind::LoseBefore);
    }
}

async fn what_is_not_known_is_resolved_with_and_without_effect_and_happened_once(house: House) {
    let alice = house.agent("alice").await;
    let (engine, fault) = house.faulty().await;
    let tenant = engine.tenant(&tenant_id()).await.unwrap();
    for (nth, loss) in LOSSES.into_iter().enumerate() {
        lose(&fault, loss);
        let new = NewTask::new(alice.clone(), format!("count {nth}"));
        let op = unknown(tenant.tasks.create(&operator(), new).await);
        fault.next(Operation::Commit, FaultKind::LoseBefore);
        assert_eq!(unknown(tenant.resolve(op).await), op, "still not known");
        assert_eq!(tenant.resolve(op).await.unwrap(), Settled::Done);
        assert_eq!(
            tenant.resolve(op).await.unwrap(),
            Settled::Done,
            "and so it stays"
        );
        assert_eq!(titles(&house).await.len(), nth + 1, "it happened once");
    }
    // Another was quicker: it was not done, and is not done any more.
    let task = house.task(NewTask::new(alice, "edited by both")).await;
    lose(&fault, FaultKind::LoseBefore);
    let op = unknown(tenant.tasks.shelve(&operator(), task.id).await);
    house
        .tenant
        .tasks
        .cancel(&operator(), task.id, None)
        .await
        .unwrap();
    let before = house.stored().await;
    let settled = tenant.resolve(op).await;
    assert_eq!(settled.unwrap(), Settled::NotDone);
    assert_eq!(house.stored().await, before);
    let random = Random::seeded(7);
    let nobodys = OpId::make(jiff::Timestamp::UNIX_EPOCH, &random);
    assert_eq!(tenant.resolve(nobodys).await.unwrap_err().code(), "not_found");
}

async fn what_was_written_over_since_is_known_by_the_log(house: House) {
    let task = house.ready_task().await;
    let (engine, fault) = house.faulty().await;
    let tenant = engine.tenant(&tenant_id()).await.unwrap();
    lose(&fault, FaultKind::LoseAfter);
    let op = unknown(tenant.tasks.shelve(&operator(), task.id).await);
    house.tenant.tasks.enqueue(&operator(), task.id).await.unwrap();
    house
        .tenant
        .tasks
        .cancel(&operator(), task.id, None)
        .await
        .unwrap();
    assert_eq!(tenant.resolve(op).await.unwrap(), Settled::Done);
    let shelved = house.event_types().await;
    assert_eq!(shelved.iter().filter(|kind| *kind == "task.shelved").count(), 1);
}

async fn what_is_not_known_of_a_shared_commit_is_resolved_for_each(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(100)).await;
    let own = chain(&house, &alice).await;
    let (engine, fault) = house.faulty().await;
    let tenant = engine.tenant(&tenant_id()).await.unwrap();
    lose(&fault, FaultKind::LoseAfter);
    let op = unknown(
        tenant
            .budgets
            .reserve(&operator(), &wanted(&own, tokens(7)))
            .await,
    );
    assert_eq!(tenant.resolve(op).await.unwrap(), Settled::Done);
    let account = house.tenant.budgets.get(&of(&alice)).await.unwrap().unwrap();
    let reserved = account
        .reserved
        .get(dormouse_engine::budget::Dimension::InputTokens);
    assert_eq!(reserved, 7, "once");
}
