//! One store of several, each mounted at a place.

mod lists;
mod route;
mod store;

use std::fmt;
use std::sync::Arc;

use crate::{Prefix, RecordStore};

/// A mount that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// Two stores at one place. Name another.
    #[error("two stores are mounted at {prefix:?}")]
    Duplicate {
        /// The place.
        prefix: Prefix,
    },
    /// No store at all.
    #[error("no store is mounted")]
    Empty,
}

/// A store of several: what is below a prefix lies in the store that is mounted there, the longest prefix first, on
/// segment boundary.
///
/// Keys are handed on as they are. What no mount holds is `Unrouted`; a batch over two mounts is `Invalid`; both
/// reach no store. A page, and a `get_many`, over several mounts is read at one point of each.
/// [`capabilities`](RecordStore::capabilities) of a prefix says what every mount below it promises.
///
/// ```
/// use std::sync::Arc;
/// use dormouse_filesystem::{Memory, Prefix, RecordStore, Router};
///
/// let memory = || -> Arc<dyn RecordStore> { Arc::new(Memory::new(jiff::Timestamp::UNIX_EPOCH)) };
/// let router = Router::new([(Prefix::root(), memory()), (Prefix::parse("t/busy")?, memory())])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Router {
    /// The longest prefix first, so that the first that holds a key is its mount.
    mounts: Vec<Mount>,
}

struct Mount {
    prefix: Prefix,
    store: Arc<dyn RecordStore>,
}

impl Router {
    /// A router over these mounts.
    ///
    /// # Errors
    /// `Duplicate`, `Empty`.
    pub fn new(mounts: impl IntoIterator<Item = (Prefix, Arc<dyn RecordStore>)>) -> Result<Self, MountError> {
        let mut mounts: Vec<Mount> = mounts
            .into_iter()
            .map(|(prefix, store)| Mount { prefix, store })
            .collect();
        mounts.sort_by(|a, b| {
            let (deep, shallow) = (b.prefix.segments().count(), a.prefix.segments().count());
            deep.cmp(&shallow).then_with(|| a.prefix.cmp(&b.prefix))
        });
        if mounts.is_empty() {
            return Err(MountError::Empty);
        }
        match mounts.windows(2).find(|two| two[0].prefix == two[1].prefix) {
            Some(two) => Err(MountError::Duplicate {
                prefix: two[0].prefix.clone(),
            }),
            None => Ok(Self { mounts }),
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.mounts.iter().map(|mount| (&mount.prefix, &mount.store)))
            .finish()
    }
}

impl fmt::Display for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mount) in self.mounts.iter().rev().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} at /{}", mount.store, mount.prefix)?;
        }
        Ok(())
    }
}
