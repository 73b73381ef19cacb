//! What secrets and their vault refuse, as problem documents. No value, key or path is in any of them.

use dormouse_engine::CommandError;
use dormouse_secrets::{
    ExportError, ImportError, KeyError, LegacyFileError, MigrateError, SecretError, SecretRef, VaultState,
};

use crate::edge;
use crate::problem::{Code, Problem};

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        let detail = error.to_string();
        match error {
            KeyError::Malformed { .. } => Self::new(Code::BadRequest, detail).hint(
                "a key file is 32 bytes or 64 hex digits, mode 0600, your own; a passphrase has 12 bytes or more",
            ),
            KeyError::WrongKey => Self::new(Code::WrongKey, detail)
                .hint("nothing was changed; dormouse secret slots says which keys open it"),
            KeyError::State { now } => of_state(now, detail),
            KeyError::UnknownSlot => Self::new(Code::NotFound, detail).hint("see dormouse secret slots"),
            KeyError::LastSlot | KeyError::SlotsFull => {
                Self::new(Code::State, detail).hint("see dormouse secret slots")
            }
            KeyError::MayVanish => Self::new(Code::State, detail)
                .hint("nothing was changed; use the key file, or --passphrase or --key-file FILE"),
            KeyError::TooMany { at } => {
                let wait = at.duration_since(edge::now()).as_millis();
                Self::new(Code::Limit, detail)
                    .hint("no key was tried; wait a minute")
                    .retry_after_ms(u64::try_from(wait).unwrap_or(0))
            }
            KeyError::Unavailable { .. } => Self::new(Code::Unavailable, detail)
                .hint("look at the key file and its folder: dormouse config path says where; another key opens with dormouse secret unlock --passphrase or --key-file FILE"),
            KeyError::TooNew => Self::new(Code::TooNew, detail).hint("upgrade dormouse"),
            KeyError::Rekeying => Self::new(Code::State, detail).hint("go on with dormouse secret rekey"),
            KeyError::Rotating => {
                Self::new(Code::State, detail).hint("go on with dormouse secret rotate, then try again")
            }
            KeyError::OthersNotTold(_) => {
                Self::new(Code::Unavailable, detail).hint("lock again, so that other processes are told")
            }
            KeyError::Conflict => Self::new(Code::Stale, detail).hint("try again"),
            KeyError::Indeterminate => {
                Self::new(Code::Unknown, detail).hint("look with dormouse secret status before trying again")
            }
            KeyError::Store(error) => CommandError::from(*error).into(),
        }
    }
}

/// What cannot be done while the vault is so.
fn of_state(now: VaultState, detail: String) -> Problem {
    match now {
        VaultState::Absent => Problem::new(Code::State, "there are no secrets, and so no vault yet")
            .hint("dormouse secret set makes it"),
        VaultState::Sealed => sealed(&detail),
        VaultState::Locked => locked(&detail),
        VaultState::Unlocked => Problem::new(Code::State, detail).hint("nothing is to be done"),
    }
}

fn sealed(detail: &str) -> Problem {
    Problem::new(
        Code::Locked,
        format!("{detail}: no key that this process found opens it"),
    )
    .hint("put the key file where dormouse config path says, or dormouse secret unlock with --passphrase or --key-file FILE")
}

fn locked(detail: &str) -> Problem {
    Problem::new(
        Code::Locked,
        format!("{detail}: somebody locked it for every process"),
    )
    .hint("dormouse secret unlock opens it again")
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        let detail = error.to_string();
        match error {
            SecretError::Reserved { .. } | SecretError::CodeLoading { .. } => {
                Self::new(Code::Invalid, detail).hint("choose another name")
            }
            SecretError::TooShort => Self::new(Code::Invalid, detail).hint(
                "use a longer credential; --accept-short takes it, and every list shows it as unscrubbed",
            ),
            SecretError::TooLong
            | SecretError::NotText
            | SecretError::ContainsMarker
            | SecretError::MetaTooLong { .. } => Self::new(Code::Invalid, detail),
            SecretError::Full { .. } => {
                Self::new(Code::Invalid, detail).hint("delete what is not needed any more")
            }
            SecretError::NotFound { .. } => {
                Self::new(Code::NotFound, detail).hint("see dormouse secret list")
            }
            SecretError::Exists { .. } => Self::new(Code::Exists, detail),
            SecretError::Conflict { .. } => {
                Self::new(Code::Stale, detail).hint("look at it again, then try again")
            }
            SecretError::ImportOpen => Self::new(Code::State, detail).hint("wait for it"),
            SecretError::Referenced { by, .. } => {
                Self::new(Code::State, format!("{detail}: {}", by.join(", ")))
                    .hint("take it out of there first, or pass --force")
            }
            SecretError::Sealed => sealed(&detail),
            SecretError::Locked => locked(&detail),
            SecretError::PurposeRefused { .. } | SecretError::OriginRefused { .. } => {
                Self::new(Code::Forbidden, detail)
            }
            SecretError::Unreadable { refs } => {
                Self::new(Code::Corrupt, format!("{detail}: {}", named(&refs)))
                    .hint("set them again, or find the key they were sealed with; see dormouse secret doctor")
            }
            SecretError::KeysUnreadable { .. } => Self::new(Code::Corrupt, detail).hint(
                "the row of its keys was damaged, or is another store's: import the store from a backup",
            ),
            SecretError::Key(error) => (*error).into(),
            SecretError::Indeterminate => {
                Self::new(Code::Unknown, detail).hint("the same command may be given again")
            }
            SecretError::Store(error) => CommandError::from(*error).into(),
        }
    }
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        let detail = error.to_string();
        match error {
            ExportError::NoAge => Self::new(Code::Usage, detail).hint("use a build with the feature age"),
            ExportError::Recipient => {
                Self::new(Code::Invalid, detail).hint("age-keygen makes a pair of keys")
            }
            ExportError::File(_) => Self::new(Code::Config, detail),
            ExportError::Secret(error) => error.into(),
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        let detail = error.to_string();
        match error {
            ImportError::Version { .. }
            | ImportError::Malformed { .. }
            | ImportError::Truncated
            | ImportError::Decrypt
            | ImportError::TooLarge { .. }
            | ImportError::OverCommit => Self::new(Code::Invalid, detail).hint("nothing was imported"),
            ImportError::Exists { refs } => Self::new(Code::Exists, format!("{detail}: {}", named(&refs)))
                .hint("nothing was imported; pass --keep or --overwrite"),
            ImportError::NoAge => Self::new(Code::Usage, detail).hint("use a build with the feature age"),
            ImportError::Secret(error) => error.into(),
        }
    }
}

impl From<MigrateError> for Problem {
    fn from(error: MigrateError) -> Self {
        let detail = error.to_string();
        match error {
            MigrateError::UnknownTag { .. } => {
                Self::new(Code::Invalid, detail).hint("was the file written by a newer build, or by hand?")
            }
            MigrateError::NewerLayout { .. } => Self::new(Code::Invalid, detail).hint("nothing was migrated"),
            MigrateError::Secret(error) => error.into(),
        }
    }
}

impl From<LegacyFileError> for Problem {
    fn from(error: LegacyFileError) -> Self {
        let detail = error.to_string();
        match error {
            LegacyFileError::Head => Self::new(Code::Invalid, detail)
                .hint("docs/FORMAT.md says what it has; an export is read by dormouse secret import"),
            LegacyFileError::Malformed { .. }
            | LegacyFileError::Twice { .. }
            | LegacyFileError::TooLarge { .. } => {
                Self::new(Code::Invalid, detail).hint("nothing was migrated")
            }
        }
    }
}

fn named(refs: &[SecretRef]) -> String {
    let refs: Vec<String> = refs.iter().map(ToString::to_string).collect();
    refs.join(", ")
}
