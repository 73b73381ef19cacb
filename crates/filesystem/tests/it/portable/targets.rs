//! What an import refuses, and how it gets through.

use dormouse_filesystem::portable::{self, ExportError, ImportError};
use dormouse_filesystem::wrapper::{Counted, Fault, FaultKind, Operation};
use dormouse_filesystem::{
    CommitError, Memory, Namespace, OpenError, Opener, Prefix, RecordStore, RecordStoreExt, Requirements,
    System,
};
use std::sync::Arc;

use super::kit::{KIND, LATER, NOW, export, fill, import, kept, key, log, soon};

async fn open(store: &Arc<dyn RecordStore>) -> Result<Namespace<System>, OpenError> {
    let opener = Opener::at(jiff::Timestamp::UNIX_EPOCH, 7);
    Namespace::<System>::open(Arc::clone(store), &Requirements::volatile(), opener).await
}

#[tokio::test]
async fn a_store_with_anything_in_it_takes_no_import() {
    let (file, _) = export(&Memory::new(NOW)).await;
    for is_record in [true, false] {
        let target = Memory::new(LATER);
        if is_record {
            target.create(key("a"), KIND, "", soon()).await.unwrap();
        } else {
            target.append(log("l"), "", soon()).await.unwrap();
        }
        let before = target.health().await.commits;
        let refused = import(&file, &target).await;
        assert!(matches!(refused, Err(ImportError::NotEmpty)), "{refused:?}");
        assert_eq!(target.health().await.commits, before);
    }
}

/// What openers leave is nobody's: it is not exported, and does not keep an import away.
#[tokio::test]
async fn a_store_that_was_only_opened_is_empty() {
    let source: Arc<dyn RecordStore> = Arc::new(Memory::new(NOW));
    open(&source).await.unwrap();
    source.create(key("a"), KIND, "", soon()).await.unwrap();
    let (file, written) = export(&*source).await;
    assert_eq!((written.counts.records, written.counts.logs), (1, 0));
    let target: Arc<dyn RecordStore> = Arc::new(Memory::new(LATER));
    open(&target).await.unwrap();
    import(&file, &*target).await.unwrap();
    open(&target).await.unwrap();
}

#[tokio::test]
async fn a_store_whose_versions_are_behind_is_refused_and_left_empty() {
    let source = Memory::new(NOW);
    source.create(key("a"), KIND, "", soon()).await.unwrap();
    let (file, written) = export(&source).await;
    let target = Memory::new(NOW - jiff::SignedDuration::from_secs(1));
    let refused = import(&file, &target).await;
    let Err(ImportError::VersionsBehind { highest, needed }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (highest, needed),
        (written.highest, portable::needed_now(written.highest))
    );
    assert_eq!(kept(&target).await.records, []);
    import(&file, &Memory::new(needed)).await.unwrap();
}

/// Parts of FS-72: the target is unusable until the same file is imported again.
#[tokio::test]
async fn a_store_whose_import_did_not_end_is_unusable_until_it_does() {
    let source = Memory::new(NOW);
    fill(&source).await;
    let (file, _) = export(&source).await;
    let faulty = Arc::new(Fault::scripted(Memory::new(LATER)));
    let target: Arc<dyn RecordStore> = Arc::new(Arc::clone(&faulty));
    for done in [1, 2, 3] {
        for _ in 0..done {
            faulty.next(Operation::Commit, FaultKind::Delay(std::time::Duration::ZERO));
        }
        // As many as one commit is tried.
        for _ in 0..200 {
            faulty.next(Operation::Commit, FaultKind::Refuse);
        }
        tokio::time::pause();
        let failed = import(&file, &*target).await;
        tokio::time::resume();
        assert!(
            matches!(failed, Err(ImportError::Commit(CommitError::Busy { .. }))),
            "{failed:?}"
        );
        let opened = open(&target).await;
        assert!(matches!(opened, Err(OpenError::Importing { .. })), "{opened:?}");
        let mut out = Vec::new();
        let exported = portable::export(&*target, &Prefix::root(), &mut out, NOW).await;
        assert!(matches!(exported, Err(ExportError::Unfinished)), "{exported:?}");
        let (other, _) = export(&Memory::new(NOW)).await;
        let another = import(&other, &*target).await;
        assert!(matches!(another, Err(ImportError::Another { .. })), "{another:?}");
        faulty.forget();
    }
    import(&file, &*target).await.unwrap();
    assert!(kept(&*target).await == kept(&source).await);
    open(&target).await.unwrap();
    let again = import(&file, &*target).await;
    assert!(matches!(again, Err(ImportError::NotEmpty)), "{again:?}");
}

/// Answers that are lost, with and without effect, make nothing twice.
#[tokio::test(start_paused = true)]
async fn an_import_over_a_bad_line_is_the_same() {
    const ROUNDS: u64 = 16;
    let source = Memory::new(NOW);
    fill(&source).await;
    let (file, _) = export(&source).await;
    let seed: u64 = rand::TryRng::try_next_u64(&mut rand::rngs::SysRng).unwrap();
    println!("seed {seed}");
    let mut met = 0;
    for seed in (0..ROUNDS).map(|n| seed.wrapping_add(n)) {
        let target = Fault::seeded(Memory::new(LATER), seed, 150);
        let mut tries = 0;
        // Ends: each try gets further, and what is left gets less.
        while let Err(error) = import(&file, &target).await {
            tries += 1;
            assert!(tries < 500, "seed {seed}: {error}");
        }
        met += target.met();
        assert!(kept(target.inner()).await == kept(&source).await, "seed {seed}");
    }
    assert!(met > 0);
}

/// Somebody wrote into a store that is being imported into: nothing is written over.
#[tokio::test]
async fn what_the_file_does_not_have_is_found_and_kept() {
    let source = Memory::new(NOW);
    source.create(key("a"), KIND, "the file's", soon()).await.unwrap();
    let (file, _) = export(&source).await;
    let faulty = Fault::scripted(Memory::new(LATER));
    faulty.next(Operation::Commit, FaultKind::Delay(std::time::Duration::ZERO));
    faulty.next(Operation::Commit, FaultKind::LoseBefore);
    faulty
        .inner()
        .create(key("a"), KIND, "another's", soon())
        .await
        .unwrap();
    let target = Counted::new(faulty);
    let refused = import(&file, &target).await;
    assert!(matches!(refused, Err(ImportError::NotEmpty)), "{refused:?}");
}
