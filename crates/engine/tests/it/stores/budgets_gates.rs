//! Budgets at a pause line: a person is asked once, and what they say stands for the period.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dormouse_engine::budget::{
    Account, AccountPath, CalendarUnit, Chain, Dimension, Period, Refusal, Setting,
};
use dormouse_engine::gate::{Choice, Gate, GateError};
use dormouse_engine::limits::GATE_WAKES_MAX;
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::task::NewTask;
use dormouse_engine::{AgentName, CommandError, GateId};
use dormouse_filesystem::RecordStore;
use futures::future::join_all;

use super::budgets::{chain, limit, of, set, tokens, wanted};
use super::gates::shown;
use super::hooked::Hooked;
use super::house::{House, name, operator};

super::on_every_store! {
    /// ST-60
    use_exactly_at_the_pause_line_asks_once_for_100_callers;
    /// SG-74
    of_100_runs_at_a_pause_line_one_asks_and_all_are_woken_once;
    as_many_tasks_as_a_commit_wakes_that_cannot_be_believed_keep_none_behind_them_waiting;
    a_claim_at_a_pause_line_asks_and_goes_on_when_it_is_raised;
    another_limit_forgets_what_a_person_said_and_a_claim_at_its_line_asks_anew;
}

/// 100 tokens a day, and a person is asked from 90 on.
fn paused() -> Setting {
    Setting {
        pause: None,
        period: Some(Period::Calendar {
            unit: CalendarUnit::Day,
            zone: "UTC".to_owned(),
        }),
        ..limit(100)
    }
}

async fn account(house: &House, alice: &AgentName) -> Account {
    house.tenant.budgets.get(&of(alice)).await.unwrap().unwrap()
}

/// Each of so many asks for this much at once.
async fn asks(house: &House, chain: &Chain, callers: usize, amount: u64) -> Vec<Result<(), CommandError>> {
    let asking = (0..callers).map(|_| {
        let (budgets, wanted) = (house.tenant.budgets.clone(), wanted(chain, tokens(amount)));
        tokio::spawn(async move { budgets.reserve(&operator(), &wanted).await.map(drop) })
    });
    let answers = join_all(asking.collect::<Vec<_>>()).await;
    answers.into_iter().map(Result::unwrap).collect()
}

/// The one gate by which all of them ask.
fn one_gate(answers: &[Result<(), CommandError>]) -> GateId {
    let gates: HashSet<GateId> = answers
        .iter()
        .map(|answer| match answer {
            Err(CommandError::NeedsApproval(refusal)) => refusal.gate.unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(gates.len(), 1);
    gates.into_iter().next().unwrap()
}

fn denied(answer: Result<(), CommandError>) -> Refusal {
    match answer {
        Err(CommandError::LimitExceeded(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}

async fn gate(house: &House, id: GateId) -> Gate {
    house.tenant.gates.get(id).await.unwrap().into_inner()
}

async fn decide(house: &House, id: GateId, choice: Choice) -> Result<Gate, GateError> {
    let gate = gate(house, id).await;
    let decide = shown(house, &gate, choice).await;
    house.tenant.gates.decide(&operator(), &decide).await
}

async fn told(house: &House, kind: &str) -> usize {
    house
        .event_types()
        .await
        .into_iter()
        .filter(|found| found == kind)
        .count()
}

async fn use_exactly_at_the_pause_line_asks_once_for_100_callers(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &paused()).await;
    let chain = chain(&house, &alice).await;
    assert!(asks(&house, &chain, 1, 89).await.pop().unwrap().is_ok());
    let gate_id = one_gate(&asks(&house, &chain, 100, 1).await);
    let asked = gate(&house, gate_id).await.budget.unwrap();
    assert_eq!((asked.used, asked.limit, asked.needed), (89, 100, 90));
    assert_eq!(
        (
            told(&house, "gate.opened").await,
            told(&house, "budget.paused").await
        ),
        (1, 1)
    );
    // Above the limit nobody is asked.
    assert_eq!(
        denied(asks(&house, &chain, 1, 12).await.pop().unwrap()).gate,
        None
    );
    // Without a pause it is admitted at what was the line, and at the limit.
    let unpaused = Setting {
        pause: Some(Some(100)),
        ..Setting::default()
    };
    set(&house, &of(&alice), &unpaused).await;
    assert!(asks(&house, &chain, 1, 11).await.pop().unwrap().is_ok());
    denied(asks(&house, &chain, 1, 1).await.pop().unwrap());
    assert_eq!(told(&house, "gate.opened").await, 1);
}

/// So many runs at work, each of a task of its own.
async fn at_work(house: &House, alice: &AgentName, count: usize) -> Vec<Claimed> {
    let mut claimed = Vec::with_capacity(count);
    for nth in 0..count {
        let task = house
            .task(NewTask::new(alice.clone(), format!("number {nth}")))
            .await;
        let run = house.claim(&task).await;
        house.tenant.runs.started(&run, None).await.unwrap();
        claimed.push(run);
    }
    claimed
}

/// All of them come to the line, and park for the one gate.
async fn park_all(house: &House, runs: &[Claimed], amount: u64) -> GateId {
    let asking = runs.iter().map(|claimed| {
        let wanted = wanted(&Chain::of_run(&claimed.run), tokens(amount));
        let budgets = house.tenant.budgets.clone();
        tokio::spawn(async move { budgets.reserve(&operator(), &wanted).await.map(drop) })
    });
    let answers = join_all(asking.collect::<Vec<_>>()).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let gate = one_gate(&answers);
    for claimed in runs {
        house
            .tenant
            .runs
            .park(claimed, gate, Duration::ZERO)
            .await
            .unwrap();
    }
    gate
}

async fn of_100_runs_at_a_pause_line_one_asks_and_all_are_woken_once(house: House) {
    let alice = house.agent("alice").await;
    // Nothing is used yet: the runs begin below the line.
    set(&house, &of(&alice), &paused()).await;
    let runs = at_work(&house, &alice, 100).await;
    let gate_id = park_all(&house, &runs, 95).await;
    assert_eq!(told(&house, "gate.opened").await, 1);
    // Parked, they hold nothing.
    assert_eq!(
        account(&house, &alice).await.reserved.get(Dimension::Concurrency),
        0
    );
    for too_low in [Choice::Raise { limit: 94 }, Choice::Approve { edited: None }] {
        let refused = decide(&house, gate_id, too_low).await.unwrap_err();
        assert_eq!(refused.code(), "invalid");
    }
    let ready = told(&house, "task.ready").await;
    let decided = decide(&house, gate_id, Choice::Raise { limit: 1000 })
        .await
        .unwrap();
    assert_eq!(decided.word(), "approved");
    assert_eq!(told(&house, "task.ready").await - ready, 100);
    for claimed in &runs {
        let task = house.tenant.tasks.get(claimed.task.id).await.unwrap();
        assert_eq!(task.state.word(), "ready");
    }
    // The raised limit stands for the limit until the period ends, and nobody is asked again.
    assert_eq!(
        account(&house, &alice).await.raised.get(Dimension::InputTokens),
        1000
    );
    let own = chain(&house, &alice).await;
    assert!(asks(&house, &own, 1, 950).await.pop().unwrap().is_ok());
    denied(asks(&house, &own, 1, 51).await.pop().unwrap());
    // The next day it is as it was; and a person says no.
    house.clock.advance(24 * 3600);
    let agents = [name("bob"), name("carol")];
    for agent in &agents {
        house.agent(agent.as_str()).await;
        set(&house, &of(agent), &paused()).await;
    }
    let [bob, carol] = agents;
    let own = chain(&house, &bob).await;
    let gate_id = one_gate(&asks(&house, &own, 10, 95).await);
    decide(&house, gate_id, Choice::Reject).await.unwrap();
    assert_eq!(
        denied(asks(&house, &own, 1, 95).await.pop().unwrap()).gate,
        Some(gate_id)
    );
    assert!(asks(&house, &own, 1, 80).await.pop().unwrap().is_ok());
    // Or nobody says anything for a day: the account's own day is longer.
    let own = chain(&house, &carol).await;
    let lifetime = Setting {
        period: Some(Period::Lifetime),
        ..Setting::default()
    };
    set(&house, &of(&carol), &lifetime).await;
    let gate_id = one_gate(&asks(&house, &own, 10, 95).await);
    house.clock.advance(24 * 3600 - 1);
    assert!(!house.tenant.gates.expire(gate_id).await.unwrap());
    house.clock.advance(1);
    house.engine.serve_due_once().await.unwrap();
    assert_eq!(gate(&house, gate_id).await.word(), "expired");
    assert_eq!(
        denied(asks(&house, &own, 1, 95).await.pop().unwrap()).gate,
        Some(gate_id)
    );
}

async fn as_many_tasks_as_a_commit_wakes_that_cannot_be_believed_keep_none_behind_them_waiting(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &paused()).await;
    let mut runs = at_work(&house, &alice, GATE_WAKES_MAX + 3).await;
    // As their index has them.
    runs.sort_by_key(|claimed| claimed.task.id);
    let gate_id = park_all(&house, &runs, 95).await;
    let (damaged, whole) = runs.split_at(GATE_WAKES_MAX);
    for claimed in damaged {
        house.spoil("task", &claimed.task.id).await;
    }
    let decided = decide(&house, gate_id, Choice::Raise { limit: 1000 });
    let decided = tokio::time::timeout(Duration::from_secs(60), decided).await;
    decided.expect("it comes to an end").unwrap();
    // What the commit of the decision left is done behind it.
    house.engine.close().await;
    for claimed in whole {
        let task = house.tenant.tasks.get(claimed.task.id).await.unwrap();
        assert_eq!(task.state.word(), "ready");
    }
}

pub(super) async fn a_claim_at_a_pause_line_asks_and_goes_on_when_it_is_raised(house: House) {
    let by = operator();
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &paused()).await;
    let own = chain(&house, &alice).await;
    let hold = house
        .tenant
        .budgets
        .reserve(&operator(), &wanted(&own, tokens(80)))
        .await
        .unwrap()
        .hold
        .unwrap();
    house
        .tenant
        .budgets
        .reconcile(&operator(), hold, &tokens(95))
        .await
        .unwrap();
    let task = house.task(NewTask::new(alice.clone(), "one more")).await;
    let claim = || house.tenant.runs.claim(&by, task.id, ClaimOptions::default());
    let gate_id = match claim().await {
        Err(CommandError::NeedsApproval(refusal)) => refusal.gate.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        house.tenant.tasks.get(task.id).await.unwrap().state.word(),
        "ready"
    );
    let agent = house.tenant.agents.get(&alice).await.unwrap();
    let room = house.tenant.budgets.room(&agent).await.unwrap();
    assert_eq!(room.gate(), Some(gate_id));
    let mut freed = house.engine.freed().subscribe();
    decide(&house, gate_id, Choice::Raise { limit: 200 })
        .await
        .unwrap();
    assert!(freed.has_changed().unwrap());
    assert!(house.tenant.budgets.room(&agent).await.unwrap().is_free());
    freed.mark_unchanged();
    claim().await.unwrap();
}

/// ST-63, with those of `budgets` that are about limits and shared commits.
#[tokio::test]
async fn behind_a_commit_that_fails_all_are_decided_again_from_what_is_there() {
    let store = Hooked::new();
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(10)).await;
    let own = chain(&house, &alice).await;
    // Another process takes what was free, between the reading of the account and the commit of the first group.
    let other = house
        .neighbour()
        .await
        .tenant(&super::house::tenant_id())
        .await
        .unwrap();
    let theirs = wanted(&own, tokens(8));
    store.before_commit(async move {
        other.budgets.reserve(&operator(), &theirs).await.unwrap();
    });
    let answers = asks(&house, &own, 5, 1).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    assert_eq!(
        account(&house, &alice).await.reserved.get(Dimension::InputTokens),
        10
    );
    // A store that takes nothing charges nothing, and takes again what it is told.
    set(&house, &of(&alice), &limit(20)).await;
    store.is_full.store(true, Ordering::SeqCst);
    let refused = asks(&house, &own, 3, 1).await;
    assert!(refused.iter().all(Result::is_err));
    store.is_full.store(false, Ordering::SeqCst);
    assert_eq!(
        account(&house, &alice).await.reserved.get(Dimension::InputTokens),
        10
    );
    assert!(asks(&house, &own, 1, 10).await.pop().unwrap().is_ok());
}

/// A command that was refused sent nothing: another's commit that fails is not its answer. Nor is it refused for what that
/// did not do.
#[tokio::test]
async fn who_is_refused_behind_a_commit_that_fails_hears_its_own_answer() {
    let store = Hooked::new();
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(10)).await;
    let own = chain(&house, &alice).await;
    // While a first commit is written three more come, and share the next one: the one that fails.
    let asking = |amount| {
        let (budgets, wanted) = (house.tenant.budgets.clone(), wanted(&own, tokens(amount)));
        async move { budgets.reserve(&operator(), &wanted).await.map(drop) }
    };
    let (first, more) = (asking(2), [asking(11), asking(5), asking(6)]);
    let (sender, answers) = tokio::sync::oneshot::channel();
    let away = Arc::clone(&store);
    store.before_commit(async move {
        let waiting = more.map(tokio::spawn);
        // Each of them gets as far as it gets without the ledger.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        away.is_away.store(true, Ordering::SeqCst);
        sender.send(waiting).unwrap();
    });
    first.await.unwrap();
    let [above, taken, other] = answers.await.unwrap();
    // Above the limit whatever the others do.
    denied(above.await.unwrap());
    let lost = taken.await.unwrap();
    assert_eq!(lost.unwrap_err().code(), "unavailable", "it was not done");
    // There was no room behind the one that was not done, and there is.
    other.await.unwrap().unwrap();
    let reserved = account(&house, &alice).await.reserved;
    assert_eq!(reserved.get(Dimension::InputTokens), 8);
}

/// An account that cannot be believed refuses those it is about, and nobody else.
#[tokio::test]
async fn an_account_that_cannot_be_believed_is_in_nobody_elses_way() {
    let house = House::in_memory().await;
    let (alice, bob) = (house.agent("alice").await, house.agent("bob").await);
    set(&house, &of(&alice), &limit(10)).await;
    set(&house, &of(&bob), &limit(10)).await;
    house.spoil("account", &"agent/alice").await;
    let (hers, his) = (chain(&house, &alice).await, chain(&house, &bob).await);
    let bytes = house.entry("account", &"agent/alice").await.value;
    let (spoilt, fine) = tokio::join!(asks(&house, &hers, 8, 1), asks(&house, &his, 8, 1));
    assert!(
        spoilt
            .iter()
            .all(|answer| answer.as_ref().unwrap_err().code() == "corrupt")
    );
    assert!(fine.iter().all(Result::is_ok));
    assert_eq!(house.entry("account", &"agent/alice").await.value, bytes);
    assert_eq!(
        account(&house, &bob).await.reserved.get(Dimension::InputTokens),
        8
    );
    let tenant = AccountPath::Tenant;
    assert!(house.tenant.budgets.get(&tenant).await.unwrap().is_none());
}

async fn another_limit_forgets_what_a_person_said_and_a_claim_at_its_line_asks_anew(house: House) {
    let alice = house.agent("alice").await;
    let to = |tokens| Setting {
        pause: None,
        ..limit(tokens)
    };
    set(&house, &of(&alice), &to(100)).await;
    let own = chain(&house, &alice).await;
    let task = house.task(NewTask::new(alice.clone(), "one more")).await;
    let rejected = one_gate(&asks(&house, &own, 10, 95).await);
    decide(&house, rejected, Choice::Reject).await.unwrap();
    denied(asks(&house, &own, 1, 95).await.pop().unwrap());
    set(&house, &of(&alice), &to(200)).await;
    let raised = one_gate(&asks(&house, &own, 10, 185).await);
    assert_ne!(raised, rejected);
    assert_eq!(gate(&house, raised).await.previous, Some(rejected));
    decide(&house, raised, Choice::Raise { limit: 300 })
        .await
        .unwrap();
    assert!(asks(&house, &own, 1, 185).await.pop().unwrap().is_ok());
    set(&house, &of(&alice), &to(201)).await;
    let by = operator();
    let claim = house.tenant.runs.claim(&by, task.id, ClaimOptions::default());
    let claimed = tokio::time::timeout(Duration::from_secs(60), claim);
    let asked = match claimed.await.expect("a claim at a line answers") {
        Err(CommandError::NeedsApproval(refusal)) => refusal.gate.unwrap(),
        other => panic!("{other:?}"),
    };
    assert!(gate(&house, asked).await.is_pending());
    assert_eq!(gate(&house, asked).await.previous, Some(raised));
}
