//! The system's index entries are read with the system's namespace only.
use dormouse_filesystem::{Namespace, Record, SystemIndex, Tenant};

fn read<R: Record>() -> fn(&Namespace<Tenant>) -> SystemIndex<R> {
    SystemIndex::new
}

fn main() {}
