//! The commit log alone, driven by as many tasks: frames, one write and one flush a group, no index and no judging.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dormouse_filesystem::commit_log::frame::{Header, Operation, Seed, encode};
use dormouse_filesystem::commit_log::{Appender, AppenderOptions, Purpose, Reader, StdFiles};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::context::files;
use crate::disk::Disk;
use crate::load::{self, Load};
use crate::physical::RECORD_BYTES;

/// As many commits wait as the store lets wait, and a group is as large.
const QUEUE_MAX: usize = 4096;
const GROUP_MAX: usize = 512;
const STORE: [u8; 16] = [7; 16];

struct Waiting {
    key: String,
    value: [u8; RECORD_BYTES],
    answer: oneshot::Sender<()>,
}

/// A log with its thread, which ends with it.
#[derive(Debug)]
pub(crate) struct BareLog {
    queue: Option<mpsc::Sender<Waiting>>,
    thread: Option<JoinHandle<()>>,
}

impl BareLog {
    pub(crate) fn open(folder: &Path, disk: Disk) -> Self {
        let files = files(folder, disk)
            .unwrap_or_else(|| Arc::new(StdFiles::new(folder).expect("the folder was made")));
        files.make_folder("log").expect("the folder can be written");
        let reader = Arc::new(Reader::new(Arc::clone(&files), Seed::of(STORE)));
        let options = AppenderOptions {
            store: STORE,
            segment_bytes: 64 * 1024 * 1024,
            reserve_bytes: 0,
        };
        let appender = Appender::resume(files, reader, options, None, 0).expect("a log begins");
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::spawn(move || serve(appender, waiting));
        Self {
            queue: Some(queue),
            thread: Some(thread),
        }
    }

    /// Every task commits records of its own key, one after the other.
    pub(crate) async fn measure(&self, tasks: usize, time: Duration) -> Load {
        let until = Instant::now() + time;
        load::run(tasks, |task| {
            let queue = self.queue.clone().expect("it is open until it is dropped");
            async move {
                let mut taken = Vec::new();
                while Instant::now() < until {
                    let before = Instant::now();
                    let (answer, answered) = oneshot::channel();
                    let waiting = Waiting {
                        key: format!("bench!distinct!{task}"),
                        value: load::record(),
                        answer,
                    };
                    drop(queue.send(waiting).await);
                    answered.await.expect("the log's thread answers");
                    taken.push(before.elapsed());
                }
                taken
            }
        })
        .await
    }
}

impl Drop for BareLog {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Ends with the queue. The next group forms while the last one is flushed.
fn serve(mut appender: Appender, mut waiting: mpsc::Receiver<Waiting>) {
    let mut version = 1;
    let mut group = Vec::new();
    while waiting.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
        let room = group.len() as u64 * 1024;
        appender
            .make_room(room, version, Purpose::Growth)
            .expect("the disk has room");
        let (segment, offset) = appender.next_place();
        let mut bytes = Vec::new();
        for commit in &group {
            let header = Header {
                version,
                group: u64::from(segment) << 32 | u64::from(offset),
                segment,
            };
            let put = Operation::Put {
                key: &commit.key,
                was: 0,
                kind: "bench",
                value: &commit.value,
            };
            encode(header, appender.seed(), std::iter::once(put), &mut bytes);
            version += 1;
        }
        appender
            .write(&bytes, version - 1)
            .expect("the disk can be written");
        for commit in group.drain(..) {
            // The task may be gone.
            let _ = commit.answer.send(());
        }
    }
}
