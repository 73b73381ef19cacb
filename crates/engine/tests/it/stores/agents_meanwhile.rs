//! What becomes of an agent while something else is done for it, between what was read for that and its commit.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::Adjustable;
use dormouse_engine::agent::{Agent, AgentConfig, AgentState, Intensity};
use dormouse_engine::task::{NewTask, TaskFilter};
use dormouse_engine::thread::MessageStatus;
use dormouse_filesystem::Records;

use super::hooked::hooked;
use super::house::{House, facts, failed, name, operator, success, tenant_id};
use super::place::Place;
use super::threads::{claim, post, row, status, thread};

super::on_every_hooked_store! {
    no_message_that_waits_is_submitted_for_an_agent_that_goes_meanwhile;
    an_agent_that_a_person_changed_while_its_bad_ends_were_counted_is_not_paused;
}

/// Everything is over long before.
const PATIENCE: Duration = Duration::from_secs(60);

/// The deletion of an agent is durable, and nothing of it is done yet.
async fn goes(rows: &Records<Agent>) {
    let read = rows.get(&name("alice")).await.unwrap().unwrap();
    let going = Agent {
        state: AgentState::Deleting,
        ..Agent::clone(&read)
    };
    rows.replace(&read, &going).await.unwrap();
}

async fn no_message_that_waits_is_submitted_for_an_agent_that_goes_meanwhile(place: Place) {
    let (store, house) = hooked(&place).await;
    let thread = thread(&house).await;
    let first = post(&house, thread.id, "what is it?").await;
    let claimed = claim(&house, first.task.unwrap()).await;
    let second = post(&house, thread.id, "and then?").await;
    assert_eq!(status(&house, second).await, MessageStatus::Queued);
    let agents = Records::<Agent>::new(house.tenant.space());
    store.before_commit(async move { goes(&agents).await });
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    assert!(store.was_met());
    assert_eq!(row(&house, thread.id).await.turn, None, "the turn is over");
    assert_eq!(status(&house, second).await, MessageStatus::Queued);
    let all = house.tenant.tasks.list(&TaskFilter::default(), None, 10).await;
    assert_eq!(
        all.unwrap().rows.len(),
        1,
        "no task is made for an agent that goes"
    );
}

/// So many tasks of hers fail.
async fn fail(house: &House, count: usize) {
    for _ in 0..count {
        let task = house.task(NewTask::new(name("alice"), "fails")).await;
        let claimed = house.claim(&task).await;
        let runs = &house.tenant.runs;
        runs.finish(&claimed, &failed(true), &facts()).await.unwrap();
    }
}

async fn an_agent_that_a_person_changed_while_its_bad_ends_were_counted_is_not_paused(place: Place) {
    let (store, house) = hooked(&place).await;
    house.engine.adjust(Adjustable {
        agent_intensity: Some(Intensity::default()),
        ..house.engine.adjusted()
    });
    house.agent("alice").await;
    fail(&house, Intensity::default().runs - 1).await;
    let task = house.task(NewTask::new(name("alice"), "fails")).await;
    let claimed = house.claim(&task).await;
    // The end is committed; then it is counted, and the pause sent.
    let person = Arc::new(house.neighbour().await.tenant(&tenant_id()).await.unwrap());
    let by_hand = Arc::clone(&person);
    let (tell, told) = tokio::sync::oneshot::channel();
    store.before_nth_commit(1, async move {
        let (by, alice) = (operator(), name("alice"));
        let set = |config: &mut AgentConfig| config.concurrency = 7;
        by_hand.agents.configure(&by, &alice, set).await.unwrap();
        tell.send(()).unwrap();
    });
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &failed(true), &facts()).await.unwrap();
    let told = tokio::time::timeout(PATIENCE, told).await;
    told.expect("it is about to be paused").unwrap();
    // Waits for what it does by itself.
    house.engine.close().await;
    assert!(store.was_met());
    let agent = person.agents.get(&name("alice")).await.unwrap();
    assert_eq!((agent.state, agent.config.concurrency), (AgentState::Active, 7));
}
