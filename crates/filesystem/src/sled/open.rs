//! Opening a store: the folder, the log, then the index made equal to the log.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::apply::{Mode, Tally, apply};
use super::committer::Committer;
use super::filesystem::Kind;
use super::folder::{Folder, Opener};
use super::index::{Index, IndexError};
use super::shared::Shared;
use super::{Sled, SledOptions};
use crate::capability::Durability;
use crate::commit_log::checkpoint::Checkpoint;
use crate::commit_log::{
    Appender, AppenderOptions, FORMAT, FileLayer, Plan, Recovered, RecoveryError, StdFiles, is_same_boot,
    recover,
};
use crate::{OpenError, Version};

/// The name of the index's folder.
const INDEX: &str = "index";

/// Why a store's log and index were not brought together.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Recovery(RecoveryError::Damaged { place }) => Self::Damaged { place },
            Failure::Recovery(RecoveryError::TooNew { found }) => Self::TooNew { found, known: FORMAT },
            Failure::Recovery(RecoveryError::Io(error)) | Failure::Io(error) => Self::Unavailable {
                reason: "its log was not read or written".to_owned(),
                source: Some(Box::new(error)),
            },
            Failure::Index(error) => Self::Unavailable {
                reason: "its index was not made".to_owned(),
                source: Some(Box::new(error)),
            },
        }
    }
}

/// A log and its index, equal.
struct Opened {
    recovered: Recovered,
    index: Index,
    tally: Tally,
    /// The version of the last frame in the log.
    last_version: u64,
    notices: Vec<String>,
}

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
            committer.run();
            drop(entered);
            ended.send_replace(true);
        })
}

/// Recovers the log, and makes the index equal to it: by replay from the checkpoint, or anew.
fn bring_together(
    folder: &Folder,
    files: &Arc<dyn FileLayer>,
    options: &SledOptions,
) -> Result<Opened, Failure> {
    let (store, path) = (folder.store, folder.path().join(INDEX));
    let checkpoint = Checkpoint::read(&**files)?.filter(|checkpoint| checkpoint.store == store);
    let trusted = checkpoint.filter(|c| c.clean || is_same_boot(c.boot, files.boot()));
    let plan = Plan {
        store,
        from: trusted.map(|c| (c.segment, c.offset)),
        is_clean: trusted.is_some_and(|c| c.clean),
    };
    let recovered = recover(files, plan)?;
    let kept = trusted.and_then(|c| keep(&path, c, recovered, options));
    let opened = match kept {
        Some((checkpoint, recovered, index)) => replay(checkpoint, recovered, index)?,
        None => rebuild(files, &path, plan, checkpoint, options)?,
    };
    if !opened.recovered.is_clean {
        opened.index.sync()?;
    }
    begin(&**files, store, &opened)?;
    Ok(opened)
}

/// The index that is there, if it can be believed: it opens, and is not ahead of the log.
fn keep(
    path: &Path,
    checkpoint: Checkpoint,
    recovered: Recovered,
    options: &SledOptions,
) -> Option<(Checkpoint, Recovered, Index)> {
    let tail = recovered
        .tail
        .as_ref()
        .map_or((1, u32::MAX), |t| (t.segment, t.offset));
    if (checkpoint.segment, checkpoint.offset) > tail {
        return None;
    }
    let index = Index::open(path, checkpoint.store, options.cache_bytes).ok()?;
    let last_version = recovered.last_version.max(checkpoint.version);
    let is_behind = index.version().is_ok_and(|version| version <= last_version);
    is_behind.then_some((checkpoint, recovered, index))
}

fn replay(checkpoint: Checkpoint, recovered: Recovered, index: Index) -> Result<Opened, Failure> {
    let mut tally = Tally {
        records: checkpoint.records,
        digest: checkpoint.digest,
    };
    index.begin(recovered.last_version.max(checkpoint.version))?;
    recovered.replay(Some((checkpoint.segment, checkpoint.offset)), |place, frame| {
        tally.count(frame);
        apply(&index, place, frame, Mode::Replay).map_err(Failure::from)
    })?;
    let last_version = recovered.last_version.max(checkpoint.version);
    let notices = recovered.notices.clone();
    Ok(Opened {
        recovered,
        index,
        tally,
        last_version,
        notices,
    })
}

/// Removes the index and builds it from the whole log.
fn rebuild(
    files: &Arc<dyn FileLayer>,
    path: &Path,
    plan: Plan,
    checkpoint: Option<Checkpoint>,
    options: &SledOptions,
) -> Result<Opened, Failure> {
    // All of the log is verified before anything is removed.
    let whole = Plan {
        from: None,
        is_clean: false,
        ..plan
    };
    let recovered = recover(files, whole)?;
    if checkpoint.is_some() {
        // Killed in between, the half-built tree must not pass for a whole one.
        files.remove("checkpoint")?;
        files.sync_folder("")?;
    }
    Index::remove(path)?;
    let index = Index::open(path, plan.store, options.cache_bytes)?;
    index.begin(recovered.last_version)?;
    let mut tally = Tally::default();
    recovered.replay(None, |place, frame| {
        tally.count(frame);
        apply(&index, place, frame, Mode::Replay).map_err(Failure::from)
    })?;
    let last_version = recovered.last_version;
    let mut notices = recovered.notices.clone();
    if recovered.tail.is_some() {
        notices.push("the index was rebuilt from the whole log".to_owned());
    }
    Ok(Opened {
        recovered,
        index,
        tally,
        last_version,
        notices,
    })
}

/// Says that the store is open: an end without a close is known by it.
fn begin(files: &dyn FileLayer, store: [u8; 16], opened: &Opened) -> io::Result<()> {
    let tail = opened.recovered.tail.as_ref();
    let (segment, offset) = tail.map_or((1, first_offset()), |t| (t.segment, t.offset));
    let checkpoint = Checkpoint {
        clean: false,
        store,
        boot: files.boot(),
        version: opened.last_version,
        segment,
        offset,
        records: opened.tally.records,
        digest: opened.tally.digest,
    };
    checkpoint.write(files)
}

fn first_offset() -> u32 {
    crate::commit_log::segment::HEADER_BYTES as u32
}
