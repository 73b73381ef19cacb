//! Workspace folders: nothing outside is reached, nothing of another's is lost, everything has a limit.

mod changes;
mod crash;
mod limits;
mod lists;
mod outside;

use std::path::{Path, PathBuf};

use dormouse_filesystem::workspace::{Digest, FileRead, Workspace, WorkspaceError, WorkspaceOptions};
use jiff::Timestamp;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

/// A workspace in a folder of its own, beside another folder that is outside.
struct Place {
    folder: TempDir,
    workspace: Workspace,
}

impl Place {
    async fn new() -> Self {
        Self::with(WorkspaceOptions::new(NOW)).await
    }

    async fn with(options: WorkspaceOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        let workspace = Workspace::open(&folder.path().join("in"), options).await.unwrap();
        Self { folder, workspace }
    }

    /// A path inside, as the system sees it.
    fn inside(&self, path: &str) -> PathBuf {
        self.folder.path().join("in").join(path)
    }

    fn outside(&self, path: &str) -> PathBuf {
        self.folder.path().join("out").join(path)
    }

    /// Writes as people's programs do.
    fn edit(&self, path: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.inside(path), bytes).unwrap();
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.inside(path)).unwrap()
    }

    async fn read(&self, path: &str) -> Result<FileRead, WorkspaceError> {
        self.workspace.read(Path::new(path), u64::MAX).await
    }

    async fn digest(&self, path: &str) -> Digest {
        self.read(path).await.unwrap().digest
    }

    async fn replace(&self, path: &str, bytes: &str, read: Digest) -> Result<Digest, WorkspaceError> {
        self.workspace
            .replace(Path::new(path), bytes.to_owned(), read)
            .await
    }

    /// Every name in the folder itself, temporaries too.
    fn names(&self) -> Vec<String> {
        names_in(&self.folder.path().join("in"))
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
