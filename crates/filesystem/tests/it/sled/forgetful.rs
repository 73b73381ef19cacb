//! Trees that forgot something without a word, as sled recovers from damage.

use dormouse_filesystem::RecordStore;

use super::kit::{Place, content, created, log, soon};

/// Where the first block of a tree begins; the only one that it has here.
const FIRST_BLOCK: &[u8] = b"";

/// Its ends are replayed over, so they are as they must be; what it counts is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_forgotten_for_an_older_one_is_rebuilt_with_all_its_bytes() {
    let place = Place::new();
    let mut older = None;
    for life in 0..2 {
        let store = place.open().await;
        for n in 0..5 {
            created(&store, &format!("k/{life}/{n}"), "").await;
        }
        store.close(soon()).await.unwrap();
        drop(store);
        if life == 0 {
            older = place
                .trees()
                .open_tree("heads")
                .unwrap()
                .get(FIRST_BLOCK)
                .unwrap();
        }
    }
    let store = place.open().await;
    created(&store, "k/last", "").await;
    let before = (content(&store).await, store.head(&log()).await.unwrap());
    drop(store);
    let trees = place.trees();
    trees
        .open_tree("heads")
        .unwrap()
        .insert(FIRST_BLOCK, older.unwrap())
        .unwrap();
    trees.flush().unwrap();
    drop(trees);
    let store = place.open().await;
    let after = (content(&store).await, store.head(&log()).await.unwrap());
    assert_eq!(after, before);
}
