//! Which mount it is.

use super::{Mount, Router};
use crate::{Batch, Capabilities, CommitError, Key, Prefix, ReadError, RecordStore, Stream, capability};

impl Router {
    /// The mount a key lies in.
    pub(super) fn mount_of(&self, key: &Key) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.prefix.holds(key))
    }

    pub(super) fn read_at(&self, key: &Key) -> Result<&dyn RecordStore, ReadError> {
        self.mount_of(key)
            .map(|mount| &*mount.store)
            .ok_or_else(|| ReadError::Unrouted {
                place: key.to_string(),
            })
    }

    pub(super) fn write_at(&self, key: &Key) -> Result<&dyn RecordStore, CommitError> {
        self.mount_of(key)
            .map(|mount| &*mount.store)
            .ok_or_else(|| CommitError::Unrouted {
                place: key.to_string(),
            })
    }

    /// The one mount of a batch.
    pub(super) fn mount_of_batch(&self, batch: &Batch) -> Result<&dyn RecordStore, CommitError> {
        let keys = batch
            .keys()
            .map(|(key, _)| key)
            .chain(batch.logs().map(Stream::key));
        let mut found: Option<&Mount> = None;
        for key in keys {
            let mount = self.mount_of(key).ok_or_else(|| CommitError::Unrouted {
                place: key.to_string(),
            })?;
            if found.is_some_and(|found| found.prefix != mount.prefix) {
                return Err(CommitError::Invalid {
                    reason: "the batch is over two mounts",
                });
            }
            found = Some(mount);
        }
        found.map(|mount| &*mount.store).ok_or(CommitError::Invalid {
            reason: "the batch is empty",
        })
    }

    /// Every mount that holds something below a prefix: the one the prefix lies in, and those mounted below it.
    ///
    /// # Errors
    /// `Unrouted` when there is none.
    pub(super) fn mounts_below(&self, prefix: &Prefix) -> Result<Vec<&Mount>, ReadError> {
        // Mounts are in order of depth: the first that is not below the prefix and leads to it is its own.
        let below = self.mounts.iter().filter(|mount| is_below(&mount.prefix, prefix));
        let own = self.mounts.iter().find(|mount| leads_to(&mount.prefix, prefix));
        let mounts: Vec<&Mount> = below.chain(own).collect();
        if mounts.is_empty() {
            return Err(ReadError::Unrouted {
                place: prefix.to_string(),
            });
        }
        Ok(mounts)
    }

    /// What all mounts below a prefix promise; over several there is no one commit point to export.
    pub(super) fn promised(&self, at: &Prefix) -> Capabilities {
        let Ok(mounts) = self.mounts_below(at) else {
            return Capabilities::default();
        };
        let of = |mount: &&Mount| mount.store.capabilities(narrower(&mount.prefix, at));
        let all = mounts.iter().map(of).reduce(least).unwrap_or_default();
        if mounts.len() == 1 {
            return all;
        }
        Capabilities {
            export: capability::Export::None,
            ..all
        }
    }
}

fn least(a: Capabilities, b: Capabilities) -> Capabilities {
    Capabilities {
        atomicity: a.atomicity.min(b.atomicity),
        reach: a.reach.min(b.reach),
        durability: a.durability.min(b.durability),
        listing: a.listing.min(b.listing),
        logs: a.logs.min(b.logs),
        export: a.export.min(b.export),
        watch: a.watch.min(b.watch),
    }
}

/// Whether `mount` is `prefix` or above it.
fn leads_to(mount: &Prefix, prefix: &Prefix) -> bool {
    let mut deeper = prefix.segments();
    mount.segments().all(|segment| deeper.next() == Some(segment))
}

/// The part of a prefix that a mount can hold.
pub(super) fn narrower<'a>(mount: &'a Prefix, prefix: &'a Prefix) -> &'a Prefix {
    if leads_to(mount, prefix) { prefix } else { mount }
}

/// Whether `mount` is strictly below `prefix`.
fn is_below(mount: &Prefix, prefix: &Prefix) -> bool {
    mount != prefix && leads_to(prefix, mount)
}
