//! What a gate costs beside bare commits of the same store: from the decision to the release of who waits, a whole use
//! of an approval, and a hundred deciders of one gate. On sled, which flushes; ratios are what counts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use dormouse_engine::agent::AgentConfig;
use dormouse_engine::capability::CapabilityEnd;
use dormouse_engine::gate::{
    Call, Caller, Canonical, Choice, Decide, Gate, GateError, Input, NewGate, Scope,
};
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::task::NewTask;
use dormouse_engine::worker::Boot;
use dormouse_engine::{
    Channel, Clock, Engine, EngineOptions, Environment, HostIdentity, Principal, Random, Tenant,
};
use dormouse_filesystem::{
    Deadline, Key, Namespace, Opener, RecordKind, RecordStore, Requirements, Sled, SledOptions, System,
};
use dormouse_secrets::Scrubber;
use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::time::Instant;

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
const KIND: RecordKind = RecordKind::of("bench");
/// What a row of a gate has, about.
const VALUE_BYTES: usize = 1024;
const DECIDERS: usize = 100;

/// A clock that stands: no lease of a bench expires.
#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        NOW
    }
}

struct Bed {
    store: Arc<dyn RecordStore>,
    tenant: Tenant,
    claimed: Claimed,
    serial: std::sync::atomic::AtomicU64,
    _folder: tempfile::TempDir,
}

impl fmt::Debug for Bed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bed")
    }
}

fn by() -> Principal {
    Principal::operator("olga", Channel::Cli)
}

impl Bed {
    async fn make() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sled = Sled::open(&folder.path().join("store"), SledOptions::new(NOW)).await;
        let store: Arc<dyn RecordStore> = Arc::new(sled.expect("an empty folder opens"));
        let opener = Opener::at(NOW, 1);
        let need = Requirements::volatile();
        let system = Namespace::<System>::open(Arc::clone(&store), &need, opener).await;
        let random = Arc::new(Random::seeded(1));
        let boot = Boot {
            host: "burrow".to_owned(),
            boot_id: "this-boot".to_owned(),
        };
        let environment = Environment {
            clock: Arc::new(Standing),
            host: HostIdentity::new(boot, 4211, NOW, &random),
            random,
        };
        let system = system.expect("the store keeps its promises");
        let engine = Engine::open(system, environment, EngineOptions::default());
        let id = "default".parse().expect("it is a name");
        let tenant = engine.tenant(&id).await.expect("it is made");
        let alice = "alice".parse().expect("it is a name");
        let config = AgentConfig::default();
        tenant
            .agents
            .create(&by(), &alice, config)
            .await
            .expect("it is new");
        let new = NewTask::new(alice, "count the sheep");
        let task = tenant.tasks.create(&by(), new).await.expect("it is new");
        let claimed = tenant.runs.claim(&by(), task.id, ClaimOptions::default()).await;
        Self {
            store,
            tenant,
            claimed: claimed.expect("it is ready"),
            serial: std::sync::atomic::AtomicU64::new(0),
            _folder: folder,
        }
    }

    fn next(&self) -> u64 {
        self.serial.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    async fn open(&self) -> Gate {
        let input = Canonical::parse("{}").expect("it is JSON");
        let call = Call::new("Bash", Input::Given(input));
        let new = NewGate {
            task: self.claimed.run.task,
            caller: Some(Caller {
                run: self.claimed.run.id,
                spawn: 1,
            }),
            call_id: Some(self.next().to_string()),
            ..NewGate::approval(self.claimed.run.agent.clone(), call, "run it")
        };
        let opened = self.tenant.gates.open(&by(), &new, &Scrubber::empty()).await;
        opened.expect("there is room").gate
    }

    async fn shown(&self, gate: &Gate) -> Decide {
        let read = self.tenant.gates.get(gate.id).await.expect("it is there");
        Decide {
            gate: gate.id,
            choice: Choice::Approve { edited: None },
            shown_version: read.version(),
            shown_digest: read.digest,
            scope: Scope::Once,
            comment: None,
        }
    }

    /// One bare commit of about the same size.
    async fn commit(&self) -> Duration {
        use dormouse_filesystem::RecordStoreExt;
        let key = Key::parse(&format!("bare/{}", self.next())).expect("it is a key");
        let deadline = Deadline::after(Duration::from_secs(10));
        let began = Instant::now();
        let value = "x".repeat(VALUE_BYTES);
        self.store
            .create(key, KIND, value, deadline)
            .await
            .expect("it is new");
        began.elapsed()
    }

    /// From the decision to the release of who waits.
    async fn release(&self) -> Duration {
        let gate = self.open().await;
        let decide = self.shown(&gate).await;
        let gates = self.tenant.gates.clone();
        let waiter = tokio::spawn(async move { gates.wait(gate.id).await });
        while self.tenant.gates.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let began = Instant::now();
        self.tenant
            .gates
            .decide(&by(), &decide)
            .await
            .expect("it is pending");
        waiter.await.expect("it does not panic").expect("it was decided");
        let took = began.elapsed();
        self.revoke(&decide).await;
        took
    }

    async fn revoke(&self, decide: &Decide) {
        let revoked = self.tenant.capabilities.revoke(&by(), decide.gate).await;
        revoked.expect("nobody uses it");
    }

    /// Opened, decided, claimed, dispatched, finished.
    async fn whole_use(&self) -> Duration {
        let began = Instant::now();
        let gate = self.open().await;
        let decide = self.shown(&gate).await;
        self.tenant
            .gates
            .decide(&by(), &decide)
            .await
            .expect("it is pending");
        let (capabilities, claimed) = (&self.tenant.capabilities, &self.claimed);
        let used = async {
            capabilities.claim(gate.id, gate.digest, claimed).await?;
            capabilities.begin_dispatch(gate.id, claimed).await?;
            capabilities.finish(gate.id, claimed, CapabilityEnd::Done).await
        };
        used.await.expect("it is held");
        began.elapsed()
    }

    async fn five_commits(&self) -> Duration {
        let began = Instant::now();
        for _ in 0..5 {
            self.commit().await;
        }
        began.elapsed()
    }

    /// To the last answer of so many deciders.
    async fn deciders(&self, deciders: usize) -> Duration {
        let gate = self.open().await;
        let decide = self.shown(&gate).await;
        let began = Instant::now();
        let deciding = (0..deciders).map(|nth| {
            let (gates, decide) = (self.tenant.gates.clone(), decide.clone());
            let by = Principal::operator(format!("decider-{nth}"), Channel::Http);
            tokio::spawn(async move { gates.decide(&by, &decide).await })
        });
        for answer in futures::future::join_all(deciding.collect::<Vec<_>>()).await {
            match answer.expect("none panics") {
                Ok(_) | Err(GateError::NotPending { .. }) => {}
                Err(other) => unreachable!("{other}"),
            }
        }
        let took = began.elapsed();
        self.revoke(&decide).await;
        took
    }
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// The figure of the contract that a mean does not tell, printed beside the others.
#[allow(clippy::print_stderr, reason = "a bench prints its figures")]
fn release_p99(runtime: &Runtime, bed: &Bed) {
    let (mut released, mut committed) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        released.push(runtime.block_on(bed.release()));
        committed.push(runtime.block_on(bed.commit()));
    }
    let (released, committed) = (p99(released), p99(committed));
    let ratio = released.as_secs_f64() / committed.as_secs_f64();
    eprintln!(
        "decision to release p99 {released:?}, one commit p99 {committed:?}: {ratio:.2} ×, target ≤ 1.2 ×"
    );
}

fn gates(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let bed = &runtime.block_on(Bed::make());
    release_p99(&runtime, bed);
    let mut group = criterion.benchmark_group("gates");
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    macro_rules! figure {
        ($name:literal, $what:expr) => {
            group.bench_function($name, |bencher| {
                bencher.to_async(&runtime).iter_custom(|times| async move {
                    let mut took = Duration::ZERO;
                    for _ in 0..times {
                        took += $what.await;
                    }
                    took
                });
            });
        };
    }
    figure!("one commit", bed.commit());
    figure!("decision to release", bed.release());
    figure!("five commits", bed.five_commits());
    figure!("open, decide, claim, dispatch, finish", bed.whole_use());
    figure!("one decision", bed.deciders(1));
    figure!("a hundred deciders", bed.deciders(DECIDERS));
    group.finish();
}

criterion_group!(benches, gates);
criterion_main!(benches);
