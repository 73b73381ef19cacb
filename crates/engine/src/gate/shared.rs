//! What the gates of a tenant share in memory: who waits, who may decide, and how many refusals were told.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::turns::Turns;
use crate::limits::REFUSALS_TOLD_MAX;
use crate::{AgentName, GateId, Principal, PrincipalKind};

/// Says who may decide gates. It is asked at each decision, so a right that was taken away is gone at once.
#[async_trait]
pub trait Approvers: fmt::Debug + Send + Sync + 'static {
    /// Whether this principal may decide the gates of this agent now. Runs are never asked about: they may not.
    async fn may_decide(&self, by: &Principal, agent: &AgentName) -> bool;
}

/// Lets everybody decide who was let in to operate the tenant.
#[derive(Debug, Clone, Copy, Default)]
pub struct EveryOperator;

#[async_trait]
impl Approvers for EveryOperator {
    async fn may_decide(&self, by: &Principal, _: &AgentName) -> bool {
        by.kind != PrincipalKind::Run
    }
}

/// Gates at which somebody of this process is: one each.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<HashSet<GateId>>);

impl Registry {
    /// Registers the one at a gate; none when there is one.
    pub(crate) fn enter(self: &Arc<Self>, gate: GateId) -> Option<Registered> {
        let is_first = self.gates().insert(gate);
        is_first.then(|| Registered {
            registry: Arc::clone(self),
            gate,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.gates().len()
    }

    fn gates(&self) -> MutexGuard<'_, HashSet<GateId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registration. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    gate: GateId,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.gates().remove(&self.gate);
    }
}

/// The part of a tenant's gates that is in memory.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) approvers: Arc<dyn Approvers>,
    /// Who waits for a decision.
    pub(super) waiting: Arc<Registry>,
    /// Who decides, and in which order.
    pub(super) deciding: Arc<Turns>,
    /// Who is about to use an approval.
    pub(crate) redeeming: Arc<Registry>,
    /// At most so many gates of the tenant are pending; none while nobody counted.
    pub(super) pending_bound: Mutex<Option<usize>>,
    told: Told,
    told_full: Told,
}

/// When something was told as an event lately.
#[derive(Debug, Default)]
struct Told(Mutex<VecDeque<Timestamp>>);

impl Told {
    /// Whether one more is told: a flood is not.
    fn may(&self, now: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|at| now.duration_since(*at).abs() < SignedDuration::from_secs(60));
        let may = told.len() < REFUSALS_TOLD_MAX;
        if may {
            told.push_back(now);
        }
        may
    }
}

impl Shared {
    pub(crate) fn new(approvers: Arc<dyn Approvers>) -> Self {
        Self {
            approvers,
            waiting: Arc::default(),
            deciding: Arc::default(),
            redeeming: Arc::default(),
            pending_bound: Mutex::default(),
            told: Told::default(),
            told_full: Told::default(),
        }
    }

    /// Whether one more refused decision is told as an event.
    pub(super) fn may_tell(&self, now: Timestamp) -> bool {
        self.told.may(now)
    }

    /// Whether one more opening that was one too many is.
    pub(super) fn may_tell_full(&self, now: Timestamp) -> bool {
        self.told_full.may(now)
    }
}
