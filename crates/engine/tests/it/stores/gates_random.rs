//! Random histories of gates and capabilities: each step moves what the tables say and nothing else, and what must
//! always be true is.

use std::collections::BTreeMap;
use std::time::Duration;

use dormouse_engine::capability::{
    CapabilityEnd, CapabilityEvent, CapabilityIgnored, CapabilityPhase, CapabilityState,
    decide as capability_cell,
};
use dormouse_engine::gate::{
    Choice, Decide, End, Gate, GateCell, GateEvent, GateFilter, GateState, GateStatus, NewGate, Timeout,
    decide,
};
use dormouse_engine::{Channel, GateId, Principal};
use dormouse_state::{GateKind, Invalidation};
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};

use super::gates::{Asker, events, shown, try_open, yes};
use super::house::{House, facts, failed, name, success};

super::on_every_store! {
    a_random_history_follows_the_tables;
}

/// `DORMOUSE_TEST_SEED` repeats a run.
#[allow(clippy::print_stderr, reason = "a random test says its seed")]
fn seed() -> u64 {
    let given = std::env::var("DORMOUSE_TEST_SEED").ok();
    let seed = given.map_or_else(|| SysRng.try_next_u64().unwrap(), |seed| seed.parse().unwrap());
    eprintln!("DORMOUSE_TEST_SEED={seed}");
    seed
}

async fn a_random_history_follows_the_tables(house: House) {
    let mut history = History::new(house, seed()).await;
    history.run(100).await;
}

/// More of them where they cost least.
#[tokio::test]
async fn random_histories_follow_the_tables() {
    let seed = seed();
    for nth in 0..10 {
        let mut history = History::new(House::in_memory().await, seed.wrapping_add(nth)).await;
        history.run(150).await;
    }
}

struct History {
    house: House,
    random: StdRng,
    asker: Asker,
    calls: u32,
    gates: Vec<(GateId, NewGate)>,
    /// How gates ended: for ever.
    ended: BTreeMap<GateId, End>,
}

impl History {
    async fn new(house: House, seed: u64) -> Self {
        let asker = Asker::new(&house).await;
        Self {
            house,
            random: StdRng::seed_from_u64(seed),
            asker,
            calls: 0,
            gates: Vec::new(),
            ended: BTreeMap::new(),
        }
    }

    async fn run(&mut self, steps: usize) {
        for nth in 1..=steps {
            self.step().await;
            if nth % 10 == 0 || nth == steps {
                self.check().await;
            }
        }
    }

    async fn step(&mut self) {
        match self.random.random_range(0..20) {
            0..5 => self.open().await,
            5..10 => self.decide().await,
            10 => self.end_one(GateEvent::Discard).await,
            11 => self.end_one(GateEvent::Invalidate).await,
            12 => self.end_one(GateEvent::Expire { is_due: false }).await,
            13 => self.pass_time().await,
            14..19 => self.use_one().await,
            _ => self.next_run().await,
        }
    }

    fn any(&mut self) -> Option<(GateId, NewGate)> {
        if self.gates.is_empty() {
            return None;
        }
        let nth = self.random.random_range(0..self.gates.len());
        Some(self.gates[nth].clone())
    }

    async fn row(&self, id: GateId) -> Gate {
        self.house.tenant.gates.get(id).await.unwrap().into_inner()
    }

    async fn open(&mut self) {
        self.calls += 1;
        let call = self.calls.to_string();
        let new = match self.random.random_range(0..4) {
            0 => self.asker.asks(
                NewGate::question(name("alice"), format!("question {call}")),
                &call,
            ),
            1 => self.asker.asks(
                NewGate::notification(name("alice"), format!("look {call}")),
                &call,
            ),
            _ => self.asker.approval(&call, &format!("{{\"n\":{call}}}")),
        };
        let new = NewGate {
            timeout: Timeout::After(Duration::from_secs(self.random.random_range(1..200))),
            ..new
        };
        let opened = try_open(&self.house, &new).await.unwrap();
        assert!(opened.gate.is_pending());
        self.gates.push((opened.gate.id, new.clone()));
        let again = try_open(&self.house, &new).await.unwrap();
        assert_eq!(again.gate.id, opened.gate.id);
    }

    async fn decide(&mut self) {
        let Some((id, _)) = self.any() else { return };
        let before = self.row(id).await;
        let by = format!("person-{}", self.random.random_range(0..2));
        let by = Principal::operator(by, Channel::Http);
        let (choice, event) = match self.random.random_range(0..3) {
            0 => (yes(), GateEvent::Approve { is_replay: false }),
            1 => (Choice::Reject, GateEvent::Reject { is_replay: false }),
            _ => {
                let (text, chosen) = (Some(dormouse_secrets::Scrubbed::constant("that one")), Vec::new());
                (
                    Choice::Answer { text, chosen },
                    GateEvent::Answer { is_replay: false },
                )
            }
        };
        let decide_it: Decide = shown(&self.house, &before, choice).await;
        let answer = self.house.tenant.gates.decide(&by, &decide_it).await;
        let is_due = before.is_due(dormouse_engine::Clock::now(&*self.house.clock));
        let after = self.row(id).await;
        match decide(before.state(), event) {
            GateCell::End(_) if is_due => {
                assert!(answer.is_err());
                assert_eq!(after.word(), "expired");
            }
            GateCell::End(status) => {
                assert_eq!(answer.unwrap(), after);
                assert_eq!(after.state(), GateState::Ended(status));
            }
            GateCell::Ignore(_) | GateCell::Refuse(_) | GateCell::OpenNew => assert_eq!(after, before),
        }
    }

    async fn end_one(&mut self, event: GateEvent) {
        let Some((id, _)) = self.any() else { return };
        let before = self.row(id).await;
        let now = dormouse_engine::Clock::now(&*self.house.clock);
        let gates = &self.house.tenant.gates;
        let event = match event {
            GateEvent::Expire { .. } => {
                gates.expire(id).await.unwrap();
                GateEvent::Expire {
                    is_due: before.is_due(now),
                }
            }
            GateEvent::Invalidate => {
                gates.invalidate(id, Invalidation::Superseded).await.unwrap();
                event
            }
            _ => {
                let by = Principal::operator("person-0", Channel::Cli);
                let done = gates.discard(&by, id).await;
                assert_eq!(done.is_ok(), before.is_pending() || before.word() == "discarded");
                event
            }
        };
        let after = self.row(id).await;
        match decide(before.state(), event) {
            GateCell::End(status) => assert_eq!(after.state(), GateState::Ended(status)),
            GateCell::Ignore(_) | GateCell::Refuse(_) | GateCell::OpenNew => assert_eq!(after, before),
        }
    }

    async fn pass_time(&mut self) {
        let seconds = self.random.random_range(1..120);
        self.house.live_on(&self.asker.claimed, seconds).await;
        self.house.engine.expire_due().await.unwrap();
        let now = dormouse_engine::Clock::now(&*self.house.clock);
        for (id, _) in &self.gates {
            let row = self.row(*id).await;
            assert!(!row.is_pending() || !row.is_due(now), "what is due was ended");
        }
    }

    async fn use_one(&mut self) {
        let Some((id, _)) = self.any() else { return };
        let capabilities = &self.house.tenant.capabilities;
        let Some(before) = capabilities.get(id).await.unwrap() else {
            return;
        };
        let is_mine = before
            .holder()
            .is_some_and(|holder| holder.run == self.asker.claimed.run.id);
        let by = &self.asker.claimed;
        let (event, answer) = match self.random.random_range(0..6) {
            0 | 1 => {
                let event = CapabilityEvent::Claim {
                    fits: true,
                    is_holder: is_mine,
                };
                (event, capabilities.claim(id, before.digest, by).await)
            }
            2 => {
                let event = CapabilityEvent::BeginDispatch { is_holder: is_mine };
                (event, capabilities.begin_dispatch(id, by).await)
            }
            3 => {
                let is_undone = self.random.random_range(0..2) == 0;
                let event = CapabilityEvent::Abort {
                    is_holder: is_mine,
                    is_undone,
                };
                (event, capabilities.abort(id, by, is_undone).await)
            }
            4 => {
                let end = CapabilityEnd::Failed;
                let is_holder = is_mine || before.state == CapabilityState::Closed { end };
                (
                    CapabilityEvent::Finish { is_holder },
                    capabilities.finish(id, by, end).await,
                )
            }
            _ => {
                let by = Principal::operator("person-0", Channel::Cli);
                (CapabilityEvent::Revoke, capabilities.revoke(&by, id).await)
            }
        };
        let after = capabilities.get(id).await.unwrap().unwrap();
        if before.origin != after.origin || self.is_foreign(&before) {
            assert!(answer.is_err() || event == CapabilityEvent::Revoke);
            return;
        }
        use dormouse_engine::capability::CapabilityCell as C;
        let cell = capability_cell(phase(before.state), event);
        let expected = match cell {
            C::Active => CapabilityPhase::Active,
            C::Claimed => CapabilityPhase::Claimed,
            C::Dispatching => CapabilityPhase::Dispatching,
            C::Consumed | C::ConsumedUnknown => CapabilityPhase::Consumed,
            C::Revoked => CapabilityPhase::Revoked,
            C::Expired => CapabilityPhase::Expired,
            C::Ignore(_) | C::Refuse(_) => {
                assert_eq!(
                    (before.version(), &*before),
                    (after.version(), &*after),
                    "{event:?}"
                );
                assert_eq!(
                    answer.is_err(),
                    matches!(cell, C::Refuse(_)),
                    "{event:?}: {answer:?}"
                );
                assert_ne!(cell, C::Ignore(CapabilityIgnored::NotDue));
                return;
            }
        };
        assert_eq!(phase(after.state), expected, "{event:?}");
        assert!(answer.is_ok(), "{answer:?}");
    }

    /// Whether it is of a task that this run is not at.
    fn is_foreign(&self, capability: &dormouse_engine::capability::Capability) -> bool {
        let mine = self.asker.claimed.run.task.map(dormouse_engine::Subject::Task);
        mine.as_ref() != Some(&capability.origin)
    }

    /// The run ends, as it may, and another one begins in another session.
    async fn next_run(&mut self) {
        let outcome = if self.random.random_range(0..2) == 0 {
            success()
        } else {
            failed(true)
        };
        let runs = &self.house.tenant.runs;
        runs.finish(&self.asker.claimed, &outcome, &facts())
            .await
            .unwrap();
        for (id, _) in &self.gates {
            let row = self.row(*id).await;
            assert!(
                !row.is_pending() || row.kind == GateKind::Notification,
                "what waited for an answer ended with its run"
            );
            let capability = self.house.tenant.capabilities.get(*id).await.unwrap();
            assert!(capability.is_none_or(|capability| capability.holder().is_none()));
        }
        self.asker = Asker::next(&self.house).await;
    }

    /// What is true whatever happened.
    async fn check(&mut self) {
        let resolved = events(&self.house, "gate.resolved").await;
        let mut pending = 0;
        for (id, _) in self.gates.clone() {
            let row = self.row(id).await;
            let told = resolved
                .iter()
                .filter(|event| event.subject == format!("gate:{id}"))
                .count();
            assert_eq!(told, usize::from(!row.is_pending()), "{id} is {}", row.word());
            let capability = self.house.tenant.capabilities.get(id).await.unwrap();
            let is_approved = row.state() == GateState::Ended(GateStatus::Approved);
            assert_eq!(capability.is_some(), is_approved, "{id} is {}", row.word());
            match row.end {
                None => pending += 1,
                Some(end) => {
                    let first = self.ended.entry(id).or_insert_with(|| end.clone());
                    assert_eq!(*first, end, "it ended once");
                }
            }
        }
        let gates = &self.house.tenant.gates;
        let filter = GateFilter {
            is_pending: true,
            ..GateFilter::default()
        };
        assert_eq!(gates.list(&filter, None, 1000).await.unwrap().rows.len(), pending);
        let session = self
            .house
            .tenant
            .sessions
            .require(self.asker.session)
            .await
            .unwrap();
        let filter = GateFilter {
            session: Some(self.asker.session),
            ..filter
        };
        let known: Vec<String> = session
            .state
            .gates
            .pending
            .keys()
            .map(ToString::to_string)
            .collect();
        let listed = gates.list(&filter, None, 1000).await.unwrap();
        let mut listed: Vec<String> = listed.rows.iter().map(|gate| gate.id.to_string()).collect();
        listed.sort();
        assert_eq!(
            known, listed,
            "the session knows the gates that are pending in it"
        );
    }
}

fn phase(state: CapabilityState) -> CapabilityPhase {
    match state {
        CapabilityState::Active => CapabilityPhase::Active,
        CapabilityState::Claimed { .. } => CapabilityPhase::Claimed,
        CapabilityState::Dispatching { .. } => CapabilityPhase::Dispatching,
        CapabilityState::Closed { end } => match end {
            CapabilityEnd::Done | CapabilityEnd::Failed | CapabilityEnd::Unknown => CapabilityPhase::Consumed,
            CapabilityEnd::Revoked => CapabilityPhase::Revoked,
            CapabilityEnd::Expired => CapabilityPhase::Expired,
        },
    }
}
