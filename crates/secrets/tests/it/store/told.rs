//! What is told of what was done: nothing that is left out goes unsaid, and nothing that is whole is told as broken.

use dormouse_filesystem::wrapper::{FaultKind, Operation};
use dormouse_secrets::{
    Change, Existing, ExportError, OnAgentDelete, SecretCategory, SecretError, SecretName,
};

use super::house::{House, at};
use super::staged;

const RING: &str = "t/acme/r/secret_keys/ring";

async fn begin(house: &House) {
    let begun = house.vault.begin_rekey(&house.call(1), &house.key(1)).await;
    begun.unwrap();
}

async fn export(house: &House) -> Result<(), ExportError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all");
    house
        .secrets
        .export_in_clear(&house.call(3), file)
        .await
        .map(drop)
}

#[tokio::test]
async fn a_row_of_a_newer_build_is_named_by_a_rekey_and_holds_up_an_export() {
    let house = House::in_memory().await.enabled().await;
    for name in ["shared:G", "shared:H", "agent:b:H"] {
        house.put(name, "a value of it", SecretCategory::Tool).await;
    }
    house
        .edit("t/acme/r/secret/shared/h", |text| {
            text.replace("\"schema\":1", "\"schema\":2")
        })
        .await;
    begin(&house).await;
    let done = house.secrets.rekey(&house.call(2)).await.unwrap();
    assert_eq!((done.resealed, done.unreadable), (2, vec![at("shared:H")]));
    match export(&house).await {
        Err(ExportError::Secret(SecretError::Unreadable { refs })) => assert_eq!(refs, [at("shared:H")]),
        other => panic!("{other:?}"),
    }
    house.remove("t/acme/r/secret/shared/h").await;
    export(&house).await.unwrap();
}

#[tokio::test]
async fn a_rekey_that_finds_everything_as_it_was_tells_nothing() {
    let house = House::in_memory().await.enabled().await;
    house.put("shared:G", "a value of it", SecretCategory::Tool).await;
    begin(&house).await;
    let resealed = async || {
        drop(house.journal.take());
        house.secrets.rekey(&house.call(2)).await.unwrap();
        let (changes, _) = house.journal.take();
        let told = |change: &&Change| matches!(change, Change::Resealed { .. });
        changes.iter().filter(told).count()
    };
    assert_eq!(resealed().await, 1);
    assert_eq!(resealed().await, 0);
}

#[tokio::test]
async fn a_row_that_another_rekey_sealed_anew_is_not_told_as_unreadable() {
    let (house, store) = staged::stopping().await;
    for name in ["shared:G", "shared:H"] {
        house.put(name, "a value of it", SecretCategory::Tool).await;
    }
    begin(&house).await;
    // Its rows are read then, and the keys of its first row are not.
    let between = store.stop_read(RING, 2);
    let call = house.call(2);
    let rekeys = house.secrets.rekey(&call);
    let others = async {
        between.reached().await;
        let done = house.secrets.rekey(&house.call(2)).await.unwrap();
        assert_eq!(done.resealed, 2);
        between.go();
    };
    let (done, ()) = tokio::join!(rekeys, others);
    assert_eq!(done.unwrap().unreadable, []);
}

#[tokio::test]
async fn a_rekey_between_the_reads_of_a_restore_is_read_again() {
    for is_ring in [true, false] {
        let (house, store) = staged::stopping().await;
        let first = house.live("a", 1);
        house
            .put("agent:a:G", "the value of G", SecretCategory::Tool)
            .await;
        let quarantine = OnAgentDelete::Quarantine;
        let call = house.call(1);
        let ended = house.secrets.agent_ended(&call, &first, quarantine);
        ended.await.unwrap();
        let second = house.live("a", 2);
        let row = format!("t/acme/r/secret/agent/a/{}/g", first.incarnation);
        let read = if is_ring { RING } else { row.as_str() };
        let between = store.stop_read(read, 1);
        let call = house.call(2);
        let restores = house.secrets.restore(&call, &first, &second);
        let others = async {
            between.reached().await;
            begin(&house).await;
            house.secrets.rekey(&house.call(2)).await.unwrap();
            between.go();
        };
        let (names, ()) = tokio::join!(restores, others);
        assert_eq!(names.unwrap(), [SecretName::parse("G").unwrap()], "before {read}");
    }
}

#[tokio::test]
async fn an_import_that_is_in_force_is_told_as_done_though_it_cannot_be_folded_in_yet() {
    let (house, _store) = staged::stopping().await;
    let first = staged::import(&house, staged::FEW, "old", Existing::Refuse).await;
    first.unwrap();
    // It begins, stages two pages, and applies them.
    for _ in 0..4 {
        let nothing = FaultKind::Delay(std::time::Duration::ZERO);
        house.store.next(Operation::Commit, nothing);
    }
    house.store.next(Operation::Commit, FaultKind::Refuse);
    let done = staged::import(&house, staged::FEW, "new", Existing::Overwrite).await;
    assert_eq!(done.unwrap().written.len(), staged::FEW);
}
