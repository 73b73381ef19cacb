//! Whether a lease's holder is gone.

use super::Held;
use crate::Reason;
use crate::core::Core;

/// Why a lease is over.
pub(crate) struct Over {
    pub(crate) reason: Reason,
    /// Whether its holder can do nothing more.
    pub(crate) holder_is_dead: bool,
}

/// Why a lease of another epoch is over, if it is: its holder had the place that this process has now, or it expired for
/// longer than clocks may differ.
pub(crate) fn over(core: &Core, held: &Held) -> Option<Over> {
    let environment = &core.environment;
    let (own, holder) = (&environment.host, &held.lease.holder);
    if holder.epoch == own.epoch {
        return None;
    }
    let has_its_seat = own.seat.is_some() && own.seat == holder.seat;
    if core.is_exclusive || has_its_seat {
        return Some(Over {
            reason: Reason::Fenced,
            holder_is_dead: true,
        });
    }
    let over = held.heartbeat.expires_at.checked_add(core.lease.skew()).ok()?;
    (over <= environment.clock.now()).then_some(Over {
        reason: Reason::Expired,
        holder_is_dead: false,
    })
}
