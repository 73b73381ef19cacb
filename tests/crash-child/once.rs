//! One commit, said when it is acknowledged, and then nothing more: the process is killed at once.

use std::path::Path;

use dormouse_filesystem::{Deadline, Key, PAGE_MAX, Page, Prefix, RecordStore, RecordStoreExt, Want};
use dormouse_tests::store::Backend;
use dormouse_tests::workload::KIND;

use super::{COMMIT_DEADLINE, print};

/// Says how many records there are, writes the next, says so, and waits for its end.
pub(crate) async fn run(backend: Backend, folder: &Path) {
    let store = backend.open(folder).await.expect("the store opens");
    let count = count(&*store).await;
    print(&format!("found {count}"));
    let key = Key::parse(&format!("once/{count}")).expect("a short plain name");
    let value = format!("record {count}");
    store
        .create(key, KIND, value, Deadline::after(COMMIT_DEADLINE))
        .await
        .expect("nobody else writes");
    print("done");
    // Ends by being killed.
    std::future::pending::<()>().await;
}

async fn count(store: &dyn RecordStore) -> usize {
    let mut page = Page {
        want: Want::Keys,
        limit: PAGE_MAX,
        ..Page::of(Prefix::parse("once").expect("a short plain name"))
    };
    let mut count = 0;
    // Ends with the last page.
    loop {
        let listed = store.list(&page).await.expect("the store can be read");
        count += listed.items.len();
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return count,
        }
    }
}
