//! The fuzz targets, over the inputs that are kept and over some thousand changed ones. `cargo xtask fuzz` finds more.

#![allow(clippy::print_stdout, reason = "seeds are said")]

use std::path::Path;

use dormouse_filesystem::contract::fuzz::{TARGETS, replay};
use rand::TryRng;
use rand::rngs::SysRng;

/// How many changed inputs.
const CHANGED: usize = 3000;

fn check(name: &str) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let seed = SysRng.try_next_u64().unwrap();
    println!("seed {seed}");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    replay(name, *target, &corpus.join(name), CHANGED, seed);
}

macro_rules! targets {
    ($($(#[$attribute:meta])* $name:ident)+) => {
        $(
            $(#[$attribute])*
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )+

        #[test]
        fn every_target_is_run_here() {
            let here = [$($(#[$attribute])* stringify!($name)),+];
            let all: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(here.as_slice(), all);
        }
    };
}

targets! {
    #[cfg(any(feature = "sled", feature = "local"))]
    checkpoints
    exports
    #[cfg(any(feature = "sled", feature = "local"))]
    frames
    keys
    #[cfg(feature = "local")]
    log_parts
    operations
    paths
    #[cfg(feature = "local")]
    record_files
    rows
    #[cfg(any(feature = "sled", feature = "local"))]
    segments
}
