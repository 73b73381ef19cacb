//! `Namespace::open` alone makes a namespace, so no unproved store reaches a record.
use std::sync::Arc;

use dormouse_filesystem::{Namespace, RecordStore, System, Tenant};

fn made(store: Arc<dyn RecordStore>) -> Namespace<System> {
    Namespace { store }
}

async fn opened(store: Arc<dyn RecordStore>) {
    let _ = Namespace::<Tenant>::open(store, &Default::default(), 7).await;
}

fn main() {}
