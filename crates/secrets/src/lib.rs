#![doc = include_str!("../README.md")]

mod attempts;
mod category;
mod change;
mod detect;
mod error;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod keyring;
mod kinds;
mod lease;
mod log;
mod log_keys;
mod marker;
mod meta;
mod migrate;
mod name;
mod place;
mod random;
mod redaction;
mod reserved;
mod ring;
mod row;
mod scope;
mod scrub;
mod scrubbed;
mod seal;
mod sealing;
mod secret;
mod secrets;
mod spawn;
mod transfer;
mod used;
mod vault;

pub use category::{InvalidOrigin, ORIGIN_MAX, ORIGINS_MAX, Origin, Purpose, SecretCategory};
pub use change::{Call, Change, Journal, NoJournal, Recorded, VaultChange};
pub use detect::{FormatCounts, Formats};
pub use error::{ImportError, KeyError, LeaseError, SecretError, SpawnError};
#[cfg(feature = "keyring")]
pub use keyring::SystemKeyring;
pub use keyring::{
    Argon2Params, CredentialKeyring, Ensured, FileKeyring, FixedKeyring, KDF_LANES_MAX, KDF_MEMORY_KIB_MAX,
    KDF_MEMORY_KIB_MIN, KDF_PASSES_MAX, KDF_PASSES_MIN, KeySource, Keyring, PASSPHRASE_MIN,
    PassphraseKeyring, WrappedKey,
};
pub use kinds::kinds;
pub use lease::{
    Cause, Granted, HOLDER_LEASES_MAX, Holder, LEASE_KEPT, LEASE_TTL, LEASE_TTL_MAX, Lease, LeaseDecision,
    LeaseEvent, LeaseExpired, LeaseId, LeaseIndex, LeaseOptions, LeaseRow, LeaseStatus, Left,
    SESSION_USES_MAX, SessionIndex, SessionRow, UNLIMITED_FRESH, USES_MAX, Uses, decide_lease,
};
pub use log::{
    CHAIN_MAX, LOG_DEPTH, MASK, MaskKeys, OPEN_MAX, OpenValues, PanicText, error_chain, install_panic_hook,
};
#[cfg(feature = "tracing")]
pub use log::{LogForm, ScrubFormat, ScrubLayer, scrub_layer};
pub use meta::{Fingerprint, NOTE_MAX, PutMeta, SecretMeta, Short};
pub use migrate::{
    DestroyError, Foretold, InvalidQuarantineId, LEGACY_LAYOUT_MAX, LEGACY_ROWS_MAX, Legacy, LegacyFileError,
    LegacyKey, LegacyMeta, LegacyOwner, LegacyRow, MigrateError, Migrated, QuarantineId, Quarantined,
    Unplaceable, Unplaced, destroy_source,
};
pub use name::{InvalidName, NAME_MAX, SecretName};
pub use place::{AgentAt, Agents, EveryAgent, Place};
pub use random::{Generator, Random};
pub use redaction::{InvalidValue, Redaction, Secret, VALUE_MAX, VALUE_MIN};
pub use reserved::{Reservation, reserved};
pub use row::{QUARANTINE_FOR, RETIRED_FOR, RETIRED_MAX, TOMBSTONE_FOR};
pub use scope::{AGENT_ID_MAX, AgentId, Incarnation, InvalidRef, SecretRef, SecretScope};
pub use scrub::{HOLD_MAX, PROVISIONAL_MAX, SET_VALUES_MAX, ScrubStream, Scrubber, SetFull};
pub use scrubbed::{Scrubbed, ScrubbedBytes};
pub use seal::{AssociatedData, KEY_BYTES, RootKey};
pub use secrets::{
    Deletion, Done, Due, Effective, Expect, Filter, NoRegistrar, OnAgentDelete, PER_SCOPE_MAX, Registrar,
    Rekeyed, Secrets, SecretsStatus, Usable, check_name, due,
};
pub use spawn::{ENV_TOTAL_MAX, Need, SpawnFor, SpawnSet, SpawnWrites, WorkerEnv};
pub use transfer::{Existing, ExportError, ExportTo, IMPORT_MAX, IMPORT_OPEN, ImportKey, Imported};
pub use used::USED_NOTED_MAX;
pub use vault::{
    Key, Others, RekeyUnderWay, SLOT_PENDING, SLOTS_MAX, SlotDecision, SlotEvent, SlotInfo, SlotState,
    UNLOCK_PER_MINUTE, Vault, VaultDecision, VaultEvent, VaultOptions, VaultState, decide_slot, decide_vault,
};
