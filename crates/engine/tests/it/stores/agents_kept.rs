//! Agents that somebody wrote down: made where they are not there, set where they are otherwise, and left where they are so.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::{Agent, AgentConfig, AgentMode, AgentState, AtWork, Keeping};
use dormouse_engine::command::{ClockSettings, CommandSpec};
use dormouse_engine::run::ClaimOptions;
use dormouse_engine::task::NewTask;
use dormouse_engine::{AgentName, CommandError, Principal};
use dormouse_filesystem::wrapper::{Counted, Operation};
use dormouse_filesystem::{Deadline, Memory, RecordStore};
use dormouse_secrets::{Scrubbed, SecretName};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::hooked::Hooked;
use super::house::{House, facts, name, operator, success};
use super::until;

super::on_every_store! {
    /// ST-18: their rows and what they do. That 100,000 of them are rows alone is below.
    agents_made_at_boot_by_api_and_by_reload_are_equal;
    what_is_not_named_stays_and_what_is_so_writes_nothing;
    one_that_cannot_be_kept_is_in_no_others_way;
    a_deleted_agent_that_is_written_down_is_made_anew;
}

/// Who keeps agents.
fn by() -> Principal {
    Principal::engine()
}

/// What is written down of an agent.
fn written(config: &mut AgentConfig) {
    config.concurrency = 2;
    config.mode = AgentMode::Resident;
    config.clocks.wall_clock_ms = Some(60_000);
}

/// What is to be so of an agent.
type Set = fn(&mut AgentConfig);

fn nothing(_: &mut AgentConfig) {}

async fn keep(house: &House, wanted: &[(&str, Set)]) -> Vec<Result<Keeping, CommandError>> {
    let wanted: Vec<_> = wanted.iter().map(|(agent, set)| (name(agent), *set)).collect();
    house.tenant.agents.keep(&by(), &wanted).await
}

async fn kept(house: &House, wanted: &[(&str, Set)]) -> Vec<Keeping> {
    let kept = keep(house, wanted).await.into_iter();
    kept.map(|kept| kept.unwrap()).collect()
}

/// The rows of an agent, without what tells one life from another.
async fn rows(house: &House, agent: &str) -> (Agent, Vec<String>) {
    let row = house.tenant.agents.get(&name(agent)).await.unwrap().into_inner();
    let of_it = house.entries().await.into_iter();
    let of_it = of_it.filter(|entry| entry.key.to_string().ends_with(agent));
    let keys = of_it.map(|entry| entry.key.to_string().replace(agent, "NAME"));
    let alike = house.tenant.agents.get(&name("by-api")).await.unwrap();
    let row = Agent {
        name: name("alike"),
        incarnation: alike.incarnation,
        op: alike.op,
        ..row
    };
    (row, keys.collect())
}

/// What an agent goes through, and what is told of it.
async fn lives(house: &House, agent: &str) -> Vec<String> {
    let before = house.events().await.len();
    let (agents, runs, agent) = (&house.tenant.agents, &house.tenant.runs, name(agent));
    let new = NewTask {
        command: Some(CommandSpec::new(vec!["true".to_owned()])),
        ..NewTask::new(agent.clone(), "count the sheep")
    };
    let first = house.task(new.clone()).await;
    let claimed = house.claim(&first).await;
    let mut seen = vec![format!("{:?}", claimed.task.command.as_ref().unwrap().clocks())];
    runs.started(&claimed, None).await.unwrap();
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    let reason = Some(Scrubbed::constant("too loud"));
    agents.pause(&operator(), &agent, reason).await.unwrap();
    let second = house.task(new).await;
    let refused = runs.claim(&operator(), second.id, ClaimOptions::default()).await;
    seen.push(refused.unwrap_err().code().to_owned());
    agents.resume(&operator(), &agent).await.unwrap();
    let claimed = house.claim(&second).await;
    let at_work = agents.delete(&operator(), &agent, AtWork::Refuse, None).await;
    seen.push(at_work.unwrap_err().code().to_owned());
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    let told = house.events().await.into_iter().skip(before);
    let told = told.filter(|event| event.agent.as_ref() == Some(&agent));
    seen.extend(told.map(|event| event.kind));
    seen
}

async fn agents_made_at_boot_by_api_and_by_reload_are_equal(house: House) {
    assert_eq!(kept(&house, &[("by-boot", written)]).await, [Keeping::Made]);
    let mut config = AgentConfig::default();
    written(&mut config);
    let agents = &house.tenant.agents;
    agents.create(&operator(), &name("by-api"), config).await.unwrap();
    let reload = [("by-boot", written as Set), ("by-reload", written)];
    assert_eq!(kept(&house, &reload).await, [Keeping::Same, Keeping::Made]);
    assert_eq!(
        kept(
            &house,
            &[("dormant", |config| {
                written(config);
                config.mode = AgentMode::Dormant;
            })]
        )
        .await,
        [Keeping::Made]
    );
    let by_api = rows(&house, "by-api").await;
    assert_eq!(by_api.0.config.mode, AgentMode::Resident);
    assert!(by_api.1.len() >= 3, "the row and its index entries: {by_api:?}");
    for other in ["by-boot", "by-reload"] {
        assert_eq!(rows(&house, other).await, by_api, "{other}");
    }
    let life = lives(&house, "by-api").await;
    assert!(life.len() > 10, "{life:?}");
    for other in ["by-boot", "by-reload", "dormant"] {
        assert_eq!(lives(&house, other).await, life, "{other}");
    }
}

async fn what_is_not_named_stays_and_what_is_so_writes_nothing(house: House) {
    let agents = &house.tenant.agents;
    let before = AgentConfig {
        concurrency: 5,
        delegates_to: vec![name("bob")],
        secrets: vec![SecretName::parse("GH_TOKEN").unwrap()],
        clocks: ClockSettings {
            grace_ms: Some(7_000),
            ..ClockSettings::default()
        },
        ..AgentConfig::default()
    };
    let alice = name("alice");
    agents.create(&operator(), &alice, before.clone()).await.unwrap();
    let reason = Some(Scrubbed::constant("too loud"));
    agents.pause(&operator(), &alice, reason.clone()).await.unwrap();
    assert_eq!(kept(&house, &[("alice", written)]).await, [Keeping::Changed]);
    let mut expected = before;
    written(&mut expected);
    let agent = agents.get(&alice).await.unwrap();
    assert_eq!(agent.config, expected);
    assert_eq!(agent.config_digest, expected.digest());
    assert_eq!((agent.state, &agent.paused_reason), (AgentState::Paused, &reason));
    let stored = house.stored().await;
    assert_eq!(kept(&house, &[("alice", written)]).await, [Keeping::Same]);
    assert_eq!(kept(&house, &[("alice", nothing)]).await, [Keeping::Same]);
    assert_eq!(house.stored().await, stored);
    let told = ["agent.created", "agent.paused", "agent.configured"];
    assert_eq!(house.event_types().await, told);
}

async fn one_that_cannot_be_kept_is_in_no_others_way(house: House) {
    let agents = &house.tenant.agents;
    // One that is being deleted, since its run is not over.
    let going = house.agent("going").await;
    let task = house.task(NewTask::new(going.clone(), "count the sheep")).await;
    let claimed = house.claim(&task).await;
    house.tenant.runs.started(&claimed, None).await.unwrap();
    agents
        .delete(&operator(), &going, AtWork::Stop, None)
        .await
        .unwrap();
    // One whose row cannot be believed.
    house.agent("broken").await;
    house.spoil("agent", &"agent/broken").await;
    let wanted: [(&str, Set); 5] = [
        ("first", written),
        ("going", written),
        ("broken", written),
        ("idle", |config| config.concurrency = 0),
        ("last", nothing),
    ];
    let kept = keep(&house, &wanted).await;
    let words: Vec<_> = kept
        .iter()
        .map(|kept| kept.as_ref().map_or_else(CommandError::code, |kept| kept.word()))
        .collect();
    assert_eq!(words, ["made", "agent_deleting", "corrupt", "invalid", "made"]);
    assert_eq!(agents.get(&name("first")).await.unwrap().config.concurrency, 2);
    assert_eq!(
        agents.get(&name("last")).await.unwrap().config,
        AgentConfig::default()
    );
    assert_eq!(agents.get(&going).await.unwrap().state, AgentState::Deleting);
    assert!(agents.get(&name("idle")).await.is_err());
}

async fn a_deleted_agent_that_is_written_down_is_made_anew(house: House) {
    let agents = &house.tenant.agents;
    let alice = house.agent("alice").await;
    let former = agents.get(&alice).await.unwrap().incarnation;
    agents
        .delete(&operator(), &alice, AtWork::Refuse, None)
        .await
        .unwrap();
    until("it is gone", async || agents.get(&alice).await.is_err()).await;
    assert_eq!(kept(&house, &[("alice", written)]).await, [Keeping::Made]);
    let agent = agents.get(&alice).await.unwrap();
    assert_ne!(agent.incarnation, former);
    assert_eq!(agent.state, AgentState::Active);
}

/// One between what was read and the commit.
#[tokio::test]
async fn what_somebody_sets_meanwhile_is_not_undone() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let alice = house.agent("alice").await;
    let (others, other) = (house.tenant.agents.clone(), alice.clone());
    let (tell, told) = oneshot::channel();
    store.before_commit(async move {
        let secrets = |config: &mut AgentConfig| {
            config.secrets = vec![SecretName::parse("GH_TOKEN").unwrap()];
        };
        tell.send(others.configure(&operator(), &other, secrets).await)
            .unwrap();
    });
    let both = [("alice", written as Set), ("bob", written)];
    assert_eq!(kept(&house, &both).await, [Keeping::Changed, Keeping::Made]);
    told.await.unwrap().unwrap();
    let config = house.tenant.agents.get(&alice).await.unwrap().config.clone();
    assert_eq!((config.concurrency, config.secrets.len()), (2, 1));
}

/// It is no agent's fault, so none is tried by itself.
#[tokio::test]
async fn a_closed_store_is_not_asked_for_each_of_them() {
    const MANY: usize = 200;
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let wanted = (0..MANY).map(|nth| (name(&format!("agent-{nth}")), written as Set));
    let wanted: Vec<(AgentName, Set)> = wanted.collect();
    let longest = Deadline::after(Duration::from_secs(10));
    house.engine.system().store().close(longest).await.unwrap();
    let before = store.counts().operations();
    let kept = house.tenant.agents.keep(&by(), &wanted).await;
    let asked = store.counts().operations() - before;
    assert!(asked < 32, "{asked} for {MANY}");
    assert_eq!(kept.len(), MANY);
    for kept in kept {
        let error = kept.unwrap_err();
        assert_eq!(error.code(), "unavailable");
        assert!(!error.is_congestion(), "it stays closed: {error}");
    }
}

/// ST-18. What a day over as many costs is counted in `idle`: nothing.
#[tokio::test]
async fn a_hundred_thousand_kept_agents_are_rows_and_no_timer() {
    const MANY: usize = 100_000;
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    // One that nobody wrote down, of which nothing is read.
    house.agent("somebody").await;
    let wanted = (0..MANY).map(|nth| (name(&format!("agent-{nth}")), written as Set));
    let wanted: Vec<(AgentName, Set)> = wanted.collect();
    let at_work = Handle::current().metrics().num_alive_tasks();
    let agents = &house.tenant.agents;
    let before = store.counts();
    let made = agents.keep(&by(), &wanted).await;
    assert!(made.iter().all(|made| matches!(made, Ok(Keeping::Made))));
    let commits = store.counts().of(Operation::Commit) - before.of(Operation::Commit);
    assert!(
        commits < MANY as u64 / 32,
        "some dozens share a commit: {commits}"
    );
    assert_eq!(Handle::current().metrics().num_alive_tasks(), at_work);
    let before = store.counts();
    let same = agents.keep(&by(), &wanted).await;
    assert!(same.iter().all(|same| matches!(same, Ok(Keeping::Same))));
    let after = store.counts();
    assert_eq!(after.of(Operation::Commit), before.of(Operation::Commit));
    let reads = after.operations() - before.operations();
    assert!(
        reads < MANY as u64 / 32,
        "no list, and a read for some dozens: {reads}"
    );
}
