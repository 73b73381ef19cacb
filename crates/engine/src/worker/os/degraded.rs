//! Systems without `/proc`: processes are asked of `ps`, a tree is its process group, orphans are not adopted.
//! The isolation report of the run says that it is degraded.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::RawFd;
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::{Rights, Signalled, Stat};
use crate::worker::identity::ProcessId;

/// The kernel's name of this boot.
pub(crate) fn boot_id() -> io::Result<String> {
    let answer = Command::new("/usr/sbin/sysctl")
        .args(["-n", "kern.bootsessionuuid"])
        .output()?;
    Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

/// There is no such thing here.
#[expect(clippy::unnecessary_wraps, reason = "the same function as on Linux")]
pub(crate) fn become_subreaper() -> io::Result<()> {
    Ok(())
}

/// There is no such thing here.
#[expect(clippy::unnecessary_wraps, reason = "the same function as on Linux")]
pub(crate) fn hide_memory() -> io::Result<()> {
    Ok(())
}

/// There is no such thing here.
#[expect(clippy::unnecessary_wraps, reason = "the same function as on Linux")]
pub(crate) fn new_privileges_off() -> io::Result<()> {
    Ok(())
}

/// There is no such thing here.
#[expect(clippy::unnecessary_wraps, reason = "the same function as on Linux")]
pub(crate) fn lower_rights(_kept: Rights) -> io::Result<()> {
    Ok(())
}

/// Descriptors above standard error that this process has open.
pub(crate) fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let entries = std::fs::read_dir("/dev/fd")?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(numbers.filter(|fd| *fd > 2).collect())
}

/// It is not counted here.
pub(crate) fn oom_kills() -> Option<u64> {
    None
}

/// Who has this number; none when nobody has.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    let answer = Command::new("/bin/ps")
        .args(["-o", "ppid=,pgid=,stat=,lstart=", "-p", &pid.to_string()])
        .output();
    let text = String::from_utf8_lossy(&answer.ok()?.stdout).into_owned();
    let mut fields = text.split_ascii_whitespace();
    let (parent, group, state) = (fields.next()?, fields.next()?, fields.next()?);
    let mut started = DefaultHasher::new();
    fields.collect::<Vec<_>>().hash(&mut started);
    Some(Stat {
        id: ProcessId {
            pid,
            start_time: started.finish(),
        },
        parent: parent.parse().ok()?,
        session: group.parse().ok()?,
        is_zombie: state.starts_with('Z'),
        cpu: Duration::ZERO,
    })
}

/// The processes of the groups that the children of `root` lead.
pub(crate) fn descendants(root: i32) -> Vec<Stat> {
    let Ok(answer) = Command::new("/bin/ps")
        .args(["-axo", "pid=,ppid=,pgid="])
        .output()
    else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let rows: Vec<Vec<i32>> = text
        .lines()
        .map(|l| {
            l.split_ascii_whitespace()
                .filter_map(|f| f.parse().ok())
                .collect()
        })
        .collect();
    let rows: Vec<&Vec<i32>> = rows.iter().filter(|r| r.len() == 3).collect();
    let leaders: Vec<i32> = rows.iter().filter(|r| r[1] == root).map(|r| r[0]).collect();
    let members = rows
        .iter()
        .filter(|r| leaders.contains(&r[0]) || leaders.contains(&r[2]));
    members.filter_map(|r| stat(r[0])).collect()
}

/// The same, each one shown to `visit`.
pub(crate) fn walk(root: i32, visit: impl FnMut(&Stat)) -> Vec<Stat> {
    let found = descendants(root);
    found.iter().for_each(visit);
    found
}

/// Processes of this group; another process's environment is not to be read here.
pub(crate) fn kin(session: Option<i32>, _entry: &str) -> Vec<Stat> {
    session.map(descendants).unwrap_or_default()
}

/// A signal to this process, if its number still is its own.
pub(crate) fn signal(target: ProcessId, signal: Signal) -> Signalled {
    let Some(pid) = Pid::from_raw(target.pid) else {
        return Signalled::Gone;
    };
    if stat(target.pid).is_none_or(|now| now.id != target || now.is_zombie) {
        return Signalled::Gone;
    }
    match rustix::process::kill_process(pid, signal) {
        Ok(()) => Signalled::Sent,
        Err(Errno::PERM) => Signalled::Refused,
        Err(_) => Signalled::Gone,
    }
}
