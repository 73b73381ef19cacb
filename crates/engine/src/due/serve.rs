//! Serving what is due, once: each row by itself, so that one that is damaged stops no other.

use super::pass::{DueRow, LeftLately, Pass};
use crate::engine::Engine;
use crate::session::{SessionIndex, SessionRow};
use crate::task::{Task, TaskIndex, TaskState};
use crate::{CommandError, Principal};

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
        let tasks = self.ready_due(&mut pass).await;
        // Where the store is this process's alone, whoever deletes or recovers goes on by itself.
        let removing = match self.is_exclusive() {
            true => Ok(()),
            false => self.go_on_removing().await,
        };
        let sessions = self.idle_due(&mut pass).await;
        let expired = self.expire_due_in(&mut pass).await?;
        let (tasks, sessions) = (tasks?, sessions?);
        removing?;
        Ok(DueServed {
            tasks,
            gates: expired.gates,
            capabilities: expired.capabilities,
            left: pass.told()?,
            ..sessions
        })
    }

    /// Makes those tasks ready whose time has come.
    async fn ready_due(&self, pass: &mut Pass<'_>) -> Result<usize, CommandError> {
        let now = self.environment().clock.now();
        let by = Principal::engine();
        let mut served = 0;
        for (tenant, task) in self.found::<Task>(TaskIndex::Due, Some(now)).await? {
            let row = DueRow::of("task", &tenant, &task);
            if !pass.skips(&row) {
                let moved = self.handle(&tenant).tasks.due(&by, task).await;
                served += usize::from(pass.note(row, moved.map(|task| task.state == TaskState::Ready)));
            }
        }
        Ok(served)
    }

    /// Makes those sessions idle whose time has come and that no driver of this process sees to.
    async fn idle_due(&self, pass: &mut Pass<'_>) -> Result<DueServed, CommandError> {
        let now = self.environment().clock.now();
        let mut served = DueServed::default();
        for (tenant, session) in self.found::<SessionRow>(SessionIndex::Due, Some(now)).await? {
            let sessions = self.handle(&tenant).sessions;
            if sessions.has_driver(session) {
                served.driven += 1;
                continue;
            }
            let row = DueRow::of("session", &tenant, &session);
            if !pass.skips(&row) {
                let became_idle = sessions.idle_if_due(session).await;
                served.sessions += usize::from(pass.note(row, became_idle));
            }
        }
        Ok(served)
    }
}
