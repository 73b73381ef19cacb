//! Opening a store: its folder, its log and index brought together, its committer started.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::cleaner::{Cleaner, CleanerOptions};
use super::committer::{Begun, Committer};
use super::filesystem::Kind;
use super::folder::{Folder, Opener};
use super::index::Index;
use super::opened::{Failure, Opened};
use super::shared::Shared;
use super::{Embedded, Held, READERS_MAX, ending};
use crate::commit_log::{Appender, AppenderOptions, FileLayer, StdFiles};
use crate::{OpenError, Version};

/// Longest segment: offsets in it are 32 bits.
const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// How an embedded store is opened, whichever it is.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) now: jiff::Timestamp,
    pub(crate) program: String,
    pub(crate) segment_bytes: u64,
    pub(crate) reserve_bytes: u64,
    /// The cleaner's share; none where nothing stays in the log.
    pub(crate) cleaner_share: Option<u8>,
    pub(crate) export_idle: Duration,
}

/// Opens a store, on a thread that may block. `together` makes its log and what stands behind it equal.
pub(crate) async fn open<I: Index>(
    path: &Path,
    options: Options,
    files: Option<Arc<dyn FileLayer>>,
    together: impl FnOnce(&Folder, &Arc<dyn FileLayer>) -> Result<Opened<I>, Failure> + Send + 'static,
) -> Result<Embedded<I>, OpenError> {
    if !(1..=SEGMENT_BYTES_MAX).contains(&options.segment_bytes) {
        return Err(OpenError::Refused {
            path: path.display().to_string(),
            reason: "a segment has 1 byte to 1 GiB".to_owned(),
        });
    }
    if options
        .cleaner_share
        .is_some_and(|share| !(1..=99).contains(&share))
    {
        return Err(OpenError::Refused {
            path: path.display().to_string(),
            reason: "the cleaner's share is 1 to 99 percent".to_owned(),
        });
    }
    if options.export_idle.is_zero() {
        return Err(OpenError::Refused {
            path: path.display().to_string(),
            reason: "export_idle is longer than nothing".to_owned(),
        });
    }
    let path = path.to_owned();
    let opening = tokio::task::spawn_blocking(move || open_blocking(&path, &options, files, together));
    opening.await.unwrap_or_else(|error| {
        Err(OpenError::Unavailable {
            reason: "opening it failed".to_owned(),
            source: Some(Box::new(error)),
        })
    })
}

fn open_blocking<I: Index>(
    path: &Path,
    options: &Options,
    files: Option<Arc<dyn FileLayer>>,
    together: impl FnOnce(&Folder, &Arc<dyn FileLayer>) -> Result<Opened<I>, Failure>,
) -> Result<Embedded<I>, OpenError> {
    let opener = Opener {
        program: options.program.clone(),
        now: options.now,
    };
    ending::wait_for(path);
    let ends_at_once = files.is_some();
    let folder = Folder::open(path, I::BACKEND, &opener)?;
    let files = match files {
        Some(files) => files,
        None => Arc::new(StdFiles::new(path).map_err(Failure::Io)?),
    };
    let mut opened = together(&folder, &files)?;
    let next = opened.recovered.highest.max(opened.last_version) + 1;
    let next = next.max(Version::floor(options.now).get());
    let store = folder.store;
    let appender = Appender::resume(
        Arc::clone(&files),
        Arc::clone(&opened.recovered.reader),
        AppenderOptions {
            store,
            segment_bytes: options.segment_bytes,
            reserve_bytes: options.reserve_bytes,
        },
        opened.recovered.tail.as_ref(),
        opened.last_version,
    )
    .map_err(Failure::Io)?;
    let durability = folder.kind.durability();
    if folder.kind == Kind::Memory {
        opened
            .notices
            .push("the store lies in memory (tmpfs): it does not survive the machine".to_owned());
    }
    let reader = Arc::clone(&opened.recovered.reader);
    let cleaner = match options.cleaner_share {
        Some(share) => Some(cleaner(share, options.segment_bytes, &opened, &*files).map_err(Failure::Io)?),
        None => None,
    };
    let begun = Begun {
        appender,
        store,
        next,
        tally: opened.tally,
        live: opened.live,
        is_behind: opened.is_behind,
        cleaner,
        audit: opened.audit,
    };
    let shared = Shared::new(folder, files, reader, opened.index, opened.notices);
    let shared = Arc::new(shared);
    let committer = Committer::new(Arc::clone(&shared), begun);
    let (ended, has_ended) = watch::channel(false);
    let thread = spawn(committer, ended).map_err(Failure::Io)?;
    Ok(Embedded {
        path: path.to_owned(),
        shared: Held(Some(shared)),
        durability,
        readers: Arc::new(Semaphore::new(READERS_MAX)),
        export_idle: options.export_idle,
        has_ended,
        committer: Mutex::new(Some(thread)),
        ends_at_once,
    })
}

/// The cleaner of a log as it was found.
fn cleaner<I: Index>(
    share: u8,
    segment_bytes: u64,
    opened: &Opened<I>,
    files: &dyn FileLayer,
) -> io::Result<Cleaner> {
    let options = CleanerOptions { share, segment_bytes };
    let mut whole = Vec::new();
    let mut names = opened.recovered.reader.names();
    names.pop();
    for (segment, name) in names {
        whole.push((segment, files.open(&name)?.bytes()?));
    }
    Ok(Cleaner::new(options, whole, opened.recovered.needed))
}

fn spawn<I: Index>(committer: Committer<I>, ended: watch::Sender<bool>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Handle::current();
    std::thread::Builder::new()
        .name("dormouse-committer".to_owned())
        .spawn(move || {
            // Deadlines are of the runtime's clock, which tests can pause.
            let entered = runtime.enter();
            exact_timers();
            committer.run();
            drop(entered);
            ended.send_replace(true);
        })
}

/// The committer waits for parts of a flush's time; the kernel's usual slack of 50 µs would be most of it.
#[cfg(target_os = "linux")]
fn exact_timers() {
    // Refused it costs a little time and nothing else.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

#[cfg(not(target_os = "linux"))]
fn exact_timers() {}
