//! Lapses: a run whose holder vanished is ended by others, when and as its table says, and never before.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::command::{CommandSpec, Effects};
use dormouse_engine::lease::Lease;
use dormouse_engine::outcome::Outcome;
use dormouse_engine::recovery::OrphanFate;
use dormouse_engine::run::{Claimed, OutcomeKind, RunState, StopReason};
use dormouse_engine::step::StepContext;
use dormouse_engine::supervisor::RunEnd;
use dormouse_engine::task::{NewTask, Task, TaskState, Wait};
use dormouse_engine::{Clock, CommandError, Engine, EngineOptions};
use dormouse_filesystem::Records;
use jiff::SignedDuration;

use super::at_step::AtStep;
use super::house::{HandClock, House, NoOrphans, facts, name, operator, partial, success};
use super::recovery::Fate;

super::on_every_store! {
    /// ST-36: without a checkpoint
    a_task_that_lapses_without_checkpoint_is_ready_thrice_and_then_failed;
    /// ST-36: at a safe point, and with an effect open
    what_a_lapse_makes_of_a_task_is_said_by_what_is_known_of_its_effects;
    /// ST-37
    a_shutdown_at_a_safe_point_counts_nothing_and_one_in_an_effect_loses_the_task;
    /// ST-39
    of_two_takers_one_holds_and_a_former_holder_changes_no_byte;
    /// ST-40: past its stop's deadline
    past_the_deadline_of_its_stop_a_run_is_refused_and_its_lapse_tells_the_stop;
    a_holder_that_ends_after_the_deadline_of_its_stop_lapses_its_run_itself;
    /// ST-40: expired, and nobody noticed
    an_expired_lease_refuses_whoever_holds_it_before_anybody_noticed;
}

super::on_every_store_of_one_process! {
    /// ST-43: where nobody else can take it
    a_clock_that_jumps_ends_no_live_run_of_a_store_that_is_ones_own;
}

/// Time to live and what clocks may differ, and a little.
const OVER: i64 = 96;

/// Whoever comes when the holder has vanished: where others may write the store, when its lease is over.
async fn comes_after(house: &House) -> Engine {
    if house.place().is_shared() {
        house.clock.advance(OVER);
        return house.neighbour().await;
    }
    house.successor().await
}

async fn task(house: &House, task: &Task) -> Task {
    house.tenant.tasks.get(task.id).await.unwrap().into_inner()
}

fn lost() -> TaskState {
    let outcome = OutcomeKind::Lost;
    TaskState::Failed { outcome }
}

pub(super) async fn a_task_that_lapses_without_checkpoint_is_ready_thrice_and_then_failed(house: House) {
    let row = house.ready_task().await;
    for nth in 1..=3 {
        house.claim(&row).await;
        comes_after(&house).await.recover(&NoOrphans).await.unwrap();
        let row = task(&house, &row).await;
        assert_eq!((&row.state, row.reclaims), (&TaskState::Ready, nth));
    }
    house.claim(&row).await;
    comes_after(&house).await.recover(&NoOrphans).await.unwrap();
    let row = task(&house, &row).await;
    assert_eq!((&row.state, row.reclaims, row.failures), (&lost(), 3, 0));
}

async fn what_a_lapse_makes_of_a_task_is_said_by_what_is_known_of_its_effects(house: House) {
    let alice = house.agent("alice").await;
    let row = house.task(NewTask::new(alice.clone(), "safe")).await;
    drop(AtStep::behind(&house, house.claim(&row).await).await);
    comes_after(&house).await.recover(&NoOrphans).await.unwrap();
    let after = task(&house, &row).await;
    assert_eq!(after.reclaims, 1);
    if house.place().is_shared() {
        // Whoever held it may live, and be at work until its own lease is over.
        let until = house.clock.now() + SignedDuration::from_secs(90);
        let on = Wait::Until { until };
        assert_eq!(after.state, TaskState::Waiting { on });
        house.clock.advance(89);
        house.engine.serve_due_once().await.unwrap();
        assert_eq!(task(&house, &row).await.state.word(), "waiting");
        house.clock.advance(1);
        house.engine.serve_due_once().await.unwrap();
    }
    assert_eq!(task(&house, &row).await.state, TaskState::Ready);

    let row = house.task(NewTask::new(alice, "open")).await;
    drop(AtStep::within(&house, house.claim(&row).await).await);
    comes_after(&house).await.recover(&NoOrphans).await.unwrap();
    assert_eq!(task(&house, &row).await.state, lost());
}

/// A task whose work is dropped as soon as it is told to stop.
async fn without_grace(house: &House) -> Task {
    let command = CommandSpec {
        effects: Some(Effects::Repeatable),
        grace_ms: Some(0),
        ..CommandSpec::new(vec!["true".to_owned()])
    };
    let new = NewTask {
        command: Some(command),
        ..NewTask::new(name("alice"), "sleep")
    };
    house.task(new).await
}

async fn a_shutdown_at_a_safe_point_counts_nothing_and_one_in_an_effect_loses_the_task(house: House) {
    house.agent("alice").await;
    let (safe, open) = (without_grace(&house).await, without_grace(&house).await);
    let behind = AtStep::behind(&house, house.claim(&safe).await).await;
    let within = AtStep::within(&house, house.claim(&open).await).await;
    for at in [behind, within] {
        let runs = &house.tenant.runs;
        runs.stopping(at.claimed(), &StopReason::Shutdown).await.unwrap();
        at.ended().await;
    }
    let after = task(&house, &safe).await;
    assert_eq!(
        (&after.state, after.failures, after.reclaims),
        (&TaskState::Ready, 0, 0)
    );
    let after = task(&house, &open).await;
    assert_eq!((&after.state, after.failures, after.reclaims), (&lost(), 0, 0));
}

/// Every write of a holder, each of which is refused.
async fn each_write_is_refused(house: &House, claimed: &Claimed, is_refused: impl Fn(&CommandError) -> bool) {
    let runs = &house.tenant.runs;
    let until = house.clock.now();
    let wait = dormouse_engine::run::RunWait::Until { until };
    let refusals = [
        ("heartbeat", runs.heartbeat(claimed, None).await.err()),
        ("start", runs.started(claimed, None).await.err()),
        ("stop", runs.stopping(claimed, &StopReason::Shutdown).await.err()),
        ("success", runs.finish(claimed, &success(), &facts()).await.err()),
        ("partial", runs.finish(claimed, &partial(), &facts()).await.err()),
        ("park", runs.park_for(claimed, wait, Duration::ZERO).await.err()),
    ];
    for (write, refused) in refusals {
        let refused = refused.unwrap_or_else(|| panic!("{write} was done"));
        assert!(is_refused(&refused), "{write}: {refused}");
    }
}

async fn of_two_takers_one_holds_and_a_former_holder_changes_no_byte(house: House) {
    let row = house.ready_task().await;
    let other = house.neighbour().await;
    let tenant = other.tenant(&super::house::tenant_id()).await.unwrap();
    let options = dormouse_engine::run::ClaimOptions::default();
    let by = operator();
    let (one, two) = tokio::join!(
        house.tenant.runs.claim(&by, row.id, options),
        tenant.runs.claim(&by, row.id, options)
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let first = one.or(two).unwrap();

    house.tenant.runs.started(&first, None).await.unwrap();

    // Another holds it from now on: under a higher token.
    let replaced = house.taken_over(&first).await;
    assert!(replaced.version() > first.guard.token());
    let before = house.stored().await;
    let is_fenced = |error: &CommandError| matches!(error, CommandError::Fenced { .. });
    each_write_is_refused(&house, &first, is_fenced).await;
    assert_eq!(house.stored().await, before);

    // Nor when nobody holds it any more.
    let leases = Records::<Lease>::new(house.tenant.space());
    leases.remove(&replaced).await.unwrap();
    let before = house.stored().await;
    each_write_is_refused(&house, &first, is_fenced).await;
    assert_eq!(house.stored().await, before);
}

async fn past_the_deadline_of_its_stop_a_run_is_refused_and_its_lapse_tells_the_stop(house: House) {
    let row = house.ready_task().await;
    let claimed = house.claim(&row).await;
    let runs = &house.tenant.runs;
    runs.started(&claimed, None).await.unwrap();
    house
        .tenant
        .tasks
        .cancel(&operator(), row.id, None)
        .await
        .unwrap();
    let stopping = runs.get(claimed.run.id).await.unwrap().run;
    let deadline = stopping.stop_deadline.unwrap();
    // Its lease, of before the stop, lives for longer than that.
    assert!(claimed.guard.expires_at() > deadline);
    let left = deadline.duration_since(house.clock.now()).as_secs();
    house.clock.advance(left);
    let before = house.stored().await;
    let refusals = [
        runs.heartbeat(&claimed, None).await.unwrap_err(),
        runs.finish(&claimed, &success(), &facts()).await.unwrap_err(),
    ];
    for refused in refusals {
        assert!(
            matches!(refused, CommandError::LeaseExpired { at, .. } if at == deadline),
            "{refused}"
        );
    }
    assert_eq!(house.stored().await, before);
    comes_after(&house).await.recover(&NoOrphans).await.unwrap();
    let ended = runs.get(claimed.run.id).await.unwrap();
    assert_eq!(ended.run.state, RunState::Ended);
    let outcome = ended.outcome.unwrap();
    assert!(
        matches!(outcome.outcome, Outcome::Cancelled { .. }),
        "{outcome:?}"
    );
    assert_eq!(task(&house, &row).await.state, TaskState::Cancelled);
}

async fn a_holder_that_ends_after_the_deadline_of_its_stop_lapses_its_run_itself(house: House) {
    let row = house.ready_task().await;
    let claimed = house.claim(&row).await;
    let (tasks, id, clock) = (house.tenant.tasks.clone(), row.id, Arc::clone(&house.clock));
    let end = house.tenant.runs.drive(claimed, async move |_: StepContext| {
        tasks.cancel(&operator(), id, None).await?;
        clock.advance(56);
        Ok(())
    });
    let RunEnd::Recorded(finished) = end.await else {
        panic!("nobody else had it")
    };
    let outcome = &finished.outcome.outcome;
    assert!(matches!(outcome, Outcome::Cancelled { .. }), "{outcome:?}");
    assert_eq!(task(&house, &row).await.state, TaskState::Cancelled);
    let told = house.event_types().await;
    assert!(told.contains(&"lease.expired".to_owned()), "{told:?}");
}

async fn an_expired_lease_refuses_whoever_holds_it_before_anybody_noticed(house: House) {
    let row = house.ready_task().await;
    let claimed = house.claim(&row).await;
    house.clock.advance(90);
    let before = house.stored().await;
    let runs = &house.tenant.runs;
    let refused = runs.finish(&claimed, &success(), &facts()).await.unwrap_err();
    assert!(matches!(refused, CommandError::LeaseExpired { .. }), "{refused}");
    if house.place().is_shared() {
        // Another may take it any moment. Where nobody else can, its holder may renew it: ST-43.
        let refused = runs.heartbeat(&claimed, None).await.unwrap_err();
        assert!(matches!(refused, CommandError::LeaseExpired { .. }), "{refused}");
    }
    assert_eq!(house.stored().await, before);
    comes_after(&house).await.recover(&NoOrphans).await.unwrap();
    let outcome = runs.get(claimed.run.id).await.unwrap().outcome.unwrap();
    assert!(matches!(outcome.outcome, Outcome::Lost { .. }), "{outcome:?}");
}

async fn a_clock_that_jumps_ends_no_live_run_of_a_store_that_is_ones_own(house: House) {
    let row = house.ready_task().await;
    let claimed = house.claim(&row).await;
    let runs = &house.tenant.runs;
    for hours in [1, -2, 3] {
        house.clock.advance(hours * 3600);
        assert!(house.recover().await.is_empty());
        runs.heartbeat(&claimed, None).await.unwrap();
        assert_eq!(
            runs.get(claimed.run.id).await.unwrap().run.state,
            RunState::Starting
        );
    }
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
}

/// So much time passes, on all clocks.
async fn pass(clocks: &[&Arc<HandClock>], seconds: u32) {
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        clocks.iter().for_each(|clock| clock.advance(1));
    }
}

/// Whether a run has ended.
async fn has_ended(house: &House, claimed: &Claimed) -> bool {
    let row = house.tenant.runs.get(claimed.run.id).await.unwrap();
    row.run.state == RunState::Ended
}

/// Recovery of a process that has its own clock, as it goes on.
async fn watching(house: &House, orphans: &Arc<Fate>) -> (Arc<HandClock>, tokio::task::JoinSet<()>) {
    let clock = Arc::new(HandClock::new());
    let engine = house.neighbour_by(&clock, EngineOptions::default()).await;
    let (mut serving, orphans) = (tokio::task::JoinSet::new(), Arc::clone(orphans));
    serving.spawn(async move { engine.serve_leases(&*orphans, std::future::pending()).await });
    (clock, serving)
}

#[tokio::test(start_paused = true)]
async fn a_process_ends_the_runs_of_others_when_their_leases_are_over_and_no_sooner() {
    let house = House::shared().await;
    let alice = house.agent("alice").await;
    let tasks = [
        house.task(NewTask::new(alice.clone(), "vanished")).await,
        house.task(NewTask::new(alice, "lives")).await,
    ];
    let vanished = house.claim(&tasks[0]).await;
    let lives = house.claim(&tasks[1]).await;
    let process = super::recovery::here(vanished.run.id);
    house
        .tenant
        .runs
        .started(&vanished, Some(&process))
        .await
        .unwrap();
    let orphans = Arc::new(Fate::new(OrphanFate::Gone));
    let (clock, _serving) = watching(&house, &orphans).await;
    let clocks = [&house.clock, &clock];
    for _ in 0..9 {
        pass(&clocks, 10).await;
        house.tenant.runs.heartbeat(&lives, None).await.unwrap();
    }
    // Its lease expires now, and clocks may differ.
    pass(&clocks, 4).await;
    assert!(!has_ended(&house, &vanished).await);
    pass(&clocks, 3).await;
    assert!(has_ended(&house, &vanished).await);
    assert!(!has_ended(&house, &lives).await);
    assert_eq!(
        orphans.asked(),
        [vanished.run.id].into(),
        "its processes end first"
    );
    assert_eq!(task(&house, &tasks[0]).await.state, TaskState::Ready);
    house
        .tenant
        .runs
        .finish(&lives, &success(), &facts())
        .await
        .unwrap();
}

/// ST-43: what another process may take it does not, for as long as a lease lives.
#[tokio::test(start_paused = true)]
async fn recovery_whose_clock_jumped_takes_nothing_over_for_as_long_as_a_lease_lives() {
    for hours in [1, -1] {
        let house = House::shared().await;
        let row = house.ready_task().await;
        let claimed = house.claim(&row).await;
        let orphans = Arc::new(Fate::new(OrphanFate::Gone));
        let (clock, _serving) = watching(&house, &orphans).await;
        let clocks = [&house.clock, &clock];
        pass(&clocks, 5).await;
        clock.advance(hours * 3600);
        // The jump is seen at the next look, a minute later at most; from there on it is so long.
        for _ in 0..9 {
            pass(&clocks, 10).await;
            house.tenant.runs.heartbeat(&claimed, None).await.unwrap();
            assert!(!has_ended(&house, &claimed).await, "{hours}");
        }
        // The clock is put right, which is a jump too.
        clock.advance(-hours * 3600);
        for _ in 0..30 {
            pass(&clocks, 10).await;
            house.tenant.runs.heartbeat(&claimed, None).await.unwrap();
        }
        assert!(!has_ended(&house, &claimed).await, "{hours}");
        // Its holder vanishes, and what was withheld is done after all.
        pass(&clocks, 97 + 60).await;
        assert!(has_ended(&house, &claimed).await, "{hours}");
    }
}
