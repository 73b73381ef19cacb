//! What names a step: the task or run it belongs to, the epoch, its name, and which call of that name it is.

use std::fmt;
use std::str::FromStr;

use dormouse_filesystem::{Digest, RecordId, Segment};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::segment;
use crate::limits::{STEP_KEY_MAX, STEP_NAME_MAX};
use crate::{Subject, TenantId};

/// The name of a step: `[a-z0-9][a-z0-9_.-]{0,62}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepName(String);

/// A text that is no name, or no key, of a step. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStepName {
    /// Not of the alphabet, or too long.
    #[error("the name of a step is 1 to {STEP_NAME_MAX} of a-z 0-9 _ . - and begins with a letter or digit")]
    Name,
    /// Empty, or too long.
    #[error("the key of a step has 1 to {STEP_KEY_MAX} bytes")]
    Key,
}

impl StepName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StepName {
    type Err = InvalidStepName;

    fn from_str(text: &str) -> Result<Self, InvalidStepName> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let begins = text.bytes().next().is_some_and(is_plain);
        let goes_on = text.bytes().all(|byte| is_plain(byte) || b"_.-".contains(&byte));
        if begins && goes_on && text.len() <= STEP_NAME_MAX {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidStepName::Name)
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepName({self})")
    }
}

impl Serialize for StepName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StepName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which call of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepPlace {
    /// The number of the call among those of its name in the attempt, from 1.
    Ordinal(u64),
    /// The call of this key: its digest, since a key is any text.
    Keyed(Digest),
}

impl StepPlace {
    /// The call of this key.
    ///
    /// # Errors
    /// [`InvalidStepName::Key`] for an empty one, and one over [`STEP_KEY_MAX`].
    pub fn keyed(key: &str) -> Result<Self, InvalidStepName> {
        if key.is_empty() || key.len() > STEP_KEY_MAX {
            return Err(InvalidStepName::Key);
        }
        Ok(Self::Keyed(Digest::of(key.as_bytes())))
    }
}

impl fmt::Display for StepPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ordinal(nth) => write!(f, "n{nth:020}"),
            Self::Keyed(digest) => write!(f, "k{digest}"),
        }
    }
}

impl FromStr for StepPlace {
    type Err = InvalidStepName;

    fn from_str(text: &str) -> Result<Self, InvalidStepName> {
        let read = match text.split_at_checked(1) {
            Some(("n", number)) if number.len() == 20 => number.parse().ok().map(Self::Ordinal),
            Some(("k", digest)) => {
                let digest = serde_json::from_value(serde_json::Value::String(digest.to_owned()));
                digest.ok().map(Self::Keyed)
            }
            _ => None,
        };
        read.ok_or(InvalidStepName::Key)
    }
}

/// What names a step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepId {
    /// The task it is a part of; the run itself where it has none.
    pub origin: Subject,
    /// The task's step epoch: raised when all is to be done afresh.
    pub epoch: u32,
    /// Its name.
    pub name: StepName,
    /// Which call of that name.
    pub place: StepPlace,
}

/// What a step hands to whom it asks, so that the same is not done twice there: equal in every attempt, and another for
/// another input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepKey(String);

impl StepKey {
    /// 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StepId {
    /// The key that is derived of it and of the digest of its input, so that no input is answered with what was done for
    /// another: a digest, which says nothing of the tenant or its tasks.
    #[must_use]
    pub fn derived(&self, tenant: &TenantId, input: &Digest) -> StepKey {
        // None of the parts has a slash, so no two names are joined alike.
        StepKey(Digest::of(format!("step/{tenant}/{self}/{input}").as_bytes()).to_string())
    }

    /// What the ids of all steps of this origin begin with.
    #[must_use]
    pub fn of_origin(origin: &Subject) -> Vec<Segment> {
        vec![segment(&origin.id())]
    }

    /// The same of one epoch of it.
    #[must_use]
    pub fn of_epoch(origin: &Subject, epoch: u32) -> Vec<Segment> {
        vec![segment(&origin.id()), Segment::number(u64::from(epoch))]
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}/{}",
            self.origin.id(),
            self.epoch,
            self.name,
            self.place
        )
    }
}

impl RecordId for StepId {
    fn segments(&self) -> Vec<Segment> {
        let mut segments = Self::of_epoch(&self.origin, self.epoch);
        segments.push(segment(self.name.as_str()));
        segments.push(segment(&self.place.to_string()));
        segments
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        let [origin, epoch, name, place] = segments else {
            return None;
        };
        let task = origin.parse().ok().map(Subject::Task);
        let run = || origin.parse().ok().map(Subject::Run);
        Some(Self {
            origin: task.or_else(run)?,
            epoch: epoch.parse().ok()?,
            name: name.parse().ok()?,
            place: place.parse().ok()?,
        })
    }
}
