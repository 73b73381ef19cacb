//! Exports over pages that take their time, and readers who do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::{EXPORT_IDLE, ExportPoint, Exported, Pages, RecordsPage, paged};
use crate::{Entry, Key, LogHead, Logged, Position, ReadError, RecordKind, Stream, Version};

/// Longest wait for a page, as of a server.
const PAGE_TIME_MAX: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Pages of two records, of which each but the first takes its time, in two parts.
struct Twos {
    pages: usize,
    page_time: Duration,
    /// How many were asked for.
    asked: Arc<AtomicUsize>,
    /// There as long as the pages are.
    _snapshot: Arc<()>,
}

/// An export of them, and what can be seen of it from outside.
struct Seen {
    items: BoxStream<'static, String>,
    asked: Arc<AtomicUsize>,
    snapshot: Weak<()>,
}

impl Seen {
    fn of(pages: usize, page_time: Duration, idle: Duration) -> Self {
        let (asked, held) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
        let snapshot = Arc::downgrade(&held);
        let twos = Twos {
            pages,
            page_time,
            asked: Arc::clone(&asked),
            _snapshot: held,
        };
        Self {
            items: paged(async { Ok(twos) }, idle).map(told).boxed(),
            asked,
            snapshot,
        }
    }

    async fn next(&mut self) -> String {
        self.items.next().await.expect("there is more")
    }

    async fn rest(self) -> Vec<String> {
        self.items.collect().await
    }

    fn is_held(&self) -> bool {
        self.snapshot.strong_count() > 0
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn unavailable(reason: &'static str) -> ReadError {
    ReadError::Unavailable { reason, source: None }
}

fn name(page: usize, record: char) -> Key {
    Key::parse(&format!("{page}{record}")).expect("it is a name")
}

fn record(key: Key) -> Result<Entry, ReadError> {
    Ok(Entry {
        key,
        value: bytes::Bytes::new(),
        version: Version::new(1),
        kind: RecordKind::of("test"),
    })
}

impl Pages for Twos {
    fn point(&self) -> ExportPoint {
        ExportPoint {
            store: [0; 16],
            version: Version::new(1),
        }
    }

    async fn records(&mut self, after: Option<Key>) -> Result<RecordsPage, ReadError> {
        let page = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let in_parts = async {
            sleep(self.page_time / 2).await;
            sleep(self.page_time / 2).await;
        };
        if after.is_some() && timeout(PAGE_TIME_MAX, in_parts).await.is_err() {
            return Err(unavailable("the server"));
        }
        Ok(RecordsPage {
            items: ['a', 'b'].map(|of| record(name(page, of))).into(),
            next: (page < self.pages).then(|| name(page, 'b')),
        })
    }

    async fn heads(&mut self, _: Option<Stream>) -> Result<Vec<(Stream, LogHead)>, ReadError> {
        Ok(Vec::new())
    }

    async fn entries(
        &mut self,
        _: &Stream,
        _: &LogHead,
        _: Position,
    ) -> Result<Vec<Result<Logged, ReadError>>, ReadError> {
        Ok(Vec::new())
    }
}

fn told(item: Result<Exported, ReadError>) -> String {
    match item {
        Ok(Exported::Record(entry)) => entry.key.to_string(),
        Ok(Exported::Point(_)) => "point".to_owned(),
        Ok(Exported::End(_)) => "end".to_owned(),
        Ok(other) => panic!("{other:?}"),
        Err(ReadError::Unavailable { reason, .. }) => reason.to_owned(),
        Err(ReadError::ExportIdle { idle }) => format!("idle {}", idle.as_secs()),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_is_read_in_its_time_however_late_its_consumer_comes() {
    let mut export = Seen::of(2, 2 * SECOND, 3600 * SECOND);
    assert_eq!(export.next().await, "point");
    assert_eq!(export.next().await, "1a");
    sleep(PAGE_TIME_MAX + SECOND).await;
    assert_eq!(export.rest().await, ["1b", "2a", "2b", "end"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_page_read_ahead_comes_behind_what_was_read_and_is_the_last() {
    let mut export = Seen::of(2, 2 * PAGE_TIME_MAX, EXPORT_IDLE);
    assert_eq!(export.next().await, "point");
    assert_eq!(export.next().await, "1a");
    // It was read, and failed, by then: with it goes what it was read from.
    sleep(PAGE_TIME_MAX + SECOND).await;
    assert!(!export.is_held());
    assert_eq!(export.next().await, "1b");
    assert_eq!(export.next().await, "the server");
    assert_eq!(export.items.next().await, None);
    assert_eq!(export.items.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_one_item_is_not_read_behind() {
    let mut export = Seen::of(2, Duration::ZERO, EXPORT_IDLE);
    assert_eq!(export.next().await, "point");
    sleep(SECOND).await;
    assert_eq!(export.asked(), 0);
    assert_eq!(export.next().await, "1a");
    sleep(SECOND).await;
    assert_eq!(export.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_task_outlives_an_export() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut export = Seen::of(2, 2 * SECOND, EXPORT_IDLE);
    export.next().await;
    export.next().await;
    assert_eq!(tasks(), 2, "one reads, one watches");
    drop(export);
    yield_now().await;
    assert_eq!(tasks(), 0);
    let mut whole = Seen::of(2, 2 * SECOND, EXPORT_IDLE);
    while whole.items.next().await.is_some() {}
    yield_now().await;
    assert_eq!(tasks(), 0);
}

/// What is held between two pages goes with the export, in the same moment: the next one finds its place.
#[tokio::test(start_paused = true)]
async fn an_export_that_is_dropped_holds_nothing_from_then_on() {
    let mut export = Seen::of(2, 2 * SECOND, EXPORT_IDLE);
    export.next().await;
    let snapshot = export.snapshot.clone();
    assert_eq!(snapshot.strong_count(), 1);
    drop(export);
    assert_eq!(snapshot.strong_count(), 0);
}

/// FS-78, of the mechanism; at each backend in `tests/it`.
#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_told_so_and_nothing_is_held_for_it() {
    // With nothing taken, at the first item of a page, at its last.
    for (taken, next) in [(1, "point"), (2, "1a"), (3, "1b")] {
        let mut export = Seen::of(3, 2 * SECOND, EXPORT_IDLE);
        for _ in 1..taken {
            export.next().await;
        }
        assert_eq!(export.next().await, next);
        // What is being read is read first.
        sleep(EXPORT_IDLE + 3 * SECOND).await;
        assert!(!export.is_held(), "behind {next}");
        assert_eq!(export.rest().await, ["idle 60"], "behind {next}");
    }
}

/// FS-78: asked for something once, and never again.
#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_come_for_what_it_asked_for_is_let_go() {
    let mut export = Seen::of(2, 2 * SECOND, EXPORT_IDLE);
    assert!(futures::poll!(export.items.next()).is_pending());
    sleep(EXPORT_IDLE + SECOND).await;
    assert!(!export.is_held());
    assert_eq!(export.rest().await, ["idle 60"]);
}

/// FS-78: eight hours for three pages, an item each time that it was about to be let go.
#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_an_item_now_and_then_is_never_cut() {
    let mut export = Seen::of(3, 2 * SECOND, 3600 * SECOND);
    let mut items = Vec::new();
    while let Some(item) = export.items.next().await {
        items.push(item);
        sleep(3599 * SECOND).await;
    }
    assert_eq!(items, ["point", "1a", "1b", "2a", "2b", "3a", "3b", "end"]);
}

/// FS-78: neither while the reader waits for a page nor while one is read ahead.
#[tokio::test(start_paused = true)]
async fn time_in_which_the_store_reads_counts_for_nobody() {
    let idle = 5 * SECOND;
    let mut export = Seen::of(3, 50 * SECOND, idle);
    assert_eq!(export.next().await, "point");
    assert_eq!(export.next().await, "1a");
    assert_eq!(export.next().await, "1b");
    assert_eq!(export.next().await, "2a", "it was waited for ten times as long");
    // The third is read for 50 s from here on.
    sleep(54 * SECOND).await;
    assert!(export.is_held());
    assert_eq!(export.rest().await, ["2b", "3a", "3b", "end"]);
}

/// The limit begins when a page is there, not when it was asked for.
#[tokio::test(start_paused = true)]
async fn a_page_that_was_read_ahead_is_held_for_the_limit() {
    let mut export = Seen::of(3, 50 * SECOND, 5 * SECOND);
    for _ in 0..2 {
        export.next().await;
    }
    sleep(54 * SECOND).await;
    assert!(export.is_held());
    sleep(2 * SECOND).await;
    assert!(!export.is_held());
    assert_eq!(export.rest().await, ["idle 5"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_to_its_end_holds_nothing_and_is_handed_out_however_late() {
    let mut export = Seen::of(1, Duration::ZERO, EXPORT_IDLE);
    assert_eq!(export.next().await, "point");
    assert_eq!(export.next().await, "1a");
    sleep(SECOND).await;
    assert!(!export.is_held());
    sleep(10 * EXPORT_IDLE).await;
    assert_eq!(export.rest().await, ["1b", "end"]);
}
