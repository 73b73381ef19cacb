//! What a run's worker gets, and what is taken out of all its texts.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_secrets::{
    ENV_TOTAL_MAX, KeyError, LeaseId, LeaseStatus, SESSION_USES_MAX, Scrubbed, Scrubber, SecretError,
    SecretName, SessionRow, SpawnError, SpawnFor, SpawnSet, SpawnWrites,
};
use jiff::{SignedDuration, Timestamp};

use super::references::references;
use super::service::{Credentials, listed, need};
use crate::command::CommandSpec;
use crate::run::Run;
use crate::{CommandError, Principal};

/// What a run has of its agent's secrets.
pub(crate) struct Lent {
    /// Its worker's variables.
    pub(crate) variables: BTreeMap<String, String>,
    /// The names of all secrets that its agent sees.
    pub(crate) visible: BTreeSet<String>,
    /// What its texts pass.
    pub(crate) scrubber: Scrubber,
    /// Its credential session, for the commit that starts its worker; none where nothing is lent.
    pub(crate) writes: Option<SpawnWrites>,
}

/// Why a worker does not get its secrets. It is not started.
#[derive(Debug)]
pub(crate) struct Unlent {
    /// Whether trying again may help: the vault is locked, the store did not answer, or others were first.
    pub(crate) may_pass: bool,
    /// Why, with the names.
    pub(crate) message: Scrubbed,
}

impl Unlent {
    fn of(error: &SpawnError, scrubber: &Scrubber) -> Self {
        Self {
            may_pass: may_pass(error),
            message: scrubber.scrub(&error.to_string()),
        }
    }
}

/// Whether trying again may help.
fn may_pass(error: &SpawnError) -> bool {
    match error {
        SpawnError::VaultNotUnlocked { .. } => true,
        SpawnError::Secret(SecretError::Key(error)) => matches!(**error, KeyError::Conflict),
        SpawnError::Secret(error) => matches!(
            error,
            SecretError::Store(_) | SecretError::Indeterminate | SecretError::Sealed | SecretError::Locked
        ),
        SpawnError::Unreadable { .. }
        | SpawnError::Missing { .. }
        | SpawnError::TooLarge { .. }
        | SpawnError::Session(_) => false,
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
        let variables =
            variables(&set, listed(&agent, command), &references(&command.env)).map_err(unlent)?;
        Ok(Lent {
            variables,
            visible: set.visible.iter().map(|name| name.as_str().to_owned()).collect(),
            scrubber: set.scrubber.with_formats(formats),
            writes: (!set.names.is_empty()).then_some(set.writes),
        })
    }

    /// The run's credential session, when a former process of it had one that is still good.
    async fn session(&self, run: &Run, now: Timestamp) -> Result<Option<LeaseId>, SpawnError> {
        if run.spawn <= 1 {
            return Ok(None);
        }
        let sessions = self.core.secrets.sessions_of(&run.id.to_string()).await?;
        let good = sessions.iter().find(|session| is_good(session, now));
        Ok(good.map(|session| session.id))
    }
}

/// The worker's variables: each secret that it gets under its name, and those that a variable names under that one's.
fn variables(
    set: &SpawnSet,
    listed: Option<&[SecretName]>,
    references: &BTreeMap<&str, SecretName>,
) -> Result<BTreeMap<String, String>, SpawnError> {
    let is_there = |name: &&SecretName| set.names.contains(name);
    let missing: BTreeSet<_> = references.values().filter(|name| !is_there(name)).collect();
    if !missing.is_empty() {
        let names = missing.into_iter().cloned().collect();
        return Err(SpawnError::Missing { names });
    }
    let (mut variables, mut bytes) = (BTreeMap::new(), 0);
    for (name, value) in set.env.iter() {
        let text = value.expose_text().expect("a value for environments is text");
        let own = listed
            .is_none_or(|names| names.contains(name))
            .then_some(name.as_str());
        let others = references.iter().filter(|(_, secret)| *secret == name);
        let all = own.into_iter().chain(others.map(|(variable, _)| *variable));
        for variable in all {
            // One secret may have many names, and each has its value whole.
            bytes += variable.len() + text.len() + 2;
            if bytes > ENV_TOTAL_MAX {
                return Err(SpawnError::TooLarge {
                    limit: "ENV_TOTAL_MAX",
                });
            }
            variables.insert(variable.to_owned(), text.to_owned());
        }
    }
    Ok(variables)
}

/// Whether the session takes one spawn more. Without such a one, the spawn begins another.
fn is_good(session: &SessionRow, now: Timestamp) -> bool {
    session.status == LeaseStatus::Active && session.expires_at > now && session.used < SESSION_USES_MAX
}

/// When deadline and grace of a worker that starts now are over.
fn expiry(now: Timestamp, command: &CommandSpec) -> Timestamp {
    let time = command.wall_clock().saturating_add(command.grace());
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    now.checked_add(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use dormouse_filesystem::{ReadError, RecordError};
    use dormouse_secrets::{AgentAt, Incarnation, LeaseError};
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_told_as_such() {
        let store = || SecretError::Store(Box::new(RecordError::Read(ReadError::Closed { reason: "test" })));
        let cases = [
            (SpawnError::from(LeaseError::from(store())), true),
            (SpawnError::from(store()), true),
            (SecretError::Key(Box::new(KeyError::Conflict)).into(), true),
            (SecretError::Locked.into(), true),
            (SecretError::Key(Box::new(KeyError::WrongKey)).into(), false),
            (SpawnError::from(LeaseError::Consumed), false),
            (SpawnError::Missing { names: Vec::new() }, false),
        ];
        for (error, passes) in cases {
            assert_eq!(may_pass(&error), passes, "{error:?}");
        }
    }

    #[test]
    fn a_session_that_is_used_up_or_over_takes_no_further_spawn() {
        let now = Timestamp::UNIX_EPOCH;
        let later = now.checked_add(1.hour()).unwrap();
        let session = |used, expires_at, status| SessionRow {
            id: "lse_00000000000000000000000000000001".parse().unwrap(),
            run: "run".to_owned(),
            agent: AgentAt {
                id: "alice".parse().unwrap(),
                incarnation: Incarnation::from_u128(1),
            },
            names: Vec::new(),
            used,
            granted_at: now,
            expires_at,
            status,
            cause: None,
            ended_at: None,
        };
        let active = LeaseStatus::Active;
        assert!(is_good(&session(SESSION_USES_MAX - 1, later, active), now));
        assert!(!is_good(&session(SESSION_USES_MAX, later, active), now));
        assert!(!is_good(&session(1, now, active), now));
        assert!(!is_good(&session(1, later, LeaseStatus::Revoked), now));
    }
}
