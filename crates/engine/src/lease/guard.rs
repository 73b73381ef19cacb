//! Holding a lease: taking it, proving it in every write, and knowing when to stop.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dormouse_filesystem::{Records, Version, Versioned};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Heartbeat, Holder, Lease, LeaseEvent, LeaseOptions, LeaseState, decide};
use crate::core::Core;
use crate::draft::Draft;
use crate::{CommandError, Decision, LeaseId, PrefixedId, Reason, Subject};

/// The proof of holding a lease. It cannot be cloned: one holder, one guard.
#[derive(Debug)]
pub struct LeaseGuard {
    lease: Lease,
    token: Version,
    options: LeaseOptions,
    times: Mutex<Times>,
}

/// What the last durable heartbeat said, on the wall clock and on one that never jumps.
#[derive(Debug, Clone, Copy)]
struct Times {
    expires_at: Timestamp,
    beat: Instant,
    left: Duration,
}

impl LeaseGuard {
    pub(crate) fn new(options: LeaseOptions, lease: &Lease, token: Version, sent: Instant) -> Self {
        let beat = Times {
            expires_at: lease.deadline,
            beat: sent,
            left: options.ttl,
        };
        Self {
            lease: lease.clone(),
            token,
            options,
            times: Mutex::new(beat),
        }
    }

    /// What it is on.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.lease.subject
    }

    /// This holding of it.
    #[must_use]
    pub fn id(&self) -> LeaseId {
        self.lease.id
    }

    /// As it was taken.
    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The fencing token: only ever rises per subject.
    #[must_use]
    pub fn token(&self) -> Version {
        self.token
    }

    /// Until when it lives by the last durable heartbeat.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.times().expires_at
    }

    /// How long it lives still, on a clock that never jumps; zero when its time is up.
    #[must_use]
    pub fn left(&self) -> Duration {
        let times = self.times();
        times.left.saturating_sub(times.beat.elapsed())
    }

    /// Whether the holder has to stop its work: no heartbeat was durable for [`self_stop`](LeaseOptions::self_stop).
    #[must_use]
    pub fn must_stop(&self) -> bool {
        self.times().beat.elapsed() >= self.options.self_stop
    }

    /// How long until it has to, if no heartbeat is durable until then; zero when it has to now.
    #[must_use]
    pub fn stop_in(&self) -> Duration {
        let self_stop = self.options.self_stop;
        self_stop.saturating_sub(self.times().beat.elapsed())
    }

    /// Whether enough is left to begin a side effect: its [`runway`](LeaseOptions::runway). If not, renew first.
    #[must_use]
    pub fn has_runway(&self) -> bool {
        self.left() >= self.options.runway
    }

    /// A heartbeat that was sent then is durable.
    pub(crate) fn renewed(&self, expires_at: Timestamp, left: Duration, sent: Instant) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        *times = Times {
            expires_at,
            beat: sent,
            left,
        };
    }

    fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lease and its heartbeat as they were read.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) lease: Versioned<Lease>,
    pub(crate) heartbeat: Versioned<Heartbeat>,
}

impl Held {
    /// Adds to the draft that it is still held at commit.
    pub(crate) fn stage_check(&self, core: &Core, draft: &mut Draft) {
        Records::<Lease>::new(&core.space).stage_check(draft.batch(), &self.lease);
    }

    /// Gives it back: lease and heartbeat go.
    pub(crate) async fn stage_release(&self, core: &Core, draft: &mut Draft) -> Result<(), CommandError> {
        let leases = Records::<Lease>::new(&core.space);
        leases.stage_remove(draft.batch(), &self.lease).await?;
        let heartbeats = Records::<Heartbeat>::new(&core.space);
        heartbeats.stage_remove(draft.batch(), &self.heartbeat).await?;
        Ok(())
    }
}

/// Stages the taking of a free lease. One that is held makes the commit a lost race.
pub(crate) fn take(core: &Core, draft: &mut Draft, subject: &Subject) -> Result<Lease, CommandError> {
    let host = &core.environment.host;
    let lease = Lease {
        id: LeaseId::make(draft.now(), &core.environment.random),
        subject: subject.clone(),
        holder: Holder {
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
        subject: subject.clone(),
        lease: lease.id,
        beat_at: draft.now(),
        expires_at: lease.deadline,
        progress: None,
    };
    Records::new(&core.space).stage_create(draft.batch(), &lease)?;
    Records::new(&core.space).stage_create(draft.batch(), &heartbeat)?;
    Ok(lease)
}

/// The lease on a subject with its heartbeat; none when it is free.
pub(crate) async fn held(core: &Core, subject: &Subject) -> Result<Option<Held>, CommandError> {
    let leases = Records::<Lease>::new(&core.space);
    let Some(lease) = leases.get(subject).await? else {
        return Ok(None);
    };
    if let Some(heartbeat) = Records::<Heartbeat>::new(&core.space).get(subject).await? {
        return Ok(Some(Held { lease, heartbeat }));
    }
    // Both go in one commit: a lease that is still there has lost its heartbeat otherwise.
    match leases.get(subject).await? {
        Some(now) if now.version() == lease.version() => {
            Err(CommandError::Corrupt("a lease has no heartbeat".into()))
        }
        _ => Err(CommandError::LOST_RACE),
    }
}

/// What a guard may do now: the rows it holds by, or why it holds no more.
pub(crate) async fn check(
    core: &Core,
    guard: &LeaseGuard,
    event: LeaseEvent,
    now: Timestamp,
) -> Result<Held, CommandError> {
    let held = held(core, guard.subject()).await?;
    check_token(guard.subject(), guard.token(), held, event, now)
}

/// The same of rows that were read, for the holder by this token.
pub(crate) fn check_token(
    subject: &Subject,
    token: Version,
    held: Option<Held>,
    event: LeaseEvent,
    now: Timestamp,
) -> Result<Held, CommandError> {
    let (state, is_holder) = match &held {
        None => (LeaseState::Free, false),
        Some(held) => (state_of(held, now), held.lease.version() == token),
    };
    let event = if is_holder { event } else { LeaseEvent::Former };
    let subject = subject.clone();
    match (decide(state, event), held) {
        (Decision::Apply(_) | Decision::Same, Some(held)) => Ok(held),
        (Decision::Reject(Reason::Expired), Some(held)) => Err(CommandError::LeaseExpired {
            subject,
            at: held.heartbeat.expires_at,
        }),
        _ => Err(CommandError::Fenced { subject }),
    }
}

fn state_of(held: &Held, now: Timestamp) -> LeaseState {
    if now < held.heartbeat.expires_at {
        LeaseState::Held
    } else {
        LeaseState::Expired
    }
}
