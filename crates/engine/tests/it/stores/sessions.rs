//! Sessions through their service, beside their runs.

use dormouse_engine::event::Change;
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::{CommandError, PrefixedId, Random, SessionId};
use dormouse_state::{Answer, Command, EndReason, Ignored, Mode, Rejected, Row};

use super::house::{House, facts, operator, success};

super::on_every_store! {
    a_read_of_an_unknown_session_makes_nothing;
    an_ended_session_begins_its_next_life_when_it_is_reopened;
    a_session_that_is_due_becomes_idle_at_recovery_once;
    a_session_that_is_not_due_yet_stays_completed_at_recovery;
    a_command_that_changes_nothing_writes_nothing;
}

fn some_session() -> SessionId {
    SessionId::make("2026-03-01T12:00:00Z".parse().unwrap(), &Random::seeded(77))
}

/// A run at work in a session.
async fn at_work(house: &House) -> (Claimed, SessionId) {
    let (task, session) = (house.ready_task().await, some_session());
    let options = ClaimOptions {
        session: Some(session),
        ..ClaimOptions::default()
    };
    let claimed = house
        .tenant
        .runs
        .claim(&operator(), task.id, options)
        .await
        .unwrap();
    (claimed, session)
}

/// A session whose only turn is completed.
async fn completed(house: &House) -> SessionId {
    let (claimed, session) = at_work(house).await;
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    assert_eq!(row(house, session).await, Row::Completed);
    session
}

async fn row(house: &House, session: SessionId) -> Row {
    house.tenant.sessions.require(session).await.unwrap().state.row()
}

async fn idles(house: &House) -> usize {
    let events = house.events().await;
    let is_idle = |event: &&dormouse_engine::event::Event| event.change() == Some(Change::SessionIdle {});
    events.iter().filter(is_idle).count()
}

async fn a_read_of_an_unknown_session_makes_nothing(house: House) {
    let before = house.event_count().await;
    let sessions = &house.tenant.sessions;
    assert!(sessions.get(some_session()).await.unwrap().is_none());
    let required = sessions.require(some_session()).await;
    assert!(matches!(
        required,
        Err(CommandError::NotFound { what: "session", .. })
    ));
    let told = sessions
        .command(&operator(), some_session(), &Command::Pause)
        .await;
    assert!(matches!(
        told,
        Err(CommandError::NotFound { what: "session", .. })
    ));
    assert_eq!(house.event_count().await, before);
}

async fn an_ended_session_begins_its_next_life_when_it_is_reopened(house: House) {
    let session = completed(&house).await;
    let sessions = &house.tenant.sessions;
    assert_eq!(sessions.reopen(&operator(), session).await.unwrap(), 1);
    let ended = sessions
        .end(&operator(), session, EndReason::Operator)
        .await
        .unwrap();
    assert!(ended.applied().is_some());
    let again = sessions
        .end(&operator(), session, EndReason::Operator)
        .await
        .unwrap();
    assert_eq!(again, Answer::Ignored(Ignored::Same));
    let paused = sessions
        .command(&operator(), session, &Command::Pause)
        .await
        .unwrap();
    assert_eq!(paused, Answer::Rejected(Rejected::Ended));
    assert_eq!(sessions.reopen(&operator(), session).await.unwrap(), 2);
    let state = sessions.require(session).await.unwrap().state.clone();
    assert_eq!(
        (state.row(), state.incarnation, state.turn.number),
        (Row::Initializing, 2, 1)
    );
}

async fn a_session_that_is_due_becomes_idle_at_recovery_once(house: House) {
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
