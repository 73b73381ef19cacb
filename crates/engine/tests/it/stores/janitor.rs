//! What is old goes: silent sessions end, and gates lose their content and then their rows.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::gate::{Caller, Gate, GateFilter, NewGate, OpenedHow};
use dormouse_engine::{Cleared, Clock as _, EngineOptions};
use dormouse_filesystem::wrapper::{Fault, FaultKind, Operation};
use dormouse_filesystem::{Entry, Memory, RecordStore, Records};
use dormouse_state::Row;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::gates::{Asker, approve, open, status, try_open};
use super::hooked::Hooked;
use super::house::{House, facts, success};
use super::sessions::{completed, row};

const DAY: i64 = 24 * 60 * 60;

super::on_every_store! {
    a_janitor_ends_silent_sessions_and_clears_away_what_gates_leave;
    /// SG-72, with `a_session_keeps_its_newest_100_ended_gates_whole`.
    a_janitor_erases_what_a_session_has_beyond_its_newest_gates;
}

/// How many gates have their content still.
async fn whole(house: &House) -> usize {
    let page = house
        .tenant
        .gates
        .list(&GateFilter::default(), None, 1000)
        .await
        .unwrap();
    page.rows.iter().filter(|gate| gate.content.is_some()).count()
}

async fn a_janitor_ends_silent_sessions_and_clears_away_what_gates_leave(house: House) {
    let silent = completed(&house).await;
    let asker = Asker::next(&house).await;
    let decided = open(&house, &asker.approval("1", "{}")).await;
    approve(&house, &decided).await;
    let waiting = open(&house, &asker.approval("2", "{}")).await;
    let mut janitor = house.engine.janitor();
    assert_eq!(
        janitor.look().await.unwrap(),
        Cleared::default(),
        "nothing is old"
    );
    house.clock.advance(DAY + 1);
    let cleared = janitor.look().await.unwrap();
    assert_eq!(
        cleared,
        Cleared {
            sessions: 1,
            ..Cleared::default()
        }
    );
    assert_eq!(row(&house, silent).await, Row::Ended);
    assert_eq!(
        row(&house, asker.session).await,
        Row::Waiting,
        "a person is asked"
    );
    house.clock.advance(90 * DAY);
    let cleared = janitor.look().await.unwrap();
    assert_eq!(
        cleared,
        Cleared {
            erased: 1,
            ..Cleared::default()
        }
    );
    assert_eq!(
        (status(&house, &decided).await.as_str(), whole(&house).await),
        ("approved", 1)
    );
    house.clock.advance(90 * DAY);
    let cleared = janitor.look().await.unwrap();
    assert_eq!(
        cleared,
        Cleared {
            removed: 1,
            ..Cleared::default()
        }
    );
    assert!(house.tenant.gates.get(decided.id).await.is_err());
    assert_eq!(status(&house, &waiting).await, "pending");
    assert_eq!(janitor.look().await.unwrap(), Cleared::default());
    // The next one finds nothing either.
    assert_eq!(house.engine.janitor().look().await.unwrap(), Cleared::default());
}

async fn a_janitor_erases_what_a_session_has_beyond_its_newest_gates(house: House) {
    let asker = Asker::new(&house).await;
    let mut janitor = house.engine.janitor();
    for nth in 0..110 {
        house.clock.advance(1);
        let gate = open(&house, &asker.approval(&nth.to_string(), "{}")).await;
        approve(&house, &gate).await;
        if nth == 50 {
            assert_eq!(janitor.look().await.unwrap(), Cleared::default());
        }
    }
    house.clock.advance(1);
    assert_eq!(janitor.look().await.unwrap().erased, 10);
    assert_eq!(whole(&house).await, 100);
    assert_eq!(janitor.look().await.unwrap().erased, 0);
}

/// It looks by itself, soon at first, and then as often as it is set to.
#[tokio::test(start_paused = true)]
async fn a_janitor_looks_every_ten_minutes_until_it_is_told_to_leave() {
    let house = House::in_memory().await;
    let every = EngineOptions::default().janitor_every;
    assert_eq!(every, Duration::from_secs(600));
    let (leave, left) = oneshot::channel::<()>();
    let engine = house.engine.clone();
    let serving = tokio::spawn(async move { engine.serve_janitor(async { drop(left.await) }).await });
    let first = completed(&house).await;
    house.clock.advance(DAY + 1);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(row(&house, first).await, Row::Completed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(row(&house, first).await, Row::Ended);
    let asker = Asker::next(&house).await;
    let runs = &house.tenant.runs;
    runs.finish(&asker.claimed, &success(), &facts()).await.unwrap();
    house.clock.advance(DAY + 1);
    tokio::time::sleep(every - Duration::from_secs(10)).await;
    assert_eq!(row(&house, asker.session).await, Row::Completed, "not yet");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(row(&house, asker.session).await, Row::Ended);
    leave.send(()).unwrap();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_gate_that_was_taken_over_takes_all_its_keys_with_it() {
    let house = House::in_memory().await;
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    let next = NewGate {
        caller: Some(Caller {
            spawn: 2,
            ..asker.caller()
        }),
        ..asker.approval("2", "{}")
    };
    let adopted = try_open(&house, &next).await.unwrap();
    assert_eq!((adopted.gate.id, adopted.how), (gate.id, OpenedHow::Adopted));
    approve(&house, &gate).await;
    let keys = async || {
        let entries = house.entries().await;
        let is_key = |entry: &&Entry| entry.kind.as_str() == "gate_key";
        entries.iter().filter(is_key).count()
    };
    assert_eq!(keys().await, 2);
    house.clock.advance(181 * DAY);
    assert_eq!(house.engine.janitor().look().await.unwrap().removed, 1);
    assert_eq!(keys().await, 0);
}

/// One look, at what was written again between the janitor's read and its commit.
#[tokio::test]
async fn a_gate_that_is_written_meanwhile_is_cleared_away_by_the_same_look() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    approve(&house, &gate).await;
    let mut janitor = house.engine.janitor();
    house.clock.advance(91 * DAY);
    store.before_commit(written_again(&house, &gate));
    assert_eq!(janitor.look().await.unwrap().erased, 1);
    assert_eq!(whole(&house).await, 0);
    house.clock.advance(90 * DAY);
    store.before_commit(written_again(&house, &gate));
    assert_eq!(janitor.look().await.unwrap().removed, 1);
    assert!(house.tenant.gates.get(gate.id).await.is_err());
}

/// Another process writes a gate's row.
fn written_again(house: &House, gate: &Gate) -> impl Future<Output = ()> + Send + 'static {
    let rows = Records::<Gate>::new(house.tenant.space());
    let (id, now) = (gate.id, house.clock.now());
    async move {
        let read = rows.get(&id).await.unwrap().unwrap();
        let again = Gate {
            updated_at: now,
            ..Gate::clone(&read)
        };
        rows.replace(&read, &again).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_gate_keeps_no_other_from_being_cleared_away() {
    let house = House::in_memory().await;
    let asker = Asker::new(&house).await;
    let mut gates = Vec::new();
    for call in ["1", "2", "3"] {
        house.clock.advance(1);
        let gate = open(&house, &asker.approval(call, "{}")).await;
        gates.push(approve(&house, &gate).await);
    }
    house.spoil("gate", &gates[0].id).await;
    // Of this one the row is whole, and what would go with it is not.
    house.spoil("capability", &gates[1].id).await;
    house.clock.advance(181 * DAY);
    assert_eq!(house.engine.janitor().look().await.unwrap().removed, 1);
    assert!(house.tenant.gates.get(gates[1].id).await.is_ok());
    assert!(house.tenant.gates.get(gates[2].id).await.is_err());
}

#[tokio::test]
async fn what_another_janitor_erased_meanwhile_is_not_erased_again() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let asker = Asker::new(&house).await;
    let gate = open(&house, &asker.approval("1", "{}")).await;
    approve(&house, &gate).await;
    house.clock.advance(91 * DAY);
    let (mut other, gates) = (house.neighbour().await.janitor(), house.tenant.gates.clone());
    let (tell, told) = oneshot::channel();
    store.before_commit(async move {
        assert_eq!(other.look().await.unwrap().erased, 1);
        tell.send(gates.get(gate.id).await.unwrap().version()).unwrap();
    });
    assert_eq!(house.engine.janitor().look().await.unwrap().erased, 0);
    let row = house.tenant.gates.get(gate.id).await.unwrap();
    assert_eq!(row.version(), told.await.unwrap(), "it was not written again");
}

#[tokio::test(start_paused = true)]
async fn sessions_that_could_not_be_looked_through_are_at_the_next_look() {
    let store = Arc::new(Fault::scripted(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    house.agent("alice").await;
    for _ in 0..2 {
        let asker = Asker::next(&house).await;
        for nth in 0..102 {
            let gate = open(&house, &asker.approval(&nth.to_string(), "{}")).await;
            approve(&house, &gate).await;
        }
    }
    house.clock.advance(1);
    let mut janitor = house.engine.janitor();
    store.always(Operation::Commit, Some(FaultKind::Refuse));
    assert_eq!(janitor.look().await.unwrap(), Cleared::default());
    assert_eq!(whole(&house).await, 204);
    store.always(Operation::Commit, None);
    assert_eq!(janitor.look().await.unwrap().erased, 4);
    assert_eq!(whole(&house).await, 200);
    assert_eq!(janitor.look().await.unwrap().erased, 0);
}
