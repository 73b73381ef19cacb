//! Parking: a run that waits for a person holds nothing, and the next claim of its task goes on with it.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::gate::{Choice, Gate, GateStatus};
use dormouse_engine::run::{ClaimOptions, Claimed, Parked, RunState, RunWait, Started};
use dormouse_engine::task::{Task, TaskState, Wait};
use dormouse_engine::{CommandError, GateId, TaskId};
use dormouse_filesystem::RecordStore;
use dormouse_state::{Command, Display, Invalidation};

use super::gates::{self, Asker};
use super::hooked::Hooked;
use super::house::{House, facts, operator, success};

/// What it used of its wall clock.
const USED: Duration = Duration::from_millis(1500);

async fn open(house: &House, asker: &Asker) -> Gate {
    gates::open(house, &asker.approval("call-1", "{}")).await
}

async fn decide(house: &House, gate: &Gate, choice: Choice) -> Gate {
    let decide = gates::shown(house, gate, choice).await;
    house.tenant.gates.decide(&operator(), &decide).await.unwrap()
}

async fn at_work(house: &House) -> Asker {
    let asker = Asker::new(house).await;
    let started = house.tenant.runs.started(&asker.claimed, None).await.unwrap();
    assert_eq!(started, Started::Go);
    asker
}

async fn park(house: &House, asker: &Asker, gate: GateId) -> Result<Parked, CommandError> {
    house.tenant.runs.park(&asker.claimed, gate, USED).await
}

async fn task(house: &House, asker: &Asker) -> Task {
    let id: TaskId = asker.claimed.run.task.unwrap();
    house.tenant.tasks.get(id).await.unwrap().into_inner()
}

async fn claim(house: &House, asker: &Asker) -> Result<Claimed, CommandError> {
    let task = asker.claimed.run.task.unwrap();
    let options = ClaimOptions {
        session: Some(asker.session),
        ..ClaimOptions::default()
    };
    house.tenant.runs.claim(&operator(), task, options).await
}

async fn a_parked_run_is_held_by_nobody_and_goes_on_when_its_gate_is_decided(house: House) {
    let asker = at_work(&house).await;
    let gate = open(&house, &asker).await;
    let parked = park(&house, &asker, gate.id).await.unwrap();
    assert_eq!(parked.run.state, RunState::Waiting);
    assert_eq!(parked.run.wait, Some(RunWait::Gate { gate: gate.id }));
    let on = Wait::Gate { gate: gate.id };
    assert_eq!(task(&house, &asker).await.state, TaskState::Waiting { on });
    let again = park(&house, &asker, gate.id).await.unwrap();
    assert_eq!(again, parked, "the same again is answered as the first time");
    // Nobody holds it: not who did, and no recovery ends it.
    let beat = house.tenant.runs.heartbeat(&asker.claimed, None).await;
    assert!(matches!(beat, Err(CommandError::Fenced { .. })), "{beat:?}");
    let finished = house
        .tenant
        .runs
        .finish(&asker.claimed, &success(), &facts())
        .await;
    assert!(
        matches!(finished, Err(CommandError::Fenced { .. })),
        "{finished:?}"
    );
    let successor = house.successor().await;
    let recovery = successor.recover(&super::house::NoOrphans).await.unwrap();
    assert!(recovery.is_empty(), "{recovery:?}");
    assert_eq!(asker.display(&house).await, Display::AwaitingHuman);
    let early = claim(&house, &asker).await;
    assert!(matches!(early, Err(CommandError::Rejected { .. })), "{early:?}");
    let decided = decide(&house, &gate, gates::yes()).await;
    assert_eq!(decided.word(), GateStatus::Approved.word());
    assert_eq!(task(&house, &asker).await.state, TaskState::Ready);
    assert_eq!(
        asker.display(&house).await,
        Display::Queued,
        "nobody works on it yet"
    );
    let claimed = claim(&house, &asker).await.unwrap();
    assert_eq!(claimed.run.id, asker.claimed.run.id);
    assert_eq!(
        (claimed.run.spawn, claimed.run.clock_ms, claimed.run.attempt),
        (2, 1500, 1)
    );
    assert_eq!(
        house.tenant.runs.started(&claimed, None).await.unwrap(),
        Started::Go
    );
    assert_eq!(asker.display(&house).await, Display::Working);
    let finished = house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    assert_eq!(finished.run.state, RunState::Ended);
}

async fn a_gate_that_is_decided_while_its_run_parks_makes_the_task_ready(house: House) {
    let asker = at_work(&house).await;
    let gate = open(&house, &asker).await;
    decide(&house, &gate, Choice::Reject).await;
    let parked = park(&house, &asker, gate.id).await.unwrap();
    assert_eq!(parked.run.state, RunState::Waiting);
    assert_eq!(task(&house, &asker).await.state, TaskState::Ready);
    let claimed = claim(&house, &asker).await.unwrap();
    assert_eq!(claimed.run.id, asker.claimed.run.id);
}

async fn a_run_that_is_told_to_stop_is_not_parked_and_a_parked_one_ends_with_its_task(house: House) {
    let asker = at_work(&house).await;
    let gate = open(&house, &asker).await;
    let id = asker.claimed.run.task.unwrap();
    house.tenant.tasks.cancel(&operator(), id, None).await.unwrap();
    let refused = park(&house, &asker, gate.id).await;
    assert!(
        matches!(refused, Err(CommandError::Rejected { .. })),
        "{refused:?}"
    );
    house
        .tenant
        .runs
        .finish(&asker.claimed, &success(), &facts())
        .await
        .unwrap();

    let other = Asker::next(&house).await;
    house.tenant.runs.started(&other.claimed, None).await.unwrap();
    let gate = open(&house, &other).await;
    park(&house, &other, gate.id).await.unwrap();
    let id = other.claimed.run.task.unwrap();
    let cancelled = house.tenant.tasks.cancel(&operator(), id, None).await.unwrap();
    assert_eq!(cancelled.state, TaskState::Cancelled);
    let row = house.tenant.runs.get(other.claimed.run.id).await.unwrap();
    assert_eq!(row.run.state, RunState::Ended);
    assert_eq!(row.outcome.unwrap().outcome.name(), "cancelled");
    let gate = house.tenant.gates.get(gate.id).await.unwrap();
    assert_eq!(gate.word(), GateStatus::Invalidated.word());
}

/// An engine over a store in whose way the test stands, and a run at work in it that has asked.
async fn asked_in_hooked() -> (Arc<Hooked>, House, Arc<Asker>, Gate) {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let asker = at_work(&house).await;
    let gate = open(&house, &asker).await;
    (store, house, Arc::new(asker), gate)
}

/// Parks the run between what the next command reads and what it writes.
fn park_in_between(store: &Hooked, house: &House, asker: &Arc<Asker>, gate: GateId) {
    let (runs, asker) = (house.tenant.runs.clone(), Arc::clone(asker));
    store.before_commit(async move {
        let parked = runs.park(&asker.claimed, gate, USED).await.unwrap();
        assert!(matches!(parked.task.unwrap().state, TaskState::Waiting { .. }));
    });
}

#[tokio::test]
async fn a_run_that_parks_while_its_gate_is_decided_waits_for_nothing() {
    let (store, house, asker, gate) = asked_in_hooked().await;
    let decide = gates::shown(&house, &gate, gates::yes()).await;
    park_in_between(&store, &house, &asker, gate.id);
    let decided = house.tenant.gates.decide(&operator(), &decide).await.unwrap();
    assert_eq!(decided.word(), "approved");
    assert_eq!(task(&house, &asker).await.state, TaskState::Ready);
    let capability = house.tenant.capabilities.get(gate.id).await.unwrap().unwrap();
    assert!(capability.stands_since.is_some(), "nobody is there to use it");
}

#[tokio::test]
async fn a_run_that_parks_while_its_gate_loses_its_meaning_waits_for_nothing() {
    let (store, house, asker, gate) = asked_in_hooked().await;
    park_in_between(&store, &house, &asker, gate.id);
    let gates = &house.tenant.gates;
    assert!(gates.invalidate(gate.id, Invalidation::Superseded).await.unwrap());
    assert_eq!(task(&house, &asker).await.state, TaskState::Ready);

    // The same where its session ends its turn.
    let (store, house, asker, gate) = asked_in_hooked().await;
    park_in_between(&store, &house, &asker, gate.id);
    let begin = Command::BeginTurn { expected_turn: None };
    let begun = house
        .tenant
        .sessions
        .command(&operator(), asker.session, &begin)
        .await;
    assert!(begun.unwrap().applied().is_some());
    let gate = house.tenant.gates.get(gate.id).await.unwrap();
    assert_eq!(gate.word(), GateStatus::Invalidated.word());
    assert_eq!(task(&house, &asker).await.state, TaskState::Ready);
}

super::on_every_store! {
    a_parked_run_is_held_by_nobody_and_goes_on_when_its_gate_is_decided;
    a_gate_that_is_decided_while_its_run_parks_makes_the_task_ready;
    a_run_that_is_told_to_stop_is_not_parked_and_a_parked_one_ends_with_its_task;
}
