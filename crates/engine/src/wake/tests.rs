//! What the rows of a wake ignore or reject leaves every byte as it was: each state × each event of the table, by whoever
//! writes them, on every store.

use std::sync::Arc;

use dormouse_filesystem::{
    Item, Namespace, Opener, Page, Prefix, RecordStore, Records, Requirements, System, Version,
};
use jiff::{SignedDuration, Timestamp};

use super::lane::{Leave, leave, pick};
use super::{Wake, WakeCause, WakeEvent, WakeFacts, WakeState, decide};
use crate::core::Core;
use crate::worker::Boot;
use crate::{
    AgentName, Clock, Decision, Engine, EngineOptions, Environment, Epoch, HostIdentity, OpId, PrefixedId,
    Principal, Random, Tenant,
};

/// The stores of the integration tests.
#[allow(dead_code, reason = "those have more to do with them")]
#[path = "../../tests/it/stores/place.rs"]
mod place;

use place::Place;

/// ST-19: of wakes; `every_state_of_a_task_meets_every_command` and its neighbours of the integration tests are the rest.
#[tokio::test]
async fn what_a_wake_ignores_leaves_every_byte_in_memory() {
    what_a_wake_ignores_leaves_every_byte(Place::memory()).await;
}

/// ST-19
#[tokio::test]
async fn what_a_wake_ignores_leaves_every_byte_in_sled() {
    what_a_wake_ignores_leaves_every_byte(Place::sled()).await;
}

/// ST-19
#[tokio::test]
async fn what_a_wake_ignores_leaves_every_byte_in_local() {
    what_a_wake_ignores_leaves_every_byte(Place::local()).await;
}

/// ST-19
#[tokio::test]
async fn what_a_wake_ignores_leaves_every_byte_in_postgres() {
    if let Some(place) = Place::postgres() {
        what_a_wake_ignores_leaves_every_byte(place).await;
    }
}

/// A clock that stands.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }
}

struct World {
    store: Arc<dyn RecordStore>,
    engine: Engine,
    tenant: Tenant,
}

impl World {
    async fn at(place: &Place) -> Self {
        let store = place.open().await;
        let random = Arc::new(Random::seeded(u64::from(std::process::id())));
        let opener = Opener::at(Timestamp::UNIX_EPOCH, random.number());
        let need = Requirements::volatile();
        let system = Namespace::<System>::open(Arc::clone(&store), &need, opener).await;
        let boot = Boot {
            host: "burrow".to_owned(),
            boot_id: "this-boot".to_owned(),
        };
        let host = HostIdentity::new(boot, 4211, Still.now(), &random);
        let environment = Environment {
            clock: Arc::new(Still),
            random,
            host,
        };
        let engine = Engine::open(system.unwrap(), environment, EngineOptions::default());
        let tenant = engine.tenant(&"default".parse().unwrap()).await.unwrap();
        Self {
            store,
            engine,
            tenant,
        }
    }

    fn core(&self) -> &Core {
        &self.tenant.core
    }

    /// All records with their versions.
    async fn stored(&self) -> Vec<String> {
        let (mut page, mut stored) = (Page::of(Prefix::root()), Vec::new());
        // Ends with the last page.
        loop {
            let listed = self.store.list(&page).await.unwrap();
            for item in listed.items {
                let Item::Entry(entry) = item else {
                    panic!("{item:?}")
                };
                let text = String::from_utf8_lossy(&entry.value);
                stored.push(format!("{} {:?} {text}", entry.key, entry.version));
            }
            page.after = listed.next;
            if page.after.is_none() {
                return stored;
            }
        }
    }

    async fn row(&self, agent: &AgentName) -> Option<(Wake, Version)> {
        let read = Records::<Wake>::new(&self.core().space).get(agent).await.unwrap();
        read.map(|row| (Wake::clone(&row), row.version()))
    }

    /// A row so far, or none; none where there cannot be such a one.
    async fn has(&self, agent: &AgentName, case: &Case) {
        let Some(state) = case.state else { return };
        let now = Still.now();
        let later = now + SignedDuration::from_secs(60);
        let earlier = now - SignedDuration::from_secs(60);
        let picked = (state == WakeState::Picked).then_some(match case.by {
            By::Us => self.engine.environment().host.epoch,
            By::Another => Epoch::make(now, &Random::seeded(77)),
        });
        let due_at = if case.is_early { later } else { earlier };
        let row = Wake {
            agent: agent.clone(),
            state,
            again: false,
            due_at: if state == WakeState::Picked {
                earlier
            } else {
                due_at
            },
            causes: [WakeCause::TaskReady].into(),
            rings: 1,
            first_at: earlier,
            last_at: earlier,
            picked_by: picked,
            picked_until: picked.map(|_| if case.is_early { later } else { earlier }),
            op: OpId::make(now, &Random::seeded(7)),
        };
        Records::<Wake>::new(&self.core().space)
            .create(&row)
            .await
            .unwrap();
    }
}

/// Whose pick it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Us,
    Another,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    state: Option<WakeState>,
    by: By,
    /// Its time, or the end of its pick, has not come.
    is_early: bool,
    event: WakeEvent,
    /// Its agent is as whoever leaves its lane saw it: paused, or gone. Otherwise it is there and at work.
    is_as_seen: bool,
}

/// Those that a service writes of a lane. Of the others: a ring is ignored nowhere, and nobody says `full` of a row: a lane
/// without a place is kept in memory.
const EVENTS: [WakeEvent; 6] = [
    WakeEvent::Pick,
    WakeEvent::Drained,
    WakeEvent::Next,
    WakeEvent::Pause,
    WakeEvent::Resume,
    WakeEvent::Delete,
];

fn cases() -> Vec<Case> {
    let states = [None].into_iter().chain(WakeState::ALL.map(Some));
    let mut cases = Vec::new();
    for state in states {
        for by in [By::Us, By::Another] {
            for is_early in [false, true] {
                let case = |event| Case {
                    state,
                    by,
                    is_early,
                    event,
                    is_as_seen: true,
                };
                cases.extend(EVENTS.map(case));
                // Its agent was resumed, or made anew, since its lane was looked at.
                let otherwise = |event| Case {
                    is_as_seen: false,
                    ..case(event)
                };
                cases.extend([WakeEvent::Pause, WakeEvent::Delete].map(otherwise));
            }
        }
    }
    cases
}

/// What the table says of it: the state it leads to where it applies, `None` where the row is to be as it was.
fn wanted(case: &Case, is_exclusive: bool) -> Option<Option<WakeState>> {
    let is_leaving = matches!(
        case.event,
        WakeEvent::Drained | WakeEvent::Next | WakeEvent::Pause | WakeEvent::Delete
    );
    let picked = case.state == Some(WakeState::Picked);
    // What another process is at is its own to leave, and nobody leaves a lane without a row.
    if !case.is_as_seen || is_leaving && (case.state.is_none() || (picked && case.by == By::Another)) {
        return None;
    }
    let state = match (case.state, case.event) {
        // Where nobody else writes the store, being at a lane is not written down.
        (Some(WakeState::Due), _) if is_leaving && is_exclusive => Some(WakeState::Picked),
        // A pick that is over, and a lane that was full and is due: both are due.
        (Some(WakeState::Picked | WakeState::Full), WakeEvent::Pick) if !case.is_early => {
            Some(WakeState::Due)
        }
        // What is ours already is picked for longer.
        (Some(WakeState::Picked), WakeEvent::Pick) if case.by == By::Us => return Some(case.state),
        (state, _) => state,
    };
    let facts = WakeFacts {
        is_early: case.is_early && case.state != Some(WakeState::Picked),
        ..WakeFacts::default()
    };
    match decide(state, case.event, facts) {
        Decision::Apply(next) => Some(next),
        Decision::Same | Decision::Ignore(_) | Decision::Reject(_) => None,
    }
}

/// The agent of a case.
async fn stands(world: &World, agent: &AgentName, case: &Case) {
    let (by, agents) = (Principal::engine(), &world.tenant.agents);
    if case.event == WakeEvent::Delete && case.is_as_seen {
        return;
    }
    let config = crate::agent::AgentConfig::default();
    agents.create(&by, agent, config).await.unwrap();
    if case.event == WakeEvent::Pause && case.is_as_seen {
        agents.pause(&by, agent, None).await.unwrap();
    }
}

async fn happens(world: &World, agent: &AgentName, case: &Case) {
    let core = world.core();
    let seen = world.row(agent).await.map(|(_, version)| version);
    let later = Still.now() + SignedDuration::from_secs(600);
    let how = match case.event {
        WakeEvent::Pick => {
            pick(core, agent).await.unwrap();
            return;
        }
        // An agent that is not paused: a row that is held is written only while it is.
        WakeEvent::Resume => {
            world
                .tenant
                .agents
                .resume(&Principal::engine(), agent)
                .await
                .unwrap();
            return;
        }
        WakeEvent::Drained => match seen {
            Some(seen) => Leave::Drained(seen),
            None => return,
        },
        WakeEvent::Next => Leave::Next(later, seen),
        WakeEvent::Pause => Leave::Pause,
        WakeEvent::Delete => Leave::Delete,
        WakeEvent::Ring | WakeEvent::Full | WakeEvent::Freed | WakeEvent::PickExpired => {
            unreachable!("it is no event of this test")
        }
    };
    let was_left = leave(core, agent, how).await.unwrap();
    // Whoever else is at it looks himself.
    let is_its = seen.is_some() && !(case.state == Some(WakeState::Picked) && case.by == By::Another);
    assert_eq!(
        was_left,
        case.is_as_seen || !is_its,
        "{case:?} is to be looked at again"
    );
}

async fn what_a_wake_ignores_leaves_every_byte(place: Place) {
    let world = World::at(&place).await;
    let (mut ignored, mut applied) = (0, 0);
    for (nth, case) in cases().iter().enumerate() {
        let agent: AgentName = format!("agent-{nth}").parse().unwrap();
        stands(&world, &agent, case).await;
        world.has(&agent, case).await;
        let before = world.stored().await;
        let read = world.row(&agent).await;
        happens(&world, &agent, case).await;
        let after = world.row(&agent).await;
        // An agent that is not paused is resumed already, whatever its row is.
        let wanted = match case.event {
            WakeEvent::Resume => None,
            _ => wanted(case, world.engine.is_exclusive()),
        };
        match wanted {
            None => {
                assert_eq!(world.stored().await, before, "{case:?} wrote, and is ignored");
                ignored += 1;
            }
            Some(next) => {
                assert_ne!(after, read, "{case:?} wrote nothing");
                assert_eq!(after.map(|(row, _)| row.state), next, "{case:?}");
                applied += 1;
            }
        }
    }
    assert!(
        ignored > 40 && applied > 20,
        "{ignored} are ignored, {applied} applied"
    );
    // A lane that was rung since it was looked at is not left either.
    let agent: AgentName = "rung".parse().unwrap();
    let case = Case {
        state: Some(WakeState::Picked),
        by: By::Us,
        is_early: true,
        event: WakeEvent::Drained,
        is_as_seen: true,
    };
    world.has(&agent, &case).await;
    let before = world.stored().await;
    let older = Version::new(1);
    assert!(!leave(world.core(), &agent, Leave::Drained(older)).await.unwrap());
    assert_eq!(world.stored().await, before);
}
