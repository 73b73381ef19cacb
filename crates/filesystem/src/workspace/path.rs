//! Paths inside a workspace: relative, one spelling each, and how they are shown.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::WorkspaceError;
use super::temporary;
use super::{DEPTH_MAX, NAME_MAX, PATH_MAX};

/// Longest path shown in an error, in characters.
const SHOWN_MAX: usize = 200;

/// A path inside a workspace: `a/b.md`, with one spelling only.
///
/// Relative, no `.` or `..`, no empty part, no NUL, at most [`DEPTH_MAX`] folders and a name. Names are bytes as the
/// system has them, ordered part by part. `Debug` and `Display` show it sanitised: no control character of a
/// hostile name reaches a terminal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspacePath(PathBuf);

impl WorkspacePath {
    /// Parses a path; it is never altered.
    ///
    /// # Errors
    /// `Outside` when it is absolute, has `..` or NUL; `Invalid` when it is empty, is spelled with `.` or an empty
    /// part, or names a temporary of the workspace's own; `TooLarge` when it is too deep or too long.
    pub fn parse(path: &Path) -> Result<Self, WorkspaceError> {
        let bytes = path.as_os_str().as_bytes();
        let outside = || WorkspaceError::Outside { path: shown(path) };
        if bytes.starts_with(b"/") || bytes.contains(&0) {
            return Err(outside());
        }
        if bytes.len() > PATH_MAX {
            return Err(too_large(path, "PATH_MAX"));
        }
        let mut parts = 0;
        for part in bytes.split(|byte| *byte == b'/') {
            parts += 1;
            match part {
                b".." => return Err(outside()),
                b"" | b"." => return Err(invalid(path, "a path has one spelling: no empty part, no `.`")),
                part if part.len() > NAME_MAX => return Err(too_large(path, "NAME_MAX")),
                part if temporary::is_temporary(part) => {
                    return Err(invalid(path, "the name is one of a temporary file's"));
                }
                _ => {}
            }
        }
        if parts > DEPTH_MAX + 1 {
            return Err(too_large(path, "DEPTH_MAX"));
        }
        Ok(Self(path.to_owned()))
    }

    /// A path made of names that were read from a folder.
    pub(super) fn read(path: PathBuf) -> Self {
        Self(path)
    }

    /// The folder it is in, empty for the workspace itself, and its name.
    pub(super) fn split(&self) -> (&Path, &OsStr) {
        let folder = self.0.parent().unwrap_or_else(|| Path::new(""));
        let name = self
            .0
            .file_name()
            .expect("a path has a last part, which is not `..`");
        (folder, name)
    }

    /// How many parts it has.
    pub(super) fn parts(&self) -> usize {
        self.0.components().count()
    }

    /// As it is shown.
    pub(super) fn shown(&self) -> String {
        shown(&self.0)
    }
}

fn too_large(path: &Path, limit: &'static str) -> WorkspaceError {
    WorkspaceError::TooLarge {
        path: shown(path),
        limit,
    }
}

fn invalid(path: &Path, reason: &'static str) -> WorkspaceError {
    WorkspaceError::Invalid {
        path: shown(path),
        reason,
    }
}

/// Without control characters and characters that turn text round, cut at [`SHOWN_MAX`].
pub(super) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut shown: String = text.chars().take(SHOWN_MAX).map(printable).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn printable(character: char) -> char {
    let turns = matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if character.is_control() || turns {
        char::REPLACEMENT_CHARACTER
    } else {
        character
    }
}

impl Deref for WorkspacePath {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for WorkspacePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for WorkspacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for WorkspacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkspacePath({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<WorkspacePath, WorkspaceError> {
        WorkspacePath::parse(Path::new(path))
    }

    #[test]
    fn a_path_that_leaves_is_outside() {
        for path in ["/", "/etc/passwd", "..", "a/..", "a/../b", "../a", "a\0b"] {
            let refused = parse(path);
            assert!(
                matches!(refused, Err(WorkspaceError::Outside { .. })),
                "{path:?}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_path_has_one_spelling() {
        for path in [
            "",
            ".",
            "./a",
            "a/.",
            "a//b",
            "a/",
            ".dormouse-0011.tmp",
            "a/.dormouse-0011.tmp/b",
        ] {
            let refused = parse(path);
            assert!(
                matches!(refused, Err(WorkspaceError::Invalid { .. })),
                "{path:?}: {refused:?}"
            );
        }
        for path in ["a", ".hidden", "...", "a b/ü.md", "A/..b", ".dormouse/dream.lock"] {
            assert!(parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn depth_and_lengths_are_limited() {
        let deep = ["d"; DEPTH_MAX + 1].join("/");
        assert!(parse(&deep).is_ok());
        let longest = "n".repeat(NAME_MAX);
        assert!(parse(&longest).is_ok());
        for (path, name) in [
            (format!("{deep}/e"), "DEPTH_MAX"),
            (format!("{longest}n"), "NAME_MAX"),
            (["n".repeat(200).as_str(); 6].join("/"), "PATH_MAX"),
        ] {
            let refused = parse(&path);
            assert!(
                matches!(refused, Err(WorkspaceError::TooLarge { limit, .. }) if limit == name),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn what_is_shown_is_safe_for_a_terminal() {
        let hostile = Path::new("a\n\u{1b}[31m\u{202e}b");
        assert_eq!(shown(hostile), "a\u{fffd}\u{fffd}[31m\u{fffd}b");
        assert_eq!(shown(Path::new(&"x".repeat(300))).chars().count(), SHOWN_MAX + 1);
    }
}
