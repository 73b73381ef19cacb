//! By what it was given: environment, descriptors, limits.

use std::fs;

use rustix::process::{Resource, Rlimit};

use crate::{attempt, refused};

/// Variables that a worker is documented to have, beside those that begin with `DORMOUSE_`.
const DOCUMENTED: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PWD",
    "TMPDIR",
    "TERM",
    "LANG",
    "LC_ALL",
    "TZ",
    "CI",
    "NO_COLOR",
    "DEBIAN_FRONTEND",
    "TRACEPARENT",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
];

pub(crate) fn try_all() {
    attempt("look for what was inherited", "the environment", || {
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        let foreign: Vec<String> = names
            .filter(|name| !DOCUMENTED.contains(&name.as_str()) && !name.starts_with("DORMOUSE_"))
            .filter(|name| !name.starts_with("XDG_"))
            .collect();
        got_if_any(&foreign)
    });
    attempt("look for what was inherited", "descriptors above 3", || {
        let folder = fs::read_dir("/proc/self/fd").map_err(refused)?;
        let names = folder
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        // One of them is that of the folder being read.
        let open: Vec<String> = names
            .filter(|name| name.parse::<u32>().is_ok_and(|fd| fd > 3))
            .collect();
        let foreign: Vec<String> = open
            .into_iter()
            .filter(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|to| !to.ends_with("fd")))
            .collect();
        got_if_any(&foreign)
    });
    attempt("raise a limit", "core dumps", || {
        let limit = Rlimit {
            current: Some(1 << 20),
            maximum: Some(1 << 20),
        };
        rustix::process::setrlimit(Resource::Core, limit).map_err(refused)?;
        Ok("a core file may be written".to_owned())
    });
    attempt("read", "the kernel's key rings", || {
        let keys = fs::read_to_string("/proc/keys").unwrap_or_default();
        let ours: Vec<String> = keys
            .lines()
            // One whose owner asked for it is there for every process of the user, and `doctor` says so.
            .filter(|line| line.contains("dormouse") && !line.contains("keyring:"))
            .map(str::to_owned)
            .collect();
        got_if_any(&ours)
    });
}

fn got_if_any(found: &[String]) -> Result<String, String> {
    if found.is_empty() {
        Err("nothing was there".to_owned())
    } else {
        Ok(found.join(" "))
    }
}
