//! The vault's one record: the root key under each slot.

use dormouse_filesystem::{Class, IndexEntry, NoIndexes, Record, RecordKind, Segment, System};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::table::SlotState;
use crate::seal::{AssociatedData, Sealed};
use crate::{KeySource, WrappedKey};

/// Most slots of a vault.
pub const SLOTS_MAX: usize = 8;
/// After this time a slot that was not confirmed is gone.
pub const SLOT_PENDING: SignedDuration = SignedDuration::from_hours(24);

/// For how long at least the root key before is kept in a rekey: a commit in flight that was sealed under it has ended
/// by then, whichever way.
pub(crate) const RETIRING_MIN: SignedDuration = SignedDuration::from_mins(1);

/// A vault. It holds no key in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VaultRow {
    /// Told from every other vault: 32 hexadecimal digits.
    pub(crate) vault: String,
    /// Whether an operator locked it.
    pub(crate) locked: bool,
    /// The number of the root key.
    pub(crate) root: u32,
    /// The root key under one key each.
    pub(crate) slots: Vec<Slot>,
    /// The number of the next slot: none has one twice.
    pub(crate) next_slot: u32,
    /// The root key before, under this one, while a rekey is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retiring: Option<Retiring>,
    pub(crate) created_at: Timestamp,
}

/// The root key under one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slot {
    pub(crate) id: u32,
    pub(crate) source: KeySource,
    pub(crate) wrapped: WrappedKey,
    /// Until confirmed.
    pub(crate) pending: bool,
    /// The slot that a rotation removes after this one is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<u32>,
    pub(crate) added_at: Timestamp,
}

/// A root key that is going.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retiring {
    pub(crate) root: u32,
    /// Since when it is going.
    pub(crate) since: Timestamp,
    /// The slots that went with it: told again by who goes on with a rekey whose answer was lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) dropped: Vec<u32>,
    pub(crate) sealed: Sealed,
}

impl Slot {
    pub(crate) fn state(&self, now: Timestamp) -> SlotState {
        if !self.pending {
            SlotState::Active
        } else if self.added_at + SLOT_PENDING > now {
            SlotState::Pending
        } else {
            SlotState::Removed
        }
    }
}

impl VaultRow {
    pub(crate) fn the_id() -> Segment {
        Segment::parse("one").expect("a fixed name is a segment")
    }

    pub(crate) fn slot(&self, id: u32) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.id == id)
    }

    /// The slot that takes this one's place, in a rotation that is behind its confirm and not at its end: whose key is in
    /// the file, only the file knows.
    pub(crate) fn successor_of(&self, id: u32) -> Option<&Slot> {
        let mut active = self.slots.iter().filter(|slot| !slot.pending);
        self.slot(id).and(active.find(|slot| slot.replaces == Some(id)))
    }

    /// What the root key in a slot is bound to.
    pub(crate) fn slot_bound(&self, slot: u32, source: KeySource) -> AssociatedData {
        AssociatedData::new("dormouse/1/slot")
            .field(self.vault.as_bytes())
            .number(slot.into())
            .number(self.root.into())
            .field(source.word().as_bytes())
    }

    /// What the root key before is bound to.
    pub(crate) fn retiring_bound(&self, old: u32) -> AssociatedData {
        AssociatedData::new("dormouse/1/retiring-root")
            .field(self.vault.as_bytes())
            .number(old.into())
            .number(self.root.into())
    }
}

impl Record for VaultRow {
    type Scope = System;
    type Id = Segment;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("secret_vault");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        Self::the_id()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}
