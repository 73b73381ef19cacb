//! A store at whose logs of events somebody listens: what was told is known, whoever told it.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dormouse_filesystem::wrapper::Between;
use dormouse_filesystem::{Batch, CommitError, Committed, Deadline, RecordStore, between};
use serde_json::Value;

/// The events that were committed, in the order of their commits.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<Value>>>);

impl Heard {
    /// This store, listened to.
    pub(super) fn over(&self, inner: Arc<dyn RecordStore>) -> Arc<dyn RecordStore> {
        let heard = self.clone();
        Arc::new(Overheard { inner, heard })
    }

    /// What was told so far.
    pub(super) fn events(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }
}

#[derive(Debug)]
struct Overheard {
    inner: Arc<dyn RecordStore>,
    heard: Heard,
}

impl fmt::Display for Overheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Between for Overheard {
    fn beneath(&self) -> &dyn RecordStore {
        &*self.inner
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        let of_events = batch.appends.iter().filter(|append| {
            let log = append.log.to_string();
            log.ends_with("l/events")
        });
        // A test may write what is no event.
        let events: Vec<Value> = of_events
            .filter_map(|append| serde_json::from_slice(&append.entry).ok())
            .collect();
        let committed = self.inner.commit(batch, deadline).await?;
        self.heard.0.lock().unwrap().extend(events);
        Ok(committed)
    }
}

between!(Overheard);
