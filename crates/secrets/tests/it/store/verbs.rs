//! The verbs: put, delete, list, info, status, effective, resolve.

use dormouse_filesystem::wrapper::{FaultKind, Operation};
use dormouse_secrets::{
    Deletion, Done, Effective, Expect, Filter, Holder, LeaseError, LeaseOptions, OnAgentDelete, Purpose,
    PutMeta, Secret, SecretCategory, SecretError, SecretName, Short, Usable, due,
};

use super::environment::value;
use super::house::{DAY, House, at, secret};
use super::on_every_store;

on_every_store! {
    /// SE-2
    what_is_one_agents_leaves_no_trace_with_another;
    /// SE-6
    a_store_that_fails_on_the_agents_row_is_no_reason_to_read_the_shared_one;
    /// SE-9
    each_listed_item_is_taken_by_every_verb_and_the_counts_are_those_of_the_list;
    /// SE-10
    a_deletion_finds_what_is_there_and_asks_about_what_names_it;
    /// SE-12
    only_a_listed_origin_gets_a_tool_secret_typed_in;
    /// SE-14
    values_out_of_bounds_are_refused_and_a_short_one_shows_what_it_is;
    /// SE-15
    an_equal_put_writes_nothing_and_another_category_is_another_generation;
    a_put_that_expects_something_else_is_refused;
    generations_do_not_recur_after_a_delete;
    names_that_are_taken_are_refused_in_any_case_of_letters;
    /// SE-85
    a_new_agent_of_an_old_id_sees_nothing_and_restore_works_for_a_week;
    what_an_agent_is_offered_says_which_row_wins;
    another_tenant_has_its_own;
    /// SE-16
    nothing_prints_what_it_holds;
    replaced_values_go_after_a_week_and_at_most_three_are_kept;
}

fn holder() -> Holder {
    Holder::Service("test".to_owned())
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

async fn what_is_one_agents_leaves_no_trace_with_another(house: House) {
    let house = house.enabled().await;
    house
        .put("agent:a:X", "the value of X", SecretCategory::Tool)
        .await;
    let (a, b) = (house.live("a", 1), house.live("b", 2));
    let set = super::environment::set(&house.secrets, &house, &b).await.unwrap();
    assert!(set.env.is_empty() && set.names.is_empty());
    assert_eq!(set.scrubber.scrub("the value of X").as_str(), "the value of X");
    let own = super::environment::set(&house.secrets, &house, &a).await.unwrap();
    assert_eq!(own.scrubber.scrub("the value of X").as_str(), "[redacted:X]");
    assert!(
        house
            .secrets
            .list(&Filter::Agent(b.id.clone()))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(house.secrets.effective(&b.id).await.unwrap().is_empty());
    let found = |reference: &str| {
        let reference = at(reference);
        let secrets = house.secrets.clone();
        async move { secrets.info(&reference).await.unwrap_err().to_string() }
    };
    assert_eq!(found("agent:b:X").await, "there is no secret agent:b:X");
    assert_eq!(found("agent:b:Y").await, "there is no secret agent:b:Y");
    assert_eq!(found("shared:X").await, "there is no secret shared:X");
}

async fn a_store_that_fails_on_the_agents_row_is_no_reason_to_read_the_shared_one(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:X", "the shared value", SecretCategory::Tool)
        .await;
    let origin = "https://example.org".parse().unwrap();
    let meta = PutMeta {
        origins: vec![origin],
        ..PutMeta::default()
    };
    let value = secret("the own value");
    let own = at("agent:a:X");
    house
        .secrets
        .put(
            &house.call(0),
            &own,
            &value,
            SecretCategory::Tool,
            &meta,
            Expect::Any,
        )
        .await
        .unwrap();
    let agent = house.live("a", 1);
    // Vault and ring are read first, then the agent's row.
    let third = |operation| {
        for _ in 0..2 {
            house
                .store
                .next(operation, FaultKind::Delay(std::time::Duration::ZERO));
        }
        house.store.next(operation, FaultKind::Refuse);
    };
    for purpose in [
        Purpose::Env,
        Purpose::Reference,
        Purpose::Fill("https://example.org".parse().unwrap()),
    ] {
        third(Operation::Get);
        let refused = house
            .secrets
            .resolve(
                &house.call(0),
                Some(&agent),
                &name("X"),
                &purpose,
                &holder(),
                LeaseOptions::default(),
            )
            .await;
        let is_store = matches!(refused, Err(LeaseError::Secret(SecretError::Store(_))));
        assert!(is_store, "{purpose:?} {refused:?}");
    }
    house.store.next(Operation::List, FaultKind::Refuse);
    assert!(
        super::environment::set(&house.secrets, &house, &agent)
            .await
            .is_err()
    );
    house
        .store
        .next(Operation::List, FaultKind::Delay(std::time::Duration::ZERO));
    house.store.next(Operation::List, FaultKind::Refuse);
    assert!(house.secrets.effective(&agent.id).await.is_err());
}

async fn each_listed_item_is_taken_by_every_verb_and_the_counts_are_those_of_the_list(house: House) {
    let house = house.enabled().await;
    for reference in ["shared:G", "shared:H", "agent:a:G", "agent:b:Z_9"] {
        house
            .put(reference, "some value of it", SecretCategory::Tool)
            .await;
    }
    house
        .put("agent:a:OLD", "some value of it", SecretCategory::System)
        .await;
    house.live("a", 9);
    house
        .put("agent:a:NEW", "some value of it", SecretCategory::System)
        .await;
    let listed = house.secrets.list(&Filter::All).await.unwrap();
    let printed: Vec<String> = listed.iter().map(|meta| meta.at.to_string()).collect();
    assert_eq!(printed, ["shared:G", "shared:H", "agent:a:NEW", "agent:b:Z_9"]);
    let status = house.secrets.status().await.unwrap();
    assert_eq!((status.shared, status.of_agents), (2, 2));
    for meta in listed {
        let at = meta.at.clone();
        assert_eq!(house.secrets.info(&at).await.unwrap(), meta);
        let expect = Expect::Generation(meta.generation);
        let value = secret("another value of it");
        let put = house
            .secrets
            .put(
                &house.call(1),
                &at,
                &value,
                meta.category,
                &PutMeta::default(),
                expect,
            )
            .await
            .unwrap();
        assert_eq!(put.meta().generation, meta.generation + 1);
        let lease = house
            .secrets
            .lease(
                &house.call(1),
                &at,
                &Purpose::Reference,
                &holder(),
                LeaseOptions::default(),
            )
            .await
            .unwrap();
        let used = house
            .secrets
            .use_lease(&house.call(1), lease.id(), &holder())
            .await
            .unwrap();
        assert_eq!(
            used.expose(house.call(1).now).unwrap().expose_text(),
            Some("another value of it")
        );
        house
            .secrets
            .delete(&house.call(2), &at, &Deletion::Unless(Vec::new()))
            .await
            .unwrap();
    }
    assert!(house.secrets.list(&Filter::All).await.unwrap().is_empty());
}

async fn a_deletion_finds_what_is_there_and_asks_about_what_names_it(house: House) {
    let house = house.enabled().await;
    let delete = |deletion: Deletion| {
        let secrets = house.secrets.clone();
        let call = house.call(0);
        async move { secrets.delete(&call, &at("shared:G"), &deletion).await }
    };
    assert!(matches!(
        delete(Deletion::Force).await,
        Err(SecretError::NotFound { .. })
    ));
    house.put("shared:G", "value of G", SecretCategory::Tool).await;
    let places = vec!["mcp.server".to_owned(), "schedule nightly".to_owned()];
    match delete(Deletion::Unless(places.clone())).await {
        Err(SecretError::Referenced { by, .. }) => assert_eq!(by, places),
        other => panic!("{other:?}"),
    }
    assert!(house.secrets.info(&at("shared:G")).await.is_ok());
    delete(Deletion::Force).await.unwrap();
    assert!(matches!(
        delete(Deletion::Force).await,
        Err(SecretError::NotFound { .. })
    ));
}

async fn only_a_listed_origin_gets_a_tool_secret_typed_in(house: House) {
    let house = house.enabled().await;
    let origin = || "https://example.org".parse().unwrap();
    let with = PutMeta {
        origins: vec![origin()],
        ..PutMeta::default()
    };
    let value = secret("the value of it");
    for (reference, category, meta) in [
        ("shared:SYSTEM", SecretCategory::System, &with),
        ("shared:BARE", SecretCategory::Tool, &PutMeta::default()),
        ("shared:LISTED", SecretCategory::Tool, &with),
    ] {
        let (call, at) = (house.call(0), at(reference));
        let put = house.secrets.put(&call, &at, &value, category, meta, Expect::Any);
        put.await.unwrap();
    }
    let fill = |text: &str, origin: &str| {
        let (secrets, call, name) = (house.secrets.clone(), house.call(0), name(text));
        let purpose = Purpose::Fill(origin.parse().unwrap());
        async move {
            secrets
                .resolve(&call, None, &name, &purpose, &holder(), LeaseOptions::default())
                .await
        }
    };
    let example = "https://example.org";
    let refused = |result| matches!(result, Err(LeaseError::Secret(error)) if matches!(error, SecretError::PurposeRefused { .. } | SecretError::OriginRefused { .. }));
    assert!(refused(fill("SYSTEM", example).await));
    assert!(refused(fill("BARE", example).await));
    assert!(refused(fill("LISTED", "https://example.com").await));
    assert!(refused(fill("LISTED", "http://example.org").await));
    assert!(refused(fill("LISTED", "https://example.org:8443").await));
    assert!(fill("LISTED", example).await.is_ok());
}

async fn values_out_of_bounds_are_refused_and_a_short_one_shows_what_it_is(house: House) {
    let house = house.enabled().await;
    let put = |value: Vec<u8>, category, short| {
        let (secrets, call) = (house.secrets.clone(), house.call(0));
        let meta = PutMeta {
            short,
            ..PutMeta::default()
        };
        async move {
            secrets
                .put(
                    &call,
                    &at("shared:G"),
                    &Secret::new(value),
                    category,
                    &meta,
                    Expect::Any,
                )
                .await
        }
    };
    let (tool, system) = (SecretCategory::Tool, SecretCategory::System);
    assert!(matches!(
        put(vec![], tool, Short::Accept).await,
        Err(SecretError::TooShort)
    ));
    assert!(matches!(
        put(b"1234567".to_vec(), tool, Short::Refuse).await,
        Err(SecretError::TooShort)
    ));
    let long = vec![b'x'; 32 * 1024 + 1];
    assert!(matches!(
        put(long, system, Short::Refuse).await,
        Err(SecretError::TooLong)
    ));
    assert!(matches!(
        put(b"1234\x005678".to_vec(), tool, Short::Refuse).await,
        Err(SecretError::NotText)
    ));
    assert!(matches!(
        put(b"\xff\xfe345678".to_vec(), tool, Short::Refuse).await,
        Err(SecretError::NotText)
    ));
    let marker = b"see [redacted:KEY]".to_vec();
    assert!(matches!(
        put(marker, system, Short::Refuse).await,
        Err(SecretError::ContainsMarker)
    ));
    assert!(
        house.secrets.list(&Filter::All).await.unwrap().is_empty(),
        "nothing was written"
    );
    put(b"1234567".to_vec(), tool, Short::Accept).await.unwrap();
    assert!(house.secrets.list(&Filter::All).await.unwrap()[0].unscrubbed);
    put(b"1234\x005678".to_vec(), system, Short::Refuse)
        .await
        .unwrap();
    put(vec![b'x'; 32 * 1024], tool, Short::Refuse).await.unwrap();
    assert!(!house.secrets.list(&Filter::All).await.unwrap()[0].unscrubbed);
}

async fn an_equal_put_writes_nothing_and_another_category_is_another_generation(house: House) {
    let house = house.enabled().await;
    house.put("shared:G", "value of G", SecretCategory::Tool).await;
    let row = "t/acme/r/secret/shared/g";
    let before = house.stored(row).await;
    let again = house.put("shared:G", "value of G", SecretCategory::Tool).await;
    assert!(matches!(again, Done::Unchanged(_)));
    assert_eq!(house.stored(row).await, before);
    let other = house.put("shared:G", "value of G", SecretCategory::System).await;
    assert_eq!(other.meta().generation, 2);
    let meta = PutMeta {
        note: "by hand".to_owned(),
        ..PutMeta::default()
    };
    let value = secret("value of G");
    let noted = house
        .secrets
        .put(
            &house.call(0),
            &at("shared:G"),
            &value,
            SecretCategory::System,
            &meta,
            Expect::Any,
        )
        .await
        .unwrap();
    assert_eq!(
        (noted.meta().generation, noted.meta().note.as_str()),
        (2, "by hand")
    );
}

async fn a_put_that_expects_something_else_is_refused(house: House) {
    let house = house.enabled().await;
    let put = |expect| {
        let (secrets, call) = (house.secrets.clone(), house.call(0));
        async move {
            let (at, value, meta) = (at("shared:G"), secret("value of G"), PutMeta::default());
            secrets
                .put(&call, &at, &value, SecretCategory::Tool, &meta, expect)
                .await
        }
    };
    assert!(matches!(
        put(Expect::Generation(1)).await,
        Err(SecretError::Conflict { .. })
    ));
    put(Expect::Absent).await.unwrap();
    assert!(matches!(
        put(Expect::Absent).await,
        Err(SecretError::Exists { .. })
    ));
    assert!(matches!(
        put(Expect::Generation(2)).await,
        Err(SecretError::Conflict { .. })
    ));
    assert!(matches!(put(Expect::Generation(1)).await, Ok(Done::Unchanged(_))));
}

async fn generations_do_not_recur_after_a_delete(house: House) {
    let house = house.enabled().await;
    house.put("shared:G", "value of G", SecretCategory::Tool).await;
    house.put("shared:G", "value 2 of G", SecretCategory::Tool).await;
    house
        .secrets
        .delete(&house.call(0), &at("shared:G"), &Deletion::Force)
        .await
        .unwrap();
    let row = String::from_utf8(
        house
            .stored("t/acme/r/secret/shared/g")
            .await
            .unwrap()
            .value
            .to_vec(),
    )
    .unwrap();
    assert!(!row.contains("sealed"), "no generation is left of it");
    assert_eq!(
        house
            .put("shared:G", "value 3 of G", SecretCategory::Tool)
            .await
            .meta()
            .generation,
        3
    );
    house
        .secrets
        .delete(&house.call(0), &at("shared:G"), &Deletion::Force)
        .await
        .unwrap();
    assert!(
        due(&house.system, house.call(90 * DAY - 1).now, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let over = due(&house.system, house.call(90 * DAY + 1).now, 10)
        .await
        .unwrap();
    assert_eq!(over.len(), 1);
    house
        .secrets
        .retire(&house.call(90 * DAY + 1), &over[0].1)
        .await
        .unwrap();
    assert_eq!(house.stored("t/acme/r/secret/shared/g").await, None);
}

/// In memory alone, as it is many commits.
#[tokio::test]
async fn a_scope_takes_so_many_and_no_more() {
    let house = House::in_memory().await.enabled().await;
    for at in 0..256 {
        house
            .put(&format!("shared:G{at}"), "value of many", SecretCategory::Tool)
            .await;
    }
    let refused = house
        .try_put("shared:ONE_MORE", "value of many", SecretCategory::Tool)
        .await;
    assert!(matches!(refused, Err(SecretError::Full { max: 256 })));
    house
        .put("shared:G7", "another value", SecretCategory::Tool)
        .await;
    house
        .put("agent:a:ONE_MORE", "another value", SecretCategory::Tool)
        .await;
}

async fn names_that_are_taken_are_refused_in_any_case_of_letters(house: House) {
    let house = house.enabled().await;
    for name in ["PATH", "DORMOUSE_X", "LC_ALL"] {
        let refused = house
            .try_put(&format!("shared:{name}"), "value of it", SecretCategory::Tool)
            .await;
        assert!(matches!(refused, Err(SecretError::Reserved { .. })), "{name}");
    }
    for name in ["NODE_OPTIONS", "LD_PRELOAD", "NPM_CONFIG_X", "GIT_CONFIG"] {
        let refused = house
            .try_put(&format!("agent:a:{name}"), "value of it", SecretCategory::System)
            .await;
        assert!(matches!(refused, Err(SecretError::CodeLoading { .. })), "{name}");
    }
    for text in ["Path", "ld_preload", "npm_config_registry", "http_proxy"] {
        assert_eq!(
            dormouse_secrets::reserved(text).is_some(),
            text != "http_proxy",
            "{text}"
        );
    }
}

async fn a_new_agent_of_an_old_id_sees_nothing_and_restore_works_for_a_week(house: House) {
    let house = house.enabled().await;
    let old = house.live("a", 1);
    house
        .put("agent:a:X", "the value of X", SecretCategory::Tool)
        .await;
    house
        .put("agent:a:Y", "the value of Y", SecretCategory::Tool)
        .await;
    // Cut before anything was set aside: made again, it sees nothing.
    house.die("a");
    assert!(matches!(
        house.secrets.info(&at("agent:a:X")).await,
        Err(SecretError::NotFound { .. })
    ));
    let new = house.live("a", 7);
    let sees = || async {
        let set = super::environment::set(&house.secrets, &house, &new)
            .await
            .unwrap();
        let listed = house.secrets.list(&Filter::All).await.unwrap();
        (
            set.names.len(),
            listed.len(),
            house.secrets.effective(&new.id).await.unwrap().len(),
        )
    };
    assert_eq!(sees().await, (0, 0, 0));
    // Cut in the middle, and repeated.
    house.store.next(Operation::Commit, FaultKind::LoseAfter);
    assert!(
        house
            .secrets
            .agent_ended(&house.call(0), &old, OnAgentDelete::Quarantine)
            .await
            .is_err()
    );
    assert_eq!(sees().await, (0, 0, 0));
    house
        .secrets
        .agent_ended(&house.call(0), &old, OnAgentDelete::Quarantine)
        .await
        .unwrap();
    assert_eq!(sees().await, (0, 0, 0));
    assert!(
        due(&house.system, house.call(7 * DAY - 1).now, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let restored = house
        .secrets
        .restore(&house.call(6 * DAY), &old, &new)
        .await
        .unwrap();
    assert_eq!(restored, [name("X"), name("Y")]);
    assert_eq!(
        value(&house.secrets, &house, "a", "X").await.as_deref(),
        Some("the value of X")
    );
    // Ended again, nobody restores them: they go.
    house.die("a");
    house
        .secrets
        .agent_ended(&house.call(0), &new, OnAgentDelete::Quarantine)
        .await
        .unwrap();
    for (_, due) in due(&house.system, house.call(7 * DAY + 1).now, 10).await.unwrap() {
        house
            .secrets
            .retire(&house.call(7 * DAY + 1), &due)
            .await
            .unwrap();
    }
    let last = house.live("a", 8);
    assert!(
        house
            .secrets
            .restore(&house.call(8 * DAY), &new, &last)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn what_an_agent_is_offered_says_which_row_wins(house: House) {
    let house = house.enabled().await;
    house.put("shared:G", "the shared G", SecretCategory::Tool).await;
    house.put("shared:H", "the shared H", SecretCategory::Tool).await;
    house.put("agent:a:G", "the own G", SecretCategory::System).await;
    let agent = house.live("a", 1);
    let effective = |reference: &str, category, shadows, usable| Effective {
        at: at(reference),
        category: Some(category),
        shadows,
        usable,
    };
    let expected = |usable| {
        vec![
            effective("agent:a:G", SecretCategory::System, true, Usable::SystemOnly),
            effective("shared:H", SecretCategory::Tool, false, usable),
        ]
    };
    assert_eq!(
        house.secrets.effective(&agent.id).await.unwrap(),
        expected(Usable::Yes)
    );
    house.vault.lock(&house.call(0)).await.unwrap();
    assert_eq!(
        house.secrets.effective(&agent.id).await.unwrap(),
        expected(Usable::NotUnlocked)
    );
}

async fn another_tenant_has_its_own(house: House) {
    let house = house.enabled().await;
    house.put("shared:G", "value of acme", SecretCategory::Tool).await;
    let other = house.tenant("burrow");
    assert!(matches!(
        other.info(&at("shared:G")).await,
        Err(SecretError::NotFound { .. })
    ));
    let (value, meta) = (secret("value of acme"), PutMeta::default());
    let (call, place) = (house.call(0), at("shared:G"));
    let put = other.put(&call, &place, &value, SecretCategory::Tool, &meta, Expect::Any);
    let print = put.await.unwrap().meta().fingerprint;
    let own = house.secrets.info(&at("shared:G")).await.unwrap().fingerprint;
    assert_ne!(
        print, own,
        "equal values look equal within a tenant, never across"
    );
    let again = house
        .put("agent:a:G", "value of acme", SecretCategory::System)
        .await;
    assert_eq!(again.meta().fingerprint, own);
}

async fn replaced_values_go_after_a_week_and_at_most_three_are_kept(house: House) {
    let house = house.enabled().await;
    for at in 0..6 {
        house
            .put("shared:G", &format!("value {at} of G"), SecretCategory::Tool)
            .await;
    }
    let agent = house.live("a", 1);
    let shown = || async {
        let set = super::environment::set(&house.secrets, &house, &agent)
            .await
            .unwrap();
        (0..6)
            .filter(|at| set.scrubber.scrub(&format!("value {at} of G")).as_str() != "[redacted:G]")
            .count()
    };
    assert_eq!(shown().await, 2);
    let week = house.call(7 * DAY + 1);
    for (_, due) in due(&house.system, week.now, 10).await.unwrap() {
        house.secrets.retire(&week, &due).await.unwrap();
    }
    assert_eq!(shown().await, 5);
}

async fn nothing_prints_what_it_holds(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:G", "hunter2hunter2", SecretCategory::Tool)
        .await;
    let agent = house.live("a", 1);
    let set = super::environment::set(&house.secrets, &house, &agent)
        .await
        .unwrap();
    let id = house
        .secrets
        .lease(
            &house.call(0),
            &at("shared:G"),
            &Purpose::Env,
            &holder(),
            LeaseOptions::default(),
        )
        .await
        .unwrap()
        .id();
    let lease = house
        .secrets
        .use_lease(&house.call(0), id, &holder())
        .await
        .unwrap();
    let value = lease.expose(house.call(0).now).unwrap();
    // A panic's payload and an error chain are made of the same Debug.
    let panicked =
        std::panic::catch_unwind(|| std::panic::panic_any(format!("{lease:?} {value:?} {:?}", set.env)));
    let payload = *panicked.unwrap_err().downcast::<String>().unwrap();
    let refused = house
        .try_put("shared:H", "hunter2hunter2[redacted:", SecretCategory::Tool)
        .await
        .unwrap_err();
    let late = lease.expose(house.call(900).now).unwrap_err();
    for text in [
        format!("{set:?}"),
        payload,
        format!("{refused:?} {refused}"),
        format!("{late:?} {late}"),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert_eq!(format!("{value:?}"), "***");
    assert_eq!(format!("{:?}", set.env), "{\"G\": \"***\"}");
    assert!(format!("{lease:?}").contains("***"));
}
