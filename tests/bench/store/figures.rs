//! The figures of the record store: filesystem.md section 17, "own disk", as far as what they measure exists.

use crate::figure::{Figure, Target};
use crate::series::Series;
use crate::suite::{Samples, TASKS};

const RATE: &str = "commits/s";
const MILLISECONDS: &str = "ms";
const PEERS: [(&str, &str); 2] = [
    ("redb", "redb, durable at once"),
    ("sqlite", "SQLite, WAL, synchronous=FULL"),
];

/// Holds what was measured against its targets.
pub(crate) fn of(samples: &Samples) -> Vec<Figure> {
    let tables = [alone(samples), distinct(samples), combined(samples), hot(samples)];
    let mut figures = tables.concat();
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

fn alone(samples: &Samples) -> Vec<Figure> {
    let figure = |name: String, value: Series, unit| Figure {
        name,
        value,
        unit,
        against: None,
        target: Target::None,
    };
    let physical = TASKS.map(|n| {
        let name = format!("phys({n}): one write of {n} records and fdatasync");
        figure(name, physical(samples, n), "records/s")
    });
    let memory = |load: &'static str, keys: &'static str| {
        TASKS.map(|n| {
            let value = samples.of(&format!("memory {load} {n}"));
            figure(format!("memory, {keys}, {}", tasks(n)), value, RATE)
        })
    };
    [
        physical,
        memory("distinct", "distinct keys"),
        memory("hot", "one key, cas_update"),
    ]
    .concat()
}

/// Records a second, `n` a flush.
fn physical(samples: &Samples, n: usize) -> Series {
    samples.of(&format!("flush {n}")).times(n as f64)
}

fn tasks(count: usize) -> String {
    match count {
        1 => "1 task".to_owned(),
        _ => format!("{count} tasks"),
    }
}

/// A figure of sled with so many tasks, against another of as many.
fn sled(
    samples: &Samples,
    load: &str,
    keys: &str,
    n: usize,
    against: (&str, Series),
    target: Target,
) -> Figure {
    Figure {
        name: format!("sled, {keys}, {}", tasks(n)),
        value: samples.of(&format!("sled {load} {n}")),
        unit: RATE,
        against: Some((against.0.to_owned(), against.1)),
        target,
    }
}

fn distinct(samples: &Samples) -> Vec<Figure> {
    let figure =
        |n, against: (&str, Series), target| sled(samples, "distinct", "distinct keys", n, against, target);
    let targets = [0.5, 0.4, 0.2, 0.12].map(Target::AtLeast);
    let limit = TASKS
        .into_iter()
        .zip(targets)
        .map(|(n, target)| figure(n, (&format!("phys({n})"), physical(samples, n)), target));
    // Ahead of each from 64 tasks on; below, one commit a flush is what the disk allows anybody.
    let peers = PEERS.into_iter().flat_map(|(load, peer)| {
        let target = |n| {
            if n >= 64 {
                Target::AtLeast(1.0)
            } else {
                Target::None
            }
        };
        TASKS.map(|n| figure(n, (peer, samples.of(&format!("{load} {n}"))), target(n)))
    });
    limit.chain(peers).collect()
}

/// One key for all tasks, by the store's queue of updates.
fn combined(samples: &Samples) -> Vec<Figure> {
    let against = |name: &'static str, load: &'static str, targets: [Target; 4]| {
        TASKS.into_iter().zip(targets).map(move |(n, target)| {
            let value = samples.of(&format!("sled {load} {n}"));
            sled(
                samples,
                "combined",
                "one key, Store::update",
                n,
                (name, value),
                target,
            )
        })
    };
    let share = [
        Target::None,
        Target::AtLeast(0.5),
        Target::AtLeast(0.7),
        Target::AtLeast(0.5),
    ];
    let times = [
        Target::None,
        Target::AtLeast(5.0),
        Target::AtLeast(20.0),
        Target::AtLeast(20.0),
    ];
    against("distinct keys", "distinct", share)
        .chain(against("a mutex around get and put", "mutex", times))
        .chain(against("cas_update alone", "hot", times))
        .chain([64, 256].map(|n| p99_of_combined(samples, n)))
        .collect()
}

fn p99_of_combined(samples: &Samples, n: usize) -> Figure {
    let by_mutex = samples.of(&format!("sled mutex {n} p99"));
    Figure {
        name: format!("sled, one key, p99 of Store::update, {}", tasks(n)),
        value: samples.of(&format!("sled combined {n} p99")),
        unit: MILLISECONDS,
        against: Some(("a mutex around get and put".to_owned(), by_mutex)),
        target: Target::AtMost(0.2),
    }
}

/// One key for all tasks, by compare-and-swap alone: what the queue is there to spare.
fn hot(samples: &Samples) -> Vec<Figure> {
    TASKS
        .map(|n| {
            let mutex = samples.of(&format!("sled mutex {n}"));
            let against = ("a mutex around get and put", mutex);
            sled(
                samples,
                "hot",
                "one key, cas_update alone",
                n,
                against,
                Target::None,
            )
        })
        .to_vec()
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
