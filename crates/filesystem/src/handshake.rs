//! The opening handshake: a store proves its promises on keys of the opener's own before a record is entrusted to it.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    Batch, CommitError, Committed, Deadline, Expected, Item, Key, Lane, LogError, OpenError, Opener, Order,
    PAGE_MAX, Page, Position, Prefix, ReadError, RecordKind, RecordStore, Segment, Stream, Version, Want,
};

const KIND: RecordKind = RecordKind::of("handshake");
const DEADLINE: Duration = Duration::from_secs(10);

/// Proves compare-and-swap, atomic batches, rising versions and log positions; leaves nothing.
///
/// Its keys are `x/handshake/<milliseconds>/<seed>/…`, so that what a killed opener left tells its age.
pub(crate) async fn handshake(
    store: &dyn RecordStore,
    root: &Prefix,
    opener: Opener,
) -> Result<(), OpenError> {
    let probe = Probe::new(store, root, opener);
    let first = probe.creates_once().await?;
    let second = probe.replaces_at_its_version_only(first).await?;
    probe.splits_no_batch(second).await?;
    probe.never_reuses_a_version(second).await?;
    probe.forget_the_killed(opener).await
}

struct Probe<'a> {
    store: &'a dyn RecordStore,
    place: Prefix,
    key: Key,
    beside: Key,
    log: Stream,
}

impl<'a> Probe<'a> {
    fn new(store: &'a dyn RecordStore, root: &Prefix, opener: Opener) -> Self {
        let name = |text: &str| Segment::parse(text).expect("fixed names are legal");
        let place = root
            .child(&name("x"))
            .and_then(|p| p.child(&name("handshake")))
            .expect("four segments fit");
        let (at, own) = (
            Segment::number(milliseconds(opener)),
            Segment::number(opener.seed),
        );
        let key = |text: &str| place.key([&at, &own, &name(text)]).expect("six segments fit");
        let log = Stream::new(place.key([&name("log")]).expect("four segments fit"));
        Self {
            store,
            place: place.clone(),
            key: key("a"),
            beside: key("b"),
            log,
        }
    }

    /// Removes what openers left that were killed in their handshake. One that another opener removed is gone as well.
    async fn forget_the_killed(&self, opener: Opener) -> Result<(), OpenError> {
        let rest_max = u64::try_from(Opener::REST_MAX.as_millis()).expect("an hour is short");
        let Some(end) = milliseconds(opener).checked_sub(rest_max) else {
            return Ok(());
        };
        let page = Page {
            prefix: self.place.clone(),
            after: None,
            order: Order::Up,
            want: Want::Keys,
            limit: PAGE_MAX,
        };
        let end = self
            .place
            .key([&Segment::number(end)])
            .expect("four segments fit");
        let found = match self.store.list(&page).await {
            Ok(found) => found,
            // Whether it must list is the requirements' to say.
            Err(ReadError::Unsupported { .. }) => return Ok(()),
            Err(error) => return Err(unavailable(error)),
        };
        let left = found.items.into_iter().take_while(|item| *item.key() < end);
        // What is damaged stays for the operator.
        let left = left.filter_map(|item| match item {
            Item::Key { key, version } => Some((key, version)),
            Item::Entry(_) | Item::Corrupt { .. } => None,
        });
        for (key, version) in left {
            let mut batch = Batch::new(Lane::System);
            batch.delete(key, version);
            match self.store.commit(batch, Deadline::after(DEADLINE)).await {
                Ok(_) | Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        Ok(())
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

/// Milliseconds since 1970; an earlier time counts as 1970.
fn milliseconds(opener: Opener) -> u64 {
    u64::try_from(opener.now.as_millisecond()).unwrap_or(0)
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
