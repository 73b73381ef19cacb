//! The drivers of the sessions that are at work: one each, started by the first event and gone when it rests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_filesystem::CommitError;
use dormouse_state::Observed;
use dormouse_state::driver::{DriveError, Driven, Driver, DriverOptions, Ended, Handle, SaveError, Why};

use super::history::trim;
use super::live::Newest;
use super::repair::repair;
use super::shelf::Shelf;
use crate::core::Core;
use crate::{CommandError, SessionId, Subject, TenantId};

/// How often an event is told again because the driver it was told to had just ended.
const STARTS_MAX: u32 = 4;

/// What a session was told and could not be saved when the engine left: its sources tell it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaved {
    /// Whose.
    pub tenant: TenantId,
    /// Which session.
    pub session: SessionId,
    /// How many inputs.
    pub inputs: usize,
}

/// A tenant's drivers in this process.
#[derive(Debug, Default)]
pub(crate) struct Drivers {
    running: Mutex<HashMap<SessionId, Handle>>,
    unsaved: Mutex<Vec<Unsaved>>,
    is_closed: AtomicBool,
}

impl Drivers {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.with(|running| running.len())
    }

    /// The driver of a session that is at work.
    pub(crate) fn get(&self, id: SessionId) -> Option<Handle> {
        self.with(|running| running.get(&id).filter(|handle| !handle.is_closed()).cloned())
    }

    /// Says that a session's row was written by another than its driver.
    pub(crate) fn look(&self, id: SessionId) {
        self.with(|running| {
            if let Some(handle) = running.get(&id) {
                handle.look();
            }
        });
    }

    /// Tells all drivers to save what is unsaved and to end; none starts any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.with(|running| running.values().for_each(Handle::stop));
    }

    /// What could not be saved since the last call.
    pub(crate) fn take_unsaved(&self) -> Vec<Unsaved> {
        std::mem::take(&mut self.unsaved.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<SessionId, Handle>) -> T) -> T {
        f(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets a driver that has ended, unless another one is there already.
    fn forget(&self, id: SessionId) {
        self.with(|running| {
            if running.get(&id).is_some_and(Handle::is_closed) {
                running.remove(&id);
            }
        });
    }

    fn note(&self, core: &Core, id: SessionId, ended: &Ended) {
        if ended.unsaved.is_empty() {
            return;
        }
        let inputs = ended.unsaved.len();
        tracing::warn!(session = %id, why = ?ended.why, inputs, "what a session was told was not saved");
        if ended.why == Why::Stopped {
            let unsaved = Unsaved {
                tenant: core.tenant.clone(),
                session: id,
                inputs,
            };
            self.unsaved
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(unsaved);
        }
    }
}

/// Tells a session what was observed, through its driver, which is started if there is none.
pub(super) async fn observe(
    core: &Arc<Core>,
    id: SessionId,
    observed: &Observed,
) -> Result<Driven, CommandError> {
    // Ends after STARTS_MAX drivers that ended in between.
    for _ in 0..STARTS_MAX {
        let handle = match core.drivers.get(id) {
            Some(handle) => handle,
            None => start(core, id).await?,
        };
        match handle.observe(observed.clone()).await {
            Ok(driven) => return Ok(driven),
            // Whether it was taken is not known, and telling it twice does no harm: its position says so.
            Err(DriveError::Gone) => {}
            Err(DriveError::Save(error)) => return Err(refused(error, id)),
        }
    }
    Err(CommandError::Contended { attempts: STARTS_MAX })
}

/// Starts the driver of a session, or finds the one that somebody else started meanwhile.
async fn start(core: &Arc<Core>, id: SessionId) -> Result<Handle, CommandError> {
    repair(core, id).await?;
    let read = Newest::read(&core.space, id).await?;
    let read = read.ok_or_else(|| CommandError::not_found("session", &id))?;
    let session = read.session(core.sessions.machine(), core.environment.clock.now())?;
    let shelf = Shelf::open(core, read)
        .await
        .map_err(|error| refused(error, id))?;
    let is_parked = shelf.is_parked();
    let clock = Arc::clone(&core.environment.clock);
    let (driver, handle) = Driver::new(session, shelf, move || clock.now(), options(core));
    let driver = if is_parked {
        driver.with_parked_run()
    } else {
        driver
    };
    core.drivers.with(|running| {
        if core.drivers.is_closed.load(Ordering::SeqCst) {
            return Err(CommandError::Unavailable("the engine is leaving".into()));
        }
        if let Some(handle) = running.get(&id).filter(|handle| !handle.is_closed()) {
            return Ok(handle.clone());
        }
        running.insert(id, handle.clone());
        core.background.spawn(drive(Arc::clone(core), id, driver));
        Ok(handle)
    })
}

/// Drives a session until it rests.
async fn drive(core: Arc<Core>, id: SessionId, driver: Driver<Shelf>) {
    let ended = driver.run().await;
    core.drivers.forget(id);
    core.drivers.note(&core, id, &ended);
    if let Err(error) = trim(&core, id).await {
        tracing::debug!(session = %id, %error, "a session's history was not trimmed");
    }
}

fn options(core: &Core) -> DriverOptions {
    DriverOptions {
        session: core.sessions.machine(),
        live_flush: core.sessions.live_flush,
        mailbox_max: core.sessions.mailbox_max,
        linger: core.sessions.linger,
        ..DriverOptions::default()
    }
}

/// A save that was refused, as a command answers it.
fn refused(error: SaveError, id: SessionId) -> CommandError {
    match error {
        SaveError::Conflict => CommandError::Contended { attempts: 1 },
        SaveError::Fenced => CommandError::Fenced {
            subject: Subject::Session(id),
        },
        SaveError::Indeterminate(source) => match source.downcast::<CommitError>() {
            Ok(source) => CommandError::Indeterminate {
                op: None,
                source: *source,
            },
            Err(source) => CommandError::Unavailable(source),
        },
        SaveError::Unavailable(source) | SaveError::Corrupt(source) => {
            match source.downcast::<CommandError>() {
                Ok(error) => *error,
                Err(source) => CommandError::Corrupt(source),
            }
        }
    }
}
