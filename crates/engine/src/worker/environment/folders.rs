//! The folders a worker's environment names.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Creates the workspace, the run folder and its `tmp`, for their user only. Existing ones stay as they are. Blocks.
///
/// # Errors
/// The file system's.
pub fn create_folders(workspace: &Path, run_folder: &Path) -> io::Result<()> {
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(workspace)?;
    private.create(run_folder.join("tmp"))
}
