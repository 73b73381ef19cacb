#![doc = include_str!("../README.md")]

mod detect;

mod log_keys;
mod marker;
mod name;
mod redaction;
mod scrub;
mod scrubbed;

pub use detect::{FormatCounts, Formats};
pub use name::{InvalidName, NAME_MAX, SecretName};
pub use redaction::{InvalidValue, Redaction, Secret, VALUE_MAX, VALUE_MIN};
pub use scrub::{HOLD_MAX, PROVISIONAL_MAX, SET_VALUES_MAX, ScrubStream, Scrubber, SetFull};
pub use scrubbed::{Scrubbed, ScrubbedBytes};
