//! Looking at a store without opening it: nothing is made, written or migrated.

#[cfg(any(feature = "local", feature = "sled"))]
use std::path::Path;

#[cfg(not(all(feature = "local", feature = "sled", feature = "postgres")))]
use super::InvalidUrl;
use super::{Backend, OpenOptions, StoreUrl};
use crate::{Capabilities, Memory, OpenError, Prefix, RecordStore};

/// What is at a url, without having opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The format of the store that is there; none where there is no store yet.
    pub format: Option<u32>,
    /// The newest format this build knows: an older one is migrated to it by the next opening.
    pub known: u32,
    /// What a store there promises.
    pub capabilities: Capabilities,
    /// The server's version, where there is a server.
    pub server: Option<String>,
}

impl Inspection {
    /// How many migrations the next opening will make.
    #[must_use]
    pub fn pending(&self) -> u32 {
        self.format.map_or(0, |format| self.known.saturating_sub(format))
    }
}

impl StoreUrl {
    /// Looks at the store there: whether there is one that this build can open, and what it promises. Changes nothing
    /// and takes no lock.
    ///
    /// # Errors
    /// As [`open`](Self::open) would say, as far as it can be told from outside.
    pub async fn inspect(&self, options: &OpenOptions) -> Result<Inspection, OpenError> {
        match self.backend() {
            Backend::Memory => Ok(Inspection {
                format: None,
                known: 0,
                capabilities: Memory::new(options.now).capabilities(&Prefix::root()),
                server: None,
            }),
            #[cfg(feature = "local")]
            Backend::File => self.in_folder(crate::Local::inspect),
            #[cfg(feature = "sled")]
            Backend::Sled => self.in_folder(crate::Sled::inspect),
            #[cfg(feature = "postgres")]
            Backend::Postgres => crate::Postgres::inspect(self.server(), options.postgres()).await,
            #[cfg(not(all(feature = "local", feature = "sled", feature = "postgres")))]
            backend => Err(InvalidUrl::NotBuilt { backend }.into()),
        }
    }

    #[cfg(any(feature = "local", feature = "sled"))]
    fn in_folder(&self, look: fn(&Path) -> Result<bool, OpenError>) -> Result<Inspection, OpenError> {
        use crate::embedded::{folder, promised_in};
        let path = self.folder().expect("a backend in a folder has one");
        let capabilities = promised_in(path)?;
        Ok(Inspection {
            format: look(path)?.then_some(folder::FORMAT),
            known: folder::FORMAT,
            capabilities,
            server: None,
        })
    }
}
