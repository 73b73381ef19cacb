//! Opening what lies beneath a folder handle, and nothing else.
//!
//! On Linux the kernel walks the path (`openat2`: beneath, no symlinks, no magic links, no mounts). Elsewhere, and
//! where that call is not to be had, each part is opened from the one before with `O_NOFOLLOW`, on one device.
//! rustix is used for both and not cap-std: cap-std follows links that stay inside, which here are refused too, and
//! has no exchanging rename.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// How a folder is opened: for walking through, listing, locking and syncing it.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);
/// What every opening has.
const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOCTTY);

/// Opens a workspace's own folder. Which path leads there, over links too, is its owner's choice.
pub(super) fn root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FOLDER | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens the folder at a relative path; the empty path is the folder itself.
pub(super) fn folder(from: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    if path.as_os_str().is_empty() {
        return Ok(rustix::fs::openat(
            from,
            ".",
            FOLDER | OFlags::CLOEXEC,
            Mode::empty(),
        )?);
    }
    open(from.as_fd(), path, FOLDER, Mode::empty())
}

/// Opens one name in a folder. A fifo or device does not block: whoever asked for a file looks what it got.
pub(super) fn name(folder: impl AsFd, name: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    open(folder.as_fd(), Path::new(name), flags | OFlags::NONBLOCK, mode)
}

#[cfg(target_os = "linux")]
fn open(from: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    match by_kernel(from, path, flags, mode) {
        // An old kernel, or a filter that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => by_steps(from, path, flags, mode),
        opened => Ok(opened?),
    }
}

#[cfg(not(target_os = "linux"))]
fn open(from: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    by_steps(from, path, flags, mode)
}

#[cfg(target_os = "linux")]
fn by_kernel(from: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::ResolveFlags;
    /// The kernel asks for another try when something was renamed meanwhile.
    const TRIES: usize = 64;
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    // No `NOFOLLOW`: with it a last part that is a link would answer as any file that is no folder.
    for _ in 1..TRIES {
        match rustix::fs::openat2(from, path, flags | ALWAYS, mode, resolve) {
            Err(Errno::AGAIN) => {}
            opened => return opened,
        }
    }
    rustix::fs::openat2(from, path, flags | ALWAYS, mode, resolve)
}

fn by_steps(from: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let device = rustix::fs::fstat(from)?.st_dev;
    let mut parts = path.components().peekable();
    let mut at: Option<OwnedFd> = None;
    while let Some(part) = parts.next() {
        let Component::Normal(part) = part else {
            return Err(Errno::XDEV.into());
        };
        let folder = at.as_ref().map_or(from, AsFd::as_fd);
        let flags = if parts.peek().is_some() { FOLDER } else { flags };
        let opened = step(folder, part, flags, mode)?;
        if rustix::fs::fstat(&opened)?.st_dev != device {
            return Err(Errno::XDEV.into());
        }
        at = Some(opened);
    }
    at.ok_or_else(|| Errno::NOENT.into())
}

/// Systems differ in what a link answers where a folder is wanted: here it is always `ELOOP`.
fn step(folder: BorrowedFd<'_>, part: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    match rustix::fs::openat(folder, part, flags | ALWAYS | OFlags::NOFOLLOW, mode) {
        Err(Errno::NOTDIR | Errno::MLINK) if is_link(folder, part) => Err(Errno::LOOP.into()),
        opened => Ok(opened?),
    }
}

fn is_link(folder: BorrowedFd<'_>, part: &OsStr) -> bool {
    rustix::fs::statat(folder, part, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A way of opening: all do the same.
    type Way = fn(BorrowedFd<'_>, &Path, OFlags, Mode) -> io::Result<OwnedFd>;

    fn ways() -> Vec<(&'static str, Way)> {
        vec![
            #[cfg(target_os = "linux")]
            ("kernel", |from, path, flags, mode| {
                Ok(by_kernel(from, path, flags, mode)?)
            }),
            ("steps", by_steps),
        ]
    }

    #[test]
    fn nothing_but_what_is_beneath_is_opened_whichever_way() {
        let place = tempfile::tempdir().unwrap();
        let (inside, outside) = (place.path().join("in"), place.path().join("out"));
        std::fs::create_dir_all(inside.join("a/b")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), "s").unwrap();
        std::fs::write(inside.join("a/b/file"), "f").unwrap();
        symlink(&outside, inside.join("absolute")).unwrap();
        symlink("../out", inside.join("up")).unwrap();
        symlink("a", inside.join("within")).unwrap();
        symlink("nowhere", inside.join("dangling")).unwrap();
        symlink(outside.join("secret"), inside.join("a/file")).unwrap();
        let from = std::fs::File::open(&inside).unwrap();
        for (way, open) in ways() {
            let open = |path: &str| open(from.as_fd(), Path::new(path), OFlags::RDONLY, Mode::empty());
            assert!(open("a/b/file").is_ok(), "{way}");
            for path in [
                "absolute/secret",
                "up/secret",
                "within/b/file",
                "dangling",
                "a/file",
                "up",
                "absolute",
                "..",
                "../out/secret",
                "a/../../out/secret",
            ] {
                let refused = open(path).map_err(|error| Errno::from_io_error(&error));
                assert!(
                    matches!(refused, Err(Some(Errno::LOOP | Errno::XDEV))),
                    "{way} {path}: {refused:?}"
                );
            }
            let below_a_file = open("a/b/file/x").map_err(|error| Errno::from_io_error(&error));
            assert!(matches!(below_a_file, Err(Some(Errno::NOTDIR))), "{way}");
        }
    }

    /// `/proc` and `/dev` are mounts wherever Linux runs.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_mount_is_not_crossed_whichever_way() {
        let root = std::fs::File::open("/").unwrap();
        for (way, open) in ways() {
            let refused = open(
                root.as_fd(),
                Path::new("proc/version"),
                OFlags::RDONLY,
                Mode::empty(),
            );
            let refused = refused.map_err(|error| Errno::from_io_error(&error));
            assert!(matches!(refused, Err(Some(Errno::XDEV))), "{way}: {refused:?}");
        }
    }
}
