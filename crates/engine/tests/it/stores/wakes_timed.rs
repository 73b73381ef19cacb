//! Timed wakes: a row that becomes a task of its agent when its time has come, once.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::AtWork;
use dormouse_engine::command::CommandSpec;
use dormouse_engine::idempotency::Once;
use dormouse_engine::limits::{REASON_MAX, WAKE_AHEAD_MAX};
use dormouse_engine::task::{Task, TaskFilter, TaskState};
use dormouse_engine::wake::{NewWake, TimedWake, WakeCause, WakeState};
use dormouse_engine::{AgentName, Clock as _, CommandError, EngineOptions, Subject};
use dormouse_filesystem::wrapper::{Counted, Fault, FaultKind, Operation};
use dormouse_filesystem::{Memory, RecordStore};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::house::{House, name, operator, tenant_id};
use super::wakes::{until, wake};

/// One of this agent, so many seconds ahead.
pub(super) fn new(house: &House, agent: &AgentName, seconds: i64) -> NewWake {
    NewWake {
        agent: agent.clone(),
        due: house.clock.now() + SignedDuration::from_secs(seconds),
        reason: "look at the mail".to_owned(),
        command: None,
    }
}

pub(super) async fn add(house: &House, agent: &AgentName, seconds: i64) -> TimedWake {
    let new = new(house, agent, seconds);
    house.tenant.wakes.add(&operator(), new).await.unwrap().0
}

async fn waiting(house: &House, agent: Option<&AgentName>) -> Vec<TimedWake> {
    let page = house.tenant.wakes.list(agent, None, 100).await.unwrap();
    page.rows.into_iter().map(|row| TimedWake::clone(&row)).collect()
}

pub(super) async fn tasks(house: &House) -> Vec<Task> {
    let page = house.tenant.tasks.list(&TaskFilter::default(), None, 100).await;
    page.unwrap()
        .rows
        .into_iter()
        .map(|row| Task::clone(&row))
        .collect()
}

pub(super) async fn one_becomes_a_task_when_its_time_has_come_and_not_before(house: House) {
    let alice = house.agent("alice").await;
    let command = CommandSpec::new(vec!["true".to_owned()]);
    let wanted = NewWake {
        command: Some(command.clone()),
        ..new(&house, &alice, 60)
    };
    let (added, _) = house.tenant.wakes.add(&operator(), wanted).await.unwrap();
    let later = add(&house, &alice, 3600).await;
    assert_eq!(waiting(&house, None).await, [added.clone(), later.clone()]);
    house.clock.advance(59);
    assert_eq!(house.engine.serve_due_once().await.unwrap().wakes, 0);
    assert_eq!(wake(&house, &alice).await, None, "nothing is to be done yet");
    house.clock.advance(1);
    assert_eq!(house.engine.serve_due_once().await.unwrap().wakes, 1);
    assert_eq!(house.engine.serve_due_once().await.unwrap().wakes, 0, "once");
    let made = tasks(&house).await;
    let [task] = &made[..] else { panic!("{made:?}") };
    assert_eq!(
        (task.assignee.clone(), task.state.clone(), task.command.clone()),
        (alice.clone(), TaskState::Ready, Some(command))
    );
    assert_eq!(
        (task.title.to_string(), task.body.as_str()),
        ("look at the mail".to_owned(), "look at the mail")
    );
    let row = wake(&house, &alice).await.expect("whoever serves finds it");
    assert_eq!(row.state, WakeState::Due);
    assert!(row.causes.contains(&WakeCause::Timed), "{row:?}");
    assert_eq!(waiting(&house, Some(&alice)).await, [later]);
    let told = house.events().await;
    let fired = told.iter().find(|event| event.kind == "wake.fired").unwrap();
    assert_eq!(fired.data["task"], task.id.to_string());
    assert_eq!(fired.subject, Subject::Wake(added.id).to_string());
    let made_by = told.iter().find(|event| event.kind == "task.created").unwrap();
    assert_eq!(made_by.op, fired.op, "in one commit");
    let gone = house.tenant.wakes.get(added.id).await;
    assert!(matches!(gone, Err(CommandError::NotFound { .. })), "{gone:?}");
}

async fn one_whose_time_is_over_when_it_is_added_is_due_at_once(house: House) {
    let alice = house.agent("alice").await;
    add(&house, &alice, -3600).await;
    assert_eq!(house.engine.serve_due_once().await.unwrap().wakes, 1);
    assert_eq!(tasks(&house).await.len(), 1);
}

async fn one_that_is_called_off_becomes_nothing(house: House) {
    let alice = house.agent("alice").await;
    let added = add(&house, &alice, 60).await;
    let wakes = &house.tenant.wakes;
    let short = added.id.to_string()[..16].to_owned();
    assert_eq!(wakes.resolve(&short).await.unwrap(), added.id);
    wakes.cancel(&operator(), added.id).await.unwrap();
    let again = wakes.cancel(&operator(), added.id).await;
    assert!(matches!(again, Err(CommandError::NotFound { .. })), "{again:?}");
    house.clock.advance(61);
    assert_eq!(house.engine.serve_due_once().await.unwrap().wakes, 0);
    assert!(tasks(&house).await.is_empty());
    assert_eq!(
        house.event_types().await,
        ["agent.created", "wake.added", "wake.cancelled"]
    );
}

async fn an_agent_has_as_many_as_it_may_and_what_is_said_of_one_is_checked(house: House) {
    let (alice, bob) = (house.agent("alice").await, house.agent("bob").await);
    let options = EngineOptions {
        wakes_timed_max: 2,
        ..EngineOptions::default()
    };
    let narrow = house.neighbour_set(options).await;
    let narrow = narrow.tenant(&tenant_id()).await.unwrap();
    for _ in 0..2 {
        narrow
            .wakes
            .add(&operator(), new(&house, &alice, 60))
            .await
            .unwrap();
    }
    let before = house.stored().await;
    let full = narrow.wakes.add(&operator(), new(&house, &alice, 60)).await;
    assert!(
        matches!(
            full,
            Err(CommandError::Full {
                limit: "wakes.timed_max"
            })
        ),
        "{full:?}"
    );
    let ahead = i64::try_from(WAKE_AHEAD_MAX.as_secs()).unwrap();
    let refused = [
        new(&house, &name("nobody"), 60),
        new(&house, &bob, ahead + 1),
        NewWake {
            reason: " \n".to_owned(),
            ..new(&house, &bob, 60)
        },
        NewWake {
            reason: "x".repeat(REASON_MAX + 1),
            ..new(&house, &bob, 60)
        },
        NewWake {
            command: Some(CommandSpec::new(Vec::new())),
            ..new(&house, &bob, 60)
        },
    ];
    let codes = ["not_found", "invalid", "invalid", "invalid", "invalid"];
    for (new, code) in refused.into_iter().zip(codes) {
        let refused = narrow.wakes.add(&operator(), new).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    assert!(house.stored().await == before, "a refusal writes nothing");
    narrow
        .wakes
        .add(&operator(), new(&house, &bob, ahead))
        .await
        .unwrap();
    assert_eq!(waiting(&house, Some(&alice)).await.len(), 2);
    assert_eq!(waiting(&house, None).await.len(), 3);
}

async fn what_a_deleted_agent_had_goes_with_it_and_a_paused_one_s_becomes_a_task_that_waits(house: House) {
    let (alice, bob) = (house.agent("alice").await, house.agent("bob").await);
    for seconds in [30, 60] {
        add(&house, &alice, seconds).await;
        add(&house, &bob, seconds).await;
    }
    let agents = &house.tenant.agents;
    agents.pause(&operator(), &bob, None).await.unwrap();
    agents
        .delete(&operator(), &alice, AtWork::Stop, None)
        .await
        .unwrap();
    let refused = house.tenant.wakes.add(&operator(), new(&house, &alice, 60)).await;
    let refused = refused.unwrap_err();
    assert!(
        ["agent_deleting", "not_found"].contains(&refused.code()),
        "{refused}"
    );
    until("she is gone", async || {
        matches!(agents.get(&alice).await, Err(CommandError::NotFound { .. }))
    })
    .await;
    assert_eq!(waiting(&house, None).await.len(), 2, "bob's are there");
    house.agent("alice").await;
    assert!(
        waiting(&house, Some(&alice)).await.is_empty(),
        "another agent of the name has none"
    );
    house.clock.advance(61);
    assert_eq!(house.engine.serve_due_once().await.unwrap().wakes, 2);
    let made = tasks(&house).await;
    assert!(
        made.iter()
            .all(|task| task.assignee == bob && task.state == TaskState::Ready)
    );
    let cancelled = house.event_types().await;
    assert_eq!(
        cancelled.iter().filter(|kind| *kind == "wake.cancelled").count(),
        2
    );
}

async fn of_many_that_serve_it_at_once_one_makes_its_task(house: House) {
    let alice = house.agent("alice").await;
    for _ in 0..8 {
        add(&house, &alice, 60).await;
    }
    house.clock.advance(60);
    let mut engines = vec![house.engine.clone()];
    for _ in 0..3 {
        engines.push(house.neighbour().await);
    }
    let served = engines.iter().map(|engine| {
        let engine = engine.clone();
        // A store that is too busy is asked again, as the loop does.
        tokio::spawn(async move {
            while let Err(error) = engine.serve_due_once().await {
                assert!(error.is_congestion(), "{error}");
            }
        })
    });
    for served in join_all(served).await {
        served.unwrap();
    }
    assert_eq!(tasks(&house).await.len(), 8);
    assert!(waiting(&house, None).await.is_empty());
    let fired = house.event_types().await;
    assert_eq!(fired.iter().filter(|kind| *kind == "wake.fired").count(), 8);
}

async fn one_is_added_once_under_its_key(house: House) {
    let alice = house.agent("alice").await;
    let key = "k".parse().unwrap();
    let under = || {
        let once = Once::new(&tenant_id(), &operator(), "test", &key, &[b"one"]);
        house.tenant.once(&Arc::new(once))
    };
    let (first, _) = under()
        .wakes
        .add(&operator(), new(&house, &alice, 60))
        .await
        .unwrap();
    let again = under()
        .wakes
        .add(&operator(), new(&house, &alice, 60))
        .await
        .unwrap_err();
    let CommandError::DoneBefore { results } = again else {
        panic!("{again}")
    };
    assert_eq!(results, [Subject::Wake(first.id)]);
    assert_eq!(waiting(&house, None).await.len(), 1);
}

async fn what_a_reason_says_of_credentials_is_taken_out(house: House) {
    super::credentials::with_secret(&house).await;
    let secret = "kR7-wombat-sleeps+9Zx";
    let wanted = NewWake {
        reason: format!("log in with {secret}"),
        ..new(&house, &name("alice"), 60)
    };
    house.tenant.wakes.add(&operator(), wanted).await.unwrap();
    house.clock.advance(60);
    house.engine.serve_due_once().await.unwrap();
    assert_eq!(tasks(&house).await.len(), 1);
    assert!(!house.stored().await.contains(secret));
}

super::on_every_store! {
    one_becomes_a_task_when_its_time_has_come_and_not_before;
    one_whose_time_is_over_when_it_is_added_is_due_at_once;
    one_that_is_called_off_becomes_nothing;
    an_agent_has_as_many_as_it_may_and_what_is_said_of_one_is_checked;
    what_a_deleted_agent_had_goes_with_it_and_a_paused_one_s_becomes_a_task_that_waits;
    of_many_that_serve_it_at_once_one_makes_its_task;
    one_is_added_once_under_its_key;
    what_a_reason_says_of_credentials_is_taken_out;
}

/// The loop sleeps until the first of them, is woken by one that comes before, and reads nothing meanwhile.
#[tokio::test(start_paused = true)]
async fn the_loop_sleeps_until_the_first_one_and_hears_of_an_earlier_one() {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let alice = house.agent("alice").await;
    add(&house, &alice, 7200).await;
    let (leave, left) = oneshot::channel::<()>();
    let engine = house.engine.clone();
    let served = tokio::spawn(async move { engine.serve_due(async { drop(left.await) }).await });
    let pass = async |seconds: i64| {
        for _ in 0..seconds {
            house.clock.advance(1);
            sleep(Duration::from_secs(1)).await;
        }
    };
    pass(10).await;
    add(&house, &alice, 600).await;
    pass(1).await;
    let before = store.counts().operations();
    pass(598).await;
    assert_eq!(store.counts().operations(), before, "no read, no write");
    pass(2).await;
    assert_eq!(tasks(&house).await.len(), 1);
    pass(7200 - 611 - 1).await;
    assert_eq!(tasks(&house).await.len(), 1);
    pass(2).await;
    assert_eq!(tasks(&house).await.len(), 2);
    leave.send(()).unwrap();
    served.await.unwrap();
}

/// An answer that is lost, of a commit that was done or was not.
#[tokio::test(start_paused = true)]
async fn one_whose_commit_is_not_answered_becomes_one_task() {
    for fault in [FaultKind::LoseBefore, FaultKind::LoseAfter] {
        let store = Arc::new(Fault::scripted(Memory::new(Timestamp::UNIX_EPOCH)));
        let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
        let alice = house.agent("alice").await;
        add(&house, &alice, 60).await;
        house.clock.advance(60);
        store.next(Operation::Commit, fault);
        // What it answers is the store's: the loop looks again.
        drop(house.engine.serve_due_once().await);
        house.engine.serve_due_once().await.unwrap();
        assert_eq!(tasks(&house).await.len(), 1, "{fault:?}");
        assert!(waiting(&house, None).await.is_empty(), "{fault:?}");
    }
}
