//! Examples and exit codes: what `--help` says behind the flags.

macro_rules! pages {
    ($($name:ident $codes:expr => $first:literal, $second:literal, $third:literal;)*) => {$(
        pub(in crate::args) fn $name() -> String {
            super::after([$first, $second, $third], $codes)
        }
    )*};
}

mod kept;
mod work;

pub(super) use kept::*;
pub(super) use work::*;

use crate::exit;

/// Three examples and the exit codes a command can end with.
fn after(examples: [&str; 3], codes: &[u8]) -> String {
    let mut text = String::from("Examples:\n");
    for example in examples {
        text.push_str(&format!("  {example}\n"));
    }
    text.push_str("\nExit codes:\n");
    text.push_str(&table(|code| codes.contains(&code)));
    text.truncate(text.trim_end().len());
    text
}

pub(in crate::args) fn table(is_shown: impl Fn(u8) -> bool) -> String {
    let rows = exit::TABLE.iter().filter(|(exit, _)| is_shown(exit.code()));
    rows.map(|(exit, meaning)| format!("  {:>3}  {meaning}\n", exit.code()))
        .collect()
}

/// Every command that speaks to a store.
const COMMON: &[u8] = &[0, 1, 2, 3, 4, 6, 7, 8, 9];
/// A list or a stream of what is there.
const LIST: &[u8] = &[0, 1, 2, 4, 6];
/// A command that speaks to the endpoint of its run.
const INSIDE: &[u8] = &[0, 2, 3, 4, 6, 7, 9];
/// A command that needs no store.
const LOCAL: &[u8] = &[0, 2];
