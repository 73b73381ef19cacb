//! What a workspace refuses, and why. Paths in errors are relative and sanitised.

use std::io;

/// A workspace operation that was not done. Unless a variant says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The path leaves the workspace: absolute, `..`, NUL, a symbolic link or a mount on its way. Name another.
    #[error("{path} leads outside the workspace")]
    Outside {
        /// The path.
        path: String,
    },
    /// Not a regular file, or not a folder where one is needed: a device, a fifo, a socket.
    #[error("{path} is not a regular file, or is below one")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// Refused before any I/O. Correct it.
    #[error("{path:?} is not valid: {reason}")]
    Invalid {
        /// The path.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// There is no such file or folder.
    #[error("{path} does not exist")]
    Missing {
        /// The path.
        path: String,
    },
    /// There is one of that name already.
    #[error("{path} exists already")]
    Exists {
        /// The path.
        path: String,
    },
    /// It is not what was read: another wrote it, whose bytes stand. Read, and decide again.
    #[error("{path} was changed by another since it was read{}", aside.as_ref().map_or_else(String::new, |aside| format!("; a third version of it is kept as {aside}")))]
    Changed {
        /// The path.
        path: String,
        /// Two others wrote it in one moment: both stay, one of them under this name.
        aside: Option<String>,
    },
    /// The file has a second name, maybe outside. It is neither replaced nor appended to.
    #[error("{path} is a hard link")]
    Linked {
        /// The path.
        path: String,
    },
    /// Over a limit. Make it smaller.
    #[error("{path} is over {limit}")]
    TooLarge {
        /// The path.
        path: String,
        /// The name of the limit.
        limit: &'static str,
    },
    /// The workspace, or the disk, has no room for it. Remove something.
    #[error("{path} does not fit: {limit} is reached")]
    Full {
        /// The path.
        path: String,
        /// The name of the limit; `disk` for the disk's own.
        limit: &'static str,
    },
    /// The folder is no longer at its place: moved, removed or replaced. Open it again.
    #[error("the folder of {path} was moved or replaced since it was opened")]
    Moved {
        /// The path; empty for the workspace itself.
        path: String,
    },
    /// Others are changing the folder all the time. Retry with jitter.
    #[error("the folder of {path} is busy")]
    Busy {
        /// The path.
        path: String,
    },
    /// What the system said. Whether a write was done is unknown; a file is whole in either case, but for an append,
    /// of which a part may be there.
    #[error("{path}: {source}")]
    Io {
        /// The path.
        path: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl WorkspaceError {
    /// What a system call's error means for a path.
    pub(super) fn of(path: &super::WorkspacePath, error: io::Error) -> Self {
        use rustix::io::Errno;
        let path = path.shown();
        match Errno::from_io_error(&error) {
            Some(Errno::LOOP | Errno::XDEV) => Self::Outside { path },
            Some(Errno::NOTDIR | Errno::ISDIR | Errno::NXIO) => Self::NotAFile { path },
            Some(Errno::NOENT) => Self::Missing { path },
            Some(Errno::EXIST) => Self::Exists { path },
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Self::Full { path, limit: "disk" },
            Some(Errno::NAMETOOLONG) => Self::TooLarge {
                path,
                limit: "NAME_MAX",
            },
            _ => Self::Io { path, source: error },
        }
    }
}
