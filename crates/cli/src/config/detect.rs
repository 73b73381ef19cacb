//! How pages are judged (`detect.*`).

use dormouse_engine::detect::{Marks, Rules};

use super::Config;
use super::key::{Key, Kind};
use super::table::store;
use crate::bytes::Bounds;

const KIB: u64 = 1024;

/// How much of a page is read.
pub(super) const HTML_MAX: Key = store(
    "detect.html_max",
    Kind::Bytes(Bounds {
        min: 64 * KIB,
        max: 8 * 1024 * KIB,
    }),
    Some("2MiB"),
    "how much of a page is read",
);
/// How much of a page is kept as evidence.
pub(super) const SNIPPET_MAX: Key = store(
    "detect.snippet_max",
    Kind::Bytes(Bounds {
        min: 256,
        max: 64 * KIB,
    }),
    Some("4KiB"),
    "how much of a page is evidence",
);
/// What an empty page is taken for.
pub(super) const EMPTY: Key = store(
    "detect.empty_is_block",
    Kind::Word(&["false", "true"]),
    Some("false"),
    "whether an empty page that was served is a block",
);

/// By what pages are judged.
#[must_use]
pub fn detect_rules(config: &Config) -> Rules {
    let bytes = |path: &str| usize::try_from(config.bytes(path)).unwrap_or(usize::MAX);
    Rules {
        html_max: bytes("detect.html_max"),
        snippet_max: bytes("detect.snippet_max"),
        empty_is_block: config.text("detect.empty_is_block") == Some("true"),
        marks: Marks::default(),
    }
}
