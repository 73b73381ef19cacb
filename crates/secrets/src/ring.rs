//! A tenant's keys: one that seals, others that still open, all under the vault's root key.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use dormouse_filesystem::{
    Class, IndexEntry, IndexValue, Record, RecordKind, Segment, Tenant, Versioned, indexes,
};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::place::Place;
use crate::row::Body;
use crate::seal::{self, AssociatedData, DataKey, KeyBytes, RootKey, Sealed, Unopened};
use crate::transfer::IMPORT_OPEN;
use crate::vault::{Opened, VaultRow};
use crate::{Fingerprint, KeyError, Origin, Random, Secret, SecretCategory, VALUE_MAX};

/// A tenant's keys, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RingRow {
    /// The number of the root key they are under.
    pub(crate) root: u32,
    /// The key that seals.
    pub(crate) current: u32,
    pub(crate) keys: Vec<RingKey>,
    /// The key of the fingerprints.
    pub(crate) fingerprint: Sealed,
    /// The import that is under way: here, as every write proves that it read the ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) import: Option<OpenImport>,
}

/// An import in more pages than one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenImport {
    /// 32 hexadecimal digits, the same for the same export: a repeat goes on.
    pub(crate) id: String,
    pub(crate) began_at: Timestamp,
    /// From then on every reader takes what is staged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) applied_at: Option<Timestamp>,
    /// From then on nobody stages for it, and it is never applied: what was staged is taken back, by anybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) ending: bool,
}

impl OpenImport {
    /// Whether others may end it.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.over_at() <= now
    }

    fn over_at(&self) -> Timestamp {
        if self.ending {
            self.began_at
        } else {
            self.began_at + IMPORT_OPEN
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RingKey {
    pub(crate) id: u32,
    pub(crate) sealed: Sealed,
}

indexes! {
    /// What finds rings.
    pub(crate) enum RingIndex {
        /// All of them, over all tenants.
        All = system "all",
        /// Those with an import, by when others may end it.
        Retire = system "retire",
    }
}

impl RingRow {
    pub(crate) fn the_id() -> Segment {
        Segment::parse("ring").expect("a fixed name is a segment")
    }
}

impl Record for RingRow {
    type Scope = Tenant;
    type Id = Segment;
    type Index = RingIndex;
    const KIND: RecordKind = RecordKind::of("secret_keys");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        Self::the_id()
    }

    fn index_entries(&self) -> Vec<IndexEntry<RingIndex>> {
        let import = self.import.as_ref().map(|import| {
            let over = IndexValue::instant(import.over_at());
            IndexEntry::new(RingIndex::Retire, [over])
        });
        std::iter::once(IndexEntry::new(RingIndex::All, []))
            .chain(import)
            .collect()
    }
}

/// A tenant's ring with what opens it.
pub(crate) struct Ring {
    tenant: String,
    vault: String,
    open: Arc<Opened>,
    /// When the ring is still under the root key before.
    before: Option<RootKey>,
    pub(crate) row: RingRow,
}

impl Ring {
    /// The ring as it was read.
    pub(crate) fn of(
        tenant: &str,
        vault: &VaultRow,
        open: &Arc<Opened>,
        row: RingRow,
    ) -> Result<Self, KeyError> {
        let before = if row.root == open.root_id {
            None
        } else {
            open.retiring(vault)?
        };
        let (tenant, vault) = (tenant.to_owned(), vault.vault.clone());
        Ok(Self {
            tenant,
            vault,
            open: Arc::clone(open),
            before,
            row,
        })
    }

    /// A new ring with one key.
    pub(crate) fn make(tenant: &str, open: &Arc<Opened>, random: &dyn Random) -> Self {
        let (tenant, vault, root) = (tenant.to_owned(), open.vault.clone(), open.root_id);
        let print = KeyBytes::make(random);
        let key = KeyBytes::make(random);
        let sealed = |bound: AssociatedData, key: &KeyBytes| {
            seal::seal(open.root.expose(), &bound, key.expose(), random)
        };
        let fingerprint = sealed(print_bound(&vault, &tenant, root), &print);
        let keys = vec![RingKey {
            id: 1,
            sealed: sealed(key_bound(&vault, &tenant, 1, root), &key),
        }];
        let row = RingRow {
            root,
            current: 1,
            keys,
            fingerprint,
            import: None,
        };
        Self {
            tenant,
            vault,
            open: Arc::clone(open),
            before: None,
            row,
        }
    }

    /// The ring under the root key of today, with a new key that seals; the others stay.
    pub(crate) fn renewed(&self, random: &dyn Random) -> Result<RingRow, Unopened> {
        let root = self.open.root_id;
        let under = |bound: AssociatedData, key: &[u8; seal::KEY_BYTES]| {
            seal::seal(self.open.root.expose(), &bound, key, random)
        };
        let print = under(
            print_bound(&self.vault, &self.tenant, root),
            self.print_key()?.expose(),
        );
        let mut keys = Vec::with_capacity(self.row.keys.len() + 1);
        for RingKey { id, .. } in &self.row.keys {
            let key = self.key(*id)?;
            let bound = key_bound(&self.vault, &self.tenant, *id, root);
            keys.push(RingKey {
                id: *id,
                sealed: under(bound, key.expose()),
            });
        }
        let id = 1 + self
            .row
            .keys
            .iter()
            .map(|key| key.id)
            .chain([self.row.current])
            .max()
            .unwrap_or(0);
        let bound = key_bound(&self.vault, &self.tenant, id, root);
        keys.push(RingKey {
            id,
            sealed: under(bound, KeyBytes::make(random).expose()),
        });
        Ok(RingRow {
            root,
            current: id,
            keys,
            fingerprint: print,
            import: self.row.import.clone(),
        })
    }

    fn root(&self) -> &[u8; seal::KEY_BYTES] {
        self.before.as_ref().unwrap_or(&self.open.root).expose()
    }

    fn key(&self, id: u32) -> Result<DataKey, Unopened> {
        let key = self
            .row
            .keys
            .iter()
            .find(|key| key.id == id)
            .ok_or(Unopened::Wrong)?;
        let bound = key_bound(&self.vault, &self.tenant, id, self.row.root);
        seal::open_key(self.root(), &bound, &key.sealed).map(DataKey)
    }

    fn print_key(&self) -> Result<KeyBytes, Unopened> {
        let bound = print_bound(&self.vault, &self.tenant, self.row.root);
        seal::open_key(self.root(), &bound, &self.row.fingerprint)
    }

    /// What equal values of the tenant have in common.
    pub(crate) fn fingerprint(&self, value: &[u8]) -> Result<Fingerprint, Unopened> {
        let key = self.print_key()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("a MAC takes any key");
        mac.update(value);
        let bytes = mac.finalize().into_bytes();
        Ok(Fingerprint(u32::from_be_bytes([
            bytes[0], bytes[1], bytes[2], bytes[3],
        ])))
    }

    /// What tells these bytes from all others, to this tenant alone: 32 hexadecimal digits.
    pub(crate) fn digest<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> Result<String, Unopened> {
        let key = self.print_key()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("a MAC takes any key");
        // No value is as long: a digest is never the fingerprint of one.
        mac.update(&[0; VALUE_MAX + 1]);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Ok(HEXLOWER.encode(&mac.finalize().into_bytes()[..16]))
    }

    /// Seals a value that is bound to something else than a place, and says under which key.
    pub(crate) fn seal_bound(
        &self,
        bound: &AssociatedData,
        value: &Secret,
        random: &dyn Random,
    ) -> Result<(u32, Sealed), Unopened> {
        let key_id = self.row.current;
        let sealed = seal::seal_value(&self.key(key_id)?, bound, value.expose(), random);
        Ok((key_id, sealed))
    }

    /// Opens such a value.
    pub(crate) fn open_bound(
        &self,
        bound: &AssociatedData,
        key_id: u32,
        sealed: &Sealed,
    ) -> Result<Secret, Unopened> {
        seal::open_value(&self.key(key_id)?, bound, sealed)
    }

    /// Seals a generation for its place.
    pub(crate) fn seal(
        &self,
        place: &Place,
        generation: u64,
        category: SecretCategory,
        origins: &[Origin],
        value: &Secret,
        random: &dyn Random,
    ) -> Result<Body, Unopened> {
        let key_id = self.row.current;
        let bound = Body::bound(&self.tenant, place, generation, category, origins);
        let sealed = seal::seal_value(&self.key(key_id)?, &bound, value.expose(), random);
        Ok(Body {
            generation,
            category,
            origins: origins.to_vec(),
            key_id,
            sealed,
        })
    }

    /// Opens a generation of this place.
    pub(crate) fn open(&self, place: &Place, body: &Body) -> Result<Secret, Unopened> {
        let bound = Body::bound(&self.tenant, place, body.generation, body.category, &body.origins);
        seal::open_value(&self.key(body.key_id)?, &bound, &body.sealed)
    }
}

/// Whether the tenant has a ring yet.
pub(crate) enum HasRing {
    No,
    Yes(Versioned<RingRow>),
}

fn key_bound(vault: &str, tenant: &str, id: u32, root: u32) -> AssociatedData {
    AssociatedData::new("dormouse/1/data-key")
        .field(vault.as_bytes())
        .field(tenant.as_bytes())
        .number(id.into())
        .number(root.into())
}

fn print_bound(vault: &str, tenant: &str, root: u32) -> AssociatedData {
    AssociatedData::new("dormouse/1/fingerprint-key")
        .field(vault.as_bytes())
        .field(tenant.as_bytes())
        .number(root.into())
}
