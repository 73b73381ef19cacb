//! More holds of a run, and more tasks at a line, than one commit takes.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::budget::{Amounts, Budgets, Chain, Dimension, Reserve, Setting};
use dormouse_engine::gate::Choice;
use dormouse_engine::run::Claimed;
use dormouse_engine::task::NewTask;
use dormouse_engine::{AgentName, CommandError, GateId};
use dormouse_filesystem::RecordStore;
use futures::poll;
use tokio::time::{Instant, timeout};

use super::budgets::{limit, of, set, tokens, wanted};
use super::gates::shown;
use super::hooked::Hooked;
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

/// A run that holds so much, while another of the agent holds one more.
async fn with_holds(house: &House, alice: &AgentName) -> Claimed {
    set(house, &of(alice), &limit(1000)).await;
    let by = operator();
    let two = house
        .tenant
        .agents
        .configure(&by, alice, |config| config.concurrency = 2);
    two.await.unwrap();
    let claimed = run_of(house, alice, "ask much").await;
    let own = wanted(&Chain::of_run(&claimed.run), tokens(1));
    for _ in 0..HOLDS {
        house.tenant.budgets.reserve(&operator(), &own).await.unwrap();
    }
    // What another run holds is not its.
    let other = run_of(house, alice, "ask little").await;
    let theirs = wanted(&Chain::of_run(&other.run), tokens(1));
    house.tenant.budgets.reserve(&operator(), &theirs).await.unwrap();
    let before = reserved(house, alice).await;
    assert_eq!(before.get(Dimension::InputTokens), HOLDS + 1);
    claimed
}

async fn all_holds_of_a_run_are_closed_at_its_end_however_many(house: House) {
    let alice = house.agent("alice").await;
    let claimed = with_holds(&house, &alice).await;
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    let closing = async {
        while reserved(&house, &alice).await.get(Dimension::InputTokens) > 1 {
            tokio::task::yield_now().await;
        }
    };
    let is_closed = timeout(PATIENCE, closing).await.is_ok();
    assert!(is_closed, "{:?} is held", reserved(&house, &alice).await);
    // That it gives back what it held is no news.
    let told = house.event_types().await;
    assert!(!told.contains(&"budget.swept".to_owned()), "{told:?}");
    assert_eq!(house.engine.janitor().look().await.unwrap().swept, 0);
    assert_eq!(reserved(&house, &alice).await.get(Dimension::InputTokens), 1);
}

/// The process is gone with all that it did in the background.
#[test]
fn what_a_crash_leaves_of_the_holds_of_a_run_is_closed_by_the_next_look_of_a_janitor() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let first = runtime().unwrap();
    let (house, alice) = first.block_on(async {
        let store = Hooked::new();
        let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
        let alice = house.agent("alice").await;
        let claimed = with_holds(&house, &alice).await;
        // Its end is committed, and nothing that comes behind it.
        let hook = Arc::clone(&store);
        store.before_commit(async move { hook.before_commit(std::future::pending()) });
        let runs = &house.tenant.runs;
        runs.finish(&claimed, &success(), &facts()).await.unwrap();
        (house, alice)
    });
    drop(first);
    runtime().unwrap().block_on(async {
        let left = reserved(&house, &alice).await.get(Dimension::InputTokens);
        let next = house.neighbour().await;
        let swept = next.janitor().look().await.unwrap().swept;
        // With what its claim was given it holds one more, which may be among the 32 of its end.
        assert_eq!(swept, 70 + 1 - 32);
        assert!(
            (HOLDS - 32 + 1..=HOLDS - 31 + 1).contains(&left),
            "{left} are held"
        );
        assert_eq!(reserved(&house, &alice).await.get(Dimension::InputTokens), 1);
    });
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

/// Takes a little of an account before each of so many commits, as another process does.
fn clash(store: &Arc<Hooked>, budgets: Budgets, theirs: Reserve, times: u32) {
    let hook = Arc::clone(store);
    store.before_commit(async move {
        budgets.reserve(&operator(), &theirs).await.unwrap();
        if times > 1 {
            clash(&hook, budgets, theirs, times - 1);
        }
    });
}

/// Another process writes an account before each commit: whoever is about that one waits, and nobody else does.
#[tokio::test(start_paused = true)]
async fn who_fights_for_an_account_keeps_nobody_from_another() {
    let store = Hooked::new();
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let (alice, bob) = (house.agent("alice").await, house.agent("bob").await);
    for agent in [&alice, &bob] {
        set(&house, &of(agent), &limit(1000)).await;
    }
    let hers = wanted(&super::budgets::chain(&house, &alice).await, tokens(1));
    let his = wanted(&super::budgets::chain(&house, &bob).await, tokens(1));
    let other = house.neighbour().await;
    let other = other.tenant(&super::house::tenant_id()).await.unwrap();
    clash(&store, other.budgets.clone(), hers.clone(), 4);
    let begun = Instant::now();
    let asks = |wanted: Reserve| {
        let budgets = house.tenant.budgets.clone();
        async move {
            budgets.reserve(&operator(), &wanted).await.unwrap();
            begun.elapsed()
        }
    };
    let (hers, his) = tokio::join!(asks(hers), asks(his));
    assert_eq!(his, Duration::ZERO, "it waits for nobody");
    assert!(hers > Duration::ZERO, "she lost some races: {hers:?}");
    assert_eq!(reserved(&house, &alice).await.get(Dimension::InputTokens), 5);
}
