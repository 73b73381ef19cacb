//! What the tests of the sled store share.

use dormouse_filesystem::{Lane, Segment, Sled, SledOptions};

use super::NOW;
pub(crate) use crate::embedded_kit::*;

place!(Sled, SledOptions, NOW);

impl Place {
    /// The trees of the index, while nobody has the store open.
    pub(crate) fn trees(&self) -> ::sled::Db {
        let config = ::sled::Config::new().path(self.path().join("index"));
        config.use_compression(false).open().unwrap()
    }
}

pub(crate) fn lane(name: &str) -> Lane {
    Lane::Tenant(Segment::parse(name).unwrap())
}
