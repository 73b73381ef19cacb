//! Every entry of the catalogue of events, emitted: what leads to each, in one table, on every store.
//!
//! A scenario is a test of another file, whose house is listened to, or one of this file, where no test has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use dormouse_engine::Random;
use dormouse_engine::agent::AtWork;
use dormouse_engine::event::catalogue;
use dormouse_engine::task::NewTask;
use dormouse_secrets::{
    AgentAt, Deletion, Existing, ExportTo, FixedKeyring, Formats, Holder, ImportKey, LeaseOptions, Need,
    Purpose, Scrubbed, Scrubber, Secret, SecretRef, SpawnFor,
};
use dormouse_state::{Command, Event, Mode};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;

use super::agents_removal::gone;
use super::credentials::{put, with_secret};
use super::house::{House, key, name, operator};
use super::overheard::Heard;
use super::place::Place;
use super::sessions::{at_work, done, made, seen, working};
use super::{
    agents_removal, bad, budgets, budgets_gates, budgets_time, claims_time, faults, faults_gates, gates,
    gates_decide, lapses, relay, retention, sessions, sessions_repair, threads, wakes_timed,
};

type Scenario = (
    &'static str,
    fn(House) -> LocalBoxFuture<'static, ()>,
    &'static [&'static str],
);

macro_rules! scenarios {
    ($($scenario:path => $events:expr;)*) => {
        &[$((stringify!($scenario), |house| $scenario(house).boxed_local(), &$events)),*]
    };
}

/// What leads to each entry, which stands here once.
const SCENARIOS: &[Scenario] = scenarios! {
    faults::each_command_once => [
        "agent.configured", "agent.created", "budget.set", "message.accepted", "message.deleted", "message.redacted",
        "message.submitted", "message.superseded", "run.ended", "run.started", "run.stopping", "task.approved",
        "task.assigned", "task.created", "task.deleted", "task.done", "task.edited", "task.ready", "task.refused",
        "task.shelved", "thread.closed", "thread.created", "thread.deleted", "wake.added", "wake.cancelled",
    ];
    faults_gates::each_command_once => [
        "capability.closed", "delegation.abandoned", "delegation.consumed", "delegation.delivered",
        "gate.grant_revoked", "gate.granted", "gate.opened", "gate.resolved", "session.awaiting_human",
        "session.created", "session.ended", "session.reopened", "sink.paused", "sink.removed", "sink.resumed",
        "task.waiting",
    ];
    agents_removal::a_deleted_agent_takes_what_is_its_with_it => ["agent.deleted", "agent.deleting"];
    bad::an_invalid_message_of_ten_is_left_out_and_its_bytes_survive_repair_and_restart => ["record.dead_lettered"];
    bad::a_row_that_is_written_anew_is_copied_anew => ["record.quarantined"];
    budgets::a_denial_and_a_warning_are_told_once_in_a_period => ["budget.denied", "budget.warned"];
    budgets_gates::a_claim_at_a_pause_line_asks_and_goes_on_when_it_is_raised => ["budget.paused", "budget.raised"];
    budgets_time::after_a_crash_what_is_known_is_charged_and_what_was_in_flight_as_it_was_expected => ["budget.swept"];
    claims_time::what_fails_waits_as_it_is_stored_and_is_quarantined_at_the_fifth => ["task.quarantined"];
    gates::an_equal_call_of_the_next_process_takes_the_gate_over_once => ["gate.adopted"];
    gates::the_101st_pending_gate_is_refused_and_none_removed => ["limit.reached"];
    gates_decide::a_run_never_decides_and_a_right_taken_away_is_gone_at_once => ["gate.refused"];
    lapses::a_task_that_lapses_without_checkpoint_is_ready_thrice_and_then_failed => ["lease.expired"];
    relay::what_a_relay_that_vanished_held_is_taken_over => ["lease.taken"];
    relay::an_event_that_is_refused_for_good_lies_apart_where_the_policy_says_so => ["sink.dead_lettered"];
    relay::a_sink_that_refuses_for_good_is_disabled_until_somebody_resumes_it => ["sink.disabled"];
    retention::no_event_goes_that_a_live_sink_has_yet_to_be_told => ["events.truncated", "sink.detached"];
    sessions::a_session_that_is_due_becomes_idle_at_recovery_once => ["session.idle"];
    sessions_repair::a_session_that_waits_for_a_gate_that_is_nowhere_waits_no_more_after_a_start => [
        "session.repaired",
    ];
    threads::what_was_accepted_is_sent_later => ["message.queued", "message.rejected_busy"];
    threads::what_a_run_leaves_unfinished_is_interrupted_and_what_it_said_is_its_answer => [
        "message.final", "message.interrupted",
    ];
    wakes_timed::one_becomes_a_task_when_its_time_has_come_and_not_before => ["wake.fired"];
    a_session_works => [
        "session.activity", "session.mode_changed", "session.paused", "session.resumed", "session.stalled",
        "session.started", "session.turn_ended", "session.turn_started",
    ];
    settings_are_not_taken => ["config.rejected"];
    words_that_must_not_be_told => [
        "agent.paused", "agent.resumed", "session.errored", "session.permission_denied", "task.cancelled",
        "task.failed",
    ];
    all_that_is_done_with_secrets => [
        "secret.deleted", "secret.exported", "secret.imported", "secret.lease_revoked", "secret.leased",
        "secret.put", "secret.quarantined", "secret.resealed", "secret.restored", "secret.unreadable",
        "vault.enabled", "vault.locked", "vault.rekeyed", "vault.slot_added", "vault.slot_removed",
        "vault.unlocked",
    ];
};

#[test]
fn each_entry_of_the_catalogue_is_in_the_table_once() {
    let mut listed: Vec<&str> = SCENARIOS
        .iter()
        .flat_map(|(.., events)| *events)
        .copied()
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, catalogue());
}

/// ST-70, with the tests of text in `events`: each entry is emitted, nothing else is, and no text of any is one that a
/// terminal would obey, or a credential.
#[tokio::test]
async fn every_entry_is_emitted_and_clean_in_memory() {
    every_entry_is_emitted_and_clean(|| Some(Place::memory())).await;
}

/// ST-70
#[tokio::test]
async fn every_entry_is_emitted_and_clean_in_sled() {
    every_entry_is_emitted_and_clean(|| Some(Place::sled())).await;
}

/// ST-70
#[tokio::test]
async fn every_entry_is_emitted_and_clean_in_local() {
    every_entry_is_emitted_and_clean(|| Some(Place::local())).await;
}

/// ST-70
#[tokio::test]
async fn every_entry_is_emitted_and_clean_in_postgres() {
    every_entry_is_emitted_and_clean(Place::postgres).await;
}

async fn every_entry_is_emitted_and_clean(place: fn() -> Option<Place>) {
    let mut emitted = BTreeSet::new();
    for (scenario, plays, wanted) in SCENARIOS {
        let Some(place) = place() else { return };
        let heard = Heard::default();
        plays(House::overheard(place, &heard).await).await;
        let events = heard.events();
        events.iter().for_each(is_clean);
        let types: BTreeSet<String> = events.iter().filter_map(type_of).collect();
        let missing: Vec<_> = wanted.iter().filter(|kind| !types.contains(**kind)).collect();
        assert!(missing.is_empty(), "{scenario} tells no {missing:?}: {types:?}");
        emitted.extend(types);
    }
    let known: BTreeSet<String> = catalogue().into_iter().map(str::to_owned).collect();
    assert_eq!(emitted, known, "each is emitted, and no other");
}

/// None of what a test wrote in the place of an event.
fn type_of(event: &Value) -> Option<String> {
    event["type"].as_str().map(str::to_owned)
}

#[track_caller]
fn is_clean(event: &Value) {
    let text = event["data"].to_string();
    assert!(!text.contains(&token()), "{event}");
    texts(&event["data"], &mut |text| {
        let is_obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        assert!(!text.contains(is_obeyed), "{event}");
        let scrubbed = Scrubber::empty().with_formats(Formats::Strict).scrub(text);
        assert_eq!(scrubbed.as_str(), text, "{event}");
    });
}

fn texts(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, see)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn token() -> String {
    format!("ghp_{}", "a1B2".repeat(9))
}

/// Text that clears a screen and names a credential.
fn unsafe_text() -> &'static str {
    Box::leak(format!("\u{1b}[2Jrefused by {}", token()).into_boxed_str())
}

/// A session whose driver has it at work, pauses and goes on.
async fn a_session_works(house: House) {
    let session = made(&house, "alice").await;
    let sessions = &house.tenant.sessions;
    let tell = async |seq, event| {
        let seen = seen(&house, None, seq, event);
        sessions.observe(session, &seen).await.unwrap()
    };
    tell(1, Event::SessionStarted).await;
    tell(2, Event::Thinking).await;
    tell(3, working()).await;
    tell(
        4,
        Event::Stalled {
            silent_for_ms: 60_000,
        },
    )
    .await;
    tell(5, working()).await;
    let activity = "session.activity".to_owned();
    super::until("what it does is told", async || {
        house.event_types().await.contains(&activity)
    })
    .await;
    tell(6, done()).await;
    let mode = Mode::Rules;
    for command in [Command::SetMode { mode }, Command::Pause, Command::Resume] {
        let told = sessions.command(&operator(), session, &command).await.unwrap();
        assert!(told.applied().is_some(), "{command:?}: {told:?}");
    }
    assert_eq!(house.engine.close().await.unsaved, []);
}

async fn settings_are_not_taken(house: House) {
    house.engine.tell_config_rejected(&operator(), 2).await.unwrap();
}

/// What people and workers say goes into events without what nobody is to see.
async fn words_that_must_not_be_told(house: House) {
    let said = || Some(Scrubbed::constant(unsafe_text()));
    let (claimed, session) = at_work(&house).await;
    let (by, alice) = (operator(), name("alice"));
    let sessions = &house.tenant.sessions;
    for (seq, event) in [
        Event::Thinking,
        Event::PermissionDenied {
            tool: unsafe_text().to_owned(),
            call: None,
        },
        Event::Errored {
            reason: unsafe_text().to_owned(),
            text: unsafe_text().to_owned(),
        },
    ]
    .into_iter()
    .enumerate()
    {
        let seen = seen(&house, Some(&claimed), 1 + seq as u64, event);
        sessions.observe(session, &seen).await.unwrap();
    }
    let blocked = dormouse_engine::outcome::Outcome::Failed {
        reason: dormouse_engine::outcome::FailReason::Worker,
        permanent: true,
        retry_at: None,
        message: Scrubbed::constant(unsafe_text()),
        hint: said(),
    };
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &blocked, &super::house::facts())
        .await
        .unwrap();
    let agents = &house.tenant.agents;
    agents.pause(&by, &alice, said()).await.unwrap();
    agents.resume(&by, &alice).await.unwrap();
    let task = house.task(NewTask::new(alice, "never")).await;
    house.tenant.tasks.cancel(&by, task.id, said()).await.unwrap();
    house.engine.close().await;
    // What is not a secret of them is told.
    let told = house.events().await;
    for kind in [
        "agent.paused",
        "session.permission_denied",
        "session.errored",
        "task.cancelled",
    ] {
        let event = told.iter().find(|event| event.kind == kind).unwrap();
        let data = serde_json::json!(event.data).to_string();
        assert!(data.contains("refused by"), "{kind}: {data}");
    }
}

fn other_key() -> FixedKeyring {
    let bytes = std::array::from_fn(|at| 100 + u8::try_from(at).unwrap());
    FixedKeyring::new(&bytes, Arc::new(Random::seeded(5))).unwrap()
}

async fn life_of_alice(house: &House) -> AgentAt {
    let alice = house.tenant.agents.get(&name("alice")).await.unwrap();
    alice.of_secrets()
}

async fn all_that_is_done_with_secrets(house: House) {
    with_secret(&house).await;
    put(&house, "shared:OTHER", "kR7-raven-sleeps+9Zx").await;
    let (call, other): (_, SecretRef) = (
        house.tenant.credentials.call(&operator()),
        "shared:OTHER".parse().unwrap(),
    );
    let (secrets, vault) = (house.tenant.credentials.secrets(), house.engine.vault());
    let (me, options) = (Holder::Service("test".to_owned()), LeaseOptions::default());
    let lease = secrets
        .lease(&call, &other, &Purpose::Reference, &me, options)
        .await;
    secrets
        .revoke_lease(&call, lease.unwrap().id(), &me)
        .await
        .unwrap();

    let words = || Secret::new(b"correct horse battery".to_vec());
    let export = secrets
        .export(&call, &ExportTo::Passphrase(words()))
        .await
        .unwrap();
    secrets.delete(&call, &other, &Deletion::Force).await.unwrap();
    let imported = secrets
        .import(
            &call,
            &export,
            &ImportKey::Passphrase(words()),
            Existing::Overwrite,
        )
        .await;
    imported.unwrap();

    // Its agent goes, and another of its name has them.
    let (alice, former) = (name("alice"), life_of_alice(&house).await);
    let agents = &house.tenant.agents;
    agents
        .delete(&operator(), &alice, AtWork::Refuse, None)
        .await
        .unwrap();
    gone(&house, &alice).await;
    house.agent("alice").await;
    let living = life_of_alice(&house).await;
    secrets.restore(&call, &former, &living).await.unwrap();

    let slot = vault.add_slot(&call, &other_key()).await.unwrap();
    vault.remove_slot(&call, slot).await.unwrap();
    let own_key = key(Arc::new(Random::seeded(4)));
    house.engine.rekey(&operator(), &own_key).await.unwrap();
    vault.lock(&call).await.unwrap();
    vault.unlock(&call, &own_key).await.unwrap();

    // One that opens by no key that there is.
    let shared = house.entry("secret", &"shared/other").await;
    let form = String::from_utf8(shared.value.to_vec()).unwrap();
    let unreadable = form.replacen("\"key_id\":", "\"key_id\":9", 1);
    assert_ne!(unreadable, form, "it names its key");
    house.plant(&shared.key.to_string(), "secret", &unreadable).await;
    let run = SpawnFor {
        run: "run_1".to_owned(),
        session: None,
        expires_at: call.now,
    };
    let refused = secrets
        .spawn_set(&call, &living, &Need::All, &run, Vec::new())
        .await;
    assert!(refused.is_err(), "{refused:?}");
}
