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
    redb: Arc<dyn Peer>,
    sqlite: Arc<dyn Peer>,
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
        redb: peers::redb(folder),
        sqlite: peers::sqlite(folder),
    }
}

/// What is measured, one after the other.
#[derive(Debug, Clone, Copy)]
enum Step {
    Flush,
    MemoryDistinct,
    MemoryHot,
    SledDistinct,
    SledHot,
    SledCombined,
    SledMutex,
    Redb,
    Sqlite,
}

const STEPS: [Step; 9] = [
    Step::Flush,
    Step::MemoryDistinct,
    Step::SledDistinct,
    Step::Redb,
    Step::SledCombined,
    Step::SledHot,
    Step::MemoryHot,
    Step::Sqlite,
    Step::SledMutex,
];

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::MemoryDistinct => "memory distinct",
            Self::MemoryHot => "memory hot",
            Self::SledDistinct => "sled distinct",
            Self::SledHot => "sled hot",
            Self::SledCombined => "sled combined",
            Self::SledMutex => "sled mutex",
            Self::Redb => "redb",
            Self::Sqlite => "sqlite",
        }
    }

    async fn measure(self, subjects: &mut Subjects, tasks: usize) -> Load {
        let Subjects {
            disk,
            memory,
            sled,
            combined,
            redb,
            sqlite,
        } = subjects;
        match self {
            Self::Flush => disk.measure(tasks, SLICE).expect("the disk can be written"),
            Self::MemoryDistinct => load::distinct(memory, tasks, MEMORY_SLICE).await,
            Self::MemoryHot => load::hot(memory, tasks, MEMORY_SLICE).await,
            Self::SledDistinct => load::distinct(sled, tasks, SLICE).await,
            Self::SledHot => load::hot(sled, tasks, SLICE).await,
            Self::SledCombined => load::hot_combined(combined, tasks, SLICE).await,
            Self::SledMutex => load::hot_by_mutex(sled, tasks, SLICE).await,
            Self::Redb => peers::measure(redb, tasks, SLICE),
            Self::Sqlite => peers::measure(sqlite, tasks, SLICE),
        }
    }
}

/// One round with so many tasks: every step in turn, and again in another order, since many disks do a burst of flushes
/// quicker than they go on.
async fn measure(subjects: &mut Subjects, tasks: usize) -> BTreeMap<&'static str, Load> {
    let mut loads: BTreeMap<&'static str, Load> = BTreeMap::new();
    let mut steps = STEPS;
    for _ in 0..SLICES {
        for step in steps {
            let load = step.measure(subjects, tasks).await;
            loads.entry(step.name()).or_default().add(load);
        }
        steps.rotate_left(STEPS.len() / SLICES);
    }
    loads
}

async fn measure_batches(store: &dyn RecordStore, samples: &mut Samples) {
    const REPEATS: u32 = 16;
    let [mut batch, mut one, mut twenty] = [Duration::ZERO; 3];
    for _ in 0..REPEATS {
        batch += load::batch_of_20(store).await;
        one += load::single_commits(store, 1).await;
        twenty += load::single_commits(store, 20).await;
    }
    for (name, time) in [("batch", batch), ("one commit", one), ("20 commits", twenty)] {
        samples.push(name, time.as_secs_f64() * 1e3 / f64::from(REPEATS));
    }
}
