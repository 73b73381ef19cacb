//! The tables, every state and event, as golden files.

use std::fmt::Debug;

use dormouse_secrets::{
    LeaseEvent, LeaseStatus, SlotEvent, SlotState, VaultEvent, VaultState, decide_lease, decide_slot,
    decide_vault,
};

fn print<S: Debug + Copy, E: Debug + Copy, D: Debug>(
    states: &[S],
    events: &[E],
    decide: impl Fn(S, E) -> D,
) -> String {
    let mut text = String::new();
    for state in states {
        for event in events {
            text += &line(*state, *event, decide(*state, *event));
        }
    }
    text
}

/// One cell, as the golden files have it.
pub(super) fn line(state: impl Debug, event: impl Debug, decision: impl Debug) -> String {
    format!("{state:?} + {event:?} = {decision:?}\n")
}

/// The golden file of a table has exactly these cells.
#[track_caller]
pub(super) fn holds(name: &str, cells: &str) {
    let golden = std::fs::read_to_string(path(name)).unwrap();
    let unlike: Vec<(&str, &str)> = golden
        .lines()
        .zip(cells.lines())
        .filter(|(golden, cell)| golden != cell)
        .collect();
    assert!(unlike.is_empty(), "{name}: {unlike:#?}");
    assert_eq!(golden.lines().count(), cells.lines().count(), "{name}");
}

fn path(name: &str) -> String {
    format!("{}/tests/it/store/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"))
}

fn compare(name: &str, printed: &str) {
    let path = path(name);
    if std::env::var_os("DORMOUSE_BLESS").is_some() {
        std::fs::write(&path, printed).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == printed,
        "{name} differs from its golden file; look at it, then set DORMOUSE_BLESS"
    );
}

#[test]
fn the_table_of_the_vault_is_the_golden_one() {
    compare("vault", &print(&VaultState::ALL, &VaultEvent::ALL, decide_vault));
}

#[test]
fn the_table_of_a_slot_is_the_golden_one() {
    compare("slot", &print(&SlotState::ALL, &SlotEvent::ALL, decide_slot));
}

#[test]
fn the_table_of_a_lease_is_the_golden_one() {
    compare("lease", &print(&LeaseStatus::ALL, &LeaseEvent::ALL, decide_lease));
}

#[test]
fn the_table_of_a_session_is_the_golden_one() {
    let printed = print(&LeaseStatus::ALL, &LeaseEvent::OF_SESSION, decide_lease);
    compare("session", &printed);
}
