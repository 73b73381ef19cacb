//! The opening handshake: a store proves its promises on keys of the opener's own before a record is entrusted to it.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    Batch, CommitError, Committed, Deadline, Expected, Key, Lane, LogError, OpenError, PAGE_MAX, Position,
    Prefix, RecordKind, RecordStore, Segment, Stream, Version,
};

const KIND: RecordKind = RecordKind::of("handshake");
const DEADLINE: Duration = Duration::from_secs(10);

/// Proves compare-and-swap, atomic batches, rising versions and log positions; leaves nothing.
pub(crate) async fn handshake(store: &dyn RecordStore, root: &Prefix, seed: u64) -> Result<(), OpenError> {
    let probe = Probe::new(store, root, seed);
    let first = probe.creates_once().await?;
    let second = probe.replaces_at_its_version_only(first).await?;
    probe.splits_no_batch(second).await?;
    probe.never_reuses_a_version(second).await
}

struct Probe<'a> {
    store: &'a dyn RecordStore,
    key: Key,
    beside: Key,
    log: Stream,
}

impl<'a> Probe<'a> {
    fn new(store: &'a dyn RecordStore, root: &Prefix, seed: u64) -> Self {
        let name = |text: &str| Segment::parse(text).expect("fixed names are legal");
        let place = root
            .child(&name("x"))
            .and_then(|p| p.child(&name("handshake")))
            .expect("four segments fit");
        let own = Segment::number(seed);
        let key = |text: &str| place.key([&own, &name(text)]).expect("five segments fit");
        let log = Stream::new(place.key([&name("log")]).expect("four segments fit"));
        Self {
            store,
            key: key("a"),
            beside: key("b"),
            log,
        }
    }

    fn put(&self, expected: Expected, value: &'static str) -> Batch {
        let mut batch = Batch::new(Lane::System);
        batch.put(
            self.key.clone(),
            expected,
            KIND,
            Bytes::from_static(value.as_bytes()),
        );
        batch
    }

    async fn creates_once(&self) -> Result<Version, OpenError> {
        let version = self.done(self.put(Expected::Absent, "1")).await?;
        self.refused(self.put(Expected::Absent, "2"), "a key is created once")
            .await?;
        Ok(version)
    }

    async fn replaces_at_its_version_only(&self, first: Version) -> Result<Version, OpenError> {
        let second = self.done(self.put(Expected::At(first), "2")).await?;
        require(second > first, "versions rise")?;
        self.refused(self.put(Expected::At(first), "3"), "a stale version is refused")
            .await?;
        Ok(second)
    }

    async fn splits_no_batch(&self, second: Version) -> Result<(), OpenError> {
        let mut batch = self.put(Expected::At(second), "3");
        batch.put(self.beside.clone(), Expected::At(second), KIND, Bytes::new());
        self.refused(batch, "a batch is all or nothing").await?;
        let found = self
            .store
            .get_many(&[self.key.clone(), self.beside.clone()])
            .await
            .map_err(unavailable)?;
        let untouched =
            matches!(&found[..], [Some(entry), None] if entry.version == second && &entry.value[..] == b"2");
        require(untouched, "a refused batch changes nothing")?;
        let keeps_kind = found.iter().flatten().all(|entry| entry.kind == KIND);
        require(keeps_kind, "a record keeps its kind")
    }

    async fn never_reuses_a_version(&self, second: Version) -> Result<(), OpenError> {
        let mut delete = Batch::new(Lane::System);
        delete.delete(self.key.clone(), second);
        self.commit(delete).await?;
        let mut again = self.put(Expected::Absent, "4");
        again.append(self.log.clone(), Bytes::from_static(b"1"));
        let created = self.commit(again).await?;
        let third = created.version.ok_or(OpenError::Broken {
            promise: "a write has a version",
        })?;
        require(third > second, "a version is never reused")?;
        let mut last = Batch::new(Lane::System);
        last.delete(self.key.clone(), third)
            .append(self.log.clone(), Bytes::from_static(b"2"));
        let appended = self.commit(last).await?;
        let position = |c: &Committed| c.positions.first().map(|(_, position)| *position);
        let (one, two) = (position(&created), position(&appended));
        let (Some(one), Some(two)) = (one, two) else {
            return Err(OpenError::Broken {
                promise: "an append has a position",
            });
        };
        require(one >= Position::FIRST && two > one, "positions rise")?;
        self.skips_no_position(one, two).await?;
        self.forget(two.next()).await
    }

    /// Another opener may have appended between the two, or truncated; no position is missing all the same.
    async fn skips_no_position(&self, one: Position, two: Position) -> Result<(), OpenError> {
        let before = Position::new(one.get() - 1);
        let entries = match self.store.tail(&self.log, before, PAGE_MAX).await {
            Ok(entries) => entries,
            Err(LogError::ReplayGap { .. }) => return Ok(()),
            Err(error) => return Err(unavailable(error)),
        };
        let is_contiguous = entries
            .iter()
            .zip(one.get()..)
            .all(|(entry, position)| entry.position.get() == position);
        let between = usize::try_from(two.get() - one.get()).unwrap_or(usize::MAX);
        let is_whole = entries.len() > between.min(PAGE_MAX - 1);
        require(is_contiguous && is_whole, "no position is skipped")
    }

    /// Another opener may have truncated further meanwhile, which is as good.
    async fn forget(&self, before: Position) -> Result<(), OpenError> {
        match self.store.truncate(&self.log, before).await {
            Ok(_) | Err(LogError::ReplayGap { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn done(&self, batch: Batch) -> Result<Version, OpenError> {
        self.commit(batch).await?.version.ok_or(OpenError::Broken {
            promise: "a write has a version",
        })
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, OpenError> {
        self.store
            .commit(batch, Deadline::after(DEADLINE))
            .await
            .map_err(|error| match error {
                CommitError::Conflict { .. } => OpenError::Broken {
                    promise: "what was just written is there",
                },
                CommitError::Unsupported { capability } => OpenError::Lacks {
                    capability,
                    has: "nothing".into(),
                    needs: "it".into(),
                },
                other => unavailable(other),
            })
    }

    async fn refused(&self, batch: Batch, promise: &'static str) -> Result<(), OpenError> {
        match self.store.commit(batch, Deadline::after(DEADLINE)).await {
            Err(CommitError::Conflict { .. }) => Ok(()),
            Ok(_) => Err(OpenError::Broken { promise }),
            Err(other) => Err(unavailable(other)),
        }
    }
}

fn require(holds: bool, promise: &'static str) -> Result<(), OpenError> {
    if holds {
        Ok(())
    } else {
        Err(OpenError::Broken { promise })
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> OpenError {
    OpenError::Unavailable {
        reason: "the opening handshake had no answer".into(),
        source: Some(Box::new(error)),
    }
}
