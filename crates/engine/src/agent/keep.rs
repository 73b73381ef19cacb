//! Keeping agents to what somebody wrote down: made where they are not there, changed where they are otherwise.

use dormouse_filesystem::{CommitError, ReadError, Versioned};

use super::service::{check, give_room, refused};
use super::{Agent, AgentConfig, AgentEvent, AgentState, Agents, decide};
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::{AgentName, CommandError, Decision, Principal};

/// Agents of one commit.
const AT_ONCE: usize = 64;

/// What keeping an agent came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// There was none of its name: it is there now.
    Made,
    /// It was otherwise.
    Changed,
    /// It was so.
    Same,
}

impl Keeping {
    /// Its word, as printed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Changed => "changed",
            Self::Same => "same",
        }
    }

    fn writes(self) -> bool {
        match self {
            Self::Made | Self::Changed => true,
            Self::Same => false,
        }
    }
}

/// What each came to, in the order in which they were asked for.
type Kept = Vec<Result<Keeping, CommandError>>;

impl Agents {
    /// Keeps agents to what somebody wrote down of them: each is made where there is none of its name, and changed where it
    /// is otherwise. What `change` does not touch stays, and so does whether it is paused. A name is there once. Read are
    /// the rows of these names and no other; some dozens share a commit, and where all is so already there is none.
    ///
    /// Each has an answer of its own, in their order: one that cannot be kept is in no other's way. Where the store does not
    /// answer, or is closed, the error is that of all who have no answer yet, and none of them is tried.
    pub async fn keep<F>(&self, by: &Principal, wanted: &[(AgentName, F)]) -> Kept
    where
        F: Fn(&mut AgentConfig) + Sync,
    {
        let mut kept = Kept::with_capacity(wanted.len());
        for some in wanted.chunks(AT_ONCE) {
            if let Err(error) = self.keep_some(by, some, &mut kept).await {
                // The next would wait for the store as long, and in vain.
                let others = wanted.len() - kept.len() - 1;
                let others: Kept = (0..others).map(|_| Err(of_another(&error))).collect();
                kept.push(Err(error));
                kept.extend(others);
                break;
            }
        }
        kept
    }

    /// Keeps some in one commit, or each in its own where one of them, or all that they say together, is in the way of it.
    ///
    /// # Errors
    /// The store's: that of all who have no answer yet.
    async fn keep_some<F>(
        &self,
        by: &Principal,
        wanted: &[(AgentName, F)],
        kept: &mut Kept,
    ) -> Result<(), CommandError>
    where
        F: Fn(&mut AgentConfig) + Sync,
    {
        match self.keep_at_once(by, wanted).await {
            Ok(answers) => kept.extend(answers),
            Err(error) if is_of_store(&error) => return Err(error),
            Err(error) if wanted.len() == 1 => kept.push(Err(error)),
            Err(_) => {
                for one in wanted.chunks(1) {
                    match self.keep_at_once(by, one).await {
                        Ok(answers) => kept.extend(answers),
                        Err(error) if is_of_store(&error) => return Err(error),
                        Err(error) => kept.push(Err(error)),
                    }
                }
            }
        }
        Ok(())
    }

    async fn keep_at_once<F>(&self, by: &Principal, wanted: &[(AgentName, F)]) -> Result<Kept, CommandError>
    where
        F: Fn(&mut AgentConfig) + Sync,
    {
        let names: Vec<AgentName> = wanted.iter().map(|(name, _)| name.clone()).collect();
        let names = &names;
        let done = self.core.command(by, |mut draft| async move {
            let read = self.rows.get_many(names).await?;
            let mut kept = Kept::with_capacity(wanted.len());
            for ((name, change), read) in wanted.iter().zip(&read) {
                let mut config = match read {
                    Some(read) if read.state != AgentState::Deleted => read.config.clone(),
                    Some(_) | None => AgentConfig::default(),
                };
                change(&mut config);
                kept.push(match check(&config) {
                    Ok(()) => self.stage_kept(&mut draft, name, read.as_ref(), config).await?,
                    Err(error) => Err(error),
                });
            }
            let writes = |kept: &Result<Keeping, _>| kept.as_ref().is_ok_and(|kept| kept.writes());
            Ok(match kept.iter().any(writes) {
                true => Verdict::Commit(draft, kept),
                false => Verdict::Nothing(kept),
            })
        });
        Ok(done.await?.answer)
    }

    /// Stages one; what the table refuses is its own answer and no error of the commit.
    async fn stage_kept(
        &self,
        draft: &mut Draft,
        name: &AgentName,
        read: Option<&Versioned<Agent>>,
        config: AgentConfig,
    ) -> Result<Result<Keeping, CommandError>, CommandError> {
        let there = read.filter(|agent| agent.state != AgentState::Deleted);
        let event = match there {
            Some(_) => AgentEvent::Configure,
            None => AgentEvent::Create,
        };
        let state = match (decide(read.map(|agent| agent.state), event), there) {
            (Decision::Apply(state), _) => state,
            (Decision::Same, Some(there)) => there.state,
            (Decision::Same | Decision::Ignore(_), _) => {
                unreachable!("a creation and a configuration apply, or are refused")
            }
            (Decision::Reject(reason), _) => {
                return Ok(Err(refused(name, read.map(|read| &**read), event, reason)));
            }
        };
        let Some(there) = there else {
            let agent = self.made(draft, name, &config, state);
            match read {
                None => self.rows.stage_create(draft.batch(), &agent)?,
                Some(tombstone) => self.rows.stage_replace(draft.batch(), tombstone, &agent).await?,
            }
            let config_digest = agent.config_digest.clone();
            draft.tell(&agent.about(), &Change::AgentCreated { config_digest })?;
            return Ok(Ok(Keeping::Made));
        };
        if there.config == config {
            return Ok(Ok(Keeping::Same));
        }
        let has_more_room = config.concurrency > there.config.concurrency;
        let config_digest = config.digest();
        let agent = Agent {
            state,
            config_digest: config_digest.clone(),
            config,
            updated_at: draft.now(),
            op: draft.op(),
            ..Agent::clone(there)
        };
        self.rows.stage_replace(draft.batch(), there, &agent).await?;
        draft.tell(&agent.about(), &Change::AgentConfigured { config_digest })?;
        if has_more_room {
            give_room(draft, name);
        }
        Ok(Ok(Keeping::Changed))
    }
}

/// Whether it is the store's, and no row's alone. Lost races are a row's: somebody writes one of them again and again.
fn is_of_store(error: &CommandError) -> bool {
    matches!(
        error,
        CommandError::Unavailable(_) | CommandError::Indeterminate { .. }
    )
}

/// The store's error, of another whom it concerns as well.
fn of_another(error: &CommandError) -> CommandError {
    if let CommandError::Indeterminate { op, .. } = error {
        // Its commit may have been the same; if not, no row carries that operation.
        return CommandError::Indeterminate {
            op: *op,
            source: CommitError::Indeterminate { source: None },
        };
    }
    if let CommandError::Unavailable(source) = error
        && error.is_congestion()
    {
        return CommandError::Unavailable(source.to_string().into());
    }
    // It stays closed.
    ReadError::Closed {
        reason: "it was closed meanwhile",
    }
    .into()
}
