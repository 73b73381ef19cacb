//! Programs are found before anything is started, on the worker's own `PATH`.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::SpawnError;

/// The file of a program: a name is looked for in the folders of `path`, in order; what has a slash is a path,
/// seen from `cwd`. Blocks for a few looks at the file system.
///
/// # Errors
/// [`SpawnError::NotFound`], or [`SpawnError::NotExecutable`] for the first one found that cannot be run when none
/// can.
pub fn find_program(program: &str, path: &str, cwd: &Path) -> Result<PathBuf, SpawnError> {
    let not_found = || SpawnError::NotFound {
        program: program.to_owned(),
        path: path.to_owned(),
    };
    if program.is_empty() {
        return Err(not_found());
    }
    if program.contains('/') {
        return check(cwd.join(program)).unwrap_or_else(|| Err(not_found()));
    }
    let mut refused = None;
    // An empty entry would be the working folder: a file of the agent's must not pass for a program of the system.
    for folder in path.split(':').filter(|folder| folder.starts_with('/')) {
        match check(Path::new(folder).join(program)) {
            Some(Ok(found)) => return Ok(found),
            Some(Err(error)) => refused = refused.or(Some(error)),
            None => {}
        }
    }
    Err(refused.unwrap_or_else(not_found))
}

/// None: there is no such file.
fn check(file: PathBuf) -> Option<Result<PathBuf, SpawnError>> {
    let found = file.metadata().ok()?;
    Some(match why_not(&file, &found) {
        None => Ok(file),
        Some(why) => Err(SpawnError::NotExecutable { program: file, why }),
    })
}

fn why_not(file: &Path, found: &Metadata) -> Option<&'static str> {
    if found.is_dir() {
        return Some("it is a folder");
    }
    if !found.is_file() {
        return Some("it is not a regular file");
    }
    match rustix::fs::access(file, Access::EXEC_OK) {
        Ok(()) => None,
        Err(_) => Some("permission denied"),
    }
}
