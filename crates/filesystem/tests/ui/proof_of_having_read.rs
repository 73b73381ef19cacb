//! Only a read or a commit makes the proof that a replacement asks for.
use dormouse_filesystem::{Key, Version, Versioned};

fn forged<R>(record: R, key: Key) -> Versioned<R> {
    Versioned { record, version: Version::new(7), key }
}

fn main() {}
