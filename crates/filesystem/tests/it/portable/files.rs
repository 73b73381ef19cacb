//! Files that are not whole, and the bytes of one that is.

use std::time::Duration;

use dormouse_filesystem::portable::{self, ExportError, FileError};
use dormouse_filesystem::wrapper::{Fault, FaultKind, Operation};
use dormouse_filesystem::{
    Batch, EXPORT_IDLE, Expected, Key, Lane, Memory, Position, Predecessor, Prefix, ReadError, RecordStore,
    RecordStoreExt, Version,
};
use futures::StreamExt;
use tokio::io::AsyncReadExt;

use super::kit::{KIND, LATER, NOW, export, fill, import, kept, key, log, soon};

/// A small store, always the same.
async fn small() -> Memory {
    let store = Memory::new(NOW);
    let old = Predecessor {
        incarnation: Version::new(7),
        next: Position::new(3),
    };
    let mut batch = Batch::new(Lane::System);
    batch
        .put(key("a/b"), Expected::Absent, KIND, "hello")
        .put(key("a-b"), Expected::Absent, KIND, "")
        .begin(log("l"), Position::new(3), Some(old))
        .append(log("l"), "three");
    store.commit(batch, soon()).await.unwrap();
    store.append(log("m"), "one", soon()).await.unwrap();
    store
}

/// These bytes are format 1.
#[tokio::test]
async fn a_file_is_these_bytes() {
    let (file, written) = export(&small().await).await;
    let golden = include_bytes!("export-1.golden");
    assert!(file == golden, "{}", data_encoding::HEXLOWER.encode(&file));
    assert_eq!(portable::verify(&mut &golden[..]).await.unwrap(), written);
    let target = Memory::new(LATER);
    import(golden, &target).await.unwrap();
    assert_eq!(kept(&target).await, kept(&small().await).await);
}

/// A part of FS-72: nothing of such a file reaches a store.
#[tokio::test]
async fn a_file_that_was_cut_or_changed_anywhere_is_refused() {
    let (file, _) = export(&small().await).await;
    let target = Memory::new(LATER);
    for cut in 0..file.len() {
        let refused = portable::verify(&mut &file[..cut]).await;
        assert!(
            matches!(refused, Err(FileError::Cut { at }) if at == cut as u64),
            "{cut}: {refused:?}"
        );
    }
    for at in 0..file.len() {
        for bit in [0, 7] {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            let refused = import(&changed, &target).await;
            assert!(refused.is_err(), "{at}: {refused:?}");
        }
    }
    let mut longer = file.clone();
    longer.push(0);
    let refused = portable::verify(&mut &longer[..]).await;
    assert!(matches!(refused, Err(FileError::Changed { .. })), "{refused:?}");
    let mut newer = file.clone();
    newer[16] = b'2';
    let refused = portable::verify(&mut &newer[..]).await;
    assert!(
        matches!(refused, Err(FileError::TooNew { found: 2, known: 1 })),
        "{refused:?}"
    );
    let refused = portable::verify(&mut &b"something else"[..]).await;
    assert!(matches!(refused, Err(FileError::Foreign)), "{refused:?}");
    assert_eq!(target.health().await.commits, 0);
    import(&file, &target).await.unwrap();
}

/// What is read is read a part at a time, however it comes.
#[tokio::test]
async fn a_file_that_comes_in_any_pieces_is_the_same() {
    let store = Memory::new(NOW);
    fill(&store).await;
    let (file, written) = export(&store).await;
    for piece in [1, 7, 4096, 300_000] {
        let mut pieces = tokio_stream(&file, piece);
        assert_eq!(portable::verify(&mut pieces).await.unwrap(), written, "{piece}");
    }
}

/// A reader that gives so many bytes at once.
fn tokio_stream(bytes: &[u8], piece: usize) -> impl tokio::io::AsyncRead + Unpin {
    struct Pieces(std::io::Cursor<Vec<u8>>, usize);
    impl tokio::io::AsyncRead for Pieces {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            to: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let mut piece = vec![0; self.1.min(to.remaining())];
            let read = std::io::Read::read(&mut self.0, &mut piece)?;
            to.put_slice(&piece[..read]);
            std::task::Poll::Ready(Ok(()))
        }
    }
    Pieces(std::io::Cursor::new(bytes.to_vec()), piece)
}

#[tokio::test]
async fn a_part_of_a_store_has_nothing_of_its_neighbours() {
    let store = small().await;
    let mut file = Vec::new();
    let prefix = Prefix::parse("a").unwrap();
    let written = portable::export(&store, &prefix, &mut file, NOW).await.unwrap();
    assert_eq!((written.counts.records, written.counts.logs), (1, 0));
    let target = Memory::new(LATER);
    assert_eq!(import(&file, &target).await.unwrap().prefix, prefix);
    let names: Vec<Key> = kept(&target)
        .await
        .records
        .into_iter()
        .map(|(key, ..)| key)
        .collect();
    assert_eq!(names, [key("a/b")]);
}

/// An export of a damaged record is no export: what was written is refused.
#[tokio::test]
async fn an_export_with_a_damaged_record_does_not_pass_for_whole() {
    let store = Fault::scripted(small().await);
    store.next(Operation::Export, FaultKind::Damage);
    let mut file = Vec::new();
    let failed = portable::export(&store, &Prefix::root(), &mut file, NOW).await;
    assert!(
        matches!(&failed, Err(ExportError::Store(ReadError::Corrupt { key: named })) if *named == key("a/b")
            || *named == key("a-b")),
        "{failed:?}"
    );
    let refused = portable::verify(&mut &file[..]).await;
    assert!(matches!(refused, Err(FileError::Cut { .. })), "{refused:?}");
}

/// Nor does one whose writer takes nothing: others need not wait for it.
#[tokio::test(start_paused = true)]
async fn an_export_whose_writer_stands_still_is_let_go_and_does_not_pass_for_whole() {
    let store = Memory::new(NOW);
    for from in (0..5000).step_by(500) {
        let mut batch = Batch::new(Lane::System);
        for n in from..from + 500 {
            batch.put(key(&format!("k/{n:04}")), Expected::Absent, KIND, vec![7; 100]);
        }
        store.commit(batch, soon()).await.unwrap();
    }
    let (mut writer, mut reader) = tokio::io::duplex(1024);
    let root = Prefix::root();
    let writing = async {
        let written = portable::export(&store, &root, &mut writer, NOW).await;
        drop(writer);
        written
    };
    let reading = async {
        tokio::time::sleep(EXPORT_IDLE + Duration::from_secs(1)).await;
        let another = store.export(&root).next().await;
        assert!(matches!(another, Some(Ok(_))), "{another:?}");
        let mut file = Vec::new();
        reader.read_to_end(&mut file).await.unwrap();
        file
    };
    let (written, file) = futures::join!(writing, reading);
    assert!(
        matches!(written, Err(ExportError::Store(ReadError::ExportIdle { .. }))),
        "{written:?}"
    );
    let refused = portable::verify(&mut &file[..]).await;
    assert!(matches!(refused, Err(FileError::Cut { .. })), "{refused:?}");
}
