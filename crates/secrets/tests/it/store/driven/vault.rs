//! The vault's table: each event by all the verbs that are one.

use std::path::PathBuf;
use std::sync::Arc;

use dormouse_secrets::{
    Deletion, Existing, Expect, ExportError, FileKeyring, Filter, ImportError, ImportKey, Key, KeyError,
    Keyring, LeaseError, LeaseId, LeaseOptions, OnAgentDelete, Purpose, PutMeta, SecretCategory, SecretError,
    Secrets, SpawnError, Vault, VaultDecision, VaultEvent, VaultOptions, VaultState,
};

use super::super::environment::{self, holder};
use super::super::house::{House, at, secret};
use super::super::{staged, tables};
use super::clear;

/// What a verb answered.
#[derive(Debug, PartialEq)]
enum Answer {
    /// It did it.
    Done,
    /// It did it, and there is nothing.
    Empty,
    NotFound,
    WrongKey,
    /// Not in this state.
    State(VaultState),
}

impl From<KeyError> for Answer {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::State { now } => Self::State(now),
            KeyError::WrongKey => Self::WrongKey,
            other => panic!("{other:?}"),
        }
    }
}

impl From<SecretError> for Answer {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Sealed => Self::State(VaultState::Sealed),
            SecretError::Locked => Self::State(VaultState::Locked),
            SecretError::NotFound { .. } => Self::NotFound,
            SecretError::Key(error) => (*error).into(),
            other => panic!("{other:?}"),
        }
    }
}

impl From<LeaseError> for Answer {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Unknown => Self::NotFound,
            LeaseError::Secret(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }
}

impl From<SpawnError> for Answer {
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::VaultNotUnlocked { now } => Self::State(now),
            other => panic!("{other:?}"),
        }
    }
}

impl From<ExportError> for Answer {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Secret(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }
}

impl From<ImportError> for Answer {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Secret(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }
}

fn answer<T, E: Into<Answer>>(result: Result<T, E>) -> Answer {
    result.map_or_else(Into::into, |_| Answer::Done)
}

/// The verbs of an event.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Enable,
    Start(Key),
    Unlock(Key),
    Lock,
    Put,
    Import,
    Delete,
    Lease,
    Use,
    Spawn,
    Export,
    List,
    Info,
    Status,
    Revoke,
    AgentEnded,
    AddSlot,
    ConfirmSlot,
    RemoveSlot,
    Rotate,
    BeginRekey,
    Rekey,
}

/// Those of an event; none for what another process does.
fn verbs(event: VaultEvent) -> Vec<Verb> {
    use Verb as V;
    match event {
        VaultEvent::Enable => vec![V::Enable],
        VaultEvent::Start(key) => vec![V::Start(key)],
        VaultEvent::Unlock(key) => vec![V::Unlock(key)],
        VaultEvent::Lock => vec![V::Lock],
        VaultEvent::Put => vec![V::Put, V::Import],
        VaultEvent::Value => vec![V::Delete, V::Lease, V::Use, V::Spawn, V::Export],
        VaultEvent::Meta => vec![V::List, V::Info, V::Status, V::Revoke, V::AgentEnded],
        VaultEvent::Keys => vec![
            V::AddSlot,
            V::ConfirmSlot,
            V::RemoveSlot,
            V::Rotate,
            V::BeginRekey,
            V::Rekey,
        ],
        VaultEvent::SeenOpen | VaultEvent::SeenLocked => Vec::new(),
    }
}

/// A process, whose vault is in some state, and another one that may know a key.
struct Desk<'a> {
    house: &'a House,
    folder: tempfile::TempDir,
    vault: Vault,
    secrets: Secrets,
    other: Vault,
    lease: Option<LeaseId>,
}

impl<'a> Desk<'a> {
    /// With a vault in this state.
    async fn new(house: &'a House, state: VaultState) -> Self {
        clear(house).await;
        let folder = tempfile::tempdir().unwrap();
        let (other, _) = house.another(Vec::new());
        let file = || FileKeyring::new(folder.path().join("source.key"), house.random.clone());
        let options = VaultOptions {
            sources: vec![Arc::new(file()) as Arc<dyn Keyring>],
            first_key: Some(file()),
        };
        let vault = Vault::new(&house.system, options, house.random.clone());
        let secrets = house.under(&vault);
        let mut desk = Self {
            house,
            folder,
            vault,
            secrets,
            other,
            lease: None,
        };
        for name in ["right.key", "wrong.key", "third.key"] {
            desk.file(name).ensure().await.unwrap();
        }
        if state != VaultState::Absent {
            desk.fill().await;
        }
        match state {
            VaultState::Absent | VaultState::Sealed => {}
            VaultState::Unlocked => desk.vault.unlock(&house.call(1), &desk.right()).await.unwrap(),
            VaultState::Locked => desk.other.lock(&house.call(1)).await.unwrap(),
        }
        assert_eq!(desk.vault.state().await.unwrap(), state);
        desk
    }

    fn file(&self, name: &str) -> FileKeyring {
        FileKeyring::new(self.folder.path().join(name), self.house.random.clone())
    }

    fn right(&self) -> FileKeyring {
        self.file("right.key")
    }

    fn key(&self, key: Key) -> FileKeyring {
        match key {
            Key::Fits => self.right(),
            Key::Wrong => self.file("wrong.key"),
        }
    }

    /// A key is at the source from now on.
    fn give(&self, key: Key) {
        let name = match key {
            Key::Fits => "right.key",
            Key::Wrong => "wrong.key",
        };
        let path = |name: &str| -> PathBuf { self.folder.path().join(name) };
        std::fs::copy(path(name), path("source.key")).unwrap();
    }

    /// A vault, with a second slot, secrets, and a lease on one.
    async fn fill(&mut self) {
        let (house, third) = (self.house, self.file("third.key"));
        let call = house.call(0);
        self.other.enable(&call, &self.right()).await.unwrap();
        let slot = self.other.add_slot(&call, &third).await.unwrap();
        self.other.confirm_slot(&call, slot, &third).await.unwrap();
        let secrets = house.under(&self.other);
        staged::put_in(&secrets, house, "shared:G").await;
        staged::put_in(&secrets, house, "agent:b:H").await;
        let (at, purpose, options) = (at("shared:G"), Purpose::Reference, LeaseOptions::default());
        let lease = secrets.lease(&call, &at, &purpose, &holder(), options).await;
        self.lease = Some(lease.unwrap().id());
    }

    fn lease(&self) -> LeaseId {
        let of_nobody = || "lse_0198c0de7f3a7c11a2b3c4d5e6f70819".parse().unwrap();
        self.lease.unwrap_or_else(of_nobody)
    }

    async fn act(&self, verb: Verb) -> Answer {
        let (vault, secrets, house) = (&self.vault, &self.secrets, self.house);
        let (call, g) = (house.call(2), at("shared:G"));
        match verb {
            Verb::Enable => answer(vault.enable(&call, &self.right()).await),
            Verb::Start(key) => {
                self.give(key);
                answer(vault.start(&call).await)
            }
            Verb::Unlock(key) => answer(vault.unlock(&call, &self.key(key)).await),
            Verb::Lock => answer(vault.lock(&call).await),
            Verb::Put => {
                let (value, meta) = (secret("the value of H"), PutMeta::default());
                let (at, tool) = (at("shared:H"), SecretCategory::Tool);
                answer(secrets.put(&call, &at, &value, tool, &meta, Expect::Any).await)
            }
            Verb::Import => {
                staged::live_all(house);
                let (export, clear) = (staged::export(1, "new"), ImportKey::Clear);
                answer(secrets.import(&call, &export, &clear, Existing::Refuse).await)
            }
            Verb::Delete => answer(secrets.delete(&call, &g, &Deletion::Force).await),
            Verb::Lease => {
                let (purpose, options) = (Purpose::Reference, LeaseOptions::default());
                answer(secrets.lease(&call, &g, &purpose, &holder(), options).await)
            }
            Verb::Use => answer(secrets.use_lease(&call, self.lease(), &holder()).await),
            Verb::Spawn => match environment::set(secrets, house, &house.live("a", 1)).await {
                Ok(set) if set.env.is_empty() => Answer::Empty,
                set => answer(set),
            },
            Verb::Export => self.export().await,
            Verb::List => answer(secrets.list(&Filter::All).await),
            Verb::Info => answer(secrets.info(&g).await),
            Verb::Status => answer(secrets.status().await),
            Verb::Revoke => answer(secrets.revoke_lease(&call, self.lease(), &holder()).await),
            Verb::AgentEnded => {
                let (agent, what) = (house.live("b", 2), OnAgentDelete::Quarantine);
                answer(secrets.agent_ended(&call, &agent, what).await)
            }
            Verb::AddSlot => answer(vault.add_slot(&call, &self.file("wrong.key")).await),
            Verb::ConfirmSlot => answer(vault.confirm_slot(&call, 2, &self.file("third.key")).await),
            Verb::RemoveSlot => answer(vault.remove_slot(&call, 2).await),
            Verb::Rotate => answer(vault.rotate_file(&call, &self.right()).await),
            Verb::BeginRekey => answer(vault.begin_rekey(&call, &self.right()).await),
            Verb::Rekey => answer(secrets.rekey(&call).await),
        }
    }

    async fn export(&self) -> Answer {
        let path = self.folder.path().join("export");
        let call = self.house.call(2);
        // The other form of it, which takes a second, looks at the vault in the same function.
        let exported = self.secrets.export_in_clear(&call, path.clone()).await;
        match exported {
            Ok(()) if std::fs::read_to_string(path).unwrap().lines().count() == 2 => Answer::Empty,
            exported => answer(exported),
        }
    }

    /// What a verb came to, by its answer and by what is there.
    async fn decided(&self, before: VaultState, event: VaultEvent, verb: Verb) -> VaultDecision {
        let rows = self.house.bytes_of_rows("").await;
        let answer = self.act(verb).await;
        let after = self.vault.state().await.unwrap();
        let is_as_before = after == before && self.house.bytes_of_rows("").await == rows;
        match (answer, event) {
            (Answer::State(now), _) => {
                assert!(
                    now == before && is_as_before,
                    "{verb:?} is refused, and changes nothing"
                );
                let is_made_again = event == VaultEvent::Enable;
                VaultDecision::Reject(if is_made_again { "exists" } else { now.word() })
            }
            (Answer::WrongKey, _) => {
                assert!(is_as_before, "{verb:?} changes nothing");
                VaultDecision::Reject("wrong_key")
            }
            (Answer::Done, VaultEvent::Enable | VaultEvent::Unlock(_) | VaultEvent::Lock) => {
                VaultDecision::Become(after)
            }
            (Answer::Done, VaultEvent::Start(_)) if after != before => VaultDecision::Become(after),
            (Answer::Done, VaultEvent::Start(_)) => {
                assert!(is_as_before, "a start changes nothing");
                VaultDecision::Ignore(match after {
                    VaultState::Absent => "no_vault",
                    VaultState::Sealed => "no_key_fits",
                    VaultState::Unlocked => "unlocked",
                    VaultState::Locked => "locked",
                })
            }
            (Answer::Done, VaultEvent::Put) if before == VaultState::Absent => {
                assert_eq!(after, VaultState::Unlocked);
                VaultDecision::EnableThenApply
            }
            // Where there is no secret, what is known of it is that.
            (Answer::NotFound, VaultEvent::Meta) if before == VaultState::Absent => VaultDecision::Apply,
            (Answer::NotFound | Answer::Empty, VaultEvent::Value) => VaultDecision::NotFound,
            (Answer::Done, _) => VaultDecision::Apply,
            (answer, _) => panic!("{verb:?} in {before}: {answer:?}"),
        }
    }
}

/// What a process makes of what another one did to the vault: without a key at its source, and with it.
async fn seen(house: &House, before: VaultState, event: VaultEvent) -> VaultDecision {
    let mut ends = Vec::new();
    for has_key in [false, true] {
        let desk = Desk::new(house, before).await;
        let (call, right) = (house.call(2), desk.right());
        match (before, event) {
            (VaultState::Absent, _) => desk.other.enable(&call, &right).await.unwrap(),
            (VaultState::Locked, VaultEvent::SeenOpen) => desk.other.unlock(&call, &right).await.unwrap(),
            (VaultState::Locked | VaultState::Sealed | VaultState::Unlocked, _) => {}
        }
        if event == VaultEvent::SeenLocked && before != VaultState::Locked {
            desk.other.lock(&call).await.unwrap();
        }
        if has_key {
            desk.give(Key::Fits);
        }
        let after = desk.vault.state().await.unwrap();
        let has_keys = desk.vault.is_locked_in_memory().is_some();
        assert_eq!(has_keys, after == VaultState::Unlocked, "others' keys are wiped");
        ends.push(after);
    }
    match ends[..] {
        [without, with] if without == before && with == before => VaultDecision::Ignore("same"),
        [VaultState::Sealed, VaultState::Unlocked] => VaultDecision::SealedThenStart,
        [without, with] if without == with => VaultDecision::Become(with),
        _ => panic!("{before} {event:?}: {ends:?}"),
    }
}

pub(super) async fn every_cell_of_the_vaults_table_is_what_its_verbs_do(house: House) {
    let mut driven = String::new();
    for before in VaultState::ALL {
        for event in VaultEvent::ALL {
            let mut decided = Vec::new();
            for verb in verbs(event) {
                let desk = Desk::new(&house, before).await;
                decided.push((verb, desk.decided(before, event, verb).await));
            }
            let first = match decided.first() {
                Some((_, first)) => *first,
                None => seen(&house, before, event).await,
            };
            let all_alike = decided.iter().all(|(_, decision)| *decision == first);
            assert!(all_alike, "{before:?} + {event:?}: {decided:?}");
            driven += &tables::line(before, event, first);
        }
    }
    tables::holds("vault", &driven);
}
