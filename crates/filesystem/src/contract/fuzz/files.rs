//! Files in memory: no disk stands in the way of a million openings.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::commit_log::{FileLayer, LogFile};

#[derive(Debug, Default)]
pub(super) struct File(Mutex<Vec<u8>>);

#[derive(Debug, Default)]
pub(super) struct Files(Mutex<BTreeMap<String, Arc<File>>>);

impl Files {
    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) {
        self.with(|files| files.insert(name.to_owned(), Arc::new(File(Mutex::new(bytes)))));
    }

    /// All that is there.
    pub(super) fn content(&self) -> BTreeMap<String, Vec<u8>> {
        self.with(|files| {
            files
                .iter()
                .map(|(name, file)| (name.clone(), file.with(|bytes| bytes.clone())))
                .collect()
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<String, Arc<File>>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl File {
    fn with<T>(&self, look: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl FileLayer for Files {
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let file = self.with(|files| files.get(name).cloned()).ok_or_else(missing)?;
        Ok(file)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.put(name, Vec::new());
        self.open(name)
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let of_folder = |name: &String| Some(name.strip_prefix(folder)?.strip_prefix('/')?.to_owned());
        Ok(self.with(|files| files.keys().filter_map(of_folder).collect()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|files| {
            let file = files.remove(from).ok_or_else(missing)?;
            files.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with(|files| files.remove(name).map(drop).ok_or_else(missing))
    }

    fn make_folder(&self, _folder: &str) -> io::Result<bool> {
        Ok(true)
    }

    fn remove_folder(&self, _folder: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _folder: &str) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(1 << 40)
    }

    fn boot(&self) -> [u8; 16] {
        [1; 16]
    }
}

impl LogFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(self.with(|bytes| {
            let there = bytes.get(at..).unwrap_or_default();
            let read = there.len().min(buffer.len());
            buffer[..read].copy_from_slice(&there[..read]);
            read
        }))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.with(|file| {
            let end = at + bytes.len();
            file.resize(file.len().max(end), 0);
            file[at..end].copy_from_slice(bytes);
        });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.with(|bytes| bytes.len() as u64))
    }
}
