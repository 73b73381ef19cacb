//! Which filesystem a store would lie on, and what a flush means there.

use std::io;
use std::path::Path;

use crate::capability::Durability;

/// What a flush means on a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It survives the loss of power.
    Durable,
    /// It lies in memory: it survives the process only.
    Memory,
    /// Locks or flushes of this one are not to be relied on.
    Refused(&'static str),
}

impl Kind {
    /// What an acknowledged commit survives on it.
    pub(crate) fn durability(self) -> Durability {
        match self {
            Self::Durable => Durability::PowerLoss,
            Self::Memory | Self::Refused(_) => Durability::ProcessCrash,
        }
    }
}

/// The kind of the filesystem that holds a path, or would: of its nearest ancestor that exists.
pub(crate) fn kind_of(path: &Path) -> io::Result<Kind> {
    let absolute = std::path::absolute(path)?;
    let there = absolute.ancestors().find(|ancestor| ancestor.exists());
    magic_of(there.unwrap_or(Path::new("/"))).map(of_magic)
}

#[cfg(target_os = "linux")]
fn magic_of(path: &Path) -> io::Result<u64> {
    // The field's type differs between architectures; the numbers fit 32 bits.
    Ok(rustix::fs::statfs(path)?.f_type as u64 & 0xffff_ffff)
}

/// Elsewhere the type is not told in numbers that mean the same everywhere; nothing is refused by it.
#[cfg(not(target_os = "linux"))]
fn magic_of(_path: &Path) -> io::Result<u64> {
    Ok(0)
}

/// From statfs(2).
fn of_magic(magic: u64) -> Kind {
    match magic {
        0x0102_1994 | 0x8584_58f6 => Kind::Memory,
        0x6969 => Kind::Refused("nfs"),
        0x517b | 0xfe53_4d42 | 0xff53_4d42 => Kind::Refused("smb"),
        0x0102_1997 => Kind::Refused("9p"),
        0x00c3_6400 => Kind::Refused("ceph"),
        0x5346_414f | 0x6b41_4653 => Kind::Refused("afs"),
        0x0bd0_0bd0 => Kind::Refused("lustre"),
        0x6573_5546 => Kind::Refused("fuse"),
        _ => Kind::Durable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_filesystems_are_refused_by_type_and_memory_is_told_apart() {
        let refused = [
            0x6969,
            0x517b,
            0xfe53_4d42,
            0xff53_4d42,
            0x0102_1997,
            0x00c3_6400,
            0x5346_414f,
            0x6b41_4653,
            0x0bd0_0bd0,
            0x6573_5546,
        ];
        for magic in refused {
            assert!(matches!(of_magic(magic), Kind::Refused(_)), "{magic:x}");
        }
        assert_eq!(
            [of_magic(0x0102_1994), of_magic(0xef53)],
            [Kind::Memory, Kind::Durable]
        );
    }
}
