//! Secrets of older layouts.

use std::sync::Arc;

use dormouse_secrets::{
    DestroyError, Filter, Legacy, LegacyMeta, LegacyOwner, LegacyRow, MigrateError, OpenValues, Quarantined,
    SecretCategory, SecretError, Secrets, Unplaceable, Unplaced, destroy_source,
};

use super::environment::value_or;
use super::house::{DAY, House, after, at, secret};

super::on_every_store! {
    /// SE-80
    unscoped_keys_become_the_tenants_once;
    /// SE-81
    a_scoped_key_wins_and_the_other_is_set_aside;
    a_row_that_cannot_be_believed_keeps_the_source_and_is_no_error;
    /// SE-82
    what_is_not_understood_changes_nothing;
    /// SE-83
    the_store_of_one_agent_becomes_that_agents;
    /// SE-13
    a_name_that_loads_code_is_refused_set_aside_and_never_injected;
    what_is_set_aside_is_placed_by_somebody_or_goes_after_a_week;
    what_is_foretold_comes_to_pass_and_foretelling_writes_nothing;
}

pub(super) fn row(key: &str, value: &str) -> LegacyRow {
    LegacyRow {
        key: key.replace('|', "\0").into_bytes(),
        value: Some(secret(value)),
        meta: Some(meta()),
    }
}

fn meta() -> LegacyMeta {
    LegacyMeta {
        category: SecretCategory::Tool,
        created_at: after(-500),
        updated_at: after(-400),
        origins: Vec::new(),
        note: "of old".to_owned(),
    }
}

pub(super) fn legacy(layout: u32, rows: Vec<LegacyRow>) -> Legacy {
    Legacy { layout, rows }
}

/// What `large` comes to: placed, and set aside.
pub(super) const LARGE: (usize, usize) = (240, 10);

/// More than two pages: placed in the tenant and two agents, and some that cannot be.
pub(super) fn large() -> Legacy {
    let rows = (0..LARGE.0).map(|number| match number % 3 {
        0 => row(&format!("s|NAME_{number}"), &format!("shared value {number}")),
        1 => row(&format!("a|a|NAME_{number}"), &format!("value of a {number}")),
        _ => row(&format!("a|b|NAME_{number}"), &format!("value of b {number}")),
    });
    let aside =
        (0..LARGE.1).map(|number| row(&format!("a|nobody|NAME_{number}"), &format!("nobody's {number}")));
    legacy(2, rows.chain(aside).collect())
}

/// All that the source has.
pub(super) fn bytes_of(legacy: &Legacy) -> Vec<u8> {
    let rows = legacy.rows.iter();
    rows.flat_map(|row| [row.key.as_slice(), row.value.as_ref().unwrap().expose()].concat())
        .collect()
}

async fn unscoped_keys_become_the_tenants_once(house: House) {
    let house = house.enabled().await;
    let source = legacy(
        1,
        ["ONE", "TWO", "THREE"]
            .map(|name| row(name, &format!("value of {name}")))
            .into(),
    );
    let done = house
        .secrets
        .migrate(&house.call(1), &source, &LegacyOwner::Keys)
        .await
        .unwrap();
    assert_eq!(done.written.len(), 3);
    for name in ["ONE", "TWO", "THREE"] {
        let reference = format!("shared:{name}");
        assert_eq!(
            value_or(&house.secrets, &house, &reference).await.unwrap(),
            format!("value of {name}")
        );
        let known = house.secrets.info(&at(&reference)).await.unwrap();
        assert_eq!(
            (known.created_at, known.updated_at),
            (meta().created_at, meta().updated_at)
        );
        assert!(known.times_known && known.note == "of old");
    }
    drop(house.journal.take());
    let rows = house.text_of_rows("t/acme/r/").await;
    let again = house
        .secrets
        .migrate(&house.call(2), &source, &LegacyOwner::Keys)
        .await
        .unwrap();
    assert_eq!((again.written.len(), again.there.len()), (0, 3));
    assert_eq!(
        house.text_of_rows("t/acme/r/").await,
        rows,
        "the second writes nothing"
    );
    assert!(house.journal.take().0.is_empty());
}

async fn a_scoped_key_wins_and_the_other_is_set_aside(house: House) {
    let house = house.enabled().await;
    let source = legacy(
        2,
        vec![row("KEY", "the unscoped value"), row("s|KEY", "the scoped value")],
    );
    let done = house
        .secrets
        .migrate(&house.call(1), &source, &LegacyOwner::Keys)
        .await
        .unwrap();
    assert_eq!(done.written, [at("shared:KEY")]);
    assert_eq!(
        value_or(&house.secrets, &house, "shared:KEY").await.unwrap(),
        "the scoped value"
    );
    let aside = house.secrets.quarantined().await.unwrap();
    assert_eq!(aside, done.quarantined);
    assert_eq!(
        (aside[0].key.as_str(), aside[0].reason),
        ("KEY", Unplaced::Shadowed)
    );
    assert_eq!(aside.len(), 1);
    let missing = house
        .secrets
        .not_taken_over(&source, &LegacyOwner::Keys)
        .await
        .unwrap();
    assert_eq!(missing, ["KEY"], "what is set aside goes after a week");
    house
        .secrets
        .place_quarantined(&house.call(2), &aside[0].id, &at("agent:a:OTHER"))
        .await
        .unwrap();
    let missing = house
        .secrets
        .not_taken_over(&source, &LegacyOwner::Keys)
        .await
        .unwrap();
    assert!(missing.is_empty(), "{missing:?}");
}

async fn a_row_that_cannot_be_believed_keeps_the_source_and_is_no_error(house: House) {
    let house = house.enabled().await;
    let source = legacy(
        2,
        vec![row("s|KEY", "some value"), row("s|OTHER", "another value")],
    );
    let owner = LegacyOwner::Keys;
    let done = house
        .secrets
        .migrate(&house.call(1), &source, &owner)
        .await
        .unwrap();
    assert_eq!(done.written.len(), 2);
    let missing = house.secrets.not_taken_over(&source, &owner).await.unwrap();
    assert!(missing.is_empty(), "{missing:?}");
    let key = "t/acme/r/secret/shared/key";
    let original = house.stored(key).await.unwrap();
    house.write(key, &original, b"{".to_vec()).await;
    let missing = house.secrets.not_taken_over(&source, &owner).await.unwrap();
    assert_eq!(missing, ["s\\0KEY"]);
}

async fn what_is_not_understood_changes_nothing(house: House) {
    let house = house.enabled().await;
    let before = house.text_of_rows("").await;
    let good = || row("ONE", "value of ONE");
    for key in ["x|KEY", "ss|KEY", "|KEY", "S|KEY"] {
        let source = legacy(2, vec![good(), row(key, "some value")]);
        let refused = house
            .secrets
            .migrate(&house.call(1), &source, &LegacyOwner::Keys)
            .await;
        assert!(
            matches!(refused, Err(MigrateError::UnknownTag { .. })),
            "{key}: {refused:?}"
        );
    }
    let refused = house
        .secrets
        .migrate(&house.call(1), &legacy(3, vec![good()]), &LegacyOwner::Keys)
        .await;
    assert!(matches!(refused, Err(MigrateError::NewerLayout { found: 3 })));
    assert_eq!(house.text_of_rows("").await, before);
    let bare = LegacyRow { meta: None, ..good() };
    house
        .secrets
        .migrate(&house.call(1), &legacy(2, vec![bare]), &LegacyOwner::Keys)
        .await
        .unwrap();
    assert!(!house.secrets.info(&at("shared:ONE")).await.unwrap().times_known);
}

async fn the_store_of_one_agent_becomes_that_agents(house: House) {
    let house = house.enabled().await;
    let broken = LegacyRow {
        value: None,
        ..row("BROKEN", "")
    };
    let source = legacy(1, vec![row("KEY", "value of a"), broken]);
    let owner = LegacyOwner::Agent("a".parse().unwrap());
    let done = house
        .secrets
        .migrate(&house.call(1), &source, &owner)
        .await
        .unwrap();
    assert_eq!(
        (done.written.as_slice(), done.unreadable.as_slice()),
        (&[at("agent:a:KEY")][..], &["BROKEN".to_owned()][..])
    );
    assert!(house.secrets.list(&Filter::Shared).await.unwrap().is_empty());
    assert_eq!(
        value_or(&house.secrets, &house, "agent:a:KEY").await.unwrap(),
        "value of a"
    );
    let missing = house.secrets.not_taken_over(&source, &owner).await.unwrap();
    assert_eq!(missing, ["BROKEN"], "the source may not go");
    let shared = legacy(1, vec![row("OTHER", "for everybody")]);
    house
        .secrets
        .migrate(&house.call(1), &shared, &LegacyOwner::Shared)
        .await
        .unwrap();
    assert_eq!(
        value_or(&house.secrets, &house, "shared:OTHER").await.unwrap(),
        "for everybody"
    );
}

async fn a_name_that_loads_code_is_refused_set_aside_and_never_injected(house: House) {
    let house = house.enabled().await;
    for name in ["PATH", "NODE_OPTIONS", "DORMOUSE_X"] {
        let refused = house
            .try_put(&format!("shared:{name}"), "some value", SecretCategory::Tool)
            .await;
        assert!(
            matches!(
                refused,
                Err(SecretError::Reserved { .. } | SecretError::CodeLoading { .. })
            ),
            "{name}"
        );
    }
    let source = legacy(
        2,
        vec![
            row("s|LD_PRELOAD", "/tmp/evil.so"),
            row("LD_AUDIT", "/tmp/evil.so"),
        ],
    );
    let done = house
        .secrets
        .migrate(&house.call(1), &source, &LegacyOwner::Keys)
        .await
        .unwrap();
    let reasons: Vec<Unplaced> = done.quarantined.iter().map(|aside| aside.reason).collect();
    assert_eq!(reasons, [Unplaced::Reserved, Unplaced::Reserved]);
    let agent = house.live("a", 1);
    let set = super::environment::set(&house.secrets, &house, &agent)
        .await
        .unwrap();
    assert!(set.env.is_empty());
    let place = house
        .secrets
        .place_quarantined(&house.call(1), &done.quarantined[0].id, &at("shared:LD_PRELOAD"))
        .await;
    assert!(matches!(place, Err(SecretError::CodeLoading { .. })));
}

async fn what_is_set_aside_is_placed_by_somebody_or_goes_after_a_week(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:KEY", "the value there is", SecretCategory::Tool)
        .await;
    let rows = vec![
        row("s|KEY", "another value"),
        row("a|nobody|KEY", "nobody's value"),
        row("s|low", "of no name"),
    ];
    let source = legacy(2, rows);
    let done = house
        .secrets
        .migrate(&house.call(1), &source, &LegacyOwner::Keys)
        .await
        .unwrap();
    let reasons: Vec<Unplaced> = done.quarantined.iter().map(|aside| aside.reason).collect();
    assert_eq!(
        reasons,
        [Unplaced::NoAgent, Unplaced::Exists, Unplaced::InvalidKey]
    );
    assert_eq!(
        value_or(&house.secrets, &house, "shared:KEY").await.unwrap(),
        "the value there is"
    );
    // A rekey takes it along.
    house
        .vault
        .begin_rekey(&house.call(2), &house.key(1))
        .await
        .unwrap();
    house.secrets.rekey(&house.call(2)).await.unwrap();
    let placed = &done.quarantined[1].id;
    let taken = house
        .secrets
        .place_quarantined(&house.call(3), placed, &at("shared:KEY"))
        .await;
    assert!(matches!(taken, Err(SecretError::Exists { .. })));
    house
        .secrets
        .place_quarantined(&house.call(3), placed, &at("agent:a:OLD_KEY"))
        .await
        .unwrap();
    assert_eq!(
        value_or(&house.secrets, &house, "agent:a:OLD_KEY").await.unwrap(),
        "another value"
    );
    assert_eq!(house.secrets.quarantined().await.unwrap().len(), 2);
    let week = house.call(7 * DAY + 2);
    for (_, due) in dormouse_secrets::due(&house.system, week.now, 100).await.unwrap() {
        house.secrets.retire(&week, &due).await.unwrap();
    }
    assert!(house.secrets.quarantined().await.unwrap().is_empty());
    // Who migrates again is not told that these are there.
    let again = house
        .secrets
        .migrate(&week, &source, &LegacyOwner::Keys)
        .await
        .unwrap();
    assert_eq!(again.there, [at("shared:KEY")], "which has another value");
    assert_eq!(again.gone, ["a\\0nobody\\0KEY", "s\\0low"]);
    let owner = LegacyOwner::Keys;
    let foretold = house.secrets.foretell_migration(&source, &owner).await.unwrap();
    assert_eq!((foretold.there, foretold.gone), (again.there, again.gone));
    assert!(foretold.written.is_empty() && foretold.quarantined.is_empty());
}

async fn what_is_foretold_comes_to_pass_and_foretelling_writes_nothing(house: House) {
    let source = legacy(
        2,
        vec![
            row("KEY", "the unscoped value"),
            row("s|KEY", "the scoped value"),
            row("a|a|OWN", "the value of a"),
            row("a|nobody|KEY", "nobody's value"),
            row("s|LD_PRELOAD", "/tmp/evil.so"),
            LegacyRow {
                value: None,
                ..row("s|BROKEN", "")
            },
        ],
    );
    let before = house.text_of_rows("").await;
    let owner = LegacyOwner::Keys;
    let of_nothing = house.secrets.foretell_migration(&source, &owner).await.unwrap();
    assert_eq!(house.text_of_rows("").await, before, "not even a vault is made");

    let house = house.enabled().await;
    let before = house.text_of_rows("").await;
    let foretold = house.secrets.foretell_migration(&source, &owner).await.unwrap();
    assert_eq!(foretold, of_nothing);
    assert_eq!(house.text_of_rows("").await, before);
    let done = house
        .secrets
        .migrate(&house.call(1), &source, &owner)
        .await
        .unwrap();
    let reasons = |aside: &[Quarantined]| -> Vec<Unplaceable> {
        let told = |aside: &Quarantined| Unplaceable {
            key: aside.key.clone(),
            reason: aside.reason,
        };
        aside.iter().map(told).collect()
    };
    assert_eq!(
        (&foretold.written, &foretold.there, &foretold.unreadable),
        (&done.written, &done.there, &done.unreadable)
    );
    assert_eq!(foretold.quarantined, reasons(&done.quarantined));
    assert_eq!(
        (
            foretold.written.len(),
            foretold.quarantined.len(),
            foretold.unreadable.len()
        ),
        (2, 3, 1)
    );

    let again = house.secrets.foretell_migration(&source, &owner).await.unwrap();
    assert_eq!((again.written.len(), again.there), (0, done.written));
    house.vault.lock(&house.call(2)).await.unwrap();
    let locked = house.secrets.foretell_migration(&source, &owner).await;
    assert!(
        matches!(locked, Err(MigrateError::Secret(SecretError::Locked))),
        "{locked:?}"
    );
}

#[tokio::test]
async fn no_log_has_what_a_migration_takes_over_or_sets_aside() {
    let house = House::in_memory().await.enabled().await;
    let logs = OpenValues::default();
    let secrets = Secrets::new(
        &house.vault,
        &house.namespace(),
        house.living.clone(),
        Arc::new(logs.clone()),
    );
    let values = ["the value of KEY", "nobody's value", "of no name"];
    let keys = ["s|KEY", "a|nobody|NOBODYS", "s|low"];
    let rows = keys.iter().zip(values).map(|(key, value)| row(key, value));
    let source = legacy(2, rows.collect());
    secrets
        .migrate(&house.call(1), &source, &LegacyOwner::Keys)
        .await
        .unwrap();
    let logged = logs.scrub(&values.join(", "));
    assert_eq!(
        logged.as_str(),
        "[redacted:KEY], [redacted:NOBODYS], [redacted:LEGACY]"
    );
}

#[tokio::test]
async fn a_source_is_overwritten_and_gone_and_a_link_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link, other) = (
        folder.path().join("old"),
        folder.path().join("link"),
        folder.path().join("same"),
    );
    std::fs::write(&path, "the old value").unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let read = || secret("the old value");
    assert!(destroy_source(link, read()).await.is_err());
    for changed in ["the new value", "the old value, and more", "the old"] {
        std::fs::write(&path, changed).unwrap();
        let refused = destroy_source(path.clone(), read()).await;
        assert!(matches!(refused, Err(DestroyError::Changed)), "{refused:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), changed);
    }
    std::fs::write(&path, "the old value").unwrap();
    std::fs::hard_link(&path, &other).unwrap();
    destroy_source(path.clone(), read()).await.unwrap();
    assert!(!path.exists());
    assert_eq!(
        std::fs::read(other).unwrap(),
        [0; 13],
        "its bytes are gone under any name"
    );
}
