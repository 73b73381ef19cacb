//! The sinks of a tenant, for whoever operates it.

use std::sync::Arc;

use dormouse_filesystem::{Position, Records, Versioned};

use super::letter::LetterId;
use super::row::{about, all_of};
use super::settle::set;
use super::{DeadLetter, RelayCursor, SinkEvent};
use crate::core::Core;
use crate::draft::Verdict;
use crate::event::Change;
use crate::{CommandError, Principal, SinkName, Subject};

/// Where the events of a tenant are sent, and how far each sink is.
#[derive(Debug, Clone)]
pub struct Sinks {
    core: Arc<Core>,
}

impl Sinks {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        let core = Arc::clone(core);
        Self { core }
    }

    /// Every sink that was served once and was not removed, by name.
    ///
    /// # Errors
    /// As any list; `Corrupt` where the row of one cannot be believed.
    pub async fn list(&self) -> Result<Vec<Versioned<RelayCursor>>, CommandError> {
        all_of(&self.core).await
    }

    /// Lets a sink wait until it is resumed.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` for one that is told nothing anyway.
    pub async fn pause(&self, by: &Principal, sink: &SinkName) -> Result<RelayCursor, CommandError> {
        set(&self.core, by, &Subject::Relay(sink.clone()), SinkEvent::Pause).await
    }

    /// Lets a sink go on behind its cursor, at once. One that was detached goes on with the earliest event that is kept.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn resume(&self, by: &Principal, sink: &SinkName) -> Result<RelayCursor, CommandError> {
        set(&self.core, by, &Subject::Relay(sink.clone()), SinkEvent::Resume).await
    }

    /// Forgets how far a sink is: nothing is kept for it any more. One of its name that is served begins anew. Events that
    /// it refused stay.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn remove(&self, by: &Principal, sink: &SinkName) -> Result<(), CommandError> {
        let (core, consumer) = (&*self.core, &Subject::Relay(sink.clone()));
        let done = core.command(by, |mut draft| async move {
            let rows = Records::<RelayCursor>::new(&core.space);
            let Some(read) = rows.get(consumer).await? else {
                return Err(CommandError::not_found("sink", &consumer.id()));
            };
            rows.stage_remove(draft.batch(), &read).await?;
            let after = read.after.get();
            draft.tell(&about(consumer), &Change::SinkRemoved { after })?;
            Ok(Verdict::Commit(draft, ()))
        });
        done.await.map(|done| done.answer)
    }

    /// The events that a sink refused for good, behind a position.
    ///
    /// # Errors
    /// As any list; `Corrupt` where a row cannot be believed.
    pub async fn dead_letters(
        &self,
        sink: &SinkName,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Versioned<DeadLetter>>, CommandError> {
        let rows = Records::<DeadLetter>::new(&self.core.space);
        let after = after.map(|position| letter(sink, position));
        let page = rows.range(&[sink.segment()], after.as_ref(), limit).await?;
        match page.issues.first() {
            Some(issue) => Err(CommandError::Corrupt(issue.to_string().into())),
            None => Ok(page.rows),
        }
    }

    /// Throws away an event that a sink refused; whether there was one.
    ///
    /// # Errors
    /// As any commit.
    pub async fn discard(
        &self,
        by: &Principal,
        sink: &SinkName,
        position: Position,
    ) -> Result<bool, CommandError> {
        let (core, id) = (&*self.core, &letter(sink, position));
        let done = core.command(by, |mut draft| async move {
            let rows = Records::<DeadLetter>::new(&core.space);
            let Some(read) = rows.get(id).await? else {
                return Ok(Verdict::Nothing(false));
            };
            rows.stage_remove(draft.batch(), &read).await?;
            Ok(Verdict::Commit(draft, true))
        });
        done.await.map(|done| done.answer)
    }
}

fn letter(sink: &SinkName, position: Position) -> LetterId {
    LetterId {
        sink: sink.clone(),
        position,
    }
}
