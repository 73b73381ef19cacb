//! Durable commits of many tasks at once, side by side with what the disk allows and what others reach.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Memory, RecordStore, Store};
use dormouse_tests::measure::{Figure, Samples};

use crate::bare_log::BareLog;
use crate::commit_figures;
use crate::context::{self, Context};
use crate::disk::Disk;
use crate::load::{self, Load};
use crate::peers::{self, Peer};
use crate::physical::Physical;

/// How many tasks commit at once.
pub(crate) const TASKS: [usize; 4] = [1, 8, 64, 256];
/// Each thing is measured for a slice, then the next, and all of them so often in a round.
const SLICES: usize = 4;
/// Milliseconds of a slice. A slow disk needs longer for as many commits.
const OWN_SLICE: u64 = 120;
const SLOW_SLICE: u64 = 200;
/// Memory needs no disk to be fair about.
const MEMORY_SLICE: u64 = 40;
/// Before the first round: files grow, caches fill.
const WARM_UP: u64 = 400;

struct Subjects {
    physical: Physical,
    log: BareLog,
    memory: Arc<dyn RecordStore>,
    sled: Arc<dyn RecordStore>,
    combined: Store,
    redb: Arc<dyn Peer>,
    sqlite: Arc<dyn Peer>,
    fjall: Arc<dyn Peer>,
    sled_and_sync: Arc<dyn Peer>,
}

/// All figures of commits on one disk.
pub(crate) async fn run(context: &Context, disk: Disk) -> Vec<Figure> {
    let mut subjects = open(context, disk).await;
    load::distinct(&subjects.sled, 64, context.time(WARM_UP)).await;
    let mut samples = Samples::default();
    for round in 1..=context.rounds {
        eprintln!("  round {round} of {}", context.rounds);
        for tasks in TASKS {
            for (name, load) in measure(context, disk, &mut subjects, tasks).await {
                load::push(&mut samples, &format!("{name} {tasks}"), &load);
            }
        }
        measure_batches(&*subjects.sled, &mut samples).await;
    }
    commit_figures::of(&samples, disk)
}

async fn open(context: &Context, disk: Disk) -> Subjects {
    let folder = context.folder(match disk {
        Disk::Own => "own",
        Disk::Slow => "slow",
    });
    let log = context.folder(match disk {
        Disk::Own => "own-log",
        Disk::Slow => "slow-log",
    });
    let sled = context::sled(&folder.join("sled"), disk).await;
    Subjects {
        physical: Physical::prepare(&folder, disk).expect("the disk has room"),
        log: BareLog::open(&log, disk),
        memory: Arc::new(Memory::new(context::now())),
        combined: Store::new(Arc::clone(&sled), 0),
        sled,
        redb: peers::redb(&folder, disk),
        sqlite: peers::sqlite(&folder, disk),
        fjall: peers::fjall(&folder, disk),
        sled_and_sync: peers::sled_and_sync(&folder, disk),
    }
}

/// What is measured, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Flush,
    Log,
    MemoryDistinct,
    MemoryHot,
    SledDistinct,
    SledHot,
    SledCombined,
    SledMutex,
    Redb,
    Sqlite,
    Fjall,
    SledAndSync,
}

/// Each near to what it is held against.
const STEPS: [Step; 12] = [
    Step::Flush,
    Step::SledDistinct,
    Step::Log,
    Step::Redb,
    Step::SledAndSync,
    Step::SledCombined,
    Step::SledHot,
    Step::SledMutex,
    Step::Fjall,
    Step::Sqlite,
    Step::MemoryDistinct,
    Step::MemoryHot,
];

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Log => "log",
            Self::MemoryDistinct => "memory distinct",
            Self::MemoryHot => "memory hot",
            Self::SledDistinct => "sled distinct",
            Self::SledHot => "sled hot",
            Self::SledCombined => "sled combined",
            Self::SledMutex => "sled mutex",
            Self::Redb => "redb",
            Self::Sqlite => "sqlite",
            Self::Fjall => "fjall",
            Self::SledAndSync => "sled alone",
        }
    }

    fn needs_disk(self) -> bool {
        !matches!(self, Self::MemoryDistinct | Self::MemoryHot)
    }

    async fn measure(self, subjects: &mut Subjects, tasks: usize, time: Duration) -> Load {
        match self {
            Self::Flush => {
                let flushed = subjects.physical.measure(tasks, time);
                flushed.expect("the disk can be written")
            }
            Self::Log => subjects.log.measure(tasks, time).await,
            Self::MemoryDistinct => load::distinct(&subjects.memory, tasks, time).await,
            Self::MemoryHot => load::hot(&subjects.memory, tasks, time).await,
            Self::SledDistinct => load::distinct(&subjects.sled, tasks, time).await,
            Self::SledHot => load::hot(&subjects.sled, tasks, time).await,
            Self::SledCombined => load::hot_combined(&subjects.combined, tasks, time).await,
            Self::SledMutex => load::hot_by_mutex(&subjects.sled, tasks, time).await,
            Self::Redb => peers::measure(&subjects.redb, tasks, time),
            Self::Sqlite => peers::measure(&subjects.sqlite, tasks, time),
            Self::Fjall => peers::measure(&subjects.fjall, tasks, time),
            Self::SledAndSync => peers::measure(&subjects.sled_and_sync, tasks, time),
        }
    }
}

/// One round with so many tasks: every step in turn, and again in another order, since many disks do a burst of flushes
/// quicker than they go on.
async fn measure(
    context: &Context,
    disk: Disk,
    subjects: &mut Subjects,
    tasks: usize,
) -> BTreeMap<&'static str, Load> {
    let (slice, slices) = match disk {
        Disk::Own => (OWN_SLICE, SLICES),
        // What is simulated does not change with the order.
        Disk::Slow => (SLOW_SLICE, 2),
    };
    let mut loads: BTreeMap<&'static str, Load> = BTreeMap::new();
    let mut steps = STEPS.to_vec();
    steps.retain(|step| disk == Disk::Own || step.needs_disk());
    for _ in 0..slices {
        for step in &steps {
            let slice = if step.needs_disk() { slice } else { MEMORY_SLICE };
            let load = step.measure(subjects, tasks, context.time(slice)).await;
            loads.entry(step.name()).or_default().add(load);
        }
        let by = steps.len() / slices;
        steps.rotate_left(by);
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
