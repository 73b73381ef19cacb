//! Where a driver keeps its session: the rows of the engine, and what a durable state means for others, in one commit.

use std::sync::Arc;

use async_trait::async_trait;
use dormouse_filesystem::{Deadline, Records, Version, WriteOnce, update::DEADLINE};
use dormouse_state::driver::{Save, SaveError, SaveKind, Store, Stored};
use dormouse_state::{Applied, Edge, Effect, Snapshot};
use tokio::time::Instant;

use super::SessionRow;
use super::live::{Newest, SessionLive};
use super::told::{activity, tell_edges, tell_effects};
use crate::core::Core;
use crate::draft::Draft;
use crate::gate::follow_session;
use crate::lease::{Held, held};
use crate::run::{OutcomeRow, Run, RunState};
use crate::{CommandError, OpId, PrefixedId, Principal, RunId, SessionId, Subject};

/// One session's place.
#[derive(Debug)]
pub(super) struct Shelf {
    core: Arc<Core>,
    id: SessionId,
    read: Newest,
    run: Bound,
    /// How many stalls were told with live states, which the next durable one is not to tell again.
    stalls_told: usize,
}

/// The run that is bound, as far as its holder matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// None, or one that nobody holds.
    Nobody,
    /// It waits without a process, or its holder has let go of it and it will lapse.
    Parked,
    /// This process holds it: each write proves that.
    Here(RunId),
}

impl Shelf {
    /// Where this session is.
    pub(super) async fn open(core: &Arc<Core>, read: Newest) -> Result<Self, SaveError> {
        let mut shelf = Self {
            core: Arc::clone(core),
            id: read.row.id,
            read,
            run: Bound::Nobody,
            stalls_told: 0,
        };
        shelf.run = shelf.bound().await?;
        Ok(shelf)
    }

    pub(super) fn is_parked(&self) -> bool {
        self.run == Bound::Parked
    }

    /// Who holds the bound run. A run that was lost by this process, or is held by another, fences it.
    async fn bound(&self) -> Result<Bound, SaveError> {
        let run = self.read.row.state.run.as_ref();
        let run: Option<RunId> = run.and_then(|run| run.as_str().parse().ok());
        if let Bound::Here(former) = self.run
            && run != Some(former)
            && self.was_lost(former).await?
        {
            return Err(SaveError::Fenced);
        }
        let Some(run) = run else { return Ok(Bound::Nobody) };
        let held = held(&self.core, &Subject::Run(run)).await.map_err(trouble)?;
        match held {
            Some(held) if is_own(&held, &self.core) && self.core.live.holds(run) => Ok(Bound::Here(run)),
            Some(held) if is_own(&held, &self.core) => Ok(Bound::Parked),
            Some(_) => Err(SaveError::Fenced),
            None => {
                let row = Records::<Run>::new(&self.core.space).get(&run).await;
                let row = row.map_err(|error| trouble(error.into()))?;
                let is_parked = row.is_some_and(|run| run.state == RunState::Waiting);
                Ok(if is_parked { Bound::Parked } else { Bound::Nobody })
            }
        }
    }

    /// Whether somebody else ended a run: then nobody was left to say more of it than its outcome.
    async fn was_lost(&self, run: RunId) -> Result<bool, SaveError> {
        let outcome = WriteOnce::<OutcomeRow>::new(&self.core.space).get(&run).await;
        let outcome = outcome.map_err(|error| trouble(error.into()))?;
        Ok(outcome.is_some_and(|outcome| outcome.facts.is_none()))
    }

    fn draft(&self) -> Draft {
        let now = self.core.environment.clock.now();
        let op = OpId::make(now, &self.core.environment.random);
        Draft::new(&self.core, &Principal::engine(), now, op)
    }

    /// Adds that this process still holds the run.
    async fn stage_fence(&self, draft: &mut Draft) -> Result<(), SaveError> {
        let Bound::Here(run) = self.run else { return Ok(()) };
        match held(&self.core, &Subject::Run(run)).await.map_err(trouble)? {
            Some(held) if is_own(&held, &self.core) => {
                held.stage_check(&self.core, draft);
                Ok(())
            }
            // It ended or was lost: which, the rows say.
            Some(_) | None => Err(SaveError::Conflict),
        }
    }

    async fn save_durably(&mut self, state: &Snapshot, changes: &[Applied]) -> Result<(), SaveError> {
        let space = &self.core.space;
        let mut draft = self.draft();
        self.stage_fence(&mut draft).await?;
        let row = self.read.row.at(state, &draft);
        let staged = self.read.stage_row(space, &mut draft, row).await;
        let row = staged.map_err(trouble)?;
        tell_edges(space, &mut draft, row.id, &self.edges(changes));
        let effects = untold(changes, self.stalls_told);
        tell_effects(&mut draft, &row, effects).map_err(trouble)?;
        for applied in changes {
            let followed = follow_session(space, &mut draft, row.id, &applied.effects, None);
            followed.await.map_err(trouble)?;
        }
        let version = self.commit(draft).await?;
        self.read.row = Records::<SessionRow>::new(space)
            .written(&row, version)
            .map_err(|error| trouble(error.into()))?;
        self.stalls_told = 0;
        Ok(())
    }

    async fn save_live(&mut self, state: &Snapshot, changes: &[Applied]) -> Result<(), SaveError> {
        let space = &self.core.space;
        let mut draft = self.draft();
        self.stage_fence(&mut draft).await?;
        Records::<SessionRow>::new(space).stage_check(draft.batch(), &self.read.row);
        let live = SessionLive {
            id: self.id,
            base: self.read.row.version(),
            state: state.clone(),
            edges: self.edges(changes),
            updated_at: draft.now(),
        };
        let rows = Records::<SessionLive>::new(space);
        match &self.read.live {
            None => rows.stage_create(draft.batch(), &live),
            Some(read) => rows.stage_replace(draft.batch(), read, &live).await,
        }
        .map_err(|error| trouble(error.into()))?;
        let stalls = changes
            .iter()
            .flat_map(|applied| &applied.effects)
            .filter(is_stall);
        tell_effects(&mut draft, &self.read.row, stalls.skip(self.stalls_told)).map_err(trouble)?;
        let doing = activity(state, draft.now(), changes.len());
        draft.tell(&self.read.row.about(), &doing).map_err(trouble)?;
        let version = self.commit(draft).await?;
        self.read.live = Some(
            rows.written(&live, version)
                .map_err(|error| trouble(error.into()))?,
        );
        self.stalls_told = changes
            .iter()
            .flat_map(|applied| &applied.effects)
            .filter(is_stall)
            .count();
        Ok(())
    }

    /// What becomes history with the next durable state: of much only the newest.
    fn edges(&self, changes: &[Applied]) -> Vec<Edge> {
        let carried = self.carried(changes);
        let own = changes.iter().flat_map(|applied| &applied.edges);
        let mut edges: Vec<Edge> = carried.iter().chain(own).cloned().collect();
        let surplus = edges.len().saturating_sub(super::history::max(&self.core));
        edges.drain(..surplus);
        edges
    }

    /// The gathered edges that were there before those of these changes.
    fn carried(&self, changes: &[Applied]) -> &[Edge] {
        let first = changes.iter().flat_map(|applied| &applied.edges).next();
        let edges = self.read.edges();
        let Some(first) = first else { return edges };
        let before = edges.iter().take_while(|edge| edge.sequence < first.sequence);
        &edges[..before.count()]
    }

    async fn commit(&self, draft: Draft) -> Result<Option<Version>, SaveError> {
        let deadline = Deadline::at(Instant::now() + DEADLINE);
        let entered = self.core.commit(draft, deadline).await;
        Ok(entered.map_err(not_committed)?.version)
    }
}

#[async_trait]
impl Store for Shelf {
    async fn load(&mut self) -> Result<Stored, SaveError> {
        let read = Newest::read(&self.core.space, self.id).await.map_err(trouble)?;
        self.read = read.ok_or_else(|| SaveError::Corrupt("the session is gone".into()))?;
        self.run = self.bound().await?;
        self.stalls_told = 0;
        Ok(Stored {
            snapshot: self.read.state().clone(),
            is_parked: self.is_parked(),
        })
    }

    async fn save(&mut self, save: Save<'_>) -> Result<(), SaveError> {
        match save.kind {
            SaveKind::Durable => self.save_durably(save.snapshot, save.changes).await,
            SaveKind::Live => self.save_live(save.snapshot, save.changes).await,
        }
    }
}

fn is_own(held: &Held, core: &Core) -> bool {
    held.lease.holder.epoch == core.environment.host.epoch
}

fn is_stall(effect: &&Effect) -> bool {
    matches!(effect, Effect::Stalled { .. })
}

/// The effects without the first stalls, which were told before.
fn untold(changes: &[Applied], stalls_told: usize) -> impl Iterator<Item = &Effect> {
    let mut stalls = 0;
    changes
        .iter()
        .flat_map(|applied| &applied.effects)
        .filter(move |effect| {
            stalls += usize::from(is_stall(effect));
            !is_stall(effect) || stalls > stalls_told
        })
}

/// A read or a stage that was refused.
fn trouble(error: CommandError) -> SaveError {
    match error {
        CommandError::Contended { .. } => SaveError::Conflict,
        CommandError::Fenced { .. } | CommandError::LeaseExpired { .. } => SaveError::Fenced,
        CommandError::Corrupt(_) | CommandError::TooNew(_) => SaveError::Corrupt(error.into()),
        other => SaveError::Unavailable(other.into()),
    }
}

fn not_committed(error: CommandError) -> SaveError {
    match error {
        CommandError::Indeterminate { .. } => SaveError::Indeterminate(error.into()),
        other => trouble(other),
    }
}
