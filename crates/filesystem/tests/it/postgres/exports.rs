//! Exports of which nobody takes anything.

use std::time::Duration;

use dormouse_filesystem::{Exported, Postgres, PostgresOptions, Prefix, ReadError, RecordStore};
use futures::StreamExt;
use tokio::time::{Instant, sleep};

use super::place::{Database, NOW, Place, beside, is_here, run, url};
use crate::silent_exports;

/// FS-78, by the clock of the server's machine.
#[test]
fn an_export_of_which_nobody_takes_anything_is_let_go() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let idle = Duration::from_secs(4);
        let options = PostgresOptions {
            export_idle: idle,
            ..place.options(NOW)
        };
        let store = Postgres::open(&url(), options).await.unwrap();
        silent_exports::fill(&store).await;
        silent_exports::is_let_go(&store, idle, idle / 2).await;
    });
}

/// Nobody comes back for the export: its transaction ends without that.
#[test]
fn a_silent_export_leaves_no_transaction_on_the_server() {
    if !is_here() {
        return;
    }
    run(async {
        let (database, place) = (Database::make().await, Place::default());
        let options = PostgresOptions {
            export_idle: Duration::from_secs(1),
            ..place.options(NOW)
        };
        let store = Postgres::open(&database.url(), options).await.unwrap();
        silent_exports::fill(&store).await;
        let mut export = store.export(&Prefix::root());
        for _ in 0..2 {
            export.next().await.unwrap().unwrap();
        }
        let client = beside(&database.url()).await;
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND state LIKE 'idle in transaction%'";
        let patience = Instant::now() + Duration::from_secs(30);
        while client.query_one(open, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            assert!(Instant::now() < patience, "a transaction is left");
            sleep(Duration::from_millis(50)).await;
        }
        let again = store.export(&Prefix::root()).next().await.unwrap();
        assert!(matches!(again, Ok(Exported::Point(_))), "{again:?}");
        let told = export.next().await.unwrap();
        assert!(matches!(told, Err(ReadError::ExportIdle { .. })), "{told:?}");
        drop(store);
    });
}
