//! The folders a worker's environment names.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The folders that one run left behind and that could not be removed, at most: more are a worker's doing.
const FORMER_MAX: u32 = 1_000;

/// Creates the workspace, which stays where there is one, and anew the run folder and its `tmp`, for their user only.
/// Blocks.
///
/// A run that was parked had a folder before, and its worker may have left anything in it, links included: nothing of
/// ours is made in there again. It is moved aside, as [`former_run`] finds it, and removed as far as that goes.
///
/// # Errors
/// The file system's.
pub fn create_folders(workspace: &Path, run_folder: &Path) -> io::Result<()> {
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(workspace)?;
    if let Some(parent) = run_folder.parent() {
        private.create(parent)?;
    }
    move_aside(run_folder)?;
    // Not recursive: what stands there is refused and not followed.
    private.recursive(false);
    private.create(run_folder)?;
    private.create(run_folder.join("tmp"))
}

/// The name of the run whose folder this is or was.
#[must_use]
pub fn former_run(folder_name: &str) -> &str {
    folder_name.split_once('.').map_or(folder_name, |(run, _)| run)
}

fn move_aside(run_folder: &Path) -> io::Result<()> {
    if matches!(run_folder.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    let free = (1..=FORMER_MAX)
        .map(|number| former(run_folder, number))
        .find(|path| path.symlink_metadata().is_err());
    let aside = free.ok_or_else(|| io::Error::other("too many former folders of this run are left"))?;
    std::fs::rename(run_folder, &aside)?;
    if let Err(error) = std::fs::remove_dir_all(&aside) {
        tracing::warn!(folder = %aside.display(), %error, "a run's former folder was not removed");
    }
    Ok(())
}

fn former(run_folder: &Path, number: u32) -> PathBuf {
    let mut name = run_folder.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{number}"));
    run_folder.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_in_what_a_worker_left() {
        let place = tempfile::tempdir().unwrap();
        let (workspace, run, victim) = (
            place.path().join("w"),
            place.path().join("runs/run_1"),
            place.path().join("victim"),
        );
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("dormouse"), "theirs").unwrap();
        create_folders(&workspace, &run).unwrap();
        std::os::unix::fs::symlink(&victim, run.join("bin")).unwrap();
        create_folders(&workspace, &run).unwrap();
        assert!(
            run.join("bin").symlink_metadata().is_err(),
            "the folder is a new one"
        );
        assert!(run.join("tmp").is_dir());
        std::fs::remove_dir_all(&run).unwrap();
        std::os::unix::fs::symlink(&victim, &run).unwrap();
        create_folders(&workspace, &run).unwrap();
        assert!(!run.symlink_metadata().unwrap().is_symlink());
        assert_eq!(
            std::fs::read_to_string(victim.join("dormouse")).unwrap(),
            "theirs"
        );
    }

    #[test]
    fn a_former_folder_is_known_by_its_run() {
        assert_eq!(former_run("run_1"), "run_1");
        assert_eq!(former_run("run_1.12"), "run_1");
    }
}
