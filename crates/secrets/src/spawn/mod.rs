//! The set of a run: what its worker gets, what its texts are scrubbed of, and what the engine commits with its start.

mod read;
mod session;
mod set;

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

pub use session::SpawnWrites;

use crate::attempts::ATTEMPTS;
use crate::secrets::Secrets;
use crate::{AgentAt, Call, LeaseId, Redaction, Scrubber, Secret, SecretError, SecretName, SpawnError};

/// Most bytes of the names and values of an environment.
pub const ENV_TOTAL_MAX: usize = 256 * 1024;

/// What of an agent's secrets a run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// All that the agent sees.
    All,
    /// Exactly these, each of them.
    Exactly(Vec<SecretName>),
}

/// The run that a worker is started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnFor {
    /// Its id.
    pub run: String,
    /// Its credential session, at a further spawn; none at the first.
    pub session: Option<LeaseId>,
    /// When its deadline and grace are over.
    pub expires_at: Timestamp,
}

/// Variables with values for a worker's environment. It prints nothing.
pub struct WorkerEnv(pub(crate) Vec<(SecretName, Secret)>);

impl WorkerEnv {
    /// The variables, sorted by name: for the pipe to the keeper, never for a command line or file.
    pub fn iter(&self) -> impl Iterator<Item = (&SecretName, &Secret)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for WorkerEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(name, _)| (name.as_str(), "***")))
            .finish()
    }
}

/// What a run is started with.
#[derive(Debug)]
pub struct SpawnSet {
    /// Its worker's variables.
    pub env: WorkerEnv,
    /// The names of those, sorted, once each: what the worker is told.
    pub names: Vec<SecretName>,
    /// The names of all secrets that its agent sees, lent or not: no other variable of the worker may have one of them.
    pub visible: BTreeSet<SecretName>,
    /// Takes every value the run may leak out of its texts.
    pub scrubber: Scrubber,
    /// The redactions the scrubber is made of are spent; how many values could not be opened for it.
    pub unopened: usize,
    /// The run's credential session, for further spawns.
    pub session: LeaseId,
    /// What is committed with the run's start.
    pub writes: SpawnWrites,
}

impl Secrets {
    /// The set for one worker of a run: shared and own secrets of category tool. It reads two ranges of keys,
    /// whatever the number of agents and tenants, and keeps nothing: the next spawn sees a changed value.
    ///
    /// `also` is what the run leased by itself: it comes into the scrubber too.
    ///
    /// # Errors
    /// `VaultNotUnlocked` when the set is not empty; `Unreadable` with every name of the set that does not open;
    /// `Missing`, `TooLarge`; `Session` when the run's session takes no further spawn. No write was made, but the journal
    /// of `Unreadable`, which is [counted](crate::SecretsStatus::refused_spawns) too, and that a session has expired.
    pub async fn spawn_set(
        &self,
        call: &Call,
        agent: &AgentAt,
        need: &Need,
        run: &SpawnFor,
        also: Vec<Redaction>,
    ) -> Result<SpawnSet, SpawnError> {
        // First whether the run may have anything at all: no value is opened for a session that ended.
        let session = self.good_session(call, run).await?;
        let opened = self.opened_set(call, agent, need).await?;
        let mut redactions = opened.redactions;
        redactions.extend(also);
        let scrubber = Scrubber::new(redactions);
        let scrubber = scrubber.map_err(|_| SpawnError::TooLarge {
            limit: "SET_VALUES_MAX",
        })?;
        let names: Vec<SecretName> = opened.env.iter().map(|(name, _)| name.clone()).collect();
        let bytes: usize = opened
            .env
            .iter()
            .map(|(name, value)| name.as_str().len() + value.expose().len() + 2)
            .sum();
        if bytes > ENV_TOTAL_MAX {
            return Err(SpawnError::TooLarge {
                limit: "ENV_TOTAL_MAX",
            });
        }
        for (place, (_, generation)) in opened.places.iter().zip(&opened.generations) {
            self.note_use(place, *generation, call.now);
        }
        let writes = self.session_for(call, agent, run, session, opened.generations);
        Ok(SpawnSet {
            env: WorkerEnv(opened.env),
            names,
            visible: opened.visible,
            scrubber,
            unopened: opened.unopened,
            session: writes.session(),
            writes,
        })
    }

    /// Reads and opens until nothing came between.
    async fn opened_set(
        &self,
        call: &Call,
        agent: &AgentAt,
        need: &Need,
    ) -> Result<read::Opened, SpawnError> {
        for _ in 0..ATTEMPTS {
            let seen = self.seen(agent).await?;
            let set = set::of(&seen, need)?;
            if let Some(opened) = self.opened(call, agent, &seen, &set).await? {
                return Ok(opened);
            }
        }
        Err(SecretError::contended().into())
    }

    /// Whether the agent's set could be opened now; `None` when it is empty or the vault is unlocked: asked before a
    /// claim, so that a task stays ready while nobody unlocks.
    ///
    /// # Errors
    /// `Missing`; as any read.
    pub async fn is_waiting_for_key(
        &self,
        agent: &AgentAt,
        need: &Need,
    ) -> Result<Option<crate::VaultState>, SpawnError> {
        let seen = self.seen(agent).await?;
        let set = set::of(&seen, need)?;
        let now = self.vault().state().await.map_err(SecretError::from)?;
        let is_waiting = !set.is_empty() && now != crate::VaultState::Unlocked;
        Ok(is_waiting.then_some(now))
    }
}
