//! Gates and capabilities of a process that is killed, and of several that live: on sled and on a server.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use dormouse_engine::capability::{CapabilityEnd, CapabilityState};
use dormouse_engine::gate::{
    Choice, Decide, Gate, GateError, GateFilter, NewGate, OpenedHow, Restart, Timeout,
};
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::{Channel, GateId, Principal, SessionId, TaskId};
use tokio::time::Instant;

use super::gates::{Asker, approve, events, open, shown, try_open, yes};
use super::house::{House, operator};
use super::on_sled_and_postgres;
use super::place::Place;

/// What a child is told: its store, its seat, and what it is to do.
const CHILD: &str = "DORMOUSE_TEST_GATES_CHILD";

on_sled_and_postgres! {
    /// SG-50, with `a_restart_adds_no_time_and_pulls_in_what_is_too_far_away`.
    a_killed_process_adds_no_time_to_a_gate;
    /// SG-51, with `a_live_gate_of_another_machine_is_left_alone`.
    under_invalidate_the_gates_of_a_killed_process_end_by_one_event_each;
    /// SG-54
    a_lost_run_leaves_its_gate_to_the_next_attempt_once;
    /// SG-56
    what_was_not_stored_was_never_shown_and_a_decision_stands_without_its_waiter;
    /// SG-76
    what_was_claimed_is_usable_and_what_was_under_way_is_never_replayed;
}

/// A process beside the test.
pub(super) struct Child {
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub(super) fn start(place: &Place, seat: &str, task: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "stores::gates_crash::a_child_of_the_tests_here",
                "--nocapture",
            ])
            .env(CHILD, format!("{}|{seat}|{task}", place.told()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    /// The next thing it says.
    pub(super) fn said(&mut self) -> Vec<String> {
        let mut line = String::new();
        // Ends with what it says, or with its output.
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the child ended");
            if let Some(said) = line.trim_end().strip_prefix("said ") {
                return said.split(' ').map(str::to_owned).collect();
            }
        }
    }

    fn tell(&mut self, text: &str) {
        writeln!(self.input, "{text}").unwrap();
    }

    /// By the signal that no process hears.
    pub(super) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended, or been killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[allow(clippy::print_stdout, reason = "it is how a child speaks")]
pub(super) fn say(text: impl std::fmt::Display) {
    println!("\nsaid {text}");
    std::io::stdout().flush().unwrap();
}

/// What the house of the tests is on, where the store can be shared.
pub(super) const SEAT: &str = "under the oak";

/// Does nothing but as a child of the other tests here.
#[tokio::test]
async fn a_child_of_the_tests_here() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [place, seat, task] = told.split('|').collect::<Vec<_>>()[..] else {
        panic!("{told}")
    };
    let house = House::told(place, seat).await;
    match task.split(' ').collect::<Vec<_>>()[..] {
        ["asks"] => asks(&house).await,
        ["is-about-to-ask"] => {
            Asker::new(&house).await;
            say("about-to");
        }
        ["decides"] => decides(&house).await,
        ["uses"] => uses(&house).await,
        ["commits"] => super::relay_crash::commits(&house).await,
        ["appends"] => super::relay_crash::appends(&house).await,
        ["waits", gate] => waits(&house, gate.parse().unwrap()).await,
        ["races", gate, first] => races(&house, gate.parse().unwrap(), first.parse().unwrap()).await,
        _ => panic!("{task}"),
    }
    std::future::pending::<()>().await;
}

fn five_minutes(new: NewGate) -> NewGate {
    NewGate {
        timeout: Timeout::After(Duration::from_secs(300)),
        ..new
    }
}

async fn asks(house: &House) {
    let asker = Asker::new(house).await;
    let one = open(house, &five_minutes(asker.approval("1", "{}"))).await;
    let other = open(house, &five_minutes(asker.approval("2", r#"{"b":1}"#))).await;
    say(format!(
        "{} {} {} {}",
        one.id, other.id, asker.session, asker.claimed.task.id
    ));
}

async fn decides(house: &House) {
    // The agent is there.
    let asker = Asker::next(house).await;
    let gate = open(house, &asker.approval("1", "{}")).await;
    let waiter = house.tenant.gates.wait(gate.id);
    tokio::pin!(waiter);
    assert!(futures::poll!(waiter.as_mut()).is_pending());
    approve(house, &gate).await;
    // The waiter is not asked again: it never hears of it.
    say(format!("{} {} {}", gate.id, asker.session, asker.claimed.task.id));
    std::future::pending::<()>().await;
}

async fn uses(house: &House) {
    let asker = Asker::new(house).await;
    let capabilities = &house.tenant.capabilities;
    let mut ids = Vec::new();
    for (call, input) in [("1", "{}"), ("2", r#"{"b":1}"#)] {
        let gate = open(house, &asker.approval(call, input)).await;
        approve(house, &gate).await;
        capabilities
            .claim(gate.id, gate.digest, &asker.claimed)
            .await
            .unwrap();
        ids.push(gate.id);
    }
    capabilities.begin_dispatch(ids[1], &asker.claimed).await.unwrap();
    say(format!(
        "{} {} {} {}",
        ids[0], ids[1], asker.session, asker.claimed.task.id
    ));
}

async fn waits(house: &House, gate: GateId) {
    let waiter = house.tenant.gates.wait(gate);
    tokio::pin!(waiter);
    assert!(futures::poll!(waiter.as_mut()).is_pending());
    tokio::task::yield_now().await;
    assert!(futures::poll!(waiter.as_mut()).is_pending());
    say("waiting");
    say(waiter.await.unwrap().word());
}

async fn races(house: &House, gate: GateId, first: usize) {
    let read = house.tenant.gates.get(gate).await.unwrap().into_inner();
    let (yes, no) = (
        shown(house, &read, yes()).await,
        shown(house, &read, Choice::Reject).await,
    );
    say("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let deciding = (first..first + 50).map(|nth| {
        let (gates, decide) = (
            house.tenant.gates.clone(),
            if nth % 2 == 0 { yes.clone() } else { no.clone() },
        );
        tokio::spawn(async move { gates.decide(&decider(nth), &decide).await })
    });
    for answer in futures::future::join_all(deciding.collect::<Vec<_>>()).await {
        match answer.unwrap() {
            Ok(gate) => say(format!("won {}", gate.end.unwrap().by.principal.name)),
            Err(GateError::NotPending { by, .. }) => say(format!("lost {}", by.principal.name)),
            Err(other) => panic!("{other}"),
        }
    }
}

fn decider(nth: usize) -> Principal {
    Principal::operator(format!("decider-{nth}"), Channel::Http)
}

/// The run of the next attempt at a task, in its session.
async fn next_attempt(house: &House, task: &str, session: &str) -> Asker {
    let session: SessionId = session.parse().unwrap();
    let options = ClaimOptions {
        session: Some(session),
        ..ClaimOptions::default()
    };
    let task: TaskId = task.parse().unwrap();
    let claimed: Claimed = house.tenant.runs.claim(&operator(), task, options).await.unwrap();
    Asker { claimed, session }
}

async fn gate(house: &House, id: &str) -> Gate {
    house
        .tenant
        .gates
        .get(id.parse().unwrap())
        .await
        .unwrap()
        .into_inner()
}

async fn a_killed_process_adds_no_time_to_a_gate(place: Place) {
    let mut child = Child::start(&place, SEAT, "asks");
    let said = child.said();
    child.kill();
    let house = House::at(place).await;
    let opened = gate(&house, &said[0]).await;
    house.clock.advance(180);
    let house = house.reopened().await;
    house.engine.recover_gates(Restart::Keep).await.unwrap();
    house.clock.advance(60);
    let house = house.reopened().await;
    let recovered = house.engine.recover_gates(Restart::Keep).await.unwrap();
    assert_eq!((recovered.expired, recovered.pulled_in), (0, 0));
    assert_eq!(
        gate(&house, &said[0]).await.expires_at,
        opened.expires_at,
        "five minutes in all"
    );
    house.clock.advance(-3600);
    let house = house.reopened().await;
    assert_eq!(
        house.engine.recover_gates(Restart::Keep).await.unwrap().pulled_in,
        2
    );
    let now = dormouse_engine::Clock::now(&*house.clock);
    let pulled = gate(&house, &said[0]).await.expires_at.unwrap();
    assert_eq!(pulled.duration_since(now).as_secs(), 300, "five more at most");
    house.clock.advance(360);
    let house = house.reopened().await;
    assert_eq!(
        house.engine.recover_gates(Restart::Keep).await.unwrap().expired,
        2
    );
    assert_eq!(gate(&house, &said[0]).await.word(), "expired");
}

async fn under_invalidate_the_gates_of_a_killed_process_end_by_one_event_each(place: Place) {
    let mut child = Child::start(&place, SEAT, "asks");
    let said = child.said();
    child.kill();
    let house = House::at(place).await;
    house.recover().await;
    let recovered = house.engine.recover_gates(Restart::Invalidate).await.unwrap();
    assert_eq!(recovered.invalidated, 2);
    house.engine.recover_gates(Restart::Invalidate).await.unwrap();
    let resolved = events(&house, "gate.resolved").await;
    assert_eq!(resolved.len(), 2);
    assert!(resolved.iter().all(|event| event.data["cause"] == "restart"));
    assert_eq!(gate(&house, &said[1]).await.word(), "invalidated");
}

async fn a_lost_run_leaves_its_gate_to_the_next_attempt_once(place: Place) {
    let mut child = Child::start(&place, SEAT, "asks");
    let said = child.said();
    child.kill();
    let house = House::at(place).await;
    house.recover().await;
    assert_eq!(
        gate(&house, &said[0]).await.word(),
        "pending",
        "it waits for the next attempt"
    );
    let asker = next_attempt(&house, &said[3], &said[2]).await;
    let adopted = try_open(&house, &asker.approval("another-1", "{}"))
        .await
        .unwrap();
    assert_eq!(
        (adopted.gate.id.to_string(), adopted.how),
        (said[0].clone(), OpenedHow::Adopted)
    );
    let own = try_open(&house, &asker.approval("another-2", "{}"))
        .await
        .unwrap();
    assert_eq!(own.how, OpenedHow::New);
    assert_ne!(own.gate.id, adopted.gate.id);
    let again = try_open(&house, &asker.approval("another-1", "{}"))
        .await
        .unwrap();
    assert_eq!((again.gate.id, again.how), (adopted.gate.id, OpenedHow::Found));
    assert_eq!(events(&house, "gate.adopted").await.len(), 1);
}

async fn what_was_not_stored_was_never_shown_and_a_decision_stands_without_its_waiter(place: Place) {
    let mut child = Child::start(&place, SEAT, "is-about-to-ask");
    child.said();
    child.kill();
    let house = House::at(place).await;
    let page = house
        .tenant
        .gates
        .list(&GateFilter::default(), None, 10)
        .await
        .unwrap();
    assert!(page.rows.is_empty());
    assert!(events(&house, "gate.opened").await.is_empty());
    house.recover().await;

    let place = house.closed().await;
    let mut child = Child::start(&place, SEAT, "decides");
    let said = child.said();
    child.kill();
    let house = House::at(place).await;
    house.recover().await;
    assert_eq!(gate(&house, &said[0]).await.word(), "approved");
    let waited = house.tenant.gates.wait(said[0].parse().unwrap()).await.unwrap();
    assert_eq!(waited.word(), "approved");
    let asker = next_attempt(&house, &said[2], &said[1]).await;
    let again = try_open(&house, &asker.approval("1", "{}")).await.unwrap();
    assert_eq!(
        (again.gate.id.to_string(), again.how),
        (said[0].clone(), OpenedHow::Found)
    );
    assert_eq!(events(&house, "gate.opened").await.len(), 1, "no second question");
    let capabilities = &house.tenant.capabilities;
    capabilities
        .claim(again.gate.id, again.gate.digest, &asker.claimed)
        .await
        .unwrap();
}

async fn what_was_claimed_is_usable_and_what_was_under_way_is_never_replayed(place: Place) {
    let mut child = Child::start(&place, SEAT, "uses");
    let said = child.said();
    child.kill();
    let house = House::at(place).await;
    house.recover().await;
    let asker = next_attempt(&house, &said[3], &said[2]).await;
    let (claimed, unknown) = (gate(&house, &said[0]).await, gate(&house, &said[1]).await);
    let capabilities = &house.tenant.capabilities;
    let state = async |gate: &Gate| capabilities.get(gate.id).await.unwrap().unwrap().state;
    assert_eq!(state(&claimed).await, CapabilityState::Active);
    capabilities
        .claim(claimed.id, claimed.digest, &asker.claimed)
        .await
        .unwrap();
    let end = CapabilityEnd::Unknown;
    assert_eq!(state(&unknown).await, CapabilityState::Closed { end });
    capabilities
        .claim(unknown.id, unknown.digest, &asker.claimed)
        .await
        .unwrap_err();
    let closed = events(&house, "capability.closed").await;
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0].data["end"], "unknown");
    let again = try_open(&house, &asker.approval("2", r#"{"b":1}"#))
        .await
        .unwrap();
    assert_eq!(
        (again.how, again.gate.previous),
        (OpenedHow::New, Some(unknown.id))
    );
}

/// SG-51: the other machine is a process on the same server, on another seat.
#[tokio::test]
async fn a_live_gate_of_another_machine_is_left_alone() {
    let Some(place) = Place::postgres() else { return };
    let mut child = Child::start(&place, "under the beech", "asks");
    let said = child.said();
    let house = House::at(place).await;
    house.recover().await;
    let recovered = house.engine.recover_gates(Restart::Invalidate).await.unwrap();
    assert_eq!(recovered.invalidated, 0);
    assert_eq!(gate(&house, &said[0]).await.word(), "pending");
    child.kill();
}

/// SG-58. What tells the other process runs beside this test, which waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_of_another_process_is_heard_at_once() {
    let Some(place) = Place::postgres() else { return };
    let house = House::at(place).await;
    let asker = Asker::new(&house).await;
    let asked = open(&house, &asker.approval("1", "{}")).await;
    let mut child = Child::start(house.place(), "under the beech", &format!("waits {}", asked.id));
    assert_eq!(child.said(), ["waiting"]);
    let decided = Instant::now();
    approve(&house, &asked).await;
    assert_eq!(child.said(), ["approved"]);
    // Without a hint it would be read again after five seconds.
    assert!(
        decided.elapsed() < Duration::from_secs(4),
        "{:?}",
        decided.elapsed()
    );
    child.kill();
}

/// SG-45: the deciders are of two processes.
#[tokio::test]
async fn of_100_deciders_in_two_processes_one_wins() {
    let Some(place) = Place::postgres() else { return };
    let house = House::at(place).await;
    let asker = Asker::new(&house).await;
    let asked = open(&house, &asker.approval("1", "{}")).await;
    let start = |first: usize| {
        let task = format!("races {} {first}", asked.id);
        Child::start(house.place(), &format!("under the beech {first}"), &task)
    };
    let mut children = [start(0), start(50)];
    for child in &mut children {
        assert_eq!(child.said(), ["ready"]);
    }
    for child in &mut children {
        child.tell("go");
    }
    let (mut won, mut lost) = (Vec::new(), Vec::new());
    for child in &mut children {
        for _ in 0..50 {
            let said = child.said();
            if said[0] == "won" {
                won.push(said[1].clone());
            } else {
                lost.push(said[1].clone());
            }
        }
    }
    assert_eq!((won.len(), lost.len()), (1, 99));
    assert!(lost.iter().all(|named| *named == won[0]));
    let row = house.tenant.gates.get(asked.id).await.unwrap();
    assert_eq!(row.end.as_ref().unwrap().by.principal.name, won[0]);
    assert_eq!(events(&house, "gate.resolved").await.len(), 1);
    let capability = house.tenant.capabilities.get(asked.id).await.unwrap();
    assert_eq!(capability.is_some(), row.word() == "approved");
    let late: Decide = shown(&house, &asked, yes()).await;
    house
        .tenant
        .gates
        .decide(&decider(1000), &late)
        .await
        .unwrap_err();
}
