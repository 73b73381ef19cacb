//! Who is at the other end of the control socket.
//!
//! A worker has our uid and may have stolen the token: what it cannot change is whose descendant it is. So a peer that
//! descends from the owner is refused whatever it presents, and so is one whose descent cannot be told.

use std::path::{Path, PathBuf};

use dormouse_engine::worker::keeper::MARKER;

/// Longest chain of parents that is followed.
const ANCESTORS_MAX: usize = 256;

/// What is known of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Our user (or root), and no descendant of ours. It still needs the token.
    Admitted,
    /// Another user.
    OtherUser,
    /// A worker, or one of its children.
    Descendant,
    /// It has gone since it connected, so nobody can say whose descendant it was.
    Untraceable,
}

/// Judges a peer by its credentials at connect.
#[must_use]
pub fn judge(uid: u32, pid: Option<i32>) -> Verdict {
    if uid != rustix::process::geteuid().as_raw() && uid != 0 {
        return Verdict::OtherUser;
    }
    if !cfg!(target_os = "linux") {
        return Verdict::Admitted;
    }
    let us = rustix::process::getpid().as_raw_nonzero().get();
    match pid {
        Some(pid) if pid == us => Verdict::Admitted,
        Some(pid) => descent(pid, us, &|pid| parent_of(&process(pid))),
        None => Verdict::Untraceable,
    }
}

/// Whether this process is a run's, of whatever store: a keeper is among those it descends from. A worker cannot change that,
/// whatever it takes out of its environment: what it leaves behind becomes its keeper's child. Whose descent cannot be told on
/// a system that tells it is one too.
#[must_use]
pub fn is_below_a_keeper() -> bool {
    // By this name procfs answers in the terms of its own namespace, also for who has numbers of its own.
    let first = parent_of(Path::new("/proc/self"));
    if first.is_none() {
        return cfg!(target_os = "linux");
    }
    let ancestors = std::iter::successors(first, |pid| parent_of(&process(*pid)));
    ancestors
        .take(ANCESTORS_MAX)
        .take_while(|pid| *pid > 0)
        .any(|pid| is_keeper(&process(pid)))
}

fn process(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// Whether a process was started as a keeper: what it was started with is shown to everybody.
fn is_keeper(process: &Path) -> bool {
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).nth(1) == Some(MARKER.as_bytes())
}

/// Follows parents from `pid` up to the first process, which has none.
fn descent(pid: i32, us: i32, parent_of: &dyn Fn(i32) -> Option<i32>) -> Verdict {
    let mut at = pid;
    for _ in 0..ANCESTORS_MAX {
        match parent_of(at) {
            Some(parent) if parent == us => return Verdict::Descendant,
            // 0 is the parent of the first process, and of one whose parent is outside our pid namespace.
            Some(0) => return Verdict::Admitted,
            Some(parent) => at = parent,
            None => return Verdict::Untraceable,
        }
    }
    Verdict::Untraceable
}

/// The parent, from `/proc/<pid>/stat`: the second field after the command, which may hold spaces and brackets itself.
fn parent_of(process: &Path) -> Option<i32> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    let (_, after_command) = stat.rsplit_once(')')?;
    after_command.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn judged(pid: i32, parents: &[(i32, i32)]) -> Verdict {
        let parents: HashMap<i32, i32> = parents.iter().copied().collect();
        descent(pid, 100, &|pid| parents.get(&pid).copied())
    }

    #[test]
    fn a_grandchild_of_the_owner_is_a_descendant() {
        assert_eq!(
            judged(300, &[(300, 200), (200, 100), (100, 1), (1, 0)]),
            Verdict::Descendant
        );
    }

    #[test]
    fn a_sibling_of_the_owner_is_admitted() {
        assert_eq!(
            judged(101, &[(101, 50), (100, 50), (50, 1), (1, 0)]),
            Verdict::Admitted
        );
    }

    #[test]
    fn a_peer_that_has_gone_is_not_admitted() {
        assert_eq!(judged(300, &[]), Verdict::Untraceable);
        assert_eq!(judged(300, &[(300, 299)]), Verdict::Untraceable);
    }

    #[test]
    fn a_circle_of_parents_ends() {
        assert_eq!(judged(300, &[(300, 301), (301, 300)]), Verdict::Untraceable);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_parent_of_this_process_is_found_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("7")).unwrap();
        std::fs::write(folder.path().join("7/stat"), "7 (a) b (c) S 42 7 7 0").unwrap();
        assert_eq!(parent_of(&folder.path().join("7")), Some(42));
    }
}
