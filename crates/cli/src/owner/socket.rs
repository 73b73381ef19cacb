//! Binding the control socket, so that at no instant anybody but us could connect.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::place::{Refusal, SOCKET_PATH_MAX, check_folder};
use crate::problem::{Code, Problem};

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 128;

/// The bound socket's file; dropping it removes the file. Held by the holder of the owner lock only.
#[derive(Debug)]
pub struct SocketFile(Option<PathBuf>);

impl SocketFile {
    /// Removes the file, so that no new client finds the socket. Later calls do nothing: by then the path may be
    /// another owner's.
    pub fn remove(&mut self) {
        if let Some(path) = self.0.take() {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Binds the control socket. The caller holds the owner lock, so what is at the path is a leftover.
///
/// # Errors
/// When the folder is not ours alone, when something still answers at the path, or the system refuses.
pub fn bind(path: &Path, unique: u64) -> Result<(UnixListener, SocketFile), Problem> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    check_folder(folder)?;
    if UnixStream::connect(path).is_ok() {
        let detail = format!(
            "{} is answered by a program that does not hold the owner lock",
            path.display()
        );
        return Err(
            Problem::new(Code::Unavailable, detail).hint("stop that program, or use another DORMOUSE_HOME")
        );
    }
    remove_leftovers(folder);
    // As long as "control.sock", so that it fits wherever that does.
    let temporary = folder.join(format!("c{:011x}", unique & 0xfff_ffff_ffff));
    debug_assert!(temporary.as_os_str().len() <= path.as_os_str().len().max(SOCKET_PATH_MAX));
    let listener = bind_narrow(&temporary).map_err(|source| Refusal::System {
        path: temporary.clone(),
        source,
    })?;
    std::fs::rename(&temporary, path).map_err(|source| Refusal::System {
        path: path.to_owned(),
        source,
    })?;
    Ok((listener, SocketFile(Some(path.to_owned()))))
}

/// Binds with the mode set on the socket before: the file is 0600 from its first instant, whatever the umask.
pub(crate) fn bind_narrow(path: &Path) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    // Other systems keep no mode on the socket; there the folder, which is 0700, is what keeps others out.
    #[cfg(target_os = "linux")]
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    #[cfg(not(target_os = "linux"))]
    rustix::fs::chmod(path, Mode::from_raw_mode(0o600))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Sockets of owners that were killed: the one at the path, and those not yet renamed.
fn remove_leftovers(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_temporary =
            name.len() == 12 && name.starts_with('c') && name[1..].bytes().all(|b| b.is_ascii_hexdigit());
        if name == "control.sock" || is_temporary {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
