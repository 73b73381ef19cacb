//! The memory store, bare and behind pointers, against the contract.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::contract::{Harness, suite};
use dormouse_filesystem::{EXPORT_IDLE, Memory, RecordStore};
use jiff::{Timestamp, ToSpan};

use crate::silent_exports;

/// Nothing outlasts a memory store, so its place is no place. The type is what the store is held in.
struct InMemory<T>(PhantomData<T>);

impl<T> Default for InMemory<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// How a store is held.
trait Held {
    fn held(store: Memory) -> Arc<dyn RecordStore>;
}

impl Held for Memory {
    fn held(store: Memory) -> Arc<dyn RecordStore> {
        Arc::new(store)
    }
}

impl Held for Arc<dyn RecordStore> {
    fn held(store: Memory) -> Arc<dyn RecordStore> {
        let inner: Self = Arc::new(store);
        Arc::new(inner)
    }
}

impl Held for Box<dyn RecordStore> {
    fn held(store: Memory) -> Arc<dyn RecordStore> {
        let inner: Self = Box::new(store);
        Arc::new(inner)
    }
}

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

impl<T: Held> Harness for InMemory<T> {
    async fn open(&self) -> Arc<dyn RecordStore> {
        T::held(Memory::new(NOW))
    }

    async fn reopen(&self) -> Option<Arc<dyn RecordStore>> {
        None
    }

    async fn anew(&self) -> Arc<dyn RecordStore> {
        T::held(Memory::new(NOW + 1.second()))
    }
}

suite!(bare, InMemory<Memory>);
suite!(in_an_arc, InMemory<Arc<dyn RecordStore>>);
suite!(in_a_box, InMemory<Box<dyn RecordStore>>);

/// FS-78
#[tokio::test(start_paused = true)]
async fn an_export_of_which_nobody_takes_anything_is_let_go() {
    let margin = Duration::from_secs(1);
    let store = Memory::new(NOW);
    silent_exports::fill(&store).await;
    silent_exports::is_let_go(&store, EXPORT_IDLE, margin).await;
    let day = Duration::from_secs(24 * 60 * 60);
    let store = store.with_export_idle(day);
    silent_exports::is_let_go(&store, day, margin).await;
}
