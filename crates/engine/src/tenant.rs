//! Tenants: rows in system scope, so that they are found without looking into each.

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, System, indexes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Incarnation, OpId, TenantId};

/// Where a tenant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// It is served.
    Active,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantRow {
    /// Its name.
    pub name: TenantId,
    /// Told from a former tenant of that name.
    pub incarnation: Incarnation,
    /// Where it is.
    pub state: TenantState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

indexes! {
    /// What finds tenants.
    pub enum TenantIndex {
        /// By state.
        State = own "state",
    }
}

impl Record for TenantRow {
    type Scope = System;
    type Id = TenantId;
    type Index = TenantIndex;
    const KIND: RecordKind = RecordKind::of("tenant");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> TenantId {
        self.name.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<TenantIndex>> {
        let state = match self.state {
            TenantState::Active => "active",
        };
        vec![IndexEntry::new(TenantIndex::State, [IndexValue::name(state)])]
    }
}
