//! What becomes of a vault and of its slots: pure tables (secrets.md, section 2).

use std::fmt;

/// How the vault is for one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VaultState {
    /// There is none.
    Absent,
    /// No key fitted since the start.
    Sealed,
    /// Its root key is in memory.
    Unlocked,
    /// An operator said so, to every process.
    Locked,
}

impl VaultState {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Absent, Self::Sealed, Self::Unlocked, Self::Locked];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Sealed => "sealed",
            Self::Unlocked => "unlocked",
            Self::Locked => "locked",
        }
    }
}

impl fmt::Display for VaultState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Whether a key opens a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// It does.
    Fits,
    /// It does not.
    Wrong,
}

/// What can happen to a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VaultEvent {
    /// It is to be made.
    Enable,
    /// A process starts, or reads its configuration again: its sources are tried.
    Start(Key),
    /// Somebody gives a key.
    Unlock(Key),
    /// An operator locks it.
    Lock,
    /// A value is put, or an import begins.
    Put,
    /// A value is needed: delete, lease, use, spawn, export.
    Value,
    /// What needs no value: list, info, status, revoke, the removal of an agent.
    Meta,
    /// Its keys are to change: slots, rotate, rekey.
    Keys,
    /// Its row says that it is open.
    SeenOpen,
    /// Its row says that it is locked.
    SeenLocked,
}

impl VaultEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 12] = [
        Self::Enable,
        Self::Start(Key::Fits),
        Self::Start(Key::Wrong),
        Self::Unlock(Key::Fits),
        Self::Unlock(Key::Wrong),
        Self::Lock,
        Self::Put,
        Self::Value,
        Self::Meta,
        Self::Keys,
        Self::SeenOpen,
        Self::SeenLocked,
    ];
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VaultDecision {
    /// It is in this state then.
    Become(VaultState),
    /// It is made first, then the verb is done.
    EnableThenApply,
    /// The verb is done.
    Apply,
    /// There can be no value: the verb finds nothing.
    NotFound,
    /// It is sealed, and its sources are tried as at a start.
    SealedThenStart,
    /// Nothing happens.
    Ignore(&'static str),
    /// It is refused.
    Reject(&'static str),
}

/// What becomes of a vault.
#[must_use]
pub fn decide_vault(state: VaultState, event: VaultEvent) -> VaultDecision {
    use VaultDecision::{Apply, Become, EnableThenApply, Ignore, NotFound, Reject, SealedThenStart};
    use VaultEvent as E;
    use VaultState as S;
    match (state, event) {
        (S::Absent, E::Enable) => Become(S::Unlocked),
        (S::Absent, E::Start(_)) => Ignore("no_vault"),
        (S::Absent, E::Unlock(_) | E::Lock | E::Keys) => Reject("absent"),
        (S::Absent, E::Put) => EnableThenApply,
        (S::Absent, E::Value) => NotFound,
        (S::Absent, E::SeenOpen) => SealedThenStart,

        (S::Sealed | S::Unlocked | S::Locked, E::Enable) => Reject("exists"),
        (S::Sealed, E::Start(Key::Fits)) => Become(S::Unlocked),
        (S::Sealed, E::Start(Key::Wrong)) => Ignore("no_key_fits"),
        (S::Unlocked, E::Start(_)) => Ignore("unlocked"),
        (S::Locked, E::Start(_)) => Ignore("locked"),

        (S::Sealed | S::Locked, E::Unlock(Key::Fits)) => Become(S::Unlocked),
        (S::Sealed | S::Locked, E::Unlock(Key::Wrong)) => Reject("wrong_key"),
        (S::Unlocked, E::Unlock(_)) => Reject("unlocked"),

        (S::Sealed | S::Unlocked, E::Lock) => Become(S::Locked),
        (S::Locked, E::Lock | E::Put | E::Value | E::Keys) => Reject("locked"),
        (S::Sealed, E::Put | E::Value | E::Keys) => Reject("sealed"),
        (S::Unlocked, E::Put | E::Value | E::Keys) => Apply,
        (S::Absent | S::Sealed | S::Unlocked | S::Locked, E::Meta) => Apply,

        (S::Sealed | S::Unlocked, E::SeenOpen) => Ignore("same"),
        (S::Locked, E::SeenOpen) => SealedThenStart,
        (S::Absent | S::Sealed | S::Unlocked, E::SeenLocked) => Become(S::Locked),
        (S::Locked, E::SeenLocked) => Ignore("same"),
    }
}

/// How a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlotState {
    /// There is none of this id, or no longer.
    Removed,
    /// It waits to be confirmed.
    Pending,
    /// It opens the vault.
    Active,
}

impl SlotState {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Removed, Self::Pending, Self::Active];
}

/// Whether another slot opens the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Others {
    /// One does.
    Active,
    /// None does.
    None,
}

/// What can happen to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlotEvent {
    /// Its key is read again from its source.
    Confirm(Key),
    /// It is to go.
    Remove(Others),
    /// 24 hours went by.
    Elapsed,
}

impl SlotEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Confirm(Key::Fits),
        Self::Confirm(Key::Wrong),
        Self::Remove(Others::Active),
        Self::Remove(Others::None),
        Self::Elapsed,
    ];
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlotDecision {
    /// It is in this state then.
    Become(SlotState),
    /// Nothing happens.
    Ignore(&'static str),
    /// It is refused.
    Reject(&'static str),
}

/// What becomes of a slot.
#[must_use]
pub fn decide_slot(state: SlotState, event: SlotEvent) -> SlotDecision {
    use SlotDecision::{Become, Ignore, Reject};
    use SlotEvent as E;
    use SlotState as S;
    match (state, event) {
        (S::Removed, E::Confirm(_) | E::Remove(_)) => Reject("unknown"),
        (S::Removed, E::Elapsed) => Ignore("none"),
        (S::Pending, E::Confirm(Key::Fits)) => Become(S::Active),
        (S::Pending, E::Confirm(Key::Wrong)) => Reject("wrong_key"),
        (S::Pending, E::Remove(_) | E::Elapsed) | (S::Active, E::Remove(Others::Active)) => {
            Become(S::Removed)
        }
        (S::Active, E::Confirm(_)) => Ignore("same"),
        (S::Active, E::Remove(Others::None)) => Reject("last_slot"),
        (S::Active, E::Elapsed) => Ignore("active"),
    }
}
