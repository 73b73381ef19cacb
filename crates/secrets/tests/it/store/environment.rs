//! The set of a run.

use dormouse_secrets::{
    AgentAt, Change, Holder, LeaseError, LeaseOptions, Need, Purpose, SecretCategory, SecretError,
    SecretName, Secrets, SpawnError, SpawnFor, SpawnSet, VaultState,
};

use super::house::{HOUR, House, after, at};
use super::on_every_store;

on_every_store! {
    /// SE-64
    a_scrubber_keeps_its_values_and_replaced_ones_are_redacted_for_a_week;
    /// SE-1
    an_own_value_hides_the_shared_one_of_its_name;
    /// SE-3
    a_system_secret_is_in_no_environment;
    /// SE-4
    a_row_that_does_not_open_takes_its_shared_namesake_with_it;
    /// SE-5
    an_own_system_secret_hides_a_shared_tool_secret;
    /// SE-44
    a_value_replaced_between_two_spawns_is_new_in_the_second_and_both_are_redacted;
    /// SE-48
    a_list_takes_exactly_its_names;
    /// SE-65
    everything_the_agent_could_print_is_redacted_and_nothing_of_another;
    a_locked_vault_lets_only_an_empty_set_start;
    the_sessions_of_a_run_are_written_with_its_starts_and_end_with_it;
}

pub(super) fn holder() -> Holder {
    Holder::Service("test".to_owned())
}

fn run(session: Option<dormouse_secrets::LeaseId>) -> SpawnFor {
    SpawnFor {
        run: "run_1".to_owned(),
        session,
        expires_at: after(HOUR),
    }
}

/// What a first worker of a run gets.
pub(super) async fn set(secrets: &Secrets, house: &House, agent: &AgentAt) -> Result<SpawnSet, SpawnError> {
    secrets
        .spawn_set(&house.call(0), agent, &Need::All, &run(None), Vec::new())
        .await
}

/// What a name is for an agent, by a reference.
pub(super) async fn value(secrets: &Secrets, house: &House, agent: &str, name: &str) -> Option<String> {
    let agent = house.live(agent, if agent == "a" && name == "X" { 7 } else { 1 });
    let (call, name) = (house.call(0), SecretName::parse(name).unwrap());
    let granted = secrets
        .resolve(
            &call,
            Some(&agent),
            &name,
            &Purpose::Reference,
            &fresh(house),
            LeaseOptions::default(),
        )
        .await
        .ok()?;
    let lease = secrets
        .use_lease(&call, granted.id(), &granted.row.holder)
        .await
        .ok()?;
    Some(lease.expose(call.now).unwrap().expose_text().unwrap().to_owned())
}

/// A holder that has no leases yet.
fn fresh(house: &House) -> Holder {
    let mut bytes = [0; 8];
    house.random.fill(&mut bytes);
    Holder::Service(format!("{bytes:?}"))
}

/// What a reference gives.
pub(super) async fn value_or(
    secrets: &Secrets,
    house: &House,
    reference: &str,
) -> Result<String, SecretError> {
    let call = house.call(0);
    let granted = secrets
        .lease(
            &call,
            &at(reference),
            &Purpose::Reference,
            &holder(),
            LeaseOptions::default(),
        )
        .await;
    let granted = granted.map_err(|error| match error {
        LeaseError::Secret(error) => error,
        other => panic!("{other}"),
    })?;
    let lease = secrets.use_lease(&call, granted.id(), &holder()).await.unwrap();
    Ok(lease.expose(call.now).unwrap().expose_text().unwrap().to_owned())
}

fn env(set: &SpawnSet) -> Vec<(String, String)> {
    let text = |value: &dormouse_secrets::Secret| value.expose_text().unwrap().to_owned();
    set.env
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn names(list: &[&str]) -> Vec<SecretName> {
    list.iter().map(|name| SecretName::parse(name).unwrap()).collect()
}

async fn an_own_value_hides_the_shared_one_of_its_name(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:G", "the shared one", SecretCategory::Tool)
        .await;
    house.put("agent:a:G", "the own one", SecretCategory::Tool).await;
    let of = |agent: AgentAt| {
        let house = &house;
        async move { env(&set(&house.secrets, house, &agent).await.unwrap()) }
    };
    assert_eq!(of(house.live("a", 1)).await, [pair("G", "the own one")]);
    assert_eq!(of(house.live("b", 2)).await, [pair("G", "the shared one")]);
}

async fn a_system_secret_is_in_no_environment(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:S", "a shared value", SecretCategory::System)
        .await;
    house
        .put("agent:a:T", "an own value", SecretCategory::System)
        .await;
    let set = set(&house.secrets, &house, &house.live("a", 1)).await.unwrap();
    assert!(set.env.is_empty() && set.names.is_empty());
}

async fn a_row_that_does_not_open_takes_its_shared_namesake_with_it(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:X", "the shared one", SecretCategory::Tool)
        .await;
    house.put("agent:a:X", "the own one", SecretCategory::Tool).await;
    let own = "t/acme/r/secret/agent/a/00000000000000000000000000000001/x";
    let original = house.stored(own).await.unwrap();
    let refused_spawns = async || house.secrets.status().await.unwrap().refused_spawns;
    for (number, damaged) in (1..).zip([
        b"{".to_vec(),
        String::from_utf8(original.value.to_vec())
            .unwrap()
            .replace("\"generation\":1", "\"generation\":3")
            .into_bytes(),
    ]) {
        house.write(own, &original, damaged).await;
        drop(house.journal.take());
        let refused = set(&house.secrets, &house, &house.live("a", 1)).await;
        assert!(
            matches!(&refused, Err(SpawnError::Unreadable { names: found }) if *found == names(&["X"])),
            "{refused:?}"
        );
        let told = house.journal.take().0;
        assert!(matches!(&told[..], [Change::Unreadable { names: found, .. }] if *found == names(&["X"])));
        assert_eq!(refused_spawns().await, number);
        let other = set(&house.secrets, &house, &house.live("b", 2)).await.unwrap();
        assert_eq!(env(&other), [pair("X", "the shared one")]);
        assert_eq!(refused_spawns().await, number, "one that starts is none");
    }
}

async fn an_own_system_secret_hides_a_shared_tool_secret(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:X", "the shared one", SecretCategory::Tool)
        .await;
    house
        .put("agent:a:X", "the own one", SecretCategory::System)
        .await;
    let set = set(&house.secrets, &house, &house.live("a", 1)).await.unwrap();
    assert!(set.env.is_empty() && set.names.is_empty());
}

async fn a_value_replaced_between_two_spawns_is_new_in_the_second_and_both_are_redacted(house: House) {
    let house = house.enabled().await;
    let agent = house.live("a", 1);
    house
        .put("shared:G", "the first value", SecretCategory::Tool)
        .await;
    let first = set(&house.secrets, &house, &agent).await.unwrap();
    let mut batch = house.namespace().batch();
    first.writes.stage(&mut batch).await.unwrap();
    house.namespace().commit(batch).await.unwrap();
    house.put("shared:G", "another value", SecretCategory::Tool).await;
    let run = run(Some(first.session));
    let second = house
        .secrets
        .spawn_set(&house.call(1), &agent, &Need::All, &run, Vec::new())
        .await
        .unwrap();
    assert_eq!(env(&second), [pair("G", "another value")]);
    let text = second.scrubber.scrub("the first value, another value");
    assert_eq!(text.as_str(), "[redacted:G], [redacted:G]");
}

async fn a_list_takes_exactly_its_names(house: House) {
    let house = house.enabled().await;
    for name in ["A", "B", "C"] {
        house
            .put(&format!("shared:{name}"), "value of it", SecretCategory::Tool)
            .await;
    }
    let agent = house.live("a", 1);
    let exactly = |list: &[&str]| {
        let (secrets, call, agent) = (house.secrets.clone(), house.call(0), agent.clone());
        let need = Need::Exactly(names(list));
        async move {
            secrets
                .spawn_set(&call, &agent, &need, &run(None), Vec::new())
                .await
        }
    };
    assert_eq!(exactly(&["C", "A"]).await.unwrap().names, names(&["A", "C"]));
    let missing = exactly(&["A", "Z", "Y"]).await;
    assert!(matches!(&missing, Err(SpawnError::Missing { names: found }) if *found == names(&["Y", "Z"])));
    house
        .edit("t/acme/r/secret/shared/b", |text| {
            text.replace("\"tool\"", "\"system\"")
        })
        .await;
    house
        .edit("t/acme/r/secret/shared/b", |text| {
            text.replace(
                "\"category\":\"system\"",
                "\"category\":\"tool\",\"origins\":[\"https://example.org\"]",
            )
        })
        .await;
    assert_eq!(exactly(&["A", "C"]).await.unwrap().names, names(&["A", "C"]));
    assert!(matches!(
        exactly(&["A", "B"]).await,
        Err(SpawnError::Unreadable { .. })
    ));
}

async fn everything_the_agent_could_print_is_redacted_and_nothing_of_another(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:SHADOWED", "the shadowed value", SecretCategory::Tool)
        .await;
    house
        .put("agent:a:SHADOWED", "the shadowing value", SecretCategory::Tool)
        .await;
    house
        .put("agent:a:S", "the system value", SecretCategory::System)
        .await;
    house
        .put("agent:a:R", "the retired value", SecretCategory::Tool)
        .await;
    house
        .put("agent:a:R", "the present value", SecretCategory::Tool)
        .await;
    house
        .put("agent:b:B", "the value of b", SecretCategory::Tool)
        .await;
    let set = set(&house.secrets, &house, &house.live("a", 1)).await.unwrap();
    let clean = |text: &str| set.scrubber.scrub(text).into_string();
    assert_eq!(clean("the shadowed value"), "[redacted:SHADOWED]");
    assert_eq!(clean("the shadowing value"), "[redacted:SHADOWED]");
    assert_eq!(clean("the system value"), "[redacted:S]");
    assert_eq!(clean("the retired value"), "[redacted:R]");
    assert_eq!(clean("the value of b"), "the value of b");
}

async fn a_locked_vault_lets_only_an_empty_set_start(house: House) {
    let house = house.enabled().await;
    let agent = house.live("a", 1);
    house
        .put("agent:b:ONLY", "of another agent", SecretCategory::Tool)
        .await;
    house.vault.lock(&house.call(0)).await.unwrap();
    assert!(set(&house.secrets, &house, &agent).await.unwrap().env.is_empty());
    let waits = |agent: AgentAt| {
        let secrets = house.secrets.clone();
        async move { secrets.is_waiting_for_key(&agent, &Need::All).await.unwrap() }
    };
    assert_eq!(waits(agent.clone()).await, None);
    let other = house.live("b", 2);
    assert_eq!(waits(other.clone()).await, Some(VaultState::Locked));
    let refused = set(&house.secrets, &house, &other).await;
    assert!(matches!(
        refused,
        Err(SpawnError::VaultNotUnlocked {
            now: VaultState::Locked
        })
    ));
    house.vault.unlock(&house.call(0), &house.key(1)).await.unwrap();
    assert_eq!(waits(other).await, None);
}

async fn the_sessions_of_a_run_are_written_with_its_starts_and_end_with_it(house: House) {
    let house = house.enabled().await;
    let agent = house.live("a", 1);
    house.put("shared:G", "value of G", SecretCategory::Tool).await;
    let first = set(&house.secrets, &house, &agent).await.unwrap();
    assert!(
        house.secrets.sessions_of("run_1").await.unwrap().is_empty(),
        "not before its commit"
    );
    let mut batch = house.namespace().batch();
    first.writes.stage(&mut batch).await.unwrap();
    house.namespace().commit(batch).await.unwrap();
    let sessions = house.secrets.sessions_of("run_1").await.unwrap();
    assert_eq!(sessions[0].names, [(SecretName::parse("G").unwrap(), 1)]);
    let mut batch = house.namespace().batch();
    house
        .secrets
        .stage_run_ended(&house.call(1), &mut batch, "run_1")
        .await
        .unwrap();
    house.namespace().commit(batch).await.unwrap();
    let again = run(Some(first.session));
    let refused = house
        .secrets
        .spawn_set(&house.call(2), &agent, &Need::All, &again, Vec::new())
        .await;
    assert!(matches!(refused, Err(SpawnError::Session(_))));
}

async fn a_scrubber_keeps_its_values_and_replaced_ones_are_redacted_for_a_week(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    house
        .put("shared:H", "the first value", SecretCategory::Tool)
        .await;
    let agent = house.live("a", 1);
    let running = set(&house.secrets, &house, &agent).await.unwrap();
    let is_redacted = |scrubber: &dormouse_secrets::Scrubber, name: &str, value: &str| {
        scrubber.scrub(value).as_str() == format!("[redacted:{name}]")
    };
    house.vault.lock(&house.call(1)).await.unwrap();
    assert!(is_redacted(&running.scrubber, "G", "the value of G"), "locked");
    house.vault.unlock(&house.call(2), &house.key(1)).await.unwrap();
    let slot = house.vault.add_slot(&house.call(3), &house.key(2)).await.unwrap();
    house
        .vault
        .confirm_slot(&house.call(3), slot, &house.key(2))
        .await
        .unwrap();
    house.vault.remove_slot(&house.call(3), 1).await.unwrap();
    assert!(is_redacted(&running.scrubber, "G", "the value of G"), "rotated");
    let deletion = dormouse_secrets::Deletion::Force;
    house
        .secrets
        .delete(&house.call(4), &at("shared:G"), &deletion)
        .await
        .unwrap();
    assert!(is_redacted(&running.scrubber, "G", "the value of G"), "deleted");
    house
        .put("shared:H", "the second value", SecretCategory::Tool)
        .await;
    assert!(is_redacted(&running.scrubber, "H", "the first value"), "replaced");
    for (days, is_kept) in [(6, true), (8, false)] {
        let call = house.call(days * super::house::DAY);
        for (_, due) in dormouse_secrets::due(&house.system, call.now, 100).await.unwrap() {
            house.secrets.retire(&call, &due).await.unwrap();
        }
        let later = set(&house.secrets, &house, &agent).await.unwrap();
        assert!(is_redacted(&later.scrubber, "H", "the second value"));
        assert_eq!(
            is_redacted(&later.scrubber, "H", "the first value"),
            is_kept,
            "{days} days later"
        );
    }
}
