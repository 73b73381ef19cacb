//! Sending a message that was accepted: its turn is given to the agent, now or later, or never.

use std::sync::Arc;

use dormouse_filesystem::Records;

use super::append::Work;
use super::service::message;
use super::turn::submit;
use super::{Appended, Message, MessageAt, MessageStatus, WhenBusy};
use crate::agent::Agents;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::task::Numbers;
use crate::{CommandError, Subject};

pub(super) async fn staged(
    core: &Arc<Core>,
    mut draft: Draft,
    at: MessageAt,
    when_busy: WhenBusy,
) -> Result<Verdict<Appended>, CommandError> {
    let mut work = Work::begin(core, at.thread).await?;
    let read = message(core, &work.thread, at.sequence).await?;
    let status = match work.turn(read.status, when_busy) {
        Err(CommandError::Rejected {
            state, event, reason, ..
        }) => {
            let subject = Subject::Message(read.id);
            return Err(CommandError::Rejected {
                subject,
                state,
                event,
                reason,
            });
        }
        status => status?,
    };
    if status == read.status {
        return Ok(Verdict::Nothing(Appended::of(&read)));
    }
    let mut next = Message {
        status,
        updated_at: draft.now(),
        op: draft.op(),
        ..Message::clone(&read)
    };
    if read.status == MessageStatus::Queued {
        work.thread.queued = work.thread.queued.saturating_sub(1);
    }
    let place = next.place();
    let change = match status {
        MessageStatus::Queued => {
            work.thread.queued += 1;
            Change::MessageQueued { at: place }
        }
        MessageStatus::Submitted => {
            let agent = Agents::new(core).require(&mut draft, &work.thread.agent).await?;
            let mut numbers = Numbers::read(core).await?;
            submit(
                core,
                &mut draft,
                (&agent, &mut numbers),
                &mut work.thread,
                &mut next,
            )?;
            numbers.stage(core, &mut draft).await?;
            let task = next.task.expect("it was submitted");
            Change::MessageSubmitted { at: place, task }
        }
        MessageStatus::RejectedBusy => {
            let run = work.thread.active_run.expect("a run is at the thread");
            Change::MessageRejectedBusy { at: place, run }
        }
        other => unreachable!("no message is sent to be {other}"),
    };
    Records::<Message>::new(&core.space)
        .stage_replace(draft.batch(), &read, &next)
        .await?;
    draft.tell(&next.about(), &change)?;
    work.end(core, &mut draft).await?;
    Ok(Verdict::Commit(draft, Appended::of(&next)))
}
