//! Taking away what was said: of one message, or of a thread and all of its messages.

use dormouse_filesystem::blob::{BlobId, Blobs};
use dormouse_filesystem::{Records, Versioned};
use jiff::Timestamp;

use super::append::Work;
use super::service::message;
use super::summary::{Says, stage_superseded, standing};
use super::text::{self, of_blob};
use super::{
    Message, MessageAt, MessageEvent, MessageStatus, Thread, ThreadEvent, ThreadIndex, ThreadState, decide,
    decide_thread,
};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::due::is_of_store;
use crate::engine::Engine;
use crate::event::Change;
use crate::id::segment;
use crate::limits::{ERASED_PAGE, PAGE_MAX};
use crate::{CommandError, Decision, Principal, Subject, ThreadId};

/// Redacts or deletes a message.
pub(super) async fn erase(
    core: &Core,
    by: &Principal,
    at: MessageAt,
    event: MessageEvent,
) -> Result<Message, CommandError> {
    let done = core.command(by, |draft| staged(core, draft, at, event)).await?;
    let (message, blobs) = done.answer;
    text::purge(core, &blobs).await;
    Ok(message)
}

async fn staged(
    core: &Core,
    mut draft: Draft,
    at: MessageAt,
    event: MessageEvent,
) -> Result<Verdict<(Message, Vec<BlobId>)>, CommandError> {
    // It takes the thread's version, as a summary does: neither misses the other.
    let mut work = Work::begin_any(core, at.thread).await?;
    let read = message(core, &work.thread, at.sequence).await?;
    let status = match decide(read.status, event) {
        Decision::Apply(status) => status,
        Decision::Same | Decision::Ignore(_) => {
            return Ok(Verdict::Nothing((read.into_inner(), Vec::new())));
        }
        Decision::Reject(reason) => {
            return Err(CommandError::Rejected {
                subject: Subject::Message(read.id),
                state: read.status.word(),
                event: event.word(),
                reason,
            });
        }
    };
    let message = Message {
        status,
        updated_at: draft.now(),
        op: draft.op(),
        ..read.emptied()
    };
    let mut gone = text::blobs_of(&read);
    leave_queue(&mut work, &read);
    text::stage_removed(core, &mut draft, &read).await?;
    Records::<Message>::new(&core.space)
        .stage_replace(draft.batch(), &read, &message)
        .await?;
    let place = message.place();
    let change = match event {
        MessageEvent::Delete => Change::MessageDeleted { at: place },
        _ => Change::MessageRedacted { at: place },
    };
    draft.tell(&message.about(), &change)?;
    for summary in standing(core, &work.thread).await? {
        if summary.covers.binary_search(&at.sequence).is_ok() {
            gone.extend(text::blobs_of(&summary));
            stage_superseded(core, &mut draft, &summary, None, Says::Nothing).await?;
        }
    }
    work.touch(core, &mut draft).await?;
    Ok(Verdict::Commit(draft, (message, gone)))
}

/// A message that waited for its turn does so no more.
fn leave_queue(work: &mut Work, read: &Message) {
    if read.status == MessageStatus::Queued {
        work.thread.queued = work.thread.queued.saturating_sub(1);
    }
}

/// Lets another message stand for one.
pub(super) async fn supersede(
    core: &Core,
    by: &Principal,
    at: MessageAt,
    by_sequence: u64,
) -> Result<Message, CommandError> {
    if at.sequence == by_sequence {
        return Err(CommandError::invalid("by", "a message does not stand for itself"));
    }
    let done = core.command(by, |mut draft| async move {
        let mut work = Work::begin_any(core, at.thread).await?;
        let read = message(core, &work.thread, at.sequence).await?;
        message(core, &work.thread, by_sequence).await?;
        let superseded = stage_superseded(core, &mut draft, &read, Some(by_sequence), Says::On).await?;
        if superseded == *read {
            return Ok(Verdict::Nothing(superseded));
        }
        leave_queue(&mut work, &read);
        work.touch(core, &mut draft).await?;
        Ok(Verdict::Commit(draft, superseded))
    });
    Ok(done.await?.answer)
}

/// Deletes a thread: its tombstone, and then its messages.
pub(super) async fn delete(core: &Core, by: &Principal, id: ThreadId) -> Result<(), CommandError> {
    let done = core.command(by, |draft| staged_delete(core, draft, id, Force::No));
    done.await?;
    // Ends with the last page. What cannot be done now is found by its row.
    loop {
        match erase_page(core, id).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                tracing::warn!(thread = %id, %error, "messages of a deleted thread are left for the next look");
                return Ok(());
            }
        }
    }
}

/// Whether a turn that is under way stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Force {
    No,
    Yes,
}

async fn staged_delete(
    core: &Core,
    mut draft: Draft,
    id: ThreadId,
    force: Force,
) -> Result<Verdict<()>, CommandError> {
    let rows = Records::<Thread>::new(&core.space);
    let read = super::service::get(core, id).await?;
    let mut now = Thread::clone(&read);
    super::turn::let_go(core, &mut now).await?;
    let has_turn = force == Force::No && (now.turn.is_some() || now.active_run.is_some());
    let event = ThreadEvent::Delete { has_turn };
    let state = match decide_thread(Some(read.state), event) {
        Decision::Apply(state) => state,
        Decision::Same | Decision::Ignore(_) => return Ok(Verdict::Nothing(())),
        Decision::Reject(reason) => {
            return Err(CommandError::Rejected {
                subject: Subject::Thread(id),
                state: read.state.word(),
                event: event.word(),
                reason,
            });
        }
    };
    let thread = Thread {
        state,
        session: None,
        active_run: None,
        turn: None,
        queued: 0,
        is_erasing: true,
        updated_at: draft.now(),
        op: draft.op(),
        ..Thread::clone(&read)
    };
    rows.stage_replace(draft.batch(), &read, &thread).await?;
    draft.tell(&thread.about(), &Change::ThreadDeleted {})?;
    Ok(Verdict::Commit(draft, ()))
}

/// Deletes a thread with its agent, whatever it is at. Whether it was there.
pub(crate) async fn delete_thread(core: &Core, id: ThreadId) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let deleted = core.command(&by, |draft| staged_delete(core, draft, id, Force::Yes));
    match deleted.await {
        Ok(_) => Ok(true),
        Err(CommandError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a page of what a deleted thread left, or a former one of its id. Whether there may be more.
async fn erase_page(core: &Core, id: ThreadId) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |draft| staged_page(core, draft, id)).await?;
    let (gone, is_more) = done.answer;
    text::purge(core, &gone).await;
    Ok(is_more)
}

async fn staged_page(
    core: &Core,
    mut draft: Draft,
    id: ThreadId,
) -> Result<Verdict<(Vec<BlobId>, bool)>, CommandError> {
    let rows = Records::<Thread>::new(&core.space);
    let Some(thread) = rows.get(&id).await?.filter(|thread| thread.is_erasing) else {
        return Ok(Verdict::Nothing((Vec::new(), false)));
    };
    let messages = Records::<Message>::new(&core.space);
    let left = left_of(core, &thread).await?;
    let mut gone = Vec::new();
    for message in left.iter().take(ERASED_PAGE) {
        text::stage_removed(core, &mut draft, message).await?;
        messages.stage_remove(draft.batch(), message).await?;
        gone.extend(text::blobs_of(message));
    }
    let is_more = left.len() > ERASED_PAGE;
    if is_more {
        return Ok(Verdict::Commit(draft, (gone, true)));
    }
    let done = Thread {
        is_erasing: false,
        updated_at: draft.now(),
        op: draft.op(),
        ..Thread::clone(&thread)
    };
    rows.stage_replace(draft.batch(), &thread, &done).await?;
    Ok(Verdict::Commit(draft, (gone, false)))
}

/// Some of the messages that go: all of a deleted thread, and those of former ones of its id.
async fn left_of(core: &Core, thread: &Thread) -> Result<Vec<Versioned<Message>>, CommandError> {
    let goes = |message: &Versioned<Message>| thread.state == ThreadState::Deleted || !message.is_of(thread);
    let (first, mut after, mut left) = ([segment(&thread.id.to_string())], None, Vec::new());
    // Ends with the last row, or with more than a page of what goes.
    loop {
        let ranged = Records::<Message>::new(&core.space)
            .range(&first, after.as_ref(), PAGE_MAX.min(ERASED_PAGE * 4))
            .await?;
        left.extend(ranged.rows.into_iter().filter(goes));
        after = ranged.next;
        if after.is_none() || left.len() > ERASED_PAGE {
            return Ok(left);
        }
    }
}

/// Goes on with the deletion of threads that was cut short, and gives the space of blobs back that are nobody's. How
/// many pages, and whether there may be more.
pub(crate) async fn erase_deleted(engine: &Engine, now: Timestamp) -> Result<(usize, bool), CommandError> {
    let found = engine.found::<Thread>(ThreadIndex::Erasing, Some(now)).await?;
    let (mut pages, mut is_more) = (0, false);
    for (tenant, thread) in found {
        match erase_page(&engine.handle(&tenant).core, thread).await {
            Ok(more) => {
                pages += 1;
                is_more |= more;
            }
            Err(error) if is_of_store(&error) => return Err(error),
            Err(error) => tracing::warn!(%tenant, %thread, %error, "a deleted thread was not cleared away"),
        }
    }
    Ok((pages, is_more))
}

/// Gives back the space of a tenant's blobs that were removed or never became anybody's. Whether there may be more.
pub(crate) async fn sweep_blobs(core: &Core, now: Timestamp) -> Result<bool, CommandError> {
    let swept = Blobs::new(&core.space).sweep(now, ERASED_PAGE).await;
    Ok(swept.map_err(of_blob)?.is_more)
}
