//! A fault at each operation of what the driver of a session writes. Who waits for it gets a typed error, or what it is to
//! have; for what it writes in its own time nobody waits, so nobody is told. Either way what the session was told is stored
//! in the end, once, and the next event is heard.

use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::session::{NewSession, SessionLive};
use dormouse_engine::task::NewTask;
use dormouse_engine::{Engine, PrefixedId, SessionId, Tenant};
use dormouse_filesystem::wrapper::{FaultKind, Operation};
use dormouse_filesystem::{Position, Records};
use dormouse_state::{Event, Row};

use super::faults::{FAULTS, OPERATIONS, may_answer};
use super::house::{House, name, operator, tenant_id};
use super::sessions::{done, seen, working};

/// What a driver writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    /// What it is told, before it answers.
    IsTold,
    /// What its run does within a turn, once a second.
    Gathers,
    /// That the end of a turn is no longer news.
    BecomesIdle,
}

/// ST-14, with `faults` and `faults_gates`: drivers. Their time is made up, so the store is memory.
#[tokio::test(start_paused = true)]
async fn a_fault_at_each_operation_of_a_driver_leaves_its_session_working() {
    for own in [Own::IsTold, Own::Gathers, Own::BecomesIdle] {
        let mut met = 0;
        let wanted = happens(own, None).await.told;
        for operation in OPERATIONS {
            for fault in FAULTS.into_iter().filter(|fault| fault.applies_to(operation)) {
                // Ends with the first operation that the driver does not come to.
                for before in 0.. {
                    let at = (operation, before, fault);
                    let came = happens(own, Some(at)).await;
                    assert_eq!(came.told, wanted, "{own:?}, {at:?}: each once");
                    if !came.is_met {
                        break;
                    }
                    met += 1;
                }
            }
        }
        assert!(met > 5, "{own:?}: {met} faults were met");
    }
}

/// Where something happens, behind how many of its kind, and what.
type At = (Operation, usize, FaultKind);

struct Came {
    is_met: bool,
    /// The types of all events, in order.
    told: Vec<String>,
}

/// A session, in a store of its own, with what it has.
struct World {
    tenant: Tenant,
    session: SessionId,
    claimed: Option<Claimed>,
}

impl World {
    async fn new(engine: &Engine, own: Own) -> Self {
        let tenant = engine.tenant(&tenant_id()).await.unwrap();
        let (by, alice) = (operator(), name("alice"));
        tenant
            .agents
            .create(&by, &alice, AgentConfig::default())
            .await
            .unwrap();
        match own {
            // Each write proves that the run is held still.
            Own::IsTold | Own::Gathers => {
                let new = NewTask::new(alice, "count the sheep");
                let task = tenant.tasks.create(&by, new).await.unwrap();
                let session = SessionId::make(task.created_at, &engine.environment().random);
                let options = ClaimOptions {
                    session: Some(session),
                    ..ClaimOptions::default()
                };
                let claimed = tenant.runs.claim(&by, task.id, options).await.unwrap();
                tenant.runs.started(&claimed, None).await.unwrap();
                Self {
                    tenant,
                    session,
                    claimed: Some(claimed),
                }
            }
            Own::BecomesIdle => {
                let made = tenant
                    .sessions
                    .create(&by, &NewSession::new(alice))
                    .await
                    .unwrap();
                Self {
                    tenant,
                    session: made.session,
                    claimed: None,
                }
            }
        }
    }

    async fn tell(&self, house: &House, seq: u64, event: Event) {
        let seen = seen(house, self.claimed.as_ref(), seq, event);
        self.tenant.sessions.observe(self.session, &seen).await.unwrap();
    }

    async fn told(&self) -> Vec<String> {
        let page = self
            .tenant
            .events
            .read_after(Position::START, 1000)
            .await
            .unwrap();
        page.events.into_iter().map(|at| at.event.kind).collect()
    }

    /// The last event of its stream that is stored as gathered.
    async fn gathered(&self) -> u64 {
        let lives = Records::<SessionLive>::new(self.tenant.space());
        let live = lives.get(&self.session).await.unwrap().unwrap();
        live.state.sources["stream"].position.seq
    }

    async fn row(&self) -> Row {
        self.tenant
            .sessions
            .require(self.session)
            .await
            .unwrap()
            .state
            .row()
    }
}

/// Past every repetition of a write.
const LONG: Duration = Duration::from_secs(30);

/// The driver writes by itself, and this happens on its way.
async fn happens(own: Own, at: Option<At>) -> Came {
    let house = &House::in_memory().await;
    let (engine, store) = house.faulty().await;
    let world = World::new(&engine, own).await;
    world.tell(house, 1, Event::Thinking).await;
    world.tell(house, 2, working()).await;
    match own {
        // What was gathered before is written, so that what follows is all that is.
        Own::Gathers => {
            tokio::time::sleep(LONG).await;
            world.tell(house, 3, Event::Thinking).await;
        }
        Own::BecomesIdle => world.tell(house, 3, done()).await,
        Own::IsTold => {}
    }
    if let Some((operation, before, fault)) = at {
        for _ in 0..before {
            store.next(operation, FaultKind::Delay(Duration::ZERO));
        }
        store.next(operation, fault);
    }
    match own {
        Own::IsTold => is_told(house, &world, at).await,
        Own::Gathers => {}
        Own::BecomesIdle => house.clock.advance(4),
    }
    tokio::time::sleep(LONG).await;
    let is_met = at.is_some_and(|(_, before, _)| store.met() > before as u64);
    store.forget();
    goes_on(house, &engine, &world, own, at).await;
    assert_eq!(engine.close().await.unsaved, [], "{at:?}");
    assert_eq!(engine.check_records(false).await.unwrap().bad, []);
    Came {
        is_met,
        told: world.told().await,
    }
}

/// The end of its turn; told again where it was not taken.
async fn is_told(house: &House, world: &World, at: Option<At>) {
    let over = seen(house, world.claimed.as_ref(), 3, done());
    let Err(error) = world.tenant.sessions.observe(world.session, &over).await else {
        return;
    };
    let may_be = at.is_some_and(|(.., fault)| may_answer(fault, error.code()));
    assert!(may_be, "{at:?}: {error:?}");
    world.tell(house, 3, done()).await;
}

/// What it was told is stored, and it hears what comes next.
async fn goes_on(house: &House, engine: &Engine, world: &World, own: Own, at: Option<At>) {
    let is_damage = at.is_some_and(|(.., fault)| fault == FaultKind::Damage);
    match own {
        Own::IsTold => assert_eq!(world.row().await, Row::Completed, "{at:?}"),
        Own::Gathers => {
            if is_damage {
                // A driver that cannot believe what it reads ends; the source tells again what it did not write.
                world.tell(house, 3, Event::Thinking).await;
                tokio::time::sleep(LONG).await;
            }
            assert_eq!(world.gathered().await, 3, "{at:?}");
            world.tell(house, 4, done()).await;
            assert_eq!(world.row().await, Row::Completed, "{at:?}");
        }
        Own::BecomesIdle => {
            if is_damage {
                // Whoever serves what is due does it then.
                engine.serve_due_once().await.unwrap();
            }
            assert_eq!(world.row().await, Row::Idle, "{at:?}");
            world.tell(house, 4, Event::Thinking).await;
            assert_eq!(world.row().await, Row::Thinking, "{at:?}");
        }
    }
    let history = world.tenant.sessions.history(world.session).await.unwrap();
    assert!(
        history.is_sorted_by(|one, next| one.sequence < next.sequence),
        "{at:?}: {history:?}"
    );
}
