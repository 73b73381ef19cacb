//! Imports of more than one commit: what readers see, and what others meet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dormouse_filesystem::wrapper::{FaultKind, Operation};
use dormouse_secrets::{
    AgentAt, Due, Existing, Expect, Generator, Holder, ImportError, ImportKey, Imported, PER_SCOPE_MAX,
    PutMeta, SecretCategory, SecretError, Secrets,
};
use sha2::{Digest, Sha256};

use super::dying::{Dying, Side};
use super::house::{House, after, at, secret};
use super::place::Place;

/// Secrets of an import that takes a few pages.
pub(super) const FEW: usize = 120;

/// Secrets of one agent; a scope takes 256.
const EACH: usize = 250;

pub(super) fn holder() -> Holder {
    Holder::Service("test".to_owned())
}

/// The agents of the largest import live.
pub(super) fn live_all(house: &House) -> Vec<AgentAt> {
    let lives = (0..10_000 / EACH).map(|number| house.live(&format!("agent{number}"), 100 + number as u128));
    lives.collect()
}

pub(super) fn reference(number: usize) -> String {
    format!("agent:agent{}:KEY_{}", number / EACH, number % EACH)
}

/// An export of so many secrets, all values of this version.
pub(super) fn export(count: usize, version: &str) -> Vec<u8> {
    let time = after(0);
    let mut text =
        format!("{{\"format\":\"dormouse-secrets\",\"version\":2,\"tenant\":\"t\",\"at\":\"{time}\"}}\n");
    for number in 0..count {
        let value = data_encoding::BASE64.encode(format!("{version}-{number:06}").as_bytes());
        text += &format!(
            "{{\"scope\":{{\"kind\":\"agent\",\"agent_id\":\"agent{}\"}},\"name\":\"KEY_{}\",\"category\":\"tool\",\
             \"value\":\"{value}\",\"created_at\":\"{time}\",\"updated_at\":\"{time}\",\"times_known\":true}}\n",
            number / EACH,
            number % EACH,
        );
    }
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    text += &format!("{{\"count\":{count},\"sha256\":\"{digest}\"}}\n");
    text.into_bytes()
}

pub(super) async fn import(
    house: &House,
    count: usize,
    version: &str,
    existing: Existing,
) -> Result<Imported, ImportError> {
    let export = export(count, version);
    house
        .secrets
        .import(&house.call(0), &export, &ImportKey::Clear, existing)
        .await
}

pub(super) async fn put_in(secrets: &Secrets, house: &House, reference: &str) {
    let value = secret(&format!("the value of {reference}"));
    let (call, at, meta) = (house.call(0), at(reference), PutMeta::default());
    secrets
        .put(&call, &at, &value, SecretCategory::Tool, &meta, Expect::Any)
        .await
        .unwrap();
}

pub(super) async fn try_put(house: &House) -> Result<(), SecretError> {
    let done = house
        .try_put("shared:OTHER", "the other value", SecretCategory::Tool)
        .await;
    done.map(drop)
}

/// The version that all values have, which is one for all that one call sees.
pub(super) async fn the_one_version(house: &House, count: usize) -> String {
    let mut versions = std::collections::BTreeSet::new();
    for first in (0..count).step_by(EACH) {
        let agent = house.live(&format!("agent{}", first / EACH), 100 + (first / EACH) as u128);
        let set = super::environment::set(&house.secrets, house, &agent)
            .await
            .unwrap();
        let values = set
            .env
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("KEY_"));
        let values: Vec<String> = values
            .map(|(_, value)| value.expose_text().unwrap().to_owned())
            .collect();
        assert_eq!(values.len(), EACH.min(count - first));
        versions.extend(
            values
                .iter()
                .map(|value| value.split('-').next().unwrap().to_owned()),
        );
    }
    assert_eq!(versions.len(), 1, "a mix: {versions:?}");
    versions.pop_first().unwrap()
}

/// In memory nobody waits, unless the store lets others have a turn.
#[tokio::test]
async fn pages_are_unseen_in_memory() {
    let place = Place::memory();
    let store = Dying::new(place.open().await, Side::Before, 0);
    let house = House::over(Arc::new(store), place, Generator::seeded(7)).await;
    its_pages_are_unseen_until_all_are_there_and_others_wait(house).await;
}

#[tokio::test]
async fn pages_are_unseen_in_sled() {
    its_pages_are_unseen_until_all_are_there_and_others_wait(House::in_sled().await).await;
}

#[tokio::test]
async fn pages_are_unseen_in_local_files() {
    its_pages_are_unseen_until_all_are_there_and_others_wait(House::in_local().await).await;
}

#[tokio::test]
async fn pages_are_unseen_on_a_server() {
    if let Some(house) = House::in_postgres().await {
        its_pages_are_unseen_until_all_are_there_and_others_wait(house).await;
    }
}

/// Readers look at it all the while.
async fn its_pages_are_unseen_until_all_are_there_and_others_wait(house: House) {
    let house = house.enabled().await;
    live_all(&house);
    import(&house, FEW, "old", Existing::Refuse).await.unwrap();
    let over = AtomicBool::new(false);
    let reads = async {
        let (mut old, mut new, mut open) = (0, 0, 0);
        // Ends with the import.
        while !over.load(Ordering::SeqCst) || new == 0 {
            match the_one_version(&house, FEW).await.as_str() {
                "old" => {
                    assert_eq!(new, 0, "what was seen stays");
                    old += 1;
                }
                "new" => new += 1,
                other => panic!("{other}"),
            }
            if matches!(try_put(&house).await, Err(SecretError::ImportOpen)) {
                open += 1;
            }
            tokio::task::yield_now().await;
        }
        (old, new, open)
    };
    let imports = async {
        let done = import(&house, FEW, "new", Existing::Overwrite).await.unwrap();
        over.store(true, Ordering::SeqCst);
        done
    };
    let (done, (old, new, open)) = tokio::join!(imports, reads);
    assert_eq!(done.written.len(), FEW);
    assert!(old > 0 && new > 0 && open > 0, "{old} {new} {open}");
    let again = import(&house, FEW, "new", Existing::Refuse).await.unwrap();
    assert_eq!((again.written.len(), again.unchanged.len()), (0, FEW));
    let refused = import(&house, FEW, "other", Existing::Refuse).await;
    assert!(matches!(refused, Err(ImportError::Exists { refs }) if refs.len() == FEW));
    let kept = import(&house, FEW, "other", Existing::Keep).await.unwrap();
    assert_eq!(kept.kept.len(), FEW);
    let meta = house.secrets.info(&at(&reference(7))).await.unwrap();
    assert_eq!(meta.generation, 2);
}

/// A house whose commits wait where a test says so.
pub(super) async fn stopping() -> (House, Arc<Dying>) {
    let place = Place::memory();
    let store = Arc::new(Dying::never(place.open().await));
    let house = House::over(store.clone(), place, Generator::seeded(7)).await;
    let house = house.enabled().await;
    live_all(&house);
    (house, store)
}

#[tokio::test]
async fn an_import_that_others_end_before_it_is_applied_begins_anew_and_is_whole() {
    let (house, store) = stopping().await;
    import(&house, FEW, "old", Existing::Refuse).await.unwrap();
    // It begins, stages two pages, and waits before it applies them.
    let applies = store.stop_ahead(4);
    // Others are in the midst of taking it back then.
    let taken_back = store.stop_ahead(6);
    let imports = async {
        let done = import(&house, FEW, "new", Existing::Overwrite).await;
        taken_back.go();
        done
    };
    let others = async {
        applies.reached().await;
        house.secrets.retire(&house.call(600), &Due::Import).await
    };
    let meet = async {
        taken_back.reached().await;
        applies.go();
    };
    let (done, retired, ()) = tokio::join!(imports, others, meet);
    retired.unwrap();
    assert_eq!(done.unwrap().written.len(), FEW);
    assert_eq!(the_one_version(&house, FEW).await, "new");
    assert!(
        !house.text_of_rows("t/acme/r/secret/").await.contains("staged"),
        "nothing is left of either"
    );
    try_put(&house).await.unwrap();
}

/// An import that begins, stages a page, and then cannot go on: the agent whose secrets it has is gone.
async fn fails_for_good(house: &House, store: &Dying) {
    let page = store.stop_ahead(2);
    let gone = async {
        page.reached().await;
        house.die("agent0");
        page.go();
    };
    let (failed, ()) = tokio::join!(import(house, FEW, "new", Existing::Refuse), gone);
    let refused = matches!(failed, Err(ImportError::Secret(SecretError::NotFound { .. })));
    assert!(refused, "{failed:?}");
}

async fn nothing_is_left_of_it(house: &House) {
    let ring = house.text_of_rows("t/acme/r/secret_keys/").await;
    assert!(!ring.contains("began_at"), "{ring}");
    let rows = house.text_of_rows("t/acme/r/secret/").await;
    assert!(!rows.contains("key_7"), "{rows}");
}

#[tokio::test]
async fn an_import_that_cannot_go_on_keeps_nobody_waiting() {
    let (house, store) = stopping().await;
    fails_for_good(&house, &store).await;
    nothing_is_left_of_it(&house).await;
    try_put(&house).await.unwrap();
}

#[tokio::test]
async fn the_end_of_an_import_that_was_cut_goes_on_with_whoever_comes_next() {
    let (house, store) = stopping().await;
    try_put(&house).await.unwrap();
    // It begins, stages, and says that it ends; then the store takes nothing more.
    for _ in 0..3 {
        house
            .store
            .next(Operation::Commit, FaultKind::Delay(std::time::Duration::ZERO));
    }
    house.store.next(Operation::Commit, FaultKind::Refuse);
    fails_for_good(&house, &store).await;
    let rows = house.text_of_rows("t/acme/r/secret/").await;
    assert!(rows.contains("key_7"), "it was cut: {rows}");
    let due = dormouse_secrets::due(&house.system, after(1), 10).await.unwrap();
    assert!(due.iter().any(|(_, due)| *due == Due::Import), "{due:?}");
    house
        .put("shared:OTHER", "another other value", SecretCategory::Tool)
        .await;
    nothing_is_left_of_it(&house).await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_believed_takes_room_from_an_import() {
    let house = House::in_memory().await.enabled().await;
    let agent = &live_all(&house)[0];
    for number in 0..=PER_SCOPE_MAX - EACH {
        put_in(&house.secrets, &house, &format!("agent:agent0:OTHER_{number}")).await;
    }
    let key = format!("t/acme/r/secret/agent/agent0/{}/other_0", agent.incarnation);
    house
        .edit(&key, |text| text.replace("\"schema\":1", "\"schema\":2"))
        .await;
    let refused = import(&house, EACH, "new", Existing::Refuse).await;
    assert!(
        matches!(refused, Err(ImportError::Secret(SecretError::Full { .. }))),
        "{refused:?}"
    );
}
