//! Permission as a type: an operation that needs an approval takes an [`Approved`], which nothing else can make.

use super::{Capabilities, CapabilityEnd, CapabilityError};
use crate::GateId;
use crate::gate::{Call, Registered};
use crate::run::Claimed;

/// Something that needs an approval. Its call says exactly what is done, since the approval is of that.
pub trait Action: Send {
    /// The call that stands for it, as it is asked about.
    fn call(&self) -> Call;
}

/// An action that a person approved, claimed by this run and not begun. Only [`Capabilities::redeem`] makes one.
///
/// Dropped, it is given back when its run ends.
#[derive(Debug)]
#[must_use = "an approval that is not dispatched or aborted stays claimed until its run ends"]
pub struct Approved<A> {
    action: A,
    gate: GateId,
    capabilities: Capabilities,
    /// There is one of a gate at a time.
    _only: Registered,
}

impl<A> Approved<A> {
    pub(super) fn new(action: A, gate: GateId, capabilities: Capabilities, only: Registered) -> Self {
        Self {
            action,
            gate,
            capabilities,
            _only: only,
        }
    }

    /// The action.
    #[must_use]
    pub fn action(&self) -> &A {
        &self.action
    }

    /// The gate that was approved.
    #[must_use]
    pub fn gate(&self) -> GateId {
        self.gate
    }

    /// Makes durable that the action begins. It may be done when this has returned, and not before.
    ///
    /// # Errors
    /// As [`Capabilities::begin_dispatch`]: nothing may be done.
    pub async fn dispatch(self, claimed: &Claimed) -> Result<Dispatch<A>, CapabilityError> {
        self.capabilities.begin_dispatch(self.gate, claimed).await?;
        Ok(Dispatch(self))
    }

    /// Gives the approval back, unused.
    ///
    /// # Errors
    /// As [`Capabilities::abort`].
    pub async fn abort(self, claimed: &Claimed) -> Result<(), CapabilityError> {
        self.capabilities.abort(self.gate, claimed, true).await?;
        Ok(())
    }
}

/// An approved action under way.
///
/// Dropped, it is closed when its run ends: as unknown, unless the run succeeds.
#[derive(Debug)]
#[must_use = "what came of it is unknown unless it is finished"]
pub struct Dispatch<A>(Approved<A>);

impl<A> Dispatch<A> {
    /// The action.
    #[must_use]
    pub fn action(&self) -> &A {
        &self.0.action
    }

    /// Closes it with what came of it: done, failed or unknown.
    ///
    /// # Errors
    /// As [`Capabilities::finish`].
    pub async fn finish(self, claimed: &Claimed, end: CapabilityEnd) -> Result<A, CapabilityError> {
        self.0.capabilities.finish(self.0.gate, claimed, end).await?;
        Ok(self.0.action)
    }
}
