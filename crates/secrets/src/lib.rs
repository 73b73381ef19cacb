#![doc = include_str!("../README.md")]

mod marker;
mod name;
mod redaction;
mod scrub;
mod scrubbed;

pub use name::{InvalidName, NAME_MAX, SecretName};
pub use redaction::{InvalidValue, Redaction, Secret, VALUE_MAX, VALUE_MIN};
pub use scrub::{SET_VALUES_MAX, ScrubStream, Scrubber, SetFull};
pub use scrubbed::{Scrubbed, ScrubbedBytes};
