//! What becomes of a lease, and of a credential session: a pure table (secrets.md, section 4).

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseStatus {
    /// It gives its value.
    Active,
    /// Its uses are spent.
    Consumed,
    /// It was taken back.
    Revoked,
    /// Its time is over.
    Expired,
}

impl LeaseStatus {
    /// Every status, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Active, Self::Consumed, Self::Revoked, Self::Expired];
}

/// Why a lease was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody revoked it.
    By,
    /// Its holder ended.
    Holder,
    /// Its secret was deleted.
    Deleted,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::By => "by request",
            Self::Holder => "its holder ended",
            Self::Deleted => "its secret was deleted",
        })
    }
}

/// How many uses are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Left {
    /// This one is the last.
    Last,
    /// More than this one.
    More,
    /// As many as wanted.
    Unlimited,
}

/// What can happen to a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseEvent {
    /// It is used, in time.
    Use(Left),
    /// It is used at its expiry or after.
    UseLate,
    /// It is used, and its secret is deleted.
    UseDeleted,
    /// It is used, and its row does not open or the vault is not unlocked.
    UseUnreadable,
    /// Somebody takes it back.
    Revoke,
    /// Its holder ended.
    HolderEnded,
    /// 24 hours went by since its end.
    Elapsed,
}

impl LeaseEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Use(Left::Last),
        Self::Use(Left::More),
        Self::Use(Left::Unlimited),
        Self::UseLate,
        Self::UseDeleted,
        Self::UseUnreadable,
        Self::Revoke,
        Self::HolderEnded,
        Self::Elapsed,
    ];

    /// Those that a credential session meets, in the order of the table: its uses are counted, it has a set in the place
    /// of one secret, and it ends with its run.
    pub const OF_SESSION: [Self; 6] = [
        Self::Use(Left::Last),
        Self::Use(Left::More),
        Self::UseLate,
        Self::UseUnreadable,
        Self::HolderEnded,
        Self::Elapsed,
    ];
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseDecision {
    /// The value is handed out, after the use was counted and it is in this status.
    HandOut(LeaseStatus),
    /// The value is handed out, and nothing is written.
    HandOutUnwritten,
    /// It is in this status then, for this cause, and a use gets nothing.
    Become(LeaseStatus, Option<Cause>),
    /// Its row goes.
    Remove,
    /// Nothing happens.
    Ignore(&'static str),
    /// A use gets nothing, and nothing is written.
    Refuse(&'static str),
}

/// What becomes of a lease.
#[must_use]
pub fn decide_lease(status: LeaseStatus, event: LeaseEvent) -> LeaseDecision {
    use LeaseDecision::{Become, HandOut, HandOutUnwritten, Ignore, Refuse, Remove};
    use LeaseEvent as E;
    use LeaseStatus as S;
    match (status, event) {
        (S::Active, E::Use(Left::Last)) => HandOut(S::Consumed),
        (S::Active, E::Use(Left::More)) => HandOut(S::Active),
        (S::Active, E::Use(Left::Unlimited)) => HandOutUnwritten,
        (S::Active, E::UseLate) => Become(S::Expired, None),
        (S::Active, E::UseDeleted) => Become(S::Revoked, Some(Cause::Deleted)),
        (S::Active, E::UseUnreadable) => Refuse("unreadable"),
        (S::Active, E::Revoke) => Become(S::Revoked, Some(Cause::By)),
        (S::Active, E::HolderEnded) => Become(S::Revoked, Some(Cause::Holder)),
        (S::Active, E::Elapsed) => Ignore("active"),

        (S::Consumed, E::Use(_) | E::UseLate | E::UseDeleted | E::UseUnreadable) => Refuse("consumed"),
        (S::Revoked, E::Use(_) | E::UseLate | E::UseDeleted | E::UseUnreadable) => Refuse("revoked"),
        (S::Expired, E::Use(_) | E::UseLate | E::UseDeleted | E::UseUnreadable) => Refuse("expired"),
        (S::Consumed | S::Revoked | S::Expired, E::Revoke | E::HolderEnded) => Ignore("terminal"),
        (S::Consumed | S::Revoked | S::Expired, E::Elapsed) => Remove,
    }
}
