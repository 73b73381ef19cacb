//! The store's folder: whose it is, whether it may hold a store, and who has it open.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::filesystem::{self, Kind};
use crate::OpenError;

/// The format of a store's folder that this build makes, and the newest it opens.
pub(crate) const FORMAT: u32 = 1;
/// What a folder may hold before its FORMAT was written: an earlier opening was killed there.
const BEGUN: [&str; 3] = ["LOCK", "FORMAT.tmp", "log"];
/// Longest FORMAT or LOCK that is read.
const TEXT_MAX: u64 = 4096;

/// A store's folder, held by this process until it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    lock: File,
    pub(crate) store: [u8; 16],
    pub(crate) kind: Kind,
}

/// Who opens it, for those who find it taken.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    pub(crate) program: String,
    pub(crate) now: jiff::Timestamp,
}

impl Folder {
    /// Makes or opens a store's folder and takes its lock.
    ///
    /// Whatever is refused is refused before anything in it is touched.
    pub(crate) fn open(path: &Path, backend: &str, opener: &Opener) -> Result<Self, OpenError> {
        let kind = filesystem::kind_of(path).map_err(|error| refused(path, &error))?;
        if let Kind::Refused(name) = kind {
            return Err(OpenError::Refused {
                path: shown(path),
                reason: unreliable(name),
            });
        }
        let is_made = check_format(path, backend)?.is_some();
        make(path, is_made).map_err(|error| refused(path, &error))?;
        let lock = take_lock(path, opener)?;
        // Only now is it certain that nobody else is making it.
        let store = match check_format(path, backend)? {
            Some(store) => store,
            None => write_format(path, backend, opener.now).map_err(|error| refused(path, &error))?,
        };
        Ok(Self {
            path: path.to_owned(),
            lock,
            store,
            kind,
        })
    }

    /// Whether the lock file in the folder is still the one that is held: one that was replaced protects nothing.
    pub(crate) fn holds_lock(&self) -> bool {
        let held = self.lock.metadata().map(|m| (m.dev(), m.ino()));
        let there = std::fs::metadata(self.path.join("LOCK")).map(|m| (m.dev(), m.ino()));
        matches!((held, there), (Ok(held), Ok(there)) if held == there)
    }

    #[cfg(feature = "sled")]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Why a filesystem of this name can hold no store.
pub(super) fn unreliable(name: &str) -> String {
    format!("it is on {name}, where a lock or a flush does not mean what it says")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn refused(path: &Path, error: &io::Error) -> OpenError {
    OpenError::Refused {
        path: shown(path),
        reason: error.to_string(),
    }
}

fn foreign(path: &Path, reason: impl Into<String>) -> OpenError {
    OpenError::Foreign {
        path: shown(path),
        reason: reason.into(),
    }
}

/// The folder and its `log`, mode 0700. Until a store is made in it the way down to it is synced too.
fn make(path: &Path, is_made: bool) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path.join("log"))?;
    close_to_others(path)?;
    if is_made {
        return File::open(path)?.sync_all();
    }
    for folder in way_down_to(path)? {
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            // Not a folder that this user could have made anything in.
            Err(error) if is_beyond_reach(&error) => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// A folder that was there with another mode is closed to all but its owner.
pub(crate) fn close_to_others(folder: &Path) -> io::Result<()> {
    let mode = std::fs::metadata(folder)?.mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// A folder and those above it on its filesystem: an earlier opening that was killed may have made any of them.
fn way_down_to(path: &Path) -> io::Result<Vec<PathBuf>> {
    let absolute = std::path::absolute(path)?;
    let device = std::fs::metadata(&absolute)?.dev();
    let is_here = |folder: &&Path| std::fs::metadata(folder).is_ok_and(|m| m.dev() == device);
    Ok(absolute
        .ancestors()
        .take_while(is_here)
        .map(Path::to_owned)
        .collect())
}

fn is_beyond_reach(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// The id of the store that is there; none in a folder that is missing, empty or only begun.
pub(crate) fn check_format(path: &Path, backend: &str) -> Result<Option<[u8; 16]>, OpenError> {
    match read_text(&path.join("FORMAT")) {
        Ok(text) => parse_format(path, backend, &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => check_unused(path, backend),
        Err(error) => Err(refused(path, &error)),
    }
}

/// None for a folder without a store; what it is, where another process made it in just this moment.
fn check_unused(path: &Path, backend: &str) -> Result<Option<[u8; 16]>, OpenError> {
    let names = match std::fs::read_dir(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(path, &error)),
    };
    for name in names {
        let name = name.map_err(|error| refused(path, &error))?.file_name();
        if !BEGUN.iter().any(|begun| name == *begun) {
            // FORMAT comes before anything else of a store: there by now, it was being made.
            return match read_text(&path.join("FORMAT")) {
                Ok(text) => parse_format(path, backend, &text).map(Some),
                Err(_) => Err(foreign(path, "it holds other files and no FORMAT")),
            };
        }
    }
    Ok(None)
}

fn parse_format(path: &Path, backend: &str, text: &str) -> Result<[u8; 16], OpenError> {
    let mut lines = text.lines();
    let format = lines.next().and_then(|line| line.strip_prefix("dormouse-store/"));
    let Some(found) = format.and_then(|number| number.parse::<u32>().ok()) else {
        return Err(foreign(path, "its FORMAT is not a dormouse store's"));
    };
    if found > FORMAT {
        return Err(OpenError::TooNew { found, known: FORMAT });
    }
    let field = |name: &str| {
        lines
            .clone()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    if field("backend") != Some(backend) {
        return Err(foreign(path, "its FORMAT names another backend"));
    }
    let id = field("id").and_then(|id| uuid::Uuid::try_parse(id).ok());
    id.map(uuid::Uuid::into_bytes)
        .ok_or_else(|| foreign(path, "its FORMAT names no store id"))
}

fn write_format(path: &Path, backend: &str, now: jiff::Timestamp) -> io::Result<[u8; 16]> {
    let id = new_store_id(now)?;
    let text = format!("dormouse-store/{FORMAT}\nbackend={backend}\nid={}\n", id.simple());
    let temporary = path.join("FORMAT.tmp");
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path.join("FORMAT"))?;
    File::open(path)?.sync_all()?;
    Ok(id.into_bytes())
}

/// Time and the system's randomness: stores are told apart by it, and checksums begin with it.
fn new_store_id(now: jiff::Timestamp) -> io::Result<uuid::Uuid> {
    use rand::TryRng;
    let mut random = [0; 10];
    rand::rngs::SysRng
        .try_fill_bytes(&mut random)
        .map_err(io::Error::other)?;
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Ok(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
}

fn take_lock(path: &Path, opener: &Opener) -> Result<File, OpenError> {
    let name = path.join("LOCK");
    let mut options = OpenOptions::new();
    // Close-on-exec is the standard library's default: a child holds no lock.
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut file = options.open(&name).map_err(|error| refused(path, &error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(in_use(path, &name)),
        Err(error) => return Err(refused(path, &error.into())),
    }
    let Opener { program, now } = opener;
    let program: String = program.chars().filter(|c| !c.is_control()).collect();
    let text = format!("pid={}\nprogram={program}\nsince={now}\n", std::process::id());
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(text.as_bytes()));
    written.map_err(|error| refused(path, &error))?;
    Ok(file)
}

fn in_use(path: &Path, name: &Path) -> OpenError {
    let text = read_text(name).unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    OpenError::InUse {
        path: shown(path),
        pid: field("pid").and_then(|pid| pid.parse().ok()).unwrap_or(0),
        program: field("program").unwrap_or("unknown").to_owned(),
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(TEXT_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_down_to_a_new_folder_is_every_folder_above_it_on_its_disk() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let path = folder.path().join("a/b/store");
        make(&path, false).expect("a store's folder is made");
        let way = way_down_to(&path).expect("it is there");
        let made = [
            path.as_path(),
            &folder.path().join("a/b"),
            &folder.path().join("a"),
            folder.path(),
        ];
        assert_eq!(way[..4], made);
        assert!(
            way_down_to(Path::new("src")).expect("it is there").len() > 1,
            "a relative one too"
        );
    }
}
