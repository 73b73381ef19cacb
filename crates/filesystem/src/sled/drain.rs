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

/// After so many changes those that wait are told.
const TOLD_EVERY: usize = 64;

/// What of a layer is in the trees.
#[derive(Debug)]
struct Taken {
    way: Way,
    /// About how many of its changes.
    changes: usize,
}

/// A layer on its way to the trees.
#[derive(Debug)]
pub(super) struct Leaving {
    layer: Layer,
    taken: Mutex<Taken>,
    went_on: Condvar,
}

impl Leaving {
    pub(super) fn new(layer: Layer) -> Self {
        Self {
            layer,
            taken: Mutex::new(Taken {
                way: Way::Under,
                changes: 0,
            }),
            went_on: Condvar::new(),
        }
    }

    pub(super) fn layer(&self) -> &Layer {
        &self.layer
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the trees have all of it.
    pub(super) fn has_come(&self) -> Result<bool, IndexError> {
        match self.taken().way {
            Way::Under => Ok(false),
            Way::Come => Ok(true),
            Way::Failed => Err(failed()),
        }
    }

    /// Waits until the trees have all of it, and of those before.
    pub(super) fn wait(&self) -> Result<(), IndexError> {
        self.wait_for(usize::MAX)
    }

    /// Waits until the trees have all of those before, and of this at least so many changes.
    pub(super) fn wait_for(&self, changes: usize) -> Result<(), IndexError> {
        let is_awaited = |taken: &mut Taken| taken.way == Way::Under && taken.changes < changes;
        let taken = self.went_on.wait_while(self.taken(), is_awaited);
        match taken.unwrap_or_else(PoisonError::into_inner).way {
            Way::Under | Way::Come => Ok(()),
            Way::Failed => Err(failed()),
        }
    }

    fn go_on(&self, changes: usize) {
        self.taken().changes += changes;
        self.went_on.notify_all();
    }

    fn end(&self, way: Way) {
        self.taken().way = way;
        self.went_on.notify_all();
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
            way = take(&leaving, &trees, stop);
        }
        // Whoever waits for it may open the trees anew.
        drop(trees);
        leaving.end(way);
    }
}

fn take(leaving: &Leaving, trees: &Trees, stop: &AtomicBool) -> Way {
    let mut untold = 0;
    let took = &mut |changes: usize| {
        untold += changes;
        if untold >= TOLD_EVERY {
            leaving.go_on(std::mem::take(&mut untold));
        }
        !stop.load(Ordering::Relaxed)
    };
    match guarded(|| apply(leaving.layer(), trees, took)) {
        Ok(true) => Way::Come,
        Ok(false) => Way::Failed,
        Err(error) => {
            tracing::error!(%error, "changes were not taken to the index of the store");
            Way::Failed
        }
    }
}

/// A head that has a commit's version says that all of the commit is there: heads come last. False when told to stop.
fn apply(layer: &Layer, trees: &Trees, took: &mut dyn FnMut(usize) -> bool) -> Result<bool, IndexError> {
    trees.begin(layer.version)?;
    Ok(trees.records.take(&layer.records, took)?
        && trees.entries.take(&layer.entries, took)?
        && trees.heads.take(&layer.heads, took)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_part_goes_on_before_all_has_come() {
        let leaving = Arc::new(Leaving::new(Layer::default()));
        leaving.wait_for(0).unwrap();
        leaving.go_on(2);
        leaving.go_on(1);
        leaving.wait_for(3).unwrap();
        assert!(!leaving.has_come().unwrap());
        let waiting = std::thread::spawn({
            let leaving = Arc::clone(&leaving);
            move || leaving.wait_for(4)
        });
        leaving.end(Way::Failed);
        waiting.join().unwrap().unwrap_err();
        leaving.end(Way::Come);
        leaving.wait().unwrap();
    }
}
