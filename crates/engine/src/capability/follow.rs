//! What becomes of capabilities with the runs that may use them: what a run held is given back or closed when it ends
//! or waits, and while nobody is there to use one its time stands.

use dormouse_filesystem::{Ahead, IndexValue, Namespace, Query, Records, Tenant, Versioned};

use super::stage::{moved, phase, stage};
use super::{Capability, CapabilityEnd, CapabilityEvent, CapabilityIndex, CapabilityPhase};
use crate::draft::Draft;
use crate::limits::PAGE_MAX;
use crate::outcome::Outcome;
use crate::run::Run;
use crate::{CommandError, Subject};

/// What happens to a run.
#[derive(Debug, Clone, Copy)]
enum What<'a> {
    /// It begins, or goes on.
    Begins,
    /// It waits: its worker has gone.
    Parks,
    /// It ends, and perhaps its task is tried again.
    Ends {
        outcome: &'a Outcome,
        is_tried_again: bool,
    },
}

/// Stages what the beginning of a run means: the time of what was approved meanwhile goes on.
pub(crate) async fn follow_claim(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    run: &Run,
) -> Result<(), CommandError> {
    follow(space, draft, run, What::Begins).await
}

/// Stages what parking means: what was claimed can be used again, and its time stands; what was under way is closed as
/// unknown.
pub(crate) async fn follow_park(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    run: &Run,
) -> Result<(), CommandError> {
    follow(space, draft, run, What::Parks).await
}

/// Stages what the end of a run means: what was claimed can be used again; what was under way is closed, as done by a
/// run that succeeded, as unknown otherwise.
pub(crate) async fn follow_run(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    run: &Run,
    outcome: &Outcome,
    is_tried_again: bool,
) -> Result<(), CommandError> {
    let ends = What::Ends {
        outcome,
        is_tried_again,
    };
    follow(space, draft, run, ends).await
}

async fn follow(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    run: &Run,
    what: What<'_>,
) -> Result<(), CommandError> {
    for read in usable_by(space, run).await? {
        let mut next = Capability::clone(&read);
        if let (Some(event), Some(holder)) = (of_holder(&read, run, what), read.holder())
            && let Ok(Some(state)) = moved(&read, event, Some((holder, CapabilityEnd::Done)))
        {
            next.state = state;
        }
        match what {
            What::Parks
            | What::Ends {
                is_tried_again: true, ..
            } => next.stand(draft.now()),
            What::Begins
            | What::Ends {
                is_tried_again: false,
                ..
            } => next.go_on(draft.now()),
        }
        if next != *read {
            stage(space, draft, &read, next).await?;
        }
    }
    Ok(())
}

/// What its holder's fate says of a capability; none when the run does not hold it.
fn of_holder(read: &Capability, run: &Run, what: What<'_>) -> Option<CapabilityEvent> {
    if read.holder()?.run != run.id {
        return None;
    }
    match what {
        What::Begins => None,
        What::Ends { outcome, .. }
            if outcome.is_success() && phase(read.state) == CapabilityPhase::Dispatching =>
        {
            Some(CapabilityEvent::Finish { is_holder: true })
        }
        What::Parks | What::Ends { .. } => Some(CapabilityEvent::HolderGone),
    }
}

/// The capabilities that are not closed, of the run or of its task.
async fn usable_by(space: &Namespace<Tenant>, run: &Run) -> Result<Vec<Versioned<Capability>>, CommandError> {
    let rows = Records::<Capability>::new(space);
    let mut usable = Vec::new();
    for query in usable_queries(run) {
        usable.extend(rows.find(&query).await?.rows);
    }
    Ok(usable)
}

fn usable_queries(run: &Run) -> impl Iterator<Item = Query<CapabilityIndex>> {
    let origins = [Some(Subject::Run(run.id)), run.task.map(Subject::Task)];
    origins.into_iter().flatten().map(|origin| {
        Query::of(CapabilityIndex::Origin)
            .equals([IndexValue::name(&origin.id())])
            .limit(PAGE_MAX)
    })
}

/// What the end of a run is going to ask for.
pub(crate) fn ahead_of_end(ahead: Ahead<Tenant>, run: &Run) -> Ahead<Tenant> {
    usable_queries(run).fold(ahead, |ahead, query| ahead.found::<Capability>(&query))
}
