//! Whatever the umask, nobody else can read.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::home::{Home, Ran};

/// Every file below a folder, in order of path; sockets too.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = all_below(folder);
    found.retain(|path| !path.is_dir());
    found
}

fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Whether nobody else can read a file.
#[track_caller]
pub(crate) fn is_ours_alone(file: &Path) {
    let mode = fs::metadata(file).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode & 0o177, 0, "{} has mode {mode:o}", file.display());
}

#[test]
fn under_umask_0_folders_are_0700_and_files_0600() {
    let home = Home::new();
    let program = crate::program::program().display().to_string();
    let line = format!("umask 0; exec '{program}' run --agent alice -- sh -c 'echo hello'");
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &line])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("DORMOUSE_HOME", home.path());
    Ran::of(&mut command).exits(0);
    let all = all_below(&home.path());
    assert!(all.len() > 5, "{all:?}");
    for path in all.iter().chain([&home.path()]) {
        let metadata = fs::symlink_metadata(path).unwrap();
        let widest = if metadata.is_dir() { 0o700 } else { 0o600 };
        let mode = metadata.permissions().mode() & 0o7777;
        assert_eq!(
            mode & !widest,
            0,
            "{} has mode {mode:o} of uid {}",
            path.display(),
            metadata.uid()
        );
    }
}
