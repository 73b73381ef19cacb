//! Reading a file, a frame at a time, in bounded memory.

use std::io;

use bytes::{Buf, BytesMut};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::check::Checked;
use super::frame::{Begin, HEAD_BYTES, Parsed, begin, parse};
use super::item::{FileItem, TRAILER};
use super::{FORMAT, FileError, Summary};
use crate::{Digest, ExportPoint};

/// Bytes asked for at once.
const READ_BYTES: usize = 256 * 1024;

/// Reads a file to its end and holds all of it against what it says of itself.
///
/// # Errors
/// `Foreign`, `TooNew`, `Cut`, `Changed`, which tells where and what; `Io`.
pub async fn verify<R: AsyncRead + Unpin>(reader: &mut R) -> Result<Summary, FileError> {
    let mut file = FileReader::begin(reader).await?;
    while file.next().await?.is_some() {}
    Ok(file.summary())
}

/// A file being read.
#[derive(Debug)]
pub(super) struct FileReader<R> {
    from: R,
    buffer: BytesMut,
    /// Of the buffer's first byte in the file.
    at: u64,
    sha: Sha256,
    checked: Checked,
}

impl<R: AsyncRead + Unpin> FileReader<R> {
    /// Begins to read, from the file's first byte.
    pub(super) async fn begin(from: R) -> Result<Self, FileError> {
        let mut file = Self {
            from,
            buffer: BytesMut::new(),
            at: 0,
            sha: Sha256::new(),
            checked: Checked::default(),
        };
        // Ends with a line, or with bytes that are none.
        loop {
            match begin(&file.buffer) {
                Begin::Known(len) => {
                    file.consume(len);
                    return Ok(file);
                }
                Begin::TooNew(found) => return Err(FileError::TooNew { found, known: FORMAT }),
                Begin::Foreign => return Err(FileError::Foreign),
                Begin::Part => file.more().await?,
            }
        }
    }

    /// The next item; none behind the trailer.
    pub(super) async fn next(&mut self) -> Result<Option<FileItem>, FileError> {
        if self.checked.trailer.is_some() {
            return self.end().await.map(|()| None);
        }
        // Ends with a frame, or with the file.
        let (kind, len) = loop {
            match parse(&self.buffer) {
                Parsed::Frame { kind, len } => break (kind, len),
                Parsed::Bad(what) => return Err(self.changed(what)),
                Parsed::Part(_) => self.more().await?,
            }
        };
        let digest = (kind == TRAILER).then(|| Digest::new(self.sha.clone().finalize().into()));
        self.sha.update(&self.buffer[..len]);
        let mut body = self.buffer.split_to(len).freeze();
        body.advance(HEAD_BYTES + 1);
        let item = FileItem::decode(kind, body).and_then(|item| {
            self.checked.take(&item, digest)?;
            Ok(item)
        });
        match item {
            Ok(item) => {
                self.at += len as u64;
                Ok(Some(item))
            }
            Err(what) => Err(self.changed(what)),
        }
    }

    fn changed(&self, what: &'static str) -> FileError {
        FileError::Changed { at: self.at, what }
    }

    fn consume(&mut self, len: usize) {
        self.sha.update(&self.buffer[..len]);
        self.buffer.advance(len);
        self.at += len as u64;
    }

    async fn more(&mut self) -> Result<(), FileError> {
        if self.fill().await? == 0 {
            let at = self.at + self.buffer.len() as u64;
            return Err(FileError::Cut { at });
        }
        Ok(())
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_BYTES);
        self.from.read_buf(&mut self.buffer).await
    }

    /// Nothing follows the trailer.
    async fn end(&mut self) -> Result<(), FileError> {
        if self.buffer.is_empty() && self.fill().await? == 0 {
            Ok(())
        } else {
            Err(self.changed("something follows the end"))
        }
    }

    /// What was read, when all of it was.
    ///
    /// # Panics
    /// Before its end.
    pub(super) fn summary(self) -> Summary {
        let (Some(header), Some(trailer)) = (self.checked.header, self.checked.trailer) else {
            panic!("a file that was read to its end has both");
        };
        Summary {
            point: ExportPoint {
                store: header.store,
                version: header.version,
            },
            at: Timestamp::from_millisecond(header.milliseconds).expect("it was held against its limits"),
            prefix: header.prefix,
            counts: trailer.counts,
            bytes: trailer.bytes,
            highest: trailer.highest,
            file_bytes: self.at,
            digest: trailer.digest,
        }
    }
}
