//! Removing agents that are being deleted, until nothing is left: one task each, and recovery for what a process that died
//! left over.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::delete::deleting;
use super::removal::{Progress, remove_page};
use super::{Agent, AgentIndex};
use crate::core::Core;
use crate::engine::Engine;
use crate::limits::{AGENT_LOOK, AGENT_RETRY_MAX};
use crate::recovery::{Left, LeftBecause, Recovery};
use crate::{AgentName, CommandError, Incarnation, Subject};

/// The agents that a task of this process removes.
#[derive(Debug, Default)]
pub(crate) struct Removals(Mutex<HashSet<Incarnation>>);

impl Removals {
    fn with<T>(&self, f: impl FnOnce(&mut HashSet<Incarnation>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One of them. Dropped, it is none any more.
struct Removal {
    core: Weak<Core>,
    name: AgentName,
    incarnation: Incarnation,
}

impl Drop for Removal {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.removals.with(|removals| removals.remove(&self.incarnation));
        }
    }
}

/// Goes on removing an agent in the background, unless it is under way here.
pub(crate) fn begin_removal(core: &Arc<Core>, agent: &Agent) {
    let is_first = core.removals.with(|removals| removals.insert(agent.incarnation));
    if is_first {
        let removal = Removal {
            core: Arc::downgrade(core),
            name: agent.name.clone(),
            incarnation: agent.incarnation,
        };
        core.background.spawn(remove(removal));
    }
}

/// How long a removal waits before its next page.
#[derive(Debug, Default)]
struct Pace {
    /// Errors in a row.
    errors: u32,
}

impl Pace {
    /// After a page that came so far, or none where it was an error; none when nothing is left. Errors in a row are tried
    /// again ever later, and one after a page that went as soon as the first.
    fn after(&mut self, page: Option<Progress>) -> Option<Duration> {
        let Some(progress) = page else {
            self.errors = self.errors.saturating_add(1);
            let longer = 2_u32.saturating_pow(self.errors);
            return Some(AGENT_LOOK.saturating_mul(longer).min(AGENT_RETRY_MAX));
        };
        self.errors = 0;
        match progress {
            Progress::Done => None,
            Progress::More => Some(Duration::ZERO),
            Progress::Waits => Some(AGENT_LOOK),
        }
    }
}

/// Ends with the agent, or with the engine: then recovery goes on.
async fn remove(removal: Removal) {
    let mut pace = Pace::default();
    loop {
        let Some(core) = removal.core.upgrade() else {
            return;
        };
        let leaving = core.leaving.clone();
        if leaving.is_cancelled() {
            return;
        }
        let page = remove_page(&core, &removal.name).await;
        if let Err(error) = &page {
            tracing::warn!(agent = %removal.name, %error, "an agent is not removed yet; it is tried again");
        }
        let Some(wait) = pace.after(page.ok()) else {
            return;
        };
        // Whoever drops the engine without closing it is not kept waiting.
        drop(core);
        tokio::select! {
            biased;
            () = leaving.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// Removes what can be removed of an agent now, and leaves the rest to a task of its own. Whether it is gone.
pub(crate) async fn finish_removal(core: &Arc<Core>, name: &AgentName) -> Result<bool, CommandError> {
    // Ends when nothing can go at once: each page leaves less.
    let last = loop {
        match remove_page(core, name).await {
            Ok(Progress::More) => {}
            last => break last,
        }
    };
    if let Ok(Progress::Done) = last {
        return Ok(true);
    }
    if let Some(agent) = deleting(core, name).await? {
        begin_removal(core, &agent);
    }
    last.map(|_| false)
}

impl Engine {
    /// Removes the agents whose deletion was cut.
    pub(crate) async fn finish_removals(&self, recovery: &mut Recovery) -> Result<(), CommandError> {
        for (tenant, agent) in self.found::<Agent>(AgentIndex::Deleting, None).await? {
            match finish_removal(&self.handle(&tenant).core, &agent).await {
                Ok(true) => recovery.removed.push((tenant, agent)),
                Ok(false) => {}
                Err(error) => recovery.left.push(Left {
                    tenant,
                    subject: Subject::Agent(agent),
                    why: LeftBecause::Error(error),
                }),
            }
        }
        Ok(())
    }

    /// Goes on with the agents that another process was removing: where the store is shared, it may be gone.
    pub(crate) async fn go_on_removing(&self) -> Result<(), CommandError> {
        for (tenant, agent) in self.found::<Agent>(AgentIndex::Deleting, None).await? {
            let core = self.handle(&tenant).core;
            match deleting(&core, &agent).await {
                Ok(Some(agent)) => begin_removal(&core, &agent),
                Ok(None) => {}
                Err(error) => tracing::warn!(%tenant, %agent, %error, "an agent cannot be removed"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_a_row_are_tried_again_ever_later_and_one_after_a_page_as_soon_as_the_first() {
        let mut pace = Pace::default();
        let first = pace.after(None).unwrap();
        let row: Vec<Duration> = (0..20).map(|_| pace.after(None).unwrap()).collect();
        assert!(row.is_sorted() && row[0] == first * 2, "{row:?}");
        assert_eq!(row[19], AGENT_RETRY_MAX);
        for (page, waits) in [(Progress::More, Duration::ZERO), (Progress::Waits, AGENT_LOOK)] {
            assert_eq!(pace.after(Some(page)), Some(waits));
            assert_eq!(pace.after(None), Some(first));
        }
        assert_eq!(pace.after(Some(Progress::Done)), None);
    }
}
