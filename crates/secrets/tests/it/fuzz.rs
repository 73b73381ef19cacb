//! The fuzz targets, over the inputs that are kept and over some hundred changed ones. `cargo xtask fuzz` finds more.

#![allow(clippy::print_stdout, reason = "seeds are said")]

use std::path::Path;

use dormouse_filesystem::contract::fuzz::replay;
use dormouse_secrets::fuzz::TARGETS;
use rand::TryRng;
use rand::rngs::SysRng;

/// How many changed inputs.
const CHANGED: usize = 300;

#[test]
fn no_kept_input_and_no_changed_one_finds_anything() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in TARGETS {
        let seed = SysRng.try_next_u64().unwrap();
        println!("{name}, seed {seed}");
        replay(name, target, &corpus.join(name), CHANGED, seed);
    }
}
