//! `cargo xtask bench secrets [SECTION…]`: the secrets beside what the same machine can do, in the same run.
//!
//! Every commit waits for `fdatasync`. What is compared is measured in turns, round by round.

// The spellings of a value are the crate's own affair; aho-corasick alone is to look for the same.
#[path = "../../../crates/secrets/src/scrub/forms/mod.rs"]
#[allow(dead_code, reason = "the bench asks for the forms alone")]
mod forms;
mod house;
mod many;
#[path = "../../../crates/secrets/src/scrub/parts.rs"]
mod parts;
mod rekeys;
mod scrubbing;
mod texts;
mod unlocks;
mod verbs;

#[path = "../../../crates/secrets/src/log_keys.rs"]
#[allow(dead_code, reason = "the bench asks for the forms alone")]
mod log_keys;

use std::path::Path;
use std::process::ExitCode;

use dormouse_secrets::VALUE_MIN;
use dormouse_tests::measure::{Arguments, Bench, Context, Figure, Heading};

const SCRUBBING: Heading = Heading {
    name: "scrub",
    title: "Scrubbing, one core",
};
const VERBS: Heading = Heading {
    name: "verbs",
    title: "Put, lease and use, on sled",
};
const MANY: Heading = Heading {
    name: "many",
    title: "The set of a run, beside few and many agents",
};
const UNLOCKS: Heading = Heading {
    name: "unlock",
    title: "Unlocking",
};
const REKEYS: Heading = Heading {
    name: "rekey",
    title: "Rotating and rekeying",
};

const BENCH: Bench = Bench {
    name: "secrets",
    legend: "",
    target_tmpdir: env!("CARGO_TARGET_TMPDIR"),
    sections: &[SCRUBBING, VERBS, MANY, UNLOCKS, REKEYS],
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    BENCH.run(&words, flushes, section)
}

async fn section(folder: &Path, asked: &Arguments, heading: Heading) -> Vec<Figure> {
    let context = Context::new(folder, asked);
    match heading {
        SCRUBBING => scrubbing::run(&context),
        VERBS => verbs::run(&context).await,
        MANY => many::run(&context).await,
        UNLOCKS => unlocks::run(&context).await,
        _ => rekeys::run(&context).await,
    }
}

/// Flushes of 300 bytes a second, into a file that was written before.
fn flushes(folder: &Path) -> f64 {
    use std::os::unix::fs::FileExt;
    const COUNT: u32 = 500;
    let file = std::fs::File::create(folder.join("flushes")).expect("the folder can be written");
    file.write_all_at(&vec![0; 300 * COUNT as usize], 0)
        .and_then(|()| file.sync_all())
        .expect("the disk has room");
    let start = tokio::time::Instant::now();
    for at in 0..COUNT {
        file.write_all_at(&[1; 300], u64::from(at) * 300)
            .and_then(|()| file.sync_data())
            .expect("the disk can be written");
    }
    f64::from(COUNT) / start.elapsed().as_secs_f64()
}
