//! Budgets as time passes, and after a crash.

use dormouse_engine::budget::{
    AccountPath, Amounts, CalendarUnit, Chain, Dimension, HoldState, Period, Reserve, Setting,
};
use dormouse_engine::task::NewTask;
use dormouse_engine::{Clock, CommandError};
use jiff::Timestamp;

use super::budgets::{chain, limit, of, set, tokens, wanted};
use super::house::{House, operator};

super::on_every_store! {
    /// ST-61, with `periods_begin_and_end_when_stated`.
    what_is_used_is_forgotten_when_its_period_ends_and_a_hold_stays;
    a_rolling_period_forgets_by_its_parts;
    a_clock_that_goes_back_begins_no_period_anew;
    /// ST-62
    after_a_crash_what_is_known_is_charged_and_what_was_in_flight_as_it_was_expected;
}

/// Lets the clock come to this instant.
fn come_to(house: &House, at: &str) {
    let at: Timestamp = at.parse().unwrap();
    let seconds = at.duration_since(house.clock.now()).as_secs();
    house.clock.advance(seconds);
}

async fn tokens_at(house: &House) -> (u64, u64) {
    let path = AccountPath::Agent("alice".parse().unwrap());
    let account = house.tenant.budgets.get(&path).await.unwrap().unwrap();
    (
        account.used.get(Dimension::InputTokens),
        account.reserved.get(Dimension::InputTokens),
    )
}

async fn use_up(house: &House, chain: &Chain, amount: u64) {
    let budgets = &house.tenant.budgets;
    let hold = budgets
        .reserve(&operator(), &wanted(chain, tokens(amount)))
        .await
        .unwrap()
        .hold
        .unwrap();
    budgets
        .reconcile(&operator(), hold, &tokens(amount))
        .await
        .unwrap();
}

async fn refuses(house: &House, chain: &Chain, amount: u64) -> bool {
    let answer = house
        .tenant
        .budgets
        .reserve(&operator(), &wanted(chain, tokens(amount)))
        .await;
    matches!(answer, Err(CommandError::LimitExceeded(_)))
}

fn of_period(period: Period) -> Setting {
    Setting {
        period: Some(period),
        ..limit(100)
    }
}

async fn what_is_used_is_forgotten_when_its_period_ends_and_a_hold_stays(house: House) {
    let alice = house.agent("alice").await;
    let berlin = |unit| Period::Calendar {
        unit,
        zone: "Europe/Berlin".to_owned(),
    };
    // Each period, with a second before its end and its end.
    let ends = [
        (
            berlin(CalendarUnit::Day),
            "2026-03-28T22:59:59Z",
            "2026-03-28T23:00:00Z",
        ),
        // The day of 23 hours.
        (
            berlin(CalendarUnit::Day),
            "2026-03-29T21:59:59Z",
            "2026-03-29T22:00:00Z",
        ),
        (
            berlin(CalendarUnit::Week),
            "2026-04-05T21:59:59Z",
            "2026-04-05T22:00:00Z",
        ),
        (
            berlin(CalendarUnit::Month),
            "2026-04-30T21:59:59Z",
            "2026-04-30T22:00:00Z",
        ),
        (
            Period::Every {
                every_ms: 6 * 3_600_000,
                anchor: "2026-01-01T00:00:00Z".parse().unwrap(),
            },
            "2026-05-01T05:59:59Z",
            "2026-05-01T06:00:00Z",
        ),
        (
            berlin(CalendarUnit::Day),
            "2026-10-24T21:59:59Z",
            "2026-10-24T22:00:00Z",
        ),
        // The day of 25 hours.
        (
            berlin(CalendarUnit::Day),
            "2026-10-25T22:59:59Z",
            "2026-10-25T23:00:00Z",
        ),
    ];
    set(&house, &of(&alice), &limit(100)).await;
    let chain = chain(&house, &alice).await;
    let budgets = &house.tenant.budgets;
    // It is held across all of them.
    let held = budgets
        .reserve(&operator(), &wanted(&chain, tokens(1)))
        .await
        .unwrap()
        .hold
        .unwrap();
    for (period, before, end) in ends {
        come_to(&house, before);
        set(&house, &of(&alice), &of_period(period.clone())).await;
        let left = 99 - tokens_at(&house).await.0;
        use_up(&house, &chain, left).await;
        assert_eq!(tokens_at(&house).await, (99, 1), "{period:?}");
        assert!(refuses(&house, &chain, 1).await, "{period:?}");
        come_to(&house, end);
        assert_eq!(tokens_at(&house).await, (0, 1), "{period:?}");
        assert!(refuses(&house, &chain, 100).await, "{period:?}");
        use_up(&house, &chain, 50).await;
        assert_eq!(tokens_at(&house).await, (50, 1), "{period:?}");
    }
    // What it comes to counts in the period in which that is known.
    budgets.reconcile(&operator(), held, &tokens(3)).await.unwrap();
    assert_eq!(tokens_at(&house).await, (53, 0));
}

async fn a_rolling_period_forgets_by_its_parts(house: House) {
    let alice = house.agent("alice").await;
    let day = Period::Rolling {
        over_ms: 24 * 3_600_000,
    };
    set(&house, &of(&alice), &of_period(day)).await;
    let chain = chain(&house, &alice).await;
    // At the beginning of one part, and at the end of another.
    come_to(&house, "2026-03-02T00:00:00Z");
    use_up(&house, &chain, 10).await;
    come_to(&house, "2026-03-02T01:59:59Z");
    use_up(&house, &chain, 20).await;
    let until = [
        ("2026-03-03T00:59:59Z", 30),
        // 25 of 24 parts later.
        ("2026-03-03T01:00:00Z", 20),
        ("2026-03-03T01:59:59Z", 20),
        // A whole duration, and a second.
        ("2026-03-03T02:00:00Z", 0),
    ];
    for (at, used) in until {
        come_to(&house, at);
        assert_eq!(tokens_at(&house).await, (used, 0), "{at}");
    }
}

async fn a_clock_that_goes_back_begins_no_period_anew(house: House) {
    let alice = house.agent("alice").await;
    let day = Period::Calendar {
        unit: CalendarUnit::Day,
        zone: "UTC".to_owned(),
    };
    set(&house, &of(&alice), &of_period(day)).await;
    let chain = chain(&house, &alice).await;
    use_up(&house, &chain, 60).await;
    house.clock.advance(-36 * 3600);
    assert_eq!(tokens_at(&house).await, (60, 0));
    assert!(refuses(&house, &chain, 50).await);
}

pub(super) async fn after_a_crash_what_is_known_is_charged_and_what_was_in_flight_as_it_was_expected(
    house: House,
) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(1000)).await;
    let task = house.task(NewTask::new(alice.clone(), "ask")).await;
    let claimed = house.claim(&task).await;
    let of_run = Chain::of_run(&claimed.run);
    let budgets = house.tenant.budgets.clone();
    let call = |estimate| Reserve {
        is_in_flight: true,
        ..wanted(&of_run, tokens(estimate))
    };
    // The provider answered, and it was said what that was.
    let answered = budgets
        .reserve(&operator(), &call(100))
        .await
        .unwrap()
        .hold
        .unwrap();
    budgets
        .reconcile(&operator(), answered, &tokens(40))
        .await
        .unwrap();
    // It answered a part of another, and the rest is not known.
    let half = budgets
        .reserve(&operator(), &call(200))
        .await
        .unwrap()
        .hold
        .unwrap();
    budgets.meter(&operator(), half, &tokens(50)).await.unwrap();
    let asked = budgets
        .reserve(&operator(), &call(300))
        .await
        .unwrap()
        .hold
        .unwrap();
    // Nobody began what is held for somebody else's sake.
    let outside = chain(&house, &alice).await;
    let unbegun = budgets
        .reserve(&operator(), &wanted(&outside, tokens(7)))
        .await
        .unwrap()
        .hold
        .unwrap();
    drop((claimed, budgets));
    let house = house.reopened().await;
    let recovery = house.recover().await;
    assert_eq!(recovery.ended.len(), 1);
    assert_eq!(tokens_at(&house).await, (40 + 200 + 300, 7));
    let budgets = &house.tenant.budgets;
    for (hold, is_estimated) in [(answered, false), (half, true), (asked, true)] {
        let hold = budgets.hold(hold).await.unwrap();
        assert_eq!(
            (hold.state, hold.is_estimated),
            (HoldState::Reconciled, is_estimated)
        );
    }
    // Past its age it is given back, once.
    let mut janitor = house.engine.janitor();
    house.clock.advance(24 * 3600 - 1);
    assert_eq!(janitor.look().await.unwrap().swept, 0);
    house.clock.advance(1);
    assert_eq!(janitor.look().await.unwrap().swept, 1);
    assert_eq!(janitor.look().await.unwrap().swept, 0);
    let released = budgets.hold(unbegun).await.unwrap();
    assert_eq!(
        (released.state, &released.metered),
        (HoldState::Released, &Amounts::none())
    );
    assert_eq!(tokens_at(&house).await, (540, 0));
    let swept = house
        .event_types()
        .await
        .into_iter()
        .filter(|kind| kind == "budget.swept")
        .count();
    assert_eq!(swept, 3);
    // What a run at work holds stays, however old it is.
    let task = house.task(NewTask::new(alice.clone(), "go on")).await;
    let claimed = house.claim(&task).await;
    let call = Reserve {
        is_in_flight: true,
        ..wanted(&Chain::of_run(&claimed.run), tokens(9))
    };
    let held = budgets.reserve(&operator(), &call).await.unwrap().hold.unwrap();
    house.clock.advance(25 * 3600);
    assert_eq!(janitor.look().await.unwrap().swept, 0);
    assert!(budgets.hold(held).await.unwrap().is_open());
}
