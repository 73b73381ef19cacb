//! What the gates of a tenant share in memory: who waits, who may decide, and how many refusals were told.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

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

/// The part of a tenant's gates that is in memory.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) approvers: Arc<dyn Approvers>,
    waiting: Mutex<HashSet<GateId>>,
    told: Mutex<VecDeque<Timestamp>>,
}

impl Shared {
    pub(crate) fn new(approvers: Arc<dyn Approvers>) -> Self {
        Self {
            approvers,
            waiting: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// Registers the one waiter of a gate; none when there is one.
    pub(super) fn enter(self: &Arc<Self>, gate: GateId) -> Option<Waiting> {
        let is_first = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(gate);
        is_first.then(|| Waiting {
            shared: Arc::clone(self),
            gate,
        })
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether one more refusal is told as an event: a flood of them is not.
    pub(super) fn may_tell(&self, now: Timestamp) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|at| now.duration_since(*at).abs() < SignedDuration::from_secs(60));
        let may = told.len() < REFUSALS_TOLD_MAX;
        if may {
            told.push_back(now);
        }
        may
    }
}

/// A registration as waiter. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    shared: Arc<Shared>,
    gate: GateId,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&self.gate);
    }
}
