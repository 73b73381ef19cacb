//! Where records and logs lie in the store's folder. Pure functions over names.
//!
//! `=` is in no segment, so the record `a` (`a=.rec`), the log `a` (`a=/`) and the folder `a/` never meet.

use crate::Key;

/// The folder of records.
pub(super) const RECORDS: &str = "records";
/// The folder of logs.
pub(super) const LOGS: &str = "logs";
/// What the name of a record's file ends with.
const RECORD: &str = "=.rec";
/// What the name of a log's folder ends with.
const LOG: &str = "=";
/// What the name of a part of a log ends with.
const PART: &str = ".log";
/// What the name of a file being made ends with.
const TEMPORARY: &str = ".tmp";

/// What a name in one of the folders is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// The file of the record of this last segment, or the folder of such a log.
    Item(&'a str),
    /// A file that was being made.
    Temporary,
    /// A folder of more, or something that people put there.
    Other,
}

/// What a name below `records` is.
pub(super) fn record_named(name: &str) -> Named<'_> {
    named(name, RECORD)
}

/// What a name below `logs` is.
pub(super) fn log_named(name: &str) -> Named<'_> {
    named(name, LOG)
}

fn named<'a>(name: &'a str, end: &str) -> Named<'a> {
    match name.strip_suffix(end) {
        Some(segment) => Named::Item(segment),
        None if is_temporary(name) => Named::Temporary,
        None => Named::Other,
    }
}

/// Whether a file was being made: a segment has no `=`, so no name of a record or folder is taken for one.
pub(super) fn is_temporary(name: &str) -> bool {
    name.contains('=') && name.ends_with(TEMPORARY)
}

/// The file of a record, by its key's stored form.
pub(super) fn record(key: &str) -> String {
    format!("{RECORDS}/{}{RECORD}", key.replace('!', "/"))
}

/// The file that a record is made under.
pub(super) fn record_temporary(key: &str, version: u64) -> String {
    format!("{RECORDS}/{}=.{version}{TEMPORARY}", key.replace('!', "/"))
}

/// Where the bytes of a file go that cannot be read and must make way for a record of this version.
pub(super) fn record_kept(key: &str, version: u64) -> String {
    format!("{RECORDS}/{}=.{version}.kept", key.replace('!', "/"))
}

/// The folder of a log, by its stored form.
pub(super) fn log(log: &str) -> String {
    format!("{LOGS}/{}{LOG}", log.replace('!', "/"))
}

/// The part of a log that begins at a position.
pub(super) fn part(log_name: &str, first: u64) -> String {
    format!("{}/{first:020}{PART}", log(log_name))
}

/// The file that a part of a log is made under.
pub(super) fn part_temporary(log_name: &str, first: u64) -> String {
    format!("{}/{first:020}={TEMPORARY}", log(log_name))
}

/// The first position in the name of a part; none for a file that is none.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(PART)?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The folder that a file or folder is in.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The stored form of a segment below others; none when it is no key.
pub(super) fn below(above: &str, segment: &str) -> Option<String> {
    let stored = if above.is_empty() {
        segment.to_owned()
    } else {
        format!("{above}!{segment}")
    };
    Key::from_stored(&stored).is_ok().then_some(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_a_log_and_a_folder_of_one_name_never_meet() {
        let names = [record("a"), log("a"), record("a!b"), part("a!b", 7)];
        assert_eq!(
            names,
            [
                "records/a=.rec",
                "logs/a=",
                "records/a/b=.rec",
                "logs/a/b=/00000000000000000007.log"
            ]
        );
        assert_eq!(record_named("a=.rec"), Named::Item("a"));
        assert_eq!(record_named("a=.12.tmp"), Named::Temporary);
        assert_eq!(record_named("a=.12.kept"), Named::Other);
        assert_eq!(record_named("notes.tmp"), Named::Other);
        assert_eq!(log_named("a="), Named::Item("a"));
        assert_eq!(first_of("00000000000000000007.log"), Some(7));
        assert_eq!(first_of("7.log"), None);
    }
}
