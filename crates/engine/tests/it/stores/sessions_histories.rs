//! Random histories of a session through the engine's rows: what is stored obeys the machine, whoever wrote it.

use dormouse_engine::SessionId;
use dormouse_engine::event::Change;
use dormouse_state::{
    Command, EndReason, Event, Execution, Lifecycle, Mode, Observed, Session, Snapshot, Step,
};
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};

use super::house::{House, operator};
use super::sessions::{done, made, seen, working};

const HISTORIES: u32 = 12;
const STEPS: u64 = 60;

/// What one step does.
enum Move {
    Observe(Observed),
    Say(Command),
    Wait(i64),
}

#[allow(clippy::print_stdout, reason = "a failing test shows its seed")]
fn seed() -> u64 {
    let seed = SysRng.try_next_u64().unwrap();
    println!("seed {seed}");
    seed
}

fn event(random: &mut StdRng) -> Event {
    match random.random_range(0..9) {
        0 => Event::SessionStarted,
        1 | 2 => Event::Thinking,
        3 => working(),
        4 => Event::Working {
            call: None,
            step: Step::Finished,
        },
        5 => Event::Compaction(Step::Started),
        6 => Event::Compaction(Step::Finished),
        7 => done(),
        _ => Event::Errored {
            reason: "model".to_owned(),
            text: String::new(),
        },
    }
}

fn command(random: &mut StdRng) -> Command {
    match random.random_range(0..4) {
        0 => Command::Pause,
        1 => Command::Resume,
        2 => Command::BeginTurn { expected_turn: None },
        _ => Command::SetMode {
            mode: if random.random() { Mode::Ask } else { Mode::Rules },
        },
    }
}

/// The next move: of events alone, or of commands between them.
fn next(house: &House, random: &mut StdRng, seq: u64, has_commands: bool) -> Move {
    match random.random_range(0..10) {
        0 => Move::Wait(random.random_range(0..3)),
        1 | 2 if has_commands => Move::Say(command(random)),
        _ => Move::Observe(seen(house, None, seq, event(random))),
    }
}

async fn make(house: &House, session: SessionId, next: &Move) {
    match next {
        Move::Observe(observed) => {
            house.tenant.sessions.observe(session, observed).await.unwrap();
        }
        Move::Say(command) => {
            let told = house.tenant.sessions.command(&operator(), session, command).await;
            let _ = told.unwrap();
        }
        Move::Wait(seconds) => {
            house.clock.advance(*seconds);
            tokio::time::sleep(std::time::Duration::from_secs(u64::try_from(*seconds).unwrap())).await;
        }
    }
}

/// What holds of every state that is stored (SG-3 of the machine).
fn obeys(state: &Snapshot) {
    state.check().unwrap();
    assert_eq!(state.execution.is_some(), state.lifecycle == Lifecycle::Active);
    assert!(state.execution != Some(Execution::Thinking) || state.turn.is_running());
}

/// Each turn begins once and ends once, in this order, in the log that everybody reads.
async fn turns_are_whole(house: &House, state: &Snapshot) {
    let (mut running, mut last) = (None, 0);
    for event in house.events().await {
        match event.change() {
            Some(Change::SessionTurnStarted { turn, .. }) => {
                assert_eq!(running, None, "turn {turn} begins while another runs");
                assert!(turn > last, "turn {turn} begins after {last}");
                (running, last) = (Some(turn), turn);
            }
            Some(Change::SessionTurnEnded { turn, .. }) => {
                assert_eq!(running.take(), Some(turn), "turn {turn} ends");
            }
            _ => {}
        }
    }
    assert_eq!(running.is_some(), state.turn.is_running());
    assert!(
        state.turn.number >= last,
        "a number may be allotted before its turn begins"
    );
}

async fn history_goes_on(house: &House, session: SessionId) {
    let history = house.tenant.sessions.history(session).await.unwrap();
    assert!(history.is_sorted_by(|one, next| one.sequence < next.sequence));
}

#[tokio::test(start_paused = true)]
async fn events_alone_lead_to_the_state_of_the_machine() {
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..HISTORIES {
        let house = House::in_memory().await;
        let session = made(&house, "alice").await;
        let options = dormouse_state::Options::default();
        let mut machine = Session::new(options, dormouse_engine::Clock::now(&*house.clock));
        for seq in 1..=STEPS {
            let Move::Observe(observed) = next(&house, &mut random, seq, false) else {
                continue;
            };
            let expected = machine.observe(&observed, observed.at);
            let told = house.tenant.sessions.observe(session, &observed).await.unwrap();
            assert_eq!(told.answer, expected);
            obeys(&house.tenant.sessions.state(session).await.unwrap());
        }
        house.engine.close().await;
        let state = house.tenant.sessions.state(session).await.unwrap();
        assert_eq!(state, machine.snapshot());
        turns_are_whole(&house, &state).await;
        history_goes_on(&house, session).await;
    }
}

#[tokio::test(start_paused = true)]
async fn commands_beside_the_driver_leave_each_turn_whole() {
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..HISTORIES {
        let house = House::in_memory().await;
        let session = made(&house, "alice").await;
        for seq in 1..=STEPS {
            let next = next(&house, &mut random, seq, true);
            make(&house, session, &next).await;
            obeys(&house.tenant.sessions.state(session).await.unwrap());
        }
        let ended = house
            .tenant
            .sessions
            .end(&operator(), session, EndReason::Operator)
            .await;
        assert!(ended.unwrap().applied().is_some());
        let late = seen(&house, None, STEPS + 1, Event::Thinking);
        let late = house.tenant.sessions.observe(session, &late).await.unwrap();
        assert!(late.answer.applied().is_none(), "an ended session is final");
        house.engine.close().await;
        let state = house.tenant.sessions.state(session).await.unwrap();
        turns_are_whole(&house, &state).await;
        history_goes_on(&house, session).await;
    }
}
