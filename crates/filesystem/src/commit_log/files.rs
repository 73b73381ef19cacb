//! The file layer: all input and output of the log, so that a test can put another disk under it.

use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

/// The files of a store's folder. Names are relative to it (`checkpoint`, `log/…`); the folder is `""`.
pub trait FileLayer: std::fmt::Debug + Send + Sync + 'static {
    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// What the system says; `NotFound` when there is none.
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;
    /// Creates an empty file, mode 0600, in place of what is there.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;
    /// The names in a folder, in no order, without the folder.
    ///
    /// # Errors
    /// What the system says.
    fn names(&self, folder: &str) -> io::Result<Vec<String>>;
    /// Renames a file, replacing what has the new name. Durable after [`sync_folder`](Self::sync_folder).
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes a folder, mode 0700, in one that exists; false when there is one already.
    ///
    /// # Errors
    /// What the system says.
    fn make_folder(&self, folder: &str) -> io::Result<bool>;
    /// Removes a folder that is empty.
    ///
    /// # Errors
    /// What the system says; one of a folder that is not empty.
    fn remove_folder(&self, folder: &str) -> io::Result<()>;
    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
    /// Bytes free to this user on the folder's filesystem.
    ///
    /// # Errors
    /// What the system says.
    fn free_bytes(&self) -> io::Result<u64>;
    /// What tells one boot of the machine from another: after another, unsynced bytes may be gone.
    fn boot(&self) -> [u8; 16];
}

/// An open file.
pub trait LogFile: std::fmt::Debug + Send + Sync + 'static {
    /// Reads until the buffer is full or the file ends; returns how much.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Fills the buffer if that takes no waiting for a disk; false when it was not filled. Who cannot tell says false.
    fn read_now(&self, _buffer: &mut [u8], _offset: u64) -> bool {
        false
    }
    /// Writes all of it in one call where the system allows.
    ///
    /// # Errors
    /// What the system says; some of it may then be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable (`fdatasync`; `F_FULLFSYNC` on macOS).
    ///
    /// # Errors
    /// What the system says. What was written may then be lost, and a second sync that succeeds proves nothing.
    fn sync(&self) -> io::Result<()>;
    /// How long the file is.
    ///
    /// # Errors
    /// What the system says.
    fn bytes(&self) -> io::Result<u64>;
}

/// The files of a real folder, reached beneath a handle of it.
#[derive(Debug)]
pub struct StdFiles {
    folder: OwnedFd,
    boot: [u8; 16],
}

impl StdFiles {
    /// The files of this folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            folder: rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?,
            boot: boot_id(),
        })
    }

    fn open_with(&self, name: &str, flags: OFlags) -> io::Result<Arc<dyn LogFile>> {
        let flags = flags | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&self.folder, name, flags, mode)?;
        Ok(Arc::new(File::from(file)))
    }

    fn open_folder(&self, folder: &str) -> io::Result<OwnedFd> {
        let name = if folder.is_empty() { "." } else { folder };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        Ok(rustix::fs::openat(&self.folder, name, flags, Mode::empty())?)
    }
}

impl FileLayer for StdFiles {
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.open_with(name, OFlags::empty())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.open_with(name, OFlags::CREATE | OFlags::TRUNC)
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(self.open_folder(folder)?)? {
            if let Ok(name) = entry?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        names.retain(|name| name != "." && name != "..");
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.folder, from, &self.folder, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let flags = rustix::fs::AtFlags::empty();
        Ok(rustix::fs::unlinkat(&self.folder, name, flags)?)
    }

    fn make_folder(&self, folder: &str) -> io::Result<bool> {
        match rustix::fs::mkdirat(&self.folder, folder, Mode::RWXU) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn remove_folder(&self, folder: &str) -> io::Result<()> {
        let flags = rustix::fs::AtFlags::REMOVEDIR;
        Ok(rustix::fs::unlinkat(&self.folder, folder, flags)?)
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.open_folder(folder)?)?)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn boot(&self) -> [u8; 16] {
        self.boot
    }
}

impl LogFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match FileExt::read_at(self, &mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    #[cfg(target_os = "linux")]
    fn read_now(&self, buffer: &mut [u8], offset: u64) -> bool {
        let wanted = buffer.len();
        let flags = rustix::io::ReadWriteFlags::NOWAIT;
        let read = rustix::io::preadv2(self, &mut [IoSliceMut::new(buffer)], offset, flags);
        read.is_ok_and(|read| read == wanted)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// The kernel's id of this boot. Where there is none every end without a close counts as a restart of the machine:
/// slower to open, never wrong.
fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let unknown = uuid::Uuid::nil();
    *uuid::Uuid::parse_str(text.trim()).unwrap_or(unknown).as_bytes()
}

/// Whether two boots are known to be the same.
#[cfg(feature = "sled")]
pub(crate) fn is_same_boot(a: [u8; 16], b: [u8; 16]) -> bool {
    a == b && a != [0; 16]
}
