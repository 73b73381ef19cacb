//! By other processes: what `/proc` shows of them, their memory, their descriptors.

use std::fs::{self, File};
use std::io::{IoSliceMut, Read, Seek, SeekFrom};
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, PidfdGetfdFlags};

use crate::{Targets, attempt, refused};

pub(crate) fn try_all(targets: &Targets) {
    for (what, pid) in &targets.processes {
        for file in ["environ", "maps", "auxv", "smaps", "syscall", "stack", "io"] {
            attempt(way_of(file), what, || shown(*pid, file));
        }
        attempt("read its memory by /proc/PID/mem", what, || memory(*pid));
        attempt("read its memory by process_vm_readv", what, || copied(*pid));
        for link in ["cwd", "exe", "root", "fd/0", "fd/1", "fd/3"] {
            attempt(way_of(link), what, || {
                let target = fs::read_link(format!("/proc/{pid}/{link}")).map_err(refused)?;
                Ok(format!("it is {}", target.display()))
            });
        }
        attempt("list its folder by /proc/PID/cwd/", what, || {
            let names = fs::read_dir(format!("/proc/{pid}/cwd/")).map_err(refused)?;
            Ok(format!("{} names", names.count()))
        });
        attempt("trace it", what, || traced(*pid));
        attempt("take a descriptor of it", what, || descriptor(*pid));
        attempt("signal it", what, || {
            nix::sys::signal::kill(Pid::from_raw(*pid), None).map_err(refused)?;
            Ok("a signal would reach it".to_owned())
        });
    }
    attempt("read the environment of every process", "all", everybody);
}

fn way_of(file: &'static str) -> &'static str {
    match file {
        "environ" => "read /proc/PID/environ",
        "maps" => "read /proc/PID/maps",
        "auxv" => "read /proc/PID/auxv",
        "smaps" => "read /proc/PID/smaps",
        "syscall" => "read /proc/PID/syscall",
        "stack" => "read /proc/PID/stack",
        "io" => "read /proc/PID/io",
        "cwd" => "follow /proc/PID/cwd",
        "exe" => "follow /proc/PID/exe",
        "root" => "follow /proc/PID/root",
        "fd/0" => "follow /proc/PID/fd/0",
        "fd/1" => "follow /proc/PID/fd/1",
        _ => "follow /proc/PID/fd/3",
    }
}

/// The bytes of a file of `/proc`. Some are empty for who may not see them.
fn shown(pid: i32, file: &str) -> Result<String, String> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).map_err(refused)?;
    match bytes.len() {
        0 => Err("it is empty".to_owned()),
        length => Ok(format!("{length} bytes")),
    }
}

/// Where something lies in its memory, if that is shown; else where programs of this machine often begin.
fn address(pid: i32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let first = maps.split('-').next().unwrap_or_default();
    u64::from_str_radix(first, 16).unwrap_or(0x40_0000)
}

fn memory(pid: i32) -> Result<String, String> {
    let mut file = File::open(format!("/proc/{pid}/mem")).map_err(refused)?;
    let mut bytes = [0; 16];
    file.seek(SeekFrom::Start(address(pid))).map_err(refused)?;
    file.read_exact(&mut bytes).map_err(refused)?;
    Ok("16 bytes".to_owned())
}

fn copied(pid: i32) -> Result<String, String> {
    let mut bytes = [0; 16];
    let from = RemoteIoVec {
        base: usize::try_from(address(pid)).expect("an address fits"),
        len: bytes.len(),
    };
    let count =
        process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(&mut bytes)], &[from]).map_err(refused)?;
    Ok(format!("{count} bytes"))
}

fn traced(pid: i32) -> Result<String, String> {
    let pid = Pid::from_raw(pid);
    ptrace::seize(pid, ptrace::Options::empty()).map_err(refused)?;
    let _ = ptrace::interrupt(pid);
    std::thread::sleep(Duration::from_millis(50));
    let _ = ptrace::detach(pid, None);
    Ok("it is traced".to_owned())
}

fn descriptor(pid: i32) -> Result<String, String> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or("no process")?;
    let process = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(refused)?;
    rustix::process::pidfd_getfd(&process, 1, PidfdGetfdFlags::empty()).map_err(refused)?;
    Ok("its standard output".to_owned())
}

/// Whose environment can be read, but for the own processes.
fn everybody() -> Result<String, String> {
    let own = std::env::var("DORMOUSE_RUN").unwrap_or_default();
    let mine = format!("DORMOUSE_RUN={own}");
    let mut read = 0;
    for entry in fs::read_dir("/proc").map_err(refused)?.flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let is_own = environment
            .split(|byte| *byte == 0)
            .any(|word| word == mine.as_bytes());
        read += usize::from(!environment.is_empty() && !is_own);
    }
    match read {
        0 => Err("of none but the own ones".to_owned()),
        read => Ok(format!("of {read} processes")),
    }
}
