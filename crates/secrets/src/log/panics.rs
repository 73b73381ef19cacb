//! The panic hook: place and scrubbed payload, and no lock on the way.

use std::panic::PanicHookInfo;

use super::OpenValues;

/// How much of a panic on the thread it happens on is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanicText {
    /// Thread, place and what was said, scrubbed.
    Whole,
    /// Thread and place: what a worker's future says is told by its outcome.
    PlaceOnly,
}

/// From here on a panic of any thread is printed to standard error as `thread 'name' panicked at place: text`, the
/// text without values that are open. `how` is asked on the thread that panics, which may hold any lock.
///
/// The hook before it is not called. Nothing waits for a lock: not for that of standard error either, so lines of
/// other threads may come between.
pub fn install_panic_hook(values: &OpenValues, how: fn(thread: Option<&str>) -> PanicText) {
    let values = values.clone();
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        print(&values.panic_line(info, thread.name(), how(thread.name())));
    }));
}

impl OpenValues {
    /// The line that the hook prints.
    fn panic_line(&self, info: &PanicHookInfo<'_>, thread: Option<&str>, how: PanicText) -> String {
        let place = info.location().map_or_else(
            || "an unknown place".to_owned(),
            |place| format!("{}:{}:{}", place.file(), place.line(), place.column()),
        );
        let thread = self.clean(thread.unwrap_or("<unnamed>"));
        match how {
            PanicText::PlaceOnly => format!("\nthread '{thread}' panicked at {place}\n"),
            PanicText::Whole => {
                let text = self.clean(info.payload_as_str().unwrap_or("something that is no text"));
                format!("\nthread '{thread}' panicked at {place}:\n{text}\n")
            }
        }
    }
}

/// To standard error as it is, whoever else writes to it.
fn print(line: &str) {
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stderr(), rest) {
            Ok(0) | Err(_) => return,
            Ok(written) => rest = &rest[written..],
        }
    }
}
