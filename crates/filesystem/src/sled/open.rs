//! Opening a store: its folder, its log and index brought together, its committer started.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::committer::Committer;
use super::filesystem::Kind;
use super::folder::{Folder, Opener};
use super::shared::Shared;
use super::together::{Failure, bring_together};
use super::{Sled, SledOptions};
use crate::capability::Durability;
use crate::commit_log::{Appender, AppenderOptions, FileLayer, StdFiles};
use crate::{OpenError, Version};

/// Opens a store. Blocking.
pub(super) fn open(
    path: &Path,
    options: &SledOptions,
    files: Option<Arc<dyn FileLayer>>,
) -> Result<Sled, OpenError> {
    let opener = Opener {
        program: options.program.clone(),
        now: options.now,
    };
    let folder = Folder::open(path, &opener)?;
    let files = match files {
        Some(files) => files,
        None => Arc::new(StdFiles::new(path).map_err(Failure::Io)?),
    };
    let mut opened = bring_together(&folder, &files, options)?;
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
    let durability = match folder.kind {
        Kind::Durable => Durability::PowerLoss,
        Kind::Memory | Kind::Refused(_) => Durability::ProcessCrash,
    };
    if folder.kind == Kind::Memory {
        opened
            .notices
            .push("the store lies in memory (tmpfs): it does not survive the machine".to_owned());
    }
    let reader = Arc::clone(&opened.recovered.reader);
    let shared = Arc::new(Shared::new(folder, files, reader, opened.index, opened.notices));
    let committer = Committer::new(Arc::clone(&shared), appender, store, next, opened.tally);
    let (ended, has_ended) = watch::channel(false);
    let thread = spawn(committer, ended).map_err(Failure::Io)?;
    Ok(Sled::of(path, shared, durability, has_ended, thread))
}

fn spawn(committer: Committer, ended: watch::Sender<bool>) -> io::Result<JoinHandle<()>> {
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
