//! Opening a store by its url: the one place that knows every backend by name.

mod inspect;
mod options;
mod url;

use std::sync::Arc;

pub use self::inspect::Inspection;
pub use self::options::OpenOptions;
pub use self::url::{Backend, InvalidUrl, StoreUrl};
use crate::{Memory, OpenError, RecordStore};

/// Opens the store at a url, making it if there is nothing.
///
/// | url | is |
/// |---|---|
/// | `memory:` | a new store, forgotten with the process |
/// | `file:PATH` | one readable file per record below a folder, for one process (feature `local`) |
/// | `sled:PATH` | the embedded default in a folder, for one process (feature `sled`) |
/// | `postgres://user:password@host:port/database` | a schema of a database, for several machines (feature `postgres`) |
///
/// ```
/// use dormouse_filesystem::{Deadline, Key, OpenOptions, RecordKind, RecordStore, RecordStoreExt};
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let url = format!("sled:{}/store", folder.path().display());
/// // From a setting: "sled:/var/lib/agents", "postgres://agents@db.example/agents", "memory:", …
/// # let (now, seed) = (jiff::Timestamp::UNIX_EPOCH, 1);
/// let store = dormouse_filesystem::open(&url, &OpenOptions::new(now, seed)).await?;
/// let soon = Deadline::after(Duration::from_secs(10));
/// store.create(Key::parse("notes/first")?, RecordKind::of("note"), "hello", soon).await?;
/// store.close(soon).await?;
/// # Ok(())
/// # }
/// ```
///
/// A password in the url is in no error, log or Debug.
///
/// # Errors
/// `Url` for what is no url, or names a backend that this build does not have; `Refused` for an option out of its
/// bounds, which is named; the others as the backend's own `open`.
pub async fn open(url: &str, options: &OpenOptions) -> Result<Arc<dyn RecordStore>, OpenError> {
    url.parse::<StoreUrl>()?.open(options).await
}

impl StoreUrl {
    /// Opens the store there, making it if there is nothing.
    ///
    /// # Errors
    /// As [`open()`].
    pub async fn open(&self, options: &OpenOptions) -> Result<Arc<dyn RecordStore>, OpenError> {
        if let Some(reason) = options.fault() {
            return Err(OpenError::Refused {
                path: self.to_string(),
                reason,
            });
        }
        match self.backend() {
            Backend::Memory => {
                let memory = Memory::new(options.now);
                Ok(Arc::new(memory.with_export_idle(options.export_idle)))
            }
            #[cfg(feature = "local")]
            Backend::File => {
                let folder = self.folder().expect("a file: url has a folder");
                Ok(Arc::new(crate::Local::open(folder, options.local()).await?))
            }
            #[cfg(feature = "sled")]
            Backend::Sled => {
                let folder = self.folder().expect("a sled: url has a folder");
                Ok(Arc::new(crate::Sled::open(folder, options.sled()).await?))
            }
            #[cfg(feature = "postgres")]
            Backend::Postgres => {
                let opened = crate::Postgres::open(self.server(), options.postgres()).await;
                Ok(Arc::new(opened?))
            }
            #[cfg(not(all(feature = "local", feature = "sled", feature = "postgres")))]
            backend => Err(InvalidUrl::NotBuilt { backend }.into()),
        }
    }
}
