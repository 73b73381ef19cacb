//! Retention: an ended gate loses its content, and later its row. Pending ones stay.
//!
//! Each function does one page, so that whoever calls goes on when they will: a commit for each gate.

use std::collections::HashSet;

use dormouse_filesystem::{Cursor, Found, IndexValue, Order, Query, Records};
use jiff::{SignedDuration, Timestamp};

use super::adopt::all_keys_of;
use super::list::in_session;
use super::{Gate, GateIndex, display};
use crate::capability::Capability;
use crate::core::Core;
use crate::draft::Verdict;
use crate::due::is_of_store;
use crate::limits::{GATES_WHOLE_MAX, PAGE_MAX};
use crate::{CommandError, GateId, Principal, SessionId};

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
        let mut page = page_of(core, &query).await?;
        self.after = page.next.take();
        Ok(page)
    }
}

/// One page of gates. Those that cannot be believed are left as they are, and said.
async fn page_of(core: &Core, query: &Query<GateIndex>) -> Result<Found<Gate>, CommandError> {
    let page = Records::<Gate>::new(&core.space).find(query).await?;
    for issue in &page.issues {
        tracing::warn!(%issue, "an ended gate cannot be believed, and is not cleared away");
    }
    Ok(page)
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
        removed += usize::from(remove(core, gate.id).await?);
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
        let page = page_of(core, &query).await?;
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
async fn erase(core: &Core, gate: &Gate) -> Result<bool, CommandError> {
    if gate.erased() == *gate {
        return Ok(false);
    }
    let (by, id) = (Principal::engine(), gate.id);
    let done = core.command(&by, |mut draft| async move {
        let rows = Records::<Gate>::new(&core.space);
        let Some(gate) = rows.get(&id).await? else {
            return Ok(Verdict::Nothing(false));
        };
        let erased = gate.erased();
        // Another janitor was here in between.
        if erased == *gate {
            return Ok(Verdict::Nothing(false));
        }
        let erased = Gate {
            updated_at: draft.now(),
            op: draft.op(),
            ..erased
        };
        rows.stage_replace(draft.batch(), &gate, &erased).await?;
        Ok(Verdict::Commit(draft, true))
    });
    passed_over(id, done.await.map(|done| done.answer))
}

/// Whether it was there to be removed: with its keys, where it was shown, and what its approval allowed.
async fn remove(core: &Core, id: GateId) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let space = &core.space;
        let rows = Records::<Gate>::new(space);
        let Some(gate) = rows.get(&id).await? else {
            return Ok(Verdict::Nothing(false));
        };
        rows.stage_remove(draft.batch(), &gate).await?;
        for key in all_keys_of(space, id).await? {
            Records::new(space).stage_remove(draft.batch(), &key).await?;
        }
        for shown in display::of(core, id).await? {
            Records::new(space).stage_remove(draft.batch(), &shown).await?;
        }
        if let Some(capability) = Records::<Capability>::new(space).get(&id).await? {
            Records::new(space)
                .stage_remove(draft.batch(), &capability)
                .await?;
        }
        Ok(Verdict::Commit(draft, true))
    });
    passed_over(id, done.await.map(|done| done.answer))
}

/// A row that cannot be believed stays as it is, and keeps no other from its end. Where the store has trouble the page is
/// left, and read again at the next look.
fn passed_over(gate: GateId, done: Result<bool, CommandError>) -> Result<bool, CommandError> {
    match done {
        Err(error) if !is_of_store(&error) => {
            tracing::warn!(%gate, %error, "an old gate was not cleared away");
            Ok(false)
        }
        done => done,
    }
}
