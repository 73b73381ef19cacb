//! What the end of a run means for what it asked: outside a session its gates lose their meaning, and what it held of
//! capabilities is given back or closed.

use dormouse_state::Invalidation;

use super::adopt::awaited_by;
use super::resolve::{IsAwaited, invalidated, stage_end};
use crate::CommandError;
use crate::capability;
use crate::core::Core;
use crate::draft::Draft;
use crate::outcome::Outcome;
use crate::run::{Run, is_tried_again};

/// Stages it. The gates of a session follow the session. Those of a run that was lost and is tried again wait for the
/// next attempt.
pub(crate) async fn follow_run(
    core: &Core,
    draft: &mut Draft,
    run: &Run,
    outcome: &Outcome,
) -> Result<(), CommandError> {
    let is_tried_again = is_tried_again(&core.space, run, outcome).await?;
    capability::follow_run(&core.space, draft, run, outcome, is_tried_again).await?;
    if is_tried_again {
        return Ok(());
    }
    end_asked_by(core, draft, run).await
}

/// Stages that what a run asks outside of a session lost its meaning with it.
pub(crate) async fn end_asked_by(core: &Core, draft: &mut Draft, run: &Run) -> Result<(), CommandError> {
    for gate in awaited_by(core, run).await? {
        if gate.session.is_none() {
            let end = invalidated(draft, Invalidation::RunEnded);
            stage_end(&core.space, draft, &gate, end, IsAwaited::No).await?;
        }
    }
    Ok(())
}
