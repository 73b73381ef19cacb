//! Paths inside a workspace: what is parsed cannot leave, has one spelling, and is shown harmlessly.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::workspace::WorkspacePath;

/// A path of any bytes.
///
/// # Panics
/// When it is taken for what it is not, or is shown as it must not be.
pub fn paths(bytes: &[u8]) {
    let path = Path::new(OsStr::from_bytes(bytes));
    let shown = match WorkspacePath::parse(path) {
        Ok(parsed) => {
            let bytes = parsed.as_os_str().as_bytes();
            assert_eq!(bytes, path.as_os_str().as_bytes(), "it is never altered");
            assert!(
                parsed
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)))
            );
            assert!(!bytes.contains(&0) && !bytes.is_empty());
            assert_eq!(
                parsed.components().count(),
                bytes.split(|byte| *byte == b'/').count(),
                "one spelling"
            );
            format!("{parsed} {parsed:?}")
        }
        Err(refused) => format!("{refused} {refused:?}"),
    };
    let is_harmless = |c: char| !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c);
    assert!(shown.chars().all(is_harmless), "{shown:?}");
}
