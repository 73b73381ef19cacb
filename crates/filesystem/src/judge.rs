//! Judging a batch: every expectation against one state, before anything is written.

use crate::{Batch, CommitError, Expected, Failed, Key, Stream, Version};

/// Compares every expectation of a batch with what is there.
///
/// `version_of` tells the version a key has in the one state the batch is judged against; none when it does not
/// exist. It is asked once for each key of the batch, in the batch's order. `incarnation_of` tells that of a log, and is
/// then asked once for each log that the batch begins.
///
/// # Errors
/// `Conflict`, which names each failed key and its actual version, behind them each log that is there already.
pub(crate) fn judge(
    batch: &Batch,
    mut version_of: impl FnMut(&Key) -> Option<Version>,
    mut incarnation_of: impl FnMut(&Stream) -> Option<Version>,
) -> Result<(), CommitError> {
    let unless = |holds: bool, key: &Key, actual| {
        (!holds).then(|| Failed {
            key: key.clone(),
            actual,
        })
    };
    let records = batch.keys().filter_map(|(key, expected)| {
        let actual = version_of(key);
        unless(holds(expected, actual), key, actual)
    });
    let mut failed: Vec<Failed> = records.collect();
    failed.extend(batch.begins.iter().filter_map(|begin| {
        let actual = incarnation_of(&begin.log);
        unless(actual.is_none(), begin.log.key(), actual)
    }));
    if failed.is_empty() {
        Ok(())
    } else {
        Err(CommitError::Conflict { failed })
    }
}

fn holds(expected: Expected, actual: Option<Version>) -> bool {
    match expected {
        Expected::Absent => actual.is_none(),
        Expected::At(version) => actual == Some(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lane, Position};

    fn key(name: &str) -> Key {
        Key::parse(name).unwrap()
    }

    #[test]
    fn every_expectation_that_fails_is_named_with_what_is_there() {
        let mut batch = Batch::new(Lane::System);
        batch
            .check(key("absent"), Expected::Absent)
            .check(key("present"), Expected::Absent)
            .check(key("missing"), Expected::At(Version::new(7)))
            .delete(key("stale"), Version::new(7))
            .delete(key("present-too"), Version::new(8))
            .begin(Stream::new(key("absent")), Position::FIRST, None)
            .begin(Stream::new(key("there")), Position::FIRST, None);
        let version_of = |key: &Key| match key.stored() {
            "present" | "present-too" | "stale" => Some(Version::new(8)),
            _ => None,
        };
        let judged = judge(&batch, version_of, |log| {
            (log.key().stored() == "there").then_some(Version::new(5))
        });
        let Err(CommitError::Conflict { failed }) = judged else {
            panic!("{judged:?}")
        };
        let named: Vec<_> = failed.iter().map(|f| (f.key.stored(), f.actual)).collect();
        let eight = Some(Version::new(8));
        let five = Some(Version::new(5));
        assert_eq!(
            named,
            [
                ("present", eight),
                ("missing", None),
                ("stale", eight),
                ("there", five)
            ]
        );
    }
}
