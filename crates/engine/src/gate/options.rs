//! How gates behave.

use std::time::Duration;

use dormouse_state::OnTimeout;

use super::{Modes, Timeout};
use crate::limits::{CAPABILITY_TTL, GATES_KEPT, GATES_PENDING_TENANT_MAX, GATES_WAIT_MAX};

/// How gates behave, where whoever opens one does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateOptions {
    /// `gates.rules` and `gates.allow_open`: what becomes of calls by the mode they are made under.
    pub modes: Modes,
    /// `gates.timeout.approval`: for how long one can be decided.
    pub approval_timeout: Timeout,
    /// `gates.timeout.question`.
    pub question_timeout: Timeout,
    /// `gates.timeout.notification`.
    pub notification_timeout: Timeout,
    /// `gates.on_timeout`: what follows when nobody decides what a run asked through its endpoint.
    pub on_timeout: OnTimeout,
    /// `gates.capability_ttl`: how long an approval can be used once somebody is there to use it.
    pub capability_ttl: Duration,
    /// `gates.wait_max`: how long in all the clocks of a process of a run stand still while it waits for answers.
    pub wait_max: Duration,
    /// `gates.pending_tenant_max`: most pending gates of a tenant.
    pub pending_tenant_max: usize,
    /// `retention.gates`: how long an ended gate keeps its content, and then its row.
    pub kept: Duration,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            modes: Modes::default(),
            approval_timeout: Timeout::Default,
            question_timeout: Timeout::Default,
            notification_timeout: Timeout::Default,
            on_timeout: OnTimeout::Deny,
            capability_ttl: CAPABILITY_TTL,
            wait_max: GATES_WAIT_MAX,
            pending_tenant_max: GATES_PENDING_TENANT_MAX,
            kept: GATES_KEPT,
        }
    }
}
