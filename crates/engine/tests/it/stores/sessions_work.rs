//! Sessions at work and at rest: what their drivers write, who fences them, and what is left when they rest.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::session::SessionRow;
use dormouse_engine::task::NewTask;
use dormouse_engine::{Clock as _, CommandError, Engine, PrefixedId, SessionId, Tenant};
use dormouse_filesystem::wrapper::Counted;
use dormouse_filesystem::{Memory, RecordStore, Records};
use dormouse_state::{Answer, Command, EndReason, Event, Ignored, Row};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::gates::{Asker, open};
use super::house::{House, facts, failed, name, operator, success, tenant_id};
use super::sessions::{at_work, claim_in, completed, done, idles, made, row, seen, working};

async fn tenant(engine: &Engine) -> Tenant {
    engine.tenant(&tenant_id()).await.unwrap()
}

/// Lets the tasks do what is due at this instant.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

async fn activities(house: &House) -> usize {
    let kinds = house.event_types().await;
    kinds.iter().filter(|kind| *kind == "session.activity").count()
}

/// SG-31
#[tokio::test(start_paused = true)]
async fn a_thousand_flips_a_second_are_a_live_write_a_second_and_a_gate_meets_none() {
    let house = House::in_memory().await;
    let asker = Asker::new(&house).await;
    let sessions = &house.tenant.sessions;
    let flip = |seq: u64| {
        let event = if seq % 2 == 1 { Event::Thinking } else { working() };
        seen(&house, Some(&asker.claimed), seq, event)
    };
    for seq in 1..=2 {
        sessions.observe(asker.session, &flip(seq)).await.unwrap();
    }
    let version = sessions.require(asker.session).await.unwrap().version();
    // Nearly five seconds.
    for seq in 3..=5_002 {
        let told = sessions.observe(asker.session, &flip(seq)).await.unwrap();
        assert!(!told.durable && told.answer.applied().is_some());
        tokio::time::advance(Duration::from_micros(990)).await;
    }
    assert_eq!(sessions.require(asker.session).await.unwrap().version(), version);
    let written = activities(&house).await;
    assert!((4..=5).contains(&written), "{written}");
    let now = Instant::now();
    let mut approval = asker.approval("1", "{}");
    if let Some(place) = &mut approval.session {
        place.position.seq = 10_000;
    }
    open(&house, &approval).await;
    // A commit that lost a race would have waited before the next one.
    assert_eq!(now.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(activities(&house).await <= written + 1);
    assert_eq!(row(&house, asker.session).await, Row::Waiting);
    house.engine.close().await;
}

/// SG-33
#[tokio::test]
async fn a_pause_by_another_process_and_what_is_driven_here_both_survive() {
    let house = House::shared().await;
    let (claimed, session) = at_work(&house).await;
    let sessions = &house.tenant.sessions;
    let event = |seq, event| seen(&house, Some(&claimed), seq, event);
    sessions
        .observe(session, &event(1, Event::Thinking))
        .await
        .unwrap();
    sessions.observe(session, &event(2, working())).await.unwrap();
    let other = house.neighbour().await;
    let paused = tenant(&other).await;
    let paused = paused
        .sessions
        .command(&operator(), session, &Command::Pause)
        .await;
    assert!(paused.unwrap().applied().is_some());
    let over = sessions.observe(session, &event(3, done())).await.unwrap();
    assert!(over.durable && over.answer.applied().is_some());
    let state = sessions.state(session).await.unwrap();
    assert_eq!((state.row(), state.turn.number), (Row::Paused, 1));
    let history = sessions.history(session).await.unwrap();
    let rows: Vec<Row> = history.iter().map(|edge| edge.to).collect();
    assert!(
        rows.ends_with(&[Row::Thinking, Row::Working, Row::Completed, Row::Paused]),
        "{rows:?}"
    );
    house.engine.close().await;
}

/// SG-33
#[tokio::test]
async fn a_fenced_process_stops_driving_and_writes_nothing() {
    let house = House::shared().await;
    let (claimed, session) = at_work(&house).await;
    let sessions = &house.tenant.sessions;
    let event = |seq, event| seen(&house, Some(&claimed), seq, event);
    sessions
        .observe(session, &event(1, Event::Thinking))
        .await
        .unwrap();
    // Its lease expires, and another process ends the run.
    house.clock.advance(96);
    let other = house.neighbour().await;
    let recovery = other.recover(&super::house::NoOrphans).await.unwrap();
    assert_eq!(recovery.ended.len(), 1);
    let before = (
        sessions.require(session).await.unwrap(),
        house.event_count().await,
    );
    assert_eq!(before.0.state.row(), Row::Error);
    let refused = sessions.observe(session, &event(2, done())).await;
    assert!(matches!(refused, Err(CommandError::Fenced { .. })), "{refused:?}");
    settle().await;
    assert_eq!(sessions.at_work(), 0);
    let after = (
        sessions.require(session).await.unwrap(),
        house.event_count().await,
    );
    assert_eq!(after, before);
    // A further event finds a session that knows nothing of that run any more.
    let late = sessions.observe(session, &event(3, working())).await.unwrap();
    assert_eq!(late.answer, Answer::Ignored(Ignored::StaleRun));
    house.engine.close().await;
}

/// SG-35
#[tokio::test(start_paused = true)]
async fn ten_thousand_sessions_asleep_or_parked_cost_nothing_for_an_hour() {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let sessions = &house.tenant.sessions;
    let first = made(&house, "bert").await;
    let template = sessions.require(first).await.unwrap().into_inner();
    let rows = Records::<SessionRow>::new(house.tenant.space());
    let mut last = first;
    for _ in 0..100 {
        let mut batch = house.tenant.space().batch();
        for _ in 0..100 {
            last = SessionId::make(template.created_at, &house.engine.environment().random);
            let row = SessionRow {
                id: last,
                ..template.clone()
            };
            rows.stage_create(&mut batch, &row).unwrap();
        }
        house.tenant.space().commit(batch).await.unwrap();
    }
    let asker = Asker::new(&house).await;
    house.tenant.runs.started(&asker.claimed, None).await.unwrap();
    let thinking = seen(&house, Some(&asker.claimed), 1, Event::Thinking);
    sessions.observe(asker.session, &thinking).await.unwrap();
    let gate = open(&house, &asker.approval("1", "{}")).await;
    house
        .tenant
        .runs
        .park(&asker.claimed, gate.id, Duration::ZERO)
        .await
        .unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let engine = house.engine.clone();
    let serving = tokio::spawn(async move { engine.serve_due(async { drop(stopped.await) }).await });
    // A driver looks once a minute whether its silent run is there still.
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(sessions.at_work(), 0, "the parked run's driver has ended");
    let before = store.counts().operations();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(store.counts().operations(), before, "no read, no write");
    assert!(sessions.get(last).await.unwrap().is_some());
    assert!(sessions.state(asker.session).await.is_ok());
    assert_eq!(sessions.at_work(), 0, "a read starts no driver");
    drop(stop);
    serving.await.unwrap();
    house.engine.close().await;
}

/// The loop that serves deadlines does so at their time, with nobody telling it, and sleeps in between.
#[tokio::test(start_paused = true)]
async fn one_loop_makes_sessions_idle_and_expires_gates_in_their_time() {
    let house = House::in_memory().await;
    let engine = house.engine.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(async move { engine.serve_due(async { drop(stopped.await) }).await });
    settle().await;
    let session = completed(&house).await;
    let asker = Asker::next(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    pass(&house, 2).await;
    assert_eq!(
        (row(&house, session).await, idles(&house).await),
        (Row::Completed, 0)
    );
    pass(&house, 1).await;
    assert_eq!((row(&house, session).await, idles(&house).await), (Row::Idle, 1));
    let left = gate.expires_at.unwrap().duration_since(house.clock.now());
    pass(&house, left.as_secs() - 1).await;
    assert!(house.tenant.gates.get(gate.id).await.unwrap().is_pending());
    pass(&house, 1).await;
    assert_eq!(house.tenant.gates.get(gate.id).await.unwrap().word(), "expired");
    assert_eq!(idles(&house).await, 1);
    drop(stop);
    serving.await.unwrap();
}

/// Both clocks go on.
async fn pass(house: &House, seconds: i64) {
    house.clock.advance(seconds);
    let passed = SignedDuration::from_secs(seconds);
    tokio::time::sleep(Duration::try_from(passed).unwrap()).await;
    settle().await;
}

/// SG-42
#[tokio::test(start_paused = true)]
async fn each_exit_of_a_run_leaves_nothing_in_memory() {
    let house = House::shared().await;
    house.agent("alice").await;
    for exit in ["return", "error", "cancel", "end", "panic"] {
        let session = leaves(&house, exit).await;
        // A run whose holder panicked ends when its lease is over.
        if exit == "panic" {
            house.clock.advance(96);
            let other = house.neighbour().await;
            other.recover(&super::house::NoOrphans).await.unwrap();
        }
        // What is left in memory lingers for five seconds, and for the three of the idle; that a run was let go of is
        // seen within a minute.
        for _ in 0..if exit == "panic" { 24 } else { 4 } {
            pass(&house, 3).await;
        }
        let tenant = &house.tenant;
        let left = (
            house.engine.live().count(),
            tenant.sessions.at_work(),
            tenant.sessions.contexts(),
            tenant.gates.waiting(),
        );
        assert_eq!(left, (0, 0, 0, 0), "after {exit}");
        let state = tenant.sessions.state(session).await.unwrap();
        assert!(
            state.run.is_none() || state.row() == Row::Ended,
            "after {exit}: {state:?}"
        );
        // What a run asked that was lost and is tried again waits for the next attempt.
        assert!(state.gates.pending.is_empty() || exit == "panic", "after {exit}");
    }
}

/// A run at work, with a gate that is awaited and a context in use, exits so.
async fn leaves(house: &House, exit: &str) -> SessionId {
    let asker = Asker::next(house).await;
    let (session, tenant) = (asker.session, house.tenant.clone());
    let context = tenant.sessions.context(session).await.unwrap();
    let thinking = seen(house, Some(&asker.claimed), 1, Event::Thinking);
    context.observe(&thinking).await.unwrap();
    let gate = open(house, &asker.approval(exit, "{}")).await;
    let waiter = tokio::spawn({
        let (gates, gate) = (tenant.gates.clone(), gate.id);
        async move { gates.wait(gate).await }
    });
    settle().await;
    let (by, facts) = (operator(), facts());
    assert_eq!((tenant.sessions.at_work(), tenant.gates.waiting()), (1, 1));
    match exit {
        "return" => drop(
            tenant
                .runs
                .finish(&asker.claimed, &success(), &facts)
                .await
                .unwrap(),
        ),
        "error" => drop(
            tenant
                .runs
                .finish(&asker.claimed, &failed(true), &facts)
                .await
                .unwrap(),
        ),
        "cancel" => {
            tenant
                .tasks
                .cancel(&by, asker.claimed.task.id, None)
                .await
                .unwrap();
            asker.claimed.stop.stopped().await;
            tenant
                .runs
                .finish(&asker.claimed, &failed(false), &facts)
                .await
                .unwrap();
        }
        "end" => {
            let ended = tenant.sessions.end(&by, session, EndReason::Operator).await;
            assert!(ended.unwrap().applied().is_some() && context.is_cancelled());
            asker.claimed.stop.stopped().await;
            tenant
                .runs
                .finish(&asker.claimed, &failed(false), &facts)
                .await
                .unwrap();
        }
        _ => {
            let holder = tokio::spawn(async move {
                let _held = (asker, context);
                panic!("the worker's own");
            });
            assert!(holder.await.unwrap_err().is_panic());
            waiter.abort();
            return session;
        }
    }
    assert!(!waiter.await.unwrap().unwrap().is_pending(), "the waiter is told");
    session
}

/// A later attempt of the task whose turn waits goes on with it; another task's claim is refused then.
#[tokio::test]
async fn a_later_attempt_goes_on_with_the_turn_that_waits() {
    let house = House::shared().await;
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let task = asker.claimed.task.clone();
    let other = house.task(NewTask::new(name("alice"), "count the owls")).await;
    house.clock.advance(96);
    let next = house.neighbour().await;
    next.recover(&super::house::NoOrphans).await.unwrap();
    let state = house.tenant.sessions.state(asker.session).await.unwrap();
    assert_eq!((state.row(), state.run), (Row::Waiting, None), "the gate stays");
    let refused = claim_in(&house, &other, asker.session).await.unwrap_err();
    assert!(
        matches!(refused, CommandError::Rejected { event: "claim", .. }),
        "{refused:?}"
    );
    let task = house.tenant.tasks.get(task.id).await.unwrap().into_inner();
    let second = claim_in(&house, &task, asker.session).await.unwrap();
    let state = house.tenant.sessions.state(asker.session).await.unwrap();
    assert_eq!((state.row(), state.turn.number), (Row::Waiting, 1));
    assert_eq!(state.run.unwrap().as_str(), second.run.id.to_string());
    assert!(house.tenant.gates.get(gate.id).await.unwrap().is_pending());
}
