//! The figures of the record store: filesystem.md section 17, "own disk", as far as what they measure exists.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Memory, RecordStore, Sled, SledOptions};

use crate::figure::{self, Figure, Form, Target};
use crate::load;
use crate::peers::{self, Peer};
use crate::physical::Disk;
use crate::series::{ROUNDS, Series};

/// How many tasks commit at once.
const TASKS: [usize; 4] = [1, 8, 64, 256];
/// How long each thing is measured in a round.
const TIME: Duration = Duration::from_millis(800);
/// Before the first round: files grow, caches fill.
const WARM_UP: Duration = Duration::from_millis(400);

/// What the rounds measured, by name.
#[derive(Debug, Default)]
struct Samples(BTreeMap<String, Series>);

impl Samples {
    fn push(&mut self, name: impl Into<String>, value: f64) {
        self.0.entry(name.into()).or_default().push(value);
    }

    fn of(&self, name: &str) -> Series {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

/// What is measured, side by side in each round.
struct Subjects {
    disk: Disk,
    memory: Arc<dyn RecordStore>,
    sled: Arc<dyn RecordStore>,
    peers: Vec<Arc<dyn Peer>>,
}

/// Measures everything [`ROUNDS`] times and holds it against its targets.
pub(crate) async fn run(folder: &Path, form: Form) -> Vec<Figure> {
    let subjects = open(folder).await;
    load::distinct(&subjects.sled, 64, WARM_UP).await;
    let mut samples = Samples::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for tasks in TASKS {
            measure(&subjects, tasks, &mut samples).await;
        }
        measure_batches(&subjects, &mut samples).await;
    }
    let figures = figures(&samples);
    for figure in &figures {
        figure::print_now(form, figure);
    }
    figures
}

#[expect(clippy::disallowed_methods, reason = "the edge: here the time comes from")]
async fn open(folder: &Path) -> Subjects {
    let now = jiff::Timestamp::now();
    let options = SledOptions::new(now);
    let sled = Sled::open(&folder.join("sled"), options).await;
    Subjects {
        disk: Disk::prepare(folder).expect("the disk has room"),
        memory: Arc::new(Memory::new(now)),
        sled: Arc::new(sled.expect("a store opens in an empty folder")),
        peers: vec![peers::redb(folder), peers::sqlite(folder)],
    }
}

async fn measure(subjects: &Subjects, tasks: usize, samples: &mut Samples) {
    let limit = subjects
        .disk
        .measure(tasks, TIME / 2)
        .expect("the disk can be written");
    samples.push(format!("phys {tasks}"), limit.rate);
    samples.push(format!("flush {tasks}"), limit.flush.as_secs_f64() * 1e3);
    for (name, store) in [("memory", &subjects.memory), ("sled", &subjects.sled)] {
        let distinct = load::distinct(store, tasks, TIME).await;
        samples.push(format!("{name} distinct {tasks}"), distinct.rate);
        samples.push(format!("{name} p99 {tasks}"), distinct.p99.as_secs_f64() * 1e3);
        let hot = load::hot(store, tasks, TIME).await;
        samples.push(format!("{name} hot {tasks}"), hot.rate);
    }
    let by_mutex = load::hot_by_mutex(&subjects.sled, tasks, TIME / 2).await;
    samples.push(format!("sled mutex {tasks}"), by_mutex.rate);
    for peer in &subjects.peers {
        let rate = peers::measure(peer, tasks, TIME / 2);
        samples.push(format!("{} {tasks}", peer.name()), rate);
    }
}

async fn measure_batches(subjects: &Subjects, samples: &mut Samples) {
    for _ in 0..3 {
        let batch = load::batch_of_20(&*subjects.sled).await;
        let twenty = load::single_commits(&*subjects.sled, 20).await;
        samples.push("batch of 20", batch.as_secs_f64() * 1e3);
        samples.push("20 commits", twenty.as_secs_f64() * 1e3);
        samples.push("one commit", twenty.as_secs_f64() * 1e3 / 20.0);
    }
}

const RATE: &str = "commits/s";
const MILLISECONDS: &str = "ms";

fn figures(samples: &Samples) -> Vec<Figure> {
    let mut figures = Vec::new();
    figures.extend(TASKS.map(|tasks| physical(samples, tasks)));
    figures.extend(TASKS.map(|tasks| memory(samples, tasks, "distinct", "distinct keys")));
    figures.extend(TASKS.map(|tasks| memory(samples, tasks, "hot", "one key, cas_update")));
    figures.extend(
        [0.5, 0.4, 0.2, 0.12]
            .into_iter()
            .zip(TASKS)
            .map(|(target, tasks)| Figure {
                name: format!("sled, distinct keys, {tasks} tasks"),
                value: samples.of(&format!("sled distinct {tasks}")),
                unit: RATE,
                against: Some((format!("phys({tasks})"), samples.of(&format!("phys {tasks}")))),
                target: Target::AtLeast(target),
            }),
    );
    figures.extend(TASKS.map(|tasks| hot(samples, tasks, "distinct")));
    figures.extend(TASKS.map(|tasks| hot(samples, tasks, "mutex")));
    figures.extend(peers(samples));
    figures.push(Figure {
        name: "sled, p99 of a commit, 64 tasks".to_owned(),
        value: samples.of("sled p99 64"),
        unit: MILLISECONDS,
        against: Some(("a bare flush".to_owned(), samples.of("flush 1"))),
        target: Target::AtMost(4.0),
    });
    figures.extend(batches(samples));
    figures
}

fn physical(samples: &Samples, tasks: usize) -> Figure {
    Figure {
        name: format!("phys({tasks}): one write of {tasks} × 300 B and fdatasync"),
        value: samples.of(&format!("phys {tasks}")),
        unit: "records/s",
        against: None,
        target: Target::None,
    }
}

fn memory(samples: &Samples, tasks: usize, load: &str, keys: &str) -> Figure {
    Figure {
        name: format!("memory, {keys}, {tasks} tasks"),
        value: samples.of(&format!("memory {load} {tasks}")),
        unit: RATE,
        against: None,
        target: Target::None,
    }
}

/// One key for all tasks, by compare-and-swap alone.
fn hot(samples: &Samples, tasks: usize, against: &str) -> Figure {
    let name = match against {
        "mutex" => "a mutex around get and put",
        _ => "distinct keys",
    };
    Figure {
        name: format!("sled, one key, cas_update, {tasks} tasks"),
        value: samples.of(&format!("sled hot {tasks}")),
        unit: RATE,
        against: Some((name.to_owned(), samples.of(&format!("sled {against} {tasks}")))),
        target: match (against, tasks) {
            ("distinct", 64) => Target::AtLeast(0.7),
            ("mutex", 64) => Target::AtLeast(10.0),
            _ => Target::None,
        },
    }
}

/// One commit a call, the same number of callers: ahead of each from 64 on.
fn peers(samples: &Samples) -> Vec<Figure> {
    let names = ["redb", "SQLite (WAL, synchronous=FULL)"];
    let each = names.iter().flat_map(|name| TASKS.map(|tasks| (name, tasks)));
    each.map(|(name, tasks)| Figure {
        name: format!("sled, distinct keys, {tasks} tasks"),
        value: samples.of(&format!("sled distinct {tasks}")),
        unit: RATE,
        against: Some((name.to_string(), samples.of(&format!("{name} {tasks}")))),
        target: if tasks >= 64 {
            Target::AtLeast(1.0)
        } else {
            Target::None
        },
    })
    .collect()
}

fn batches(samples: &Samples) -> Vec<Figure> {
    let against = [("20 commits", 0.1), ("one commit", 1.5)];
    let figure = |(name, target): (&str, f64)| Figure {
        name: "sled, a batch of 16 rows and 4 log entries".to_owned(),
        value: samples.of("batch of 20"),
        unit: MILLISECONDS,
        against: Some((name.to_owned(), samples.of(name))),
        target: Target::AtMost(target),
    };
    against.map(figure).to_vec()
}
