//! Credentials in the engine: who has them, what is told of them, and when what a run was lent is taken back.

use std::sync::Arc;

use dormouse_engine::event::Event;
use dormouse_engine::outcome::{BlockReason, CancelledBy, ClockKind, Outcome};
use dormouse_engine::run::Claimed;
use dormouse_engine::task::NewTask;
use dormouse_engine::{Random, Tenant};
use dormouse_secrets::{
    Cause, Expect, Filter, Holder, LeaseOptions, LeaseStatus, Purpose, PutMeta, Secret, SecretCategory,
    SecretName, SecretRef, VaultState,
};

use super::house::{House, facts, failed, key, name, operator, partial, success};
use super::on_every_store;

/// Long enough, and with nothing that an id has.
const VALUE: &str = "kR7-wombat-sleeps+9Zx";

fn at(of: &str) -> SecretRef {
    of.parse().unwrap()
}

/// A vault, and one secret of alice.
pub(super) async fn with_secret(house: &House) {
    house.agent("alice").await;
    let call = house.tenant.credentials.call(&operator());
    let random = Arc::new(Random::seeded(3));
    house.engine.vault().enable(&call, &key(random)).await.unwrap();
    put(house, "agent:alice:GH_TOKEN", VALUE).await;
}

pub(super) async fn put(house: &House, of: &str, value: &str) {
    put_in(&house.tenant, of, value).await;
}

pub(super) async fn put_in(tenant: &Tenant, of: &str, value: &str) {
    let call = tenant.credentials.call(&operator());
    let value = Secret::new(value.as_bytes().to_vec());
    let secrets = tenant.credentials.secrets();
    secrets
        .put(
            &call,
            &at(of),
            &value,
            SecretCategory::Tool,
            &PutMeta::default(),
            Expect::Any,
        )
        .await
        .unwrap();
}

async fn claimed(house: &House, title: &str) -> Claimed {
    let task = house.task(NewTask::new(name("alice"), title)).await;
    house.claim(&task).await
}

/// A lease of the run.
async fn lent(house: &House, claimed: &Claimed) {
    let call = house.tenant.credentials.call(&operator());
    let holder = Holder::Run(claimed.run.id.to_string());
    let options = LeaseOptions::default();
    let secrets = house.tenant.credentials.secrets();
    secrets
        .lease(
            &call,
            &at("agent:alice:GH_TOKEN"),
            &Purpose::Reference,
            &holder,
            options,
        )
        .await
        .unwrap();
}

/// How what the run was lent is.
async fn leases(house: &House, claimed: &Claimed) -> Vec<(LeaseStatus, Option<Cause>)> {
    let holder = Holder::Run(claimed.run.id.to_string());
    let leases = house
        .tenant
        .credentials
        .secrets()
        .leases_of(&holder)
        .await
        .unwrap();
    leases.iter().map(|lease| (lease.status, lease.cause)).collect()
}

/// The events of the last commit: they are of one command.
async fn of_the_last_command(house: &House) -> Vec<Event> {
    let events = house.events().await;
    let last = events.last().unwrap().op;
    events.into_iter().filter(|event| event.op == last).collect()
}

#[track_caller]
fn tells(events: &[Event], kind: &str) {
    assert!(
        events.iter().any(|event| event.kind == kind),
        "{kind}: {events:#?}"
    );
}

on_every_store! {
    what_a_run_was_lent_is_taken_back_by_the_commit_that_ends_it;
    what_a_lost_run_was_lent_is_taken_back_when_it_lapses;
    secrets_of_a_former_agent_are_nobodys;
    what_happens_to_secrets_is_told_without_them;
    while_nobody_unlocked_a_task_is_not_to_be_claimed;
}

/// SE-42, with the next and `supervisor::what_a_worker_was_lent_is_taken_back_whichever_way_it_ends`
async fn what_a_run_was_lent_is_taken_back_by_the_commit_that_ends_it(house: House) {
    with_secret(&house).await;
    let outcomes = [
        success(),
        partial(),
        Outcome::Blocked {
            reason: BlockReason::LoginWall,
            evidence: None,
        },
        failed(true),
        Outcome::Timeout {
            clock: ClockKind::Wall,
            limit_ms: 1,
        },
        Outcome::Cancelled {
            by: CancelledBy::Principal,
            reason: None,
        },
    ];
    for outcome in outcomes {
        let claimed = claimed(&house, "count the sheep").await;
        lent(&house, &claimed).await;
        assert_eq!(leases(&house, &claimed).await, [(LeaseStatus::Active, None)]);
        let runs = &house.tenant.runs;
        runs.finish(&claimed, &outcome, &facts()).await.unwrap();
        assert_eq!(
            leases(&house, &claimed).await,
            [(LeaseStatus::Revoked, Some(Cause::Holder))]
        );
        let events = of_the_last_command(&house).await;
        tells(&events, "run.ended");
        tells(&events, "secret.lease_revoked");
    }
}

async fn what_a_lost_run_was_lent_is_taken_back_when_it_lapses(house: House) {
    with_secret(&house).await;
    let claimed = claimed(&house, "count the sheep").await;
    lent(&house, &claimed).await;
    let house = house.reopened().await;
    let recovery = house.recover().await;
    assert_eq!(recovery.ended.len(), 1, "{recovery:#?}");
    assert_eq!(
        leases(&house, &claimed).await,
        [(LeaseStatus::Revoked, Some(Cause::Holder))]
    );
    let events = of_the_last_command(&house).await;
    tells(&events, "run.ended");
    tells(&events, "secret.lease_revoked");
}

async fn secrets_of_a_former_agent_are_nobodys(house: House) {
    with_secret(&house).await;
    let secrets = house.tenant.credentials.secrets();
    assert_eq!(secrets.list(&Filter::All).await.unwrap().len(), 1);
    let bob = house.agent("bob").await;
    let none = secrets
        .list(&Filter::Agent(bob.as_str().parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(none, Vec::new(), "an agent sees its own alone");
    // One that does not live has none, whatever rows there are.
    let unknown = secrets.info(&at("agent:carol:GH_TOKEN")).await;
    assert!(
        matches!(unknown, Err(dormouse_secrets::SecretError::NotFound { .. })),
        "{unknown:?}"
    );
}

async fn what_happens_to_secrets_is_told_without_them(house: House) {
    with_secret(&house).await;
    put(&house, "shared:OTHER", &format!("{VALUE}-other")).await;
    let call = house.tenant.credentials.call(&operator());
    let secrets = house.tenant.credentials.secrets();
    let force = dormouse_secrets::Deletion::Force;
    secrets.delete(&call, &at("shared:OTHER"), &force).await.unwrap();
    let events = house.events().await;
    let told: Vec<(&str, &str)> = events
        .iter()
        .filter(|event| event.kind.starts_with("secret."))
        .map(|event| (event.kind.as_str(), event.subject.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("secret.put", "secret:agent:alice:GH_TOKEN"),
            ("secret.put", "secret:shared:OTHER"),
            ("secret.deleted", "secret:shared:OTHER"),
        ]
    );
    let own = events.iter().find(|event| event.kind == "secret.put").unwrap();
    assert_eq!(
        (own.agent.clone(), &own.actor),
        (Some(name("alice")), &operator())
    );
    let of_system = house.engine.events();
    let page = of_system
        .read_after(dormouse_filesystem::Position::START, 10)
        .await
        .unwrap();
    assert_eq!(page.events[0].event.kind, "vault.enabled");
    assert!(
        !house.stored().await.contains(VALUE),
        "nothing stored has the value"
    );
}

async fn while_nobody_unlocked_a_task_is_not_to_be_claimed(house: House) {
    with_secret(&house).await;
    let command = dormouse_engine::command::CommandSpec::new(vec!["true".to_owned()]);
    let task = |agent: &str| NewTask {
        command: Some(command.clone()),
        ..NewTask::new(name(agent), format!("with {VALUE} of alice"))
    };
    let credentials = &house.tenant.credentials;
    let of_alice = house.task(task("alice")).await;
    assert_eq!(of_alice.title.as_str(), "with [redacted:GH_TOKEN] of alice");
    assert_eq!(
        credentials.awaited(&of_alice).await.unwrap(),
        None,
        "it is unlocked"
    );
    house.agent("bob").await;
    let of_bob = house.task(task("bob")).await;
    let call = credentials.call(&operator());
    house.engine.vault().lock(&call).await.unwrap();
    assert_eq!(
        credentials.awaited(&of_alice).await.unwrap(),
        Some(VaultState::Locked)
    );
    assert_eq!(credentials.awaited(&of_bob).await.unwrap(), None, "it needs none");
    let named = NewTask {
        command: Some(dormouse_engine::command::CommandSpec {
            secrets: vec![SecretName::parse("NONE").unwrap()],
            ..command.clone()
        }),
        ..NewTask::new(name("bob"), "t")
    };
    let named = house.task(named).await;
    assert_eq!(
        credentials.awaited(&named).await.unwrap(),
        None,
        "its start says what is missing"
    );
}
