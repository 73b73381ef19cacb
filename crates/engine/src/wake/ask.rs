//! Asking for an agent to be woken: its row is written, and whoever serves finds it. Queued is not delivered.

use dormouse_filesystem::{Query, Records, SystemIndex};

use super::bell::Service;
use super::room::Taken;
use super::{Wake, WakeCause, WakeIndex};
use crate::agent::{Agent, AgentState};
use crate::draft::Verdict;
use crate::engine::{Engine, Tenant};
use crate::limits::PAGE_MAX;
use crate::{AgentName, CommandError, Principal};

/// That an agent is to be woken is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Woken {
    /// It was to be woken already: one pass serves both.
    pub coalesced: bool,
    /// Somebody of this process serves wakes. Else it waits for one who does.
    pub served: bool,
}

/// Why an agent is not woken. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WakeError {
    /// There is none of that name, or it is being deleted. Correct the name.
    #[error("there is no agent {agent}")]
    Unknown {
        /// The name.
        agent: AgentName,
    },
    /// It is paused, and its tasks are kept. Resume it.
    #[error("agent {agent} is paused")]
    Paused {
        /// Which.
        agent: AgentName,
    },
    /// As many agents are to be woken as may be. Ask again when some were.
    #[error("no more agents can be woken: it is over the limit wakes.due_max, {due_max}")]
    Full {
        /// The limit.
        due_max: usize,
    },
    /// This process wakes nobody any more. Ask the next one.
    #[error("nobody is woken by this process: {why}")]
    Unavailable {
        /// Why not.
        why: &'static str,
    },
    /// The store did not take it; see there.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// What a look at an agent came to.
enum Asked {
    Unknown,
    Paused,
    Queued { coalesced: bool },
}

impl Engine {
    /// Has an agent looked at, as if something of its had become ready: durable when this returns. Rings of an agent
    /// coalesce in its one row.
    ///
    /// # Errors
    /// [`WakeError`], the first that applies: that nobody wakes anybody here any more comes first. Those that are due are
    /// counted, a read of an index for each thousand of them, when this is asked first and then only where there may be no
    /// room for one more, at most once a second. Where several share the store half of the room that was found is given
    /// away before they are counted again, since others wake agents too.
    pub async fn wake(&self, tenant: &Tenant, by: &Principal, name: &AgentName) -> Result<Woken, WakeError> {
        let served = match self.bell().service() {
            Service::Nobody => false,
            Service::Here => true,
            Service::Leaving => return Err(WakeError::Unavailable { why: "it is leaving" }),
            Service::Ended => {
                let why = "its loop of wakes has ended";
                return Err(WakeError::Unavailable { why });
            }
        };
        let rows = Records::<Agent>::new(&tenant.core.space);
        let wakes = Records::<Wake>::new(&tenant.core.space);
        let is_queued = wakes.get(name).await.map_err(CommandError::from)?.is_some();
        let is_there = tenant.core.agent_if_there(name).await?.is_some();
        if is_there && !is_queued {
            self.check_room().await?;
        }
        let done = tenant.core.command(by, |mut draft| {
            let (rows, wakes) = (&rows, &wakes);
            async move {
                let Some(agent) = rows.get(name).await? else {
                    return Ok(Verdict::Nothing(Asked::Unknown));
                };
                match agent.state {
                    AgentState::Active => {}
                    AgentState::Paused => return Ok(Verdict::Nothing(Asked::Paused)),
                    AgentState::Deleting | AgentState::Deleted => {
                        return Ok(Verdict::Nothing(Asked::Unknown));
                    }
                }
                let coalesced = wakes.get(name).await?.is_some();
                rows.stage_check(draft.batch(), &agent);
                draft.ring(name, WakeCause::Asked);
                Ok(Verdict::Commit(draft, Asked::Queued { coalesced }))
            }
        });
        let agent = name.clone();
        match done.await?.answer {
            Asked::Unknown => Err(WakeError::Unknown { agent }),
            Asked::Paused => Err(WakeError::Paused { agent }),
            Asked::Queued { coalesced } => Ok(Woken { coalesced, served }),
        }
    }

    /// Refuses what would be one agent too many.
    async fn check_room(&self) -> Result<(), WakeError> {
        let due_max = self.options().wakes_due_max;
        let (room, made) = match self.bell().room().take() {
            Taken::Place => return Ok(()),
            Taken::Full => return Err(WakeError::Full { due_max }),
            Taken::Unknown { made } => (self.bell().room(), made),
        };
        let left = due_max.saturating_sub(self.count_due(due_max).await?);
        if left == 0 {
            room.found_full();
            return Err(WakeError::Full { due_max });
        }
        let given = if self.is_exclusive() {
            left
        } else {
            left.div_ceil(2)
        };
        match room.counted(given, made) {
            true => Ok(()),
            false => Err(WakeError::Full { due_max }),
        }
    }

    /// How many agents are to be woken, or this many where there are more.
    async fn count_due(&self, most: usize) -> Result<usize, CommandError> {
        let rows = SystemIndex::<Wake>::new(self.system());
        let (mut count, mut after) = (0, None);
        // Ends with the last page, or with as many as matter.
        loop {
            let query = Query::of(WakeIndex::Due).after(after).limit(PAGE_MAX);
            let page = rows.find(&query).await?;
            count += page.rows.len();
            after = page.next;
            if after.is_none() || count >= most {
                return Ok(count.min(most));
            }
        }
    }
}
