//! The checkpoint: up to where of the log the index is whole. A pure encoding, and its file.

use std::io;

use super::frame::{u32_at, u64_at};
use super::{FORMAT, FileLayer};

const MAGIC: &[u8; 8] = b"dormchk\n";
const NAME: &str = "checkpoint";
const TEMPORARY: &str = "checkpoint.tmp";
const BYTES: usize = 104;
const CRC_AT: usize = 100;

/// Up to where of the log the index is whole, and how the store ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whether it was written by a close; false while the store is open.
    pub clean: bool,
    /// The store it belongs to.
    pub store: [u8; 16],
    /// The machine's boot when it was written.
    pub boot: [u8; 16],
    /// The highest version in the index.
    pub version: u64,
    /// The segment of the next frame to replay.
    pub segment: u32,
    /// The offset of the next frame to replay.
    pub offset: u32,
    /// How many records and log entries the index holds.
    pub items: u64,
    /// Exclusive or, over all of them and the ends of logs, of a hash of each.
    pub digest: u64,
    /// Bytes of the operations that are live: what all of it takes in the log at least.
    pub live: u64,
    /// The first segment that is needed: those before it may be gone.
    pub first: u32,
    /// A sum of the index's files as a clean end left them; 0 where there is none.
    pub index: u64,
}

impl Checkpoint {
    /// The checkpoint as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&u32::from(self.clean).to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store);
        bytes[32..48].copy_from_slice(&self.boot);
        bytes[48..56].copy_from_slice(&self.version.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.segment.to_le_bytes());
        bytes[60..64].copy_from_slice(&self.offset.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.items.to_le_bytes());
        bytes[72..80].copy_from_slice(&self.digest.to_le_bytes());
        bytes[80..88].copy_from_slice(&self.live.to_le_bytes());
        bytes[88..96].copy_from_slice(&self.index.to_le_bytes());
        bytes[96..100].copy_from_slice(&self.first.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a checkpoint back; none when the bytes are not exactly one of this format.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let is_ours = bytes.len() == BYTES
            && bytes[0..8] == *MAGIC
            && u32_at(bytes, 8)? == FORMAT
            && u32_at(bytes, CRC_AT)? == crc32c::crc32c(&bytes[..CRC_AT]);
        is_ours.then_some(())?;
        Some(Self {
            clean: u32_at(bytes, 12)? == 1,
            store: bytes[16..32].try_into().ok()?,
            boot: bytes[32..48].try_into().ok()?,
            version: u64_at(bytes, 48)?,
            segment: u32_at(bytes, 56)?,
            offset: u32_at(bytes, 60)?,
            items: u64_at(bytes, 64)?,
            digest: u64_at(bytes, 72)?,
            live: u64_at(bytes, 80)?,
            index: u64_at(bytes, 88)?,
            first: u32_at(bytes, 96)?,
        })
    }

    /// The checkpoint of a store's folder; none when it is missing or bad: then the index is rebuilt.
    ///
    /// # Errors
    /// What the file layer says, except that it is missing.
    pub fn read(files: &dyn FileLayer) -> io::Result<Option<Self>> {
        let file = match files.open(NAME) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = [0; BYTES];
        let read = file.read_at(&mut bytes, 0)?;
        Ok(Self::decode(&bytes[..read]))
    }

    /// Says that the index is not to be believed, so that it is rebuilt. What was proved of the log stays so.
    ///
    /// # Errors
    /// What the file layer says.
    pub fn distrust(files: &dyn FileLayer) -> io::Result<()> {
        let Some(checkpoint) = Self::read(files)? else {
            return Ok(());
        };
        // No boot has this id.
        let distrusted = Self {
            clean: false,
            boot: [0; 16],
            ..checkpoint
        };
        distrusted.write(files)
    }

    /// Replaces the checkpoint: temporary file, sync, rename, folder sync.
    ///
    /// # Errors
    /// What the file layer says; the old checkpoint then still holds.
    pub fn write(&self, files: &dyn FileLayer) -> io::Result<()> {
        let file = files.create(TEMPORARY)?;
        file.write_at(&self.encode(), 0)?;
        file.sync()?;
        files.rename(TEMPORARY, NAME)?;
        files.sync_folder("")
    }
}
