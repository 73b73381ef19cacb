//! The local store and workspace folders beside what replaces a file safely: a temporary one, its sync, a rename, and
//! the folder's sync.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::workspace::{Workspace, WorkspaceOptions};
use dormouse_filesystem::{Local, LocalOptions, RecordStore};
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::time::Instant;

use crate::context::{self, Context};
use crate::load::{self, Load};

const TASKS: usize = 64;
const TIME: u64 = 1000;
const FILE_BYTES: usize = 4096;

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let folder = context.folder("files");
    let local = Local::open(&folder.join("local"), LocalOptions::new(context::now())).await;
    let local: Arc<dyn RecordStore> = Arc::new(local.expect("a store opens in an empty folder"));
    let place = context.folder("files/workspace");
    let workspace = Workspace::open(&place, WorkspaceOptions::new(context::now())).await;
    let workspace = workspace.expect("the folder was made");
    let plain = context.folder("files/plain");
    let mut samples = Samples::default();
    for _ in 0..context.rounds {
        let time = context.time(TIME);
        load::push(&mut samples, "local", &load::distinct(&local, TASKS, time).await);
        load::push(
            &mut samples,
            "files",
            &replace_files(&plain, TASKS, load::record, time),
        );
        load::push(&mut samples, "workspace", &replace_in(&workspace, time).await);
        load::push(&mut samples, "file", &replace_files(&plain, 1, content, time));
    }
    let against = |name| Some(("temp, sync, rename, folder sync".to_owned(), samples.of(name)));
    vec![
        Figure {
            name: "local, distinct keys, 64 tasks".to_owned(),
            value: samples.of("local"),
            unit: "commits/s",
            against: against("files"),
            target: Target::AtLeast(10.0),
        },
        Figure {
            name: "workspace, replace of 4 KiB".to_owned(),
            value: samples.of("workspace p50"),
            unit: "ms",
            against: against("file p50"),
            target: Target::AtMost(1.2),
        },
    ]
}

/// 4 KiB that differ from the last.
fn content() -> Vec<u8> {
    let mut bytes = load::record().to_vec();
    bytes.resize(FILE_BYTES, b'.');
    bytes
}

/// Replaces one file again and again.
async fn replace_in(workspace: &Workspace, time: Duration) -> Load {
    let path = Path::new("MEMORY.md");
    let mut digest = match workspace.read(path, FILE_BYTES as u64).await {
        Ok(read) => read.digest,
        Err(_) => workspace.create(path, content()).await.expect("there is none"),
    };
    let start = Instant::now();
    let mut taken = Vec::new();
    while start.elapsed() < time {
        let before = Instant::now();
        let replaced = workspace.replace(path, content(), digest).await;
        digest = replaced.expect("nobody else writes it");
        taken.push(before.elapsed());
    }
    Load {
        taken,
        time: start.elapsed(),
    }
}

/// From so many threads, each a file of its own.
fn replace_files<B: AsRef<[u8]>>(folder: &Path, threads: usize, content: fn() -> B, time: Duration) -> Load {
    let start = Instant::now();
    let write = &|thread: usize| {
        let mut taken = Vec::new();
        while start.elapsed() < time {
            let before = Instant::now();
            replace(folder, &format!("{thread}"), content().as_ref()).expect("the disk can be written");
            taken.push(before.elapsed());
        }
        taken
    };
    let taken = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || write(thread)))
            .collect();
        let taken = threads
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"));
        taken.collect::<Vec<_>>().concat()
    });
    Load {
        taken,
        time: start.elapsed(),
    }
}

fn replace(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.tmp"));
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    File::open(folder)?.sync_all()
}
