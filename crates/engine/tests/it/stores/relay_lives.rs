//! Sinks that refuse all, come anew, come while events are cut, or are served by two who want other events.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_engine::event::{EventFilter, Glob};
use dormouse_engine::relay::{Delivery, OnRefused, Sent, Sink, SinkOptions, SinkState};
use dormouse_engine::{Engine, SinkName};
use dormouse_filesystem::RecordStore;
use dormouse_secrets::Scrubbed;
use tokio::time::timeout;

use super::hooked::Hooked;
use super::house::{House, name, operator};
use super::relay::{Recorder, Relay, reaches};

super::on_every_store! {
    a_sink_of_a_former_ones_name_may_refuse_what_that_refused;
    two_sinks_that_refuse_all_do_not_tell_of_each_other_for_ever;
}

const PATIENCE: Duration = Duration::from_secs(60);
const MONTH: i64 = 31 * 24 * 60 * 60;

/// What one does with all that it is sent.
#[derive(Debug, Clone, Copy)]
enum Does {
    Refuse,
    Fail,
    Hang,
}

#[derive(Debug)]
struct Always {
    name: SinkName,
    options: SinkOptions,
    does: Does,
}

impl Always {
    fn named(name: &str, does: Does) -> Arc<dyn Sink> {
        Arc::new(Self {
            name: name.parse().unwrap(),
            options: SinkOptions {
                on_refused: OnRefused::DeadLetter,
                ..SinkOptions::default()
            },
            does,
        })
    }
}

#[async_trait]
impl Sink for Always {
    fn name(&self) -> &SinkName {
        &self.name
    }

    fn options(&self) -> &SinkOptions {
        &self.options
    }

    async fn send(&self, _: &Delivery) -> Sent {
        let reason = Scrubbed::constant("as it was told to");
        match self.does {
            Does::Refuse => Sent::Refused { taken: 0, reason },
            Does::Fail => Sent::Unknown {
                reason,
                retry_after: None,
            },
            Does::Hang => std::future::pending().await,
        }
    }
}

async fn letters(house: &House, sink: &str) -> Vec<u64> {
    let sink = sink.parse().unwrap();
    let letters = house.tenant.sinks.dead_letters(&sink, None, 100).await.unwrap();
    letters.iter().map(|letter| letter.position.get()).collect()
}

async fn has_letters(house: &House, sink: &str, count: usize) {
    let looking = async {
        while letters(house, sink).await.len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(PATIENCE, looking).await.is_err() {
        panic!("{sink} has {:?}", letters(house, sink).await);
    }
}

async fn a_sink_of_a_former_ones_name_may_refuse_what_that_refused(house: House) {
    house.agent("alice").await;
    let relay = Relay::of(&house.engine, vec![Always::named("audit", Does::Refuse)]);
    has_letters(&house, "audit", 1).await;
    relay.leaves().await;
    let sink: SinkName = "audit".parse().unwrap();
    house.tenant.sinks.remove(&operator(), &sink).await.unwrap();
    house.agent("bob").await;
    let relay = Relay::of(&house.engine, vec![Always::named("audit", Does::Refuse)]);
    // 2 and 3 tell of the sink.
    has_letters(&house, "audit", 2).await;
    relay.leaves().await;
    assert_eq!(letters(&house, "audit").await, [1, 4]);
}

async fn two_sinks_that_refuse_all_do_not_tell_of_each_other_for_ever(house: House) {
    house.agent("alice").await;
    let sinks = ["one", "two"].map(|name| Always::named(name, Does::Refuse));
    let relay = Relay::of(&house.engine, sinks.to_vec());
    for sink in ["one", "two"] {
        has_letters(&house, sink, 2).await;
    }
    relay.leaves().await;
    let told = house.event_types().await;
    assert_eq!(
        told,
        ["agent.created", "sink.dead_lettered", "sink.dead_lettered"]
    );
}

fn old_events(store: &Arc<Hooked>) -> impl Future<Output = House> + use<> {
    let store = Arc::clone(store) as Arc<dyn RecordStore>;
    async move {
        let house = House::over_exclusive(store).await;
        for agent in ["alice", "bob", "carol"] {
            house.agent(agent).await;
        }
        house.clock.advance(MONTH);
        house.agent("dora").await;
        house
    }
}

async fn states(house: &House) -> Vec<SinkState> {
    let sinks = house.tenant.sinks.list().await.unwrap();
    sinks.iter().map(|sink| sink.state).collect()
}

#[tokio::test]
async fn a_sink_that_is_made_while_events_are_cut_begins_with_those_that_stay() {
    let store = Hooked::new();
    let house = old_events(&store).await;
    let mut sweeper = house.engine.sweeper();
    // Between the reading of the log and the making of the cursor.
    store.before_commit(async move {
        assert_eq!(sweeper.look().await.unwrap().events, 3);
    });
    let sink = Recorder::new("audit");
    let relay = Relay::of(&house.engine, vec![sink.clone()]);
    sink.has(4).await;
    relay.leaves().await;
    assert_eq!(states(&house).await, [SinkState::Active]);
}

#[tokio::test]
async fn events_are_kept_for_a_sink_that_was_made_while_it_was_said_that_they_go() {
    let store = Hooked::new();
    let house = old_events(&store).await;
    let (engine, tenant) = (house.engine.clone(), house.tenant.clone());
    let making = async move {
        let relay = Relay::of(&engine, vec![Always::named("audit", Does::Fail)]);
        let is_there = async {
            while tenant.sinks.list().await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, is_there).await.unwrap();
        drop(relay);
    };
    // The first commit takes the lease, the second says what goes.
    let hook = Arc::clone(&store);
    store.before_commit(async move { hook.before_commit(making) });
    house.engine.sweeper().look().await.unwrap();
    let head = house.tenant.events.head().await.unwrap();
    assert_eq!(head.first.get(), 1, "what the sink has yet to be told");
    let states = states(&house).await;
    assert!(!states.contains(&SinkState::Detached), "{states:?}");
}

/// Two processes serve a sink of one name, and one of them wants nothing: it does not pass over what the other has yet to
/// be told.
#[tokio::test(start_paused = true)]
async fn what_a_filter_leaves_out_is_passed_over_by_the_holder_alone() {
    let house = House::over_shared(Hooked::new()).await;
    house.agent("alice").await;
    for nth in 0..300 {
        let new = dormouse_engine::task::NewTask::new(name("alice"), format!("sheep {nth}"));
        house.task(new).await;
    }
    let serve = |engine: &Engine, sink| Relay::of(engine, vec![sink]);
    let holds = serve(&house.engine, Always::named("audit", Does::Hang));
    reaches(&house, 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let wants_nothing = Arc::new(Always {
        name: "audit".parse().unwrap(),
        options: SinkOptions {
            filter: EventFilter {
                kind: Some(Glob::new("session.*")),
                ..EventFilter::default()
            },
            ..SinkOptions::default()
        },
        does: Does::Refuse,
    });
    let other = house.neighbour().await;
    let passes = serve(&other, wants_nothing);
    tokio::time::sleep(Duration::from_secs(15)).await;
    reaches(&house, 0).await;
    passes.leaves().await;
    holds.leaves().await;
}
