//! Commits on a PostgreSQL server beside pgbench on the same server, in turns.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Postgres, PostgresOptions, RecordStore, Store};
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::time::Instant;

use crate::commit_figures::tasks;
use crate::context::{self, Context};
use crate::load;
use crate::pgbench::{Pgbench, Script};

/// Names the server, and the program to hold it against: `cargo xtask bench` starts one and finds the other.
const URL: &str = "DORMOUSE_BENCH_POSTGRES";
const TIME: u64 = 2000;
const SCHEMA: &str = "bench";
const DISTINCT: [(usize, f64); 4] = [(1, 0.7), (8, 0.7), (32, 1.0), (128, 1.0)];
/// With what one key is held against pgbench's `UPDATE` of one row. Against plain compare-and-set it is 5 for each.
const HOT: [(usize, f64); 3] = [(8, 0.7), (32, 1.0), (128, 1.0)];
/// Processes that append to one log, and tasks in each.
const PROCESSES: usize = 4;
const APPENDERS: usize = 16;

/// A server of this run.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
}

impl Server {
    /// None is said, and its figures are left out.
    pub(crate) fn find() -> Option<Self> {
        let url = std::env::var(URL).ok();
        if url.is_none() {
            eprintln!("SKIPPED: {URL} names no PostgreSQL server");
        }
        url.map(|url| Self { url })
    }

    pub(crate) async fn open(&self, schema: &str) -> Arc<dyn RecordStore> {
        let mut options = PostgresOptions::new(context::now(), 0);
        schema.clone_into(&mut options.schema);
        let opened = Postgres::open(&self.url, options).await;
        Arc::new(opened.expect("the server takes a schema of its own"))
    }

    pub(crate) async fn connect(&self) -> tokio_postgres::Client {
        let connected = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await;
        let (client, connection) = connected.expect("the server answers");
        tokio::spawn(connection);
        client
    }
}

/// The shortest exchange with the server.
pub(crate) async fn round_trip(client: &tokio_postgres::Client) -> Duration {
    let mut trips = Vec::new();
    for _ in 0..50 {
        let before = Instant::now();
        client.batch_execute("").await.expect("the server answers");
        trips.push(before.elapsed());
    }
    trips.sort();
    trips[trips.len() / 2]
}

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let Some(server) = Server::find() else {
        return Vec::new();
    };
    let Some(pgbench) = Pgbench::find(&server) else {
        return Vec::new();
    };
    let store = server.open(SCHEMA).await;
    pgbench.prepare(&server.connect().await).await;
    let mut samples = Samples::default();
    let time = context.time(TIME);
    for round in 1..=context.rounds {
        eprintln!("  round {round} of {}", context.rounds);
        for (n, _) in DISTINCT {
            let load = load::distinct(&store, n, time).await;
            load::push(&mut samples, &format!("distinct {n}"), &load);
            samples.push(format!("pgbench {n}"), pgbench.rate(Script::Distinct, n, time));
        }
        let combined = Store::new(Arc::clone(&store), 0);
        for (n, _) in HOT {
            load::push(
                &mut samples,
                &format!("hot {n}"),
                &load::hot_combined(&combined, n, time).await,
            );
            load::push(
                &mut samples,
                &format!("bare {n}"),
                &load::hot(&store, n, time).await,
            );
            samples.push(format!("pgbench hot {n}"), pgbench.rate(Script::OneRow, n, time));
        }
        samples.push("log", append_in_processes(&server, time));
        let appended = pgbench.rate(Script::Insert, PROCESSES * APPENDERS, time);
        samples.push("pgbench log", appended);
    }
    figures(&samples)
}

fn figures(samples: &Samples) -> Vec<Figure> {
    let figure = |name: String, value: &str, (against, other): (&str, &str), least| Figure {
        name,
        value: samples.of(value),
        unit: "commits/s",
        against: Some((against.to_owned(), samples.of(other))),
        target: Target::AtLeast(least),
    };
    let mut figures: Vec<Figure> = DISTINCT
        .map(|(n, least)| {
            figure(
                format!("postgres, distinct keys, {}", tasks(n)),
                &format!("distinct {n}"),
                (
                    "pgbench, the same statements, as many clients",
                    &format!("pgbench {n}"),
                ),
                least,
            )
        })
        .to_vec();
    for (n, least) in HOT {
        let name = format!("postgres, one key, Store::update, {}", tasks(n));
        let value = format!("hot {n}");
        let bare = format!("bare {n}");
        let pgbench = format!("pgbench hot {n}");
        figures.push(figure(name.clone(), &value, ("cas_update alone", &bare), 5.0));
        figures.push(figure(
            name,
            &value,
            ("pgbench, UPDATE of one row", &pgbench),
            least,
        ));
    }
    figures.push(figure(
        format!("postgres, one log, {PROCESSES} processes × {APPENDERS} tasks"),
        "log",
        ("pgbench, INSERT, as many clients", "pgbench log"),
        0.5,
    ));
    figures
}

/// Entries a second of processes that append at once.
fn append_in_processes(server: &Server, time: Duration) -> f64 {
    let milliseconds = time.as_millis().to_string();
    let children: Vec<Child> = (0..PROCESSES)
        .map(|_| {
            let mut command = Command::new(std::env::current_exe().expect("it runs from a file"));
            command
                .args(["--child", "append", &milliseconds])
                .env(URL, &server.url);
            command
                .stdout(Stdio::piped())
                .spawn()
                .expect("it can be started again")
        })
        .collect();
    let rates = children.into_iter().map(|child| {
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout);
        said.trim().parse::<f64>().expect("it says a rate")
    });
    rates.sum()
}

/// One of those processes.
pub(crate) async fn append_child(time: Duration) {
    let server = Server::find().expect("the parent names it");
    let store = server.open(SCHEMA).await;
    println!("{}", load::one_log(&store, APPENDERS, time).await.rate());
}
