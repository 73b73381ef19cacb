//! Export of many records to a file, and import from it, beside a copy of its bytes.

use std::path::Path;
use std::time::Duration;

use dormouse_filesystem::{Deadline, Prefix, RecordStore, portable};
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::context::{self, Context};
use crate::disk::Disk;
use crate::fill;

/// Writing a million records takes its time: fewer rounds than elsewhere.
const ROUNDS_MAX: usize = 3;

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let folder = context.folder("portable");
    let count = context.million();
    let store = context::sled(&folder.join("store"), Disk::Own).await;
    fill::fill(&store, count).await;
    let mut samples = Samples::default();
    for round in 0..context.rounds.min(ROUNDS_MAX) {
        let path = folder.join("exported");
        samples.push("export", export(&*store, &path).await);
        samples.push("copy", copy(&path, &folder.join("copied")));
        let imported = folder.join(format!("imported-{round}"));
        let new = context::sled(&imported, Disk::Own).await;
        samples.push("import", import(&path, &*new).await);
        let closed = new.close(Deadline::after(Duration::from_secs(60))).await;
        closed.expect("nothing is on the way");
        drop(new);
        std::fs::remove_dir_all(&imported).expect("it was closed");
    }
    let figure = |name, value, least| Figure {
        name: format!("sled, {name} of {count} records"),
        value: samples.of(value),
        unit: "MiB/s",
        against: Some(("a copy of the file".to_owned(), samples.of("copy"))),
        target: Target::AtLeast(least),
    };
    vec![figure("export", "export", 0.5), figure("import", "import", 0.2)]
}

/// MiB of the file a second, synced at the end.
async fn export(store: &dyn RecordStore, path: &Path) -> f64 {
    let start = Instant::now();
    let mut file = File::create(path).await.expect("the disk has room");
    let written = portable::export(store, &Prefix::root(), &mut file, context::now()).await;
    written.expect("the store is whole");
    file.flush().await.expect("the disk has room");
    file.sync_all().await.expect("the disk can be written");
    mib(path) / start.elapsed().as_secs_f64()
}

/// MiB of the file a second, into a store that is new.
async fn import(path: &Path, store: &dyn RecordStore) -> f64 {
    let start = Instant::now();
    let mut file = File::open(path).await.expect("it was written");
    let read = portable::import(&mut file, store).await;
    read.expect("the file is whole and the store empty");
    mib(path) / start.elapsed().as_secs_f64()
}

fn mib(path: &Path) -> f64 {
    let bytes = std::fs::metadata(path).expect("it was written").len();
    bytes as f64 / (1024.0 * 1024.0)
}

fn copy(from: &Path, to: &Path) -> f64 {
    let start = Instant::now();
    std::fs::copy(from, to).expect("the disk has room");
    let copied = std::fs::File::open(to).expect("it was copied");
    copied.sync_all().expect("the disk can be written");
    mib(to) / start.elapsed().as_secs_f64()
}
