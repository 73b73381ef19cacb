//! The clocks of a run, as they are set of its task, of its agent and of the engine: the first that is set holds.

use std::time::Duration;

use dormouse_engine::agent::AgentConfig;
use dormouse_engine::command::{CLOCK_MAX, ClockSettings, CommandSpec, GRACE_MAX, Timer};
use dormouse_engine::run::ClaimOptions;
use dormouse_engine::task::NewTask;
use dormouse_engine::{CommandError, EngineOptions, Tenant};

use super::house::{House, name, operator, tenant_id};
use super::on_every_store;

on_every_store! {
    the_first_level_that_sets_a_clock_holds;
    what_is_set_of_an_agent_holds_from_the_next_claim_on;
    a_clock_out_of_its_bounds_is_refused_with_its_field;
}

/// All four clocks, of so many seconds.
pub(super) fn clocks(seconds: u64) -> ClockSettings {
    let ms = seconds * 1000;
    ClockSettings {
        wall_clock_ms: Some(ms),
        idle_timeout_ms: Some(Timer::After(ms)),
        stall_after_ms: Some(Timer::After(ms)),
        grace_ms: Some(ms),
    }
}

fn command(clocks: &ClockSettings) -> CommandSpec {
    let mut command = CommandSpec::new(vec!["true".to_owned()]);
    command.fill(clocks);
    command
}

/// The clocks of the run that a task of the agent is claimed as.
async fn claimed(tenant: &Tenant, agent: &str, task: &ClockSettings) -> ClockSettings {
    let new = NewTask {
        command: Some(command(task)),
        ..NewTask::new(name(agent), "do it")
    };
    let made = tenant.tasks.create(&operator(), new).await.unwrap();
    let runs = &tenant.runs;
    let claimed = runs
        .claim(&operator(), made.id, ClaimOptions::default())
        .await
        .unwrap();
    let row = tenant.tasks.get(made.id).await.unwrap();
    assert_eq!(
        row.command,
        Some(command(task)),
        "the task keeps what it was given"
    );
    claimed.task.command.unwrap().clocks()
}

async fn the_first_level_that_sets_a_clock_holds(house: House) {
    let unset = ClockSettings::default();
    for (instance, of_engine) in [clocks(3), unset].into_iter().zip(["set", "unset"]) {
        let options = EngineOptions {
            clocks: instance,
            ..EngineOptions::default()
        };
        let engine = house.neighbour_set(options).await;
        let tenant = engine.tenant(&tenant_id()).await.unwrap();
        for (of_agent, set) in [("with", clocks(2)), ("without", unset)] {
            let agent = format!("{of_agent}-{of_engine}");
            let config = AgentConfig {
                concurrency: 10,
                clocks: set,
                ..AgentConfig::default()
            };
            let (by, named) = (operator(), name(&agent));
            tenant.agents.create(&by, &named, config).await.unwrap();
            let next = set.or(&instance);
            for (task, expected) in [
                (clocks(1), clocks(1)),
                (unset, next),
                // Each clock for itself.
                (
                    ClockSettings {
                        idle_timeout_ms: Some(Timer::Off),
                        ..unset
                    },
                    ClockSettings {
                        idle_timeout_ms: Some(Timer::Off),
                        ..next
                    },
                ),
            ] {
                assert_eq!(claimed(&tenant, &agent, &task).await, expected, "{agent}");
            }
        }
    }
    assert_eq!(unset.wall_clock(), Duration::from_secs(30 * 60));
    assert_eq!(unset.idle_timeout(), Some(Duration::from_secs(10 * 60)));
}

async fn what_is_set_of_an_agent_holds_from_the_next_claim_on(house: House) {
    let agent = house.agent("alice").await;
    let new = NewTask {
        command: Some(command(&ClockSettings::default())),
        ..NewTask::new(agent.clone(), "do it")
    };
    let task = house.task(new).await;
    let agents = &house.tenant.agents;
    let set = |config: &mut AgentConfig| config.clocks = clocks(7);
    agents.configure(&operator(), &agent, set).await.unwrap();
    let claimed = house.claim(&task).await;
    assert_eq!(claimed.task.command.unwrap().clocks(), clocks(7));
}

async fn a_clock_out_of_its_bounds_is_refused_with_its_field(house: House) {
    let agent = house.agent("alice").await;
    let beyond = |max: Duration| u64::try_from(max.as_millis()).unwrap() + 1;
    let day_31 = beyond(CLOCK_MAX);
    let unset = ClockSettings::default();
    let before = house.stored().await;
    for (field, wrong) in [
        (
            "wall_clock_ms",
            [0, day_31].map(|ms| ClockSettings {
                wall_clock_ms: Some(ms),
                ..unset
            }),
        ),
        (
            "idle_timeout_ms",
            [0, day_31].map(|ms| ClockSettings {
                idle_timeout_ms: Some(Timer::After(ms)),
                ..unset
            }),
        ),
        (
            "stall_after_ms",
            [0, day_31].map(|ms| ClockSettings {
                stall_after_ms: Some(Timer::After(ms)),
                ..unset
            }),
        ),
        (
            "grace_ms",
            [beyond(GRACE_MAX), day_31].map(|ms| ClockSettings {
                grace_ms: Some(ms),
                ..unset
            }),
        ),
    ] {
        for clocks in wrong {
            let set = |config: &mut AgentConfig| config.clocks = clocks;
            let of_agent = house.tenant.agents.configure(&operator(), &agent, set).await;
            assert!(
                matches!(&of_agent, Err(CommandError::Invalid { field: found, .. }) if *found == field),
                "{of_agent:?}"
            );
            let new = NewTask {
                command: Some(command(&clocks)),
                ..NewTask::new(agent.clone(), "do it")
            };
            let of_task = house.tenant.tasks.create(&operator(), new).await.unwrap_err();
            assert!(
                matches!(of_task, CommandError::InvalidCommand(_)) && of_task.to_string().contains(field),
                "{of_task}"
            );
        }
    }
    assert_eq!(house.stored().await, before);
}
