//! A group while it forms.

use std::collections::HashSet;

use super::waiting::Waiting;
use crate::postgres::claims::{Claims, Flight, Name};

/// Most commits of one transaction.
pub(super) const GROUP_MAX: usize = 64;
/// Most bytes of one transaction; one commit more may pass it.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most operations of one transaction; one commit more may pass it.
const GROUP_OPERATIONS_MAX: usize = 2048;
/// What is taken, and what was passed by.
#[derive(Debug, Default)]
pub(super) struct Forming {
    pub(super) group: Vec<Waiting>,
    own: Flight,
    /// Names of commits passed by: nobody behind them overtakes them there, so none waits for ever.
    passed: HashSet<Name>,
    bytes: usize,
    operations: usize,
}

impl Forming {
    pub(super) fn is_full(&self) -> bool {
        self.group.len() >= GROUP_MAX
            || self.bytes >= GROUP_BYTES_MAX
            || self.operations >= GROUP_OPERATIONS_MAX
            || self.group.iter().any(|waiting| waiting.claims.is_alone)
    }

    pub(super) fn may_take(&self, claims: &Claims, flight: &Flight) -> bool {
        let is_apart = claims.is_alone && !self.group.is_empty();
        !is_apart
            && flight.admits(claims)
            && self.own.admits_beside(claims)
            && (self.passed.is_empty() || claims.names().all(|name| !self.passed.contains(&name)))
    }

    pub(super) fn pass_by(&mut self, claims: &Claims) {
        self.passed.extend(claims.names());
    }

    pub(super) fn take(&mut self, waiting: Waiting) {
        self.own.enter(&waiting.claims);
        self.bytes += waiting.bytes;
        self.operations += waiting.batch.operations();
        self.group.push(waiting);
    }
}
