//! Exports of which nobody takes anything, on every backend.

use std::time::Duration;

use dormouse_filesystem::{
    Batch, Deadline, Expected, Exported, Key, Lane, Prefix, ReadError, RecordKind, RecordStore,
};
use futures::StreamExt;
use tokio::time::sleep;

/// More than two pages: when one is handed out and one was read, there is more to be held.
const RECORDS: usize = 2500;

pub(crate) async fn fill(store: &dyn RecordStore) {
    for from in (0..RECORDS).step_by(500) {
        let mut batch = Batch::new(Lane::System);
        for n in from..from + 500 {
            let key = Key::parse(&format!("k/{n:04}")).unwrap();
            batch.put(key, Expected::Absent, RecordKind::of("test"), "");
        }
        let soon = Deadline::after(Duration::from_secs(60));
        store.commit(batch, soon).await.unwrap();
    }
}

/// What another export meets: its point, where the place was free.
async fn another(store: &dyn RecordStore) -> Result<Exported, ReadError> {
    store.export(&Prefix::root()).next().await.unwrap()
}

/// Takes items as late as it may, then none; `margin` is what a machine may be late.
pub(crate) async fn is_let_go(store: &dyn RecordStore, idle: Duration, margin: Duration) {
    let mut export = store.export(&Prefix::root());
    let point = export.next().await.unwrap().unwrap();
    assert!(matches!(point, Exported::Point(_)), "{point:?}");
    for n in 0..3 {
        sleep(idle - margin).await;
        let taken = export.next().await.unwrap();
        assert!(matches!(taken, Ok(Exported::Record(_))), "{n}: {taken:?}");
        let refused = another(store).await;
        assert!(
            matches!(refused, Err(ReadError::Unavailable { .. })),
            "{n}: {refused:?}"
        );
    }
    sleep(idle + margin).await;
    assert_eq!(another(store).await.unwrap(), point, "nobody wrote");
    let told = export.next().await.unwrap();
    assert!(
        matches!(told, Err(ReadError::ExportIdle { idle: of }) if of == idle),
        "{told:?}"
    );
    assert!(export.next().await.is_none(), "it is the last");
    let mut records = 0;
    let mut again = store.export(&Prefix::root());
    while let Some(item) = again.next().await {
        records += usize::from(matches!(item.unwrap(), Exported::Record(_)));
    }
    assert_eq!(records, RECORDS, "begun again it is whole");
}
