//! Agents through their service.

use std::sync::Arc;

use dormouse_engine::agent::{AgentConfig, AgentState};
use dormouse_engine::task::NewTask;
use dormouse_engine::{CommandError, run::ClaimOptions};
use dormouse_filesystem::RecordStore;
use dormouse_secrets::{Scrubbed, SecretName};
use tokio::sync::oneshot;

use super::hooked::Hooked;
use super::house::{House, name, operator};

super::on_every_store! {
    an_agent_is_made_once;
    a_change_that_changes_nothing_writes_nothing;
    a_paused_agent_gets_tasks_and_claims_none;
    agents_are_listed_by_name;
    a_missing_agent_is_named;
}

async fn an_agent_is_made_once(house: House) {
    let alice = house.agent("alice").await;
    let again = house
        .tenant
        .agents
        .create(&operator(), &alice, AgentConfig::default())
        .await;
    assert!(
        matches!(again, Err(CommandError::Exists { what: "agent", .. })),
        "{again:?}"
    );
    assert_eq!(house.event_types().await, ["agent.created"]);
}

async fn a_change_that_changes_nothing_writes_nothing(house: House) {
    let alice = house.agent("alice").await;
    let agents = &house.tenant.agents;
    let before = agents.get(&alice).await.unwrap();
    agents.configure(&operator(), &alice, |_| {}).await.unwrap();
    agents.resume(&operator(), &alice).await.unwrap();
    assert_eq!(agents.get(&alice).await.unwrap(), before);

    let of = |concurrency| move |config: &mut AgentConfig| config.concurrency = concurrency;
    agents.configure(&operator(), &alice, of(2)).await.unwrap();
    agents.configure(&operator(), &alice, of(0)).await.unwrap_err();
    assert_eq!(house.event_types().await, ["agent.created", "agent.configured"]);
}

async fn a_paused_agent_gets_tasks_and_claims_none(house: House) {
    let alice = house.agent("alice").await;
    let (agents, runs) = (&house.tenant.agents, &house.tenant.runs);
    let reason = Some(Scrubbed::constant("too loud"));
    let paused = agents.pause(&operator(), &alice, reason.clone()).await.unwrap();
    assert_eq!((paused.state, paused.paused_reason), (AgentState::Paused, reason));

    let task = house.task(NewTask::new(alice.clone(), "sleep")).await;
    let claimed = runs.claim(&operator(), task.id, ClaimOptions::default()).await;
    assert!(
        matches!(claimed, Err(CommandError::AgentPaused { .. })),
        "{claimed:?}"
    );

    let resumed = agents.resume(&operator(), &alice).await.unwrap();
    assert_eq!((resumed.state, resumed.paused_reason), (AgentState::Active, None));
    runs.claim(&operator(), task.id, ClaimOptions::default())
        .await
        .unwrap();
}

async fn agents_are_listed_by_name(house: House) {
    for agent in ["carol", "alice", "bob", "a-lice"] {
        house.agent(agent).await;
    }
    let agents = &house.tenant.agents;
    let first = agents.list(None, 3).await.unwrap();
    let rest = agents.list(first.next, 3).await.unwrap();
    let names = first
        .rows
        .iter()
        .chain(&rest.rows)
        .map(|agent| agent.name.to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["a-lice", "alice", "bob", "carol"]);
    assert!(rest.next.is_none());
    assert_eq!(agents.names().await.unwrap().len(), 4);
}

async fn a_missing_agent_is_named(house: House) {
    let missing = house.tenant.agents.get(&name("alcie")).await.unwrap_err();
    assert_eq!(missing.to_string(), "there is no agent alcie");
    assert_eq!(missing.code(), "not_found");
    let task = house
        .tenant
        .tasks
        .create(&operator(), NewTask::new(name("alcie"), "sleep"))
        .await;
    assert_eq!(task.unwrap_err().code(), "not_found");
    assert!(house.events().await.is_empty());
}

/// One between what the other read and its commit.
#[tokio::test]
async fn of_two_changes_at_once_none_undoes_the_other() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let alice = house.agent("alice").await;
    let agents = &house.tenant.agents;
    let (others, name) = (agents.clone(), alice.clone());
    let (tell, told) = oneshot::channel();
    store.before_commit(async move {
        let secrets = |config: &mut AgentConfig| {
            config.secrets = vec![SecretName::parse("GH_TOKEN").unwrap()];
        };
        tell.send(others.configure(&operator(), &name, secrets).await)
            .unwrap();
    });
    agents
        .configure(&operator(), &alice, |config| config.concurrency = 3)
        .await
        .unwrap();
    told.await.unwrap().unwrap();
    let config = agents.get(&alice).await.unwrap().config.clone();
    assert_eq!((config.concurrency, config.secrets.len()), (3, 1));
}
