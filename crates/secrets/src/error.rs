//! Errors: one enum per kind of verb. None holds plaintext, ciphertext, key bytes, paths or foreign names.

use dormouse_filesystem::{CommitError, RecordError, UpdateError};
use jiff::Timestamp;

use crate::vault::VaultState;
use crate::{SecretName, SecretRef};

/// A verb on the vault or its keys that was not done.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// What was given is no key; nothing was tried. Correct it.
    #[error("the key was refused: {reason}")]
    Malformed {
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// It is a key, and opens no slot. Nothing changed.
    #[error("the key opens no slot of the vault")]
    WrongKey,
    /// The vault is not in a state for this. Nothing changed.
    #[error("the vault is {now}")]
    State {
        /// Its state.
        now: VaultState,
    },
    /// No slot has this id, or its time is over.
    #[error("the vault has no such slot")]
    UnknownSlot,
    /// Without this slot nobody could open the vault. Nothing changed.
    #[error("it is the last active slot: without it nobody could open the vault")]
    LastSlot,
    /// The key's source may be empty at the next start of the machine, and after this nothing else would open the vault.
    /// Nothing changed; use another key.
    #[error("the key may be gone at the next start, and nothing else would open the vault")]
    MayVanish,
    /// As many slots as there may be. Nothing changed; remove one.
    #[error("the vault has {SLOTS_MAX} slots, as many as there may be", SLOTS_MAX = crate::SLOTS_MAX)]
    SlotsFull,
    /// Too many attempts within a minute: no key was derived.
    #[error("too many attempts to unlock; the next may be made at {at}")]
    TooMany {
        /// When the next may be made.
        at: Timestamp,
    },
    /// The source gave no answer. Nothing changed; try again.
    #[error("the key source is not available: {reason}")]
    Unavailable {
        /// What was wanted of it.
        reason: &'static str,
    },
    /// A newer build wrapped it; it is untouched. Upgrade.
    #[error("the key was wrapped in a newer format; upgrade dormouse")]
    TooNew,
    /// A rekey is under way: let it end first.
    #[error("a rekey is under way")]
    Rekeying,
    /// A rotation of this key is under way: which key its file has at the moment, nobody can say. Nothing changed; let it
    /// end first.
    #[error("a rotation of this key is under way")]
    Rotating,
    /// The keys of this process are wiped, and other processes were not told: lock again.
    #[error("the keys of this process are wiped, but others were not told: {0}")]
    OthersNotTold(#[source] Box<RecordError>),
    /// Others were first, each time. Nothing changed; read again.
    #[error("others changed the vault meanwhile; nothing was done")]
    Conflict,
    /// Unknown: look at the vault.
    #[error("the answer was lost; it may or may not have been done")]
    Indeterminate,
    /// As of the store. Nothing changed.
    #[error(transparent)]
    Store(Box<RecordError>),
}

/// A verb on a secret that was not done.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// We set a variable of this name.
    #[error("{name} is set by dormouse itself")]
    Reserved {
        /// The name.
        name: SecretName,
    },
    /// A program that sees it would run other code.
    #[error("{name} loads code into programs that see it")]
    CodeLoading {
        /// The name.
        name: SecretName,
    },
    /// Empty, or too short to be scrubbed and not accepted so.
    #[error("the value is shorter than {VALUE_MIN} bytes and could not be scrubbed", VALUE_MIN = crate::VALUE_MIN)]
    TooShort,
    /// Over the limit of a value.
    #[error("the value has more than {VALUE_MAX} bytes", VALUE_MAX = crate::VALUE_MAX)]
    TooLong,
    /// A value for environments that is no text without NUL.
    #[error("a value of category tool is UTF-8 text without NUL")]
    NotText,
    /// It holds the start of a marker.
    #[error("the value holds `[redacted:`")]
    ContainsMarker,
    /// A note or list of origins over its limit.
    #[error("{what} is over its limit")]
    MetaTooLong {
        /// Which.
        what: &'static str,
    },
    /// As many secrets in the scope as there may be.
    #[error("the scope has {max} secrets, as many as there may be")]
    Full {
        /// The limit.
        max: usize,
    },
    /// There is none, or none that you may know of.
    #[error("there is no secret {at}")]
    NotFound {
        /// Which.
        at: SecretRef,
    },
    /// There is one.
    #[error("{at} exists")]
    Exists {
        /// Which.
        at: SecretRef,
    },
    /// It is of another generation than expected, or others were first each time. Read again.
    #[error("{at} was changed meanwhile; nothing was done")]
    Conflict {
        /// Which.
        at: SecretRef,
    },
    /// An import is under way; it ends within 10 minutes.
    #[error("an import is under way")]
    ImportOpen,
    /// Something names it. Force deletes it all the same.
    #[error("{at} is named in {n} places", n = by.len())]
    Referenced {
        /// Which.
        at: SecretRef,
        /// The places.
        by: Vec<String>,
    },
    /// No key fitted since the start. Unlock.
    #[error("the vault is sealed")]
    Sealed,
    /// An operator locked it. Unlock.
    #[error("the vault is locked")]
    Locked,
    /// It exists, but not for this purpose.
    #[error("{at} does not serve this purpose")]
    PurposeRefused {
        /// Which.
        at: SecretRef,
    },
    /// It exists, but not for this origin.
    #[error("{at} may not be typed in at this origin")]
    OriginRefused {
        /// Which.
        at: SecretRef,
    },
    /// They do not open, or cannot be believed; nothing was used. Set them again, or find the missing key.
    #[error("{n} secrets cannot be read", n = refs.len())]
    Unreadable {
        /// Which.
        refs: Vec<SecretRef>,
    },
    /// The tenant's own keys do not open, with the root key of the vault: their row was damaged, or is another vault's.
    /// Nothing was done; no key that is given mends it.
    #[error("the keys of tenant {tenant} do not open")]
    KeysUnreadable {
        /// Whose.
        tenant: String,
    },
    /// As of the vault.
    #[error(transparent)]
    Key(Box<KeyError>),
    /// Unknown: a put may be repeated as it is.
    #[error("the answer was lost; it may or may not have been done")]
    Indeterminate,
    /// As of the store. Nothing was done.
    #[error(transparent)]
    Store(Box<RecordError>),
}

/// A verb on a lease that gave no value.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// None of this id, or not yours.
    #[error("there is no such lease")]
    Unknown,
    /// All its uses are spent. Ask for a new one.
    #[error("the uses of the lease are spent")]
    Consumed,
    /// It was taken back. Ask for a new one.
    #[error("the lease was revoked: {cause}")]
    Revoked {
        /// Why.
        cause: crate::Cause,
    },
    /// Its time is over. Ask for a new one.
    #[error("the lease expired at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// A time to live or number of uses out of bounds: nothing was granted.
    #[error("the lease was not granted: {reason}")]
    Invalid {
        /// The rule.
        reason: &'static str,
    },
    /// As many leases of one holder as there may be: revoke some.
    #[error("the holder has {max} leases, as many as there may be")]
    Full {
        /// The limit.
        max: usize,
    },
    /// Unknown: the use may be spent, and no value is handed out. Ask for a new one.
    #[error("the answer was lost; the use may be spent, and no value is handed out")]
    Indeterminate,
    /// As of the secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// Why no worker is to be started: no process, no write.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The set is not empty, and the vault is not unlocked.
    #[error("the vault is {now}, and the run needs secrets")]
    VaultNotUnlocked {
        /// Its state.
        now: VaultState,
    },
    /// These of the set do not open.
    #[error("secrets cannot be read: {}", listed(names))]
    Unreadable {
        /// Their names, sorted.
        names: Vec<SecretName>,
    },
    /// The profile names these, and there are none.
    #[error("secrets are missing: {}", listed(names))]
    Missing {
        /// Their names, sorted.
        names: Vec<SecretName>,
    },
    /// The environment, or the redaction set, would be over its limit.
    #[error("the run's secrets are over {limit}")]
    TooLarge {
        /// The name of the limit.
        limit: &'static str,
    },
    /// The run's credential session ended.
    #[error("the run's credential session: {0}")]
    Session(#[source] Box<LeaseError>),
    /// As of the secrets.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// An import of which nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A version that this build does not know.
    #[error("the export has version {found}")]
    Version {
        /// The one found.
        found: u64,
    },
    /// A line that cannot be believed, from 1.
    #[error("line {line} of the export is not valid")]
    Malformed {
        /// Which.
        line: usize,
    },
    /// The end is missing, or says other than what came.
    #[error("the export is cut short or changed")]
    Truncated,
    /// The file does not open with this identity or passphrase.
    #[error("the export does not open with this key")]
    Decrypt,
    /// More entries than one import takes.
    #[error("an import takes {max} entries at most")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// More than one commit takes: 1 MiB of sealed rows. Import it in parts.
    #[error("the import is more than one commit takes")]
    OverCommit,
    /// These exist, and the caller chose to refuse.
    #[error("{n} of the secrets exist", n = refs.len())]
    Exists {
        /// All of them.
        refs: Vec<SecretRef>,
    },
    /// Built without age.
    #[error("this build cannot encrypt or decrypt exports")]
    NoAge,
    /// As of the secrets.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

fn listed(names: &[SecretName]) -> String {
    let names: Vec<&str> = names.iter().map(SecretName::as_str).collect();
    names.join(", ")
}

fn is_indeterminate(error: &RecordError) -> bool {
    matches!(error, RecordError::Commit(CommitError::Indeterminate { .. }))
}

impl From<RecordError> for KeyError {
    fn from(error: RecordError) -> Self {
        if is_indeterminate(&error) {
            Self::Indeterminate
        } else {
            Self::Store(Box::new(error))
        }
    }
}

impl From<RecordError> for SecretError {
    fn from(error: RecordError) -> Self {
        if is_indeterminate(&error) {
            Self::Indeterminate
        } else {
            Self::Store(Box::new(error))
        }
    }
}

impl From<KeyError> for SecretError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::State {
                now: VaultState::Locked,
            } => Self::Locked,
            KeyError::State {
                now: VaultState::Sealed,
            } => Self::Sealed,
            KeyError::Indeterminate => Self::Indeterminate,
            KeyError::Store(error) => Self::Store(error),
            other => Self::Key(Box::new(other)),
        }
    }
}

impl From<RecordError> for LeaseError {
    fn from(error: RecordError) -> Self {
        if is_indeterminate(&error) {
            Self::Indeterminate
        } else {
            Self::Secret(error.into())
        }
    }
}

impl From<UpdateError<LeaseError>> for LeaseError {
    fn from(error: UpdateError<LeaseError>) -> Self {
        let store = |error: CommitError| Self::from(RecordError::from(error));
        match error {
            UpdateError::Apply(refusal) => refusal,
            UpdateError::Write(error) => store(error),
            UpdateError::Decode(error) | UpdateError::Encode(error) => {
                Self::Secret(SecretError::Store(error))
            }
            UpdateError::Read(error) => Self::from(RecordError::from(error)),
            UpdateError::Contended { .. } | UpdateError::QueueFull | UpdateError::Deadline => {
                let cause = dormouse_filesystem::BusyCause::Contention;
                store(CommitError::Busy { cause })
            }
            UpdateError::Unsupported { capability } => store(CommitError::Unsupported { capability }),
        }
    }
}

impl From<RecordError> for SpawnError {
    fn from(error: RecordError) -> Self {
        Self::Secret(error.into())
    }
}

impl From<LeaseError> for SpawnError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Secret(error) => Self::Secret(error),
            other => Self::Session(Box::new(other)),
        }
    }
}

impl From<RecordError> for ImportError {
    fn from(error: RecordError) -> Self {
        Self::Secret(error.into())
    }
}
