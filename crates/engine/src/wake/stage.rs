//! Ringing: the wake row of an agent, written in the commit that gives it something to do.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_filesystem::Records;
use jiff::Timestamp;

use super::{Wake, WakeCause, WakeEvent, WakeFacts, WakeState, decide};
use crate::core::Core;
use crate::draft::Draft;
use crate::{AgentName, CommandError, Decision};

/// Stages the wake rows that a draft rings for. Whoever removes one does so under the version from before it found
/// nothing ready, so that each ready task has one.
pub(crate) async fn stage(core: &Core, draft: &mut Draft) -> Result<(), CommandError> {
    let rings: BTreeMap<AgentName, BTreeSet<WakeCause>> = std::mem::take(&mut draft.hints().rings);
    draft.hints().is_rung |= !rings.is_empty();
    let rows = Records::<Wake>::new(&core.space);
    for (agent, causes) in rings {
        let read = rows.get(&agent).await?;
        let now = draft.now();
        let event = if causes.contains(&WakeCause::Resumed) && is_held(read.as_deref()) {
            WakeEvent::Resume
        } else {
            WakeEvent::Ring
        };
        let state = match decide(read.as_ref().map(|wake| wake.state), event, WakeFacts::default()) {
            Decision::Apply(Some(state)) => state,
            Decision::Same => read.as_ref().map_or(WakeState::Due, |wake| wake.state),
            cell => unreachable!("a ring is never answered with {cell:?}"),
        };
        let was_due = read.as_deref().is_some_and(|wake| wake.looked_at().is_some());
        // Whoever asks took a place before.
        if state != WakeState::Held && !was_due && !causes.contains(&WakeCause::Asked) {
            draft.hints().newly_due += 1;
        }
        match &read {
            None => {
                let wake = first(agent, state, causes, draft);
                rows.stage_create(draft.batch(), &wake)?;
            }
            Some(read) => {
                let wake = rung(read, state, causes, now, draft);
                rows.stage_replace(draft.batch(), read, &wake).await?;
            }
        }
    }
    Ok(())
}

fn is_held(read: Option<&Wake>) -> bool {
    read.is_some_and(|wake| wake.state == WakeState::Held)
}

fn first(agent: AgentName, state: WakeState, causes: BTreeSet<WakeCause>, draft: &Draft) -> Wake {
    Wake {
        agent,
        state,
        again: false,
        due_at: draft.now(),
        causes,
        rings: 1,
        first_at: draft.now(),
        last_at: draft.now(),
        picked_by: None,
        picked_until: None,
        op: draft.op(),
    }
}

fn rung(read: &Wake, state: WakeState, causes: BTreeSet<WakeCause>, now: Timestamp, draft: &Draft) -> Wake {
    let mut wake = read.clone();
    wake.state = state;
    wake.again |= state == WakeState::Picked;
    if state == WakeState::Due {
        wake.due_at = wake.due_at.min(now);
    }
    wake.causes.extend(causes);
    wake.rings = wake.rings.saturating_add(1);
    wake.last_at = now;
    wake.op = draft.op();
    wake
}
