//! What durable commits are held against: filesystem.md section 17, each target the stricter one of page and plan.
use dormouse_tests::measure::{Figure, Samples, Series, Target};

use crate::commits::TASKS;
use crate::disk::Disk;

const RATE: &str = "commits/s";
const MILLISECONDS: &str = "ms";

const NONE: [Target; 4] = [Target::None; 4];
/// Ahead of each from 64 tasks on; below, one commit a flush is what the disk allows anybody.
const AHEAD: [Target; 4] = [
    Target::None,
    Target::None,
    Target::AtLeast(1.0),
    Target::AtLeast(1.0),
];

/// What others reach, by the name of the sample, with the targets on this disk.
fn peers(disk: Disk) -> [(&'static str, &'static str, [Target; 4]); 4] {
    let one_each = match disk {
        Disk::Own => AHEAD,
        Disk::Slow => [0.95, 6.0, 30.0, 60.0].map(Target::AtLeast),
    };
    let (fjall, sled) = match disk {
        Disk::Own => (AHEAD, NONE),
        Disk::Slow => (NONE, [1.0, 1.0, 1.3, 3.0].map(Target::AtLeast)),
    };
    [
        ("redb", "redb, durable at once", one_each),
        ("sqlite", "SQLite, WAL, synchronous=FULL", one_each),
        ("fjall", "fjall, journal synced each", fjall),
        ("sled alone", "sled alone, flush + fdatasync each", sled),
    ]
}

/// Holds what was measured on a disk against its targets.
pub(crate) fn of(samples: &Samples, disk: Disk) -> Vec<Figure> {
    let mut figures = alone(samples, disk);
    figures.extend(distinct(samples, disk));
    figures.extend(combined(samples));
    figures.extend(hot(samples));
    figures.push(Figure {
        name: "sled, p99 of a commit, 64 tasks".to_owned(),
        value: samples.of("sled distinct 64 p99"),
        unit: MILLISECONDS,
        against: Some(("a bare flush".to_owned(), samples.of("flush 1 p50"))),
        target: Target::AtMost(4.0),
    });
    figures.extend(batches(samples));
    figures
}

fn alone(samples: &Samples, disk: Disk) -> Vec<Figure> {
    let physical = TASKS.map(|n| {
        let name = format!("phys({n}): one write of {n} records and fdatasync");
        Figure::alone(name, physical(samples, n), "records/s")
    });
    let mut figures = physical.to_vec();
    if disk == Disk::Own {
        for (load, keys) in [("distinct", "distinct keys"), ("hot", "one key, cas_update")] {
            figures.extend(TASKS.map(|n| {
                let value = samples.of(&format!("memory {load} {n}"));
                Figure::alone(format!("memory, {keys}, {}", tasks(n)), value, RATE)
            }));
        }
    }
    figures
}

/// Records a second, `n` a flush.
fn physical(samples: &Samples, n: usize) -> Series {
    samples.of(&format!("flush {n}")).times(n as f64)
}

pub(crate) fn tasks(count: usize) -> String {
    match count {
        1 => "1 task".to_owned(),
        _ => format!("{count} tasks"),
    }
}

/// Figures of sled with 1, 8, 64, 256 tasks, each against another of as many.
fn sled(
    samples: &Samples,
    (load, keys): (&str, &str),
    (name, against): (&str, &dyn Fn(usize) -> Series),
    targets: [Target; 4],
) -> Vec<Figure> {
    let figure = |(n, target)| Figure {
        name: format!("sled, {keys}, {}", tasks(n)),
        value: samples.of(&format!("sled {load} {n}")),
        unit: RATE,
        against: Some((name.replace("(n)", &format!("({n})")), against(n))),
        target,
    };
    TASKS.into_iter().zip(targets).map(figure).collect()
}

fn distinct(samples: &Samples, disk: Disk) -> Vec<Figure> {
    const LOAD: (&str, &str) = ("distinct", "distinct keys");
    let limit = match disk {
        Disk::Own => [0.5, 0.4, 0.2, 0.12],
        Disk::Slow => [0.9, 0.8, 0.55, 0.35],
    };
    let log = match disk {
        Disk::Own => [
            Target::None,
            Target::None,
            Target::AtLeast(0.6),
            Target::AtLeast(0.6),
        ],
        Disk::Slow => NONE,
    };
    let of = |load: &'static str| move |n: usize| samples.of(&format!("{load} {n}"));
    let physical = |n: usize| physical(samples, n);
    let mut figures = sled(samples, LOAD, ("phys(n)", &physical), limit.map(Target::AtLeast));
    figures.extend(sled(samples, LOAD, ("the bare commit log", &of("log")), log));
    for (load, peer, targets) in peers(disk) {
        figures.extend(sled(samples, LOAD, (peer, &of(load)), targets));
    }
    figures
}

/// One key for all tasks, by the store's queue of updates.
fn combined(samples: &Samples) -> Vec<Figure> {
    const LOAD: (&str, &str) = ("combined", "one key, Store::update");
    let of = |load: &'static str| move |n: usize| samples.of(&format!("sled {load} {n}"));
    let least = |targets: [f64; 3]| {
        let [a, b, c] = targets.map(Target::AtLeast);
        [Target::None, a, b, c]
    };
    let times = least([5.0, 20.0, 20.0]);
    let share = least([0.5, 0.7, 0.5]);
    let mut figures = sled(samples, LOAD, ("distinct keys", &of("distinct")), share);
    figures.extend(sled(
        samples,
        LOAD,
        ("a mutex around get and put", &of("mutex")),
        times,
    ));
    figures.extend(sled(samples, LOAD, ("cas_update alone", &of("hot")), times));
    for (load, name) in [
        ("mutex", "a mutex around get and put"),
        ("hot", "cas_update alone"),
    ] {
        figures.extend([8, 64, 256].map(|n| p99_of_combined(samples, n, load, name)));
    }
    figures
}

fn p99_of_combined(samples: &Samples, n: usize, load: &str, name: &str) -> Figure {
    Figure {
        name: format!("sled, one key, p99 of Store::update, {}", tasks(n)),
        value: samples.of(&format!("sled combined {n} p99")),
        unit: MILLISECONDS,
        against: Some((name.to_owned(), samples.of(&format!("sled {load} {n} p99")))),
        target: Target::AtMost(0.2),
    }
}

/// One key for all tasks, by compare-and-swap alone: what the queue is there to spare.
fn hot(samples: &Samples) -> Vec<Figure> {
    let mutex = |n: usize| samples.of(&format!("sled mutex {n}"));
    let against: (&str, &dyn Fn(usize) -> Series) = ("a mutex around get and put", &mutex);
    sled(samples, ("hot", "one key, cas_update alone"), against, NONE)
}

fn batches(samples: &Samples) -> Vec<Figure> {
    let figure = |(name, target): (&str, f64)| Figure {
        name: "sled, a batch of 16 rows and 4 log entries".to_owned(),
        value: samples.of("batch"),
        unit: MILLISECONDS,
        against: Some((name.to_owned(), samples.of(name))),
        target: Target::AtMost(target),
    };
    [("20 commits", 0.1), ("one commit", 1.5)].map(figure).to_vec()
}
