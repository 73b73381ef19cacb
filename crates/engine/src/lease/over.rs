//! Whether a lease's holder is gone.

use super::Held;
use crate::core::Core;
use crate::{Reason, Subject};

/// Why a lease is over.
pub(crate) struct Over {
    pub(crate) reason: Reason,
    /// Whether its holder can do nothing more.
    pub(crate) holder_is_dead: bool,
}

/// Why a lease is over, if it is: its holder had the place that this process has now, or it expired for longer than clocks may
/// differ. One of this process, too, that nobody here holds any more: it was let go of, or taken by a claim that nobody
/// knows of. What is held here is its holder's.
pub(crate) fn over(core: &Core, held: &Held) -> Option<Over> {
    let environment = &core.environment;
    let (own, holder) = (&environment.host, &held.lease.holder);
    let is_own = holder.epoch == own.epoch;
    if is_own && is_held_here(core, &held.lease.subject) {
        return None;
    }
    let has_its_seat = own.seat.is_some() && own.seat == holder.seat;
    if !is_own && (core.is_exclusive || has_its_seat) {
        return Some(Over {
            reason: Reason::Fenced,
            holder_is_dead: true,
        });
    }
    let over = held.heartbeat.expires_at.checked_add(core.lease.skew()).ok()?;
    (over <= environment.clock.now()).then_some(Over {
        reason: Reason::Expired,
        // What this process let go of does nothing more.
        holder_is_dead: is_own,
    })
}

fn is_held_here(core: &Core, subject: &Subject) -> bool {
    let Subject::Run(run) = subject else {
        // Whoever does that work takes it up again.
        return true;
    };
    core.live.holds(*run)
}
