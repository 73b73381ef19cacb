//! What a run's worker gets, and what is taken out of all its texts.

use std::collections::BTreeMap;

use dormouse_secrets::{LeaseStatus, Scrubbed, Scrubber, SecretError, SpawnError, SpawnFor, SpawnWrites};
use jiff::{SignedDuration, Timestamp};

use super::service::{Credentials, need};
use crate::command::CommandSpec;
use crate::run::Run;
use crate::{CommandError, Principal};

/// What a run has of its agent's secrets.
pub(crate) struct Lent {
    /// Its worker's variables.
    pub(crate) variables: BTreeMap<String, String>,
    /// What its texts pass.
    pub(crate) scrubber: Scrubber,
    /// Its credential session, for the commit that starts its worker; none where nothing is lent.
    pub(crate) writes: Option<SpawnWrites>,
}

/// Why a worker does not get its secrets. It is not started.
#[derive(Debug)]
pub(crate) struct Unlent {
    /// Whether trying again may help: the vault is locked, or the store did not answer.
    pub(crate) may_pass: bool,
    /// Why, with the names.
    pub(crate) message: Scrubbed,
}

impl Unlent {
    fn of(error: &SpawnError, scrubber: &Scrubber) -> Self {
        let may_pass = match error {
            SpawnError::VaultNotUnlocked { .. } => true,
            SpawnError::Secret(error) => {
                matches!(error, SecretError::Store(_) | SecretError::Indeterminate)
            }
            SpawnError::Unreadable { .. }
            | SpawnError::Missing { .. }
            | SpawnError::TooLarge { .. }
            | SpawnError::Session(_) => false,
        };
        Self {
            may_pass,
            message: scrubber.scrub(&error.to_string()),
        }
    }
}

impl Credentials {
    /// Opens what this worker of the run gets. Nothing is kept: the next spawn sees a changed value.
    pub(crate) async fn lend(&self, run: &Run, command: &CommandSpec) -> Result<Lent, Unlent> {
        let fallback = &self.core.scrubber;
        let unread = |error: CommandError| Unlent {
            may_pass: true,
            message: fallback.scrub(&error.to_string()),
        };
        let agent = self.core.agent_if_there(&run.agent).await.map_err(unread)?;
        let agent = agent.filter(|agent| agent.incarnation == run.agent_incarnation);
        let agent = agent.ok_or_else(|| Unlent {
            may_pass: false,
            message: Scrubbed::constant("the run's agent is gone, and its secrets with it"),
        })?;
        let unlent = |error: SpawnError| Unlent::of(&error, fallback);
        let call = self.call(&Principal::engine());
        let spawn = SpawnFor {
            run: run.id.to_string(),
            session: self.session(run, call.now).await.map_err(unlent)?,
            expires_at: expiry(call.now, command),
        };
        let (at, need) = (agent.of_secrets(), need(&agent, command));
        let set = self
            .core
            .secrets
            .spawn_set(&call, &at, &need, &spawn, Vec::new())
            .await;
        let set = set.map_err(unlent)?;
        if set.unopened > 0 {
            // What does not open is injected nowhere, and can be taken out of nothing.
            tracing::warn!(run = %run.id, unopened = set.unopened, "values the run may know do not open");
        }
        let formats = agent.config.formats.unwrap_or(self.core.formats);
        let variables = set.env.iter().map(|(name, value)| {
            let text = value.expose_text().expect("a value for environments is text");
            (name.as_str().to_owned(), text.to_owned())
        });
        Ok(Lent {
            variables: variables.collect(),
            scrubber: set.scrubber.with_formats(formats),
            writes: (!set.names.is_empty()).then_some(set.writes),
        })
    }

    /// The run's credential session, when a former process of it had one that is still good.
    async fn session(
        &self,
        run: &Run,
        now: Timestamp,
    ) -> Result<Option<dormouse_secrets::LeaseId>, SpawnError> {
        if run.spawn <= 1 {
            return Ok(None);
        }
        let sessions = self.core.secrets.sessions_of(&run.id.to_string()).await;
        let sessions = sessions.map_err(|error| SpawnError::Session(Box::new(error)))?;
        let mut good = sessions
            .iter()
            .filter(|session| session.status == LeaseStatus::Active && session.expires_at > now);
        Ok(good.next().map(|session| session.id))
    }
}

/// When deadline and grace of a worker that starts now are over.
fn expiry(now: Timestamp, command: &CommandSpec) -> Timestamp {
    let time = command.wall_clock().saturating_add(command.grace());
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    now.checked_add(time).unwrap_or(Timestamp::MAX)
}
