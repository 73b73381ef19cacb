//! Serving what is due, once: each row by itself, so that one that is damaged stops no other, and in turn, so that none
//! waits for many others.

use super::pass::{DueRow, LeftLately, Pass};
use super::rows::{Due, DueRows};
use crate::engine::Engine;
use crate::task::TaskState;
use crate::wake::fire;
use crate::{CommandError, Principal, TenantId};

/// What was due and was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DueServed {
    /// Gates that expired.
    pub gates: usize,
    /// Capabilities that did.
    pub capabilities: usize,
    /// Tasks that became ready.
    pub tasks: usize,
    /// Sessions that became idle.
    pub sessions: usize,
    /// Timed wakes that became tasks.
    pub wakes: usize,
    /// Sessions that were passed over, because their drivers in this process see to it.
    pub driven: usize,
    /// Rows that cannot be read or written, and are as they were.
    pub left: usize,
}

impl Engine {
    /// Serves what is due now, once: a commit each. A row that cannot be believed is left as it is, counted and told in
    /// the log.
    ///
    /// # Errors
    /// A store that does not answer: the first error. All were tried, unless it answered nothing for
    /// [`DUE_UNANSWERED_MAX`](crate::limits::DUE_UNANSWERED_MAX): then the rest is for the next time.
    pub async fn serve_due_once(&self) -> Result<DueServed, CommandError> {
        self.serve_due_but(&mut LeftLately::default()).await
    }

    /// The same, but for what was left lately; it is counted as left.
    pub(super) async fn serve_due_but(&self, lately: &mut LeftLately) -> Result<DueServed, CommandError> {
        let mut pass = Pass::new(lately);
        // Where the store is this process's alone, whoever deletes or recovers goes on by itself.
        let removing = match self.is_exclusive() {
            true => Ok(()),
            false => self.go_on_removing().await,
        };
        let rows = self.due_rows(self.environment().clock.now()).await;
        let (served, found) = self.serve_rows(rows, &mut pass).await;
        found?;
        removing?;
        let left = pass.told()?;
        Ok(DueServed { left, ..served })
    }

    /// Serves these, one after the other. Whether all that is due is among them.
    pub(crate) async fn serve_rows(
        &self,
        mut rows: DueRows,
        pass: &mut Pass<'_>,
    ) -> (DueServed, Result<(), CommandError>) {
        let mut served = DueServed::default();
        // Ends with the last row.
        while let Some((tenant, due)) = rows.next() {
            self.serve_row(&tenant, due, pass, &mut served).await;
        }
        (served, rows.told())
    }

    /// Serves one, unless it is left alone in this pass.
    async fn serve_row(&self, tenant: &TenantId, due: Due, pass: &mut Pass<'_>, served: &mut DueServed) {
        let row = match due {
            Due::Gate(id) => DueRow::of("gate", tenant, &id),
            Due::Capability(id) => DueRow::of("capability", tenant, &id),
            Due::Task(id) => DueRow::of("task", tenant, &id),
            Due::Session(id) => DueRow::of("session", tenant, &id),
            Due::Wake(id) => DueRow::of("timed wake", tenant, &id),
        };
        let of = self.handle(tenant);
        if let Due::Session(id) = due
            && of.sessions.has_driver(id)
        {
            // A driver of this process sees to it.
            served.driven += 1;
            return;
        }
        if pass.skips(&row) {
            return;
        }
        let (was_served, count) = match due {
            Due::Gate(id) => (of.gates.expire(id).await, &mut served.gates),
            Due::Capability(id) => (of.capabilities.expire(id).await, &mut served.capabilities),
            Due::Task(id) => {
                let moved = of.tasks.due(&Principal::engine(), id).await;
                (
                    moved.map(|task| task.state == TaskState::Ready),
                    &mut served.tasks,
                )
            }
            Due::Session(id) => (of.sessions.idle_if_due(id).await, &mut served.sessions),
            Due::Wake(id) => (fire(&of.core, id).await, &mut served.wakes),
        };
        *count += usize::from(pass.note(row, was_served));
    }
}
