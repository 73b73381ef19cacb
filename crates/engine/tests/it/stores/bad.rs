//! Rows that cannot be believed: set aside with their bytes, and in nobody else's way.

use std::sync::Arc;

use dormouse_engine::AgentName;
use dormouse_engine::agent::AtWork;
use dormouse_engine::bad::Fate;
use dormouse_engine::budget::AccountPath;
use dormouse_engine::run::{Next, RunState};
use dormouse_engine::task::{NewTask, TaskState};
use dormouse_engine::thread::{Append, NewMessage, NewThread};
use dormouse_filesystem::{BadRow, BadStore};
use serde_json::json;

use super::agents_removal::gone;
use super::budgets::{chain, limit, of, set, tokens, wanted};
use super::house::{House, facts, name, operator, success};
use super::relay::{Recorder, Relay};
use super::threads::{note, post, row, thread};

super::on_every_store! {
    /// ST-6
    an_invalid_message_of_ten_is_left_out_and_its_bytes_survive_repair_and_restart;
    /// ST-7
    an_invalid_account_lease_or_thread_refuses_its_own_subject_and_is_copied_once;
    /// ST-33, the claim; `assigning_shelving_and_deleting_a_running_task_is_rejected` of the edits is the rest.
    a_corrupt_task_first_in_a_lane_is_passed_over_and_leaves_the_index;
    a_row_that_is_written_anew_is_copied_anew;
    what_was_set_aside_is_thrown_away_by_command_only;
    an_account_that_cannot_be_believed_keeps_no_run_from_its_end;
    a_day_that_cannot_be_believed_makes_way_for_the_next_spending;
    a_thread_that_could_not_be_believed_at_the_end_of_its_run_is_free_when_it_can;
    an_entry_that_is_no_event_is_passed_over_in_order_with_a_dead_row;
    one_corrupt_row_of_each_kind_stops_no_deletion_of_an_agent;
}

async fn kept(house: &House, store: BadStore) -> Vec<BadRow> {
    house.tenant.bad.list(store, None, 100).await.unwrap().rows
}

async fn told(house: &House, kind: &str) -> usize {
    let types = house.event_types().await;
    types.iter().filter(|told| *told == kind).count()
}

pub(super) async fn an_invalid_message_of_ten_is_left_out_and_its_bytes_survive_repair_and_restart(
    house: House,
) {
    let thread = thread(&house).await;
    for nth in 0..10 {
        note(&house, thread.id, &format!("note {nth}")).await;
    }
    house.spoil("message", &"00000000000000000004").await;
    let page = house.tenant.threads.messages(thread.id, 0, 100).await.unwrap();
    assert_eq!(page.rows.len(), 9);
    let [issue] = &page.issues[..] else {
        panic!("{:?}", page.issues)
    };
    assert_eq!(issue.id, format!("{}/4", thread.id));
    assert_eq!(issue.field, "record");

    let looked = house.engine.check_records(false).await.unwrap();
    assert_eq!(looked.bad.len(), 1);
    assert_eq!(looked.bad[0].fate, Fate::Left);
    let repaired = house.engine.check_records(true).await.unwrap();
    assert_eq!(repaired.bad[0].fate, Fate::DeadLettered);
    assert_eq!(told(&house, "record.dead_lettered").await, 1);

    let house = house.reopened().await;
    let again = house.engine.check_records(true).await.unwrap();
    assert_eq!(again.bad, []);
    let [letter] = &kept(&house, BadStore::DeadLetter).await[..] else {
        panic!("one letter")
    };
    let (_, bytes) = house
        .tenant
        .bad
        .get(BadStore::DeadLetter, &letter.id)
        .await
        .unwrap();
    assert_eq!(&bytes[..], b"{");
    assert_eq!(letter.of, format!("{}/4", thread.id));
    let page = house.tenant.threads.messages(thread.id, 0, 100).await.unwrap();
    assert_eq!((page.rows.len(), page.issues.len()), (9, 0));
    let named = |entry: &dormouse_filesystem::Entry| {
        let key = entry.key.to_string();
        key.contains("/i/message/") && key.ends_with("00000000000000000004")
    };
    assert!(!house.entries().await.iter().any(named), "no index names it");
}

async fn an_invalid_account_lease_or_thread_refuses_its_own_subject_and_is_copied_once(house: House) {
    let (alice, bob) = (house.agent("alice").await, house.agent("bob").await);
    set(&house, &of(&alice), &limit(10)).await;
    set(&house, &of(&bob), &limit(10)).await;
    house.spoil("account", &"agent/alice").await;
    let (hers, his) = (chain(&house, &alice).await, chain(&house, &bob).await);
    let budgets = &house.tenant.budgets;
    for _ in 0..2 {
        let refused = budgets.reserve(&operator(), &wanted(&hers, tokens(1))).await;
        assert_eq!(refused.unwrap_err().code(), "corrupt");
    }
    budgets
        .reserve(&operator(), &wanted(&his, tokens(1)))
        .await
        .unwrap();
    assert_eq!(&house.entry("account", &"agent/alice").await.value[..], b"{");

    let (first, second) = (
        house.task(NewTask::new(bob.clone(), "one")).await,
        house.task(NewTask::new(bob.clone(), "two")).await,
    );
    let (held, other) = (house.claim(&first).await, house.claim(&second).await);
    house.spoil("lease", &held.run.id).await;
    let runs = &house.tenant.runs;
    for _ in 0..2 {
        let refused = runs.finish(&held, &success(), &facts()).await;
        assert_eq!(refused.unwrap_err().code(), "corrupt");
    }
    runs.finish(&other, &success(), &facts()).await.unwrap();
    assert_eq!(&house.entry("lease", &held.run.id).await.value[..], b"{");

    let threads = &house.tenant.threads;
    let bad = threads
        .create(&operator(), &NewThread::new(bob.clone()))
        .await
        .unwrap();
    let good = threads.create(&operator(), &NewThread::new(bob)).await.unwrap();
    house.spoil("thread", &bad.id).await;
    let append = Append::submit(NewMessage::user("hello"));
    for _ in 0..2 {
        let refused = threads.append(&operator(), bad.id, &append).await;
        assert_eq!(refused.unwrap_err().code(), "corrupt");
    }
    threads.append(&operator(), good.id, &append).await.unwrap();
    assert_eq!(&house.entry("thread", &bad.id).await.value[..], b"{");

    let mut kinds: Vec<String> = kept(&house, BadStore::Quarantine)
        .await
        .iter()
        .map(|row| row.id.kind().to_owned())
        .collect();
    kinds.sort();
    assert_eq!(kinds, ["account", "lease", "thread"], "each once");
    assert_eq!(told(&house, "record.quarantined").await, 3);
    assert_eq!(kept(&house, BadStore::DeadLetter).await, []);
}

async fn claim_next(house: &House, agent: &AgentName) -> Next {
    let runs = &house.tenant.runs;
    runs.claim_next(&operator(), agent, None).await.unwrap()
}

async fn a_corrupt_task_first_in_a_lane_is_passed_over_and_leaves_the_index(house: House) {
    let alice = house.agent("alice").await;
    let first = house.task(NewTask::new(alice.clone(), "the first")).await;
    let second = house.task(NewTask::new(alice.clone(), "the second")).await;
    house.spoil("task", &first.id).await;
    let Next::Claimed(claimed) = claim_next(&house, &alice).await else {
        panic!("the second is claimed")
    };
    assert_eq!(claimed.task.id, second.id);
    let is_listed = house.entries().await.iter().any(|entry| {
        entry.key.to_string().contains("/i/task/ready/")
            && entry.key.to_string().ends_with(&first.id.to_string())
    });
    assert!(!is_listed, "its entry went");
    assert_eq!(&house.entry("task", &first.id).await.value[..], b"{");
    assert_eq!(told(&house, "record.quarantined").await, 1);
    house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    assert!(matches!(claim_next(&house, &alice).await, Next::Empty));
    assert_eq!(kept(&house, BadStore::Quarantine).await.len(), 1);
}

pub(super) async fn a_row_that_is_written_anew_is_copied_anew(house: House) {
    let task = house.ready_task().await;
    for _ in 0..2 {
        house.spoil("task", &task.id).await;
        for _ in 0..2 {
            let refused = house.tenant.tasks.cancel(&operator(), task.id, None).await;
            assert_eq!(refused.unwrap_err().code(), "corrupt");
        }
    }
    assert_eq!(kept(&house, BadStore::Quarantine).await.len(), 2);
}

async fn what_was_set_aside_is_thrown_away_by_command_only(house: House) {
    let task = house.ready_task().await;
    house.spoil("task", &task.id).await;
    house
        .tenant
        .tasks
        .cancel(&operator(), task.id, None)
        .await
        .unwrap_err();
    let bad = &house.tenant.bad;
    let [row] = &kept(&house, BadStore::Quarantine).await[..] else {
        panic!("one row")
    };
    assert_eq!((row.bytes, row.of.clone()), (1, task.id.to_string()));
    bad.discard(&operator(), BadStore::Quarantine, &row.id)
        .await
        .unwrap();
    assert_eq!(kept(&house, BadStore::Quarantine).await, []);
    let gone = bad.get(BadStore::Quarantine, &row.id).await.unwrap_err();
    assert_eq!(gone.code(), "not_found");
    let gone = bad
        .discard(&operator(), BadStore::Quarantine, &row.id)
        .await
        .unwrap_err();
    assert_eq!(gone.code(), "not_found");
    assert!(
        !house
            .entries()
            .await
            .iter()
            .any(|entry| entry.kind.as_str() == "bad_bytes")
    );
    assert_eq!(&house.entry("task", &task.id).await.value[..], b"{");
}

async fn an_account_that_cannot_be_believed_keeps_no_run_from_its_end(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(10)).await;
    set(&house, &AccountPath::Tenant, &limit(100)).await;
    let task = house.task(NewTask::new(alice.clone(), "count")).await;
    let claimed = house.claim(&task).await;
    house.spoil("account", &"agent/alice").await;
    let finished = house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    assert_eq!(finished.run.state, RunState::Ended);
    assert!(matches!(finished.task.unwrap().state, TaskState::Done { .. }));
    assert_eq!(&house.entry("account", &"agent/alice").await.value[..], b"{");
    assert_eq!(told(&house, "record.quarantined").await, 1);
    let above = house
        .tenant
        .budgets
        .get(&AccountPath::Tenant)
        .await
        .unwrap()
        .unwrap();
    assert!(
        above.reserved.is_zero(),
        "what is believed has it back: {:?}",
        above.reserved
    );
}

async fn a_day_that_cannot_be_believed_makes_way_for_the_next_spending(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(100)).await;
    let own = chain(&house, &alice).await;
    let budgets = &house.tenant.budgets;
    let spend = async |amount| {
        let admitted = budgets
            .reserve(&operator(), &wanted(&own, tokens(amount)))
            .await
            .unwrap();
        budgets
            .reconcile(&operator(), admitted.hold.unwrap(), &tokens(amount))
            .await
            .unwrap();
    };
    spend(3).await;
    let day = house.entries().await;
    let day = day
        .iter()
        .find(|entry| entry.kind.as_str() == "usage")
        .unwrap()
        .key
        .to_string();
    let end = day.rsplit("/r/usage/").next().unwrap().to_owned();
    house.spoil("usage", &end).await;
    spend(4).await;
    spend(5).await;
    assert_eq!(kept(&house, BadStore::DeadLetter).await.len(), 1);
    assert_eq!(told(&house, "record.dead_lettered").await, 1);
    let row = String::from_utf8(house.entry("usage", &end).await.value.to_vec()).unwrap();
    assert!(row.contains(":9"), "what was spent since: {row}");
}

async fn a_thread_that_could_not_be_believed_at_the_end_of_its_run_is_free_when_it_can(house: House) {
    let thread = thread(&house).await;
    let first = post(&house, thread.id, "hello").await;
    let task = house
        .tenant
        .tasks
        .get(first.task.unwrap())
        .await
        .unwrap()
        .into_inner();
    let claimed = house.claim(&task).await;
    post(&house, thread.id, "and then?").await;
    let believed = house.entry("thread", &thread.id).await;
    house.spoil("thread", &thread.id).await;
    house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    assert_eq!(told(&house, "record.quarantined").await, 1);
    house.put_back(&believed).await;
    assert_eq!(
        row(&house, thread.id).await.active_run,
        Some(claimed.run.id),
        "as it was"
    );

    post(&house, thread.id, "are you there?").await;
    let freed = row(&house, thread.id).await;
    assert_eq!(freed.active_run, None);
    assert_ne!(freed.turn, first.task);
    let next = house
        .tenant
        .tasks
        .get(freed.turn.unwrap())
        .await
        .unwrap()
        .into_inner();
    house.claim(&next).await;
    assert_eq!(
        row(&house, thread.id).await.queued,
        1,
        "the third waits behind the second"
    );
}

async fn an_entry_that_is_no_event_is_passed_over_in_order_with_a_dead_row(house: House) {
    let alice = house.agent("alice").await;
    house.task(NewTask::new(alice.clone(), "before")).await;
    let bad = house.event_count().await;
    house.append_event(&json!({ "id": "no event" })).await;
    house.task(NewTask::new(alice, "behind")).await;
    let last = house.event_count().await - 1;
    let sink = Recorder::new("book");
    let relay = Relay::of(&house.engine, vec![Arc::clone(&sink) as _]);
    sink.has(last).await;
    relay.leaves().await;
    let had = sink.positions();
    let wanted: Vec<u64> = (1..=last).filter(|position| *position != bad).collect();
    assert_eq!(&had[..wanted.len()], wanted, "in order");
    let letters = house
        .tenant
        .sinks
        .dead_letters(&"book".parse().unwrap(), None, 10)
        .await
        .unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].position.get(), letters[0].event.clone()),
        (bad, json!({ "id": "no event" }))
    );
    assert_eq!(told(&house, "sink.dead_lettered").await, 1);
}

async fn one_corrupt_row_of_each_kind_stops_no_deletion_of_an_agent(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(10)).await;
    let own = chain(&house, &alice).await;
    let spoiled = house.task(NewTask::new(alice.clone(), "spoiled")).await;
    let sound = house.task(NewTask::new(alice.clone(), "sound")).await;
    let threads = &house.tenant.threads;
    let bad = threads
        .create(&operator(), &NewThread::new(alice.clone()))
        .await
        .unwrap();
    let good = threads
        .create(&operator(), &NewThread::new(alice.clone()))
        .await
        .unwrap();
    let held = house
        .tenant
        .budgets
        .reserve(&operator(), &wanted(&own, tokens(1)))
        .await
        .unwrap();
    house.spoil("task", &spoiled.id).await;
    house.spoil("thread", &bad.id).await;
    house.spoil("hold", &held.hold.unwrap()).await;
    house.spoil("account", &"agent/alice").await;
    let agents = &house.tenant.agents;
    agents
        .delete(&operator(), &alice, AtWork::Refuse, None)
        .await
        .unwrap();
    gone(&house, &name("alice")).await;
    let sound = house.tenant.tasks.get(sound.id).await.unwrap();
    assert_eq!(sound.state, TaskState::Cancelled);
    assert!(threads.get(good.id).await.is_err());
    assert!(kept(&house, BadStore::Quarantine).await.len() >= 3);
}
