//! Exports that are dropped while they are at work, or not read on.

use std::sync::mpsc;
use std::time::Duration;

use dormouse_filesystem::{
    Batch, EXPORT_IDLE, Expected, ExportCounts, Exported, Lane, LogHead, Prefix, ReadError, RecordStore,
    Sled, Stream,
};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::BoxStream;

use super::kit::{KIND, Place, commit, created, key, soon};
use crate::silent_exports;

/// More than a page.
const RECORDS: usize = 1500;

async fn filled(place: &Place) -> Sled {
    let store = place.open().await;
    for from in (0..RECORDS).step_by(500) {
        let mut batch = Batch::new(Lane::System);
        for n in from..from + 500 {
            batch.put(key(&format!("k/{n:04}")), Expected::Absent, KIND, "");
        }
        commit(&store, batch).await.unwrap();
    }
    store
}

/// Holds the only thread that blocks, until the sender is dropped.
async fn hold_the_readers() -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let _ = begun.send(());
        let _ = released.recv();
    });
    has_begun.await.unwrap();
    release
}

/// Asks for a page, which then is being read.
async fn begin_a_page(export: &mut BoxStream<'static, Result<Exported, ReadError>>) {
    assert!(futures::poll!(export.next()).is_pending());
    // The task that reads it comes to the reader's thread.
    tokio::task::yield_now().await;
    assert!(futures::poll!(export.next()).is_pending(), "it is being read");
}

async fn an_export_dropped_at_work_keeps_its_place() {
    let place = Place::new();
    let store = filled(&place).await;
    let mut first = store.export(&Prefix::root());
    first.next().await.unwrap().unwrap();
    let held = hold_the_readers().await;
    begin_a_page(&mut first).await;
    drop(first);
    // The page is still to be looked up, in what was noted for that export.
    let refused = store.export(&Prefix::root()).next().await;
    assert!(
        matches!(&refused, Some(Err(ReadError::Unavailable { .. }))),
        "{refused:?}"
    );
    drop(held);
    // Ends once the page is read, for nobody.
    let mut next = loop {
        let mut next = store.export(&Prefix::root());
        match next.next().await {
            Some(Ok(Exported::Point(_))) => break next,
            Some(Err(ReadError::Unavailable { .. })) => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    };
    created(&store, "a", "after its point").await;
    created(&store, "k/1499x", "after its point").await;
    let mut counts = None;
    while let Some(item) = next.next().await {
        if let Exported::End(end) = item.unwrap() {
            counts = Some(end);
        }
    }
    let all = ExportCounts {
        records: RECORDS as u64,
        ..ExportCounts::default()
    };
    assert_eq!(counts, Some(all));
}

/// A runtime whose only thread that blocks can be held.
fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(test);
}

/// What the next export notes is not for a page of the former to take away.
#[test]
fn an_export_dropped_while_it_reads_holds_its_place_until_that_has_ended() {
    run(an_export_dropped_at_work_keeps_its_place());
}

/// Its next page waits for a reader, and nobody comes back for it.
async fn a_store_ends_beside_an_export_that_stands_still() {
    let place = Place::new();
    let store = filled(&place).await;
    let mut export = store.export(&Prefix::root());
    export.next().await.unwrap().unwrap();
    let held = hold_the_readers().await;
    begin_a_page(&mut export).await;
    let (release, released) = mpsc::channel::<()>();
    let holding = tokio::task::spawn_blocking(move || released.recv().is_err());
    // As many as may read at once: behind the page one of them takes its turn too.
    let log = Stream::new(key("log"));
    let mut reads = Box::pin(join_all((0..4).map(|_| store.head(&log))));
    assert!(futures::poll!(&mut reads).is_pending(), "all readers are taken");
    drop(held);
    let first = export.next().await;
    assert!(matches!(first, Some(Ok(Exported::Record(_)))), "{first:?}");
    drop(release);
    assert!(holding.await.unwrap());
    for read in reads.await {
        assert_eq!(read.unwrap(), LogHead::NONE);
    }
    drop(store);
    let opened = place.try_open().await;
    assert!(opened.is_ok(), "{opened:?}");
    drop(export);
}

#[test]
fn an_export_that_stands_still_keeps_no_store_open() {
    run(a_store_ends_beside_an_export_that_stands_still());
}

/// FS-78
#[tokio::test]
async fn an_export_of_which_nobody_takes_anything_is_let_go() {
    let place = Place::new();
    let store = place.open().await;
    silent_exports::fill(&store).await;
    // From here on nobody commits: what reads for the export stops the clock while it does.
    tokio::time::pause();
    silent_exports::is_let_go(&store, EXPORT_IDLE, Duration::from_secs(1)).await;
    tokio::time::resume();
    store.close(soon()).await.unwrap();
}
