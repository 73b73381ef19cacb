//! The lanes of a process that serves wakes, in memory: what is known of each, and what is done next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{IndexValue, Query, SystemIndex};
use jiff::{SignedDuration, Timestamp};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::known::{Lane, Phase, REFUSED_AGAIN};
use super::lane::{Found, Leave, leave, look, pick};
use super::serve::{Starter, WakeOptions, later};
use super::turns::Turns;
use super::{Wake, WakeIndex};
use crate::clock::until;
use crate::engine::Engine;
use crate::found::{just_after, of_tenant};
use crate::limits::{
    CANDIDATES_MAX, DUE_LOOK, DUE_RETRY, FULL_RECHECK, LANES_MAX, PAGE_MAX, PICK_TTL, REFUSED_RECHECK,
    RING_AGE_MAX,
};
use crate::{AgentName, CommandError, RunId, TaskId, TenantId};

pub(super) type Key = (TenantId, AgentName);

/// What came of something that was done for a lane.
#[derive(Debug)]
pub(super) enum Step {
    Picked(Key, Result<Option<Timestamp>, CommandError>),
    Looked(Key, Result<Found, CommandError>),
    Claimed(Key, TaskId, Result<RunId, CommandError>),
    Left(Key, Result<bool, CommandError>),
}

#[derive(Debug)]
pub(super) struct Serving {
    engine: Engine,
    starter: Arc<dyn Starter>,
    options: WakeOptions,
    pub(super) lanes: HashMap<Key, Lane>,
    turns: Turns<TenantId, AgentName>,
    pub(super) steps: JoinSet<Step>,
    claims: usize,
    /// Rows from here on may not have been looked at.
    looked_until: Option<Timestamp>,
    /// When the rows are to be looked at without a ring; none where nothing is due at all.
    look_at: Option<Instant>,
}

impl Serving {
    pub(super) fn new(engine: Engine, starter: Arc<dyn Starter>, options: WakeOptions) -> Self {
        Self {
            engine,
            starter,
            options,
            lanes: HashMap::new(),
            turns: Turns::default(),
            steps: JoinSet::new(),
            claims: 0,
            looked_until: None,
            look_at: Some(Instant::now()),
        }
    }

    /// When the rows are to be looked at whatever happens; none where whatever becomes due rings. A lane whose claims are
    /// under way goes on with the last of them.
    pub(super) fn look_at(&self) -> Option<Instant> {
        let idle = self.lanes.values().filter(|lane| lane.claiming.is_empty());
        let waiting = idle.filter_map(|lane| lane.phase.until());
        waiting.chain(self.look_at).min()
    }

    /// Reads which lanes are due, and when the next will be.
    pub(super) async fn look(&mut self) {
        let now = self.engine.environment().clock.now();
        let looked = match self.heads(now).await {
            Ok(()) => self.engine.next_wake(now).await,
            Err(error) => Err(error),
        };
        let longest = match looked {
            Ok(next) => {
                self.looked_until = (self.lanes.len() < LANES_MAX).then_some(now);
                // Another process's rings may be lost, and timers stand while a machine sleeps.
                match next {
                    Some(at) => Some(until(at, now).min(DUE_LOOK)),
                    None if self.engine.is_exclusive() => None,
                    None => Some(DUE_LOOK),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "what is due was not read; it is tried again");
                self.looked_until = None;
                Some(DUE_RETRY)
            }
        };
        self.look_at = longest.map(later);
    }

    /// Takes the lanes up whose rows are due. What was due when it was looked at before is known.
    async fn heads(&mut self, now: Timestamp) -> Result<(), CommandError> {
        let age = SignedDuration::try_from(RING_AGE_MAX).expect("seconds fit");
        let from = self.looked_until.and_then(|at| at.checked_sub(age).ok());
        let rows = SystemIndex::<Wake>::new(self.engine.system());
        let mut after = None;
        // Ends with the last page, or with as many lanes as are kept in memory.
        loop {
            let query = Query::of(WakeIndex::Due)
                .range(
                    from.map(IndexValue::instant),
                    just_after(now).map(IndexValue::instant),
                )
                .after(after)
                .limit(PAGE_MAX);
            let page = rows.find(&query).await?;
            for key in page.rows.into_iter().filter_map(of_tenant) {
                self.take_up(key);
            }
            after = page.next;
            if after.is_none() || self.lanes.len() >= LANES_MAX {
                return Ok(());
            }
        }
    }

    fn take_up(&mut self, key: Key) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.is_rung = true;
            return;
        }
        self.lanes.insert(key.clone(), Lane::new());
        if self.engine.is_exclusive() {
            self.read(key);
        } else {
            self.pick(key);
        }
    }

    /// Hears of places that became free and of times that came.
    pub(super) fn hear(&mut self) {
        let freed = self.engine.bell().take_freed();
        let now = Instant::now();
        let mut again = Vec::new();
        for (key, lane) in &mut self.lanes {
            let is_freed = freed.is_all || freed.lanes.contains(key);
            lane.is_freed |= is_freed;
            if freed.is_all {
                lane.passed_over.clear();
            }
            if let Some(until) = lane.phase.until()
                && (is_freed || until <= now)
                && lane.claiming.is_empty()
            {
                again.push((lane.phase.rank(), key.clone()));
            }
        }
        again.sort_unstable_by_key(|(rank, _)| *rank);
        again.into_iter().for_each(|(_, key)| self.read(key));
    }

    /// Claims in turn, as many as there is room for.
    pub(super) fn take_turns(&mut self) {
        // Ends when nobody wants a turn or there is no room: each turn takes a lane out.
        while self.has_room() {
            let options = &self.options;
            let Some((tenant, agent)) = self.turns.next(|tenant| options.weight(tenant)) else {
                return;
            };
            let key = (tenant, agent);
            let Some(lane) = self.lanes.get_mut(&key) else {
                continue;
            };
            match lane.candidates.pop_front() {
                Some(task) if lane.places > 0 => {
                    lane.places -= 1;
                    lane.claiming.insert(task);
                    self.turns.push(&key.0, key.1.clone());
                    self.claim(key, task);
                }
                _ if lane.claiming.is_empty() => self.read(key),
                // It goes on when its claims are done.
                _ => lane.phase = Phase::Waiting(later(DUE_LOOK)),
            }
        }
    }

    fn has_room(&self) -> bool {
        self.claims < self.options.claims_at_once && !self.is_full()
    }

    /// Whether as many runs are at work, or being begun, as may be.
    pub(super) fn is_full(&self) -> bool {
        self.claims + self.starter.at_work() >= self.options.instance_max
    }

    /// Returns when there is room for another claim; never while nobody wants a turn, or claims are what fills it.
    pub(super) fn room_awaited(&self) -> impl Future<Output = ()> + use<> {
        let is_wanted = !self.turns.is_empty() && self.claims < self.options.claims_at_once;
        let most = self.options.instance_max.saturating_sub(self.claims);
        let starter = Arc::clone(&self.starter);
        async move {
            if is_wanted && most > 0 {
                starter.fewer_than(most).await;
            } else {
                std::future::pending::<()>().await;
            }
        }
    }

    fn pick(&mut self, key: Key) {
        let core = self.engine.handle(&key.0).core;
        self.steps.spawn(async move {
            let picked = pick(&core, &key.1).await;
            Step::Picked(key, picked)
        });
    }

    /// Reads what may be claimed; before that says that it is here still, where others would take the lane.
    fn read(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        lane.phase = Phase::Busy;
        lane.refused_by = None;
        (lane.is_freed, lane.has_more, lane.is_rung) = (false, false, false);
        lane.candidates.clear();
        self.turns.remove(&key.0, &key.1);
        if lane.pick_again.is_some_and(|at| at <= Instant::now()) {
            lane.pick_again = None;
            return self.pick(key);
        }
        let passed_over = lane.passed_over.clone();
        let core = self.engine.handle(&key.0).core;
        self.steps.spawn(async move {
            let found = look(&core, &key.1, &passed_over, CANDIDATES_MAX).await;
            Step::Looked(key, found)
        });
    }

    fn claim(&mut self, key: Key, task: TaskId) {
        self.claims += 1;
        let (starter, tenant) = (Arc::clone(&self.starter), self.engine.handle(&key.0));
        self.steps.spawn(async move {
            let claimed = starter.start(&tenant, task).await;
            Step::Claimed(key, task, claimed)
        });
    }

    fn leave(&mut self, key: Key, how: Leave) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.phase = Phase::Busy;
        }
        let core = self.engine.handle(&key.0).core;
        self.steps.spawn(async move {
            let left = leave(&core, &key.1, how).await;
            Step::Left(key, left)
        });
    }

    /// Goes on after a step.
    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Picked(key, picked) => self.picked(key, picked),
            Step::Looked(key, Ok(found)) => self.found(key, found),
            Step::Looked(key, Err(error)) => self.failed(&key, &error),
            Step::Claimed(key, task, claimed) => self.claimed(key, task, claimed),
            Step::Left(key, Ok(false)) => self.read(key),
            Step::Left(key, Ok(true)) => self.forget(&key),
            Step::Left(key, Err(error)) => self.failed(&key, &error),
        }
    }

    fn picked(&mut self, key: Key, picked: Result<Option<Timestamp>, CommandError>) {
        match picked {
            Ok(Some(_)) => {
                if let Some(lane) = self.lanes.get_mut(&key) {
                    lane.pick_again = Some(later(PICK_TTL / 3));
                }
                self.read(key);
            }
            // Another process has it.
            Ok(None) => drop(self.lanes.remove(&key)),
            Err(error) => self.failed(&key, &error),
        }
    }

    fn found(&mut self, key: Key, found: Found) {
        let now = self.engine.environment().clock.now();
        let recheck = self.recheck();
        if !matches!(found, Found::Ready { .. }) {
            self.hand_on(&key);
        }
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        match found {
            Found::Ready { tasks, places } => {
                lane.phase = Phase::Turning;
                lane.candidates = tasks.into();
                lane.places = places;
                self.turns.push(&key.0, key.1);
            }
            Found::NoPlace if lane.is_freed => self.read(key),
            Found::NoPlace => lane.phase = Phase::Waiting(later(recheck)),
            Found::Nothing { .. } if lane.is_rung => self.read(key),
            Found::Nothing {
                has_others: true,
                seen,
            } => {
                let delay = SignedDuration::try_from(REFUSED_RECHECK).expect("seconds fit");
                self.leave(key, Leave::Next(now.checked_add(delay).unwrap_or(now), seen));
            }
            Found::Nothing { seen: Some(seen), .. } => self.leave(key, Leave::Drained(seen)),
            Found::Nothing { seen: None, .. } => self.forget(&key),
            Found::Paused => self.leave(key, Leave::Pause),
            Found::Gone => self.leave(key, Leave::Delete),
        }
    }

    /// How soon a lane without a place is looked at again: where several share the store, others' runs end unheard.
    fn recheck(&self) -> Duration {
        if self.engine.is_exclusive() {
            DUE_LOOK
        } else {
            FULL_RECHECK
        }
    }

    fn claimed(&mut self, key: Key, task: TaskId, claimed: Result<RunId, CommandError>) {
        self.claims -= 1;
        let recheck = self.recheck();
        let refused_by = match &claimed {
            Err(CommandError::LimitExceeded(refusal) | CommandError::NeedsApproval(refusal)) => {
                Some(refusal.account.clone())
            }
            Ok(_) | Err(_) => None,
        };
        // Whom another account refuses leaves the room of this one to the next.
        if refused_by.is_none() || self.lanes.get(&key).is_some_and(|lane| lane.tries != refused_by) {
            self.hand_on(&key);
        }
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        lane.claiming.remove(&task);
        match claimed {
            Ok(_) => {}
            // Another claimed it, it is gone, or it lost every race: the next one.
            Err(
                CommandError::Rejected { .. }
                | CommandError::NotFound { .. }
                | CommandError::Contended { .. },
            ) => lane.places += 1,
            // As the row says when it is read again.
            Err(CommandError::AgentPaused { .. } | CommandError::AgentDeleting { .. }) => {
                lane.candidates.clear();
            }
            Err(error @ (CommandError::Unavailable(_) | CommandError::Indeterminate { .. })) => {
                return self.failed(&key, &error);
            }
            // The tasks behind it are of the same agent: no account has more for them.
            Err(
                error @ (CommandError::SecretsLocked { .. }
                | CommandError::LimitExceeded(_)
                | CommandError::NeedsApproval(_)),
            ) => {
                tracing::info!(agent = %key.1, %error, "the lane waits");
                lane.candidates.clear();
                // Something may have been given back since it was read.
                let is_soon = lane.is_freed || lane.has_more;
                let until = later(if is_soon { REFUSED_AGAIN } else { recheck });
                lane.phase = match error {
                    CommandError::SecretsLocked { .. } => Phase::Waiting(until),
                    _ => Phase::refused(until),
                };
                (lane.refused_by, lane.tries) = (refused_by, None);
                return self.turns.remove(&key.0, &key.1);
            }
            // Another turn of its thread is under way: it is looked at again.
            Err(CommandError::Busy { .. }) => {
                lane.passed_over.insert(task);
                lane.places += 1;
            }
            Err(error) => {
                tracing::warn!(%task, agent = %key.1, %error, "a ready task was not begun; those behind it are");
                lane.passed_over.insert(task);
                lane.places += 1;
            }
        }
        // One that is refused is read when it is its time.
        let is_over = lane.claiming.is_empty() && (lane.candidates.is_empty() || lane.places == 0);
        if is_over && lane.refused_by.is_none() {
            self.read(key);
        }
    }

    /// A lane whose rows could not be read or written is looked at again soon.
    fn failed(&mut self, key: &Key, error: &CommandError) {
        tracing::warn!(agent = %key.1, %error, "a lane was not served; it is tried again");
        self.hand_on(key);
        self.turns.remove(&key.0, &key.1);
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.candidates.clear();
            lane.phase = Phase::Waiting(later(DUE_RETRY));
        }
    }

    /// Nothing is known of a lane any more: its row says when it is due.
    fn forget(&mut self, key: &Key) {
        self.turns.remove(&key.0, &key.1);
        let was_rung = self.lanes.remove(key).is_some_and(|lane| lane.is_rung);
        if was_rung || self.looked_until.is_none() {
            // A row that was found while its lane was left is looked at once more.
            self.look_at = Some(Instant::now());
        }
    }

    /// Waits for what is under way, and leaves the lanes to others.
    pub(super) async fn end(mut self) {
        self.turns = Turns::default();
        // Ends with the last step: none begins another.
        while let Some(step) = self.steps.join_next().await {
            drop::<Result<Step, JoinError>>(step);
        }
        if self.engine.is_exclusive() {
            return;
        }
        let now = self.engine.environment().clock.now();
        for (tenant, agent) in self.lanes.into_keys() {
            let core = self.engine.handle(&tenant).core;
            if let Err(error) = leave(&core, &agent, Leave::Next(now, None)).await {
                tracing::warn!(%agent, %error, "a lane was not left; others take it when its pick expires");
            }
        }
    }
}
