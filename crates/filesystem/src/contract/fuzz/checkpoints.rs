//! The checkpoint: believed only when every byte is as it was written.

use super::Input;
use crate::commit_log::checkpoint::Checkpoint;

/// A checkpoint of any bytes: as they are, or with a checksum that is right.
///
/// # Panics
/// When it is taken for what it is not.
pub fn checkpoints(bytes: &[u8]) {
    let input = Input::new(bytes);
    let is_sealed = input.byte() % 2 == 1;
    let mut bytes = input.rest().to_vec();
    if let Some(crc_at) = bytes.len().checked_sub(4).filter(|_| is_sealed) {
        let crc = crc32c::crc32c(&bytes[..crc_at]);
        bytes[crc_at..].copy_from_slice(&crc.to_le_bytes());
    }
    if let Some(checkpoint) = Checkpoint::decode(&bytes) {
        let again = checkpoint.encode();
        assert_eq!(Checkpoint::decode(&again), Some(checkpoint));
        for at in 0..again.len() {
            let mut other = again;
            other[at] ^= 1;
            assert_eq!(Checkpoint::decode(&other), None, "byte {at}");
        }
    }
}
