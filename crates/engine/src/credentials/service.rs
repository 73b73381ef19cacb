//! A tenant's credentials: the secrets themselves, told of in its events, and the scrubber of each of its agents.

use std::sync::Arc;

use dormouse_secrets::{Call, Need, Scrubber, SecretName, Secrets, SpawnError, VaultState};

use super::references::references;
use crate::agent::Agent;
use crate::command::CommandSpec;
use crate::core::Core;
use crate::task::Task;
use crate::{AgentName, CommandError, Principal};

/// A tenant's credentials.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub(super) core: Arc<Core>,
}

impl Credentials {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
        }
    }

    /// The tenant's secrets. Their verbs take a [`call`](Self::call).
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.core.secrets
    }

    /// A call of a verb, now, in the name of this principal: what it changes is told in the events of the tenant, and
    /// of the installation where it is the vault.
    #[must_use]
    pub fn call(&self, by: &Principal) -> Call {
        self.core.call_of_secrets(by)
    }

    /// Takes out of texts what this agent knows: its own and the shared values, those they replaced too, and what has
    /// the shape of a credential. While the vault is not unlocked, shapes alone.
    ///
    /// # Errors
    /// As any read; `TooLarge` for more values than a set has.
    pub async fn scrubber(&self, agent: &AgentName) -> Result<Scrubber, CommandError> {
        let Some(agent) = self.core.agent_if_there(agent).await? else {
            return Ok(self.core.scrubber.clone());
        };
        let vault = self.core.secrets.vault().state().await;
        if vault.map_err(|error| of_secret(error.into()))? == VaultState::Absent {
            let formats = agent.config.formats.unwrap_or(self.core.formats);
            return Ok(Scrubber::empty().with_formats(formats));
        }
        self.scrubber_of(&agent).await
    }

    async fn scrubber_of(&self, agent: &Agent) -> Result<Scrubber, CommandError> {
        let formats = agent.config.formats.unwrap_or(self.core.formats);
        let call = self.call(&Principal::engine());
        let run = dormouse_secrets::SpawnFor {
            run: String::new(),
            session: None,
            expires_at: call.now,
        };
        // Nothing is injected, so nothing has to open; what is written with a start is not used.
        let (at, nothing) = (agent.of_secrets(), Need::Exactly(Vec::new()));
        let set = self
            .core
            .secrets
            .spawn_set(&call, &at, &nothing, &run, Vec::new());
        let set = set.await.map_err(unspawned)?;
        Ok(set.scrubber.with_formats(formats))
    }

    /// The state of the vault, when the task's worker needs secrets and nobody unlocked them: it is not to be claimed
    /// then, and stays ready.
    ///
    /// # Errors
    /// As any read.
    pub async fn awaited(&self, task: &Task) -> Result<Option<VaultState>, CommandError> {
        let (Some(agent), Some(command)) = (self.core.agent_if_there(&task.assignee).await?, &task.command)
        else {
            return Ok(None);
        };
        let (at, need) = (agent.of_secrets(), need(&agent, command));
        match self.core.secrets.is_waiting_for_key(&at, &need).await {
            Ok(state) => Ok(state),
            // It cannot be started in any state: its start says why.
            Err(SpawnError::Missing { .. }) => Ok(None),
            Err(error) => Err(unspawned(error)),
        }
    }
}

/// The names that a worker gets of its agent's secrets: the command's list, else the agent's; none for all of them.
pub(super) fn listed<'a>(agent: &'a Agent, command: &'a CommandSpec) -> Option<&'a [SecretName]> {
    let lists = [&command.secrets, &agent.config.secrets];
    lists
        .into_iter()
        .find(|names| !names.is_empty())
        .map(Vec::as_slice)
}

/// What of its agent's secrets a worker needs: those it gets, and those that a variable of another name has the value of.
pub(super) fn need(agent: &Agent, command: &CommandSpec) -> Need {
    let Some(names) = listed(agent, command) else {
        return Need::All;
    };
    let referred = references(&command.env).into_values();
    Need::Exactly(names.iter().cloned().chain(referred).collect())
}

/// A set that could not be made or written, as a command's answer.
pub(crate) fn unspawned(error: SpawnError) -> CommandError {
    match error {
        SpawnError::TooLarge { limit } => CommandError::TooLarge { limit },
        SpawnError::Secret(error) => of_secret(error),
        other => CommandError::Unavailable(Box::new(other)),
    }
}

/// What a lease could not do, as a command's answer.
pub(crate) fn of_lease(error: dormouse_secrets::LeaseError) -> CommandError {
    match error {
        dormouse_secrets::LeaseError::Secret(error) => of_secret(error),
        other => CommandError::Unavailable(Box::new(other)),
    }
}

/// What the secrets could not do, as a command's answer.
pub(crate) fn of_secret(error: dormouse_secrets::SecretError) -> CommandError {
    match error {
        dormouse_secrets::SecretError::Store(error) => (*error).into(),
        other => CommandError::Unavailable(Box::new(other)),
    }
}
