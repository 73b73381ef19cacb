//! Processes that are killed while they drive sessions: a child of this test is one, and dies without a word.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dormouse_engine::SessionId;
use dormouse_engine::run::ClaimOptions;
use dormouse_engine::session::{NewSession, SessionLive};
use dormouse_filesystem::Records;
use dormouse_state::{Answer, Event, Ignored, Row, Session};

use super::cut::KilledInTheEnd;
use super::gates::{Asker, open};
use super::house::{House, facts, operator, success};
use super::place::Place;
use super::sessions::{at_work, idles, row, seen, working};

/// What makes [`a_process`] one: what it does, and in which store.
const ROLE: &str = "DORMOUSE_TEST_SESSIONS_ROLE";
const STORE: &str = "DORMOUSE_TEST_SESSIONS_STORE";
/// How many events it tells, each acknowledged.
const FLIPS: u64 = 21;

/// Not a test: the process of the tests below.
#[tokio::test]
#[ignore = "the process that the crash tests start and kill"]
async fn a_process() {
    let (Ok(role), Ok(store)) = (std::env::var(ROLE), std::env::var(STORE)) else {
        return;
    };
    let house = House::at(Place::of_child(&store).await).await;
    let session = match role.as_str() {
        "completed" => completes(&house).await,
        "flips" => flips(&house).await,
        "gathered" => {
            let session = flips(&house).await;
            gathered(&house, session).await;
            session
        }
        "thinking" => thinks(&house).await,
        "parked" => parks(&house).await,
        other => panic!("there is no role {other}"),
    };
    println!("\nSESSION {session}");
    std::future::pending::<()>().await;
}

async fn completes(house: &House) -> SessionId {
    let (claimed, session) = at_work(house).await;
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    session
}

/// The `seq`-th event of the session that flips.
fn flip(house: &House, seq: u64) -> dormouse_state::Observed {
    let event = if seq % 2 == 1 { Event::Thinking } else { working() };
    seen(house, None, seq, event)
}

async fn flips(house: &House) -> SessionId {
    let new = NewSession::new(house.agent("alice").await);
    let made = house.tenant.sessions.create(&operator(), &new).await.unwrap();
    for seq in 1..=FLIPS {
        let told = house
            .tenant
            .sessions
            .observe(made.session, &flip(house, seq))
            .await;
        assert!(told.unwrap().answer.applied().is_some());
    }
    made.session
}

/// Until what was gathered is written.
async fn gathered(house: &House, session: SessionId) {
    let lives = Records::<SessionLive>::new(house.tenant.space());
    let mut hints = house.tenant.space().watch().await.unwrap();
    while lives.get(&session).await.unwrap().is_none() {
        let _ = tokio::time::timeout(Duration::from_millis(100), hints.next()).await;
    }
}

async fn thinks(house: &House) -> SessionId {
    let (claimed, session) = at_work(house).await;
    house.tenant.runs.started(&claimed, None).await.unwrap();
    let thinking = seen(house, Some(&claimed), 1, Event::Thinking);
    house.tenant.sessions.observe(session, &thinking).await.unwrap();
    session
}

async fn parks(house: &House) -> SessionId {
    let asker = Asker::new(house).await;
    house.tenant.runs.started(&asker.claimed, None).await.unwrap();
    let gate = open(house, &asker.approval("1", "{}")).await;
    let parked = house.tenant.runs.park(&asker.claimed, gate.id, Duration::ZERO);
    parked.await.unwrap();
    asker.session
}

/// Starts a process of this role on the store, and kills it once it has done what it does.
fn killed(place: &Place, role: &str) -> SessionId {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "stores::sessions_crash::a_process",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(ROLE, role)
        .env(STORE, place.reference().unwrap())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = KilledInTheEnd(child.unwrap());
    let session = told(&mut child.0);
    child.kill();
    session
}

fn told(child: &mut Child) -> SessionId {
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let told = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.strip_prefix("SESSION ")?.to_owned()));
    told.expect("it says it").parse().unwrap()
}

/// The store of a process that was killed, opened by the next one.
async fn after(place: Place, role: &str) -> (House, SessionId) {
    // Ids are seeded by how many engines a process had: the next process is to have others.
    drop(House::in_memory().await);
    let session = killed(&place, role);
    (House::at(place).await, session)
}

/// Every place that outlives its process.
fn places() -> Vec<Place> {
    [Some(Place::sled()), Place::postgres()]
        .into_iter()
        .flatten()
        .collect()
}

/// SG-30
#[tokio::test]
async fn a_session_whose_process_was_killed_within_the_three_seconds_becomes_idle_once_at_recovery() {
    for place in places() {
        let (house, session) = after(place, "completed").await;
        assert_eq!(row(&house, session).await, Row::Completed);
        house.clock.advance(3);
        house.recover().await;
        assert_eq!((row(&house, session).await, idles(&house).await), (Row::Idle, 1));
        house.recover().await;
        assert_eq!(idles(&house).await, 1);
    }
}

/// SG-32
#[tokio::test]
async fn what_a_kill_within_the_second_lost_is_the_same_again_when_it_is_told_again() {
    for role in ["flips", "gathered"] {
        for place in places() {
            let (house, session) = after(place, role).await;
            let sessions = &house.tenant.sessions;
            let mut expected = Session::new(
                dormouse_state::Options::default(),
                seen(&house, None, 1, working()).at,
            );
            let mut known = 0;
            for seq in 1..=FLIPS {
                let event = flip(&house, seq);
                let _ = expected.observe(&event, event.at);
                let told = sessions.observe(session, &event).await.unwrap();
                let is_new = told.answer.applied().is_some();
                let is_known = told.answer == Answer::Ignored(Ignored::Duplicate);
                assert!(is_new || is_known, "{:?}", told.answer);
                if is_known {
                    // What was durable and what was gathered is known; all after it is new.
                    assert_eq!(known + 1, seq, "{role}");
                    known = seq;
                }
            }
            assert!(known >= if role == "gathered" { 2 } else { 1 }, "{role} {known}");
            house.engine.close().await;
            let state = sessions.state(session).await.unwrap();
            assert_eq!(state, expected.snapshot());
            let history = sessions.history(session).await.unwrap();
            let sequences: Vec<u64> = history.iter().map(|edge| edge.sequence).collect();
            assert_eq!(sequences, (1..=FLIPS).collect::<Vec<_>>());
            let kinds = house.event_types().await;
            let begun = kinds
                .iter()
                .filter(|kind| *kind == "session.turn_started")
                .count();
            assert_eq!(begun, 1);
        }
    }
}

/// SG-38
#[tokio::test]
async fn a_killed_process_leaves_a_parked_run_waiting_with_its_gate() {
    for place in places() {
        let (house, session) = after(place, "parked").await;
        house.recover().await;
        let state = house.tenant.sessions.state(session).await.unwrap();
        assert_eq!((state.row(), state.gates.pending.len()), (Row::Waiting, 1));
        let gate: dormouse_engine::GateId = state
            .gates
            .pending
            .keys()
            .next()
            .unwrap()
            .as_str()
            .parse()
            .unwrap();
        let gate = house.tenant.gates.get(gate).await.unwrap();
        assert!(gate.is_pending());
        let approved = super::gates::approve(&house, &gate).await;
        assert_eq!(
            (approved.word(), row(&house, session).await),
            ("approved", Row::Queued)
        );
        let all = dormouse_engine::task::TaskFilter::default();
        let page = house.tenant.tasks.list(&all, None, 10).await;
        let task = page.unwrap().rows.remove(0).into_inner();
        let (runs, by) = (&house.tenant.runs, operator());
        let resumed = runs.claim(&by, task.id, ClaimOptions::default()).await.unwrap();
        assert_eq!(resumed.run.session, Some(session));
        let state = house.tenant.sessions.state(session).await.unwrap();
        assert_eq!(
            (state.row(), state.turn.number),
            (Row::Queued, 1),
            "it is the same turn"
        );
    }
}

/// SG-38
#[tokio::test]
async fn a_session_whose_process_was_killed_while_it_was_thinking_is_in_error_and_its_run_lost() {
    for place in places() {
        let (house, session) = after(place, "thinking").await;
        let recovery = house.recover().await;
        assert_eq!(recovery.ended.len(), 1);
        let state = house.tenant.sessions.state(session).await.unwrap();
        assert_eq!(state.row(), Row::Error);
        assert_eq!(state.last_error.unwrap().reason, "lost");
        assert!(state.run.is_none());
    }
}
