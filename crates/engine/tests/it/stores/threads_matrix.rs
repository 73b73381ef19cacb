//! Every status of a message × every command, through the services: answers as in the golden file, and what is ignored
//! or rejected leaves every byte as it was.

use dormouse_engine::run::Claimed;
use dormouse_engine::thread::{
    Append, Appended, Arrival, DraftWriter, Final, Message, MessageAt, MessageStatus, NewMessage, NewThread,
    WhenBusy,
};
use dormouse_engine::{CommandError, ThreadId};
use dormouse_filesystem::{Records, Version, Versioned};
use dormouse_secrets::{Scrubbed, Scrubber};

use super::golden::{aligned, check};
use super::house::{House, facts, name, operator, success};
use super::matrix::{bytes, refusal};
use super::threads::{claim, note, post};

super::on_every_store! {
    every_status_of_a_message_meets_every_command;
}

const COMMANDS: [&str; 10] = [
    "send",
    "send, busy",
    "reject",
    "update",
    "finalise",
    "finalise again",
    "interrupt",
    "supersede",
    "redact",
    "delete",
];

fn clean(text: &str) -> Scrubbed {
    Scrubber::empty().scrub(text)
}

fn last() -> Final {
    Final {
        text: clean("it is said"),
        provider: serde_json::Map::new(),
    }
}

fn at(message: Appended) -> MessageAt {
    MessageAt {
        thread: message.thread,
        sequence: message.sequence,
    }
}

async fn append(house: &House, thread: ThreadId, arrival: Arrival) -> Appended {
    let append = Append {
        message: NewMessage::user("what is there?"),
        arrival,
        run: None,
    };
    let threads = &house.tenant.threads;
    threads.append(&operator(), thread, &append).await.unwrap()
}

/// A thread with a turn that a run is at.
async fn busy(house: &House, thread: ThreadId) -> Claimed {
    let turn = post(house, thread, "first").await;
    claim(house, turn.task.unwrap()).await
}

/// The message that a run writes.
async fn draft(house: &House, writer: &mut DraftWriter<'_>, thread: ThreadId) -> Appended {
    writer.write(clean("it is")).await.unwrap();
    writer.flush().await.unwrap();
    let page = house.tenant.threads.messages(thread, 0, 10).await.unwrap();
    let written = page.rows.last().unwrap();
    Appended {
        thread,
        sequence: written.sequence,
        message: written.id,
        status: written.status,
        task: None,
        run: None,
    }
}

/// The row, also of a message that is deleted, and so missing for everybody else.
async fn row(house: &House, message: Appended) -> Versioned<Message> {
    let rows = Records::<Message>::new(house.tenant.space());
    rows.get(&at(message)).await.unwrap().unwrap()
}

/// What is stored: not every store's bytes are all read, so the version of the row is said too.
async fn stored(house: &House, message: Appended) -> (String, Version) {
    (bytes(house).await, row(house, message).await.version())
}

async fn finish(house: &House, claimed: &Claimed) {
    let runs = &house.tenant.runs;
    runs.finish(claimed, &success(), &facts()).await.unwrap();
}

/// A message in this status; where a run wrote it, that is `claimed`, by its `writer`.
async fn message_in(
    house: &House,
    thread: ThreadId,
    state: MessageStatus,
    claimed: Option<&Claimed>,
    writer: &mut Option<DraftWriter<'_>>,
) -> Appended {
    let threads = &house.tenant.threads;
    let Some(writer) = writer else {
        return match state {
            MessageStatus::Accepted => append(house, thread, Arrival::Accept).await,
            MessageStatus::Queued => {
                post(house, thread, "first").await;
                post(house, thread, "second").await
            }
            MessageStatus::Submitted => post(house, thread, "first").await,
            other => panic!("a run is needed for {other}"),
        };
    };
    if state == MessageStatus::RejectedBusy {
        return append(house, thread, Arrival::Submit(WhenBusy::Reject)).await;
    }
    let written = draft(house, writer, thread).await;
    match state {
        MessageStatus::Final => drop(writer.finish(&last()).await.unwrap()),
        MessageStatus::Interrupted => finish(house, claimed.unwrap()).await,
        MessageStatus::Superseded => {
            let by = note(house, thread, "instead").await.sequence;
            threads.supersede(&operator(), at(written), by).await.unwrap();
        }
        MessageStatus::Redacted => drop(threads.redact(&operator(), at(written)).await.unwrap()),
        MessageStatus::Deleted => {
            let deleted = threads.delete_message(&operator(), at(written)).await;
            deleted.unwrap();
        }
        _ => {}
    }
    written
}

async fn cell(house: &House, state: MessageStatus, command: &str) -> String {
    let threads = &house.tenant.threads;
    let made = threads.create(&operator(), &NewThread::new(name("alice"))).await;
    let thread = made.unwrap().id;
    let needs_run = !matches!(
        state,
        MessageStatus::Accepted | MessageStatus::Queued | MessageStatus::Submitted
    );
    let claimed = match needs_run {
        true => Some(busy(house, thread).await),
        false => None,
    };
    let mut writer = claimed.as_ref().and_then(|claimed| threads.writer(claimed));
    let message = message_in(house, thread, state, claimed.as_ref(), &mut writer).await;
    assert_eq!(row(house, message).await.status, state);
    let is_by_run = matches!(command, "update" | "finalise" | "finalise again" | "interrupt");
    if is_by_run && (claimed.is_none() || state == MessageStatus::RejectedBusy) {
        return "no run".to_owned();
    }
    let other = match command {
        "supersede" => note(house, thread, "instead").await.sequence,
        "send, busy" | "reject" if claimed.is_none() && state == MessageStatus::Accepted => {
            busy(house, thread).await;
            0
        }
        _ => 0,
    };
    let before = stored(house, message).await;
    let answer = obey(house, command, message, other, claimed.as_ref(), writer.as_mut()).await;
    let is_untouched = before == stored(house, message).await;
    match answer {
        Err(error) => {
            assert!(is_untouched, "{state} × {command} was refused and yet wrote");
            refusal(&error)
        }
        Ok(()) if is_untouched => "ignored".to_owned(),
        Ok(()) => match row(house, message).await.status {
            after if after == state => "·".to_owned(),
            after => after.word().to_owned(),
        },
    }
}

async fn obey(
    house: &House,
    command: &str,
    message: Appended,
    other: u64,
    claimed: Option<&Claimed>,
    writer: Option<&mut DraftWriter<'_>>,
) -> Result<(), CommandError> {
    let (threads, by, at) = (&house.tenant.threads, &operator(), at(message));
    let by_run = || writer.expect("a run wrote it");
    match command {
        "send" | "send, busy" => threads.send(by, at, WhenBusy::Queue).await.map(drop),
        "reject" => threads.send(by, at, WhenBusy::Reject).await.map(drop),
        "update" => {
            let writer = by_run();
            writer.write(clean("it is so")).await?;
            writer.flush().await
        }
        "finalise" => {
            let other = Final {
                text: clean("it is said otherwise"),
                ..last()
            };
            by_run().finish(&other).await.map(drop)
        }
        "finalise again" => by_run().finish(&last()).await.map(drop),
        "interrupt" => {
            let runs = &house.tenant.runs;
            runs.finish(claimed.expect("a run wrote it"), &success(), &facts())
                .await
                .map(drop)
        }
        "supersede" => threads.supersede(by, at, other).await.map(drop),
        "redact" => threads.redact(by, at).await.map(drop),
        "delete" => threads.delete_message(by, at).await.map(drop),
        other => panic!("no command {other}"),
    }
}

async fn every_status_of_a_message_meets_every_command(house: House) {
    house.agent("alice").await;
    let head = std::iter::once("").chain(COMMANDS).map(str::to_owned);
    let mut rows = vec![head.collect::<Vec<_>>()];
    for state in MessageStatus::ALL {
        let mut row = vec![state.word().to_owned()];
        for command in COMMANDS {
            row.push(cell(&house, state, command).await);
        }
        rows.push(row);
    }
    check("services_messages.txt", &aligned(&rows));
}
