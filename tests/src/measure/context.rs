//! How much a section measures, and where.

use std::path::{Path, PathBuf};

use super::Arguments;

/// How much is measured, and where.
#[derive(Debug, Clone)]
pub struct Context {
    /// An empty folder on the disk that is measured.
    pub folder: PathBuf,
    /// How often each thing is measured.
    pub rounds: usize,
    /// Less of everything.
    pub is_quick: bool,
}

impl Context {
    /// In this folder, as much as was asked for.
    #[must_use]
    pub fn new(folder: &Path, asked: &Arguments) -> Self {
        Self {
            folder: folder.to_owned(),
            rounds: asked.rounds(),
            is_quick: asked.is_quick,
        }
    }

    /// So many, or a hundredth of it in a quick run, and at least one.
    #[must_use]
    pub fn count(&self, count: usize) -> usize {
        if self.is_quick {
            (count / 100).max(1)
        } else {
            count
        }
    }
}
