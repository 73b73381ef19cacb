//! What is to become of each row of a source, decided before anything is written.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{Legacy, LegacyKey, LegacyOwner, LegacyRow, MigrateError, QuarantineId, Unplaced};
use crate::ring::Ring;
use crate::{KeyError, Secret, SecretError, SecretName, SecretRef, SecretScope, VALUE_MAX};

/// The most characters of a key that are told.
const KEY_SHOWN_MAX: usize = 160;

/// A row, and where it is to go or why it can go nowhere.
pub(super) type Planned<'a> = (&'a LegacyRow, Result<SecretRef, Unplaced>);

/// A source whose keys are all understood, sorted by key.
pub(super) struct Plan<'a> {
    pub(super) rows: Vec<Planned<'a>>,
    /// What tells it from every other source.
    pub(super) source: String,
}

/// The rows by key, and where each is to go; all keys are understood, or none is taken.
pub(super) fn sorted<'a>(legacy: &'a Legacy, owner: &LegacyOwner) -> Result<Vec<Planned<'a>>, MigrateError> {
    let mut rows: Vec<(&LegacyRow, LegacyKey)> = legacy
        .rows
        .iter()
        .map(|row| (row, LegacyKey::read(&row.key)))
        .collect();
    rows.sort_by(|(left, _), (right, _)| left.key.cmp(&right.key));
    if let Some((row, _)) = rows.iter().find(|(_, key)| *key == LegacyKey::UnknownTag) {
        return Err(MigrateError::UnknownTag { key: shown(&row.key) });
    }
    let scoped: BTreeSet<_> = rows
        .iter()
        .filter_map(|(_, key)| match key {
            LegacyKey::Scoped(at) => Some(at.name.clone()),
            LegacyKey::Unscoped(_) | LegacyKey::Invalid | LegacyKey::UnknownTag => None,
        })
        .collect();
    // In the store of one agent, its own row wins over one that it held as shared.
    let own: BTreeSet<_> = rows
        .iter()
        .filter_map(|(_, key)| match key {
            LegacyKey::Scoped(at) if at.scope != SecretScope::InstanceShared => Some(at.name.clone()),
            _ => None,
        })
        .collect();
    let leads = |key: &LegacyKey| match (key, key.leads_to(owner)) {
        (LegacyKey::Unscoped(name), _) if scoped.contains(name) => Err(Unplaced::Shadowed),
        (LegacyKey::Scoped(at), Some(_))
            if matches!(owner, LegacyOwner::Agent(_))
                && at.scope == SecretScope::InstanceShared
                && own.contains(&at.name) =>
        {
            Err(Unplaced::Shadowed)
        }
        (_, Some(at)) => Ok(at),
        (LegacyKey::Scoped(_), None) => Err(Unplaced::ForeignAgent),
        (_, None) => Err(Unplaced::InvalidKey),
    };
    Ok(rows.into_iter().map(|(row, key)| (row, leads(&key))).collect())
}

/// What tells the source from every other, under a key of the tenant.
pub(super) fn source_of(ring: &Ring, legacy: &Legacy, owner: &LegacyOwner) -> Result<String, SecretError> {
    let mut rows: Vec<&LegacyRow> = legacy.rows.iter().collect();
    rows.sort_by(|left, right| left.key.cmp(&right.key));
    let head = format!("migration {} {owner:?}", legacy.layout);
    let metas: Vec<String> = rows
        .iter()
        .map(|row| format!("{:?} {}", row.meta, row.value.is_some()))
        .collect();
    let parts = rows.iter().zip(&metas).flat_map(|(row, meta)| {
        let value = row.value.as_ref().map_or(&[][..], Secret::expose);
        [row.key.as_slice(), value, meta.as_bytes()]
    });
    let digest = ring.digest(std::iter::once(head.as_bytes()).chain(parts));
    digest.map_err(|_| SecretError::Key(Box::new(KeyError::WrongKey)))
}

pub(super) fn quarantine_id(source: &str, row: &LegacyRow) -> QuarantineId {
    QuarantineId {
        source: source.to_owned(),
        row: HEXLOWER.encode(&Sha256::digest(&row.key)[..16]),
    }
}

/// The value, if it is there and one may be as long.
pub(super) fn readable(row: &LegacyRow) -> Option<&Secret> {
    row.value
        .as_ref()
        .filter(|value| value.expose().len() <= VALUE_MAX)
}

/// What stands for the value in a log: the name it is to have, else the one in its key.
pub(super) fn name_in_logs(row: &LegacyRow, at: &Result<SecretRef, Unplaced>) -> SecretName {
    match (at, LegacyKey::read(&row.key)) {
        (Ok(at), _) => at.name.clone(),
        (Err(_), LegacyKey::Scoped(at)) => at.name,
        (Err(_), LegacyKey::Unscoped(name)) => name,
        (Err(_), LegacyKey::Invalid | LegacyKey::UnknownTag) => {
            SecretName::parse("LEGACY").expect("it is a name")
        }
    }
}

/// The key as it may be printed.
pub(super) fn shown(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key).replace('\0', "\\0");
    let chars = text
        .chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char });
    chars.take(KEY_SHOWN_MAX).collect()
}
