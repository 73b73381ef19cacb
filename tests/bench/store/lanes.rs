//! What a lane feels of another that floods the store: the p99 of its commits, beside those of an idle store.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Lane, RecordStore, Segment};
use dormouse_tests::measure::{Figure, Samples, Target};

use crate::context::{self, Context};
use crate::disk::Disk;
use crate::load::{self, Load};

/// Commits of the flood that wait at any moment: nearly the whole queue.
const FLOOD: usize = 4000;
/// Tasks of the quiet lane.
const QUIET: usize = 8;
const TIME: u64 = 1000;

/// On both disks.
pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (disk, name) in [(Disk::Own, "own disk"), (Disk::Slow, "2 ms disk")] {
        let store = context::sled(&context.folder(&format!("lanes-{disk:?}")), disk).await;
        let mut samples = Samples::default();
        for _ in 0..context.rounds {
            let time = context.time(TIME);
            load::push(&mut samples, "unloaded", &quiet(&store, time).await);
            load::push(&mut samples, "beside", &beside_a_flood(&store, time).await);
        }
        figures.push(Figure {
            name: format!("sled, {name}, p99 of {QUIET} tasks beside a lane with {FLOOD} commits waiting"),
            value: samples.of("beside p99"),
            unit: "ms",
            against: Some(("unloaded".to_owned(), samples.of("unloaded p99"))),
            target: Target::AtMost(2.0),
        });
    }
    figures
}

async fn quiet(store: &Arc<dyn RecordStore>, time: Duration) -> Load {
    load::in_lane(store, &lane("quiet"), QUIET, time).await
}

/// The flood's tasks have a thread and a runtime of their own: what the quiet lane waits for is the store, not a turn
/// among four thousand tasks.
async fn beside_a_flood(store: &Arc<dyn RecordStore>, time: Duration) -> Load {
    // It stands before the quiet lane comes, and goes on until it has gone.
    const HEAD_START: Duration = Duration::from_millis(200);
    let flooding = {
        let store = Arc::clone(store);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            let time = time + 2 * HEAD_START;
            runtime.block_on(load::in_lane(&store, &lane("flood"), FLOOD, time))
        })
    };
    tokio::time::sleep(HEAD_START).await;
    let load = quiet(store, time).await;
    tokio::task::spawn_blocking(|| flooding.join())
        .await
        .expect("waiting does not panic")
        .expect("the flood does not panic");
    load
}

fn lane(name: &str) -> Lane {
    Lane::Tenant(Segment::parse(name).expect("a short plain name"))
}
