//! What it was measured on.

use std::path::Path;

use serde_json::{Value, json};

use super::series::short;

/// A machine and the disk of a folder.
#[derive(Debug, Clone)]
pub struct Machine {
    processor: String,
    cores: usize,
    system: String,
    filesystem: String,
    /// Flushes of one record a second.
    flushes: f64,
}

impl Machine {
    /// This one: the disk of this folder, which flushes so many times a second.
    #[must_use]
    pub fn of(folder: &Path, flushes: f64) -> Self {
        Self {
            processor: processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: system(),
            filesystem: filesystem(folder),
            flushes,
        }
    }

    /// As one object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Self {
            processor,
            cores,
            system,
            filesystem,
            flushes,
        } = self;
        json!({"machine": processor, "cores": cores, "system": system, "filesystem": filesystem,
            "flushes_a_second": flushes})
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            processor,
            cores,
            system,
            filesystem,
            flushes,
        } = self;
        write!(
            f,
            "{processor}, {cores} cores; {system}; {filesystem}; {} flushes/s",
            short(*flushes)
        )
    }
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

fn system() -> String {
    let name = rustix::system::uname();
    format!(
        "{} {}",
        name.sysname().to_string_lossy(),
        name.release().to_string_lossy()
    )
}

/// The type of the mount that holds the folder, and its device.
fn filesystem(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let holding = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, place, kind) = (words.next()?, words.next()?, words.next()?);
        folder
            .starts_with(place)
            .then(|| (place.len(), format!("{kind} on {device}")))
    });
    holding
        .max()
        .map_or_else(|| "an unknown filesystem".to_owned(), |(_, name)| name)
}
