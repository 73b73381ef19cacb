//! Retention: an ended gate loses its content, and later its row. Pending ones stay.

use dormouse_filesystem::{IndexValue, Query, Records, Versioned};
use jiff::{SignedDuration, Timestamp};

use super::adopt::keys_of;
use super::list::in_session;
use super::{Gate, GateIndex, display};
use crate::capability::Capability;
use crate::core::Core;
use crate::draft::Verdict;
use crate::limits::{GATES_KEPT, GATES_WHOLE_MAX, PAGE_MAX};
use crate::{CommandError, Principal, SessionId};

/// What retention did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Gates whose content was erased.
    pub erased: usize,
    /// Gates whose rows were removed.
    pub removed: usize,
}

/// Erases what ended long ago, and removes what ended twice as long ago: a commit each.
pub(super) async fn by_age(core: &Core, now: Timestamp) -> Result<Retained, CommandError> {
    let kept = SignedDuration::try_from(GATES_KEPT).expect("days fit");
    let (old, older) = (now.checked_sub(kept), now.checked_sub(kept * 2));
    let (Ok(old), Ok(older)) = (old, older) else {
        return Ok(Retained::default());
    };
    let (mut retained, mut after) = (Retained::default(), None);
    // Ends with the last page of what is old.
    loop {
        let query = Query::of(GateIndex::Decided)
            .range(None, Some(IndexValue::instant(old)))
            .after(after)
            .limit(PAGE_MAX);
        let found = Records::<Gate>::new(&core.space).find(&query).await?;
        for gate in &found.rows {
            if gate.end.as_ref().is_some_and(|end| end.at < older) {
                retained.removed += usize::from(remove(core, gate).await?);
            } else {
                retained.erased += usize::from(erase(core, gate).await?);
            }
        }
        after = found.next;
        if after.is_none() {
            return Ok(retained);
        }
    }
}

/// Erases what a session has beyond its newest ended gates.
pub(super) async fn by_number(core: &Core, session: SessionId) -> Result<Retained, CommandError> {
    let (mut ended, mut after) = (Vec::new(), None);
    // Ends with the last page of the session.
    loop {
        let query = in_session(session, 1).after(after).limit(PAGE_MAX);
        let found = Records::<Gate>::new(&core.space).find(&query).await?;
        ended.extend(found.rows);
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    let mut retained = Retained::default();
    let beyond = ended.len().saturating_sub(GATES_WHOLE_MAX);
    for gate in &ended[..beyond] {
        retained.erased += usize::from(erase(core, gate).await?);
    }
    Ok(retained)
}

/// Whether there was something to erase.
async fn erase(core: &Core, gate: &Versioned<Gate>) -> Result<bool, CommandError> {
    let erased = gate.erased();
    if erased == **gate {
        return Ok(false);
    }
    let by = Principal::engine();
    let (gate, erased) = (&gate, &erased);
    let done = core.command(&by, |mut draft| async move {
        let erased = Gate {
            updated_at: draft.now(),
            op: draft.op(),
            ..erased.clone()
        };
        Records::new(&core.space)
            .stage_replace(draft.batch(), gate, &erased)
            .await?;
        Ok(Verdict::Commit(draft, true))
    });
    gone_is_fine(done.await.map(|done| done.answer))
}

async fn remove(core: &Core, gate: &Versioned<Gate>) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let gate = &gate;
    let done = core.command(&by, |mut draft| async move {
        let space = &core.space;
        Records::new(space).stage_remove(draft.batch(), gate).await?;
        for key in keys_of(core, gate).await? {
            Records::new(space).stage_remove(draft.batch(), &key).await?;
        }
        for shown in display::of(core, gate.id).await? {
            Records::new(space).stage_remove(draft.batch(), &shown).await?;
        }
        if let Some(capability) = Records::<Capability>::new(space).get(&gate.id).await? {
            Records::new(space)
                .stage_remove(draft.batch(), &capability)
                .await?;
        }
        Ok(Verdict::Commit(draft, true))
    });
    gone_is_fine(done.await.map(|done| done.answer))
}

/// A row that changed meanwhile is left for the next time.
fn gone_is_fine(done: Result<bool, CommandError>) -> Result<bool, CommandError> {
    match done {
        Err(CommandError::Contended { .. }) => Ok(false),
        done => done,
    }
}
