//! Processes of this machine, found by what stands in their command line.

use crate::wait::until;

/// An argument of `sleep` that no other process has: five minutes, and this many milliseconds more.
///
/// By process id and a counter, so that tests in one process and in several do not meet.
pub(crate) fn unique_sleep() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("300.{}{count:03}", std::process::id())
}

/// Ids of the living processes with this argument; a zombie is dead.
pub(crate) fn with_argument(argument: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("the system tests need /proc");
    processes
        .flatten()
        .filter(|process| has_argument(&process.path(), argument))
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

fn has_argument(process: &std::path::Path, argument: &str) -> bool {
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    // A zombie has no command line any more.
    line.split(|byte| *byte == 0)
        .any(|word| word == argument.as_bytes())
}

/// Waits until so many processes have this argument. The shell that was told to start them has it in a longer one.
#[track_caller]
pub(crate) fn until_count(argument: &str, count: usize) {
    until(&format!("{count} processes with the argument {argument}"), || {
        (with_argument(argument).len() == count).then_some(())
    });
}
