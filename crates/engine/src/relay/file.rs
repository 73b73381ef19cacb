//! A sink that is a file: an event a line, for whoever collects such.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_secrets::{Scrubbed, Scrubber};

use super::{Delivery, OnRefused, Portion, Sent, Sink, SinkOptions};
use crate::SinkName;
use crate::event::EventFilter;
use crate::limits::{RELAY_BATCH_MAX, RELAY_TIMEOUT_MAX};

/// Appends events to a file as JSON lines, synced before they are acknowledged.
///
/// Each line is the event with its `position`, as `dormouse events tail -o jsonl` prints it. The file is opened for each batch,
/// so it may be moved away at any time; one that is missing is made, for its owner alone. A line may come again under its
/// event id; one that a crash has cut is ended, and comes again whole.
#[derive(Debug)]
pub struct FileSink {
    name: SinkName,
    options: SinkOptions,
    file: Arc<Appended>,
}

#[derive(Debug)]
struct Appended {
    path: PathBuf,
    /// The batches of several tenants are written one after the other.
    at_work: Mutex<()>,
}

impl FileSink {
    /// A sink of this name that appends the events a filter wants to this file.
    #[must_use]
    pub fn new(name: SinkName, path: impl Into<PathBuf>, filter: EventFilter) -> Self {
        let options = SinkOptions {
            filter,
            portion: Portion::UpTo(RELAY_BATCH_MAX),
            timeout: RELAY_TIMEOUT_MAX,
            delay_min: Duration::from_secs(1),
            delay_max: Duration::from_secs(60),
            attempts_max: None,
            on_refused: OnRefused::Disable,
        };
        let path = path.into();
        let at_work = Mutex::new(());
        Self {
            name,
            options,
            file: Arc::new(Appended { path, at_work }),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

#[async_trait]
impl Sink for FileSink {
    fn name(&self) -> &SinkName {
        &self.name
    }

    fn options(&self) -> &SinkOptions {
        &self.options
    }

    async fn send(&self, delivery: &Delivery) -> Sent {
        let mut lines = Vec::new();
        for event in &delivery.events {
            serde_json::to_writer(&mut lines, event).expect("an event is plain data");
            lines.push(b'\n');
        }
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || file.append(&lines)).await;
        match written {
            Ok(Ok(())) => Sent::Taken,
            Ok(Err(error)) => unknown(&error),
            Err(_) => Sent::Unknown {
                reason: Scrubbed::constant("its writing was broken off"),
                retry_after: None,
            },
        }
    }
}

/// The kind of error and no path: it is told where anybody may read it.
fn unknown(error: &io::Error) -> Sent {
    Sent::Unknown {
        reason: Scrubber::empty().scrub(&error.kind().to_string()),
        retry_after: None,
    }
}

impl Appended {
    fn append(&self, lines: &[u8]) -> io::Result<()> {
        let _alone = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = self.open()?;
        if is_cut(&mut file)? {
            file.write_all(b"\n")?;
        }
        file.write_all(lines)?;
        file.sync_data()
    }

    /// A regular file: what else is there might never answer.
    fn open(&self) -> io::Result<File> {
        let is_new = !self.path.exists();
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        if is_new && let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(file)
    }
}

/// Whether its last line has no end.
fn is_cut(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
