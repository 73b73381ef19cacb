//! `/v1/secrets/…`: the vault itself.

use std::path::PathBuf;

use axum::extract::State;
use axum::http::StatusCode;
use dormouse_engine::TenantId;
use dormouse_engine::credentials::Rekey;
use dormouse_secrets::{
    FileKeyring, KeyError, Keyring, PassphraseKeyring, SLOTS_MAX, SecretRef, SlotState, SystemKeyring,
    VaultState,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::body::{self, Json, List, Named};
use super::house::{Asker, House};
use super::refusal::Answered;
use super::secrets::Hidden;
use super::view::{SlotView, VaultView};
use crate::edge;
use crate::owner::Keys;
use crate::problem::{Code, Problem};

/// How the vault is.
pub(super) async fn status(State(house): State<House>, asker: Asker) -> Answered {
    Ok(body::json(StatusCode::OK, &view(&house, &asker).await?))
}

async fn view(house: &House, asker: &Asker) -> Result<VaultView, Problem> {
    let vault = house.engine().vault();
    let status = asker.tenant.credentials.secrets().status().await?;
    let slots = vault.slots(edge::now()).await?;
    let key_file = state_of(house, &house.keys().file()).await?;
    let is_there = status.vault != VaultState::Absent;
    let key_file_opens = is_there.then_some(key_file == Some(SlotState::Active));
    Ok(VaultView {
        vault: status.vault.to_string(),
        shared: status.shared,
        of_agents: status.of_agents,
        unscrubbed: status.unscrubbed,
        refused_spawns: status.refused_spawns,
        is_rekeying: vault.is_rekeying().await?,
        is_locked_in_memory: vault.is_locked_in_memory(),
        opens_by_itself: vault.opens_by_itself().await?,
        key_file_opens,
        slots: slots.iter().map(SlotView::of).collect(),
    })
}

/// How the slot of this key is. A key that is not there, or is none, has none.
async fn state_of(house: &House, key: &dyn Keyring) -> Result<Option<SlotState>, KeyError> {
    match house.engine().vault().slot_for(key, edge::now()).await {
        Ok(slot) => Ok(slot.map(|slot| slot.state)),
        Err(KeyError::Unavailable { .. } | KeyError::Malformed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
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
    /// That of the system's key store.
    #[serde(default)]
    keyring: bool,
}

/// Where a key comes from.
enum Source {
    File(FileKeyring),
    Passphrase(PassphraseKeyring),
    System(SystemKeyring),
}

impl Source {
    fn keyring(&self) -> &dyn Keyring {
        match self {
            Self::File(file) => file,
            Self::Passphrase(passphrase) => passphrase,
            Self::System(system) => system,
        }
    }
}

impl GivenKey {
    fn is_nothing(&self) -> bool {
        self.key_file.is_none() && self.passphrase.is_none() && !self.keyring
    }

    fn source(self, keys: &Keys) -> Result<Source, Problem> {
        match (self.key_file, self.passphrase, self.keyring) {
            (None, None, false) => Ok(Source::File(keys.file())),
            (None, None, true) => Ok(Source::System(keys.system()?)),
            (Some(path), None, false) => Ok(Source::File(FileKeyring::new(path, keys.random()))),
            (None, Some(Hidden(passphrase)), false) => {
                let passphrase =
                    PassphraseKeyring::new(passphrase.expose(), keys.derivation(), keys.random())?;
                Ok(Source::Passphrase(passphrase))
            }
            (Some(_), Some(_), _) | (Some(_), None, true) | (None, Some(_), true) => Err(Problem::new(
                Code::BadRequest,
                "key_file, passphrase and keyring: one of them is taken",
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
    #[serde(default)]
    keyring: bool,
    /// The key file of the settings is gone, and is made anew.
    #[serde(default)]
    restore_key_file: bool,
}

pub(super) async fn unlock(State(house): State<House>, asker: Asker, Json(unlock): Json<Unlock>) -> Answered {
    let Unlock {
        key_file,
        passphrase,
        keyring,
        restore_key_file,
    } = unlock;
    let given = GivenKey {
        key_file,
        passphrase,
        keyring,
    };
    if restore_key_file {
        restore(&house, &asker, given).await?;
    } else {
        let source = given.source(house.keys())?;
        open(&house, &asker, source.keyring()).await?;
    }
    status(State(house), asker).await
}

async fn open(house: &House, asker: &Asker, key: &dyn Keyring) -> Result<(), KeyError> {
    let call = asker.tenant.credentials.call(&asker.decider);
    house.engine().vault().unlock(&call, key).await?;
    // What is ready and waited for its secrets.
    house.engine().ring_all();
    Ok(())
}

/// Makes the key file of the settings anew. Cut anywhere, the same again goes on: a vault that is open by then stays so,
/// and a file whose slot waits to be confirmed is the one that was made.
async fn restore(house: &House, asker: &Asker, given: GivenKey) -> Result<(), Problem> {
    let file = house.keys().file();
    if house.keys().has_file().await && state_of(house, &file).await? != Some(SlotState::Pending) {
        return Err(
            Problem::new(Code::State, "the key file is there, and is not written over")
                .hint("move it away if it opens nothing; dormouse config path says where it is"),
        );
    }
    if given.is_nothing() {
        return Err(Problem::new(
            Code::BadRequest,
            "the key file is to be made anew, so another key has to open the vault",
        )
        .hint("give --passphrase, --key-file FILE or --keyring"));
    }
    let source = given.source(house.keys())?;
    match house.engine().vault().state().await? {
        VaultState::Unlocked if state_of(house, source.keyring()).await? == Some(SlotState::Active) => {}
        VaultState::Unlocked => return Err(KeyError::WrongKey.into()),
        VaultState::Absent | VaultState::Sealed | VaultState::Locked => {
            open(house, asker, source.keyring()).await?;
        }
    }
    let keys = house.keys().clone();
    let made = tokio::task::spawn_blocking(move || keys.ensure_folder()).await;
    made.expect("making a folder does not panic, and nobody cancels it")?;
    add(house, asker, &Source::File(file)).await?;
    Ok(())
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
            "key_file, passphrase or keyring: one of them is needed",
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
    let is_full = vault.slots(call.now).await?.len() >= SLOTS_MAX;
    match source {
        Source::Passphrase(_) => {}
        Source::File(_) | Source::System(_)
            if is_full && state_of(house, source.keyring()).await?.is_none() =>
        {
            return Err(KeyError::SlotsFull.into());
        }
        Source::File(file) => {
            file.ensure().await?;
        }
        Source::System(system) => {
            // One that opens no slot is left of a slot that went, by a rekey that may have been for its sake.
            if state_of(house, system).await?.is_none() {
                system.forget().await?;
            }
            system.ensure().await?;
        }
    }
    let id = vault.add_slot(&call, source.keyring()).await?;
    vault.confirm_slot(&call, id, source.keyring()).await?;
    Ok(id)
}

pub(super) async fn remove_slot(State(house): State<House>, asker: Asker, Named(id): Named) -> Answered {
    let id = id.parse().map_err(|_| KeyError::UnknownSlot)?;
    let call = asker.tenant.credentials.call(&asker.decider);
    let vault = house.engine().vault();
    // Asked before: of several slots it is the key of one, and afterwards of none.
    let in_store = slot_in_system(&house).await;
    vault.remove_slot(&call, id).await?;
    if let Some((system, slot)) = in_store
        && slot == id
    {
        forget(&system).await;
    }
    Ok(body::nothing())
}

/// The key in the system's key store, and the slot that it opens, if it opens one.
async fn slot_in_system(house: &House) -> Option<(SystemKeyring, u32)> {
    let system = house.keys().system().ok()?;
    let slot = house.engine().vault().slot_for(&system, edge::now()).await;
    Some((system, slot.ok()??.id))
}

/// Takes a key out of the system's key store that opens nothing any more.
async fn forget(system: &SystemKeyring) {
    if let Err(error) = system.forget().await {
        tracing::warn!(%error, "a key that opens nothing any more is still in the system's key store");
    }
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
    /// Tenants that have no new keys yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedView>,
    /// When the keys were made, if not now: one that was begun before went on, and made no newer ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub went_on: Option<Timestamp>,
}

/// A tenant that has no new keys yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedView {
    /// Which.
    pub tenant: TenantId,
    /// Why.
    pub why: String,
}

/// New keys for everything: the root key, each tenant's, each value's.
pub(super) async fn rekey(State(house): State<House>, asker: Asker, Json(given): Json<GivenKey>) -> Answered {
    let source = given.source(house.keys())?;
    let in_store = slot_in_system(&house).await;
    let Rekey {
        dropped,
        resealed,
        unreadable,
        failed,
        went_on,
    } = house.engine().rekey(&asker.decider, source.keyring()).await?;
    if let Some((system, slot)) = in_store
        && dropped.contains(&slot)
    {
        forget(&system).await;
    }
    let view = RekeyView {
        dropped,
        resealed,
        unreadable,
        failed: failed
            .into_iter()
            .map(|(tenant, why)| FailedView { tenant, why })
            .collect(),
        went_on,
    };
    Ok(body::json(StatusCode::OK, &view))
}
