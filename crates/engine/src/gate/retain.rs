//! Retention: an ended gate loses its content, and later its row. Pending ones stay.
//!
//! Each function does one page, so that whoever calls goes on when they will: a commit for each gate.

use std::collections::HashSet;

use dormouse_filesystem::{Cursor, Found, IndexValue, Order, Query, Records, Versioned};
use jiff::{SignedDuration, Timestamp};

use super::adopt::keys_of;
use super::list::in_session;
use super::{Gate, GateIndex, display};
use crate::capability::Capability;
use crate::core::Core;
use crate::draft::Verdict;
use crate::limits::{GATES_WHOLE_MAX, PAGE_MAX};
use crate::{CommandError, Principal, SessionId};

/// A walk over the gates that ended between two instants, in pages.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    from: Option<Timestamp>,
    until: Timestamp,
    after: Option<Cursor>,
}

impl Scan {
    /// Over those that ended from here on, all if nothing is said, until before there.
    pub(crate) fn new(from: Option<Timestamp>, until: Timestamp) -> Self {
        let after = None;
        Self { from, until, after }
    }

    /// Where the next scan begins.
    pub(crate) fn until(&self) -> Timestamp {
        self.until
    }

    /// Whether it is at its end, now that a page was read.
    pub(crate) fn has_ended(&self) -> bool {
        self.after.is_none()
    }

    async fn page(&mut self, core: &Core) -> Result<Found<Gate>, CommandError> {
        let until = Some(IndexValue::instant(self.until));
        let query = Query::of(GateIndex::Decided)
            .range(self.from.map(IndexValue::instant), until)
            .after(self.after.take())
            .limit(PAGE_MAX);
        let mut page = Records::<Gate>::new(&core.space).find(&query).await?;
        self.after = page.next.take();
        Ok(page)
    }
}

/// The instant before which what ended is as old as this, or twice as old.
fn ago(now: Timestamp, kept: std::time::Duration, times: i32) -> Option<Timestamp> {
    let kept = SignedDuration::try_from(kept).ok()?.checked_mul(times)?;
    now.checked_sub(kept).ok()
}

/// Removes a page of the gates that ended twice as long ago as their content is kept. How many, and whether there may
/// be more.
pub(crate) async fn clear_ended(core: &Core, now: Timestamp) -> Result<(usize, bool), CommandError> {
    let Some(until) = ago(now, core.gate_options.kept, 2) else {
        return Ok((0, false));
    };
    let mut scan = Scan::new(None, until);
    let mut removed = 0;
    for gate in scan.page(core).await?.rows {
        removed += usize::from(remove(core, &gate).await?);
    }
    Ok((removed, removed > 0 && !scan.has_ended()))
}

/// Where the content of ended gates is to be erased, once it was up to this instant.
pub(crate) fn erase_ended(core: &Core, now: Timestamp, from: Option<Timestamp>) -> Option<Scan> {
    let from = from.max(ago(now, core.gate_options.kept, 2));
    Some(Scan::new(from, ago(now, core.gate_options.kept, 1)?))
}

impl Scan {
    /// Erases the content of the next page of gates. How many had some.
    pub(crate) async fn erase(&mut self, core: &Core) -> Result<usize, CommandError> {
        let mut erased = 0;
        for gate in self.page(core).await?.rows {
            erased += usize::from(erase(core, &gate).await?);
        }
        Ok(erased)
    }

    /// The sessions of the next page of gates.
    pub(crate) async fn sessions(&mut self, core: &Core) -> Result<HashSet<SessionId>, CommandError> {
        let rows = self.page(core).await?.rows;
        let sessions = rows.iter().filter_map(|gate| gate.session);
        Ok(sessions.map(|turn| turn.session).collect())
    }
}

/// Erases what a session has beyond its newest ended gates, from the newest of them on: until a page had none that was
/// whole. How many.
pub(crate) async fn erase_beyond(core: &Core, session: SessionId) -> Result<usize, CommandError> {
    let (mut erased, mut newer, mut after) = (0, 0, None);
    // Ends with the last page, or the first that was erased before.
    loop {
        let query = in_session(session, 1)
            .order(Order::Down)
            .after(after)
            .limit(PAGE_MAX);
        let page = Records::<Gate>::new(&core.space).find(&query).await?;
        let kept = page.rows.len().min(GATES_WHOLE_MAX.saturating_sub(newer));
        newer += kept;
        let mut of_page = 0;
        for gate in &page.rows[kept..] {
            of_page += usize::from(erase(core, gate).await?);
        }
        erased += of_page;
        after = page.next;
        if after.is_none() || (of_page == 0 && kept < page.rows.len()) {
            return Ok(erased);
        }
    }
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
        for key in keys_of(&core.space, gate).await? {
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
