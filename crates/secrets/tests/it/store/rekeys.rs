//! Rekeys with others in between.

use dormouse_secrets::{
    AgentAt, LeaseId, LeaseOptions, LegacyOwner, OnAgentDelete, Purpose, SecretCategory, SecretError,
    SecretName,
};

use super::environment::value_or;
use super::house::{House, at};
use super::{legacy, staged};

async fn keys_of_the_ring(house: &House) -> usize {
    let ring = house.stored("t/acme/r/secret_keys/ring").await.unwrap();
    let ring: serde_json::Value = serde_json::from_slice(&ring.value).unwrap();
    ring["value"]["keys"].as_array().unwrap().len()
}

async fn begin(house: &House, seconds: i64) {
    let begun = house.vault.begin_rekey(&house.call(seconds), &house.key(1)).await;
    begun.unwrap();
}

#[tokio::test]
async fn an_end_that_comes_late_leaves_the_next_rekey_its_old_root_key() {
    let (house, store) = staged::stopping().await;
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    begin(&house, 1).await;
    house.secrets.rekey(&house.call(1)).await.unwrap();
    let late = store.stop_ahead(1);
    let (in_time, too_late) = (house.call(62), house.call(61));
    let ends = house.vault.end_rekey(&too_late, &house.system);
    let others = async {
        late.reached().await;
        let has_ended = house.vault.end_rekey(&in_time, &house.system).await;
        assert!(has_ended.unwrap());
        begin(&house, 63).await;
        late.go();
    };
    let (has_ended, ()) = tokio::join!(ends, others);
    assert!(!has_ended.unwrap(), "others did");
    assert!(house.vault.is_rekeying().await.unwrap());
    let value = value_or(&house.secrets, &house, "shared:G").await;
    assert_eq!(value.unwrap(), "the value of G");
}

#[tokio::test]
async fn a_key_stays_that_a_row_set_aside_may_name_which_a_newer_build_wrote() {
    let house = House::in_memory().await.enabled().await;
    let source = legacy::legacy(2, vec![legacy::row("a|nobody|KEY", "nobody's value")]);
    let migrated = house
        .secrets
        .migrate(&house.call(1), &source, &LegacyOwner::Keys)
        .await
        .unwrap();
    let id = &migrated.quarantined[0].id;
    let key = format!("t/acme/r/secret_quarantine/{id}");
    house
        .edit(&key, |text| text.replace("\"schema\":1", "\"schema\":2"))
        .await;
    begin(&house, 2).await;
    house.secrets.rekey(&house.call(2)).await.unwrap();
    assert_eq!(keys_of_the_ring(&house).await, 2);
    house
        .edit(&key, |text| text.replace("\"schema\":2", "\"schema\":1"))
        .await;
    house.secrets.rekey(&house.call(3)).await.unwrap();
    assert_eq!(keys_of_the_ring(&house).await, 1, "it is under the new one now");
}

/// What reads one secret.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Lease,
    Resolve,
    Use(LeaseId),
    Export,
}

async fn read(house: &House, verb: Verb) -> Result<(), String> {
    let (secrets, call, holder) = (&house.secrets, house.call(2), staged::holder());
    let (purpose, options) = (Purpose::Reference, LeaseOptions::default());
    let done = match verb {
        Verb::Lease => {
            let granted = secrets
                .lease(&call, &at("shared:G"), &purpose, &holder, options)
                .await;
            granted.map(drop).map_err(|error| error.to_string())
        }
        Verb::Resolve => {
            let name = SecretName::parse("G").unwrap();
            let granted = secrets
                .resolve(&call, None, &name, &purpose, &holder, options)
                .await;
            granted.map(drop).map_err(|error| error.to_string())
        }
        Verb::Use(lease) => {
            let used = secrets.use_lease(&call, lease, &holder).await;
            used.map(drop).map_err(|error| error.to_string())
        }
        Verb::Export => {
            let folder = tempfile::tempdir().unwrap();
            let exported = secrets.export_in_clear(&call, folder.path().join("all")).await;
            exported.map(drop).map_err(|error| error.to_string())
        }
    };
    done.map_err(|error| format!("{verb:?}: {error}"))
}

/// Of each verb, the read of the ring that is followed by the row's.
const VERBS: [(&str, u64); 4] = [("lease", 1), ("resolve", 1), ("use", 1), ("export", 2)];

#[tokio::test]
async fn a_rekey_between_the_reads_of_a_verb_is_read_again() {
    for (verb, ring_read) in VERBS {
        for (row, number) in [
            ("t/acme/r/secret_keys/ring", ring_read),
            ("t/acme/r/secret/shared/g", 1),
        ] {
            let (house, store) = staged::stopping().await;
            house
                .put("shared:G", "the value of G", SecretCategory::Tool)
                .await;
            let (purpose, options) = (Purpose::Reference, LeaseOptions::default());
            let granted = house
                .secrets
                .lease(
                    &house.call(1),
                    &at("shared:G"),
                    &purpose,
                    &staged::holder(),
                    options,
                )
                .await
                .unwrap();
            let verb = match verb {
                "lease" => Verb::Lease,
                "resolve" => Verb::Resolve,
                "use" => Verb::Use(granted.id()),
                _ => Verb::Export,
            };
            let between = store.stop_read(row, number);
            let rekeys = async {
                between.reached().await;
                begin(&house, 2).await;
                house.secrets.rekey(&house.call(2)).await.unwrap();
                between.go();
            };
            let (done, ()) = tokio::join!(read(&house, verb), rekeys);
            assert_eq!(done, Ok(()), "before the read of {row}");
        }
    }
}

/// An agent whose first life ended with a secret set aside, and its second life.
async fn lives_of_a(house: &House) -> (AgentAt, AgentAt) {
    let first = house.live("a", 1);
    house
        .put("agent:a:G", "the value of G", SecretCategory::Tool)
        .await;
    let quarantine = OnAgentDelete::Quarantine;
    house
        .secrets
        .agent_ended(&house.call(1), &first, quarantine)
        .await
        .unwrap();
    (first, house.live("a", 2))
}

#[tokio::test]
async fn what_is_restored_is_read_again_when_others_changed_it() {
    let (house, store) = staged::stopping().await;
    let (first, second) = lives_of_a(&house).await;
    let commit = store.stop_ahead(1);
    let (call, key) = (
        house.call(2),
        format!("t/acme/r/secret/agent/a/{}/g", first.incarnation),
    );
    let restores = house.secrets.restore(&call, &first, &second);
    let others = async {
        commit.reached().await;
        house
            .edit(&key, |text| {
                text.replace("\"note\":\"\"", "\"note\":\"by others\"")
            })
            .await;
        commit.go();
    };
    let (names, ()) = tokio::join!(restores, others);
    assert_eq!(names.unwrap(), [SecretName::parse("G").unwrap()]);
    assert_eq!(
        house.secrets.info(&at("agent:a:G")).await.unwrap().note,
        "by others"
    );
}

#[tokio::test]
async fn what_others_change_each_time_is_not_told_as_restored() {
    let (house, store) = staged::stopping().await;
    let (first, second) = lives_of_a(&house).await;
    drop(store);
    let conflict = dormouse_filesystem::wrapper::FaultKind::Conflict;
    let commits = dormouse_filesystem::wrapper::Operation::Commit;
    house.store.always(commits, Some(conflict));
    let refused = house.secrets.restore(&house.call(2), &first, &second).await;
    assert!(
        matches!(refused, Err(SecretError::Conflict { .. })),
        "{refused:?}"
    );
}
