//! The store under test, opened as the program opens it but with segments so small that a round fills several.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use dormouse_filesystem::{
    Change, CommitError, Entry, Local, LocalOptions, OpenError, RecordStore, Retry, Sled, SledOptions,
    UpdateError, Version, cas_update,
};

use crate::workload::{Counts, KIND, hot_key};

/// Bytes of a segment: a round fills several.
pub const SEGMENT_BYTES: u64 = 256 * 1024;
const RESERVE_BYTES: u64 = 1024 * 1024;

/// A backend with a folder of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The embedded default.
    Sled,
    /// One readable file per record.
    Local,
}

impl Backend {
    /// Its name, as the child is told it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Local => "local",
        }
    }

    /// The backend of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Sled, Self::Local]
            .into_iter()
            .find(|backend| backend.name() == name)
    }

    /// Opens the store of this backend in a folder.
    ///
    /// # Errors
    /// As [`Sled::open`] and [`Local::open`].
    pub async fn open(self, folder: &Path) -> Result<Arc<dyn RecordStore>, OpenError> {
        Ok(match self {
            Self::Sled => Arc::new(open(folder).await?),
            Self::Local => Arc::new(open_local(folder).await?),
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: here the time comes from")]
async fn open_local(folder: &Path) -> Result<Local, OpenError> {
    let options = LocalOptions {
        segment_bytes: SEGMENT_BYTES,
        reserve_bytes: RESERVE_BYTES,
        program: "the crash test".to_owned(),
        ..LocalOptions::new(jiff::Timestamp::now())
    };
    Local::open(folder, options).await
}

/// Opens the sled store in this folder.
///
/// # Errors
/// As [`Sled::open`].
#[expect(clippy::disallowed_methods, reason = "the edge: here the time comes from")]
pub async fn open(folder: &Path) -> Result<Sled, OpenError> {
    let options = SledOptions {
        segment_bytes: SEGMENT_BYTES,
        reserve_bytes: RESERVE_BYTES,
        program: "the crash test".to_owned(),
        ..SledOptions::new(jiff::Timestamp::now())
    };
    Sled::open(folder, options).await
}

/// Raises a fighter's count in the hot key by one: its count, and the version at which it is stored.
///
/// None when the others were quicker too often: nothing was done.
///
/// # Panics
/// When the store breaks.
pub async fn raise(store: &dyn RecordStore, retry: &Retry, fighter: u64) -> Option<(u64, Version)> {
    let updated = cas_update(store, &hot_key(), retry, |entry| {
        Ok::<_, Infallible>(raised(entry, fighter))
    })
    .await;
    match updated {
        Ok(updated) => {
            let entry = updated.entry.expect("a put leaves a record");
            Some((updated.outcome, entry.version))
        }
        Err(UpdateError::Contended { .. } | UpdateError::Write(CommitError::Busy { .. })) => None,
        Err(error) => panic!("the hot key: {error}"),
    }
}

fn raised(entry: Option<&Entry>, fighter: u64) -> (Change, u64) {
    let mut counts = entry.map_or(Counts::default(), |entry| {
        Counts::read(&entry.value).expect("the value is counts")
    });
    let own = &mut counts.0[usize::try_from(fighter).expect("a fighter is a small number")];
    *own += 1;
    let count = *own;
    (Change::put(KIND, counts.write()), count)
}
