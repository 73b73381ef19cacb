//! Threads and messages through their service: sequences, turns, what is queued, drafts and final messages.

use std::collections::BTreeSet;

use dormouse_engine::limits::{EXTRACTED_MAX, QUEUED_MAX};
use dormouse_engine::outcome::Outcome;
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::task::TaskState;
use dormouse_engine::thread::{
    Append, Appended, Arrival, Final, MessageAt, MessageKind, MessageStatus, NewAttachment, NewMessage,
    NewThread, Thread, ThreadState, WhenBusy, Wrote,
};
use dormouse_engine::{CommandError, PrefixedId, Random, RunId, TaskId, ThreadId};
use dormouse_secrets::Scrubber;
use futures::future::join_all;

use super::house::{House, facts, failed, operator, success};

super::on_every_store! {
    a_message_is_a_task_and_the_claim_of_that_makes_its_run_the_active_one;
    what_comes_while_a_turn_is_under_way_waits_and_is_submitted_when_it_is_over;
    /// ST-52, the first half; the second is `a_replayed_submit_answers_the_first_run` of the keys.
    appends_at_once_have_distinct_rising_sequences;
    appends_at_once_share_commits;
    a_busy_thread_refuses_queues_or_keeps_as_it_is_asked;
    a_queue_has_an_end;
    a_turn_that_is_tried_again_keeps_its_place_and_leaves_the_thread_free;
    a_cancelled_turn_gives_way_to_the_next;
    what_was_accepted_is_sent_later;
    a_draft_is_written_now_and_then_and_is_final_once;
    what_a_run_leaves_unfinished_is_interrupted_and_what_it_said_is_its_answer;
    a_replaced_run_writes_nothing_into_its_thread;
    a_large_text_comes_back_whole;
    what_is_out_of_bounds_is_refused_and_nothing_is_written;
    a_closed_thread_takes_nothing_and_a_deleted_one_is_missing;
    a_thread_with_a_turn_under_way_is_not_deleted;
    threads_and_messages_are_listed_page_by_page;
}

pub(super) async fn thread(house: &House) -> Thread {
    let agent = house.agent("alice").await;
    let threads = &house.tenant.threads;
    threads.create(&operator(), &NewThread::new(agent)).await.unwrap()
}

pub(super) async fn post(house: &House, thread: ThreadId, text: &str) -> Appended {
    let append = Append::submit(NewMessage::user(text));
    house
        .tenant
        .threads
        .append(&operator(), thread, &append)
        .await
        .unwrap()
}

pub(super) async fn note(house: &House, thread: ThreadId, text: &str) -> Appended {
    let message = NewMessage {
        kind: MessageKind::System,
        ..NewMessage::user(text)
    };
    let append = Append::note(message);
    house
        .tenant
        .threads
        .append(&operator(), thread, &append)
        .await
        .unwrap()
}

pub(super) async fn row(house: &House, thread: ThreadId) -> Thread {
    house.tenant.threads.get(thread).await.unwrap().into_inner()
}

pub(super) async fn status(house: &House, message: Appended) -> MessageStatus {
    let at = MessageAt {
        thread: message.thread,
        sequence: message.sequence,
    };
    house.tenant.threads.message(at).await.unwrap().status
}

pub(super) async fn claim(house: &House, task: TaskId) -> Claimed {
    let runs = &house.tenant.runs;
    runs.claim(&operator(), task, ClaimOptions::default())
        .await
        .unwrap()
}

async fn finish(house: &House, claimed: &Claimed, outcome: &Outcome) {
    let runs = &house.tenant.runs;
    runs.finish(claimed, outcome, &facts()).await.unwrap();
}

async fn said(house: &House, thread: ThreadId) -> Vec<(u64, MessageKind, MessageStatus, String)> {
    let threads = &house.tenant.threads;
    let mut all = Vec::new();
    for message in threads.messages(thread, 0, 1000).await.unwrap().rows {
        let text = match &message.text {
            Some(kept) => threads.text(kept).await.unwrap().into_string(),
            None => "-".to_owned(),
        };
        all.push((message.sequence, message.kind, message.status, text));
    }
    all
}

async fn a_message_is_a_task_and_the_claim_of_that_makes_its_run_the_active_one(house: House) {
    let thread = thread(&house).await;
    let events = house.event_count().await;
    let posted = post(&house, thread.id, "hello").await;
    assert_eq!(posted.status, MessageStatus::Submitted);
    let task = house.tenant.tasks.get(posted.task.unwrap()).await.unwrap();
    assert_eq!(task.state, TaskState::Ready);
    assert_eq!(task.turn.unwrap().message, posted.sequence);
    let row_now = row(&house, thread.id).await;
    assert_eq!((row_now.active_run, row_now.turn), (None, posted.task));
    assert_eq!(
        house.event_count().await,
        events + 2,
        "message and task, in one commit"
    );
    assert_eq!(
        task.version(),
        house.tenant.threads.get(thread.id).await.unwrap().version()
    );

    let claimed = claim(&house, posted.task.unwrap()).await;
    assert_eq!(Some(claimed.run.id), posted.run, "the run that was told of");
    assert_eq!(claimed.run.thread, Some(thread.id));
    assert_eq!(
        house.tenant.threads.active_run(thread.id).await.unwrap(),
        posted.run
    );
    finish(&house, &claimed, &success()).await;
    let free = row(&house, thread.id).await;
    assert_eq!((free.active_run, free.turn, free.queued), (None, None, 0));
}

async fn what_comes_while_a_turn_is_under_way_waits_and_is_submitted_when_it_is_over(house: House) {
    let thread = thread(&house).await;
    let first = post(&house, thread.id, "one").await;
    let second = post(&house, thread.id, "two").await;
    let claimed = claim(&house, first.task.unwrap()).await;
    let third = post(&house, thread.id, "three").await;
    assert_eq!(
        [second.status, third.status],
        [MessageStatus::Queued, MessageStatus::Queued]
    );
    assert_eq!(row(&house, thread.id).await.queued, 2);

    finish(&house, &claimed, &success()).await;
    assert_eq!(status(&house, second).await, MessageStatus::Submitted);
    assert_eq!(status(&house, third).await, MessageStatus::Queued);
    let at = MessageAt {
        thread: thread.id,
        sequence: second.sequence,
    };
    let rung = house.tenant.threads.message(at).await.unwrap();
    let claimed = claim(&house, rung.task.unwrap()).await;
    assert_eq!(
        Some(claimed.run.id),
        second.run,
        "as it was told when it was queued"
    );
    finish(&house, &claimed, &failed(true)).await;
    assert_eq!(status(&house, third).await, MessageStatus::Submitted);
    let types = house.event_types().await;
    assert_eq!(
        types.iter().filter(|kind| *kind == "message.submitted").count(),
        2
    );
}

async fn appends_at_once_have_distinct_rising_sequences(house: House) {
    let thread = thread(&house).await;
    let appends = join_all((0..100).map(|n| {
        let threads = house.tenant.threads.clone();
        tokio::spawn(async move {
            let message = NewMessage {
                kind: MessageKind::Display,
                ..NewMessage::user(format!("sheep {n}"))
            };
            let append = Append::note(message);
            threads.append(&operator(), thread.id, &append).await.unwrap()
        })
    }));
    let appended = appends.await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    let sequences: BTreeSet<u64> = appended.iter().map(|message| message.sequence).collect();
    assert_eq!(sequences, (1..=100).collect());
    let told = house.events().await;
    let told = told.iter().filter(|event| event.kind == "message.accepted");
    let told: Vec<u64> = told
        .map(|event| event.data["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(told, (1..=100).collect::<Vec<_>>(), "they rise in commit order");
    house.engine.close().await;
}

async fn appends_at_once_share_commits(house: House) {
    let thread = thread(&house).await;
    let appended = join_all((0..100).map(|n| {
        let text = format!("sheep {n}");
        let house = &house;
        async move { note(house, thread.id, &text).await }
    }))
    .await;
    let mut commits = BTreeSet::new();
    for message in appended {
        let row = house.tenant.threads.message_of(message.message).await.unwrap();
        commits.insert(row.version());
    }
    // The first alone or not, the others by 32.
    assert!(commits.len() <= 6, "{} commits", commits.len());
    house.engine.close().await;
}

async fn a_busy_thread_refuses_queues_or_keeps_as_it_is_asked(house: House) {
    let thread = thread(&house).await;
    let claimed = {
        let first = post(&house, thread.id, "one").await;
        claim(&house, first.task.unwrap()).await
    };
    let threads = &house.tenant.threads;
    let append = |when_busy| Append {
        arrival: Arrival::Submit(when_busy),
        ..Append::submit(NewMessage::user("two"))
    };
    let (events, before) = (house.event_count().await, house.stored().await);
    let busy = threads
        .append(&operator(), thread.id, &append(WhenBusy::Refuse))
        .await
        .unwrap_err();
    assert!(
        matches!(busy, CommandError::Busy { run } if run == claimed.run.id),
        "{busy}"
    );
    assert_eq!(
        (house.event_count().await, house.stored().await),
        (events, before)
    );

    let rejected = threads
        .append(&operator(), thread.id, &append(WhenBusy::Reject))
        .await
        .unwrap();
    assert_eq!(
        (rejected.status, rejected.task),
        (MessageStatus::RejectedBusy, None)
    );
    let queued = threads
        .append(&operator(), thread.id, &append(WhenBusy::Queue))
        .await
        .unwrap();
    assert_eq!(queued.status, MessageStatus::Queued);
    finish(&house, &claimed, &success()).await;
    assert_eq!(status(&house, queued).await, MessageStatus::Submitted);
    assert_eq!(status(&house, rejected).await, MessageStatus::RejectedBusy);
}

async fn a_queue_has_an_end(house: House) {
    let thread = thread(&house).await;
    post(&house, thread.id, "one").await;
    let queued = (0..QUEUED_MAX).map(|_| post(&house, thread.id, "again"));
    join_all(queued).await;
    let append = Append::submit(NewMessage::user("one too many"));
    let by = operator();
    let full = house.tenant.threads.append(&by, thread.id, &append);
    let full = full.await.unwrap_err();
    assert!(
        matches!(
            full,
            CommandError::Full {
                limit: "threads.queued_max"
            }
        ),
        "{full}"
    );
    house.engine.close().await;
}

async fn a_turn_that_is_tried_again_keeps_its_place_and_leaves_the_thread_free(house: House) {
    let thread = thread(&house).await;
    let first = post(&house, thread.id, "one").await;
    let claimed = claim(&house, first.task.unwrap()).await;
    finish(&house, &claimed, &failed(false)).await;
    let waits = row(&house, thread.id).await;
    assert_eq!((waits.active_run, waits.turn), (None, first.task));
    let second = post(&house, thread.id, "two").await;
    assert_eq!(second.status, MessageStatus::Queued, "behind the first");

    house.clock.advance(3600);
    house
        .tenant
        .tasks
        .due(&operator(), first.task.unwrap())
        .await
        .unwrap();
    let again = claim(&house, first.task.unwrap()).await;
    assert_ne!(Some(again.run.id), first.run, "a second attempt is another run");
    finish(&house, &again, &success()).await;
    assert_eq!(status(&house, second).await, MessageStatus::Submitted);
}

async fn a_cancelled_turn_gives_way_to_the_next(house: House) {
    let thread = thread(&house).await;
    let first = post(&house, thread.id, "one").await;
    let second = post(&house, thread.id, "two").await;
    house
        .tenant
        .tasks
        .cancel(&operator(), first.task.unwrap(), None)
        .await
        .unwrap();
    assert_eq!(status(&house, second).await, MessageStatus::Submitted);
}

pub(super) async fn what_was_accepted_is_sent_later(house: House) {
    let thread = thread(&house).await;
    let threads = &house.tenant.threads;
    let accept = Append {
        arrival: Arrival::Accept,
        ..Append::submit(NewMessage::user("kept"))
    };
    let mut accepted = Vec::new();
    for _ in 0..3 {
        let message = threads.append(&operator(), thread.id, &accept).await.unwrap();
        assert_eq!((message.status, message.task), (MessageStatus::Accepted, None));
        accepted.push(MessageAt {
            thread: thread.id,
            sequence: message.sequence,
        });
    }
    let sent = threads
        .send(&operator(), accepted[0], WhenBusy::Refuse)
        .await
        .unwrap();
    assert_eq!(sent.status, MessageStatus::Submitted);
    let again = threads
        .send(&operator(), accepted[0], WhenBusy::Refuse)
        .await
        .unwrap();
    assert_eq!(again, sent);
    let claimed = claim(&house, sent.task.unwrap()).await;
    let busy = threads.send(&operator(), accepted[1], WhenBusy::Refuse).await;
    assert_eq!(busy.unwrap_err().code(), "busy");
    let queued = threads
        .send(&operator(), accepted[1], WhenBusy::Queue)
        .await
        .unwrap();
    assert_eq!(queued.status, MessageStatus::Queued);
    let rejected = threads
        .send(&operator(), accepted[2], WhenBusy::Reject)
        .await
        .unwrap();
    assert_eq!(rejected.status, MessageStatus::RejectedBusy);
    let late = threads.send(&operator(), accepted[2], WhenBusy::Queue).await;
    assert_eq!(late.unwrap_err().code(), "rejected");
    finish(&house, &claimed, &success()).await;
    assert_eq!(status(&house, queued).await, MessageStatus::Submitted);
    let types = house.event_types().await;
    for kind in ["message.queued", "message.submitted", "message.rejected_busy"] {
        assert!(types.iter().any(|other| other == kind), "{kind}");
    }
}

fn clean(text: &str) -> dormouse_secrets::Scrubbed {
    Scrubber::empty().scrub(text)
}

fn last(text: &str) -> Final {
    Final {
        text: clean(text),
        provider: serde_json::Map::new(),
    }
}

async fn a_draft_is_written_now_and_then_and_is_final_once(house: House) {
    let thread = thread(&house).await;
    let posted = post(&house, thread.id, "hello").await;
    let claimed = claim(&house, posted.task.unwrap()).await;
    let mut writer = house.tenant.threads.writer(&claimed).unwrap();
    assert_eq!(writer.write(clean("I")).await.unwrap(), Wrote::Stored);
    // The clock of drafts is the machine's: two at once are within 500 ms unless it stood still in between.
    let (second, due) = (writer.write(clean("I th")).await.unwrap(), writer.due_in());
    assert!(second == Wrote::Held || due.as_millis() > 0);
    writer.write(clean("I think")).await.unwrap();
    writer.flush().await.unwrap();
    let drafts = said(&house, thread.id).await;
    assert_eq!(
        drafts[1],
        (
            2,
            MessageKind::Assistant,
            MessageStatus::Draft,
            "I think".to_owned()
        )
    );

    let done = writer.finish(&last("I think so")).await.unwrap();
    assert_eq!((done.sequence, done.status), (2, MessageStatus::Final));
    let events = house.event_count().await;
    assert_eq!(
        writer.finish(&last("I think so")).await.unwrap(),
        done,
        "a replay"
    );
    assert_eq!(house.event_count().await, events);
    let other = writer.finish(&last("no")).await.unwrap_err();
    assert!(
        matches!(other, CommandError::Rejected { reason, .. } if reason.word() == "final"),
        "{other}"
    );
    let late = writer.write(clean("more")).await;
    let late = match late {
        Ok(_) => writer.flush().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(late.code(), "rejected");
    finish(
        &house,
        &claimed,
        &Outcome::Success {
            text: Some(clean("said elsewhere")),
        },
    )
    .await;
    assert_eq!(said(&house, thread.id).await.len(), 2, "one final message a run");
}

pub(super) async fn what_a_run_leaves_unfinished_is_interrupted_and_what_it_said_is_its_answer(house: House) {
    let thread = thread(&house).await;
    let posted = post(&house, thread.id, "hello").await;
    let claimed = claim(&house, posted.task.unwrap()).await;
    let mut writer = house.tenant.threads.writer(&claimed).unwrap();
    writer.write(clean("I th")).await.unwrap();
    let outcome = Outcome::Success {
        text: Some(clean("forty-two")),
    };
    finish(&house, &claimed, &outcome).await;
    let said = said(&house, thread.id).await;
    assert_eq!(
        said[1..],
        [
            (
                2,
                MessageKind::Assistant,
                MessageStatus::Interrupted,
                "I th".to_owned()
            ),
            (
                3,
                MessageKind::Assistant,
                MessageStatus::Final,
                "forty-two".to_owned()
            ),
        ]
    );
}

async fn a_replaced_run_writes_nothing_into_its_thread(house: House) {
    let thread = thread(&house).await;
    let posted = post(&house, thread.id, "hello").await;
    let claimed = claim(&house, posted.task.unwrap()).await;
    let mut writer = house.tenant.threads.writer(&claimed).unwrap();
    writer.write(clean("I")).await.unwrap();
    let other = house.successor().await;
    assert_eq!(
        other.recover(&super::house::NoOrphans).await.unwrap().ended.len(),
        1
    );
    let before = house.stored().await;
    let fenced = writer.finish(&last("too late")).await.unwrap_err();
    assert_eq!(fenced.code(), "fenced");
    assert_eq!(house.stored().await, before);
    assert_eq!(said(&house, thread.id).await[1].2, MessageStatus::Interrupted);
}

async fn a_large_text_comes_back_whole(house: House) {
    let thread = thread(&house).await;
    let text = "a sheep, ".repeat(40 * 1024);
    let message = NewMessage {
        attachments: vec![NewAttachment {
            id: "a".to_owned(),
            name: "sheep.txt".to_owned(),
            media_type: "text/plain".to_owned(),
            text: Some("w".repeat(100_000)),
        }],
        ..NewMessage::user(&text)
    };
    let threads = &house.tenant.threads;
    let append = Append::submit(message);
    let posted = threads.append(&operator(), thread.id, &append).await.unwrap();
    let row = threads.message_of(posted.message).await.unwrap();
    let kept = row.text.as_ref().unwrap();
    assert_eq!(kept.bytes(), text.len() as u64);
    assert_eq!(threads.text(kept).await.unwrap().as_str(), text);
    let attached = row.attachments[0].text.as_ref().unwrap();
    assert_eq!(threads.text(attached).await.unwrap().len(), 100_000);
    assert!(house.entry("message", &posted.sequence).await.value.len() < 8 * 1024);
}

async fn what_is_out_of_bounds_is_refused_and_nothing_is_written(house: House) {
    let thread = thread(&house).await;
    let attachment = |id: &str, text: Option<String>| NewAttachment {
        id: id.to_owned(),
        name: "name".to_owned(),
        media_type: "text/plain".to_owned(),
        text,
    };
    let user = |attachments| NewMessage {
        attachments,
        ..NewMessage::user("text")
    };
    let large = NewMessage::user("x".repeat(4 * 1024 * 1024 + 1));
    let of_kind = |kind| NewMessage {
        kind,
        ..NewMessage::user("text")
    };
    let many = (0..33).map(|n| attachment(&n.to_string(), None)).collect();
    let provider = NewMessage {
        provider: serde_json::json!({ "raw": "x".repeat(17 * 1024) })
            .as_object()
            .unwrap()
            .clone(),
        ..NewMessage::user("text")
    };
    let twice = vec![attachment("a", None), attachment("a", None)];
    let long = vec![attachment("a", Some("ä".repeat(EXTRACTED_MAX + 1)))];
    let cases = [
        (Append::submit(large), "too_large"),
        (Append::submit(user(many)), "too_large"),
        (Append::submit(user(twice)), "invalid"),
        (Append::submit(user(long)), "too_large"),
        (Append::submit(user(vec![attachment("", None)])), "invalid"),
        (Append::submit(provider), "too_large"),
        (Append::submit(of_kind(MessageKind::System)), "invalid"),
        (Append::note(of_kind(MessageKind::User)), "invalid"),
        (Append::note(of_kind(MessageKind::Summary)), "invalid"),
    ];
    let before = house.stored().await;
    for (append, code) in cases {
        let refused = house.tenant.threads.append(&operator(), thread.id, &append).await;
        assert_eq!(refused.unwrap_err().code(), code, "{:?}", append.message.kind);
        assert_eq!(house.stored().await, before);
    }
    let unknown = ThreadId::make(thread.created_at, &Random::seeded(99));
    let append = Append::submit(NewMessage::user("text"));
    let missing = house.tenant.threads.append(&operator(), unknown, &append).await;
    assert_eq!(
        missing.unwrap_err().to_string(),
        format!("there is no thread {unknown}")
    );
    let other = house.engine.tenant(&"other".parse().unwrap()).await.unwrap();
    let foreign = other.threads.append(&operator(), thread.id, &append).await;
    assert_eq!(foreign.unwrap_err().code(), "not_found");
}

async fn a_closed_thread_takes_nothing_and_a_deleted_one_is_missing(house: House) {
    let thread = thread(&house).await;
    note(&house, thread.id, "before").await;
    let threads = &house.tenant.threads;
    let closed = threads.close(&operator(), thread.id).await.unwrap();
    assert_eq!(closed.state, ThreadState::Closed);
    let events = house.event_count().await;
    threads.close(&operator(), thread.id).await.unwrap();
    assert_eq!(house.event_count().await, events, "twice is once");
    let append = Append::submit(NewMessage::user("after"));
    let refused = threads.append(&operator(), thread.id, &append).await;
    assert_eq!(refused.unwrap_err().code(), "rejected");

    threads.delete(&operator(), thread.id).await.unwrap();
    assert_eq!(threads.get(thread.id).await.unwrap_err().code(), "not_found");
    assert_eq!(
        threads.messages(thread.id, 0, 10).await.unwrap_err().code(),
        "not_found"
    );
    assert!(!house.stored().await.contains("before"));
    assert!(threads.list(None, None, 10).await.unwrap().rows.is_empty());
    assert_eq!(
        threads.delete(&operator(), thread.id).await.unwrap_err().code(),
        "not_found"
    );
}

async fn a_thread_with_a_turn_under_way_is_not_deleted(house: House) {
    let thread = thread(&house).await;
    let posted = post(&house, thread.id, "hello").await;
    let threads = &house.tenant.threads;
    let refused = threads.delete(&operator(), thread.id).await.unwrap_err();
    assert_eq!(refused.code(), "rejected");
    let task = posted.task.unwrap();
    house.tenant.tasks.cancel(&operator(), task, None).await.unwrap();
    for n in 0..70 {
        note(&house, thread.id, &format!("sheep {n}")).await;
    }
    threads.delete(&operator(), thread.id).await.unwrap();
    assert!(!house.stored().await.contains("sheep 69"), "all pages went");
}

async fn threads_and_messages_are_listed_page_by_page(house: House) {
    let first = thread(&house).await;
    let threads = &house.tenant.threads;
    let bob = house.agent("bob").await;
    house.clock.advance(1);
    let second = threads
        .create(&operator(), &NewThread::new(bob.clone()))
        .await
        .unwrap();
    house.clock.advance(1);
    for n in 0..7 {
        note(&house, first.id, &format!("sheep {n}")).await;
    }
    let page = threads.list(None, None, 1).await.unwrap();
    assert_eq!(page.rows[0].id, first.id, "the latest activity first");
    let page = threads.list(None, page.next, 1).await.unwrap();
    assert_eq!(page.rows[0].id, second.id);
    let of_bob = threads.list(Some(&bob), None, 10).await.unwrap().rows;
    assert_eq!(of_bob.len(), 1);
    let (mut seen, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let page = threads.messages(first.id, from, 3).await.unwrap();
        seen.extend(page.rows.iter().map(|message| message.sequence));
        after = page.next;
    }
    assert_eq!(seen, (1..=7).collect::<Vec<_>>());
    let short = &first.id.to_string()[..13];
    assert!(
        threads.resolve(short).await.is_ok() || first.id.to_string()[..13] == second.id.to_string()[..13]
    );
    let run = RunId::make(first.created_at, &Random::seeded(1)).to_string();
    assert_eq!(threads.resolve(&run).await.unwrap_err().code(), "invalid");
}
