//! The detector: takes out credentials that nobody registered, by the shapes that their makers gave them.
//!
//! It works behind the scrubber of the registered values, on runs: a run is what stands between spaces, quotes
//! and brackets, at most [`rules::JWT_MAX`] bytes of it. A run is looked at when it is whole, so cuts between
//! chunks change nothing. Private-key blocks go line by line.

mod encoded;
mod heads;
mod matcher;
mod pem;
mod rules;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use self::stream::Work;

/// Compiles the rules now, where that is not to happen at their first use.
pub(crate) fn prepare() {
    std::sync::LazyLock::force(&matcher::MATCHER);
}

/// What is done about credentials that nobody registered. Registered values are redacted in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Formats {
    /// They are redacted, as `[redacted:~kind]`, and counted.
    #[default]
    Strict,
    /// They are left, and counted.
    OwnOnly,
    /// They are not looked for.
    Off,
}

/// How many credentials of each kind were seen.
pub type FormatCounts = BTreeMap<&'static str, u64>;
