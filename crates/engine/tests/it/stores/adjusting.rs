//! What is set otherwise while an engine is open: it holds for what begins from then on, in each of its tenants.

use std::time::Duration;

use dormouse_engine::agent::{AgentConfig, AgentState, Intensity};
use dormouse_engine::command::{ClockSettings, CommandSpec};
use dormouse_engine::run::StopReason;
use dormouse_engine::task::{NewTask, Start, Task};
use dormouse_engine::wake::NewWake;
use dormouse_engine::{Adjustable, AgentName, Clock, CommandError, Principal};
use dormouse_filesystem::Position;
use jiff::SignedDuration;

use super::clocks::clocks;
use super::house::{House, facts, failed, operator};
use super::until;

super::on_every_store! {
    clocks_hold_from_the_next_claim_on;
    a_grace_that_became_shorter_cuts_no_worker_that_began_with_a_longer;
    an_agent_that_is_changed_changes_no_deadline_of_a_run_at_work;
    too_many_bad_ends_are_counted_as_is_said_now;
    as_many_timed_wakes_wait_as_is_said_now;
    settings_that_are_rejected_are_one_event_of_the_installation;
}

async fn task_of(house: &House, agent: &AgentName) -> Task {
    let mut new = NewTask::new(agent.clone(), "count the sheep");
    new.command = Some(CommandSpec::new(vec!["true".to_owned()]));
    new.start = Start::Ready;
    house.task(new).await
}

fn set_clocks(house: &House, clocks: ClockSettings) {
    house.engine.adjust(Adjustable {
        clocks,
        ..house.engine.adjusted()
    });
}

async fn clocks_hold_from_the_next_claim_on(house: House) {
    let agent = house.agent("alice").await;
    let before = task_of(&house, &agent).await;
    set_clocks(&house, clocks(7));
    let claimed = house.claim(&before).await;
    assert_eq!(claimed.task.command.as_ref().unwrap().clocks(), clocks(7));
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &failed(true), &facts()).await.unwrap();
    set_clocks(&house, clocks(9));
    let after = house.claim(&task_of(&house, &agent).await).await;
    assert_eq!(after.task.command.unwrap().clocks(), clocks(9));
}

async fn a_grace_that_became_shorter_cuts_no_worker_that_began_with_a_longer(house: House) {
    let agent = house.agent("alice").await;
    set_clocks(&house, clocks(200));
    let claimed = house.claim(&task_of(&house, &agent).await).await;
    let runs = &house.tenant.runs;
    runs.started(&claimed, None).await.unwrap();
    set_clocks(&house, clocks(1));
    let agents = &house.tenant.agents;
    agents.pause(&operator(), &agent, None).await.unwrap();
    agents.stop_runs(&operator(), &agent).await.unwrap();
    let run = runs.get(claimed.run.id).await.unwrap().run;
    assert_eq!(run.stop_reason, Some(StopReason::AgentPause));
    let left = run.stop_deadline.unwrap().duration_since(house.clock.now());
    assert!(left >= SignedDuration::from_secs(200), "{left}");
}

/// It counts from the next run on.
async fn an_agent_that_is_changed_changes_no_deadline_of_a_run_at_work(house: House) {
    let agent = house.agent("alice").await;
    let agents = &house.tenant.agents;
    let configured = async |seconds: u64| {
        let grace = Some(seconds * 1000);
        let change = move |config: &mut AgentConfig| config.clocks.grace_ms = grace;
        agents.configure(&operator(), &agent, change).await.unwrap();
    };
    let stopped_within = async || {
        let claimed = house.claim(&task_of(&house, &agent).await).await;
        house.tenant.runs.started(&claimed, None).await.unwrap();
        configured(1).await;
        let tasks = &house.tenant.tasks;
        tasks.cancel(&operator(), claimed.task.id, None).await.unwrap();
        let run = house.tenant.runs.get(claimed.run.id).await.unwrap().run;
        run.stop_deadline
            .unwrap()
            .duration_since(house.clock.now())
            .as_secs()
    };
    configured(200).await;
    assert!(stopped_within().await >= 200, "it began with a longer one");
    assert!(stopped_within().await < 100, "the next one begins with this");
}

async fn too_many_bad_ends_are_counted_as_is_said_now(house: House) {
    let agent = house.agent("alice").await;
    let bad_end = async || {
        let claimed = house.claim(&task_of(&house, &agent).await).await;
        let runs = &house.tenant.runs;
        runs.started(&claimed, None).await.unwrap();
        runs.finish(&claimed, &failed(true), &facts()).await.unwrap();
    };
    let state = async || house.tenant.agents.get(&agent).await.unwrap().state;
    for _ in 0..3 {
        bad_end().await;
    }
    assert_eq!(state().await, AgentState::Active, "nobody counts");
    house.engine.adjust(Adjustable {
        agent_intensity: Some(Intensity {
            runs: 2,
            within: Duration::from_secs(600),
        }),
        ..house.engine.adjusted()
    });
    bad_end().await;
    until("it is paused", async || state().await == AgentState::Paused).await;
}

async fn as_many_timed_wakes_wait_as_is_said_now(house: House) {
    let agent = house.agent("alice").await;
    let add = async || {
        let new = NewWake {
            agent: agent.clone(),
            due: house.clock.now() + SignedDuration::from_hours(1),
            reason: "look".to_owned(),
            command: None,
        };
        house.tenant.wakes.add(&operator(), new).await
    };
    let set = |most| {
        house.engine.adjust(Adjustable {
            wakes_timed_max: most,
            ..house.engine.adjusted()
        });
    };
    set(1);
    add().await.unwrap();
    let full = add().await;
    assert!(matches!(full, Err(CommandError::Full { .. })), "{full:?}");
    set(2);
    add().await.unwrap();
}

async fn settings_that_are_rejected_are_one_event_of_the_installation(house: House) {
    let by = Principal::engine();
    house.engine.tell_config_rejected(&by, 3).await.unwrap();
    let page = house
        .engine
        .events()
        .read_after(Position::START, 100)
        .await
        .unwrap();
    let told: Vec<_> = page.events.into_iter().map(|at| at.event).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].kind.as_str(), told[0].subject.as_str()),
        ("config.rejected", "config:one")
    );
    assert_eq!(
        serde_json::Value::from(told[0].data.clone()),
        serde_json::json!({ "errors": 3 })
    );
    assert!(house.event_types().await.is_empty(), "it is no tenant's");
}
