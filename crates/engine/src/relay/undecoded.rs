//! Entries of a log that are no events: a sink is not told them, and what is behind them waits for none of them.

use data_encoding::BASE64;
use dormouse_filesystem::{Logged, Records, Version};
use dormouse_secrets::Scrubbed;

use super::letter::LetterId;
use super::settle::replace;
use super::{DeadLetter, RelayCursor, Sink};
use crate::core::Core;
use crate::draft::Verdict;
use crate::event::Change;
use crate::{CommandError, Principal, Subject};

/// Passes an entry that is no event: its bytes lie apart in the commit that does so, and an event tells of it. Nothing was
/// sent, so no lease is needed.
pub(super) async fn lay_apart(
    core: &Core,
    sink: &dyn Sink,
    consumer: &Subject,
    logged: &Logged,
    incarnation: Option<Version>,
) -> Result<(), CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let rows = Records::<RelayCursor>::new(&core.space);
        let Some(read) = rows.get(consumer).await? else {
            return Ok(Verdict::Nothing(()));
        };
        if logged.position <= read.after {
            return Ok(Verdict::Nothing(()));
        }
        let reason = Scrubbed::constant("the entry is no event");
        let cursor = RelayCursor {
            after: logged.position,
            incarnation: read.incarnation.or(incarnation),
            attempts: 0,
            next_attempt_at: None,
            last_error: None,
            ..RelayCursor::clone(&read)
        };
        let letter = DeadLetter {
            sink: sink.name().clone(),
            position: logged.position,
            event: as_json(&logged.entry),
            reason: reason.clone(),
            at: draft.now(),
            op: draft.op(),
        };
        let letters = Records::<DeadLetter>::new(&core.space);
        let id = LetterId {
            sink: letter.sink.clone(),
            position: letter.position,
        };
        // A cursor that began anew comes by again.
        if letters.get(&id).await?.is_none() {
            letters.stage_create(draft.batch(), &letter)?;
            let (position, event) = (logged.position.get(), None);
            let change = Change::SinkDeadLettered {
                position,
                event,
                reason,
            };
            draft.tell(&cursor.about(), &change)?;
        }
        replace(core, &mut draft, &read, cursor).await?;
        Ok(Verdict::Commit(draft, ()))
    });
    done.await.map(|done| done.answer)
}

/// What is no JSON is kept in base64.
fn as_json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| BASE64.encode(bytes).into())
}
