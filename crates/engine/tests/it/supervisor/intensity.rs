//! What goes wrong again and again is stopped: an agent whose runs end badly, a loop that panics.

use std::sync::atomic::AtomicUsize;

use dormouse_engine::agent::{AgentState, Intensity};
use dormouse_engine::limits::{RESTARTS_MAX, RESTARTS_WITHIN};

use super::*;

async fn is_paused(house: &House) -> bool {
    let agent = house.tenant.agents.get(&alice()).await.unwrap();
    let reason = agent
        .paused_reason
        .as_ref()
        .map(|reason| reason.as_str().to_owned());
    if agent.state == AgentState::Paused {
        let runs = Intensity::default().runs;
        assert_eq!(reason, Some(format!("{runs} runs ended badly within 10 min")));
    }
    agent.state == AgentState::Paused
}

async fn paused(house: &House) {
    until("its agent is paused", async || is_paused(house).await).await;
}

/// How many runs had ended before each time that the agent was paused.
async fn ends_before_pauses(house: &House) -> Vec<usize> {
    let (mut ends, mut pauses) = (0, Vec::new());
    for told in house.event_types().await {
        match told.as_str() {
            "run.ended" => ends += 1,
            "agent.paused" => pauses.push(ends),
            _ => {}
        }
    }
    pauses
}

/// Runs that fail, one behind the other.
async fn fail(house: &House, count: usize) {
    for _ in 0..count {
        let row = house.run(sh("exit 3")).await;
        assert_eq!(outcome(&row).name(), "failed");
    }
}

/// WK-29, with `a_loop_that_panics_four_times_in_a_minute_is_named`.
#[tokio::test]
async fn an_agent_with_too_many_bad_runs_in_ten_minutes_is_paused_and_says_why() {
    let most = Intensity::default().runs;
    let bed = bed();
    let house = bed.open_with_alice().await;
    // Those that were long ago are none of them.
    fail(&house, most - 1).await;
    bed.slept(11 * 60);
    house.run(sh("true")).await;
    fail(&house, most - 1).await;
    assert!(!is_paused(&house).await);
    fail(&house, 1).await;
    paused(&house).await;
    // Those of long ago, the good one, and then as many bad ones as it takes.
    let ends = (most - 1) + 1 + most;
    assert_eq!(ends_before_pauses(&house).await, [ends]);
    // The eleventh, which was at work already or is begun by hand, changes nothing of it.
    let agents = &house.tenant.agents;
    agents.resume(&operator(), &alice()).await.unwrap();
    // Whoever resumed it knew of these.
    fail(&house, 1).await;
    house.run(sh("true")).await;
    assert!(!is_paused(&house).await);
    assert_eq!(ends_before_pauses(&house).await, [ends], "once, and not again");
}

/// WK-29, with `an_agent_with_too_many_bad_runs_in_ten_minutes_is_paused_and_says_why`.
#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_four_times_in_a_minute_is_named() {
    let house = bed().open().await;
    let begun = Arc::new(AtomicUsize::new(0));
    // Panics after so long, each time.
    let panics = |after: Duration| {
        let begun = Arc::clone(&begun);
        move || {
            let begun = Arc::clone(&begun);
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(after).await;
                panic!("on purpose")
            }
        }
    };
    // Once in longer than the time that counts: it is begun again for ever.
    let seldom = house.engine.keep("seldom", panics(RESTARTS_WITHIN));
    let for_long = RESTARTS_WITHIN * 20 + Duration::from_secs(1);
    assert!(tokio::time::timeout(for_long, seldom).await.is_err());
    assert_eq!(begun.swap(0, Ordering::SeqCst), 21);
    assert!(house.engine.degraded().is_empty());

    house.engine.keep("wakes", panics(Duration::from_secs(1))).await;
    assert_eq!(begun.swap(0, Ordering::SeqCst), 1 + RESTARTS_MAX);
    assert_eq!(house.engine.degraded(), ["wakes"]);
    // One that ends is not begun again.
    let ends = Arc::clone(&begun);
    let once = move || {
        ends.fetch_add(1, Ordering::SeqCst);
        std::future::ready(())
    };
    house.engine.keep("due", once).await;
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    assert_eq!(house.engine.degraded(), ["wakes"]);
}
