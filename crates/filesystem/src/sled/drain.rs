//! The thread that takes layers of changes to the trees, in their order.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use super::layer::Layer;
use super::trees::{Trees, guarded};
use crate::embedded::index::IndexError;

/// How far a layer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Under,
    Come,
    Failed,
}

/// A layer on its way to the trees.
#[derive(Debug)]
pub(super) struct Leaving {
    layer: Layer,
    way: Mutex<Way>,
    ended: Condvar,
}

impl Leaving {
    pub(super) fn new(layer: Layer) -> Self {
        Self {
            layer,
            way: Mutex::new(Way::Under),
            ended: Condvar::new(),
        }
    }

    pub(super) fn layer(&self) -> &Layer {
        &self.layer
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the trees have all of it.
    pub(super) fn has_come(&self) -> Result<bool, IndexError> {
        match *self.way() {
            Way::Under => Ok(false),
            Way::Come => Ok(true),
            Way::Failed => Err(failed()),
        }
    }

    /// Waits until the trees have all of it, and of those before.
    pub(super) fn wait(&self) -> Result<(), IndexError> {
        let way = self.ended.wait_while(self.way(), |way| *way == Way::Under);
        match *way.unwrap_or_else(PoisonError::into_inner) {
            Way::Under | Way::Failed => Err(failed()),
            Way::Come => Ok(()),
        }
    }

    fn end(&self, way: Way) {
        *self.way() = way;
        self.ended.notify_all();
    }
}

fn failed() -> IndexError {
    IndexError::Io(io::Error::other("changes were not taken to the index"))
}

type Job = (Arc<Leaving>, Trees);

/// The thread, once there was something for it to do. It ends with this, in the middle of a layer if need be.
#[derive(Debug, Default)]
pub(super) struct Drain {
    running: Option<(mpsc::Sender<Job>, JoinHandle<()>)>,
    stop: Arc<AtomicBool>,
}

impl Drain {
    /// Takes a layer to the trees, behind those taken before.
    pub(super) fn take(&mut self, leaving: Arc<Leaving>, trees: Trees) -> Result<(), IndexError> {
        if self.running.is_none() {
            let (to, jobs) = mpsc::channel();
            let stop = Arc::clone(&self.stop);
            let thread = std::thread::Builder::new()
                .name("dormouse-drain".to_owned())
                .spawn(move || run(&jobs, &stop))?;
            self.running = Some((to, thread));
        }
        let sent = self.running.as_ref().map(|(to, _)| to.send((leaving, trees)));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(failed()),
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some((to, thread)) = self.running.take() {
            drop(to);
            // It ended as if the process had: the log has it all.
            drop(thread.join());
        }
    }
}

/// After a failure nothing more is taken: what comes later must not be there without what came before.
fn run(jobs: &mpsc::Receiver<Job>, stop: &AtomicBool) {
    let mut way = Way::Come;
    while let Ok((leaving, trees)) = jobs.recv() {
        if way == Way::Come {
            way = take(leaving.layer(), &trees, stop);
        }
        // Whoever waits for it may open the trees anew.
        drop(trees);
        leaving.end(way);
    }
}

fn take(layer: &Layer, trees: &Trees, stop: &AtomicBool) -> Way {
    match guarded(|| apply(layer, trees, stop)) {
        Ok(true) => Way::Come,
        Ok(false) => Way::Failed,
        Err(error) => {
            tracing::error!(%error, "changes were not taken to the index of the store");
            Way::Failed
        }
    }
}

/// A head that has a commit's version says that all of the commit is there: heads come last. False when told to stop.
fn apply(layer: &Layer, trees: &Trees, stop: &AtomicBool) -> Result<bool, IndexError> {
    trees.begin(layer.version)?;
    Ok(trees.records.take(&layer.records, stop)?
        && trees.entries.take(&layer.entries, stop)?
        && trees.heads.take(&layer.heads, stop)?)
}
