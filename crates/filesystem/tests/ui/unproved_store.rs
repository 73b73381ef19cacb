//! `Namespace::open` alone makes a namespace, so no unproved store reaches a record.
use std::sync::Arc;

use dormouse_filesystem::{Namespace, RecordStore, Store, System, Tenant};

fn made(store: Store) -> Namespace<System> {
    Namespace { store }
}

async fn opened(store: Arc<dyn RecordStore>) {
    let _ = Namespace::<Tenant>::open(store, &Default::default(), 7).await;
}

fn main() {}
