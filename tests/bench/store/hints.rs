//! From a commit to its reader: how long after the commit began to be told a reader that waits has the hint.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Position, Prefix, RecordStore, Stream};
use dormouse_tests::measure::{Figure, Samples, Series, Target};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::context::{self, Context};
use crate::disk::Disk;
use crate::load::{self, Load};
use crate::postgres::{self, Server};

const COUNT: usize = 200;
/// The default of a store on a server.
const NOTIFY_EVERY_MS: f64 = 10.0;

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let count = if context.is_quick { COUNT / 4 } else { COUNT };
    let sled = context::sled(&context.folder("hints"), Disk::Own).await;
    let mut samples = Samples::default();
    for _ in 0..context.rounds {
        samples.push("in process", measure(&sled, &sled, count).await.within(0.5));
    }
    let one = (0..context.rounds).fold(Series::default(), |mut series, _| {
        series.push(1.0);
        series
    });
    let mut figures = vec![Figure {
        name: "sled, from the answer to the reader in the same process".to_owned(),
        value: samples.of("in process"),
        unit: "ms",
        against: Some(("1 ms".to_owned(), one)),
        target: Target::AtMost(1.0),
    }];
    if let Some(server) = Server::find() {
        figures.push(across(context, &server, count).await);
    }
    figures
}

/// Two stores that share nothing but the server.
async fn across(context: &Context, server: &Server, count: usize) -> Figure {
    let writer = server.open("bench_hints").await;
    let reader = server.open("bench_hints").await;
    let client = server.connect().await;
    let mut samples = Samples::default();
    for _ in 0..context.rounds {
        samples.push("across", measure(&writer, &reader, count).await.within(0.5));
        let trip = postgres::round_trip(&client).await;
        samples.push("allowed", NOTIFY_EVERY_MS + 2.0 * trip.as_secs_f64() * 1e3);
    }
    Figure {
        name: "postgres, from the answer to the reader in another store".to_owned(),
        value: samples.of("across"),
        unit: "ms",
        against: Some(("notify_every + 2 round trips".to_owned(), samples.of("allowed"))),
        target: Target::AtMost(1.0),
    }
}

/// From the answer to the writer until a reader that was hinted has read the entry.
async fn measure(writer: &Arc<dyn RecordStore>, reader: &Arc<dyn RecordStore>, count: usize) -> Load {
    let log = Stream::new(load::key("hinted"));
    let mut watch = reader
        .watch(&Prefix::parse("bench").expect("a short plain name"))
        .await
        .expect("it can be watched");
    let next = writer.head(&log).await.expect("the store can be read").next;
    let mut after = Position::new(next.get() - 1);
    let (seen, mut was_seen) = mpsc::unbounded_channel();
    let reading = {
        let (reader, log) = (Arc::clone(reader), log.clone());
        tokio::spawn(async move {
            // Ends with the watch or the measurement.
            while watch.next().await.is_some() {
                let entries = reader.tail(&log, after, 100).await.unwrap_or_default();
                let Some(last) = entries.last() else { continue };
                after = last.position;
                if seen.send(Instant::now()).is_err() {
                    return;
                }
            }
        })
    };
    let mut taken = Vec::new();
    let start = Instant::now();
    for _ in 0..count {
        load::append(&**writer, &log).await;
        let told = Instant::now();
        let seen = was_seen.recv().await.expect("the reader goes on");
        taken.push(seen.saturating_duration_since(told));
        // Away from the last notification: commits that are far apart are what a reader waits for.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    reading.abort();
    Load {
        taken,
        time: start.elapsed(),
    }
}
