//! What the end of a run means for what it asked: outside a session its gates lose their meaning, and what it held of
//! capabilities is given back or closed.

use dormouse_filesystem::{IndexValue, Query, Records};
use dormouse_state::Invalidation;

use super::resolve::{invalidated, stage_end};
use super::{Gate, GateIndex};
use crate::CommandError;
use crate::capability;
use crate::core::Core;
use crate::draft::Draft;
use crate::limits::PAGE_MAX;
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
    capability::follow_run(&core.space, draft, run, outcome).await?;
    if is_tried_again(&core.space, run, outcome).await? {
        return Ok(());
    }
    let query = Query::of(GateIndex::Run)
        .equals([IndexValue::name(&run.id.to_string())])
        .limit(PAGE_MAX);
    for gate in Records::<Gate>::new(&core.space).find(&query).await?.rows {
        if gate.session.is_none() {
            let end = invalidated(draft, Invalidation::RunEnded);
            stage_end(&core.space, draft, &gate, end).await?;
        }
    }
    Ok(())
}
