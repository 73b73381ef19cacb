//! Where the socket of a run is, by a path that fits into an address.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::place::SOCKET_PATH_MAX;

/// The socket's name in the run's folder.
const SOCKET: &str = "run.sock";
/// The token's.
pub(crate) const TOKEN: &str = "token";

/// A path of the run's socket that a kernel takes, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Connectable {
    /// The path.
    pub(crate) path: PathBuf,
    /// The folder that a short path goes through.
    _folder: Option<File>,
}

/// The socket of a run's folder. Where its path is too long for an address, Linux has a shorter one through the open
/// folder.
///
/// # Errors
/// When the folder cannot be opened, or the path is too long elsewhere.
pub(crate) fn connectable(folder: &Path) -> io::Result<Connectable> {
    let path = folder.join(SOCKET);
    if path.as_os_str().len() <= SOCKET_PATH_MAX {
        return Ok(Connectable { path, _folder: None });
    }
    if !cfg!(target_os = "linux") {
        let why = format!("the path of the run's socket is longer than {SOCKET_PATH_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let opened = File::open(folder)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()));
    Ok(Connectable {
        path,
        _folder: Some(opened),
    })
}
