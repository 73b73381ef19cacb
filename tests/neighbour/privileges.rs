//! By rights over the machine, which a worker of root might have kept.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::net::{AddressFamily, SocketType, socket};

use crate::{Targets, attempt, refused};

pub(crate) fn try_all(targets: &Targets) {
    let disks = fs::read_to_string("/proc/partitions").unwrap_or_default();
    for line in disks
        .lines()
        .filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()))
    {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if let [major, minor, _, name] = words.as_slice() {
            let numbers = (major.parse().unwrap_or(0), minor.parse().unwrap_or(0));
            attempt("make a node of the disk in the own folder", *name, || {
                disk(numbers)
            });
        }
    }
    for device in ["/dev/mem", "/dev/kmem", "/proc/kcore"] {
        attempt("read the machine's memory", device, || {
            let mut bytes = [0; 16];
            File::open(device)
                .and_then(|mut file| file.read_exact(&mut bytes))
                .map_err(refused)?;
            Ok("16 bytes".to_owned())
        });
    }
    for (what, folder) in &targets.folders {
        attempt("mount it over the own folder", what, || {
            let here = Path::new("mounted");
            fs::create_dir_all(here).map_err(refused)?;
            mount(Some(folder), here, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(refused)?;
            Ok("it is mounted".to_owned())
        });
    }
    attempt("mount", "a /proc of its own", || {
        let here = Path::new("proc");
        fs::create_dir_all(here).map_err(refused)?;
        mount(Some("proc"), here, Some("proc"), MsFlags::empty(), None::<&str>).map_err(refused)?;
        Ok("it is mounted".to_owned())
    });
    attempt("listen to", "every packet of the machine", || {
        socket(AddressFamily::PACKET, SocketType::RAW, None).map_err(refused)?;
        Ok("a socket that hears everything".to_owned())
    });
    attempt("write", "the name of the program that takes core dumps", || {
        File::options()
            .write(true)
            .open("/proc/sys/kernel/core_pattern")
            .map_err(refused)?;
        Ok("it is open to write".to_owned())
    });
    attempt(
        "leave for",
        "a user namespace with all rights, and read a key",
        || in_a_namespace(targets),
    );
}

fn disk((major, minor): (u32, u32)) -> Result<String, String> {
    let node = Path::new("disk");
    let _ = fs::remove_file(node);
    mknodat(
        CWD,
        node,
        FileType::BlockDevice,
        Mode::RUSR,
        makedev(major, minor),
    )
    .map_err(refused)?;
    let mut bytes = [0; 512];
    let read = File::open(node).and_then(|mut file| file.read_exact(&mut bytes));
    let _ = fs::remove_file(node);
    read.map_err(refused)?;
    Ok("512 bytes".to_owned())
}

/// The last attempt: this process is another one afterwards.
fn in_a_namespace(targets: &Targets) -> Result<String, String> {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(refused)?;
    for (_, file) in &targets.files {
        if fs::read(file).is_ok() {
            return Ok(format!("read {}", file.display()));
        }
    }
    Err("all rights over nothing".to_owned())
}
