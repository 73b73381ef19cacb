//! From every backend to every other.

use dormouse_filesystem::{
    CommitError, LogCursor, LogError, Position, Predecessor, RecordStoreExt, Version, portable,
};

use super::kit::{KIND, LATER, NOW, Place, export, fill, heads, import, kept, key, log, soon};

/// FS-71, with the contract's clause of one commit point under load, which every backend passes.
#[tokio::test(flavor = "multi_thread")]
async fn every_backend_takes_what_every_other_wrote() {
    for source in Place::each() {
        let source = source.open(NOW).await;
        fill(&*source).await;
        let (before, old_heads) = (kept(&*source).await, heads(&*source).await);
        let (file, written) = export(&*source).await;
        assert_eq!(portable::verify(&mut &file[..]).await.unwrap(), written);
        assert_eq!(written.file_bytes, file.len() as u64);
        assert_eq!(written.counts.records, before.records.len() as u64);
        for target in Place::each() {
            let target = target.open(LATER).await;
            let at = format!("{source} to {target}");
            assert_eq!(import(&file, &*target).await.unwrap(), written, "{at}");
            assert!(kept(&*target).await == before, "{at}");
            for (log, head) in heads(&*target).await {
                let (_, old) = old_heads.iter().find(|(name, _)| *name == log).unwrap();
                assert!(head.incarnation > Some(written.highest), "{at}: {log}");
                let predecessor = Predecessor {
                    incarnation: old.incarnation.unwrap(),
                    next: old.next,
                };
                assert_eq!(head.predecessor, Some(predecessor), "{at}: {log}");
            }
            let (again, written_again) = export(&*target).await;
            assert_eq!(written_again.counts, written.counts, "{at}");
            assert_eq!(written_again.bytes, written.bytes, "{at}");
            assert!(portable::verify(&mut &again[..]).await.is_ok(), "{at}");
            target.close(soon()).await.unwrap();
        }
        source.close(soon()).await.unwrap();
    }
}

/// FS-3, of restored stores, and what FS-72 says of cursors.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_cursors_of_the_store_before_are_told_apart() {
    for target in Place::each() {
        let source = dormouse_filesystem::Memory::new(NOW);
        let token = source.create(key("a"), KIND, "old", soon()).await.unwrap();
        for n in 1..=5 {
            source.append(log("l"), n.to_string(), soon()).await.unwrap();
        }
        let old = source.head_of("l").await;
        let (file, written) = export(&source).await;
        // Written behind the export: the copy does not have it.
        source.append(log("l"), "6", soon()).await.unwrap();

        let target = target.open(portable::needed_now(written.highest)).await;
        import(&file, &*target).await.unwrap();
        let found = target.get(&key("a")).await.unwrap().unwrap();
        assert!(
            found.version > written.highest && written.highest >= token,
            "{target}"
        );
        let stale = target.replace(key("a"), token, KIND, "x", soon()).await;
        assert!(
            matches!(stale, Err(CommitError::Conflict { .. })),
            "{target}: {stale:?}"
        );
        let stale = target.delete(key("a"), token, soon()).await;
        assert!(
            matches!(stale, Err(CommitError::Conflict { .. })),
            "{target}: {stale:?}"
        );

        let resume = async |incarnation, after| {
            let cursor = LogCursor {
                incarnation,
                after: Position::new(after),
            };
            target.resume(&log("l"), cursor).await
        };
        assert_eq!(resume(old, 5).await.unwrap(), Position::new(5));
        let tail = target.tail(&log("l"), Position::new(3), 10).await.unwrap();
        assert_eq!(tail.len(), 2, "{target}");
        for (incarnation, after) in [(old, 6), (Version::new(1), 3)] {
            let refused = resume(incarnation, after).await;
            assert!(
                matches!(refused, Err(LogError::Incarnation { .. })),
                "{target}: {refused:?}"
            );
        }
        target.append(log("l"), "another sixth", soon()).await.unwrap();
        assert!(
            resume(old, 6).await.is_err(),
            "{target}: the copy's sixth is not the one that was seen"
        );
        target.close(soon()).await.unwrap();
    }
}

/// A log's incarnation.
trait HeadOf {
    async fn head_of(&self, name: &str) -> Version;
}

impl<S: dormouse_filesystem::RecordStore> HeadOf for S {
    async fn head_of(&self, name: &str) -> Version {
        self.head(&log(name)).await.unwrap().incarnation.unwrap()
    }
}
