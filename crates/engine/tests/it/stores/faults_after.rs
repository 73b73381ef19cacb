//! An error at each step after a claim: its task waits or is ready, it is counted, and nothing of the claim is kept.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::budget::{AccountPath, Dimension, Hold, Setting};
use dormouse_engine::lease::{Heartbeat, Lease};
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::step::{Effect, Failure, StepContext};
use dormouse_engine::supervisor::RunEnd;
use dormouse_engine::task::TaskState;
use dormouse_engine::thread::{Append, NewMessage, NewThread};
use dormouse_engine::{Engine, Subject, TaskId, Tenant, TenantId, ThreadId};
use dormouse_filesystem::wrapper::{Fault, FaultKind, Operation};
use dormouse_filesystem::{RecordStore, Records};
use dormouse_secrets::Scrubber;
use futures::FutureExt;

use super::house::{House, NoOrphans, facts, name, operator, success};

super::on_every_store! {
    /// ST-26
    an_error_at_each_step_after_a_claim_keeps_nothing_of_it;
    /// ST-26
    a_store_that_fails_after_a_claim_keeps_nothing_of_it;
}

/// ST-26: the same at every operation that follows a claim.
#[tokio::test]
async fn a_store_that_fails_at_each_operation_after_a_claim_keeps_nothing_of_it() {
    fails_everywhere(House::in_memory().await, usize::MAX, &ALL).await;
}

/// Past every lease, and every delay of a task.
const LATER_SECONDS: i64 = 2 * 60 * 60;

/// What goes wrong in what a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Error(usize),
    Panic(usize),
}

impl Wrong {
    /// Whether it happens here.
    fn at(self, stage: usize) -> Result<(), Failure> {
        match self {
            Self::Error(at) if at == stage => Err(Failure::of("no")),
            Self::Panic(at) if at == stage => panic!("it is expected of it"),
            _ => Ok(()),
        }
    }
}

/// How often something may go wrong in [`work`].
const STAGES: usize = 4;

/// What a run at a turn does: steps that may be repeated, a draft, an answer.
async fn work(tenant: Tenant, steps: StepContext, wrong: Wrong) -> Result<String, Failure> {
    wrong.at(0)?;
    let one: u32 = steps.step("one", &1, Effect::Pure, |_| async { Ok(1) }).await?;
    wrong.at(1)?;
    let _: u32 = steps
        .step("two", &one, Effect::Idempotent, |_| async { Ok(2) })
        .await?;
    wrong.at(2)?;
    if let Some(mut writer) = tenant.threads.writer(steps.claimed()) {
        writer.write(Scrubber::empty().scrub("half")).await?;
    }
    wrong.at(3)?;
    Ok("the whole".to_owned())
}

/// A turn of a thread that is claimed, in a tenant of its own.
struct World {
    tenant: Tenant,
    thread: ThreadId,
    task: TaskId,
    claimed: Option<Claimed>,
}

impl World {
    async fn new(engine: &Engine, nth: usize) -> Self {
        let tenant: TenantId = format!("tenant-{nth}").parse().unwrap();
        let tenant = engine.tenant(&tenant).await.unwrap();
        let (by, alice) = (operator(), name("alice"));
        let config = AgentConfig::default();
        tenant.agents.create(&by, &alice, config).await.unwrap();
        let limit = Setting {
            limits: vec![
                (Dimension::Concurrency, Some(1)),
                (Dimension::WallMs, Some(1 << 40)),
            ],
            ..Setting::default()
        };
        for path in [AccountPath::Tenant, AccountPath::Agent(alice.clone())] {
            tenant.budgets.set(&by, &path, &limit).await.unwrap();
        }
        let thread = tenant
            .threads
            .create(&by, &NewThread::new(alice))
            .await
            .unwrap()
            .id;
        let question = Append::submit(NewMessage::user("what is it?"));
        let turn = tenant.threads.append(&by, thread, &question).await.unwrap();
        let task = turn.task.unwrap();
        let claimed = tenant
            .runs
            .claim(&by, task, ClaimOptions::default())
            .await
            .unwrap();
        assert_eq!(
            tenant.threads.get(thread).await.unwrap().active_run,
            Some(claimed.run.id)
        );
        Self {
            tenant,
            thread,
            task,
            claimed: Some(claimed),
        }
    }

    /// Works until something goes wrong; none where even that was not caught.
    async fn works(&mut self, wrong: Wrong) -> Option<RunEnd> {
        let (tenant, claimed) = (self.tenant.clone(), self.claimed.take().unwrap());
        let driven = self
            .tenant
            .runs
            .drive(claimed, |steps| work(tenant, steps, wrong));
        AssertUnwindSafe(driven).catch_unwind().await.ok()
    }

    /// Nothing of a claim is there: no lease, no slot, nothing held, no run at the thread.
    async fn nothing_is_kept(&self, place: &str) {
        let space = self.tenant.space();
        let run = self.tenant.tasks.get(self.task).await.unwrap().last_run.unwrap();
        let subject = Subject::Run(run);
        let lease = Records::<Lease>::new(space).get(&subject).await.unwrap();
        let heartbeat = Records::<Heartbeat>::new(space).get(&subject).await.unwrap();
        assert!(
            lease.is_none() && heartbeat.is_none(),
            "{place}: {lease:?} {heartbeat:?}"
        );
        for path in [AccountPath::Tenant, AccountPath::Agent(name("alice"))] {
            let account = self.tenant.budgets.get(&path).await.unwrap().unwrap();
            assert!(
                account.reserved.is_zero(),
                "{place}: {path} has {:?}",
                account.reserved
            );
        }
        let holds = Records::<Hold>::new(space).range(&[], None, 1000).await.unwrap();
        assert!(
            !holds.rows.is_empty() && holds.rows.iter().all(|hold| !hold.is_open()),
            "{place}: {holds:?}"
        );
        let thread = self.tenant.threads.get(self.thread).await.unwrap();
        assert_eq!(thread.active_run, None, "{place}");
    }

    /// It is counted, waits or is ready; and the next attempt is claimed and ends the turn.
    async fn goes_on(&self, engine: &Engine, house: &House, place: &str) {
        let (runs, tasks) = (&self.tenant.runs, &self.tenant.tasks);
        let task = tasks.get(self.task).await.unwrap();
        assert!(
            matches!(task.state, TaskState::Waiting { .. } | TaskState::Ready),
            "{place}: {task:?}"
        );
        assert_eq!(task.failures + task.reclaims, 1, "{place}: {task:?}");
        house.clock.advance(LATER_SECONDS);
        engine.serve_due_once().await.unwrap();
        let claimed = runs
            .claim(&operator(), self.task, ClaimOptions::default())
            .await
            .unwrap();
        runs.finish(&claimed, &success(), &facts()).await.unwrap();
        self.nothing_is_kept(place).await;
    }
}

async fn an_error_at_each_step_after_a_claim_keeps_nothing_of_it(house: House) {
    let mut nth = 0;
    for stage in 0..STAGES {
        for wrong in [Wrong::Error(stage), Wrong::Panic(stage)] {
            let mut world = World::new(&house.engine, nth).await;
            nth += 1;
            let place = format!("{wrong:?}");
            let end = world.works(wrong).await;
            assert!(matches!(end, Some(RunEnd::Recorded(_))), "{place}: {end:?}");
            world.nothing_is_kept(&place).await;
            match wrong {
                Wrong::Error(_) => world.goes_on(&house.engine, &house, &place).await,
                // Of a permanent class: it is not tried again by itself.
                Wrong::Panic(_) => {
                    let task = world.tenant.tasks.get(world.task).await.unwrap();
                    assert!(
                        matches!(task.state, TaskState::Failed { .. }),
                        "{place}: {task:?}"
                    );
                }
                Wrong::Nothing => unreachable!("nothing is no error"),
            }
        }
    }
    // Its holder is gone before it did anything.
    let mut world = World::new(&house.engine, nth).await;
    drop(world.claimed.take());
    let_go_of(&house, &house.engine).await;
    world.nothing_is_kept("dropped").await;
    world.goes_on(&house.engine, &house, "dropped").await;
}

/// The process that let go of a run ends it, when its lease is over.
async fn let_go_of(house: &House, engine: &Engine) {
    house.clock.advance(LATER_SECONDS);
    engine.serve_leases_once(&NoOrphans).await.unwrap();
}

/// What happens to a store.
type What = (Operation, FaultKind);

const FEW: [What; 3] = [
    (Operation::Get, FaultKind::Refuse),
    (Operation::Commit, FaultKind::Refuse),
    (Operation::Commit, FaultKind::LoseAfter),
];

const ALL: [What; 8] = [
    (Operation::Get, FaultKind::Refuse),
    (Operation::GetMany, FaultKind::Refuse),
    (Operation::List, FaultKind::Refuse),
    (Operation::ListMany, FaultKind::Refuse),
    (Operation::Commit, FaultKind::Refuse),
    (Operation::Commit, FaultKind::Conflict),
    (Operation::Commit, FaultKind::LoseBefore),
    (Operation::Commit, FaultKind::LoseAfter),
];

async fn a_store_that_fails_after_a_claim_keeps_nothing_of_it(house: House) {
    fails_everywhere(house, 2, &FEW).await;
}

/// Works with a fault at each of the first operations of each kind.
async fn fails_everywhere(house: House, most: usize, faults: &[What]) {
    let (engine, store) = house.faulty().await;
    let (mut nth, mut met) = (0, 0);
    for what in faults {
        for before in 0..most {
            let world = World::new(&engine, nth).await;
            nth += 1;
            if !fails_at(&house, &engine, &store, world, (*what, before)).await {
                break;
            }
            met += 1;
        }
    }
    assert!(met >= faults.len(), "faults were met: {met}");
    assert_eq!(engine.check_records(false).await.unwrap().bad, []);
}

async fn fails_at(
    house: &House,
    engine: &Engine,
    store: &Arc<Fault<Arc<dyn RecordStore>>>,
    mut world: World,
    ((operation, fault), before): (What, usize),
) -> bool {
    let place = format!("{fault:?} at {operation:?} {before}");
    let met = store.met();
    for _ in 0..before {
        store.next(operation, FaultKind::Delay(Duration::ZERO));
    }
    store.next(operation, fault);
    let end = world.works(Wrong::Nothing).await.expect("no fault is a panic");
    let is_met = store.met() > met + before as u64;
    store.forget();
    if let RunEnd::Unrecorded = end {
        let_go_of(house, engine).await;
    }
    world.nothing_is_kept(&place).await;
    let task = world.tenant.tasks.get(world.task).await.unwrap();
    match task.state {
        // It was survived.
        TaskState::Done { .. } => assert!(matches!(end, RunEnd::Recorded(_)), "{place}: {end:?}"),
        _ => {
            assert!(is_met, "{place}: {end:?}");
            world.goes_on(engine, house, &place).await;
        }
    }
    is_met
}
