//! Steps go some time after what they are of has ended: its task, or the run itself where it has none. Until then a retry
//! finds them.
//!
//! A step does not know when that is: its entry says when it was written, so that it is looked at too early at most, and
//! then moves on.

use std::time::Duration;

use dormouse_filesystem::{Records, Versioned};
use jiff::Timestamp;

use super::{Gone, Retention, Retires};
use crate::core::Core;
use crate::draft::Draft;
use crate::run::Run;
use crate::step::{Step, StepId, StepIndex, StepState, stage_step_gone};
use crate::task::Task;
use crate::{CommandError, Subject};

/// Steps of one origin that go in one commit.
const STEPS: usize = 64;

impl Retires for Step {
    const SWEEP: &'static str = "steps";
    const RETIRE: StepIndex = StepIndex::Retire;

    fn kept(retention: &Retention) -> Duration {
        retention.steps
    }

    fn ended_at(&self) -> Option<Timestamp> {
        Some(self.retires_from())
    }

    async fn stage_gone(core: &Core, draft: &mut Draft, row: &Versioned<Self>) -> Result<Gone, CommandError> {
        let (ended_at, is_kept) = match &row.step.origin {
            Subject::Task(id) => match Records::<Task>::new(&core.space).get(id).await? {
                Some(task) => {
                    let ended_at = task.ended_at;
                    if goes(row, ended_at) {
                        // Somebody may retry it meanwhile.
                        Records::<Task>::new(&core.space).stage_check(draft.batch(), &task);
                    }
                    (ended_at, true)
                }
                None => (None, false),
            },
            Subject::Run(id) => match Records::<Run>::new(&core.space).get(id).await? {
                Some(run) => (run.ended_at, true),
                None => (None, false),
            },
            // No other thing has steps.
            Subject::Agent(_)
            | Subject::Session(_)
            | Subject::Gate(_)
            | Subject::Thread(_)
            | Subject::Message(_)
            | Subject::Account(_)
            | Subject::Hold(_)
            | Subject::Wake(_)
            | Subject::Relay(_)
            | Subject::Sweep(_)
            | Subject::Record(_) => (None, true),
        };
        if is_kept && !goes(row, ended_at) {
            return move_on(core, draft, row, ended_at).await;
        }
        stage_all(core, draft, row).await
    }
}

/// Whether what it is of had ended when its time began.
fn goes(step: &Step, ended_at: Option<Timestamp>) -> bool {
    ended_at.is_some_and(|at| at <= step.retires_from())
}

/// Its time begins with the end, or is looked for again as much later.
async fn move_on(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<Step>,
    ended_at: Option<Timestamp>,
) -> Result<Gone, CommandError> {
    let later = Step {
        retires_from: Some(ended_at.unwrap_or_else(|| draft.now())),
        ..Step::clone(read)
    };
    let rows = Records::<Step>::new(&core.space);
    rows.stage_replace(draft.batch(), read, &later).await?;
    Ok(Gone::Later)
}

/// This one goes, and others of its origin behind it. A row is named once in a commit: whatever is of the same origin comes
/// with the next.
async fn stage_all(core: &Core, draft: &mut Draft, first: &Versioned<Step>) -> Result<Gone, CommandError> {
    stage_step_gone(core, draft, first).await?;
    let mut removed = 1;
    if has_blob(first) {
        return Ok(Gone::Among { removed });
    }
    let origin = StepId::of_origin(&first.step.origin);
    let rows = Records::<Step>::new(&core.space);
    let behind = rows.range(&origin, Some(&first.step), STEPS - 1).await?;
    for step in &behind.rows {
        // Two may have one blob, which is named once too.
        if has_blob(step) {
            break;
        }
        stage_step_gone(core, draft, step).await?;
        removed += 1;
    }
    Ok(Gone::Among { removed })
}

fn has_blob(step: &Step) -> bool {
    matches!(
        &step.state,
        StepState::Done {
            result: crate::step::StepResult::Blob(_)
        }
    )
}
