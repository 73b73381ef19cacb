//! Every kind of record this crate stores.

use dormouse_filesystem::Kind;

use crate::lease::{LeaseRow, SessionRow};
use crate::migrate::{MigrationRow, QuarantineRow};
use crate::ring::RingRow;
use crate::row::SecretRow;
use crate::used::UsedRow;
use crate::vault::VaultRow;

/// Every kind of record this crate stores, for the catalogue of the store.
#[must_use]
pub fn kinds() -> Vec<Kind> {
    vec![
        Kind::of::<LeaseRow>(),
        Kind::of::<MigrationRow>(),
        Kind::of::<QuarantineRow>(),
        Kind::of::<RingRow>(),
        Kind::of::<SecretRow>(),
        Kind::of::<SessionRow>(),
        Kind::of::<UsedRow>(),
        Kind::of::<VaultRow>(),
    ]
}
