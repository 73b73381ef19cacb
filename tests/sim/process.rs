//! A simulated process: an engine over the shared store, on a machine whose clock differs, which can be gone at any moment.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_engine::recovery::{OrphanFate, Orphans};
use dormouse_engine::run::Process as ProcessRow;
use dormouse_engine::worker::Boot;
use dormouse_engine::{
    Clock, Engine, EngineOptions, Environment, HostIdentity, Random, Seat, Tenant, TenantId,
};
use dormouse_filesystem::{Namespace, System};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant, sleep};

/// When every world begins.
pub(crate) const EPOCH: &str = "2026-03-01T12:00:00Z";

/// The clock of a machine: the world's time, and how far it is off.
#[derive(Debug)]
pub(crate) struct SkewedClock {
    begun: Instant,
    off_ms: AtomicI64,
}

impl SkewedClock {
    pub(crate) fn new(begun: Instant) -> Self {
        Self {
            begun,
            off_ms: AtomicI64::new(0),
        }
    }

    pub(crate) fn set_off(&self, milliseconds: i64) {
        self.off_ms.store(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let epoch: Timestamp = EPOCH.parse().unwrap();
        let passed = SignedDuration::try_from(self.begun.elapsed()).unwrap();
        epoch + passed + SignedDuration::from_millis(self.off_ms.load(Ordering::SeqCst))
    }
}

/// A simulated world has no process trees.
#[derive(Debug)]
pub(crate) struct NoOrphans;

#[async_trait::async_trait]
impl Orphans for NoOrphans {
    async fn end(&self, _: &ProcessRow) -> OrphanFate {
        OrphanFate::Gone
    }
}

/// One process after the other on the same machine.
pub(crate) struct Process {
    number: usize,
    seed: u64,
    system: Namespace<System>,
    pub(crate) clock: Arc<SkewedClock>,
    /// Whether the next process on this machine knows that the former one is dead.
    has_seat: bool,
    engine: Mutex<Engine>,
    /// Which process of the machine lives.
    life: AtomicU64,
    /// Told when it is gone: all who are it, in the order in which they began. A `watch` wakes those who wait in an order of
    /// chance, which no seed fixes.
    gone: Notify,
}

impl Process {
    pub(crate) fn new(number: usize, seed: u64, system: Namespace<System>, begun: Instant) -> Self {
        let clock = Arc::new(SkewedClock::new(begun));
        let has_seat = number != 0;
        let engine = engine(number, seed, 0, &system, &clock, has_seat);
        Self {
            number,
            seed,
            system,
            clock,
            has_seat,
            engine: Mutex::new(engine),
            life: AtomicU64::new(0),
            gone: Notify::new(),
        }
    }

    /// The process that lives now.
    pub(crate) fn engine(&self) -> Engine {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is gone without a word, whatever it was doing, and another one begins.
    pub(crate) fn crash(&self) {
        let life = self.life.fetch_add(1, Ordering::SeqCst) + 1;
        let next = engine(
            self.number,
            self.seed,
            life,
            &self.system,
            &self.clock,
            self.has_seat,
        );
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = next;
        self.gone.notify_waiters();
    }

    /// Does this as the process that lives now: none when it is gone in the middle of it.
    pub(crate) async fn alive<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        // Hears of all that happens from here on.
        let gone = self.gone.notified();
        tokio::select! {
            biased;
            () = gone => None,
            done = work => Some(done),
        }
    }

    /// A tenant's services in the process that lives now.
    pub(crate) async fn tenant(&self, tenant: usize) -> Tenant {
        // Ends when the store answers.
        loop {
            match self.engine().tenant(&tenant_id(tenant)).await {
                Ok(tenant) => return tenant,
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

/// The tenant of this number.
pub(crate) fn tenant_id(tenant: usize) -> TenantId {
    ["north", "south"][tenant].parse().unwrap()
}

fn engine(
    number: usize,
    seed: u64,
    life: u64,
    system: &Namespace<System>,
    clock: &Arc<SkewedClock>,
    has_seat: bool,
) -> Engine {
    let mut random = dormouse_tests::seed::part(seed, 1000 + (number as u64) * 1000 + life);
    let random = Arc::new(Random::seeded(rand::Rng::next_u64(&mut random)));
    let boot = Boot {
        host: format!("host-{number}"),
        boot_id: "boot".to_owned(),
    };
    let pid = u32::try_from(life).unwrap();
    let environment = Environment {
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        host: HostIdentity {
            seat: has_seat.then(|| Seat::new(format!("seat-{number}"))),
            ..HostIdentity::new(boot, pid, clock.now(), &random)
        },
        random,
    };
    // Its workers fail by chance, and nobody is there who would resume an agent.
    let options = EngineOptions {
        agent_intensity: None,
        ..EngineOptions::default()
    };
    Engine::open(system.clone(), environment, options)
}
