//! Leases of work that any process may do, as a relay and a sweep: taken when nobody does it, renewed as it goes on, and
//! given back. There is nothing to lapse: who takes it up reads where the former holder was.

use dormouse_filesystem::Records;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Heartbeat, Held, Lease, LeaseEvent, LeaseGuard, check, held, over, take};
use crate::clock::until;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::{About, Change};
use crate::{CommandError, LeaseId, PrefixedId, Principal, Reason, Subject};

/// Takes a lease that is free, or whose holder is gone; none while somebody holds it.
pub(crate) async fn take_up(core: &Core, subject: &Subject) -> Result<Option<LeaseGuard>, CommandError> {
    let sent = Instant::now();
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let lease = match held(core, subject).await? {
            None => take(core, &mut draft, subject)?,
            Some(held) => match abandoned(core, &held, draft.now()) {
                Some(reason) => take_over(core, &mut draft, &held, reason).await?,
                None => return Ok(Verdict::Nothing(None)),
            },
        };
        Ok(Verdict::Commit(draft, Some(lease)))
    });
    let done = done.await?;
    let token = done.version;
    Ok(done.answer.map(|lease| {
        let token = token.expect("a lease that was taken was written");
        LeaseGuard::new(core.lease, &lease, token, sent)
    }))
}

/// Why a holder is gone. One of this process, too, that let its lease expire.
fn abandoned(core: &Core, held: &Held, now: Timestamp) -> Option<Reason> {
    let environment = &core.environment;
    if held.lease.holder.epoch == environment.host.epoch {
        return (held.heartbeat.expires_at <= now).then_some(Reason::Expired);
    }
    over(core, held).map(|over| over.reason)
}

async fn take_over(
    core: &Core,
    draft: &mut Draft,
    read: &Held,
    reason: Reason,
) -> Result<Lease, CommandError> {
    let host = &core.environment.host;
    let lease = Lease {
        id: LeaseId::make(draft.now(), &core.environment.random),
        subject: read.lease.subject.clone(),
        holder: super::Holder {
            host: host.host.clone(),
            process: host.pid,
            epoch: host.epoch,
            seat: host.seat.clone(),
        },
        taken_at: draft.now(),
        deadline: core.lease.expiry(draft.now()),
        op: draft.op(),
    };
    let heartbeat = Heartbeat {
        subject: lease.subject.clone(),
        lease: lease.id,
        beat_at: draft.now(),
        expires_at: lease.deadline,
        progress: None,
    };
    let leases = Records::<Lease>::new(&core.space);
    leases.stage_replace(draft.batch(), &read.lease, &lease).await?;
    let heartbeats = Records::<Heartbeat>::new(&core.space);
    heartbeats
        .stage_replace(draft.batch(), &read.heartbeat, &heartbeat)
        .await?;
    let about = About {
        subject: lease.subject.clone(),
        agent: None,
    };
    let taken = Change::LeaseTaken {
        lease: lease.id,
        former: read.lease.id,
        reason,
    };
    draft.tell(&about, &taken)?;
    Ok(lease)
}

/// Renews it: its heartbeat is written, and nothing else.
pub(crate) async fn renew(core: &Core, guard: &LeaseGuard) -> Result<(), CommandError> {
    let sent = Instant::now();
    let event = LeaseEvent::Renew {
        is_exclusive: core.is_exclusive,
    };
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let held = check(core, guard, event, draft.now()).await?;
        let beat = Heartbeat {
            beat_at: draft.now(),
            expires_at: core.lease.expiry(draft.now()),
            ..Heartbeat::clone(&held.heartbeat)
        };
        held.stage_check(core, &mut draft);
        let rows = Records::<Heartbeat>::new(&core.space);
        rows.stage_replace(draft.batch(), &held.heartbeat, &beat).await?;
        let left = until(beat.expires_at, draft.now());
        Ok(Verdict::Commit(draft, (beat.expires_at, left)))
    });
    let (expires_at, left) = done.await?.answer;
    guard.renewed(expires_at, left.min(core.lease.ttl), sent);
    Ok(())
}

/// Gives it back. One that is no longer held is somebody else's, and stays.
pub(crate) async fn give_back(core: &Core, guard: LeaseGuard) -> Result<(), CommandError> {
    let (by, guard) = (Principal::engine(), &guard);
    let done = core.command(&by, |mut draft| async move {
        match check(core, guard, LeaseEvent::Release, draft.now()).await {
            Ok(held) => held.stage_release(core, &mut draft).await?,
            Err(CommandError::Fenced { .. }) => return Ok(Verdict::Nothing(())),
            Err(error) => return Err(error),
        }
        Ok(Verdict::Commit(draft, ()))
    });
    done.await.map(|done| done.answer)
}
