//! Repair: what people made of a record's file becomes its next version.

use super::Local;
use super::index::{Accepted, LocalIndex, Seat};
use super::settle::read_file;
use super::{place, record_file};
use crate::embedded::index::{Index, Spotted};
use crate::embedded::shared::Shared;
use crate::{Batch, CommitError, Deadline, Expected, Key, Lane, ReadError, RecordKind, RecordStore, Version};

/// What became of a record that could not be read.
#[derive(Debug)]
pub struct Repaired {
    /// The record.
    pub key: Key,
    /// What became of it.
    pub repair: Repair,
}

/// What repair does with a record that cannot be read.
#[derive(Debug)]
pub enum Repair {
    /// The bytes in its file are its value now, at this version.
    Taken {
        /// The new version.
        version: Version,
    },
    /// Its file was gone, and so is the record now.
    Removed,
    /// The first line does not tell its kind, or the value is over [`VALUE_MAX`](crate::VALUE_MAX): the bytes are as
    /// they were. Correct the line, or remove the file.
    Unreadable,
    /// The commit was not done; the bytes are as they were.
    Refused(CommitError),
}

/// What is taken of a file.
struct Found {
    version: u64,
    accepted: Accepted,
    content: Option<(RecordKind, Vec<u8>)>,
}

impl Local {
    /// Takes what is in edited files of records as their next versions, and removes records whose files are gone.
    ///
    /// Each one is a commit like any other. Every file of the store is read once.
    ///
    /// # Errors
    /// As of any read. What was repaired until then stays so.
    pub async fn repair(&self, deadline: Deadline) -> Result<Vec<Repaired>, ReadError> {
        let mut repaired = Vec::new();
        for key in self.damaged().await? {
            let repair = self.repair_one(&key, deadline).await?;
            if let Some(repair) = repair {
                repaired.push(Repaired { key, repair });
            }
        }
        Ok(repaired)
    }

    async fn damaged(&self) -> Result<Vec<Key>, ReadError> {
        self.blocking(|shared| {
            let keys = shared.with_index(|index| {
                let behind = index
                    .records
                    .iter()
                    .filter(|(_, seat)| !matches!(seat, Seat::Log(_)));
                Ok(behind.map(|(key, _)| key.clone()).collect::<Vec<_>>())
            })?;
            let mut damaged = Vec::new();
            for key in keys {
                if let (Ok(name), Some(_)) = (Key::from_stored(&key), found(shared, &key)?) {
                    damaged.push(name);
                }
            }
            Ok(damaged)
        })
        .await
    }

    async fn repair_one(&self, key: &Key, deadline: Deadline) -> Result<Option<Repair>, ReadError> {
        let stored = key.stored().to_owned();
        let found = self
            .blocking(move |shared| {
                let found = found(shared, &stored)?;
                if let Some(Found { accepted, .. }) = &found {
                    accept(shared, &stored, Some(*accepted))?;
                }
                Ok(found)
            })
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let at = Version::new(found.version);
        let mut batch = Batch::new(Lane::System);
        let is_taken = match (found.content, found.accepted) {
            (Some((kind, value)), _) => {
                batch.put(key.clone(), Expected::At(at), kind, value);
                true
            }
            (None, Accepted::Absence) => {
                batch.delete(key.clone(), at);
                false
            }
            (None, Accepted::Bytes { .. }) => {
                self.withdraw(key).await?;
                return Ok(Some(Repair::Unreadable));
            }
        };
        Ok(Some(match self.commit(batch, deadline).await {
            Ok(committed) => match committed.version.filter(|_| is_taken) {
                Some(version) => Repair::Taken { version },
                None => Repair::Removed,
            },
            Err(error) => {
                self.withdraw(key).await?;
                Repair::Refused(error)
            }
        }))
    }

    async fn withdraw(&self, key: &Key) -> Result<(), ReadError> {
        let stored = key.stored().to_owned();
        self.blocking(move |shared| accept(shared, &stored, None)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared<LocalIndex>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.0.read(work).await
    }
}

fn accept(shared: &Shared<LocalIndex>, key: &str, accepted: Option<Accepted>) -> Result<(), ReadError> {
    let accept = |index: &mut LocalIndex| {
        match accepted {
            Some(accepted) => drop(index.accepted.insert(key.to_owned(), accepted)),
            None => drop(index.accepted.remove(key)),
        }
        Ok(())
    };
    shared
        .change_index(accept)
        .map_err(|error| unavailable(Box::new(error)))
}

/// What a record's file has, if it is not what was written; none for one that can be read.
fn found(shared: &Shared<LocalIndex>, key: &str) -> Result<Option<Found>, ReadError> {
    let _unchanged = shared.beside.keep_files();
    let seat = shared.with_index(|index| index.record(key))?;
    let Some(seat) = seat.filter(|seat| !matches!(seat, Seat::Log(_))) else {
        return Ok(None);
    };
    let bytes = read_file(&*shared.files, &place::record(key), record_file::FILE_MAX)
        .map_err(|error| unavailable(Box::new(error)))?;
    let Some(bytes) = bytes else {
        return Ok(Some(Found {
            version: seat.version(),
            accepted: Accepted::Absence,
            content: None,
        }));
    };
    let line = record_file::decode(key, &bytes);
    let is_known = |line: record_file::Line| match seat {
        Seat::File { version, crc, .. } => (line.version, line.crc) == (version, crc),
        Seat::Log(_) | Seat::Part { .. } | Seat::Damaged => false,
    };
    if line.is_some_and(is_known) {
        return Ok(None);
    }
    Ok(Some(Found {
        version: seat.version(),
        accepted: Accepted::Bytes {
            crc: crc32c::crc32c(&bytes),
        },
        content: record_file::salvage(&bytes).map(|(kind, at)| (kind, bytes[at..].to_vec())),
    }))
}

fn unavailable(source: crate::Source) -> ReadError {
    ReadError::Unavailable {
        reason: "a record's file",
        source: Some(source),
    }
}
