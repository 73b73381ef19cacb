//! What the engine says in a thread by itself: a message of the kind `system`, in the commit of what it tells of.

use dormouse_secrets::Scrubbed;
use serde_json::{Map, Value};

use super::append::{Ready, Work};
use crate::core::Core;
use crate::draft::Draft;
use crate::{CommandError, ThreadId};

/// Stages a message of the engine's. A thread that is gone, or takes no more messages, is not told: nobody listens there.
pub(crate) async fn stage_note(
    core: &Core,
    draft: &mut Draft,
    thread: ThreadId,
    text: Scrubbed,
    provider: Map<String, Value>,
) -> Result<(), CommandError> {
    let mut work = match Work::begin(core, thread).await {
        Ok(work) => work,
        Err(CommandError::NotFound { .. } | CommandError::Rejected { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let ready = Ready::note(core, text, provider).await?;
    work.note(core, draft, &ready).await?;
    work.end(core, draft).await
}
