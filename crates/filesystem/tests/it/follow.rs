//! Following a log when hints are not what they should be.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Deadline, FOLLOW_RECHECK, Key, Position, RecordStoreExt, Stream, follow};
use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use crate::scripted::Scripted;

/// FS-23; the gap is in the contract, and a reconnect is of stores behind a server, in the tests of PostgreSQL.
#[tokio::test(start_paused = true)]
async fn hints_lost_doubled_or_early_cost_time_and_nothing_else() {
    let store = Arc::new(Scripted::default().without_hints());
    let log = Stream::new(Key::parse("a/log").unwrap());
    let append =
        |entry: &'static str| store.append(log.clone(), entry, Deadline::after(Duration::from_secs(9)));
    let mut entries = pin!(follow(store.clone(), log.clone(), Position::START));

    // Lost: found by looking again.
    assert!(entries.next().now_or_never().is_none());
    append("lost").await.unwrap();
    let begun = Instant::now();
    assert_eq!(entries.next().await.unwrap().unwrap().entry, "lost");
    assert_eq!(begun.elapsed(), FOLLOW_RECHECK);

    // Early: rung before there is anything.
    store.ring(log.key());
    assert!(entries.next().now_or_never().is_none());

    // Doubled: each entry once.
    append("one").await.unwrap();
    store.ring(log.key());
    append("two").await.unwrap();
    store.ring(log.key());
    let begun = Instant::now();
    for expected in ["one", "two"] {
        assert_eq!(entries.next().await.unwrap().unwrap().entry, expected);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(entries.next().now_or_never().is_none());
}
