//! Replacing and removing what was read, and nothing else: the name is taken first, what came with it looked at then.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;

use rustix::fs::{OFlags, RenameFlags};
use rustix::io::Errno;

use super::path::shown;
use super::place::{Place, Target};
use super::read::read_to;
use super::temporary::{self, Temporary};
use super::usage::Total;
use super::write::check_size;
use super::{Digest, FILE_MAX, NAME_MAX, WorkspaceError, WorkspacePath};

/// Between the name and the random end of what is kept when two others wrote in one moment.
const KEPT: &str = ".dormouse-kept-";

pub(super) fn replace(
    place: &Place,
    path: &WorkspacePath,
    bytes: &[u8],
    digest: Digest,
) -> Result<Digest, WorkspaceError> {
    check_size(path, bytes.len() as u64)?;
    let target = place.target(path)?;
    let _lock = target.lock()?;
    let (old, size) = open_as_read(&target, digest)?;
    let new = Digest::of(bytes);
    if new == digest {
        return Ok(new);
    }
    if old.metadata().map_err(|error| target.failed(error))?.nlink() > 1 {
        return Err(WorkspaceError::Linked { path: path.shown() });
    }
    let more = (bytes.len() as u64).saturating_sub(size);
    place.admit(
        path,
        Total {
            files: 0,
            bytes: more,
        },
    )?;
    let temporary = Temporary::written(&target, bytes, Some(&old))?;
    target.check()?;
    let replaced = take_place(&target, temporary, digest, new);
    target.sync()?;
    replaced.map(|()| new)
}

pub(super) fn remove(place: &Place, path: &WorkspacePath, digest: Digest) -> Result<(), WorkspaceError> {
    let target = place.target(path)?;
    let _lock = target.lock()?;
    open_as_read(&target, digest)?;
    let aside = temporary::name(&target)?;
    target.check()?;
    target.rename_unused(&target.name, &aside)?;
    let removed = if digest_of(&target, &aside) == Some(digest) {
        target.unlink(&aside)
    } else {
        Err(give_back(&target, &aside))
    };
    target.sync()?;
    removed
}

/// The file, if its content is still what was read, and its size.
fn open_as_read(target: &Target<'_>, digest: Digest) -> Result<(File, u64), WorkspaceError> {
    let file = target.open(OFlags::RDONLY)?;
    let bytes = match read_to(target, &file, FILE_MAX) {
        // Nothing that large was ever read.
        Err(WorkspaceError::TooLarge { .. }) => return Err(changed(target, None)),
        read => read?,
    };
    if Digest::of(&bytes) != digest {
        return Err(changed(target, None));
    }
    Ok((file, bytes.len() as u64))
}

/// Puts the new file in the old one's place and looks at what came out.
fn take_place(
    target: &Target<'_>,
    temporary: Temporary<'_>,
    digest: Digest,
    new: Digest,
) -> Result<(), WorkspaceError> {
    let can_exchange = &target.place.root.can_exchange;
    if !can_exchange.load(Ordering::Relaxed) {
        return rename_over(target, temporary, digest);
    }
    match swap(target, &temporary.name) {
        Ok(()) => {}
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            can_exchange.store(false, Ordering::Relaxed);
            return rename_over(target, temporary, digest);
        }
        // It was removed since it was read.
        Err(Errno::NOENT) => return Err(changed(target, None)),
        Err(error) => return Err(target.failed(error)),
    }
    let came_out = temporary.give_away();
    if digest_of(target, &came_out) == Some(digest) {
        return target.unlink(&came_out);
    }
    Err(put_back(target, &came_out, new))
}

/// Another's content came out, and goes back. If a third was written meanwhile, that one is kept beside.
fn put_back(target: &Target<'_>, name: &OsStr, new: Digest) -> WorkspaceError {
    match swap(target, name) {
        Ok(()) if digest_of(target, name) == Some(new) => match target.unlink(name) {
            Ok(()) => changed(target, None),
            Err(error) => error,
        },
        // The name was removed meanwhile: what came out gets it again.
        Err(Errno::NOENT) => give_back(target, name),
        Ok(()) | Err(_) => keep_aside(target, name),
    }
}

/// Gives another's content its name again, or, when a third has it by now, a name beside.
fn give_back(target: &Target<'_>, name: &OsStr) -> WorkspaceError {
    match target.rename_unused(name, &target.name) {
        Ok(()) => changed(target, None),
        Err(_) => keep_aside(target, name),
    }
}

/// Gives what must stay a name that is listed and never swept.
fn keep_aside(target: &Target<'_>, name: &OsStr) -> WorkspaceError {
    let kept = match kept_name(target) {
        Ok(kept) => kept,
        Err(error) => return error,
    };
    match target.rename_unused(name, &kept) {
        Ok(()) => changed(target, Some(kept)),
        // It stays where it is, for an hour at least.
        Err(_) => changed(target, Some(name.to_owned())),
    }
}

fn kept_name(target: &Target<'_>) -> Result<OsString, WorkspaceError> {
    let end = format!("{KEPT}{}", temporary::random(target)?);
    let mut kept = target.name.as_bytes().to_owned();
    kept.truncate(NAME_MAX - end.len());
    kept.extend_from_slice(end.as_bytes());
    Ok(OsStr::from_bytes(&kept).to_owned())
}

/// Where two names cannot be exchanged: looked at once more, then replaced. Between the two is a window.
fn rename_over(target: &Target<'_>, temporary: Temporary<'_>, digest: Digest) -> Result<(), WorkspaceError> {
    if digest_of(target, &target.name) != Some(digest) {
        return Err(changed(target, None));
    }
    let folder = &target.folder;
    let renamed = rustix::fs::renameat(folder, &temporary.name, folder, &target.name);
    renamed.map_err(|error| target.failed(error))?;
    temporary.give_away();
    Ok(())
}

fn swap(target: &Target<'_>, name: &OsStr) -> rustix::io::Result<()> {
    let folder = &target.folder;
    rustix::fs::renameat_with(folder, name, folder, &target.name, RenameFlags::EXCHANGE)
}

/// None for what is no file that was ever read.
fn digest_of(target: &Target<'_>, name: &OsStr) -> Option<Digest> {
    let file = target.open_name(name, OFlags::RDONLY).ok()?;
    let bytes = read_to(target, &file, FILE_MAX).ok()?;
    Some(Digest::of(&bytes))
}

fn changed(target: &Target<'_>, aside: Option<OsString>) -> WorkspaceError {
    let (folder, _) = target.path.split();
    WorkspaceError::Changed {
        path: target.path.shown(),
        aside: aside.map(|name| shown(&folder.join(name))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::place::Root;
    use super::super::usage::Usage;
    use super::*;

    fn place(folder: &Path) -> Place {
        let max = Total {
            files: 100,
            bytes: 100,
        };
        Place::of_root(Root::open(folder, Usage::new(max)).unwrap()).unwrap()
    }

    /// The moments between two calls, which no other process can be made to hit: what came out is another's, and
    /// meanwhile a third wrote.
    #[test]
    fn when_two_others_write_in_one_moment_both_stay_and_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let path = WorkspacePath::parse(Path::new("file")).unwrap();
        let target = place.target(&path).unwrap();
        let write = |name: &str, bytes: &str| std::fs::write(folder.path().join(name), bytes).unwrap();
        let came_out = temporary::name(&target).unwrap();
        write(came_out.to_str().unwrap(), "another's");
        write("file", "a third's");
        let error = put_back(&target, &came_out, Digest::of(b"ours"));
        let WorkspaceError::Changed {
            aside: Some(aside), ..
        } = &error
        else {
            panic!("{error:?}")
        };
        assert!(error.to_string().contains(aside.as_str()));
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            (read("file").as_str(), read(aside).as_str()),
            ("another's", "a third's")
        );

        // Removed meanwhile: it gets its name again. Taken meanwhile: it gets one beside.
        write(came_out.to_str().unwrap(), "another's");
        std::fs::remove_file(folder.path().join("file")).unwrap();
        let error = put_back(&target, &came_out, Digest::of(b"ours"));
        assert!(
            matches!(error, WorkspaceError::Changed { aside: None, .. }),
            "{error:?}"
        );
        assert_eq!(read("file"), "another's");
        write(came_out.to_str().unwrap(), "moved aside");
        let error = give_back(&target, &came_out);
        let WorkspaceError::Changed {
            aside: Some(aside), ..
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(
            (read("file").as_str(), read(aside).as_str()),
            ("another's", "moved aside")
        );
    }

    #[test]
    fn where_names_cannot_be_exchanged_the_digest_is_looked_at_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        place.root.can_exchange.store(false, Ordering::Relaxed);
        let path = WorkspacePath::parse(Path::new("file")).unwrap();
        std::fs::write(folder.path().join("file"), "read").unwrap();
        let digest = replace(&place, &path, b"ours", Digest::of(b"read")).unwrap();
        assert_eq!(std::fs::read(folder.path().join("file")).unwrap(), b"ours");
        std::fs::write(folder.path().join("file"), "edited").unwrap();
        let target = place.target(&path).unwrap();
        let temporary = Temporary::written(&target, b"ours again", None).unwrap();
        let refused = rename_over(&target, temporary, digest);
        assert!(
            matches!(refused, Err(WorkspaceError::Changed { aside: None, .. })),
            "{refused:?}"
        );
        assert_eq!(std::fs::read(folder.path().join("file")).unwrap(), b"edited");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
