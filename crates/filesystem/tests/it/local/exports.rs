//! Exports of which nobody takes anything.

use std::time::Duration;

use dormouse_filesystem::{EXPORT_IDLE, RecordStore};

use super::kit::{Place, soon};
use crate::silent_exports;

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
