//! Every state of a hold × every command, through the service: answers as in the golden file, and what is ignored or
//! rejected leaves every byte as it was.

use dormouse_engine::budget::{Chain, HoldState, Reserve};
use dormouse_engine::{CommandError, HoldId, PrefixedId};
use dormouse_filesystem::Version;

use super::budgets::{chain, limit, of, set, tokens, wanted};
use super::golden::{aligned, check};
use super::house::{House, operator};
use super::matrix::{bytes, refusal};

super::on_every_store! {
    every_state_of_a_hold_meets_every_command;
}

const COMMANDS: [&str; 9] = [
    "reserve again",
    "reserve",
    "grow",
    "meter",
    "reconcile",
    "release",
    "release, spent",
    "sweep",
    "sweep, spent",
];

fn named(chain: &Chain, id: HoldId, amount: u64) -> Reserve {
    Reserve {
        hold: Some(id),
        ..wanted(chain, tokens(amount))
    }
}

async fn hold_in(house: &House, chain: &Chain, id: HoldId, state: Option<HoldState>) {
    let (budgets, by) = (&house.tenant.budgets, operator());
    if state.is_some() {
        budgets.reserve(&by, &named(chain, id, 10)).await.unwrap();
    }
    match state {
        Some(HoldState::Reconciled) => budgets.reconcile(&by, id, &tokens(5)).await.unwrap(),
        Some(HoldState::Released) => budgets.release(&by, id).await.unwrap(),
        Some(HoldState::Open) | None => {}
    }
}

async fn obey(house: &House, chain: &Chain, id: HoldId, command: &str) -> Result<(), CommandError> {
    let (budgets, by) = (&house.tenant.budgets, &operator());
    match command {
        "reserve again" => budgets.reserve(by, &named(chain, id, 10)).await.map(drop),
        "reserve" => budgets.reserve(by, &named(chain, id, 11)).await.map(drop),
        "grow" => budgets.grow(by, id, &tokens(1)).await.map(drop),
        "meter" => budgets.meter(by, id, &tokens(3)).await.map(drop),
        "reconcile" => budgets.reconcile(by, id, &tokens(4)).await,
        "release" | "release, spent" => budgets.release(by, id).await,
        "sweep" | "sweep, spent" => budgets.sweep(id).await.map(drop),
        other => panic!("no command {other}"),
    }
}

async fn state_of(house: &House, id: HoldId) -> Option<HoldState> {
    house.tenant.budgets.hold(id).await.ok().map(|hold| hold.state)
}

/// What is stored: not every store's bytes are all read, so the version of the row is said too.
async fn stored(house: &House, id: HoldId) -> (String, Option<Version>) {
    let row = house.tenant.budgets.hold(id).await;
    (bytes(house).await, row.ok().map(|hold| hold.version()))
}

async fn cell(house: &House, chain: &Chain, state: Option<HoldState>, command: &str) -> String {
    let environment = house.engine.environment();
    let id = HoldId::make(environment.clock.now(), &environment.random);
    hold_in(house, chain, id, state).await;
    if command.ends_with("spent") && state == Some(HoldState::Open) {
        house
            .tenant
            .budgets
            .meter(&operator(), id, &tokens(2))
            .await
            .unwrap();
    }
    let before = stored(house, id).await;
    let answer = obey(house, chain, id, command).await;
    let is_untouched = before == stored(house, id).await;
    match answer {
        Err(error) => {
            assert!(is_untouched, "{state:?} × {command} was refused and yet wrote");
            refusal(&error)
        }
        Ok(()) if is_untouched => "ignored".to_owned(),
        Ok(()) => match state_of(house, id).await {
            after if after == state => "·".to_owned(),
            after => after.unwrap().word().to_owned(),
        },
    }
}

async fn every_state_of_a_hold_meets_every_command(house: House) {
    let alice = house.agent("alice").await;
    set(&house, &of(&alice), &limit(1_000_000)).await;
    let chain = chain(&house, &alice).await;
    let head = std::iter::once("").chain(COMMANDS).map(str::to_owned);
    let mut rows = vec![head.collect::<Vec<_>>()];
    for state in HoldState::ALL {
        let mut row = vec![state.map_or("none", HoldState::word).to_owned()];
        for command in COMMANDS {
            row.push(cell(&house, &chain, state, command).await);
        }
        rows.push(row);
    }
    check("services_holds.txt", &aligned(&rows));
}
