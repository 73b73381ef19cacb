//! What is taken away of threads, and what summaries may tell of.

use dormouse_engine::agent::AtWork;
use dormouse_engine::gate::GateFilter;
use dormouse_engine::thread::{
    Append, Appended, Message, MessageAt, MessageKind, MessageStatus, NewAttachment, NewMessage, NewSummary,
    NewThread, Thread,
};
use dormouse_engine::{CommandError, Incarnation};
use dormouse_secrets::Scrubber;

use super::house::{House, operator};
use super::retention::sweep;
use super::threads::{claim, note, post, row, status, thread};

super::on_every_store! {
    /// ST-54
    what_is_redacted_is_in_no_row_index_or_blob_and_no_summary_tells_of_it;
    /// ST-55
    a_summary_tells_of_what_was_submitted_or_is_final_and_of_nothing_twice;
    a_deleted_message_is_missing_and_keeps_its_place;
    another_message_stands_for_a_superseded_one;
    what_waits_and_is_redacted_has_no_turn;
    a_deletion_that_was_cut_short_goes_on_with_the_next_look;
}

fn at(message: Appended) -> MessageAt {
    MessageAt {
        thread: message.thread,
        sequence: message.sequence,
    }
}

fn summary(thread: &Thread, covers: &[u64], text: &str) -> NewSummary {
    NewSummary {
        incarnation: thread.incarnation,
        covers: covers.to_vec(),
        replaces: Vec::new(),
        text: text.to_owned(),
    }
}

async fn summarise(house: &House, thread: &Thread, new: NewSummary) -> Result<Appended, CommandError> {
    house.tenant.threads.summarise(&operator(), thread.id, &new).await
}

async fn message(house: &House, message: Appended) -> Message {
    let threads = &house.tenant.threads;
    threads.message(at(message)).await.unwrap().into_inner()
}

async fn what_is_redacted_is_in_no_row_index_or_blob_and_no_summary_tells_of_it(house: House) {
    let thread = thread(&house).await;
    let threads = &house.tenant.threads;
    let attachment = NewAttachment {
        id: "a".to_owned(),
        name: "the-attached-thing".to_owned(),
        media_type: "text/plain".to_owned(),
        text: Some("the-extracted-thing ".repeat(5_000)),
    };
    let spoken = NewMessage {
        kind: MessageKind::Assistant,
        attachments: vec![attachment],
        provider: serde_json::json!({ "raw": "the-provider-thing" })
            .as_object()
            .unwrap()
            .clone(),
        ..NewMessage::user("the-spoken-thing ".repeat(10_000))
    };
    let told = threads
        .append(&operator(), thread.id, &Append::note(spoken))
        .await
        .unwrap();
    let small = post(&house, thread.id, "the-small-thing").await;
    let other = note(&house, thread.id, "the-other-thing").await;
    let of_both = [told.sequence, small.sequence];
    let tells = summarise(&house, &thread, summary(&thread, &of_both, "the-told-thing"));
    let tells = tells.await.unwrap();
    let stays = summarise(
        &house,
        &thread,
        summary(&thread, &[other.sequence], "the-kept-thing"),
    );
    let stays = stays.await.unwrap();
    let things = [
        "the-spoken-thing",
        "the-attached-thing",
        "the-extracted-thing",
        "the-provider-thing",
        "the-small-thing",
        "the-told-thing",
    ];
    let before = house.stored().await;
    for thing in things {
        assert!(before.contains(thing), "{thing} is there to begin with");
    }

    let was = message(&house, told).await;
    for redacted in [told, small] {
        threads.redact(&operator(), at(redacted)).await.unwrap();
    }
    let stored = house.stored().await;
    for thing in things {
        assert!(!stored.contains(thing), "{thing} is stored still");
    }
    assert!(stored.contains("the-other-thing") && stored.contains("the-kept-thing"));
    assert!(!stored.contains("blob_chunk"), "no bytes of a blob are left");
    let now = message(&house, told).await;
    assert_eq!(now.status, MessageStatus::Redacted);
    assert_eq!(
        (now.id, now.sequence, now.kind, now.created_at),
        (was.id, was.sequence, was.kind, was.created_at)
    );
    assert_eq!(status(&house, tells).await, MessageStatus::Superseded);
    assert_eq!(status(&house, stays).await, MessageStatus::Final);
    let events = house.event_count().await;
    threads.redact(&operator(), at(told)).await.unwrap();
    assert_eq!(house.event_count().await, events, "twice is once");
    // The gates of the house have nothing to do with it.
    let pending = house.tenant.gates.list(&GateFilter::default(), None, 1).await;
    assert!(pending.unwrap().rows.is_empty());
}

async fn a_summary_tells_of_what_was_submitted_or_is_final_and_of_nothing_twice(house: House) {
    let thread = thread(&house).await;
    let threads = &house.tenant.threads;
    let submitted = post(&house, thread.id, "one").await;
    let queued = post(&house, thread.id, "two").await;
    let done = note(&house, thread.id, "three").await;
    let gone = note(&house, thread.id, "four").await;
    threads.redact(&operator(), at(gone)).await.unwrap();
    let claimed = claim(&house, submitted.task.unwrap()).await;
    let mut writer = threads.writer(&claimed).unwrap();
    writer.write(Scrubber::empty().scrub("half")).await.unwrap();
    let draft = row(&house, thread.id).await.next_sequence - 1;

    let before = house.stored().await;
    for wrong in [queued.sequence, gone.sequence, draft] {
        let covers = [done.sequence, wrong];
        let refused = summarise(&house, &thread, summary(&thread, &covers, "all"));
        assert_eq!(refused.await.unwrap_err().code(), "rejected", "{wrong}");
    }
    let missing = summarise(&house, &thread, summary(&thread, &[99], "all")).await;
    assert_eq!(missing.unwrap_err().code(), "not_found");
    let nothing = summarise(&house, &thread, summary(&thread, &[], "all")).await;
    assert_eq!(nothing.unwrap_err().code(), "invalid");
    assert_eq!(house.stored().await, before);

    let first = summary(&thread, &[submitted.sequence, done.sequence], "one and three");
    let made = summarise(&house, &thread, first.clone()).await.unwrap();
    let events = house.event_count().await;
    assert_eq!(
        summarise(&house, &thread, first.clone()).await.unwrap(),
        made,
        "a replay"
    );
    assert_eq!(house.event_count().await, events);
    let of_summary = summarise(&house, &thread, summary(&thread, &[made.sequence], "again"));
    assert_eq!(of_summary.await.unwrap_err().code(), "rejected");
    let more = note(&house, thread.id, "five").await;
    let overlap = summary(&thread, &[done.sequence, more.sequence], "three and five");
    let refused = summarise(&house, &thread, overlap.clone()).await.unwrap_err();
    assert_eq!(refused.code(), "invalid", "{refused}");
    let replaces = NewSummary {
        replaces: vec![made.sequence],
        ..overlap
    };
    let next = summarise(&house, &thread, replaces).await.unwrap();
    assert_eq!(status(&house, made).await, MessageStatus::Superseded);
    assert_eq!(message(&house, made).await.superseded_by, Some(next.sequence));
    let again = NewSummary {
        replaces: vec![made.sequence],
        ..summary(&thread, &[submitted.sequence], "one")
    };
    let stands_no_more = summarise(&house, &thread, again).await;
    assert_eq!(stands_no_more.unwrap_err().code(), "invalid");

    // The thread is made anew: what was read of the former one is no evidence any more.
    house
        .tenant
        .runs
        .finish(&claimed, &super::house::success(), &super::house::facts())
        .await
        .unwrap();
    let rung = message(&house, queued).await.task.unwrap();
    house.tenant.tasks.cancel(&operator(), rung, None).await.unwrap();
    threads.delete(&operator(), thread.id).await.unwrap();
    let new = NewThread {
        id: Some(thread.id),
        ..NewThread::new(thread.agent.clone())
    };
    let anew = threads.create(&operator(), &new).await.unwrap();
    assert_ne!(anew.incarnation, thread.incarnation);
    assert_eq!(
        threads.create(&operator(), &new).await.unwrap_err().code(),
        "exists"
    );
    let fresh = note(&house, thread.id, "six").await;
    assert!(fresh.sequence > next.sequence, "no place is given twice");
    let stale: Incarnation = thread.incarnation;
    let old = NewSummary {
        incarnation: stale,
        ..summary(&anew, &[fresh.sequence], "six")
    };
    assert_eq!(
        summarise(&house, &anew, old).await.unwrap_err().code(),
        "not_found"
    );
    assert!(
        summarise(&house, &anew, summary(&anew, &[fresh.sequence], "six"))
            .await
            .is_ok()
    );
}

async fn a_deleted_message_is_missing_and_keeps_its_place(house: House) {
    let thread = thread(&house).await;
    let threads = &house.tenant.threads;
    let gone = note(&house, thread.id, "one").await;
    threads.delete_message(&operator(), at(gone)).await.unwrap();
    assert_eq!(threads.message(at(gone)).await.unwrap_err().code(), "not_found");
    assert_eq!(
        threads.message_of(gone.message).await.unwrap_err().code(),
        "not_found"
    );
    assert_eq!(note(&house, thread.id, "two").await.sequence, 2);
    let listed = threads.messages(thread.id, 0, 10).await.unwrap().rows;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        house
            .event_types()
            .await
            .iter()
            .filter(|kind| *kind == "message.deleted")
            .count(),
        1
    );
}

async fn another_message_stands_for_a_superseded_one(house: House) {
    let thread = thread(&house).await;
    let threads = &house.tenant.threads;
    let first = note(&house, thread.id, "one").await;
    let second = note(&house, thread.id, "one, mended").await;
    let superseded = threads
        .supersede(&operator(), at(first), second.sequence)
        .await
        .unwrap();
    assert_eq!(
        (superseded.status, superseded.superseded_by),
        (MessageStatus::Superseded, Some(second.sequence))
    );
    assert!(superseded.text.is_some(), "what it said stays");
    for wrong in [first.sequence, 99] {
        let refused = threads.supersede(&operator(), at(second), wrong).await;
        assert!(wrong == first.sequence || refused.is_err());
    }
}

async fn what_waits_and_is_redacted_has_no_turn(house: House) {
    let thread = thread(&house).await;
    let first = post(&house, thread.id, "one").await;
    let second = post(&house, thread.id, "two").await;
    let third = post(&house, thread.id, "three").await;
    let threads = &house.tenant.threads;
    threads.redact(&operator(), at(second)).await.unwrap();
    assert_eq!(row(&house, thread.id).await.queued, 1);
    let task = first.task.unwrap();
    house.tenant.tasks.cancel(&operator(), task, None).await.unwrap();
    assert_eq!(status(&house, second).await, MessageStatus::Redacted);
    assert_eq!(status(&house, third).await, MessageStatus::Submitted);
}

/// As when the process dies behind the tombstone: the row says that messages are left.
async fn a_deletion_that_was_cut_short_goes_on_with_the_next_look(house: House) {
    let thread = thread(&house).await;
    for n in 0..40 {
        note(&house, thread.id, &format!("sheep {n}")).await;
    }
    // An agent that goes leaves its threads as tombstones; their messages go with the next look.
    house
        .tenant
        .agents
        .delete(&operator(), &thread.agent, AtWork::Stop, None)
        .await
        .unwrap();
    house.engine.close().await;
    let house = house.reopened().await;
    house.recover().await;
    let threads = &house.tenant.threads;
    assert_eq!(threads.get(thread.id).await.unwrap_err().code(), "not_found");
    assert!(house.stored().await.contains("sheep 39"));
    let house = house.reopened().await;
    let mut janitor = house.engine.janitor();
    while janitor.look().await.unwrap().is_more {}
    assert!(!house.stored().await.contains("sheep"));
    // Its tombstone goes 90 days later.
    assert_eq!(house.entry("thread", &thread.id).await.kind.as_str(), "thread");
    house.clock.advance(90 * 24 * 3600 - 1);
    let mut sweeper = house.engine.sweeper();
    sweep(&mut sweeper).await;
    assert_eq!(house.entry("thread", &thread.id).await.kind.as_str(), "thread");
    house.clock.advance(2);
    sweep(&mut sweeper).await;
    assert!(
        house
            .entries()
            .await
            .iter()
            .all(|entry| entry.kind.as_str() != "thread")
    );
}
