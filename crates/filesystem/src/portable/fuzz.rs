//! The reader of a file, and the import of what it takes for whole, over any bytes.

use std::io::{self, Cursor};
use std::pin::Pin;
use std::task::{Context, Poll};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, ReadBuf};

use super::frame::{HEAD_BYTES, encode, first_line};
use super::item::{FileItem, TRAILER};
use super::read::FileReader;
use super::{FileError, ImportError, Summary, import, needed_now, verify};
use crate::contract::fuzz::Input;
use crate::{Memory, Prefix, RecordStore};

/// A digest at the end of a trailer.
const DIGEST_BYTES: usize = 32;

/// The file of an export: of any bytes, or of any frames under sums that are right.
///
/// # Panics
/// When it is taken for what it is not, or what is taken for whole is not imported as it is.
pub fn exports(bytes: &[u8]) {
    let input = Input::new(bytes);
    let (is_sealed, piece) = (input.byte() % 2 == 1, usize::from(input.byte()) + 1);
    let file = if is_sealed {
        sealed(input.rest())
    } else {
        input.rest().to_vec()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime without a driver of input and output");
    runtime.block_on(check(&file, piece));
}

/// The same frames, as long as the bytes say, with their checksums and the digest of all.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let line = first_line();
    let mut rest = bytes.strip_prefix(line.as_bytes()).unwrap_or(bytes);
    let mut file = line.into_bytes();
    while let Some((head, behind)) = rest.split_at_checked(HEAD_BYTES + 1) {
        let (&kind, len) = (head.last().expect("it has a kind"), [head[0], head[1]]);
        let len = usize::from(u16::from_le_bytes(len)).saturating_sub(1);
        let (body, behind) = behind.split_at(len.min(behind.len()));
        let digest: [u8; DIGEST_BYTES] = Sha256::digest(&file).into();
        encode(kind, &mut file, |out| {
            let is_trailer = kind == TRAILER && body.len() >= DIGEST_BYTES;
            let own = body.len() - if is_trailer { DIGEST_BYTES } else { 0 };
            out.extend_from_slice(&body[..own]);
            out.extend_from_slice(if is_trailer { &digest } else { &[] });
        });
        rest = behind;
    }
    file.extend_from_slice(rest);
    file
}

async fn check(file: &[u8], piece: usize) {
    let verified = verify(&mut &file[..]).await;
    let in_pieces = verify(&mut Pieces { left: file, piece }).await;
    assert_eq!(said(&verified), said(&in_pieces), "in pieces of {piece}");
    match verified {
        Ok(summary) => is_taken(file, &summary).await,
        Err(_) => is_refused(file).await,
    }
}

/// An answer, to be compared.
fn said(verified: &Result<Summary, FileError>) -> Result<&Summary, String> {
    verified.as_ref().map_err(|error| format!("{error:?}"))
}

async fn is_refused(file: &[u8]) {
    let store = Memory::new(jiff::Timestamp::UNIX_EPOCH);
    let refused = import(&mut Cursor::new(file), &store).await;
    assert!(matches!(refused, Err(ImportError::File(_))), "{refused:?}");
    assert_eq!(store.health().await.commits, 0, "nothing of it reached the store");
}

async fn is_taken(file: &[u8], summary: &Summary) {
    assert_eq!(summary.file_bytes, file.len() as u64);
    let cut = verify(&mut &file[..file.len() - 1]).await;
    assert!(matches!(cut, Err(FileError::Cut { .. })), "{cut:?}");
    let store = Memory::new(needed_now(summary.highest));
    let imported = import(&mut Cursor::new(file), &store).await;
    assert_eq!(imported.expect("it was verified"), *summary);
    let mut items = FileReader::begin(file).await.expect("it was verified");
    let (mut log, mut heads) = (None, 0);
    while let Some(item) = items.next().await.expect("it was verified") {
        match item {
            FileItem::Header(_) | FileItem::Trailer(_) => {}
            FileItem::Record(entry) => {
                let found = store.get(&entry.key).await.expect("memory answers");
                let found = found.expect("it was imported");
                assert_eq!((&found.kind, &found.value), (&entry.kind, &entry.value));
                assert!(found.version > summary.highest);
            }
            FileItem::Log(stream, head) => {
                let found = store.head(&stream).await.expect("memory answers");
                assert_eq!(
                    (found.first, found.next, found.bytes),
                    (head.first, head.next, head.bytes)
                );
                heads += 1;
                log = Some(stream);
            }
            FileItem::Entry(logged) => {
                let log = log.as_ref().expect("its log comes first");
                let before = crate::Position::new(logged.position.get() - 1);
                let found = store.tail(log, before, 1).await.expect("memory answers");
                assert_eq!(found[0].entry, logged.entry);
            }
        }
    }
    let found = store.heads(&Prefix::root(), None, crate::PAGE_MAX).await;
    assert_eq!(found.expect("memory answers").len(), heads, "no log beside");
}

/// A file that comes so many bytes at a time.
struct Pieces<'a> {
    left: &'a [u8],
    piece: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = self.piece.min(to.remaining()).min(self.left.len());
        let (piece, left) = self.left.split_at(len);
        to.put_slice(piece);
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So that what the fuzzer changes stands under sums that are right.
    #[test]
    fn sealing_a_whole_file_changes_nothing_and_a_changed_one_back() {
        let golden = include_bytes!("../../tests/it/portable/export-1.golden");
        assert_eq!(sealed(golden), golden);
        let mut unsealed = golden.to_vec();
        let (first, last) = (first_line().len() + 4, golden.len() - 1);
        unsealed[first] ^= 1;
        unsealed[last] ^= 1;
        assert_eq!(sealed(&unsealed), golden);
    }
}
