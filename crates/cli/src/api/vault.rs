//! `/v1/secrets/…`: the vault itself, and taking secrets elsewhere.

use std::path::PathBuf;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use data_encoding::BASE64;
use dormouse_engine::credentials::Rekey;
use dormouse_secrets::{
    Argon2Params, ExportTo, FileKeyring, ImportKey, Imported, KeyError, Keyring, PassphraseKeyring, Secret,
    SecretName, SecretRef, VaultState,
};
use serde::{Deserialize, Serialize};

use super::body::{self, Json, List};
use super::house::{Asker, House};
use super::refusal::Answered;
use super::secrets::Hidden;
use super::view::{SlotView, VaultView};
use crate::edge;
use crate::owner::Keys;
use crate::problem::{Code, Problem};

/// Largest export of secrets that is taken, in bytes: 10,000 entries of a KiB, or two scopes that are full of the longest
/// values.
pub const EXPORT_BYTES_MAX: usize = 24 * 1024 * 1024;

/// Longest body of an import of secrets, in bytes: the export in base64, and its key.
pub const IMPORT_BODY_BYTES_MAX: usize = EXPORT_BYTES_MAX / 3 * 4 + 128 * 1024;

/// How the vault is.
pub(super) async fn status(State(house): State<House>, asker: Asker) -> Answered {
    Ok(body::json(StatusCode::OK, &view(&house, &asker).await?))
}

async fn view(house: &House, asker: &Asker) -> Result<VaultView, Problem> {
    let vault = house.engine().vault();
    let status = asker.tenant.credentials.secrets().status().await?;
    let slots = vault.slots(edge::now()).await?;
    Ok(VaultView {
        vault: status.vault.to_string(),
        shared: status.shared,
        of_agents: status.of_agents,
        unscrubbed: status.unscrubbed,
        refused_spawns: status.refused_spawns,
        is_rekeying: vault.is_rekeying().await?,
        is_locked_in_memory: vault.is_locked_in_memory(),
        slots: slots.iter().map(SlotView::of).collect(),
    })
}

pub(super) async fn slots(State(house): State<House>, _: Asker) -> Answered {
    let slots = house.engine().vault().slots(edge::now()).await?;
    let items = slots.iter().map(SlotView::of).collect::<Vec<_>>();
    let next_cursor = None;
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

/// The key that somebody gives: the key file of the settings where nothing is said.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenKey {
    #[serde(default)]
    key_file: Option<PathBuf>,
    #[serde(default)]
    passphrase: Option<Hidden>,
}

/// Where a key comes from.
enum Source {
    File(FileKeyring),
    Passphrase(PassphraseKeyring),
}

impl Source {
    fn keyring(&self) -> &dyn Keyring {
        match self {
            Self::File(file) => file,
            Self::Passphrase(passphrase) => passphrase,
        }
    }
}

impl GivenKey {
    fn is_nothing(&self) -> bool {
        self.key_file.is_none() && self.passphrase.is_none()
    }

    fn source(self, keys: &Keys) -> Result<Source, Problem> {
        match (self.key_file, self.passphrase) {
            (None, None) => Ok(Source::File(keys.file())),
            (Some(path), None) => Ok(Source::File(FileKeyring::new(path, keys.random()))),
            (None, Some(Hidden(passphrase))) => {
                let passphrase =
                    PassphraseKeyring::new(passphrase.expose(), Argon2Params::default(), keys.random())?;
                Ok(Source::Passphrase(passphrase))
            }
            (Some(_), Some(_)) => Err(Problem::new(
                Code::BadRequest,
                "key_file and passphrase: one of them is taken",
            )),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unlock {
    #[serde(default)]
    key_file: Option<PathBuf>,
    #[serde(default)]
    passphrase: Option<Hidden>,
    /// The key file of the settings is gone, and is made anew.
    #[serde(default)]
    restore_key_file: bool,
}

pub(super) async fn unlock(State(house): State<House>, asker: Asker, Json(unlock): Json<Unlock>) -> Answered {
    let Unlock {
        key_file,
        passphrase,
        restore_key_file,
    } = unlock;
    let source = GivenKey { key_file, passphrase }.source(house.keys())?;
    if restore_key_file && house.keys().has_file().await {
        return Err(
            Problem::new(Code::State, "the key file is there, and is not written over")
                .hint("move it away if it opens nothing; dormouse config path says where it is"),
        );
    }
    let call = asker.tenant.credentials.call(&asker.decider);
    house.engine().vault().unlock(&call, source.keyring()).await?;
    if restore_key_file {
        house.keys().ensure_folder()?;
        add(&house, &asker, &Source::File(house.keys().file())).await?;
    }
    status(State(house), asker).await
}

/// One more key that opens the vault. A key file is made where there is none; the slot opens the vault only after the
/// key, read again from where it is, has opened it.
pub(super) async fn add_slot(
    State(house): State<House>,
    asker: Asker,
    Json(given): Json<GivenKey>,
) -> Answered {
    if given.is_nothing() {
        return Err(Problem::new(
            Code::BadRequest,
            "key_file or passphrase: one of them is needed",
        ));
    }
    let source = given.source(house.keys())?;
    let id = add(&house, &asker, &source).await?;
    let slots = house.engine().vault().slots(edge::now()).await?;
    match slots.iter().find(|slot| slot.id == id) {
        Some(slot) => Ok(body::json(StatusCode::CREATED, &SlotView::of(slot))),
        None => Err(KeyError::Conflict.into()),
    }
}

async fn add(house: &House, asker: &Asker, source: &Source) -> Result<u32, Problem> {
    let vault = house.engine().vault();
    let call = asker.tenant.credentials.call(&asker.decider);
    // Before a file is made for a vault that takes no key.
    match vault.state().await? {
        VaultState::Unlocked => {}
        now => return Err(KeyError::State { now }.into()),
    }
    if let Source::File(file) = source {
        file.ensure().await?;
    }
    let id = vault.add_slot(&call, source.keyring()).await?;
    vault.confirm_slot(&call, id, source.keyring()).await?;
    Ok(id)
}

pub(super) async fn remove_slot(State(house): State<House>, asker: Asker, Path(id): Path<u32>) -> Answered {
    let call = asker.tenant.credentials.call(&asker.decider);
    house.engine().vault().remove_slot(&call, id).await?;
    Ok(body::nothing())
}

/// A body without fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn lock(
    State(house): State<House>,
    asker: Asker,
    Json(Nothing {}): Json<Nothing>,
) -> Answered {
    let call = asker.tenant.credentials.call(&asker.decider);
    match house.engine().vault().lock(&call).await {
        // Nothing is kept from whoever asks, so it is no 423.
        Err(KeyError::State {
            now: VaultState::Locked,
        }) => return Err(Problem::new(Code::State, "the vault is locked").hint("nothing is to be done")),
        locked => locked?,
    }
    status(State(house), asker).await
}

/// A new key file in the place of the one in use.
pub(super) async fn rotate(
    State(house): State<House>,
    asker: Asker,
    Json(Nothing {}): Json<Nothing>,
) -> Answered {
    let call = asker.tenant.credentials.call(&asker.decider);
    let file = house.keys().file();
    house.engine().vault().rotate_file(&call, &file).await?;
    status(State(house), asker).await
}

/// What new keys came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RekeyView {
    /// Slots whose keys open it no more.
    pub dropped: Vec<u32>,
    /// Secrets that were sealed anew.
    pub resealed: u64,
    /// Secrets that do not open, and were left.
    pub unreadable: Vec<SecretRef>,
}

/// New keys for everything: the root key, each tenant's, each value's.
pub(super) async fn rekey(State(house): State<House>, asker: Asker, Json(given): Json<GivenKey>) -> Answered {
    let source = given.source(house.keys())?;
    let Rekey {
        dropped,
        resealed,
        unreadable,
    } = house.engine().rekey(&asker.decider, source.keyring()).await?;
    let view = RekeyView {
        dropped,
        resealed,
        unreadable,
    };
    Ok(body::json(StatusCode::OK, &view))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    passphrase: Option<Hidden>,
}

/// All secrets of the tenant and its agents, encrypted: never in clear over any connection.
pub(super) async fn export(asker: Asker, Json(export): Json<Export>) -> Answered {
    let to = match (export.recipients, export.passphrase) {
        (recipients, None) if !recipients.is_empty() => ExportTo::Recipients(recipients),
        (recipients, Some(Hidden(passphrase))) if recipients.is_empty() => ExportTo::Passphrase(passphrase),
        _ => {
            return Err(Problem::new(
                Code::BadRequest,
                "recipients or passphrase: one of them is needed",
            ));
        }
    };
    let call = asker.tenant.credentials.call(&asker.decider);
    let bytes = asker.tenant.credentials.secrets().export(&call, &to).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// What of a secret that exists and differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// Nothing is imported.
    #[default]
    Refuse,
    /// It stays.
    Keep,
    /// The imported one replaces it.
    Overwrite,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    /// The file, in base64.
    export: Hidden,
    #[serde(default)]
    identity: Option<Hidden>,
    #[serde(default)]
    passphrase: Option<Hidden>,
    #[serde(default)]
    existing: Existing,
}

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedView {
    /// Written.
    pub written: Vec<SecretRef>,
    /// There already, equal in all.
    pub unchanged: Vec<SecretRef>,
    /// There already, different, and kept.
    pub kept: Vec<SecretRef>,
    /// Without a scope in an old export: they are shared now.
    pub unscoped: Vec<SecretName>,
}

pub(super) async fn import(
    State(house): State<House>,
    asker: Asker,
    Json(import): Json<Import, IMPORT_BODY_BYTES_MAX>,
) -> Answered {
    // It may be in clear.
    let export = BASE64
        .decode(import.export.0.expose())
        .map(Secret::new)
        .map_err(|_| Problem::new(Code::BadRequest, "export: is no base64"))?;
    let key = match (import.identity, import.passphrase) {
        (None, None) => ImportKey::Clear,
        (Some(Hidden(identity)), None) => ImportKey::Identity(identity),
        (None, Some(Hidden(passphrase))) => ImportKey::Passphrase(passphrase),
        (Some(_), Some(_)) => {
            return Err(Problem::new(
                Code::BadRequest,
                "identity and passphrase: one of them is taken",
            ));
        }
    };
    let existing = match import.existing {
        Existing::Refuse => dormouse_secrets::Existing::Refuse,
        Existing::Keep => dormouse_secrets::Existing::Keep,
        Existing::Overwrite => dormouse_secrets::Existing::Overwrite,
    };
    house.ready_for_vault().await?;
    let call = asker.tenant.credentials.call(&asker.decider);
    let secrets = asker.tenant.credentials.secrets();
    let Imported {
        written,
        unchanged,
        kept,
        unscoped,
    } = secrets.import(&call, export.expose(), &key, existing).await?;
    let view = ImportedView {
        written,
        unchanged,
        kept,
        unscoped,
    };
    Ok(body::json(StatusCode::OK, &view))
}
