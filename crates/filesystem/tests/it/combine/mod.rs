//! The combiner: updates of one key go as one commit, and each is told its own.

mod dropouts;
mod groups;
mod queues;

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{
    Batch, Change, Deadline, Entry, Expected, Key, Lane, RecordKind, Store, Stream, UpdateError, Updated,
    Version,
};
use futures::future::{BoxFuture, FutureExt};
use futures::poll;

use crate::scripted::Scripted;

pub(crate) const KIND: RecordKind = RecordKind::of("test");
pub(crate) const SLOW: Duration = Duration::from_millis(2);

pub(crate) type Answer = Result<Updated<String>, UpdateError<&'static str>>;

pub(crate) fn row() -> Key {
    Key::parse("a/row").unwrap()
}

pub(crate) fn log() -> Stream {
    Stream::new(Key::parse("a/log").unwrap())
}

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// A store and its combiner.
pub(crate) fn combined(store: Scripted) -> (Arc<Scripted>, Store) {
    let scripted = Arc::new(store);
    (Arc::clone(&scripted), Store::new(scripted, 1))
}

pub(crate) fn text(entry: Option<&Entry>) -> String {
    entry.map_or_else(String::new, |e| String::from_utf8(e.value.to_vec()).unwrap())
}

/// What one caller's update does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Adds(char),
    AddsAndLogs(char),
    Keeps,
    Refuses,
    Panics,
    /// Adds, with a further write that can never hold.
    AddsInVain(char),
    /// Adds, if this further record is absent.
    AddsIfAbsent(char, &'static str),
    Deletes,
    /// Adds, and creates this further record.
    AddsBeside(char, &'static str),
}

/// The record's text with one letter more; the outcome is what it was before.
pub(crate) fn change(does: Does, entry: Option<&Entry>) -> Result<(Change, String), &'static str> {
    let before = text(entry);
    let adds = |letter: char| Change::put(KIND, format!("{before}{letter}"));
    let mut more = Batch::new(Lane::System);
    let change = match does {
        Does::Adds(letter) => adds(letter),
        Does::AddsAndLogs(letter) => {
            more.append(log(), letter.to_string());
            adds(letter).with(more)
        }
        Does::Keeps => Change::keep(),
        Does::Refuses => return Err("refused"),
        Does::Panics => panic!("by the function"),
        Does::AddsInVain(letter) => {
            more.check(Key::parse("never/there").unwrap(), Expected::At(Version::new(7)));
            adds(letter).with(more)
        }
        Does::AddsIfAbsent(letter, beside) => {
            more.check(Key::parse(beside).unwrap(), Expected::Absent);
            adds(letter).with(more)
        }
        Does::Deletes => Change::delete(),
        Does::AddsBeside(letter, beside) => {
            more.put(
                Key::parse(beside).unwrap(),
                Expected::Absent,
                KIND,
                letter.to_string(),
            );
            adds(letter).with(more)
        }
    };
    Ok((change, before))
}

/// An update that has entered its queue.
pub(crate) async fn entered(store: &Store, does: Does) -> BoxFuture<'static, Answer> {
    let store = store.clone();
    let mut update = async move {
        store
            .update(&row(), &Lane::System, move |entry| change(does, entry))
            .await
    }
    .boxed();
    assert!(poll!(&mut update).is_pending());
    update
}

pub(crate) async fn stored(store: &Store) -> String {
    text(store.get(&row()).await.unwrap().as_ref())
}

/// Once nobody waits, no queue is left: its task may only need its turn to end.
pub(crate) async fn at_rest(store: &Store) {
    for _ in 0..100 {
        if format!("{store:?}") == "Store(scripted, 0 keys being updated)" {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{store:?}");
}

/// An update whose commit is in flight: who enters now waits for it.
pub(crate) async fn in_flight(store: &Store) -> BoxFuture<'static, Answer> {
    let blocker = entered(store, Does::Adds('_')).await;
    tokio::task::yield_now().await;
    blocker
}
