//! Judging a batch: every expectation against one state, before anything is written.

use crate::{Batch, CommitError, Expected, Failed, Key, Version};

/// Compares every expectation of a batch with what is there.
///
/// `version_of` tells the version a key has in the one state the batch is judged against; none when it does not
/// exist. It is asked once for each key of the batch, in the batch's order.
///
/// # Errors
/// `Conflict`, which names each failed key and its actual version.
pub(crate) fn judge(
    batch: &Batch,
    mut version_of: impl FnMut(&Key) -> Option<Version>,
) -> Result<(), CommitError> {
    let failed: Vec<Failed> = batch
        .keys()
        .filter_map(|(key, expected)| {
            let actual = version_of(key);
            (!holds(expected, actual)).then(|| Failed {
                key: key.clone(),
                actual,
            })
        })
        .collect();
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
    use crate::Lane;

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
            .delete(key("present-too"), Version::new(8));
        let judged = judge(&batch, |key| match key.stored() {
            "present" | "present-too" | "stale" => Some(Version::new(8)),
            _ => None,
        });
        let Err(CommitError::Conflict { failed }) = judged else {
            panic!("{judged:?}")
        };
        let named: Vec<_> = failed.iter().map(|f| (f.key.stored(), f.actual)).collect();
        let eight = Some(Version::new(8));
        assert_eq!(named, [("present", eight), ("missing", None), ("stale", eight)]);
    }
}
