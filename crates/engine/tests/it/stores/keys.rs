//! Idempotency keys: what is asked under one is done once, through the services.

use std::sync::Arc;

use dormouse_engine::gate::{Decide, NewGate, Timeout};
use dormouse_engine::idempotency::{ClientKey, Once};
use dormouse_engine::task::NewTask;
use dormouse_engine::thread::{Append, Arrival, MessageKind, NewMessage, WhenBusy};
use dormouse_engine::{CommandError, PrefixedId, Random, RunId, Subject, Tenant};
use futures::future::join_all;

use super::gates::{Asker, events, open, shown, yes};
use super::house::{House, facts, operator, success, tenant_id};
use super::retention::sweep;
use super::threads::{claim, post, row, status, thread};

super::on_every_store! {
    /// ST-51
    one_key_is_one_message_also_after_a_restart_and_no_other;
    /// ST-52
    a_replayed_submit_answers_the_first_run;
    /// ST-53, with `a_killed_run_leaves_its_thread_free` of the crashes.
    a_busy_thread_takes_no_key_and_the_same_is_taken_later;
    what_is_asked_at_once_under_one_key_is_done_once;
    a_task_is_made_once_under_its_key_alone_and_among_others;
    any_command_is_done_once_under_its_key;
    a_refusal_leaves_no_key;
    a_decision_that_is_refused_leaves_no_key_and_the_next_is_judged_afresh;
    what_the_engine_does_by_itself_takes_no_key;
    the_first_answer_that_is_kept_is_everybodys;
    a_key_is_forgotten_after_seven_days;
    a_key_of_another_tenant_or_person_is_another;
}

fn key(text: &str) -> ClientKey {
    text.parse().unwrap()
}

fn once(text: &str, request: &str) -> Arc<Once> {
    let request = [request.as_bytes()];
    Arc::new(Once::new(&tenant_id(), &operator(), "test", &key(text), &request))
}

fn under(house: &House, text: &str, request: &str) -> (Tenant, Arc<Once>) {
    let once = once(text, request);
    (house.tenant.once(&once), once)
}

fn user(text: &str) -> Append {
    Append::submit(NewMessage::user(text))
}

async fn one_key_is_one_message_also_after_a_restart_and_no_other(house: House) {
    let thread = thread(&house).await;
    let threads = &house.tenant.threads;
    let first = threads
        .append_once(&operator(), thread.id, &user("hello"), &key("k"))
        .await
        .unwrap();
    let events = house.event_count().await;
    let again = threads
        .append_once(&operator(), thread.id, &user("hello"), &key("k"))
        .await
        .unwrap();
    assert_eq!(again, first);

    let other = house
        .tenant
        .threads
        .create(
            &operator(),
            &dormouse_engine::thread::NewThread::new(thread.agent.clone()),
        )
        .await
        .unwrap();
    let events = {
        assert_eq!(
            house.event_count().await,
            events + 1,
            "the other thread alone was told"
        );
        events + 1
    };
    let house = house.reopened().await;
    let threads = &house.tenant.threads;
    let again = threads
        .append_once(&operator(), thread.id, &user("hello"), &key("k"))
        .await
        .unwrap();
    assert_eq!(again, first, "after a restart");
    for (into, text) in [(other.id, "hello"), (thread.id, "goodbye")] {
        let reused = threads
            .append_once(&operator(), into, &user(text), &key("k"))
            .await
            .unwrap_err();
        assert!(matches!(reused, CommandError::KeyReused), "{reused}");
    }
    assert_eq!(house.event_count().await, events);
    assert_eq!(threads.messages(thread.id, 0, 10).await.unwrap().rows.len(), 1);
    assert!(
        !house.stored().await.contains("\"k\""),
        "the key itself is not stored"
    );
}

async fn a_replayed_submit_answers_the_first_run(house: House) {
    let thread = thread(&house).await;
    let run = |seed| Some(RunId::make(thread.created_at, &Random::seeded(seed)));
    let submit = |seed| Append {
        run: run(seed),
        ..user("hello")
    };
    let threads = &house.tenant.threads;
    let first = threads
        .append_once(&operator(), thread.id, &submit(1), &key("k"))
        .await
        .unwrap();
    assert_eq!(first.run, run(1));
    let replayed = threads
        .append_once(&operator(), thread.id, &submit(2), &key("k"))
        .await
        .unwrap();
    assert_eq!(replayed, first);
    assert_eq!(claim(&house, first.task.unwrap()).await.run.id, run(1).unwrap());
    let replayed = threads
        .append_once(&operator(), thread.id, &submit(3), &key("k"))
        .await
        .unwrap();
    assert_eq!(replayed.run, run(1));
}

async fn a_busy_thread_takes_no_key_and_the_same_is_taken_later(house: House) {
    let thread = thread(&house).await;
    let first = post(&house, thread.id, "one").await;
    let claimed = claim(&house, first.task.unwrap()).await;
    let threads = &house.tenant.threads;
    let refuse = Append {
        arrival: Arrival::Submit(WhenBusy::Refuse),
        ..user("two")
    };
    let before = house.stored().await;
    let busy = threads
        .append_once(&operator(), thread.id, &refuse, &key("k"))
        .await
        .unwrap_err();
    assert!(
        matches!(busy, CommandError::Busy { run } if run == claimed.run.id),
        "{busy}"
    );
    assert_eq!(house.stored().await, before, "no row");
    let queued = threads
        .append_once(&operator(), thread.id, &user("three"), &key("l"))
        .await
        .unwrap();
    house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    assert_eq!(
        status(&house, queued).await.word(),
        "submitted",
        "it was rung for when the thread became free"
    );
    let admitted = threads
        .append_once(&operator(), thread.id, &refuse, &key("k"))
        .await
        .unwrap();
    let again = threads
        .append_once(&operator(), thread.id, &refuse, &key("k"))
        .await
        .unwrap();
    assert_eq!(again, admitted);
    assert_eq!(row(&house, thread.id).await.next_sequence, 4);
}

async fn what_is_asked_at_once_under_one_key_is_done_once(house: House) {
    let thread = thread(&house).await;
    let asked = join_all((0..20).map(|_| {
        let threads = house.tenant.threads.clone();
        tokio::spawn(async move {
            let message = NewMessage {
                kind: MessageKind::Display,
                ..NewMessage::user("hello")
            };
            threads
                .append_once(&operator(), thread.id, &Append::note(message), &key("k"))
                .await
                .unwrap()
        })
    }));
    let asked: Vec<_> = asked.await.into_iter().map(Result::unwrap).collect();
    assert!(asked.iter().all(|message| *message == asked[0]));
    assert_eq!(row(&house, thread.id).await.next_sequence, 2);
    house.engine.close().await;
}

async fn a_task_is_made_once_under_its_key_alone_and_among_others(house: House) {
    let alice = house.agent("alice").await;
    let new = NewTask::new(alice.clone(), "count the sheep");
    let made = join_all((0..30).map(|n| {
        // Five under each of two keys, and twenty under none.
        let (tenant, new) = match n % 3 {
            0 => (under(&house, &format!("k{}", n % 2), "count").0, new.clone()),
            _ => (house.tenant.clone(), new.clone()),
        };
        tokio::spawn(async move { tenant.tasks.create(&operator(), new).await.unwrap() })
    }));
    let mut made: Vec<_> = made.await.into_iter().map(|task| task.unwrap().id).collect();
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 22);
    let (tenant, once) = under(&house, "k0", "count");
    let again = tenant.tasks.create(&operator(), new.clone()).await.unwrap();
    assert!(made.contains(&again.id) && once.was_found());
    let (tenant, _) = under(&house, "k0", "count others");
    let reused = tenant.tasks.create(&operator(), new).await.unwrap_err();
    assert_eq!(reused.code(), "key_reused");
    house.engine.close().await;
}

async fn any_command_is_done_once_under_its_key(house: House) {
    let task = house.ready_task().await;
    let (tenant, asked) = under(&house, "k", "cancel");
    tenant.tasks.cancel(&operator(), task.id, None).await.unwrap();
    assert!(asked.was_written());
    house
        .tenant
        .tasks
        .retry(&operator(), task.id, dormouse_engine::task::Steps::Kept)
        .await
        .unwrap();
    let (tenant, again) = under(&house, "k", "cancel");
    let done = tenant.tasks.cancel(&operator(), task.id, None).await.unwrap_err();
    assert!(
        matches!(&done, CommandError::DoneBefore { results } if *results == [Subject::Task(task.id)]),
        "{done:?}"
    );
    assert!(again.was_found());
    let state = house.tenant.tasks.get(task.id).await.unwrap().state.clone();
    assert_eq!(state.word(), "ready", "it was not cancelled again");
    let (tenant, _) = under(&house, "k", "cancel another");
    let reused = tenant.tasks.cancel(&operator(), task.id, None).await.unwrap_err();
    assert_eq!(reused.code(), "key_reused");
    let row = house.tenant.idempotency.stored(&asked).await.unwrap().unwrap();
    assert_eq!(row.operation, "test");
}

async fn a_refusal_leaves_no_key(house: House) {
    let alice = house.agent("alice").await;
    let (tenant, asked) = under(&house, "k", "new");
    let nobody = NewTask::new(super::house::name("nobody"), "count the sheep");
    assert_eq!(
        tenant.tasks.create(&operator(), nobody).await.unwrap_err().code(),
        "not_found"
    );
    assert!(!asked.was_written());
    assert!(house.tenant.idempotency.stored(&asked).await.unwrap().is_none());
    let (tenant, asked) = under(&house, "k", "new");
    let new = NewTask::new(alice, "count the sheep");
    tenant.tasks.create(&operator(), new).await.unwrap();
    assert!(asked.was_written());
}

/// What goes on behind an answer is its own, also when it goes on through the same services.
async fn what_the_engine_does_by_itself_takes_no_key(house: House) {
    let task = house.ready_task().await;
    let (tenant, asked) = under(&house, "k", "claim");
    let options = dormouse_engine::run::ClaimOptions::default();
    let claimed = tenant.runs.claim(&operator(), task.id, options).await.unwrap();
    let claimed_at = house.tenant.idempotency.stored(&asked).await.unwrap().unwrap();
    tenant.runs.heartbeat(&claimed, None).await.unwrap();
    tenant.runs.finish(&claimed, &success(), &facts()).await.unwrap();
    let after = house.tenant.idempotency.stored(&asked).await.unwrap().unwrap();
    assert_eq!(after.version(), claimed_at.version());
    assert_eq!(after.results, [Subject::Run(claimed.run.id)]);
}

async fn the_first_answer_that_is_kept_is_everybodys(house: House) {
    let task = house.ready_task().await;
    let (tenant, asked) = under(&house, "k", "cancel");
    let keys = &house.tenant.idempotency;
    assert_eq!(
        keys.keep(&asked, "nothing was done".to_owned()).await.unwrap(),
        "nothing was done"
    );
    tenant.tasks.cancel(&operator(), task.id, None).await.unwrap();
    let large = "x".repeat(64 * 1024 + 1);
    assert_eq!(
        keys.keep(&asked, large.clone()).await.unwrap(),
        large,
        "it is not kept"
    );
    assert_eq!(keys.keep(&asked, "first".to_owned()).await.unwrap(), "first");
    assert_eq!(keys.keep(&asked, "second".to_owned()).await.unwrap(), "first");
    keys.undone(&asked).await.unwrap();
    assert!(keys.stored(&asked).await.unwrap().is_none());
}

async fn a_key_is_forgotten_after_seven_days(house: House) {
    let thread = thread(&house).await;
    let threads = &house.tenant.threads;
    let append = user("hello");
    let first = threads
        .append_once(&operator(), thread.id, &append, &key("k"))
        .await
        .unwrap();
    let days = 7 * 24 * 3600;
    house.clock.advance(days - 1);
    let mut sweeper = house.engine.sweeper();
    assert_eq!(sweep(&mut sweeper).await.removed, 0);
    let again = threads
        .append_once(&operator(), thread.id, &append, &key("k"))
        .await;
    assert_eq!(again.unwrap(), first);
    house.clock.advance(1);
    let anew = threads
        .append_once(&operator(), thread.id, &append, &key("k"))
        .await
        .unwrap();
    assert_ne!(
        anew.sequence, first.sequence,
        "it is judged afresh, before the row went too"
    );
    house.clock.advance(days);
    assert_eq!(sweep(&mut sweeper).await.removed, 1);
    assert_eq!(sweep(&mut sweeper).await.removed, 0);
}

async fn a_key_of_another_tenant_or_person_is_another(house: House) {
    let alice = house.agent("alice").await;
    let mine = once("k", "new");
    let olaf = dormouse_engine::Principal::operator("olaf", dormouse_engine::Channel::Cli);
    let his = Arc::new(Once::new(&tenant_id(), &olaf, "test", &key("k"), &[b"other"]));
    for (by, once) in [(operator(), mine), (olaf, his)] {
        let tenant = house.tenant.once(&once);
        let new = NewTask::new(alice.clone(), "count the sheep");
        tenant.tasks.create(&by, new).await.unwrap();
        assert!(once.was_written());
    }
}

async fn a_decision_that_is_refused_leaves_no_key_and_the_next_is_judged_afresh(house: House) {
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let right = shown(&house, &gate, yes()).await;
    let wrong = Decide {
        shown_digest: dormouse_filesystem::Digest::of(b"another"),
        ..right.clone()
    };
    let (tenant, asked) = under(&house, "decide", "approve");
    let refused = tenant.gates.decide(&operator(), &wrong).await.unwrap_err();
    assert_eq!(refused.code(), "changed");
    // It is told all the same.
    assert_eq!(events(&house, "gate.refused").await.len(), 1);
    assert!(house.tenant.idempotency.stored(&asked).await.unwrap().is_none());
    assert!(!asked.was_written());
    let (tenant, asked) = under(&house, "decide", "approve");
    let decided = tenant.gates.decide(&operator(), &right).await.unwrap();
    assert!(!decided.is_pending());
    assert!(house.tenant.idempotency.stored(&asked).await.unwrap().is_some());
    // One that comes too late ends the gate, and is a refusal too.
    let new = NewGate {
        timeout: Timeout::After(std::time::Duration::from_secs(60)),
        ..asker.approval("2", "{}")
    };
    let gate = open(&house, &new).await;
    let late = shown(&house, &gate, yes()).await;
    house.clock.advance(61);
    let (tenant, asked) = under(&house, "late", "approve");
    let refused = tenant.gates.decide(&operator(), &late).await.unwrap_err();
    assert_eq!(refused.code(), "too_late");
    assert!(house.tenant.idempotency.stored(&asked).await.unwrap().is_none());
}
