//! The driver, with paused time and a store whose answers are scripted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_state::driver::{
    DriveError, Driven, Driver, DriverOptions, Ended, Handle, Save, SaveError, SaveKind, Store, Stored, Why,
};
use dormouse_state::{
    AUTO_IDLE_MAX, Command, Completion, Edge, Event, Evidence, InputName, Mode, Observed, Options, Position,
    Row, RunId, Session, Snapshot, SourceId, Step,
};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};

/// What a store answers instead of saving.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Unavailable,
    Fenced,
    /// Done, and not known.
    LostAnswer,
}

/// What is stored, and what was done to it.
#[derive(Debug)]
struct Shelf {
    durable: Snapshot,
    live: Option<Snapshot>,
    edges: Vec<Edge>,
    saves: Vec<(SaveKind, Instant)>,
    troubles: VecDeque<Trouble>,
    loads: usize,
    attempts: usize,
    /// How often the clock was read.
    looks: usize,
    started: Instant,
    began: Timestamp,
    skew: SignedDuration,
}

#[derive(Clone, Debug)]
struct World(Arc<Mutex<Shelf>>);

impl World {
    fn new() -> World {
        let began: Timestamp = "2026-11-25T20:00:00Z".parse().unwrap();
        World(Arc::new(Mutex::new(Shelf {
            durable: Session::new(Options::default(), began).snapshot(),
            live: None,
            edges: Vec::new(),
            saves: Vec::new(),
            troubles: VecDeque::new(),
            loads: 0,
            attempts: 0,
            looks: 0,
            started: Instant::now(),
            began,
            skew: SignedDuration::ZERO,
        })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Shelf) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }

    fn now(&self) -> Timestamp {
        self.with(|shelf| {
            shelf.looks += 1;
            let passed = SignedDuration::try_from(shelf.started.elapsed()).unwrap();
            shelf.began + passed + shelf.skew
        })
    }

    /// Starts a driver on what is stored.
    fn drive(&self) -> (Handle, JoinHandle<Ended>) {
        self.drive_as(DriverOptions::default())
    }

    fn drive_as(&self, options: DriverOptions) -> (Handle, JoinHandle<Ended>) {
        let stored = self.with(|shelf| shelf.live.clone().unwrap_or_else(|| shelf.durable.clone()));
        let session = Session::restore(stored, options.session, self.now()).unwrap();
        let base = self.with(|shelf| shelf.durable.sequence);
        let store = Shelved {
            world: self.clone(),
            base,
        };
        let clock = self.clone();
        let (driver, handle) = Driver::new(session, store, move || clock.now(), options);
        (handle, tokio::spawn(driver.run()))
    }

    /// Changes what is stored beside the driver.
    fn meddle(&self, command: &Command) {
        let now = self.now();
        self.with(|shelf| {
            let mut session = Session::restore(shelf.durable.clone(), Options::default(), now).unwrap();
            assert!(session.command(command, now).applied().is_some());
            shelf.durable = session.snapshot();
            shelf.live = None;
        });
    }

    fn saves(&self, kind: SaveKind) -> usize {
        self.with(|shelf| shelf.saves.iter().filter(|(saved, _)| *saved == kind).count())
    }

    fn idles(&self) -> usize {
        self.with(|shelf| {
            let idle = |edge: &&Edge| edge.input == InputName::AutoIdle;
            shelf.edges.iter().filter(idle).count()
        })
    }
}

struct Shelved {
    world: World,
    base: u64,
}

#[async_trait]
impl Store for Shelved {
    async fn load(&mut self) -> Result<Stored, SaveError> {
        self.world.with(|shelf| {
            shelf.loads += 1;
            self.base = shelf.durable.sequence;
            Ok(Stored {
                snapshot: shelf.live.clone().unwrap_or_else(|| shelf.durable.clone()),
                is_parked: false,
            })
        })
    }

    async fn save(&mut self, save: Save<'_>) -> Result<(), SaveError> {
        self.world.with(|shelf| {
            shelf.attempts += 1;
            let trouble = shelf.troubles.pop_front();
            match trouble {
                Some(Trouble::Unavailable) => return Err(SaveError::Unavailable("scripted".into())),
                Some(Trouble::Fenced) => return Err(SaveError::Fenced),
                Some(Trouble::LostAnswer) | None => {}
            }
            if shelf.durable.sequence != self.base {
                return Err(SaveError::Conflict);
            }
            shelf.saves.push((save.kind, Instant::now()));
            match save.kind {
                SaveKind::Live => shelf.live = Some(save.snapshot.clone()),
                SaveKind::Durable => {
                    shelf.durable = save.snapshot.clone();
                    shelf.live = None;
                    let edges = save.changes.iter().flat_map(|applied| applied.edges.clone());
                    shelf.edges.extend(edges);
                    self.base = shelf.durable.sequence;
                }
            }
            match trouble {
                Some(_) => Err(SaveError::Indeterminate("scripted".into())),
                None => Ok(()),
            }
        })
    }
}

/// Tells events of one source, one after the other.
struct Teller {
    world: World,
    handle: Handle,
    seq: u64,
    run: Option<RunId>,
}

impl Teller {
    fn new(world: &World, handle: &Handle) -> Teller {
        Teller {
            world: world.clone(),
            handle: handle.clone(),
            seq: 0,
            run: None,
        }
    }

    async fn event(&mut self, event: Event) -> Result<Driven, DriveError> {
        self.seq += 1;
        self.again(event).await
    }

    async fn again(&mut self, event: Event) -> Result<Driven, DriveError> {
        let observed = Observed {
            incarnation: self.handle.view().incarnation,
            run: self.run.clone(),
            source: SourceId::new("stream"),
            position: Position {
                spawn: 1,
                seq: self.seq,
            },
            subagent: false,
            starts_turn: false,
            evidence: Evidence::Formal,
            at: self.world.now(),
            event,
        };
        self.handle.observe(observed).await
    }

    async fn complete(&mut self) {
        self.event(Event::Thinking).await.unwrap();
        let done = self
            .event(Event::TurnCompleted(Completion::Completed))
            .await
            .unwrap();
        assert!(done.durable);
    }

    fn row(&self) -> Row {
        self.handle.view().row()
    }
}

/// Lets the driver do what is due at this instant.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn pass(ms: u64) {
    advance(Duration::from_millis(ms)).await;
    settle().await;
}

fn started() -> (World, Handle, JoinHandle<Ended>, Teller) {
    let world = World::new();
    let (handle, driver) = world.drive();
    let teller = Teller::new(&world, &handle);
    (world, handle, driver, teller)
}

fn working() -> Event {
    Event::Working {
        call: None,
        step: Step::Started,
    }
}

/// SG-27
#[tokio::test(start_paused = true)]
async fn a_completed_session_becomes_idle_after_three_seconds_once() {
    let (world, _handle, _driver, mut teller) = started();
    teller.complete().await;
    pass(2_999).await;
    assert_eq!((teller.row(), world.idles()), (Row::Completed, 0));
    pass(1).await;
    assert_eq!((teller.row(), world.idles()), (Row::Idle, 1));
    pass(10_000).await;
    assert_eq!(world.idles(), 1);
}

/// SG-27
#[tokio::test(start_paused = true)]
async fn work_within_the_three_seconds_is_the_next_turn_and_no_idle_comes() {
    let (world, _handle, _driver, mut teller) = started();
    teller.complete().await;
    pass(1_000).await;
    teller.event(working()).await.unwrap();
    pass(2_000).await;
    pass(5_000).await;
    assert_eq!((teller.row(), world.idles()), (Row::Working, 0));
}

/// SG-27
#[tokio::test(start_paused = true)]
async fn a_second_completion_moves_no_deadline() {
    let (world, _handle, _driver, mut teller) = started();
    teller.complete().await;
    pass(1_000).await;
    let again = teller
        .event(Event::TurnCompleted(Completion::Completed))
        .await
        .unwrap();
    assert!(again.answer.applied().is_none());
    pass(2_000).await;
    assert_eq!((teller.row(), world.idles()), (Row::Idle, 1));
    pass(3_000).await;
    assert_eq!(world.idles(), 1);
}

/// A session that completed, whose driver is gone.
async fn completed_and_left() -> World {
    let (world, _handle, driver, mut teller) = started();
    teller.complete().await;
    driver.abort();
    settle().await;
    world
}

/// SG-28
#[tokio::test(start_paused = true)]
async fn a_restored_session_has_the_time_that_is_left() {
    let world = completed_and_left().await;
    pass(1_000).await;
    let (handle, _driver) = world.drive();
    pass(1_999).await;
    assert_eq!(handle.view().row(), Row::Completed);
    pass(1).await;
    assert_eq!(handle.view().row(), Row::Idle);
}

/// SG-28
#[tokio::test(start_paused = true)]
async fn a_session_restored_after_a_minute_is_idle_at_once() {
    let world = completed_and_left().await;
    pass(60_000).await;
    let (handle, _driver) = world.drive();
    settle().await;
    assert_eq!((handle.view().row(), world.idles()), (Row::Idle, 1));
}

/// SG-28
#[tokio::test(start_paused = true)]
async fn a_clock_that_went_back_an_hour_delays_it_by_three_seconds_at_most() {
    let world = completed_and_left().await;
    world.with(|shelf| shelf.skew -= SignedDuration::from_hours(1));
    let (handle, _driver) = world.drive();
    pass(2_999).await;
    assert_eq!(handle.view().row(), Row::Completed);
    pass(1).await;
    assert_eq!(handle.view().row(), Row::Idle);
}

/// SG-28: while a machine sleeps, time of day passes and timers do not; when the clock of the process is slow, its
/// timer wakes too early.
#[tokio::test(start_paused = true)]
async fn a_timer_that_wakes_early_does_nothing_and_one_that_wakes_late_does_it() {
    let (world, handle, _driver, mut teller) = started();
    teller.complete().await;
    world.with(|shelf| shelf.skew -= SignedDuration::from_millis(500));
    pass(3_000).await;
    assert_eq!((handle.view().row(), world.idles()), (Row::Completed, 0));
    world.with(|shelf| shelf.skew += SignedDuration::from_hours(8));
    pass(500).await;
    assert_eq!((handle.view().row(), world.idles()), (Row::Idle, 1));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_while_the_machine_sleeps_is_met_within_a_minute_of_its_waking() {
    let world = World::new();
    let session = Options {
        auto_idle: AUTO_IDLE_MAX,
        ..Options::default()
    };
    let (handle, _driver) = world.drive_as(DriverOptions {
        session,
        ..DriverOptions::default()
    });
    let mut teller = Teller::new(&world, &handle);
    teller.complete().await;
    pass(30_000).await;
    world.with(|shelf| shelf.skew += SignedDuration::from_hours(8));
    pass(59_000).await;
    assert_eq!((teller.row(), world.idles()), (Row::Idle, 1));
}

/// SG-29
#[tokio::test(start_paused = true)]
async fn three_failing_saves_delay_the_idle_to_the_third_retry() {
    let (world, handle, _driver, mut teller) = started();
    teller.complete().await;
    let before = world.with(|shelf| {
        shelf.troubles.extend([Trouble::Unavailable; 3]);
        shelf.attempts
    });
    pass(3_000).await;
    // The retries come after 100, 200 and 400 ms.
    for (ms, attempts) in [(0, 1), (100, 2), (200, 3)] {
        pass(ms).await;
        assert_eq!(world.with(|shelf| shelf.attempts) - before, attempts);
        assert_eq!((handle.view().row(), world.idles()), (Row::Completed, 0));
    }
    pass(400).await;
    assert_eq!((handle.view().row(), world.idles()), (Row::Idle, 1));
    assert_eq!(world.with(|shelf| shelf.attempts) - before, 4);
}

#[tokio::test(start_paused = true)]
async fn a_driver_whose_live_save_failed_sleeps_until_there_is_something_to_do() {
    let (world, _handle, _driver, mut teller) = started();
    teller.event(Event::Thinking).await.unwrap();
    teller.event(working()).await.unwrap();
    world.with(|shelf| shelf.troubles.push_back(Trouble::Unavailable));
    let before = world.with(|shelf| shelf.attempts);
    pass(1_000).await;
    assert_eq!(world.with(|shelf| shelf.attempts) - before, 1, "it failed");
    // The turn ends before the retry, and is saved with all that was gathered: there is nothing to retry any more.
    let done = teller.event(Event::TurnCompleted(Completion::Completed)).await;
    assert!(done.unwrap().durable);
    // The time of the retry goes by.
    pass(200).await;
    let looks = world.with(|shelf| shelf.looks);
    pass(1_000).await;
    assert_eq!(world.with(|shelf| shelf.looks), looks, "nothing woke it");
    pass(2_000).await;
    assert_eq!((teller.row(), world.idles()), (Row::Idle, 1));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_flips_in_a_second_are_one_live_write() {
    let (world, handle, _driver, mut teller) = started();
    teller.event(Event::Thinking).await.unwrap();
    let durable = world.saves(SaveKind::Durable);
    for flip in 0..1_000 {
        let event = if flip % 2 == 0 { working() } else { Event::Thinking };
        let told = teller.event(event).await.unwrap();
        assert!(!told.durable);
        if flip == 500 {
            // A gate's commit writes the session's row, and the driver has no part in it.
            world.meddle(&Command::SetMode { mode: Mode::Deny });
        }
        advance(Duration::from_micros(999)).await;
    }
    assert!(world.saves(SaveKind::Live) <= 1);
    pass(1_000).await;
    assert_eq!(
        (world.saves(SaveKind::Live), world.saves(SaveKind::Durable)),
        (1, durable)
    );
    assert_eq!(handle.view().row(), Row::Thinking);
    assert_eq!(handle.view().mode, Mode::Deny);
}

#[tokio::test(start_paused = true)]
async fn what_another_one_changed_and_what_was_not_saved_both_survive() {
    let (world, handle, _driver, mut teller) = started();
    teller.event(Event::Thinking).await.unwrap();
    teller.event(working()).await.unwrap();
    world.meddle(&Command::Pause);
    let done = teller
        .event(Event::TurnCompleted(Completion::Completed))
        .await
        .unwrap();
    assert!(done.durable);
    assert_eq!(handle.view().row(), Row::Paused);
    assert_eq!(world.with(|shelf| shelf.durable.row()), Row::Paused);
}

#[tokio::test(start_paused = true)]
async fn what_is_unsaved_is_heard_again_on_what_another_one_wrote() {
    let (world, handle, _driver, mut teller) = started();
    teller.event(Event::Thinking).await.unwrap();
    let same = teller.event(Event::Thinking).await.unwrap();
    assert!(same.answer.applied().is_none());
    world.meddle(&Command::BeginTurn { expected_turn: None });
    handle.look();
    settle().await;
    // What was the same on the old state is the beginning of work on the new one.
    assert_eq!(handle.view().row(), Row::Thinking);
    assert_eq!(handle.view().turn.number, 2);
    pass(1_000).await;
    assert_eq!(world.saves(SaveKind::Live), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_driver_stops_and_writes_nothing() {
    let (world, handle, driver, mut teller) = started();
    teller.event(Event::Thinking).await.unwrap();
    let (before, attempts) = world.with(|shelf| (shelf.durable.clone(), shelf.attempts));
    world.with(|shelf| shelf.troubles.push_back(Trouble::Fenced));
    let refused = teller.event(Event::TurnCompleted(Completion::Completed)).await;
    assert!(matches!(refused, Err(DriveError::Save(SaveError::Fenced))));
    assert_eq!(driver.await.unwrap().why, Why::Fenced);
    let gone = handle.command(Command::Pause).await;
    assert!(matches!(gone, Err(DriveError::Gone)));
    assert_eq!(
        world.with(|shelf| (shelf.durable.clone(), shelf.attempts)),
        (before, attempts + 1)
    );
}

/// SG-34
#[tokio::test(start_paused = true)]
async fn after_a_refused_save_the_old_state_stands_and_the_next_event_works() {
    let (world, handle, _driver, mut teller) = started();
    world.with(|shelf| shelf.troubles.push_back(Trouble::Unavailable));
    let refused = teller.event(Event::Thinking).await;
    assert!(matches!(
        refused,
        Err(DriveError::Save(SaveError::Unavailable(_)))
    ));
    assert_eq!(handle.view().row(), Row::Initializing);
    let again = teller.again(Event::Thinking).await.unwrap();
    assert!(again.durable, "the event was not counted as read");
    assert_eq!(handle.view().row(), Row::Thinking);
}

/// SG-34
#[tokio::test(start_paused = true)]
async fn after_a_save_of_unknown_end_the_store_is_read_first() {
    let (world, handle, _driver, mut teller) = started();
    world.with(|shelf| shelf.troubles.push_back(Trouble::LostAnswer));
    let unknown = teller.event(Event::Thinking).await;
    assert!(matches!(
        unknown,
        Err(DriveError::Save(SaveError::Indeterminate(_)))
    ));
    assert_eq!(
        (handle.view().row(), world.with(|shelf| shelf.loads)),
        (Row::Initializing, 0)
    );
    let again = teller.again(Event::Thinking).await.unwrap();
    assert_eq!(
        again.answer,
        dormouse_state::Answer::Ignored(dormouse_state::Ignored::Duplicate)
    );
    assert_eq!(
        (handle.view().row(), world.with(|shelf| shelf.loads)),
        (Row::Thinking, 1)
    );
    assert_eq!(world.with(|shelf| shelf.edges.len()), 1);
}

/// What was gathered is written once, though nobody heard that it was.
#[tokio::test(start_paused = true)]
async fn a_live_save_of_unknown_end_that_was_done_is_not_done_again() {
    let (world, handle, _driver, mut teller) = started();
    teller.event(Event::Thinking).await.unwrap();
    teller.event(working()).await.unwrap();
    world.with(|shelf| shelf.troubles.push_back(Trouble::LostAnswer));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(
        (world.saves(SaveKind::Live), handle.view().row()),
        (1, Row::Working)
    );
}

/// SG-34
#[tokio::test(start_paused = true)]
async fn a_stopped_driver_saves_what_is_unsaved() {
    let (world, handle, driver, mut teller) = started();
    teller.event(Event::Thinking).await.unwrap();
    teller.event(working()).await.unwrap();
    handle.stop();
    let ended = driver.await.unwrap();
    assert_eq!((ended.why, ended.unsaved.len()), (Why::Stopped, 0));
    assert_eq!(world.with(|shelf| shelf.durable.row()), Row::Working);
}

/// SG-34
#[tokio::test(start_paused = true)]
async fn a_stopped_driver_lists_after_five_seconds_what_it_could_not_save() {
    let (world, handle, driver, mut teller) = started();
    teller.event(Event::Thinking).await.unwrap();
    teller.event(working()).await.unwrap();
    world.with(|shelf| shelf.troubles.extend([Trouble::Unavailable; 1_000]));
    let stopped_at = Instant::now();
    handle.stop();
    let ended = driver.await.unwrap();
    assert_eq!(stopped_at.elapsed(), Duration::from_secs(5));
    assert_eq!((ended.why, ended.unsaved.len()), (Why::Stopped, 1));
}

#[tokio::test(start_paused = true)]
async fn a_driver_without_anything_to_do_ends_after_five_seconds() {
    let (_world, handle, driver, mut teller) = started();
    teller.complete().await;
    sleep(Duration::from_millis(7_900)).await;
    assert!(!driver.is_finished());
    let ended = driver.await.unwrap();
    assert_eq!((ended.why, handle.view().row()), (Why::Rest, Row::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_bound_run_keeps_a_driver_until_it_is_parked() {
    let (_world, handle, driver, _teller) = started();
    let run = RunId::new("run");
    handle
        .command(Command::BindRun { run: run.clone() })
        .await
        .unwrap();
    handle
        .command(Command::BeginTurn { expected_turn: None })
        .await
        .unwrap();
    sleep(Duration::from_secs(86_400)).await;
    assert!(!driver.is_finished());
    handle.command(Command::RunParked { run }).await.unwrap();
    let parked_at = Instant::now();
    assert_eq!(driver.await.unwrap().why, Why::Rest);
    assert!(parked_at.elapsed() <= Duration::from_secs(6));
}
