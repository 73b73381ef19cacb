//! Setting a bad row aside, when a command met it.

use dormouse_filesystem::update::{ATTEMPTS_MAX, DEADLINE};
use dormouse_filesystem::{Bad, BadRows, BadStore, Class, Deadline, Issue, Key, RecordError};

use super::kinds;
use crate::core::Core;
use crate::draft::Draft;
use crate::event::{About, BadRecord, Change};
use crate::{CommandError, OpId, PrefixedId, Principal, Subject};

/// What became of a row that a command met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aside {
    /// It is gone from its place: who needs it finds none.
    Moved,
    /// It is where it was, and a copy is kept.
    Copied,
    /// A copy of it as it is was there before.
    Before,
    /// It is believed by now, or is no row of the engine's.
    Sound,
}

/// A row that was not believed, remembered by what is no longer the error itself.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Doubted {
    pub(crate) why: String,
    pub(crate) key: Option<Key>,
}

/// A command met a row that it could not believe: the row is set aside. Whether it is gone now, so that the command may
/// be decided again without it.
pub(crate) async fn heed(core: &Core, error: &CommandError) -> bool {
    let CommandError::Corrupt(source) = error else {
        return false;
    };
    let of_record = source
        .downcast_ref::<RecordError>()
        .and_then(RecordError::bad_key);
    let of_doubt = || {
        source
            .downcast_ref::<Doubted>()
            .and_then(|doubted| doubted.key.as_ref())
    };
    match of_record.or_else(of_doubt) {
        Some(key) => heed_key(core, key).await,
        None => false,
    }
}

/// The same of a row that a query left out.
pub(crate) async fn heed_issue(core: &Core, issue: &Issue) {
    if let Some(key) = &issue.key {
        heed_key(core, key).await;
    }
}

async fn heed_key(core: &Core, key: &Key) -> bool {
    match set_aside(core, key).await {
        Ok(aside) => aside == Aside::Moved,
        Err(error) => {
            tracing::debug!(%error, "a row that cannot be believed was not set aside");
            false
        }
    }
}

/// Sets the row at a key aside, in a commit of its own.
pub(super) async fn set_aside(core: &Core, key: &Key) -> Result<Aside, CommandError> {
    let Some(kind) = kinds::of_tenant(&core.space, key) else {
        return Ok(Aside::Sound);
    };
    // Ends after ATTEMPTS_MAX lost races: others set it aside, or wrote it, meanwhile.
    for _ in 0..ATTEMPTS_MAX {
        let Some(bad) = kind.bad_at(&core.space, key).await? else {
            return Ok(Aside::Sound);
        };
        let mut draft = engine_draft(core);
        let now = draft.now();
        let aside = match kind.class() {
            Class::Advisory => {
                kind.stage_move(&core.space, draft.batch(), &bad, now)?;
                tell(&mut draft, BadStore::DeadLetter, &bad)?;
                Aside::Moved
            }
            Class::Authority => {
                if is_copied(core, &bad).await? {
                    return Ok(Aside::Before);
                }
                kind.stage_copy(&core.space, draft.batch(), &bad, now)?;
                tell(&mut draft, BadStore::Quarantine, &bad)?;
                Aside::Copied
            }
        };
        match core.commit_aside(draft, Deadline::after(DEADLINE)).await {
            Ok(_) => return Ok(aside),
            Err(CommandError::Contended { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(CommandError::Contended {
        attempts: ATTEMPTS_MAX,
    })
}

/// Whether a copy of a row is kept, as it is now.
pub(crate) async fn is_copied(core: &Core, bad: &Bad) -> Result<bool, CommandError> {
    let kept = BadRows::new(&core.space);
    Ok(kept.get(BadStore::Quarantine, bad.id()).await?.is_some())
}

/// A draft of what the engine does by itself.
pub(super) fn engine_draft(core: &Core) -> Draft {
    let now = core.environment.clock.now();
    let op = OpId::make(now, &core.environment.random);
    Draft::new(core, &Principal::engine(), now, op)
}

/// Tells that a row was set aside, in the commit that does it.
pub(crate) fn tell(draft: &mut Draft, store: BadStore, bad: &Bad) -> Result<(), CommandError> {
    let about = About {
        subject: Subject::Record(bad.id().clone()),
        agent: None,
    };
    let issue = bad.issue();
    let record = BadRecord {
        kind: issue.kind.as_str().to_owned(),
        id: issue.id.clone(),
        version: bad.version(),
        field: issue.field.clone(),
        cause: issue.cause.clone(),
    };
    let change = match store {
        BadStore::DeadLetter => Change::RecordDeadLettered(record),
        BadStore::Quarantine => Change::RecordQuarantined(record),
    };
    draft.tell(&about, &change)
}
