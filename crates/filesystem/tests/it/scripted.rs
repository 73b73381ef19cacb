//! A memory store whose answers follow a script, and that remembers what reached it.

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_filesystem::wrapper::Between;
use dormouse_filesystem::{
    Batch, BusyCause, Capabilities, CommitError, Committed, Deadline, Entry, Failed, Key, Memory, Prefix,
    ReadError, RecordStore, Watch, Watches, between,
};
use tokio::time::{Instant, sleep};

/// What happens to one commit instead of its being done.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Refused, as if another had been first.
    Conflict,
    Busy,
    Unavailable,
    /// Never answered and never done.
    Hang,
    /// The answer is lost; it was not done.
    LostBefore,
    /// The answer is lost; it was done.
    LostAfter,
    Unsupported,
    Closed,
    /// Done after this long.
    Slow(Duration),
    /// Another's commit comes first, then this one is judged.
    Foreign(Batch),
}

/// What happens to one read.
#[derive(Debug, Clone)]
pub(crate) enum ReadFault {
    Unavailable,
    Corrupt,
    Hang,
    Unsupported,
}

/// The script: one fault an operation, in order, then `always`, then none.
#[derive(Debug)]
pub(crate) struct Script<F> {
    next: VecDeque<Option<F>>,
    always: Option<F>,
}

impl<F: Clone> Script<F> {
    fn take(&mut self) -> Option<F> {
        self.next.pop_front().unwrap_or_else(|| self.always.clone())
    }
}

pub(crate) struct Scripted {
    inner: Memory,
    capabilities: Option<Capabilities>,
    commit_script: Mutex<Script<Fault>>,
    read_script: Mutex<Script<ReadFault>>,
    /// Every batch that reached the store, and when.
    commits: Mutex<Vec<(Instant, Batch)>>,
    gets: AtomicUsize,
    /// Hints of the script's own: those of the store are all lost.
    hints: Option<Watches>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            inner: Memory::new(jiff::Timestamp::UNIX_EPOCH),
            capabilities: None,
            commit_script: Mutex::new(Script {
                next: VecDeque::new(),
                always: None,
            }),
            read_script: Mutex::new(Script {
                next: VecDeque::new(),
                always: None,
            }),
            commits: Mutex::new(Vec::new()),
            gets: AtomicUsize::new(0),
            hints: None,
        }
    }
}

impl Scripted {
    pub(crate) fn declaring(capabilities: Capabilities) -> Self {
        Self {
            capabilities: Some(capabilities),
            ..Self::default()
        }
    }

    /// The next commits, in order; none means it is done.
    pub(crate) fn commits(self, faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        self.commit_script.lock().unwrap().next.extend(faults);
        self
    }

    pub(crate) fn every_commit(self, fault: Fault) -> Self {
        self.commit_script.lock().unwrap().always = Some(fault);
        self
    }

    pub(crate) fn reads(self, faults: impl IntoIterator<Item = Option<ReadFault>>) -> Self {
        self.read_script.lock().unwrap().next.extend(faults);
        self
    }

    pub(crate) fn every_read(self, fault: ReadFault) -> Self {
        self.read_script.lock().unwrap().always = Some(fault);
        self
    }

    pub(crate) fn without_hints(self) -> Self {
        Self {
            hints: Some(Watches::default()),
            ..self
        }
    }

    /// A hint of the script's own.
    pub(crate) fn ring(&self, key: &Key) {
        self.hints.as_ref().unwrap().ring([key].into_iter());
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.inner
    }

    pub(crate) fn batches(&self) -> Vec<Batch> {
        self.commits
            .lock()
            .unwrap()
            .iter()
            .map(|(_, batch)| batch.clone())
            .collect()
    }

    pub(crate) fn commit_times(&self) -> Vec<Instant> {
        self.commits.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }

    pub(crate) fn gets(&self) -> usize {
        self.gets.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Between for Scripted {
    fn beneath(&self) -> &dyn RecordStore {
        &self.inner
    }

    fn capabilities(&self, at: &Prefix) -> Capabilities {
        self.capabilities.unwrap_or_else(|| self.inner.capabilities(at))
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        let fault = self.read_script.lock().unwrap().take();
        match fault {
            None => self.inner.get(key).await,
            Some(ReadFault::Unavailable) => Err(ReadError::Unavailable {
                reason: "the script",
                source: None,
            }),
            Some(ReadFault::Corrupt) => Err(ReadError::Corrupt { key: key.clone() }),
            Some(ReadFault::Hang) => pending().await,
            Some(ReadFault::Unsupported) => Err(ReadError::Unsupported {
                capability: "the script",
            }),
        }
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        self.commits.lock().unwrap().push((Instant::now(), batch.clone()));
        let fault = self.commit_script.lock().unwrap().take();
        match fault {
            None => self.inner.commit(batch, deadline).await,
            Some(Fault::Conflict) => {
                let failed = batch.keys().map(|(key, _)| Failed {
                    key: key.clone(),
                    actual: None,
                });
                Err(CommitError::Conflict {
                    failed: failed.collect(),
                })
            }
            Some(Fault::Busy) => Err(CommitError::Busy {
                cause: BusyCause::Queue,
            }),
            Some(Fault::Unavailable) => Err(CommitError::Unavailable {
                source: Some("the script".into()),
            }),
            Some(Fault::Hang) => pending().await,
            Some(Fault::LostBefore) => Err(CommitError::Indeterminate {
                source: Some("the script".into()),
            }),
            Some(Fault::LostAfter) => {
                self.inner.commit(batch, deadline).await?;
                Err(CommitError::Indeterminate {
                    source: Some("the script".into()),
                })
            }
            Some(Fault::Unsupported) => Err(CommitError::Unsupported {
                capability: "the script",
            }),
            Some(Fault::Closed) => Err(CommitError::Closed { reason: "the script" }),
            Some(Fault::Slow(time)) => {
                sleep(time).await;
                self.inner.commit(batch, deadline).await
            }
            Some(Fault::Foreign(foreign)) => {
                self.inner.commit(foreign, deadline).await?;
                self.inner.commit(batch, deadline).await
            }
        }
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        match &self.hints {
            Some(hints) => hints.watch(prefix),
            None => self.inner.watch(prefix).await,
        }
    }
}

between!(Scripted);

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl fmt::Display for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("scripted")
    }
}
