//! What is measured, side by side, so that a disk which is slow for a while is slow for all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Memory, RecordStore, Sled, SledOptions, Store};

use crate::load::{self, Load};
use crate::peers::{self, Peer};
use crate::physical::Disk;
use crate::series::{ROUNDS, Series};

/// How many tasks commit at once.
pub(crate) const TASKS: [usize; 4] = [1, 8, 64, 256];
/// Each thing is measured for so long, then the next, and all of them so often in a round.
const SLICE: Duration = Duration::from_millis(160);
const SLICES: usize = 4;
/// Memory needs no disk to be fair about.
const MEMORY_SLICE: Duration = Duration::from_millis(40);
/// Before the first round: files grow, caches fill.
const WARM_UP: Duration = Duration::from_millis(400);

/// What the rounds measured, by name.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<String, Series>);

impl Samples {
    fn push(&mut self, name: impl Into<String>, value: f64) {
        self.0.entry(name.into()).or_default().push(value);
    }

    /// The values of this name; none where nothing was measured.
    pub(crate) fn of(&self, name: &str) -> Series {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

struct Subjects {
    disk: Disk,
    memory: Arc<dyn RecordStore>,
    sled: Arc<dyn RecordStore>,
    combined: Store,
    peers: Vec<Arc<dyn Peer>>,
}

/// Measures everything [`ROUNDS`] times.
pub(crate) async fn run(folder: &Path) -> Samples {
    let mut subjects = open(folder).await;
    load::distinct(&subjects.sled, 64, WARM_UP).await;
    let mut samples = Samples::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for tasks in TASKS {
            for (name, load) in measure(&mut subjects, tasks).await {
                samples.push(format!("{name} {tasks}"), load.rate());
                samples.push(format!("{name} {tasks} p99"), load.within(0.99));
                samples.push(format!("{name} {tasks} p50"), load.within(0.5));
            }
        }
        measure_batches(&*subjects.sled, &mut samples).await;
    }
    samples
}

#[expect(clippy::disallowed_methods, reason = "the edge: here the time comes from")]
async fn open(folder: &Path) -> Subjects {
    let now = jiff::Timestamp::now();
    let sled = Sled::open(&folder.join("sled"), SledOptions::new(now)).await;
    let sled: Arc<dyn RecordStore> = Arc::new(sled.expect("a store opens in an empty folder"));
    Subjects {
        disk: Disk::prepare(folder).expect("the disk has room"),
        memory: Arc::new(Memory::new(now)),
        combined: Store::new(Arc::clone(&sled), 0),
        sled,
        peers: vec![peers::redb(folder), peers::sqlite(folder)],
    }
}

/// One round with so many tasks: every subject in turn, and again.
async fn measure(subjects: &mut Subjects, tasks: usize) -> BTreeMap<&'static str, Load> {
    let mut loads: BTreeMap<&'static str, Load> = BTreeMap::new();
    for _ in 0..SLICES {
        let mut add = |name, load| loads.entry(name).or_default().add(load);
        let flushed = subjects.disk.measure(tasks, SLICE);
        add("flush", flushed.expect("the disk can be written"));
        add(
            "memory distinct",
            load::distinct(&subjects.memory, tasks, MEMORY_SLICE).await,
        );
        add(
            "memory hot",
            load::hot(&subjects.memory, tasks, MEMORY_SLICE).await,
        );
        add(
            "sled distinct",
            load::distinct(&subjects.sled, tasks, SLICE).await,
        );
        add("sled hot", load::hot(&subjects.sled, tasks, SLICE).await);
        add(
            "sled combined",
            load::hot_combined(&subjects.combined, tasks, SLICE).await,
        );
        add(
            "sled mutex",
            load::hot_by_mutex(&subjects.sled, tasks, SLICE).await,
        );
        for peer in &subjects.peers {
            add(peer.name(), peers::measure(peer, tasks, SLICE));
        }
    }
    loads
}

async fn measure_batches(store: &dyn RecordStore, samples: &mut Samples) {
    const REPEATS: u32 = 8;
    let (mut batch, mut singles) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..REPEATS {
        batch += load::batch_of_20(store).await;
        singles += load::single_commits(store, 20).await;
    }
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(REPEATS);
    samples.push("batch", milliseconds(batch));
    samples.push("20 commits", milliseconds(singles));
    samples.push("one commit", milliseconds(singles / 20));
}
