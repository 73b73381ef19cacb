//! Whether an agent can begin another run: by its accounts alone, so that a lane is passed over without reading its tasks.

use super::ask::pending_of;
use super::decide::{Answer, judge};
use super::{Account, AccountPath, Budgets, Chain, Dimension, Refusal};
use crate::agent::Agent;
use crate::{CommandError, GateId};

/// Whether an agent can begin another run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// It can.
    Free,
    /// An account is at its limit, until something is given back, raised, or its period ends.
    Full(Box<Refusal>),
    /// A person is asked about an account, by this gate where somebody was there to ask.
    Asked(Box<Refusal>),
}

impl Budgets {
    /// Whether an agent can begin another run of its lane, by its accounts alone: no task is read.
    ///
    /// # Errors
    /// `Corrupt`, as any read.
    pub async fn room(&self, agent: &Agent) -> Result<Room, CommandError> {
        let chain = Chain::of_agent(&agent.name, agent.incarnation);
        let mut asked = None;
        for path in chain.paths() {
            match self.room_in(&path, agent).await? {
                (Answer::Exceeded, Some(refusal)) => return Ok(Room::Full(Box::new(refusal))),
                (_, refusal) => asked = asked.or(refusal),
            }
        }
        let Some(refusal) = asked else {
            return Ok(Room::Free);
        };
        let gate = pending_of(&self.core, &refusal, &chain).await?;
        Ok(Room::Asked(Box::new(Refusal { gate, ..refusal })))
    }

    /// What one account says to another run, and why where that is no yes.
    async fn room_in(
        &self,
        path: &AccountPath,
        agent: &Agent,
    ) -> Result<(Answer, Option<Refusal>), CommandError> {
        let is_agents = matches!(path, AccountPath::Agent(_));
        let account = self.accounts.get(path).await?;
        let account = account.map(|account| account.at(self.core.environment.clock.now()));
        let is_its = |account: &Account| !is_agents || account.agent_incarnation == Some(agent.incarnation);
        let Some(account) = account.filter(is_its) else {
            return Ok((Answer::Admitted, None));
        };
        let (taken, slots) = (
            account.reserved.get(Dimension::Concurrency),
            u64::from(agent.config.concurrency),
        );
        if is_agents && taken >= slots {
            return Ok((Answer::Exceeded, Some(Refusal::of_slots(&account, taken, slots))));
        }
        let mut worst = (Answer::Admitted, None);
        for (dimension, _) in account.limits.iter().filter(|_| !account.is_of_each_run()) {
            let more = u64::from(dimension.is_gauge());
            let line = account.line(dimension, &self.core.budgets);
            let line = line.expect("it is limited");
            let answer = judge(&line, more);
            if answer > worst.0 && answer > Answer::Warned {
                worst = (answer, Some(Refusal::of(&account, &line, more)));
            }
        }
        Ok(worst)
    }
}

impl Room {
    /// Whether another run can begin.
    #[must_use]
    pub fn is_free(&self) -> bool {
        matches!(self, Self::Free)
    }

    /// The gate that it waits for.
    #[must_use]
    pub fn gate(&self) -> Option<GateId> {
        match self {
            Self::Asked(refusal) => refusal.gate,
            Self::Free | Self::Full(_) => None,
        }
    }
}
