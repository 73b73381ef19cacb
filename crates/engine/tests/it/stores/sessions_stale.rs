//! Closing sessions of which nothing was heard for long.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::limits::SESSION_STALE;
use dormouse_engine::session::{NewSession, SessionLive, SessionRow};
use dormouse_engine::{Clock as _, SessionId};
use dormouse_filesystem::{RecordStore, Records};
use dormouse_state::{Command, Event, Row};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::gates::{Asker, open};
use super::hooked::Hooked;
use super::house::{House, operator, tenant_id};
use super::sessions::{made, row, seen, working};

const DAY: i64 = 24 * 60 * 60;

super::on_every_store! {
    /// What of it belongs to dreams is not built.
    a_day_of_silence_ends_a_session_once_and_a_second_less_does_not;
    who_waits_is_paused_or_has_a_run_is_left_open;
    of_two_that_close_at_once_each_session_is_ended_once;
    what_is_only_gathered_is_activity_too;
}

async fn closed(house: &House) -> Vec<SessionId> {
    let closed = house
        .tenant
        .sessions
        .close_stale(SESSION_STALE, None)
        .await
        .unwrap();
    assert!(closed.left.is_empty() && closed.next.is_none());
    closed.ended
}

async fn a_day_of_silence_ends_a_session_once_and_a_second_less_does_not(house: House) {
    let session = made(&house, "alice").await;
    house.clock.advance(DAY - 1);
    assert_eq!(closed(&house).await, []);
    house.clock.advance(1);
    let off = house
        .tenant
        .sessions
        .close_stale(Duration::ZERO, None)
        .await
        .unwrap();
    assert_eq!(off.ended, []);
    assert_eq!(closed(&house).await, [session]);
    assert_eq!(row(&house, session).await, Row::Ended);
    house.clock.advance(DAY);
    assert_eq!(closed(&house).await, []);
    let kinds = house.event_types().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "session.ended").count(), 1);
}

async fn who_waits_is_paused_or_has_a_run_is_left_open(house: House) {
    let asker = Asker::new(&house).await;
    open(&house, &asker.approval("1", "{}")).await;
    let (_claimed, bound) = {
        let bound = Asker::next(&house).await;
        (bound.claimed, bound.session)
    };
    let paused = made(&house, "bert").await;
    let told = house
        .tenant
        .sessions
        .command(&operator(), paused, &Command::Pause)
        .await;
    assert!(told.unwrap().applied().is_some());
    house.clock.advance(3 * DAY);
    assert_eq!(closed(&house).await, []);
    assert_eq!(row(&house, asker.session).await, Row::Waiting);
    assert_eq!(row(&house, bound).await, Row::Queued);
    assert_eq!(row(&house, paused).await, Row::Paused);
}

/// SG-44
async fn of_two_that_close_at_once_each_session_is_ended_once(house: House) {
    let mut made_ones = vec![made(&house, "alice").await];
    let new = NewSession::new(super::house::name("alice"));
    for _ in 0..7 {
        let created = house.tenant.sessions.create(&operator(), &new).await.unwrap();
        made_ones.push(created.session);
    }
    house.clock.advance(DAY);
    let other = house.neighbour().await;
    let elsewhere = other.tenant(&tenant_id()).await.unwrap();
    let (first, second) = tokio::join!(
        house.tenant.sessions.close_stale(SESSION_STALE, None),
        elsewhere.sessions.close_stale(SESSION_STALE, None)
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.left.is_empty() && second.left.is_empty());
    let mut ended = [first.ended, second.ended].concat();
    ended.sort_unstable();
    made_ones.sort_unstable();
    assert_eq!(ended, made_ones);
    let kinds = house.event_types().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "session.ended").count(), 8);
}

async fn what_is_only_gathered_is_activity_too(house: House) {
    let session = made(&house, "alice").await;
    let other = house.neighbour().await.tenant(&tenant_id()).await.unwrap();
    other
        .sessions
        .observe(session, &seen(&house, None, 1, Event::Thinking))
        .await
        .unwrap();
    house.clock.advance(DAY);
    let live = gathered(&house, session).await;
    let lives = Records::<SessionLive>::new(house.tenant.space());
    let live = lives.create(&live).await.unwrap();
    assert_eq!(closed(&house).await, []);
    house.clock.advance(DAY - 1);
    assert_eq!(closed(&house).await, []);
    // On another version of the row it counts no more.
    lives.remove(&live).await.unwrap();
    assert_eq!(closed(&house).await, [session]);
    house.engine.close().await;
}

/// What a driver of another process, which was killed, gathered of a session just now.
async fn gathered(house: &House, session: SessionId) -> SessionLive {
    let read = house.tenant.sessions.require(session).await.unwrap();
    let mut state = read.state.clone();
    state.activity_at = house.clock.now();
    SessionLive {
        id: session,
        base: read.version(),
        state,
        edges: Vec::new(),
        updated_at: read.updated_at,
    }
}

/// SG-44: one whose row cannot be believed keeps no other open.
#[tokio::test]
async fn one_that_fails_keeps_no_other_open() {
    let house = House::shared().await;
    let (bad, good) = (made(&house, "alice").await, made(&house, "bert").await);
    let rows = Records::<SessionRow>::new(house.tenant.space());
    let read = rows.get(&bad).await.unwrap().unwrap();
    let mut row_of_bad = SessionRow::clone(&read);
    row_of_bad.state.turn.phase = dormouse_state::Phase::Running;
    rows.replace(&read, &row_of_bad).await.unwrap();
    house.clock.advance(DAY);
    let closed = house
        .tenant
        .sessions
        .close_stale(SESSION_STALE, None)
        .await
        .unwrap();
    assert_eq!(closed.ended, [good]);
    assert_eq!(closed.left.len(), 1);
    assert_eq!(closed.left[0].session, bad);
}

/// SG-44: activity that is committed between the reading of a session and the commit of its end.
#[tokio::test]
async fn activity_between_read_and_commit_wins() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let session = made(&house, "alice").await;
    house.clock.advance(DAY);
    let other = house.neighbour().await.tenant(&tenant_id()).await.unwrap();
    let observed = seen(&house, None, 1, Event::Thinking);
    let (tell, told) = oneshot::channel();
    store.before_commit(async move {
        let observed = other.sessions.observe(session, &observed).await;
        tell.send(observed).unwrap();
    });
    assert_eq!(closed(&house).await, []);
    let told = told.await.unwrap().unwrap();
    assert!(told.durable && told.answer.applied().is_some());
    assert_eq!(row(&house, session).await, Row::Thinking);
    house.clock.advance(DAY);
    assert_eq!(closed(&house).await, [session]);
    house.engine.close().await;
}

/// SG-44: the same of activity that is only gathered, and so leaves the session's own row as it was.
#[tokio::test]
async fn activity_that_is_gathered_between_read_and_commit_wins() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let session = made(&house, "alice").await;
    house.clock.advance(DAY);
    let live = gathered(&house, session).await;
    let lives = Records::<SessionLive>::new(house.tenant.space());
    store.before_commit(async move {
        lives.create(&live).await.unwrap();
    });
    assert_eq!(closed(&house).await, []);
    house.clock.advance(DAY);
    assert_eq!(closed(&house).await, [session]);
    house.engine.close().await;
}

/// What a driver gathers is in no row for a second.
#[tokio::test(start_paused = true)]
async fn what_a_driver_of_this_process_has_heard_and_not_saved_is_activity_too() {
    let house = House::in_memory().await;
    let session = made(&house, "alice").await;
    let sessions = &house.tenant.sessions;
    for (seq, event) in [(1, Event::Thinking), (2, working())] {
        let observed = seen(&house, None, seq, event);
        sessions.observe(session, &observed).await.unwrap();
    }
    house.clock.advance(DAY);
    let observed = seen(&house, None, 3, Event::Thinking);
    let told = sessions.observe(session, &observed).await.unwrap();
    assert!(!told.durable && told.answer.applied().is_some());
    assert_eq!(closed(&house).await, []);
    assert_eq!(sessions.state(session).await.unwrap().row(), Row::Thinking);
    house.engine.close().await;
}

#[tokio::test]
async fn one_whose_row_is_damaged_is_said_and_keeps_no_other_open() {
    let house = House::in_memory().await;
    let (bad, good) = (made(&house, "alice").await, made(&house, "bert").await);
    house.spoil("session", &bad).await;
    house.clock.advance(DAY);
    let sessions = &house.tenant.sessions;
    let closed = sessions.close_stale(SESSION_STALE, None).await.unwrap();
    assert_eq!(closed.ended, [good]);
    let left: Vec<_> = closed.left.iter().map(|left| left.session).collect();
    assert_eq!(left, [bad]);
    assert_eq!(closed.left[0].error.code(), "corrupt");
}

/// The same of a driver that starts between the reading of a session and the commit of its end.
#[tokio::test(start_paused = true)]
async fn what_a_driver_that_starts_meanwhile_has_heard_and_not_saved_is_activity_too() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let session = made(&house, "alice").await;
    let sessions = house.tenant.sessions.clone();
    let observed = seen(&house, None, 1, Event::Thinking);
    sessions.observe(session, &observed).await.unwrap();
    // Until its driver has rested.
    sleep(Duration::from_secs(10)).await;
    assert_eq!(sessions.at_work(), 0);
    house.clock.advance(DAY);
    let observed = seen(&house, None, 2, working());
    let (tell, told) = oneshot::channel();
    let meanwhile = sessions.clone();
    store.after_read("session_live", async move {
        tell.send(meanwhile.observe(session, &observed).await).unwrap();
    });
    assert_eq!(closed(&house).await, []);
    let told = told.await.unwrap().unwrap();
    assert!(!told.durable && told.answer.applied().is_some());
    // What is gathered is in no row before that.
    house.engine.close().await;
    assert_eq!(sessions.state(session).await.unwrap().row(), Row::Working);
}
