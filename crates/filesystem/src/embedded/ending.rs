//! Stores that were dropped and whose committers have not ended yet: dropping one keeps no thread of its caller for long,
//! and opening it again waits for the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a drop waits: enough for nearly all, and less than anybody waits for.
pub(crate) const DROP_WAIT: Duration = Duration::from_millis(100);
/// How long an opening waits for the end of the store before it. Longer than any flush.
const OPEN_WAIT: Duration = Duration::from_secs(30);

/// How many of each folder are ending in this process.
static ENDING: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());
static ENDED: Condvar = Condvar::new();

fn ending() -> MutexGuard<'static, BTreeMap<PathBuf, usize>> {
    ENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store that is ending, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ends(PathBuf);

impl Ends {
    pub(crate) fn of(path: &Path) -> Self {
        let path = absolute(path);
        *ending().entry(path.clone()).or_default() += 1;
        Self(path)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let mut ending = ending();
        if let Some(count) = ending.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                ending.remove(&self.0);
            }
        }
        drop(ending);
        ENDED.notify_all();
    }
}

/// Waits until a folder's store has ended, if it was dropped in this process; not for ever.
pub(crate) fn wait_for(path: &Path) {
    wait(path, OPEN_WAIT);
}

/// Waits for a moment.
pub(crate) fn wait_a_moment(path: &Path) {
    wait(path, DROP_WAIT);
}

fn wait(path: &Path, at_most: Duration) {
    let path = absolute(path);
    let is_ending = |ending: &mut BTreeMap<PathBuf, usize>| ending.contains_key(&path);
    drop(ENDED.wait_timeout_while(ending(), at_most, is_ending));
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
