//! The PostgreSQL backend against the contract, and what only a server over a network can do wrong.
//!
//! `DORMOUSE_TEST_POSTGRES` is the url of a server whose user may make schemas; `cargo xtask test` starts one. Every
//! test has a schema of its own.

mod congestion;
mod cuts;
mod exports;
mod killed;
mod makers;
mod one_order;
mod openers;
mod opening;
mod pairs;
pub(crate) mod place;
mod pooler;
mod private;
mod processes;
mod proxy;
mod strict;
mod trouble;

use std::sync::Arc;

use dormouse_filesystem::RecordStore;
use dormouse_filesystem::contract::{Harness, suite};
use jiff::ToSpan;

use self::place::{NOW, Place, is_here};

/// A schema of its own, gone with the test.
#[derive(Default)]
struct InSchema {
    place: Place,
}

impl Harness for InSchema {
    fn is_here() -> bool {
        is_here()
    }

    async fn open(&self) -> Arc<dyn RecordStore> {
        Arc::new(self.place.open(NOW).await)
    }

    async fn reopen(&self) -> Option<Arc<dyn RecordStore>> {
        Some(Arc::new(self.place.open(NOW).await))
    }

    async fn anew(&self) -> Arc<dyn RecordStore> {
        self.place.remove().await;
        Arc::new(self.place.open(NOW + 1.second()).await)
    }
}

suite!(contract, InSchema);
