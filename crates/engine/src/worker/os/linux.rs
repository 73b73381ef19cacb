//! Linux: processes by `/proc`, signals by process descriptor.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Rights, Signalled, Stat};
use crate::worker::identity::ProcessId;

/// The kernel's name of this boot.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// From now on every orphan below this process becomes its child.
pub(crate) fn become_subreaper() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// No process of the same user may trace this one or read its memory.
pub(crate) fn hide_memory() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// No set-uid program gives this process or its children more than they have. Safe between fork and exec.
pub(crate) fn new_privileges_off() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// What is left of root's rights behind a wall.
const WALLED: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT);
/// Rights that show the memory of others, hidden or not: `PERFMON`, which `SYS_ADMIN` includes, opens `environ` and `maps` of any
/// process whatever Landlock says (`may_access_mm` in the kernel's `kernel/fork.c`).
const SPYING: CapabilitySet = CapabilitySet::SYS_PTRACE
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::CHECKPOINT_RESTORE)
    .union(CapabilitySet::SYS_MODULE)
    .union(CapabilitySet::SYS_RAWIO);

/// Gives up rights for good, where the process has any; no program it runs gets them back. Safe between fork and exec.
pub(crate) fn lower_rights(kept: Rights) -> io::Result<()> {
    let now = rustix::thread::capabilities(None)?;
    let kept = match kept {
        Rights::Walled => WALLED,
        Rights::Open => SPYING.complement(),
    };
    if now.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..u64::BITS {
            let right = CapabilitySet::from_bits_retain(1 << bit);
            if !kept.contains(right) {
                // Numbers that this kernel does not know are no rights.
                let _ = rustix::thread::remove_capability_from_bounding_set(right);
            }
        }
    }
    let lowered = CapabilitySets {
        effective: now.effective & kept,
        permitted: now.permitted & kept,
        inheritable: now.inheritable & kept,
    };
    rustix::thread::set_capabilities(None, lowered)?;
    Ok(())
}

/// Descriptors above standard error that this process has open.
pub(crate) fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let numbers =
        fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(numbers.filter(|fd| *fd > 2).collect())
}

/// How often the kernel ended a process of this control group for want of memory; none where it does not count.
pub(crate) fn oom_kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let events = fs::read_to_string(Path::new("/sys/fs/cgroup").join(path).join("memory.events")).ok()?;
    events
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?
        .trim()
        .parse()
        .ok()
}

/// Who has this number; none when nobody has.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// A line of `/proc/<pid>/stat`. The name in brackets may hold brackets and blanks itself.
fn parse(pid: i32, line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line[line.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let number = |nth: usize| fields.get(nth)?.parse::<u64>().ok();
    let ticks = (11..15).map(number).sum::<Option<u64>>()?;
    Some(Stat {
        id: ProcessId {
            pid,
            start_time: number(19)?,
        },
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
        cpu: Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()),
    })
}

/// Every process below `root`, parents before children; it itself is not among them.
///
/// One pass over a tree that goes on forking may miss some: whoever wants all of them asks again.
pub(crate) fn descendants(root: i32) -> Vec<Stat> {
    walk(root, |_| {})
}

/// The same, each one shown to `visit` before its own children are looked for: a parent that is halted there has
/// no further ones.
pub(crate) fn walk(root: i32, mut visit: impl FnMut(&Stat)) -> Vec<Stat> {
    if !Path::new(&format!("/proc/{root}/task/{root}/children")).exists() {
        let found = descendants_by_scan(root);
        found.iter().for_each(visit);
        return found;
    }
    let mut found: Vec<Stat> = Vec::new();
    let mut waiting = children(root);
    // The newest first: in a tree whose processes come and go, the old ones are there later too.
    while let Some(pid) = waiting.pop() {
        if let Some(stat) = stat(pid) {
            visit(&stat);
            waiting.extend(children(pid));
            found.push(stat);
        }
    }
    found
}

/// The children of every thread of a process.
fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|p| p.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The same where the kernel keeps no lists of children: by every process's parent.
fn descendants_by_scan(root: i32) -> Vec<Stat> {
    let mut by_parent: BTreeMap<i32, Vec<Stat>> = BTreeMap::new();
    for stat in all().filter_map(stat) {
        by_parent.entry(stat.parent).or_default().push(stat);
    }
    let mut found = by_parent.remove(&root).unwrap_or_default();
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        let children = by_parent.remove(&parent.id.pid).unwrap_or_default();
        found.extend(children);
        next += 1;
    }
    found
}

/// The number of every process there is.
fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Processes of this session, and those that were started with this entry in their environment. Those whose
/// environment we may not read are not found by it.
pub(crate) fn kin(session: Option<i32>, entry: &str) -> Vec<Stat> {
    let bears = |pid: i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|b| *b == 0).any(|e| e == entry.as_bytes()))
    };
    all()
        .filter_map(stat)
        .filter(|s| Some(s.session) == session || bears(s.id.pid))
        .collect()
}

/// A signal to exactly this process, never to a later one with its number.
pub(crate) fn signal(target: ProcessId, signal: Signal) -> Signalled {
    let Some(pid) = Pid::from_raw(target.pid) else {
        return Signalled::Gone;
    };
    // The descriptor is taken first: if its process is still the one we mean, the signal can reach no other.
    let descriptor = rustix::process::pidfd_open(pid, PidfdFlags::empty());
    if stat(target.pid).is_none_or(|now| now.id != target || now.is_zombie) {
        return Signalled::Gone;
    }
    let sent = match descriptor {
        Ok(descriptor) => rustix::process::pidfd_send_signal(descriptor, signal),
        Err(Errno::NOSYS | Errno::MFILE | Errno::NFILE) => rustix::process::kill_process(pid, signal),
        Err(other) => Err(other),
    };
    match sent {
        Ok(()) => Signalled::Sent,
        Err(Errno::PERM) => Signalled::Refused,
        Err(_) => Signalled::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let line = "7 (a) b (c) S 3 7 9 0 -1 4194304 1 0 0 0 5 6 7 8 20 0 1 0 4242 1 1";
        let stat = parse(7, line).unwrap();
        assert_eq!((stat.parent, stat.session, stat.id.start_time), (3, 9, 4242));
        assert!(!stat.is_zombie);
    }

    #[test]
    fn this_process_is_found_below_its_parent_by_list_and_by_scan() {
        let me = i32::try_from(std::process::id()).unwrap();
        let parent = stat(me).unwrap().parent;
        assert!(descendants(parent).iter().any(|s| s.id.pid == me));
        assert!(descendants_by_scan(parent).iter().any(|s| s.id.pid == me));
    }

    #[test]
    fn a_number_with_another_start_time_is_spared() {
        let me = stat(i32::try_from(std::process::id()).unwrap()).unwrap().id;
        let former = ProcessId {
            start_time: me.start_time - 1,
            ..me
        };
        assert_eq!(signal(former, Signal::KILL), Signalled::Gone);
    }
}
