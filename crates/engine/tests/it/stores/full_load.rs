//! A hundred owners in long calls while all others write as fast as they can; and a tenant beside one that has much to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::step::{Effect, Failure, StepContext};
use dormouse_engine::supervisor::RunEnd;
use dormouse_engine::task::{NewTask, TaskState};
use dormouse_engine::thread::NewThread;
use dormouse_engine::{AgentName, Engine, Tenant};
use dormouse_filesystem::RecordStore;
use futures::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::disk::{Disk, Order, Pace};
use super::house::{House, NoOrphans, facts, name, operator, success, tenant_id};

const OWNERS: usize = 100;
/// Who writes beside them.
const BUSY: usize = 16;
/// What a hot tenant has under way at once in each of two processes: more than go into a flush.
const HOT: usize = 48;
/// A lease's time to live, and what clocks may differ, and a little.
const OVER_SECONDS: i64 = 96;
const THIRD: Duration = Duration::from_secs(30);

super::on_every_store! {
    /// ST-74: no lease expires, on every store; with `a_heartbeat_at_full_load_waits_less_than_a_third_of_a_lease` for how
    /// long one takes, which `cargo xtask bench engine` measures on real disks.
    a_hundred_owners_at_full_load_keep_their_leases;
}

/// Whoever else is there: another process where others may write the store.
async fn theirs(house: &House) -> Engine {
    match house.place().is_shared() {
        true => house.neighbour().await,
        false => house.engine.clone(),
    }
}

/// Each owner's run is claimed and at work: by this process, and by the other one.
async fn owners(house: &House, other: &Engine) -> Vec<(Tenant, Claimed)> {
    let theirs = other.tenant(&tenant_id()).await.unwrap();
    let mut held = Vec::with_capacity(OWNERS);
    for nth in 0..OWNERS {
        let owner = house.agent(&format!("owner-{nth}")).await;
        let task = house.task(NewTask::new(owner, "a long call")).await;
        let tenant = if nth % 2 == 0 { &house.tenant } else { &theirs };
        let options = ClaimOptions::default();
        let claimed = tenant.runs.claim(&operator(), task.id, options).await.unwrap();
        tenant.runs.started(&claimed, None).await.unwrap();
        held.push((tenant.clone(), claimed));
    }
    held
}

/// So many write without a pause until they are told that it is over.
async fn load(tenant: &Tenant, writers: usize, is_over: &Arc<AtomicBool>) -> JoinSet<usize> {
    let busy = name("busy");
    tenant
        .agents
        .create(&operator(), &busy, AgentConfig::default())
        .await
        .unwrap();
    let mut load = JoinSet::new();
    for _ in 0..writers {
        load.spawn(writes(tenant.clone(), busy.clone(), Arc::clone(is_over)));
    }
    load
}

async fn writes(tenant: Tenant, busy: AgentName, is_over: Arc<AtomicBool>) -> usize {
    let mut done = 0;
    // Ends when it is over.
    while !is_over.load(Ordering::Relaxed) {
        // A store in memory keeps nobody waiting: the others are to have their turn.
        tokio::task::yield_now().await;
        // Congestion is no news at full load.
        match tenant
            .threads
            .create(&operator(), &NewThread::new(busy.clone()))
            .await
        {
            Ok(_) => done += 1,
            Err(error) => assert!(error.is_congestion(), "{error}"),
        }
    }
    done
}

async fn a_hundred_owners_at_full_load_keep_their_leases(house: House) {
    let other = theirs(&house).await;
    let held = owners(&house, &other).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut load = load(&house.tenant, BUSY, &is_over).await;
    // A life of a lease and a half, with a heartbeat in each pause between two.
    for _ in 0..7 {
        house.clock.advance(20);
        let beats = held
            .iter()
            .map(|(tenant, claimed)| tenant.runs.heartbeat(claimed, None));
        for beat in join_all(beats).await {
            let pulse = beat.unwrap();
            assert_eq!(pulse.stop, None);
        }
        // One that has just begun, so that its clocks agree.
        let recovery = theirs(&house).await.recover(&NoOrphans).await.unwrap();
        assert!(recovery.is_empty(), "{recovery:?}");
    }
    is_over.store(true, Ordering::Relaxed);
    let mut written = 0;
    while let Some(done) = load.join_next().await {
        written += done.unwrap();
    }
    assert!(written > 0, "others wrote meanwhile");
    let (ended, left) = held.split_at(OWNERS / 2);
    for (tenant, claimed) in ended {
        let finished = tenant.runs.finish(claimed, &success(), &facts()).await.unwrap();
        assert!(matches!(finished.task.unwrap().state, TaskState::Done { .. }));
    }
    let told = house.event_types().await;
    assert!(!told.contains(&"lease.expired".to_owned()));
    // Whoever is not heard of does lapse.
    house.clock.advance(OVER_SECONDS);
    let next = match house.place().is_shared() {
        true => house.neighbour().await,
        false => house.successor().await,
    };
    let recovery = next.recover(&NoOrphans).await.unwrap();
    assert_eq!(recovery.ended.len(), left.len());
}

/// The 99th of a hundred, in order.
fn p99(sorted: &[Duration]) -> Duration {
    sorted[(sorted.len() - 1) * 99 / 100]
}

/// ST-74: how long a heartbeat takes where each commit waits for seconds behind others, in made-up time: by two processes.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_at_full_load_waits_less_than_a_third_of_a_lease() {
    let pace = Pace {
        flush: Duration::from_millis(500),
        group: 8,
        order: Order::Fair,
    };
    let disk = Disk::new(pace);
    let house = House::over_shared(Arc::clone(&disk) as Arc<dyn RecordStore>).await;
    let clock = Arc::clone(&house.clock);
    let ticks = tokio::spawn(async move {
        // Ends with the test.
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            clock.advance(1);
        }
    });
    let other = house.neighbour().await;
    let (done, is_done) = watch::channel(false);
    let mut working = JoinSet::new();
    let theirs = other.tenant(&tenant_id()).await.unwrap();
    for nth in 0..OWNERS {
        let owner = house.agent(&format!("owner-{nth}")).await;
        let task = house.task(NewTask::new(owner, "a long call")).await;
        let tenant = if nth % 2 == 0 { &house.tenant } else { &theirs };
        let options = ClaimOptions::default();
        let claimed = tenant.runs.claim(&operator(), task.id, options).await.unwrap();
        let (runs, is_done) = (tenant.runs.clone(), is_done.clone());
        working.spawn(async move { runs.drive(claimed, |steps| calls(steps, is_done)).await });
    }
    let is_over = Arc::new(AtomicBool::new(false));
    // As many as keep the queue eight seconds long.
    let load = load(&house.tenant, 128, &is_over).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(working.try_join_next().is_none(), "all are at work still");
    let beats = disk.beats();
    // Two processes, thirty pauses.
    assert!(beats.len() >= 2 * 28, "{}", beats.len());
    assert!(
        p99(&beats) >= Duration::from_secs(2),
        "they waited for others: {beats:?}"
    );
    assert!(p99(&beats) < THIRD, "{beats:?}");
    is_over.store(true, Ordering::Relaxed);
    load.join_all().await;
    done.send_replace(true);
    let mut recorded = 0;
    while let Some(end) = working.join_next().await {
        let RunEnd::Recorded(finished) = end.unwrap() else {
            panic!("its lease lives")
        };
        assert!(matches!(finished.task.unwrap().state, TaskState::Done { .. }));
        recorded += 1;
    }
    assert_eq!(recorded, OWNERS);
    ticks.abort();
}

/// A call that lasts until it is told to end.
async fn calls(steps: StepContext, mut is_done: watch::Receiver<bool>) -> Result<(), Failure> {
    let call = async move |_| {
        is_done.wait_for(|done| *done).await.unwrap();
        Ok(1)
    };
    let _: u32 = steps.step("call", &1, Effect::External, call).await?;
    Ok(())
}

/// ST-75: what the engine adds to the store, which takes of each lane in turn as case 41 of filesystem.md says of real ones:
/// by two processes, in made-up time. `cargo xtask bench engine` measures the whole on sled and on PostgreSQL.
#[tokio::test(start_paused = true)]
async fn a_tenant_beside_a_hot_one_waits_at_most_twice_as_long_as_alone() {
    let (alone, beside) = beside_a_hot_one(Order::Fair).await;
    assert!(beside <= alone * 2, "{beside:?} beside it, {alone:?} alone");
}

/// Where the store is not fair, it shows: the bound is not had for nothing.
#[tokio::test(start_paused = true)]
async fn a_tenant_beside_a_hot_one_waits_longer_where_the_store_is_not_fair() {
    let (alone, beside) = beside_a_hot_one(Order::AsTheyCame).await;
    assert!(beside > alone * 2, "{beside:?} beside it, {alone:?} alone");
}

/// The 99th of a hundred times that a change of a quiet tenant takes: alone, and beside a hot one.
async fn beside_a_hot_one(order: Order) -> (Duration, Duration) {
    let pace = Pace {
        flush: Duration::from_millis(10),
        group: 16,
        order,
    };
    let house = House::over_shared(Disk::new(pace)).await;
    let other = house.neighbour().await;
    let alice = house.agent("alice").await;
    let alone = took(&house, &alice).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let hot = "hot".parse().unwrap();
    let ours = load(&house.engine.tenant(&hot).await.unwrap(), HOT, &is_over).await;
    let busy = name("busy");
    let mut theirs = JoinSet::new();
    for _ in 0..HOT {
        let tenant = other.tenant(&hot).await.unwrap();
        theirs.spawn(writes(tenant, busy.clone(), Arc::clone(&is_over)));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let beside = took(&house, &alice).await;
    is_over.store(true, Ordering::Relaxed);
    let written: usize = ours.join_all().await.into_iter().sum();
    assert!(written > 100 && theirs.join_all().await.into_iter().sum::<usize>() > 100);
    (alone, beside)
}

async fn took(house: &House, agent: &AgentName) -> Duration {
    let mut took = Vec::new();
    for nth in 0..100 {
        let began = Instant::now();
        house
            .task(NewTask::new(agent.clone(), format!("sheep {nth}")))
            .await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    p99(&took)
}
