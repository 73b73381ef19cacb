//! Budgets: what is admitted, what it costs, and what a person is asked, through the service on every backend.

use std::collections::HashSet;

use dormouse_engine::agent::AtWork;
use dormouse_engine::budget::{
    AccountPath, Admission, Amounts, Budgets, CalendarUnit, Chain, Dimension, HoldState, Metered, Period,
    Reserve, Setting,
};
use dormouse_engine::run::{ClaimOptions, Slot};
use dormouse_engine::task::NewTask;
use dormouse_engine::{AgentName, CommandError, HoldId, PrefixedId, Random, Tenant};
use futures::future::join_all;

use super::agents_removal::gone;
use super::house::{House, facts, name, operator, success, tenant_id};

super::on_every_store! {
    /// ST-56
    of_100_reserves_at_once_by_two_processes_as_many_are_admitted_as_fit;
    /// ST-57
    where_one_level_denies_no_level_is_charged_and_all_warnings_are_told;
    /// ST-58
    the_first_close_of_a_hold_counts_in_whatever_order_they_come;
    /// ST-59
    what_is_used_beyond_the_estimate_is_recorded_and_blocks_what_follows;
    without_a_limit_nothing_is_written_and_a_limit_of_0_admits_nothing;
    sixty_four_callers_share_commits;
    a_denial_and_a_warning_are_told_once_in_a_period;
    the_same_reserve_again_is_answered_as_the_first_time;
    a_hold_grows_like_a_reserve_and_what_is_metered_never_falls;
    a_limit_of_each_run_is_each_runs_own;
    a_lane_needs_a_free_slot_and_who_asks_for_a_task_counts;
    a_claim_reserves_and_each_end_of_the_work_gives_back;
    what_an_account_used_is_kept_by_day;
    another_agent_of_the_name_has_its_own_account;
    lines_out_of_order_and_periods_that_are_none_are_refused;
}

pub(super) fn tokens(amount: u64) -> Amounts {
    Amounts::none().with(Dimension::InputTokens, amount)
}

/// A limit of so many input tokens, and nobody is asked.
pub(super) fn limit(tokens: u64) -> Setting {
    Setting {
        limits: vec![(Dimension::InputTokens, Some(tokens))],
        pause: Some(Some(100)),
        ..Setting::default()
    }
}

pub(super) fn of(agent: &AgentName) -> AccountPath {
    AccountPath::Agent(agent.clone())
}

pub(super) async fn set(house: &House, path: &AccountPath, setting: &Setting) {
    house
        .tenant
        .budgets
        .set(&operator(), path, setting)
        .await
        .unwrap();
}

pub(super) async fn chain(house: &House, agent: &AgentName) -> Chain {
    let agent = house.tenant.agents.get(agent).await.unwrap();
    Chain::of_agent(&agent.name, agent.incarnation)
}

pub(super) fn wanted(chain: &Chain, estimate: Amounts) -> Reserve {
    Reserve {
        hold: None,
        chain: chain.clone(),
        estimate,
        is_in_flight: false,
    }
}

async fn reserve(budgets: &Budgets, chain: &Chain, estimate: Amounts) -> Result<Admission, CommandError> {
    budgets.reserve(&operator(), &wanted(chain, estimate)).await
}

/// What was used, and what is held.
async fn counted(house: &House, path: &AccountPath, dimension: Dimension) -> (u64, u64) {
    let account = house.tenant.budgets.get(path).await.unwrap().unwrap();
    (account.used.get(dimension), account.reserved.get(dimension))
}

async fn tokens_of(house: &House, path: &AccountPath) -> (u64, u64) {
    counted(house, path, Dimension::InputTokens).await
}

async fn neighbour(house: &House) -> Tenant {
    house.neighbour().await.tenant(&tenant_id()).await.unwrap()
}

async fn told(house: &House, kind: &str) -> usize {
    house
        .event_types()
        .await
        .into_iter()
        .filter(|found| found == kind)
        .count()
}

fn exceeded(answer: Result<Admission, CommandError>) -> dormouse_engine::budget::Refusal {
    match answer {
        Err(CommandError::LimitExceeded(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}

async fn of_100_reserves_at_once_by_two_processes_as_many_are_admitted_as_fit(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(10)).await;
    let chain = chain(&house, &alice).await;
    let other = neighbour(&house).await;
    let asking = (0..100).map(|nth| {
        let budgets = if nth % 2 == 0 {
            &house.tenant.budgets
        } else {
            &other.budgets
        };
        let (budgets, chain) = (budgets.clone(), chain.clone());
        tokio::spawn(async move { reserve(&budgets, &chain, tokens(1)).await })
    });
    let answers = join_all(asking.collect::<Vec<_>>()).await;
    let mut admitted = 0;
    for answer in answers {
        match answer.unwrap() {
            Ok(admission) => {
                assert!(admission.hold.is_some());
                admitted += 1;
            }
            Err(CommandError::LimitExceeded(refusal)) => assert_eq!(refusal.limit, 10),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(admitted, 10);
    assert_eq!(tokens_of(&house, &of(&alice)).await, (0, 10));
}

async fn where_one_level_denies_no_level_is_charged_and_all_warnings_are_told(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &AccountPath::Tenant, &limit(100)).await;
    set(&house, &of(&alice), &limit(50)).await;
    let chain = chain(&house, &alice).await;
    let before = house.stored().await;
    let refusal = exceeded(reserve(&house.tenant.budgets, &chain, tokens(80)).await);
    assert_eq!(
        (&refusal.account, refusal.limit, refusal.estimate),
        (&of(&alice), 50, 80)
    );
    let warned: Vec<_> = refusal
        .warnings
        .iter()
        .map(|warning| (&warning.account, warning.reserved))
        .collect();
    assert_eq!(warned, [(&AccountPath::Tenant, 80)]);
    assert_eq!(tokens_of(&house, &AccountPath::Tenant).await, (0, 0));
    assert_eq!(tokens_of(&house, &of(&alice)).await, (0, 0));
    assert_eq!(told(&house, "budget.warned").await, 0);
    // The one thing that was written is that it was denied.
    assert_eq!(told(&house, "budget.denied").await, 1);
    assert_ne!(house.stored().await, before);
    let admission = reserve(&house.tenant.budgets, &chain, tokens(45)).await.unwrap();
    assert_eq!(admission.warnings.len(), 1);
    assert_eq!(tokens_of(&house, &AccountPath::Tenant).await, (0, 45));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    Reconcile,
    Release,
    Sweep,
}

async fn the_first_close_of_a_hold_counts_in_whatever_order_they_come(house: House) {
    use Close::{Reconcile, Release, Sweep};
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(1000)).await;
    let chain = chain(&house, &alice).await;
    let budgets = &house.tenant.budgets;
    let orders = [
        [Reconcile, Release, Sweep],
        [Reconcile, Sweep, Release],
        [Release, Reconcile, Sweep],
        [Release, Sweep, Reconcile],
        [Sweep, Reconcile, Release],
        [Sweep, Release, Reconcile],
    ];
    let mut used = 0;
    for order in orders {
        let hold = reserve(budgets, &chain, tokens(10)).await.unwrap().hold.unwrap();
        let closed = if order[0] == Reconcile {
            HoldState::Reconciled
        } else {
            HoldState::Released
        };
        used += if order[0] == Reconcile { 7 } else { 0 };
        let twice = order.iter().flat_map(|close| [close, close]);
        for (nth, close) in twice.enumerate() {
            let answer = match close {
                Reconcile => budgets
                    .reconcile(&operator(), hold, &tokens(7))
                    .await
                    .map(|()| true),
                Release => budgets.release(&operator(), hold).await.map(|()| true),
                Sweep => budgets.sweep(hold).await,
            };
            match (nth, close, answer) {
                (0, _, Ok(true)) => {}
                (1.., Sweep, Ok(false)) => {}
                (1.., Reconcile | Release, Err(CommandError::Rejected { state, reason, .. })) => {
                    assert_eq!((state, reason.word()), (closed.word(), "closed"));
                }
                (nth, close, answer) => panic!("{order:?} {nth} {close:?}: {answer:?}"),
            }
            assert_eq!(budgets.hold(hold).await.unwrap().state, closed);
            assert_eq!(tokens_of(&house, &of(&alice)).await, (used, 0));
        }
    }
}

async fn what_is_used_beyond_the_estimate_is_recorded_and_blocks_what_follows(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(100)).await;
    let chain = chain(&house, &alice).await;
    let budgets = &house.tenant.budgets;
    let hold = reserve(budgets, &chain, tokens(10)).await.unwrap().hold.unwrap();
    // What no number says, and what is below nothing, changes nothing: the hold is open.
    let negative = Amounts::of_signed([(Dimension::InputTokens, -1)]).unwrap_err();
    assert_eq!(negative.code(), "invalid");
    let huge = exceeded(reserve(budgets, &chain, tokens(u64::MAX)).await);
    assert_eq!(huge.estimate, u64::MAX);
    assert!(budgets.hold(hold).await.unwrap().is_open());
    budgets.reconcile(&operator(), hold, &tokens(140)).await.unwrap();
    assert_eq!(tokens_of(&house, &of(&alice)).await, (140, 0));
    let refusal = exceeded(reserve(budgets, &chain, tokens(0)).await);
    assert_eq!((refusal.used, refusal.limit), (140, 100));
    // More than there is a number for stays at the most there can be.
    set(&house, &of(&alice), &limit(u64::MAX)).await;
    let hold = reserve(budgets, &chain, tokens(1)).await.unwrap().hold.unwrap();
    budgets
        .reconcile(&operator(), hold, &tokens(u64::MAX))
        .await
        .unwrap();
    assert_eq!(tokens_of(&house, &of(&alice)).await, (u64::MAX, 0));
    exceeded(reserve(budgets, &chain, tokens(1)).await);
}

async fn without_a_limit_nothing_is_written_and_a_limit_of_0_admits_nothing(house: House) {
    let alice = house.agent("alice").await;
    let chain = chain(&house, &alice).await;
    let budgets = &house.tenant.budgets;
    let before = house.stored().await;
    let admission = reserve(budgets, &chain, tokens(1_000_000)).await.unwrap();
    assert_eq!((admission.hold, admission.warnings), (None, Vec::new()));
    assert_eq!(house.stored().await, before);
    set(&house, &of(&alice), &limit(0)).await;
    exceeded(reserve(budgets, &chain, tokens(0)).await);
    exceeded(reserve(budgets, &chain, tokens(1)).await);
    // Another dimension is not limited by it.
    let wall = Amounts::none().with(Dimension::WallMs, 5);
    assert!(reserve(budgets, &chain, wall).await.unwrap().hold.is_some());
}

async fn sixty_four_callers_share_commits(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(10_000)).await;
    let chain = chain(&house, &alice).await;
    let asking = (0..64).map(|_| {
        let (budgets, chain) = (house.tenant.budgets.clone(), chain.clone());
        tokio::spawn(async move { reserve(&budgets, &chain, tokens(1)).await })
    });
    let mut versions = HashSet::new();
    for answer in join_all(asking.collect::<Vec<_>>()).await {
        let hold = answer.unwrap().unwrap().hold.unwrap();
        versions.insert(house.tenant.budgets.hold(hold).await.unwrap().version());
    }
    // A mean batch of more than one is fewer commits than callers; how many depends on the store. Nobody's is split.
    assert!(versions.len() <= 32, "{} commits", versions.len());
    assert_eq!(tokens_of(&house, &of(&alice)).await, (0, 64));
}

pub(super) async fn a_denial_and_a_warning_are_told_once_in_a_period(house: House) {
    let alice = house.agent("alice").await;
    let setting = Setting {
        period: Some(Period::Calendar {
            unit: CalendarUnit::Day,
            zone: "UTC".to_owned(),
        }),
        ..limit(100)
    };
    set(&house, &of(&alice), &setting).await;
    let chain = chain(&house, &alice).await;
    let budgets = &house.tenant.budgets;
    for _ in 0..3 {
        exceeded(reserve(budgets, &chain, tokens(101)).await);
        let hold = reserve(budgets, &chain, tokens(80)).await.unwrap().hold.unwrap();
        budgets.release(&operator(), hold).await.unwrap();
    }
    assert_eq!(
        (
            told(&house, "budget.denied").await,
            told(&house, "budget.warned").await
        ),
        (1, 1)
    );
    house.clock.advance(24 * 3600);
    exceeded(reserve(budgets, &chain, tokens(101)).await);
    reserve(budgets, &chain, tokens(80)).await.unwrap();
    assert_eq!(
        (
            told(&house, "budget.denied").await,
            told(&house, "budget.warned").await
        ),
        (2, 2)
    );
}

async fn the_same_reserve_again_is_answered_as_the_first_time(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(100)).await;
    let chain = chain(&house, &alice).await;
    let budgets = &house.tenant.budgets;
    let id = HoldId::make(dormouse_engine::Clock::now(&*house.clock), &Random::seeded(7));
    let first = Reserve {
        hold: Some(id),
        ..wanted(&chain, tokens(10))
    };
    for _ in 0..2 {
        assert_eq!(budgets.reserve(&operator(), &first).await.unwrap().hold, Some(id));
    }
    assert_eq!(tokens_of(&house, &of(&alice)).await, (0, 10));
    let other = Reserve {
        estimate: tokens(11),
        ..first.clone()
    };
    match budgets.reserve(&operator(), &other).await {
        Err(CommandError::Rejected { reason, .. }) => assert_eq!(reason.word(), "exists"),
        answer => panic!("{answer:?}"),
    }
    budgets.release(&operator(), id).await.unwrap();
    match budgets.reserve(&operator(), &first).await {
        Err(CommandError::Rejected { reason, .. }) => assert_eq!(reason.word(), "closed"),
        answer => panic!("{answer:?}"),
    }
}

async fn a_hold_grows_like_a_reserve_and_what_is_metered_never_falls(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(100)).await;
    let chain = chain(&house, &alice).await;
    let budgets = &house.tenant.budgets;
    let hold = reserve(budgets, &chain, tokens(10)).await.unwrap().hold.unwrap();
    budgets.grow(&operator(), hold, &tokens(10)).await.unwrap();
    assert_eq!(tokens_of(&house, &of(&alice)).await, (0, 20));
    exceeded(budgets.grow(&operator(), hold, &tokens(81)).await);
    let meter = async |so_far| budgets.meter(&operator(), hold, &tokens(so_far)).await.unwrap();
    assert_eq!(meter(15).await, Metered::Continue);
    assert_eq!(tokens_of(&house, &of(&alice)).await, (15, 5));
    assert_eq!(meter(3).await, Metered::Continue);
    assert_eq!(tokens_of(&house, &of(&alice)).await, (15, 5));
    assert_eq!(meter(75).await, Metered::Warn);
    assert_eq!(meter(101).await, Metered::Stop);
    assert_eq!(tokens_of(&house, &of(&alice)).await, (101, 0));
    // Known spend is not given back.
    budgets.release(&operator(), hold).await.unwrap();
    assert_eq!(budgets.hold(hold).await.unwrap().state, HoldState::Reconciled);
    assert_eq!(tokens_of(&house, &of(&alice)).await, (101, 0));
    let none = HoldId::make(dormouse_engine::Clock::now(&*house.clock), &Random::seeded(9));
    let unknown = budgets
        .reconcile(&operator(), none, &tokens(1))
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), "not_found");
}

async fn a_limit_of_each_run_is_each_runs_own(house: House) {
    let alice = house.agent("alice").await;
    let setting = Setting {
        period: Some(Period::Run),
        ..limit(10)
    };
    set(&house, &of(&alice), &setting).await;
    let budgets = &house.tenant.budgets;
    let mut runs = Vec::new();
    for title in ["one", "two"] {
        let task = house.task(NewTask::new(alice.clone(), title)).await;
        runs.push(house.claim(&task).await);
    }
    for claimed in &runs {
        let chain = Chain::of_run(&claimed.run);
        reserve(budgets, &chain, tokens(9)).await.unwrap();
        let refusal = exceeded(reserve(budgets, &chain, tokens(2)).await);
        assert_eq!(refusal.account, AccountPath::Run(claimed.run.id));
    }
    assert_eq!(tokens_of(&house, &of(&alice)).await, (0, 0));
    assert_eq!(tokens_of(&house, &AccountPath::Run(runs[0].run.id)).await, (0, 9));
}

/// Runs of an agent at the moment.
async fn slots(house: &House, agent: &AgentName) -> u64 {
    counted(house, &of(agent), Dimension::Concurrency).await.1
}

async fn a_lane_needs_a_free_slot_and_who_asks_for_a_task_counts(house: House) {
    let by = operator();
    let alice = house.agent("alice").await;
    let mut tasks = Vec::new();
    for title in ["one", "two", "three"] {
        tasks.push(house.task(NewTask::new(alice.clone(), title)).await);
    }
    let agent = house.tenant.agents.get(&alice).await.unwrap();
    let budgets = &house.tenant.budgets;
    let lane = ClaimOptions {
        slot: Slot::Free,
        ..ClaimOptions::default()
    };
    assert!(budgets.room(&agent).await.unwrap().is_free());
    let mut freed = house.engine.freed().subscribe();
    let first = house
        .tenant
        .runs
        .claim(&operator(), tasks[0].id, lane)
        .await
        .unwrap();
    assert!(!budgets.room(&agent).await.unwrap().is_free());
    let refused = house
        .tenant
        .runs
        .claim(&operator(), tasks[1].id, lane)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "limit_exceeded");
    assert_eq!(
        house.tenant.tasks.get(tasks[1].id).await.unwrap().state.word(),
        "ready"
    );
    // Asked for by name it is not refused, and counts.
    let second = house.claim(&tasks[1]).await;
    assert_eq!(slots(&house, &alice).await, 2);
    assert!(!freed.has_changed().unwrap());
    house
        .tenant
        .runs
        .finish(&first, &success(), &facts())
        .await
        .unwrap();
    assert!(freed.has_changed().unwrap());
    freed.mark_unchanged();
    assert!(!budgets.room(&agent).await.unwrap().is_free());
    house
        .tenant
        .runs
        .finish(&second, &success(), &facts())
        .await
        .unwrap();
    assert_eq!(slots(&house, &alice).await, 0);
    // A budget's limit of runs at once is everybody's.
    let setting = Setting {
        limits: vec![(Dimension::Concurrency, Some(0))],
        ..Setting::default()
    };
    set(&house, &of(&alice), &setting).await;
    let claim = house.tenant.runs.claim(&by, tasks[2].id, ClaimOptions::default());
    assert_eq!(claim.await.unwrap_err().code(), "limit_exceeded");
}

async fn a_claim_reserves_and_each_end_of_the_work_gives_back(house: House) {
    let by = operator();
    let alice = house.agent("alice").await;
    let setting = Setting {
        limits: vec![
            (Dimension::Concurrency, Some(1)),
            (Dimension::InputTokens, Some(100)),
        ],
        pause: Some(Some(100)),
        ..Setting::default()
    };
    set(&house, &AccountPath::Tenant, &setting).await;
    let runs = async || {
        counted(&house, &AccountPath::Tenant, Dimension::Concurrency)
            .await
            .1
    };
    let one = house.task(NewTask::new(alice.clone(), "one")).await;
    let two = house.task(NewTask::new(alice.clone(), "two")).await;
    let claimed = house.claim(&one).await;
    assert_eq!((runs().await, slots(&house, &alice).await), (1, 1));
    let claim = house.tenant.runs.claim(&by, two.id, ClaimOptions::default());
    assert_eq!(claim.await.unwrap_err().code(), "limit_exceeded");
    assert_eq!((runs().await, slots(&house, &alice).await), (1, 1));
    // A call in flight when the run ends may have used all of it.
    let chain = Chain::of_run(&claimed.run);
    let call = Reserve {
        is_in_flight: true,
        ..wanted(&chain, tokens(30))
    };
    let hold = house
        .tenant
        .budgets
        .reserve(&operator(), &call)
        .await
        .unwrap()
        .hold
        .unwrap();
    house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    assert_eq!((runs().await, slots(&house, &alice).await), (0, 0));
    assert_eq!(tokens_of(&house, &AccountPath::Tenant).await, (30, 0));
    let hold = house.tenant.budgets.hold(hold).await.unwrap();
    assert!(hold.is_estimated && hold.state == HoldState::Reconciled);
    let claimed = house.claim(&two).await;
    assert_eq!(runs().await, 1);
    // The process that held it is gone: its lapse gives back too.
    drop(claimed);
    let house = house.reopened().await;
    house.recover().await;
    let account = house
        .tenant
        .budgets
        .get(&AccountPath::Tenant)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(account.reserved, Amounts::none());
    assert_eq!(slots(&house, &alice).await, 0);
}

async fn what_an_account_used_is_kept_by_day(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(1000)).await;
    let chain = chain(&house, &alice).await;
    let budgets = &house.tenant.budgets;
    for (used, later) in [(5, 0), (7, 0), (11, 24 * 3600)] {
        house.clock.advance(later);
        let hold = reserve(budgets, &chain, tokens(20)).await.unwrap().hold.unwrap();
        budgets.reconcile(&operator(), hold, &tokens(used)).await.unwrap();
    }
    let days = budgets.history(&of(&alice), None, 100).await.unwrap().rows;
    let days: Vec<_> = days
        .iter()
        .map(|day| {
            (
                day.day.to_string(),
                day.used.get(Dimension::InputTokens),
                day.closed,
            )
        })
        .collect();
    assert_eq!(
        days,
        [("2026-03-02".to_owned(), 11, 1), ("2026-03-01".to_owned(), 12, 2)]
    );
}

async fn another_agent_of_the_name_has_its_own_account(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(10)).await;
    let former = chain(&house, &alice).await;
    let agents = &house.tenant.agents;
    agents
        .delete(&operator(), &alice, AtWork::Refuse, None)
        .await
        .unwrap();
    gone(&house, &alice).await;
    house.agent("alice").await;
    // What a former agent of the name was limited by is not another's.
    let new = chain(&house, &alice).await;
    let admission = reserve(&house.tenant.budgets, &new, tokens(1000)).await.unwrap();
    assert_eq!(admission.hold, None);
    let late = reserve(&house.tenant.budgets, &former, tokens(1)).await;
    assert_eq!(late.unwrap_err().code(), "not_found");
    let missing = house
        .tenant
        .budgets
        .set(&operator(), &of(&name("bob")), &limit(1))
        .await
        .unwrap_err();
    assert_eq!(missing.code(), "not_found");
}

async fn lines_out_of_order_and_periods_that_are_none_are_refused(house: House) {
    let alice = house.agent("alice").await;
    let refused = [
        Setting {
            warn: Some(Some(95)),
            ..Setting::default()
        },
        Setting {
            pause: Some(Some(0)),
            ..Setting::default()
        },
        Setting {
            period: Some(Period::Calendar {
                unit: CalendarUnit::Day,
                zone: "Mars/Olympus".to_owned(),
            }),
            ..Setting::default()
        },
        Setting {
            period: Some(Period::Rolling { over_ms: 1 }),
            ..Setting::default()
        },
    ];
    for setting in refused {
        let refused = house
            .tenant
            .budgets
            .set(&operator(), &of(&alice), &setting)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "invalid", "{setting:?}");
    }
}
