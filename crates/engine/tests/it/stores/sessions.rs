//! Sessions through their service, beside their runs.

use dormouse_engine::event::Change;
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::session::{CreatedHow, External, NewSession, SessionOptions};
use dormouse_engine::task::{NewTask, Task};
use dormouse_engine::{CommandError, EngineOptions, PrefixedId, Random, SessionId};
use dormouse_state::{
    Answer, Command, Completion, EndReason, Event, Evidence, Ignored, Mode, Observed, Position, Rejected,
    Row, SourceId, Step, TodoItem, TodoStatus,
};

use super::gates::{Asker, try_open};
use super::house::{House, facts, operator, success, tenant_id};

super::on_every_store! {
    /// SG-40
    a_read_of_an_unknown_session_makes_nothing;
    /// SG-40
    a_session_made_twice_with_one_key_is_one_session;
    a_session_made_twice_under_one_name_at_its_provider_is_one_and_begins_its_next_life_after_its_end;
    /// SG-41
    a_session_that_was_reopened_refuses_all_of_its_former_life;
    a_session_that_is_due_becomes_idle_at_recovery_once;
    a_session_that_is_not_due_yet_stays_completed_at_recovery;
    a_command_that_changes_nothing_writes_nothing;
    the_work_of_a_turn_is_gathered_beside_the_row;
    a_claim_of_another_task_is_refused_while_a_run_is_at_it;
    the_end_of_a_session_stops_the_run_that_is_at_it;
    /// SG-26
    of_a_hundred_and_fifty_edges_the_newest_hundred_are_served;
}

pub(super) fn some_session() -> SessionId {
    SessionId::make("2026-03-01T12:00:00Z".parse().unwrap(), &Random::seeded(77))
}

/// A run at work in a session.
pub(super) async fn at_work(house: &House) -> (Claimed, SessionId) {
    let (task, session) = (house.ready_task().await, some_session());
    (claim_in(house, &task, session).await.unwrap(), session)
}

pub(super) async fn claim_in(
    house: &House,
    task: &Task,
    session: SessionId,
) -> Result<Claimed, CommandError> {
    let options = ClaimOptions {
        session: Some(session),
        ..ClaimOptions::default()
    };
    house.tenant.runs.claim(&operator(), task.id, options).await
}

/// A session whose only turn is completed.
pub(super) async fn completed(house: &House) -> SessionId {
    let (claimed, session) = at_work(house).await;
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    assert_eq!(row(house, session).await, Row::Completed);
    session
}

pub(super) async fn row(house: &House, session: SessionId) -> Row {
    house.tenant.sessions.require(session).await.unwrap().state.row()
}

pub(super) async fn idles(house: &House) -> usize {
    let events = house.events().await;
    let is_idle = |event: &&dormouse_engine::event::Event| event.change() == Some(Change::SessionIdle {});
    events.iter().filter(is_idle).count()
}

/// The `seq`-th event of a run's stream, or of a session without one.
pub(super) fn seen(house: &House, run: Option<&Claimed>, seq: u64, event: Event) -> Observed {
    use dormouse_engine::Clock as _;
    Observed {
        incarnation: 1,
        run: run.map(|claimed| dormouse_state::RunId::new(claimed.run.id.to_string())),
        source: SourceId::new("stream"),
        position: Position { spawn: 1, seq },
        subagent: false,
        starts_turn: false,
        evidence: Evidence::Formal,
        at: house.clock.now(),
        event,
    }
}

pub(super) fn working() -> Event {
    Event::Working {
        call: None,
        step: Step::Started,
    }
}

pub(super) fn done() -> Event {
    Event::TurnCompleted(Completion::Completed)
}

/// A session of a new agent that nothing is known about.
pub(super) async fn made(house: &House, agent: &str) -> SessionId {
    let new = NewSession::new(house.agent(agent).await);
    let created = house.tenant.sessions.create(&operator(), &new).await.unwrap();
    created.session
}

async fn a_read_of_an_unknown_session_makes_nothing(house: House) {
    let before = house.event_count().await;
    let sessions = &house.tenant.sessions;
    assert!(sessions.get(some_session()).await.unwrap().is_none());
    let observed = seen(&house, None, 1, Event::Thinking);
    let refusals = [
        sessions.require(some_session()).await.err(),
        sessions.state(some_session()).await.err(),
        sessions.context(some_session()).await.err(),
        sessions.observe(some_session(), &observed).await.err(),
        sessions
            .command(&operator(), some_session(), &Command::Pause)
            .await
            .err(),
    ];
    for refusal in refusals {
        let is_unknown = matches!(refusal, Some(CommandError::NotFound { what: "session", .. }));
        assert!(is_unknown, "{refusal:?}");
    }
    assert!(sessions.get(some_session()).await.unwrap().is_none());
    assert_eq!((house.event_count().await, sessions.at_work()), (before, 0));
}

async fn a_session_made_twice_with_one_key_is_one_session(house: House) {
    let new = NewSession {
        key: Some("the-morning".to_owned()),
        ..NewSession::new(house.agent("alice").await)
    };
    let sessions = &house.tenant.sessions;
    let (by, other) = (operator(), house.neighbour().await);
    let elsewhere = other.tenant(&tenant_id()).await.unwrap();
    let (first, second) = tokio::join!(sessions.create(&by, &new), elsewhere.sessions.create(&by, &new));
    let (first, second) = (first.unwrap(), second.unwrap());
    let again = sessions.create(&by, &new).await.unwrap();
    assert_eq!([second.session, again.session], [first.session; 2]);
    let made = [first, second, again].map(|created| created.how == CreatedHow::New);
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    let another = NewSession {
        key: Some("the-evening".to_owned()),
        ..new
    };
    let another = sessions.create(&by, &another).await.unwrap();
    assert_ne!(another.session, first.session);
    let made = house.event_types().await;
    assert_eq!(made.iter().filter(|kind| *kind == "session.created").count(), 2);
}

async fn a_session_made_twice_under_one_name_at_its_provider_is_one_and_begins_its_next_life_after_its_end(
    house: House,
) {
    let new = NewSession {
        external: Some(External {
            provider: "claude".to_owned(),
            id: "f1f2".to_owned(),
        }),
        ..NewSession::new(house.agent("alice").await)
    };
    let sessions = &house.tenant.sessions;
    let first = sessions.create(&operator(), &new).await.unwrap();
    let found = sessions.create(&operator(), &new).await.unwrap();
    assert_eq!((found.session, found.how), (first.session, CreatedHow::Found));
    let ended = sessions
        .end(&operator(), first.session, EndReason::Observed)
        .await;
    assert!(ended.unwrap().applied().is_some());
    let reopened = sessions.create(&operator(), &new).await.unwrap();
    assert_eq!(
        (reopened.session, reopened.incarnation, reopened.how),
        (first.session, 2, CreatedHow::Reopened)
    );
}

async fn a_session_that_was_reopened_refuses_all_of_its_former_life(house: House) {
    let (claimed, session) = at_work(&house).await;
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    let sessions = &house.tenant.sessions;
    let context = sessions.context(session).await.unwrap();
    assert_eq!(sessions.reopen(&operator(), session).await.unwrap(), 1);
    let by = operator();
    let ended = sessions.end(&by, session, EndReason::Operator).await.unwrap();
    assert!(ended.applied().is_some() && context.is_cancelled());
    let ended_at = sessions.require(session).await.unwrap().ends[0].at;
    house.clock.advance(60);
    let again = sessions.end(&by, session, EndReason::Operator).await.unwrap();
    assert_eq!(again, Answer::Ignored(Ignored::Same));
    let paused = sessions.command(&by, session, &Command::Pause).await.unwrap();
    assert_eq!(paused, Answer::Rejected(Rejected::Ended));
    assert_eq!(sessions.reopen(&by, session).await.unwrap(), 2);
    let life = sessions.require(session).await.unwrap();
    assert_eq!(
        (life.state.row(), life.state.incarnation, life.state.turn.number),
        (Row::Initializing, 2, 1)
    );
    for refused in [
        context.state().await.err(),
        context.command(&by, &Command::Pause).await.err(),
        context
            .observe(&seen(&house, None, 1, Event::Thinking))
            .await
            .err(),
    ] {
        let is_stale = matches!(refused, Some(CommandError::StaleIncarnation { current: 2, .. }));
        assert!(is_stale, "{refused:?}");
    }
    let late = sessions
        .observe(session, &seen(&house, None, 1, Event::Thinking))
        .await;
    assert_eq!(late.unwrap().answer, Answer::Rejected(Rejected::Incarnation));
    let asker = Asker { claimed, session };
    let gate = try_open(&house, &asker.approval("late", "{}")).await;
    let is_refused = matches!(
        gate,
        Err(dormouse_engine::gate::GateError::StaleIncarnation { current: 2, .. })
    );
    assert!(is_refused, "{gate:?}");
    let ended = sessions.end(&by, session, EndReason::Operator).await;
    assert!(ended.unwrap().applied().is_some());
    let ends = sessions.require(session).await.unwrap().ends.clone();
    assert_eq!((ends.len(), ends[0].at), (2, ended_at));
}

pub(super) async fn a_session_that_is_due_becomes_idle_at_recovery_once(house: House) {
    let session = completed(&house).await;
    let house = house.reopened().await;
    house.clock.advance(3);
    house.recover().await;
    assert_eq!((row(&house, session).await, idles(&house).await), (Row::Idle, 1));
    house.recover().await;
    assert_eq!(idles(&house).await, 1);
}

async fn a_session_that_is_not_due_yet_stays_completed_at_recovery(house: House) {
    let session = completed(&house).await;
    let house = house.reopened().await;
    house.clock.advance(2);
    house.recover().await;
    assert_eq!(
        (row(&house, session).await, idles(&house).await),
        (Row::Completed, 0)
    );
}

async fn a_command_that_changes_nothing_writes_nothing(house: House) {
    let (_claimed, session) = at_work(&house).await;
    let sessions = &house.tenant.sessions;
    let version = sessions.require(session).await.unwrap().version();
    let same = Command::SetMode { mode: Mode::Ask };
    let told = sessions.command(&operator(), session, &same).await.unwrap();
    assert_eq!(told, Answer::Ignored(Ignored::Same));
    assert_eq!(sessions.require(session).await.unwrap().version(), version);
}

/// The events of a turn are counted once, also over a restart.
async fn the_work_of_a_turn_is_gathered_beside_the_row(house: House) {
    let session = made(&house, "alice").await;
    let sessions = &house.tenant.sessions;
    let thinking = seen(&house, None, 1, Event::Thinking);
    let first = sessions.observe(session, &thinking).await.unwrap();
    assert!(first.durable, "a turn began");
    let version = sessions.require(session).await.unwrap().version();
    let second = seen(&house, None, 2, working());
    assert!(!sessions.observe(session, &second).await.unwrap().durable);
    assert_eq!(sessions.require(session).await.unwrap().version(), version);
    let closed = house.engine.close().await;
    assert_eq!((closed.unsaved.len(), sessions.at_work()), (0, 0));
    assert_eq!(row(&house, session).await, Row::Working);
    let house = house.reopened().await;
    let sessions = &house.tenant.sessions;
    let again = sessions.observe(session, &second).await.unwrap();
    assert_eq!(again.answer, Answer::Ignored(Ignored::Duplicate));
    let history = sessions.history(session).await.unwrap();
    let rows: Vec<_> = history.iter().map(|edge| (edge.from, edge.to)).collect();
    assert_eq!(
        rows,
        [(Row::Initializing, Row::Thinking), (Row::Thinking, Row::Working)]
    );
    house.engine.close().await;
}

async fn a_claim_of_another_task_is_refused_while_a_run_is_at_it(house: House) {
    let (claimed, session) = at_work(&house).await;
    let alice = claimed.run.agent.clone();
    let other = house.task(NewTask::new(alice.clone(), "count the owls")).await;
    let refused = claim_in(&house, &other, session).await.unwrap_err();
    let is_busy = matches!(refused, CommandError::Rejected { event: "claim", .. });
    assert!(is_busy, "{refused:?}");
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    let next = claim_in(&house, &other, session).await.unwrap();
    let state = house.tenant.sessions.state(session).await.unwrap();
    assert_eq!((state.row(), state.turn.number), (Row::Queued, 2));
    runs.finish(&next, &success(), &facts()).await.unwrap();
    let by = operator();
    let paused = house.tenant.sessions.command(&by, session, &Command::Pause).await;
    assert!(paused.unwrap().applied().is_some());
    let third = house.task(NewTask::new(alice, "count the mice")).await;
    let refused = claim_in(&house, &third, session).await.unwrap_err();
    let is_paused = matches!(refused, CommandError::Rejected { state: "paused", .. });
    assert!(is_paused, "{refused:?}");
}

async fn the_end_of_a_session_stops_the_run_that_is_at_it(house: House) {
    let (claimed, session) = at_work(&house).await;
    let sessions = &house.tenant.sessions;
    let ended = sessions.end(&operator(), session, EndReason::Operator).await;
    assert!(ended.unwrap().applied().is_some());
    claimed.stop.stopped().await;
    let run = house.tenant.runs.get(claimed.run.id).await.unwrap().run;
    assert_eq!(run.state, dormouse_engine::run::RunState::Stopping);
    let (failed, facts) = (super::house::failed(false), facts());
    let finished = house.tenant.runs.finish(&claimed, &failed, &facts).await;
    let outcome = finished.unwrap().outcome.outcome;
    assert_eq!(outcome.name(), "cancelled");
    assert_eq!(row(&house, session).await, Row::Ended);
}

async fn of_a_hundred_and_fifty_edges_the_newest_hundred_are_served(house: House) {
    let session = made(&house, "alice").await;
    let sessions = &house.tenant.sessions;
    for turn in 0..75 {
        let thinking = seen(&house, None, turn * 2 + 1, Event::Thinking);
        sessions.observe(session, &thinking).await.unwrap();
        let over = seen(&house, None, turn * 2 + 2, done());
        sessions.observe(session, &over).await.unwrap();
        house.clock.advance(2);
    }
    for denied in 0..6 {
        let event = Event::PermissionDenied {
            tool: format!("tool {denied}"),
            call: None,
        };
        let denied = seen(&house, None, 200 + denied, event);
        sessions.observe(session, &denied).await.unwrap();
    }
    let items = (0..101).map(|nth| TodoItem {
        text: format!("item {nth}"),
        status: TodoStatus::Pending,
    });
    let items = items.collect();
    let planned = seen(&house, None, 300, Event::TodoUpdated { items });
    sessions.observe(session, &planned).await.unwrap();
    house.engine.close().await;
    let state = sessions.state(session).await.unwrap();
    let denied: Vec<&str> = state.denials.iter().map(|denial| denial.tool.as_str()).collect();
    assert_eq!(denied, ["tool 5", "tool 4", "tool 3", "tool 2", "tool 1"]);
    assert_eq!((state.todo.items.len(), state.todo.is_cut), (100, true));
    let history = sessions.history(session).await.unwrap();
    let sequences: Vec<u64> = history.iter().map(|edge| edge.sequence).collect();
    let newest: Vec<u64> = (51..=150).collect();
    assert_eq!(sequences, newest);
}

#[tokio::test]
async fn a_session_that_says_no_mode_has_that_of_the_settings() {
    let house = House::in_memory().await;
    let alice = house.agent("alice").await;
    let options = EngineOptions {
        sessions: SessionOptions {
            mode: Mode::Deny,
            ..SessionOptions::default()
        },
        ..EngineOptions::default()
    };
    let set = house.neighbour_set(options).await;
    let sessions = set.tenant(&tenant_id()).await.unwrap().sessions;
    for (said, mode) in [(None, Mode::Deny), (Some(Mode::Rules), Mode::Rules)] {
        let new = NewSession {
            mode: said,
            ..NewSession::new(alice.clone())
        };
        let made = sessions.create(&operator(), &new).await.unwrap();
        assert_eq!(sessions.require(made.session).await.unwrap().state.mode, mode);
    }
}

#[tokio::test]
async fn settings_say_how_many_sessions_an_agent_has_and_how_many_moves_a_session_keeps() {
    let house = House::in_memory().await;
    let alice = house.agent("alice").await;
    let options = EngineOptions {
        sessions: SessionOptions {
            open_max: 2,
            history_max: 3,
            ..SessionOptions::default()
        },
        ..EngineOptions::default()
    };
    let engine = house.neighbour_set(options).await;
    let sessions = engine.tenant(&tenant_id()).await.unwrap().sessions;
    let new = NewSession::new(alice.clone());
    let first = sessions.create(&operator(), &new).await.unwrap().session;
    sessions.create(&operator(), &new).await.unwrap();
    let refused = sessions.create(&operator(), &new).await.unwrap_err();
    assert!(
        matches!(&refused, CommandError::TooManySessions { agent } if *agent == alice),
        "{refused:?}"
    );
    for seq in 1..=5 {
        let event = if seq % 2 == 1 { Event::Thinking } else { working() };
        sessions
            .observe(first, &seen(&house, None, seq, event))
            .await
            .unwrap();
    }
    engine.close().await;
    let history = sessions.history(first).await.unwrap();
    let sequences: Vec<u64> = history.iter().map(|edge| edge.sequence).collect();
    assert_eq!(sequences, [3, 4, 5]);
}
