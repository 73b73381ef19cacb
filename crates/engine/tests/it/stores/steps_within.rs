//! What would park a run, in the middle of another step of it.

use dormouse_engine::gate::{GateFilter, NewGate};
use dormouse_engine::outcome::Outcome;
use dormouse_engine::step::{Effect, Failure, StepContext, StepError, StepFault};
use dormouse_engine::supervisor::RunEnd;

use super::gates;
use super::house::{House, name};
use super::steps::{attempt, outcome};

super::on_every_store! {
    a_gate_within_an_external_step_is_refused_and_nobody_is_asked;
    a_gate_within_a_step_that_may_be_done_again_parks_the_run;
}

fn publish() -> NewGate {
    let call = gates::call_of("{\"file\":\"report.md\"}");
    NewGate::approval(name("alice"), call, "publish")
}

async fn gate_within(steps: StepContext, effect: Effect) -> Result<(), Failure> {
    let within = steps.clone();
    let call = async move |_| match within.gate("may-i", &publish()).await {
        Ok(gate) => Ok(gate.id.to_string()),
        Err(error @ StepError::WithinStep { .. }) => Err(StepFault::permanent(error)),
        Err(error) => Err(StepFault::not_done(error)),
    };
    steps.step("send", &"input", effect, call).await?;
    Ok(())
}

async fn gates_of(house: &House) -> usize {
    let gates = &house.tenant.gates;
    gates
        .list(&GateFilter::default(), None, 10)
        .await
        .unwrap()
        .rows
        .len()
}

async fn a_gate_within_an_external_step_is_refused_and_nobody_is_asked(house: House) {
    let task = house.ready_task().await;
    let end = attempt(&house, &task, |steps| gate_within(steps, Effect::External));
    let end = tokio::time::timeout(std::time::Duration::from_secs(60), end).await;
    let end = end.expect("it does not wait for itself");
    let Outcome::Failed { message, .. } = outcome(&end) else {
        panic!("{end:?}")
    };
    let said = "step may-i would park the run in the middle of the external step send";
    assert!(message.as_str().contains(said), "{message:?}");
    assert_eq!(gates_of(&house).await, 0);
}

async fn a_gate_within_a_step_that_may_be_done_again_parks_the_run(house: House) {
    let task = house.ready_task().await;
    let end = attempt(&house, &task, |steps| gate_within(steps, Effect::Idempotent)).await;
    assert!(matches!(end, RunEnd::Parked(_)), "{end:?}");
    assert_eq!(gates_of(&house).await, 1);
}
