//! A row of every kind with every field set: it comes back as it was, from the process that wrote it and from the next one,
//! and has no field that is of the moment.
//!
//! `golden/rows_full.txt` has them, as `rows.txt` has those that builds wrote. Where fields exclude each other, a kind has two.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_engine::agent::Agent;
use dormouse_engine::budget::{Account, Hold, Usage};
use dormouse_engine::capability::Capability;
use dormouse_engine::gate::{Gate, GateDisplay, GateKey, StandingGrant};
use dormouse_engine::idempotency::IdempotencyRow;
use dormouse_engine::lease::{Heartbeat, Lease};
use dormouse_engine::relay::{DeadLetter, RelayCursor};
use dormouse_engine::run::{OutcomeRow, Process, Run};
use dormouse_engine::session::{SessionKey, SessionLive, SessionRow};
use dormouse_engine::step::Step;
use dormouse_engine::task::{Delegation, Settlement, Task, TaskTombstone, Tree};
use dormouse_engine::thread::{Message, Thread};
use dormouse_engine::wake::{TimedWake, Wake};
use dormouse_engine::{TenantRow, kinds};
use dormouse_filesystem::{Namespace, Record, Records, Tenant};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;

use super::fields::{Fields, fields};
use super::house::House;
use super::rows::{Row, is_of_secrets, rows_in};

super::on_every_store! {
    /// ST-13, with `no_row_leaves_a_field_out`, `no_stored_type_has_a_field_of_the_moment` and, of paging, the tests of the
    /// record stores.
    a_full_row_of_every_kind_comes_back_as_it_was;
}

/// Does this with the type of the row.
macro_rules! as_its_type {
    ($row:expr, $does:ident($($argument:expr),*)) => {
        match $row.kind.as_str() {
            "account" => $does::<Account>($($argument),*),
            "agent" => $does::<Agent>($($argument),*),
            "capability" => $does::<Capability>($($argument),*),
            "cursor" => $does::<RelayCursor>($($argument),*),
            "delegation" => $does::<Delegation>($($argument),*),
            "event_dead_letter" => $does::<DeadLetter>($($argument),*),
            "gate" => $does::<Gate>($($argument),*),
            "gate_display" => $does::<GateDisplay>($($argument),*),
            "gate_key" => $does::<GateKey>($($argument),*),
            "heartbeat" => $does::<Heartbeat>($($argument),*),
            "hold" => $does::<Hold>($($argument),*),
            "idempotency" => $does::<IdempotencyRow>($($argument),*),
            "lease" => $does::<Lease>($($argument),*),
            "message" => $does::<Message>($($argument),*),
            "outcome" => $does::<OutcomeRow>($($argument),*),
            "process" => $does::<Process>($($argument),*),
            "run" => $does::<Run>($($argument),*),
            "session" => $does::<SessionRow>($($argument),*),
            "session_key" => $does::<SessionKey>($($argument),*),
            "session_live" => $does::<SessionLive>($($argument),*),
            "settlement" => $does::<Settlement>($($argument),*),
            "standing_grant" => $does::<StandingGrant>($($argument),*),
            "step" => $does::<Step>($($argument),*),
            "task" => $does::<Task>($($argument),*),
            "task_tombstone" => $does::<TaskTombstone>($($argument),*),
            "thread" => $does::<Thread>($($argument),*),
            "timed_wake" => $does::<TimedWake>($($argument),*),
            "tree" => $does::<Tree>($($argument),*),
            "usage" => $does::<Usage>($($argument),*),
            "wake" => $does::<Wake>($($argument),*),
            other => panic!("{other} has no type here"),
        }
    };
}

/// A tenant's own row is the system's, and the next number of a tenant's tasks is a number.
const APART: [&str; 2] = ["tenant", "task_numbers"];

fn full_rows() -> Vec<Row> {
    rows_in("rows_full.txt")
}

fn fields_of<R: Record>(row: &Row) -> Fields {
    fields::<R>(&row.form["value"]).1
}

/// Every field of each kind is set in some row of it: a new one has to be set here too.
#[test]
fn no_row_leaves_a_field_out() {
    let mut of_kind: BTreeMap<String, Fields> = BTreeMap::new();
    for row in full_rows() {
        let found = match row.kind.as_str() {
            "tenant" => fields_of::<TenantRow>(&row),
            _ => as_its_type!(row, fields_of(&row)),
        };
        match of_kind.get_mut(&row.kind) {
            None => drop(of_kind.insert(row.kind.clone(), found)),
            Some(former) => {
                let both = |path: &String| {
                    let is_said =
                        |fields: &Fields| fields.known.contains(path) && !fields.left_out.contains(path);
                    !is_said(former) && !is_said(&found)
                };
                let left_out = former.left_out.union(&found.left_out).filter(|path| both(path));
                former.left_out = left_out.cloned().collect();
                former.known.extend(found.known);
            }
        }
    }
    let known: BTreeSet<String> = of_kind.keys().cloned().collect();
    let mut wanted: BTreeSet<String> = kinds().iter().map(|kind| kind.name().to_string()).collect();
    wanted.retain(|kind| !is_of_secrets(kind) && kind != "task_numbers");
    assert_eq!(known, wanted, "a full row of each kind");
    for (kind, fields) in &of_kind {
        assert!(
            fields.left_out.is_empty(),
            "no row of {kind} has {:?}",
            fields.left_out
        );
    }
}

/// Writes it as a command does.
async fn written<R: Record>(space: &Namespace<R::Scope>, row: &Row) {
    let value: R = serde_json::from_value(row.form["value"].clone()).unwrap();
    let created = Records::<R>::new(space).create(&value).await.unwrap();
    assert_eq!(*created, value, "{row:?}");
}

/// It is read as it was.
async fn read_back<R: Record>(space: &Namespace<R::Scope>, row: &Row) {
    let value: R = serde_json::from_value(row.form["value"].clone()).unwrap();
    let read = Records::<R>::new(space).get(&value.id()).await.unwrap();
    assert_eq!(*read.unwrap(), value, "{row:?}");
}

fn boxed_written<'a, R: Record<Scope = Tenant>>(
    space: &'a Namespace<Tenant>,
    row: &'a Row,
) -> LocalBoxFuture<'a, ()> {
    written::<R>(space, row).boxed_local()
}

fn boxed_read_back<'a, R: Record<Scope = Tenant>>(
    space: &'a Namespace<Tenant>,
    row: &'a Row,
) -> LocalBoxFuture<'a, ()> {
    read_back::<R>(space, row).boxed_local()
}

/// What is stored is the row, each field of it and no other.
async fn is_stored(house: &House, rows: &[Row]) {
    let entries = house.entries().await;
    for row in rows {
        let stored = entries.iter().find(|entry| entry.key.to_string() == row.key);
        let stored = stored.unwrap_or_else(|| panic!("nothing is at {}", row.key));
        let form: Value = serde_json::from_slice(&stored.value).unwrap();
        assert_eq!(form, row.form, "{}", row.key);
    }
}

async fn a_full_row_of_every_kind_comes_back_as_it_was(house: House) {
    let rows = full_rows();
    let of_tenants: Vec<&Row> = rows.iter().filter(|row| !APART.contains(&&*row.kind)).collect();
    let own = rows.iter().find(|row| row.kind == "tenant").unwrap();
    for row in &of_tenants {
        as_its_type!(row, boxed_written(house.tenant.space(), row)).await;
    }
    written::<TenantRow>(house.engine.system(), own).await;
    is_stored(&house, &rows).await;
    let house = house.reopened().await;
    for row in &of_tenants {
        as_its_type!(row, boxed_read_back(house.tenant.space(), row)).await;
    }
    read_back::<TenantRow>(house.engine.system(), own).await;
    is_stored(&house, &rows).await;
    let checked = house.engine.check_records(false).await.unwrap();
    assert_eq!(checked.bad, [], "each is believed");
}
