//! How many commits a group has beside another lane follows from groups that were flushed, and from no others.

use std::sync::mpsc;

use futures::future::join_all;

use super::{Sled, SledOptions};
use crate::{Batch, CommitError, Deadline, Expected, Key, Lane, RecordKind, RecordStore};

const KIND: RecordKind = RecordKind::of("test");

fn create(name: &str) -> Batch {
    let mut batch = Batch::new(Lane::System);
    batch.put(Key::parse(name).expect("a name"), Expected::Absent, KIND, "");
    batch
}

/// Commits that are one group: they wait while another commit is kept from the index.
async fn at_once(store: &Sled, names: &[String]) -> Vec<Result<crate::Committed, CommitError>> {
    let deadline = Deadline::after(std::time::Duration::from_secs(60));
    let shared = store.0.shared();
    let (release, released) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let holding = std::thread::spawn({
        let shared = std::sync::Arc::clone(shared);
        move || {
            let hold = |_: &mut super::index::Index| {
                begun.send(()).expect("it is awaited");
                assert!(released.recv().is_err());
                Ok(())
            };
            shared.change_index(hold).expect("it changes nothing");
        }
    });
    has_begun.await.expect("it begins");
    let mut first = store.commit(create("first"), deadline);
    assert!(futures::poll!(&mut first).is_pending());
    while shared.queue.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    let mut others = Box::pin(join_all(
        names.iter().map(|name| store.commit(create(name), deadline)),
    ));
    assert!(futures::poll!(&mut others).is_pending());
    drop(release);
    holding.join().expect("it ends");
    drop(first.await);
    let answers = others.await;
    // The group is behind the committer once the next one is answered.
    let last = store.commit(create(&format!("behind/{}", names[0])), deadline);
    drop(last.await);
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_which_all_is_refused_says_nothing_of_how_many_commits_a_flush_is_worth() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SledOptions {
        reserve_bytes: 0,
        segment_bytes: 64 * 1024,
        ..SledOptions::new(jiff::Timestamp::UNIX_EPOCH)
    };
    let store = Sled::open(&folder.path().join("store"), options)
        .await
        .expect("it opens");
    store
        .commit(
            create("taken"),
            Deadline::after(std::time::Duration::from_secs(60)),
        )
        .await
        .expect("it is free");
    let refused = at_once(&store, &vec!["taken".to_owned(); 20]).await;
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    assert_eq!(store.0.shared().queue.shared_max(), 0, "nothing was said yet");
    let names: Vec<String> = (0..20).map(|n| format!("new/{n}")).collect();
    let done = at_once(&store, &names).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert!(store.0.shared().queue.shared_max() > 0);
}
