//! Which deadline is the next.

use dormouse_filesystem::{IndexValue, Query, Record, Records, SystemIndex, Tenant, Versioned};
use dormouse_state::Lifecycle;
use jiff::Timestamp;

use super::pass::is_of_store;
use crate::capability::{Capability, CapabilityIndex};
use crate::engine::Engine;
use crate::found::{just_after, never, of_tenant};
use crate::gate::{Gate, GateIndex};
use crate::session::{SessionIndex, SessionRow};
use crate::task::{Task, TaskIndex};
use crate::wake::{TimedWake, TimedWakeIndex, Wake, WakeIndex};
use crate::{CommandError, TenantId};

/// How many entries of an index are read at a time: the first is the one, unless its row is damaged or went.
const FEW: usize = 8;

impl Engine {
    /// The earliest deadline of the store after this instant.
    pub(super) async fn next_due(&self, from: Timestamp) -> Result<Option<Timestamp>, CommandError> {
        let session = self.first::<SessionRow>(SessionIndex::Due, from, |row| match row.state.lifecycle {
            Lifecycle::Completed { idle_at } => Some(idle_at),
            _ => None,
        });
        let gate = self.first::<Gate>(GateIndex::Due, from, |gate| {
            gate.expires_at.filter(|_| gate.is_pending())
        });
        let capability = self.first::<Capability>(CapabilityIndex::Due, from, |row| Some(row.expires_at));
        let task = self.first::<Task>(TaskIndex::Due, from, |task| task.due_at());
        let wake = self.first::<TimedWake>(TimedWakeIndex::Due, from, |wake| Some(wake.due));
        let (session, gate) = (session.await?, gate.await?);
        let (capability, task, wake) = (capability.await?, task.await?, wake.await?);
        Ok([session, gate, capability, task, wake]
            .into_iter()
            .flatten()
            .min())
    }

    /// When the first wake row after this instant is due.
    pub(crate) async fn next_wake(&self, from: Timestamp) -> Result<Option<Timestamp>, CommandError> {
        self.first::<Wake>(WakeIndex::Due, from, Wake::looked_at).await
    }

    /// When the first row of an index is due, after this instant; those that never are stand behind, and none is read.
    /// Those that cannot be believed are passed over, and so are those that went or changed meanwhile: whoever wrote
    /// them said what is due now.
    pub(crate) async fn first<R: Record<Scope = Tenant>>(
        &self,
        index: R::Index,
        from: Timestamp,
        at: impl Fn(&R) -> Option<Timestamp>,
    ) -> Result<Option<Timestamp>, CommandError> {
        let rows = SystemIndex::<R>::new(self.system());
        let from_on = just_after(from).map(IndexValue::instant);
        let mut after = None;
        // Ends with the first row that says when it is due, or with the last page.
        loop {
            let query = Query::of(index)
                .range(from_on.clone(), Some(never()))
                .after(after)
                .limit(FEW);
            let page = rows.find(&query).await?;
            for (tenant, id) in page.rows.into_iter().filter_map(of_tenant) {
                let row = self.believed::<R>(&tenant, &id).await?;
                if let Some(at) = row.and_then(|row| at(&row)).filter(|at| *at > from) {
                    return Ok(Some(at));
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(None);
            }
        }
    }

    /// A row of a tenant; none when there is none that can be believed.
    async fn believed<R: Record<Scope = Tenant>>(
        &self,
        tenant: &TenantId,
        id: &R::Id,
    ) -> Result<Option<Versioned<R>>, CommandError> {
        let read = Records::<R>::new(self.handle(tenant).space()).get(id).await;
        match read.map_err(CommandError::from) {
            Err(error) if !is_of_store(&error) => Ok(None),
            read => read,
        }
    }
}
