//! Whether a call is made by the closure of an external step: what would park the run there waits for the step, which waits
//! for it.

use super::{Effect, StepError, StepName};

tokio::task_local! {
    /// The external step whose closure is being polled, the innermost one.
    static WITHIN: StepName;
}

/// Does what a step does.
pub(super) async fn within<T>(name: &StepName, effect: Effect, call: impl Future<Output = T>) -> T {
    match effect {
        Effect::External => WITHIN.scope(name.clone(), call).await,
        // It is called again by whoever goes on.
        Effect::Pure | Effect::Idempotent => call.await,
    }
}

/// That the run may be parked for this step.
pub(super) fn may_park(name: &StepName) -> Result<(), StepError> {
    match WITHIN.try_with(StepName::clone) {
        Ok(within) => Err(StepError::WithinStep {
            name: name.clone(),
            within,
        }),
        Err(_) => Ok(()),
    }
}
