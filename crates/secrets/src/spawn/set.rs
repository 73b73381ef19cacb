//! Which rows are the set: a pure decision.

use std::collections::{BTreeMap, BTreeSet};

use super::Need;
use crate::secrets::{Row, Under};
use crate::{SecretCategory, SecretName, SpawnError, reserved};

/// What an agent sees, as it was read.
pub(super) struct Seen {
    pub(super) under: Under,
    pub(super) own: Layer,
    pub(super) shared: Layer,
}

impl Seen {
    /// The names that the agent sees, of whatever category: nobody else's variables have them.
    pub(super) fn names(&self) -> BTreeSet<SecretName> {
        let layers = [&self.own, &self.shared];
        let names = layers.into_iter().flat_map(|layer| {
            let rows = layer.rows.iter().filter(|row| row.usable().is_some());
            rows.map(|row| row.place.name())
                .chain(&layer.unbelievable)
                .cloned()
        });
        names.collect()
    }
}

/// The rows of one scope.
#[derive(Default)]
pub(super) struct Layer {
    pub(super) rows: Vec<Row>,
    /// Names whose row cannot be believed.
    pub(super) unbelievable: Vec<SecretName>,
}

/// The set of a run.
pub(super) struct Set {
    /// The row of each name; none for one that cannot be believed.
    pub(super) names: BTreeMap<SecretName, Option<Row>>,
}

impl Set {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// Shared and own rows of category tool; an own row hides the shared one of its name, whatever its category, and
/// also when it cannot be believed.
pub(super) fn of(seen: &Seen, need: &Need) -> Result<Set, SpawnError> {
    let mut winners: BTreeMap<SecretName, Option<Row>> = BTreeMap::new();
    for layer in [&seen.shared, &seen.own] {
        let rows = layer.rows.iter().filter(|row| row.usable().is_some());
        winners.extend(rows.map(|row| (row.place.name().clone(), Some(row.clone()))));
        winners.extend(layer.unbelievable.iter().map(|name| (name.clone(), None)));
    }
    winners.retain(|name, row| reserved::of(name).is_none() && row.as_ref().is_none_or(is_tool));
    match need {
        Need::All => {}
        Need::Exactly(names) => {
            let missing: BTreeSet<&SecretName> =
                names.iter().filter(|name| !winners.contains_key(*name)).collect();
            if !missing.is_empty() {
                let names = missing.into_iter().cloned().collect();
                return Err(SpawnError::Missing { names });
            }
            winners.retain(|name, _| names.contains(name));
        }
    }
    Ok(Set { names: winners })
}

fn is_tool(row: &Row) -> bool {
    row.usable()
        .is_some_and(|live| live.body.category == SecretCategory::Tool)
}
