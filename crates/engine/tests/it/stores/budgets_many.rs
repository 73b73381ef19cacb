//! More holds of a run, and more tasks at a line, than one commit takes.

use std::time::Duration;

use dormouse_engine::budget::{Amounts, Chain, Dimension, Setting};
use dormouse_engine::gate::Choice;
use dormouse_engine::run::Claimed;
use dormouse_engine::task::NewTask;
use dormouse_engine::{AgentName, CommandError, GateId};
use futures::poll;
use tokio::time::timeout;

use super::budgets::{limit, of, set, tokens, wanted};
use super::gates::shown;
use super::house::{House, facts, operator, success};

super::on_every_store! {
    all_holds_of_a_run_are_closed_at_its_end_however_many;
    who_waits_for_a_gate_is_woken_also_where_its_decider_is_gone;
}

const PATIENCE: Duration = Duration::from_secs(60);

/// More than two commits close.
const HOLDS: u64 = 70;

async fn run_of(house: &House, alice: &AgentName, title: &str) -> Claimed {
    let task = house.task(NewTask::new(alice.clone(), title)).await;
    house.claim(&task).await
}

async fn reserved(house: &House, alice: &AgentName) -> Amounts {
    let account = house.tenant.budgets.get(&of(alice)).await.unwrap();
    account.unwrap().reserved
}

async fn all_holds_of_a_run_are_closed_at_its_end_however_many(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(1000)).await;
    let claimed = run_of(&house, &alice, "ask much").await;
    let wanted = wanted(&Chain::of_run(&claimed.run), tokens(1));
    for _ in 0..HOLDS {
        house.tenant.budgets.reserve(&operator(), &wanted).await.unwrap();
    }
    // What another run holds is not its.
    let other = run_of(&house, &alice, "ask little").await;
    let theirs = super::budgets::wanted(&Chain::of_run(&other.run), tokens(1));
    house.tenant.budgets.reserve(&operator(), &theirs).await.unwrap();
    let before = reserved(&house, &alice).await;
    assert_eq!(before.get(Dimension::InputTokens), HOLDS + 1);
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    // Also behind a crash, by the time of each first one that is left.
    let house = house.reopened().await;
    house.engine.janitor().look().await.unwrap();
    let closing = async {
        while reserved(&house, &alice).await.get(Dimension::InputTokens) > 1 {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        timeout(PATIENCE, closing).await.is_ok(),
        "{:?} is held",
        reserved(&house, &alice).await
    );
    // That it gives back what it held is no news.
    let swept = house.event_types().await;
    assert!(!swept.contains(&"budget.swept".to_owned()), "{swept:?}");
    assert_eq!(reserved(&house, &alice).await.get(Dimension::InputTokens), 1);
}

/// So many runs come to a line, and park for the one gate.
async fn parked(house: &House, alice: &AgentName, count: usize) -> (Vec<Claimed>, GateId) {
    let (mut runs, mut gates) = (Vec::new(), Vec::new());
    for nth in 0..count {
        runs.push(run_of(house, alice, &format!("number {nth}")).await);
    }
    for claimed in &runs {
        house.tenant.runs.started(claimed, None).await.unwrap();
        let wanted = wanted(&Chain::of_run(&claimed.run), tokens(95));
        let asked = house.tenant.budgets.reserve(&operator(), &wanted).await;
        let Err(CommandError::NeedsApproval(refusal)) = asked else {
            panic!("{asked:?}")
        };
        let gate = refusal.gate.unwrap();
        let park = house.tenant.runs.park(claimed, gate, Duration::ZERO);
        park.await.unwrap();
        gates.push(gate);
    }
    (runs, gates[0])
}

async fn who_waits_for_a_gate_is_woken_also_where_its_decider_is_gone(house: House) {
    let alice = house.agent("alice").await;
    let setting = Setting {
        pause: None,
        ..limit(100)
    };
    set(&house, &of(&alice), &setting).await;
    let (runs, id) = parked(&house, &alice, 80).await;
    let gate = house.tenant.gates.get(id).await.unwrap();
    let decide = shown(&house, &gate, Choice::Raise { limit: 1000 }).await;
    {
        let by = operator();
        let mut deciding = std::pin::pin!(house.tenant.gates.decide(&by, &decide));
        // As long as nothing is decided, and not longer.
        while house.tenant.gates.get(id).await.unwrap().is_pending() {
            if poll!(&mut deciding).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let tasks = &house.tenant.tasks;
    let waking = async {
        for claimed in &runs {
            while tasks.get(claimed.task.id).await.unwrap().state.word() != "ready" {
                tokio::task::yield_now().await;
            }
        }
    };
    assert!(timeout(PATIENCE, waking).await.is_ok(), "some wait for ever");
}
