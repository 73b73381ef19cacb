//! What the tests of the local store share.

use dormouse_filesystem::{Local, LocalOptions};

use super::NOW;
pub(crate) use crate::embedded_kit::*;

place!(Local, LocalOptions, NOW);
