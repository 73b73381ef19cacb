//! Narrower handles, and folders made for them.

use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::place::Place;
use super::usage::Total;
use super::{WorkspaceError, WorkspacePath, beneath};

pub(super) fn open(place: &Place, path: &WorkspacePath) -> Result<Place, WorkspaceError> {
    place.check_depth(path, path.parts())?;
    place.check(&path.shown())?;
    let folder = beneath::folder(place.folder(), path).map_err(|error| WorkspaceError::of(path, error))?;
    Ok(place.narrowed(path, folder))
}

/// Each missing folder of a path, 0700, outermost first and synced.
pub(super) fn make(place: &Place, path: &WorkspacePath) -> Result<Place, WorkspaceError> {
    place.check_depth(path, path.parts())?;
    place.check(&path.shown())?;
    let failed = |error| WorkspaceError::of(path, error);
    let mut at = PathBuf::new();
    for part in path.components() {
        let folder = beneath::folder(place.folder(), &at).map_err(failed)?;
        at.push(part);
        if beneath::folder(&folder, Path::new(part.as_os_str())).is_ok() {
            continue;
        }
        place.admit(path, Total { files: 1, bytes: 0 })?;
        match rustix::fs::mkdirat(&folder, part.as_os_str(), Mode::RWXU) {
            // Another made it, or something else is there, which the next step finds.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error.into())),
        }
        std::fs::File::from(folder).sync_all().map_err(failed)?;
    }
    open(place, path)
}
