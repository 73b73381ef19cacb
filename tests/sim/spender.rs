//! What a worker uses: reserved before, told behind it, or never told at all.

use dormouse_engine::Tenant;
use dormouse_engine::budget::{Amounts, Chain, Dimension, Reserve};
use dormouse_engine::run::Claimed;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::{Duration, sleep};

use crate::world::{World, person};

/// Most that one call is expected to use.
const CALL_MAX: u64 = 50;

/// A call that is paid for: what it comes to is said in parts, or in the end, or its caller forgets to say it.
pub(crate) async fn spends(world: &World, tenant: &Tenant, claimed: &Claimed, random: &mut StdRng) {
    let (expected, used) = (
        random.random_range(1..CALL_MAX),
        random.random_range(0..2 * CALL_MAX),
    );
    let (is_in_flight, how, takes) = (
        random.random(),
        random.random_range(0..5),
        random.random_range(1..10),
    );
    let wanted = Reserve {
        hold: None,
        chain: Chain::of_run(&claimed.run),
        estimate: tokens(expected),
        is_in_flight,
    };
    let budgets = &tenant.budgets;
    let Ok(admission) = budgets.reserve(&person(), &wanted).await else {
        world.ledger.did("unreserved");
        return;
    };
    let Some(hold) = admission.hold else {
        world
            .ledger
            .wrong(format!("{} reserved nothing of what is limited", claimed.run.id));
        return;
    };
    world.ledger.did("reserve");
    sleep(Duration::from_secs(takes)).await;
    let said = match how {
        0 => return,
        1 => budgets.meter(&person(), hold, &tokens(used)).await.map(drop),
        2 => budgets.release(&person(), hold).await,
        _ => budgets.reconcile(&person(), hold, &tokens(used)).await,
    };
    let Ok(()) = said else {
        world.ledger.did("unsaid");
        return;
    };
    world.ledger.did("spend");
    let least = if how == 2 { 0 } else { used };
    world.ledger.lock().spent.insert(hold, least);
}

fn tokens(amount: u64) -> Amounts {
    Amounts::none().with(Dimension::InputTokens, amount)
}
