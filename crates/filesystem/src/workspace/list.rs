//! Listing: names in order, page by page, folders as deep as asked.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType};

use super::place::Place;
use super::read::timestamp;
use super::temporary::is_temporary;
use super::usage::names;
use super::{DEPTH_MAX, LIST_MAX, WorkspaceError, WorkspacePath, beneath};

/// What a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File {
        /// Its size.
        bytes: u64,
        /// When it was last written, by its own word.
        modified: Timestamp,
        /// The bits of its mode that can be set.
        mode: u32,
    },
    /// A folder.
    Folder,
}

/// One name of a list.
#[derive(Debug)]
pub struct ListedFile {
    /// From the handle's folder.
    pub path: WorkspacePath,
    /// What it is; an error stands in the place of what cannot be reached: a link, a device, an unreadable folder.
    pub kind: Result<FileKind, WorkspaceError>,
}

/// One page of names.
#[derive(Debug, Default)]
pub struct FilesListed {
    /// In order, part by part: `a`, `a/b`, `a-b`.
    pub items: Vec<ListedFile>,
    /// What to give as `after` for the next page; none only at the end.
    pub next: Option<WorkspacePath>,
}

/// Which page.
#[derive(Debug)]
pub(super) struct Asked {
    /// None for the handle's own folder.
    pub(super) below: Option<WorkspacePath>,
    pub(super) depth: usize,
    pub(super) after: Option<WorkspacePath>,
    pub(super) limit: usize,
}

pub(super) fn list(place: &Place, asked: &Asked) -> Result<FilesListed, WorkspaceError> {
    let below = asked.below.as_deref().unwrap_or_else(|| Path::new(""));
    let path = WorkspacePath::read(below.to_owned());
    if !(1..=LIST_MAX).contains(&asked.limit) || !(1..=DEPTH_MAX).contains(&asked.depth) {
        return Err(WorkspaceError::Invalid {
            path: path.shown(),
            reason: "a list has 1 to 1000 items, 1 to 8 deep",
        });
    }
    place.check(&path.shown())?;
    let folder = beneath::folder(place.folder(), below).map_err(|error| WorkspaceError::of(&path, error))?;
    let mut filling = Filling {
        listed: FilesListed::default(),
        after: asked.after.as_deref(),
        limit: asked.limit,
    };
    // Deeper than a workspace goes no path leads.
    let depth = asked
        .depth
        .min(DEPTH_MAX + 1 - (place.depth() + below.components().count()).min(DEPTH_MAX));
    filling.fill(&folder.into(), below, depth)?;
    Ok(filling.listed)
}

struct Filling<'a> {
    listed: FilesListed,
    after: Option<&'a Path>,
    limit: usize,
}

impl Filling<'_> {
    /// Adds what is in a folder; false when the page is full.
    fn fill(&mut self, folder: &File, at: &Path, depth: usize) -> Result<bool, WorkspaceError> {
        for name in self.next_names(folder, at)? {
            let path = at.join(&name);
            let (kind, inner) = look(folder, &name, &path);
            if self.after.is_none_or(|after| path.as_path() > after) && !self.takes(&path, kind) {
                return Ok(false);
            }
            let Some(inner) = inner.filter(|_| depth > 1) else {
                continue;
            };
            // What a folder answers after it was opened is not its name's error any more: it is passed over.
            if !self.fill(&inner, &path, depth - 1).unwrap_or(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn takes(&mut self, path: &Path, kind: Result<FileKind, WorkspaceError>) -> bool {
        let items = &mut self.listed.items;
        if items.len() == self.limit {
            self.listed.next = items.last().map(|item| item.path.clone());
            return false;
        }
        items.push(ListedFile {
            path: WorkspacePath::read(path.to_owned()),
            kind,
        });
        true
    }

    /// The first names of a folder that the page can still need, in order: a folder may hold more than memory should.
    fn next_names(&self, folder: &File, at: &Path) -> Result<BTreeSet<PathBuf>, WorkspaceError> {
        let path = || WorkspacePath::read(at.to_owned());
        // One more tells that there is a next page, and one may only lead to the cursor.
        let room = self.limit - self.listed.items.len() + 2;
        let mut first = BTreeSet::new();
        for name in names(folder).map_err(|error| WorkspaceError::of(&path(), error))? {
            if is_temporary(name.as_os_str().as_bytes()) || !self.is_needed(&at.join(&name)) {
                continue;
            }
            first.insert(name);
            if first.len() > room {
                first.pop_last();
            }
        }
        Ok(first)
    }

    /// Behind the cursor, or a folder that the cursor is in.
    fn is_needed(&self, path: &Path) -> bool {
        self.after
            .is_none_or(|after| path > after || after.starts_with(path))
    }
}

/// What a name is, and its folder if it is one.
fn look(folder: &File, name: &Path, path: &Path) -> (Result<FileKind, WorkspaceError>, Option<File>) {
    let path = WorkspacePath::read(path.to_owned());
    let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(error) => return (Err(WorkspaceError::of(&path, error.into())), None),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => (Ok(file(&stat)), None),
        FileType::Directory => match beneath::folder(folder, name) {
            Ok(inner) => (Ok(FileKind::Folder), Some(inner.into())),
            Err(error) => (Err(WorkspaceError::of(&path, error)), None),
        },
        FileType::Symlink => (Err(WorkspaceError::Outside { path: path.shown() }), None),
        _ => (Err(WorkspaceError::NotAFile { path: path.shown() }), None),
    }
}

#[allow(clippy::useless_conversion, reason = "a mode has 16 bits on macOS")]
fn file(stat: &rustix::fs::Stat) -> FileKind {
    FileKind::File {
        bytes: u64::try_from(stat.st_size).unwrap_or(0),
        modified: timestamp(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        mode: u32::from(stat.st_mode) & 0o7777,
    }
}
