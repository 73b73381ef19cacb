//! A sum of the index's files, so that after a clean end they are believed only as they were left.
//!
//! Sled recovers from damage to its file by forgetting, without a word. Against damage, not against attackers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes summed as one; pieces are summed side by side.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// Most threads that sum.
const THREADS_MAX: usize = 4;

/// A piece of a file.
#[derive(Debug)]
struct Piece {
    path: PathBuf,
    at: u64,
    len: u64,
}

/// The sum of all files in a folder, their names and lengths included. Never 0.
pub(super) fn of(folder: &Path) -> io::Result<u64> {
    let mut pieces = Vec::new();
    find(folder, &mut pieces)?;
    pieces.sort_by(|a, b| (&a.path, a.at).cmp(&(&b.path, b.at)));
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS_MAX);
    let share = pieces.len().div_ceil(threads).max(1);
    let sums = std::thread::scope(|scope| {
        let summing: Vec<_> = pieces
            .chunks(share)
            .map(|pieces| scope.spawn(|| pieces.iter().map(sum_of).collect::<io::Result<Vec<u32>>>()))
            .collect();
        let sums = summing.into_iter().map(|summing| {
            summing
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a sum panicked")))
        });
        sums.collect::<io::Result<Vec<_>>>()
    })?;
    let mut all = 0xcbf2_9ce4_8422_2325_u64;
    for (piece, sum) in pieces.iter().zip(sums.into_iter().flatten()) {
        let name = piece.path.strip_prefix(folder).unwrap_or(&piece.path);
        let name = crc32c::crc32c(name.as_os_str().as_encoded_bytes());
        for number in [u64::from(name), piece.at, piece.len, u64::from(sum)] {
            all = (all ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            all ^= all >> 29;
        }
    }
    Ok(all.max(1))
}

fn find(folder: &Path, pieces: &mut Vec<Piece>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_dir() {
            find(&entry.path(), pieces)?;
            continue;
        }
        let mut at = 0;
        loop {
            pieces.push(Piece {
                path: entry.path(),
                at,
                len: (about.len() - at).min(PIECE_BYTES),
            });
            at += PIECE_BYTES;
            if at >= about.len() {
                break;
            }
        }
    }
    Ok(())
}

fn sum_of(piece: &Piece) -> io::Result<u32> {
    let file = File::open(&piece.path)?;
    let mut buffer = vec![0; READ_BYTES];
    let (mut at, end) = (piece.at, piece.at + piece.len);
    let mut sum = 0;
    while at < end {
        let len = usize::try_from(end - at).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        file.read_exact_at(&mut buffer[..len], at)?;
        sum = crc32c::crc32c_append(sum, &buffer[..len]);
        at += len as u64;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_every_name_is_in_the_sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        std::fs::create_dir_all(path.join("blobs")).unwrap();
        std::fs::write(path.join("conf"), "conf").unwrap();
        let mut bytes = vec![7; usize::try_from(PIECE_BYTES).unwrap() + 4];
        std::fs::write(path.join("db"), &bytes).unwrap();
        let before = of(&path).unwrap();
        assert_eq!(of(&path).unwrap(), before);
        for at in [0, 100, bytes.len() - 1] {
            bytes[at] ^= 1;
            std::fs::write(path.join("db"), &bytes).unwrap();
            assert_ne!(of(&path).unwrap(), before, "byte {at}");
            bytes[at] ^= 1;
        }
        std::fs::write(path.join("db"), &bytes).unwrap();
        assert_eq!(of(&path).unwrap(), before);
        std::fs::write(path.join("blobs/1"), "").unwrap();
        assert_ne!(of(&path).unwrap(), before, "a file more");
        std::fs::remove_file(path.join("blobs/1")).unwrap();
        std::fs::rename(path.join("conf"), path.join("cont")).unwrap();
        assert_ne!(of(&path).unwrap(), before, "another name");
    }
}
