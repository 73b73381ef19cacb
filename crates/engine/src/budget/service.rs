//! The budgets of a tenant: the one service that writes accounts, holds and usage.

use std::sync::Arc;

use dormouse_filesystem::{Cursor, IndexValue, Issue, Order, Query, Records, Versioned};

use super::ask::ask;
use super::moves::{Move, Moved, Reservation, Setting};
use super::{
    Account, AccountIndex, AccountPath, Amounts, Chain, Hold, Metered, Refusal, Usage, UsageIndex, Warning,
};
use crate::agent::Agents;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::run::{Run, RunState};
use crate::task::Task;
use crate::{CommandError, HoldId, PrefixedId, Principal, Reason, RunId};

/// What is to be reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// Its id, where it has to be the same when it is asked for again; else a new one.
    pub hold: Option<HoldId>,
    /// Who works, and for what.
    pub chain: Chain,
    /// What it is expected to come to. What is named is judged, also where it is 0.
    pub estimate: Amounts,
    /// Whether what it is for begins as soon as it is admitted, so that who vanishes may have used all of it.
    pub is_in_flight: bool,
}

/// What was reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The hold; none where nothing of the chain is limited.
    pub hold: Option<HoldId>,
    /// The accounts that come near their limits.
    pub warnings: Vec<Warning>,
}

/// What has to stand for a move to be made.
#[derive(Debug, Clone, Copy)]
enum Needs<'c> {
    Nothing,
    /// This run is at work.
    AtWork(RunId),
    /// The agent of this chain is there and stays.
    Agent(&'c Chain),
}

/// One page of accounts.
#[derive(Debug, Clone)]
pub struct AccountPage {
    /// By path, as they are at this time.
    pub rows: Vec<Versioned<Account>>,
    /// For the next page; none only at the end.
    pub next: Option<Cursor>,
    /// Rows that cannot be believed, left out.
    pub issues: Vec<Issue>,
}

/// One page of days.
#[derive(Debug, Clone)]
pub struct UsagePage {
    /// The latest first.
    pub rows: Vec<Versioned<Usage>>,
    /// For the next page; none only at the end.
    pub next: Option<Cursor>,
    /// Rows that cannot be believed, left out.
    pub issues: Vec<Issue>,
}

/// A tenant's budgets.
#[derive(Debug, Clone)]
pub struct Budgets {
    pub(super) core: Arc<Core>,
    pub(super) accounts: Records<Account>,
    holds: Records<Hold>,
}

/// How often a line is come to that was decided in between.
pub(crate) const ROUNDS_MAX: u32 = 8;

impl Budgets {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            accounts: Records::new(&core.space),
            holds: Records::new(&core.space),
        }
    }

    /// Sets an account, and makes it where there is none. What is not said stays; what was used and held stays too.
    ///
    /// # Errors
    /// `NotFound` for whose it is; `Invalid` for a period that is none and lines out of order.
    pub async fn set(
        &self,
        by: &Principal,
        path: &AccountPath,
        setting: &Setting,
    ) -> Result<Account, CommandError> {
        if let Some(period) = &setting.period {
            period.check()?;
        }
        let done = self.core.command(by, |mut draft| async move {
            let incarnation = self.owner(&mut draft, path).await?;
            draft.move_accounts(Move::Set(path.clone(), incarnation, setting.clone()));
            Ok(Verdict::Commit(draft, ()))
        });
        done.await?;
        let account = self.get(path).await?;
        account.ok_or_else(|| CommandError::not_found("budget", path))
    }

    /// Whose account it is has to be there.
    async fn owner(
        &self,
        draft: &mut Draft,
        path: &AccountPath,
    ) -> Result<Option<crate::Incarnation>, CommandError> {
        let space = &self.core.space;
        match path {
            AccountPath::Tenant => Ok(None),
            AccountPath::Agent(name) => {
                let agent = Agents::new(&self.core).require(draft, name).await?;
                Ok(Some(agent.incarnation))
            }
            AccountPath::Session(id) => {
                let row = Records::<crate::session::SessionRow>::new(space).get(id).await?;
                row.map(|_| None)
                    .ok_or_else(|| CommandError::not_found("session", id))
            }
            AccountPath::Task(id) => {
                let row = Records::<Task>::new(space).get(id).await?;
                row.map(|_| None)
                    .ok_or_else(|| CommandError::not_found("task", id))
            }
            AccountPath::Run(id) => {
                let row = Records::<Run>::new(space).get(id).await?;
                row.map(|_| None)
                    .ok_or_else(|| CommandError::not_found("run", id))
            }
        }
    }

    /// An account as it is at this time; none where nothing was ever set or counted.
    ///
    /// # Errors
    /// `Corrupt`.
    pub async fn get(&self, path: &AccountPath) -> Result<Option<Account>, CommandError> {
        let row = self.accounts.get(path).await?;
        let Some(account) = row.map(|row| row.at(self.core.environment.clock.now())) else {
            return Ok(None);
        };
        // That of a former agent of the name is not seen.
        match (path, account.agent_incarnation) {
            (AccountPath::Agent(name), Some(incarnation)) => {
                let agent = self.core.agent_if_there(name).await?;
                Ok(agent
                    .filter(|agent| agent.incarnation == incarnation)
                    .map(|_| account))
            }
            _ => Ok(Some(account)),
        }
    }

    /// One page of accounts, by path. Their rows are as they were written: [`Account::at`] says what they are now.
    ///
    /// # Errors
    /// `CursorScope`, `Invalid` for a limit that is not 1 to 1,000.
    pub async fn list(&self, after: Option<Cursor>, limit: usize) -> Result<AccountPage, CommandError> {
        let query = Query::of(AccountIndex::Path).after(after).limit(limit);
        let found = self.accounts.find(&query).await?;
        Ok(AccountPage {
            rows: found.rows,
            next: found.next,
            issues: found.issues,
        })
    }

    /// One page of what an account used, day by day, the latest first.
    ///
    /// # Errors
    /// `CursorScope`, `Invalid` for a limit that is not 1 to 1,000.
    pub async fn history(
        &self,
        path: &AccountPath,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<UsagePage, CommandError> {
        let query = Query::of(UsageIndex::Day)
            .equals([IndexValue::name(&path.to_string())])
            .order(Order::Down)
            .after(after)
            .limit(limit);
        let found = Records::<Usage>::new(&self.core.space).find(&query).await?;
        Ok(UsagePage {
            rows: found.rows,
            next: found.next,
            issues: found.issues,
        })
    }

    /// A hold.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub async fn hold(&self, id: HoldId) -> Result<Versioned<Hold>, CommandError> {
        let row = self.holds.get(&id).await?;
        row.ok_or_else(|| CommandError::not_found("hold", &id))
    }

    /// Reserves in all accounts of a chain, or in none. At a pause line a person is asked, once for all who come there
    /// in its period. The same again under the same id is answered as the first time.
    ///
    /// # Errors
    /// `LimitExceeded`; `NeedsApproval` with the gate; `Rejected` for an id that is another's or closed, and for a run
    /// that is not at work; without a run `NotFound` and `AgentDeleting` for its agent.
    pub async fn reserve(&self, by: &Principal, wanted: &Reserve) -> Result<Admission, CommandError> {
        let new = || HoldId::make(self.core.environment.clock.now(), &self.core.environment.random);
        let reservation = &Reservation {
            id: wanted.hold.unwrap_or_else(new),
            is_new: wanted.hold.is_none(),
            chain: wanted.chain.clone(),
            estimate: wanted.estimate.clone(),
            is_in_flight: wanted.is_in_flight,
        };
        let needs = match wanted.chain.run {
            Some(run) => Needs::AtWork(run),
            None => Needs::Agent(&wanted.chain),
        };
        self.admitted(by, &wanted.chain, needs, || Move::Reserve(reservation.clone()))
            .await
    }

    /// Reserves more under a hold, as if it were reserved anew.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); `NotFound` for a hold that is none, `Rejected` for one that is closed.
    pub async fn grow(
        &self,
        by: &Principal,
        hold: HoldId,
        more: &Amounts,
    ) -> Result<Admission, CommandError> {
        let chain = self.hold(hold).await?.chain.clone();
        self.admitted(by, &chain, Needs::Nothing, || Move::Grow(hold, more.clone()))
            .await
    }

    /// Says what is used by now, and is told whether to go on. It is recorded whatever the limits; what was said before
    /// never falls.
    ///
    /// # Errors
    /// `NotFound` for a hold that is none, `Rejected` for one that is closed.
    pub async fn meter(
        &self,
        by: &Principal,
        hold: HoldId,
        actual: &Amounts,
    ) -> Result<Metered, CommandError> {
        match self
            .moved(by, Needs::Nothing, || Move::Meter(hold, actual.clone()))
            .await?
        {
            Moved::Metered(said) => Ok(said),
            other @ (Moved::Reserved { .. } | Moved::Done(_)) => {
                unreachable!("metering answers no {other:?}")
            }
        }
    }

    /// Closes a hold with what was used, all of which is recorded, also beyond what was reserved.
    ///
    /// # Errors
    /// As [`meter`](Self::meter).
    pub async fn reconcile(
        &self,
        by: &Principal,
        hold: HoldId,
        actual: &Amounts,
    ) -> Result<(), CommandError> {
        self.moved(by, Needs::Nothing, || Move::Reconcile(hold, actual.clone()))
            .await
            .map(drop)
    }

    /// Gives a hold back: nothing was used. What is known to have been stays recorded.
    ///
    /// # Errors
    /// As [`meter`](Self::meter).
    pub async fn release(&self, by: &Principal, hold: HoldId) -> Result<(), CommandError> {
        self.moved(by, Needs::Nothing, || Move::Release(hold))
            .await
            .map(drop)
    }

    /// Closes a hold that nobody closes any more: what is known to be used is recorded, and of what was in flight all
    /// that was expected. Whether there was anything to close.
    ///
    /// # Errors
    /// As any command.
    pub async fn sweep(&self, hold: HoldId) -> Result<bool, CommandError> {
        let by = Principal::engine();
        let moved = self.moved(&by, Needs::Nothing, || Move::Sweep(hold, Amounts::none()));
        Ok(moved.await? == Moved::Done(true))
    }

    /// Asks a person where a command came to a pause line. None when that was decided meanwhile, so that the command is
    /// to be tried again.
    pub(crate) async fn asked(
        &self,
        by: &Principal,
        chain: &Chain,
        refusal: Refusal,
    ) -> Result<Option<Refusal>, CommandError> {
        ask(&self.core, by, chain, refusal).await
    }

    async fn admitted(
        &self,
        by: &Principal,
        chain: &Chain,
        needs: Needs<'_>,
        one: impl Fn() -> Move + Sync,
    ) -> Result<Admission, CommandError> {
        for _ in 0..ROUNDS_MAX {
            match self.moved(by, needs, &one).await {
                Ok(Moved::Reserved { hold, warnings }) => return Ok(Admission { hold, warnings }),
                Ok(other) => unreachable!("reserving answers no {other:?}"),
                Err(CommandError::NeedsApproval(refusal)) => {
                    if let Some(refusal) = self.asked(by, chain, *refusal).await? {
                        return Err(CommandError::NeedsApproval(Box::new(refusal)));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(CommandError::Contended { attempts: ROUNDS_MAX })
    }

    /// One move, alone in its command.
    async fn moved(
        &self,
        by: &Principal,
        needs: Needs<'_>,
        one: impl Fn() -> Move + Sync,
    ) -> Result<Moved, CommandError> {
        let one = &one;
        let done = self.core.command(by, |mut draft| async move {
            match needs {
                Needs::Nothing => {}
                Needs::AtWork(run) => self.expect_at_work(&mut draft, run).await?,
                Needs::Agent(chain) => self.expect_agent(&mut draft, chain).await?,
            }
            draft.move_accounts(one());
            Ok(Verdict::Commit(draft, ()))
        });
        let moved = done.await?.moved;
        Ok(moved.into_iter().next().expect("each move is answered"))
    }

    /// Nothing new is made of an agent that goes, or is gone.
    async fn expect_agent(&self, draft: &mut Draft, chain: &Chain) -> Result<(), CommandError> {
        let agent = Agents::new(&self.core).require(draft, &chain.agent).await?;
        if agent.incarnation != chain.agent_incarnation {
            return Err(CommandError::not_found("agent", &chain.agent));
        }
        Ok(())
    }

    async fn expect_at_work(&self, draft: &mut Draft, id: RunId) -> Result<(), CommandError> {
        let runs = Records::<Run>::new(&self.core.space);
        let Some(run) = runs.get(&id).await? else {
            return Err(CommandError::not_found("run", &id));
        };
        match run.state {
            RunState::Starting | RunState::Running | RunState::Stopping => {
                runs.stage_check(draft.batch(), &run);
                Ok(())
            }
            RunState::Waiting | RunState::Ended => Err(CommandError::Rejected {
                subject: run.subject(),
                state: run.state.word(),
                event: "reserve",
                reason: Reason::State,
            }),
        }
    }
}
