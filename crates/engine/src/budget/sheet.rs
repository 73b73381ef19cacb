//! The accounts and holds of one commit: read once, changed by the moves of its commands in order, staged at the end.
//!
//! What a command that is refused did to them is undone, so that it spoils no other's commit.

use std::fmt;

use jiff::Timestamp;

use super::cells::Cells;
use super::moves::{Move, Moved, Reservation};
use super::touched::Touched;
use super::{Account, AccountPath, BudgetOptions, Chain, Hold, Refusal, Usage, UsageId};
use crate::core::Core;
use crate::draft::Draft;
use crate::event::{About, BudgetDenial, Change};
use crate::{CommandError, HoldId, OpId, Principal};

/// Why a command's moves were not done.
#[derive(Debug)]
pub(super) enum Refused {
    /// As any command.
    Error(CommandError),
    /// An account is at its limit; whether that is told once in its period.
    Limit { refusal: Box<Refusal>, is_told: bool },
    /// A person is asked first.
    Ask(Box<Refusal>),
}

impl From<CommandError> for Refused {
    fn from(error: CommandError) -> Self {
        Self::Error(error)
    }
}

/// What is told of accounts in the commit.
#[derive(Debug)]
struct Told {
    by: Principal,
    op: OpId,
    about: About,
    change: Change,
}

/// Who moves what, and when.
#[derive(Debug, Clone)]
pub(super) struct Mover {
    pub(super) by: Principal,
    pub(super) op: OpId,
}

/// The rows of one commit.
pub(super) struct Sheet {
    pub(super) now: Timestamp,
    pub(super) options: BudgetOptions,
    accounts: Cells<Account>,
    holds: Cells<Hold>,
    usage: Cells<Usage>,
    told: Vec<Told>,
    /// How much of that is of commands before the one at hand.
    told_before: usize,
    /// How many slots and amounts were given back.
    pub(super) freed: usize,
    freed_before: usize,
    /// Whether the move at hand gives back: an account that cannot be believed keeps no run from its end.
    leaves: bool,
    pub(super) mover: Mover,
}

impl fmt::Debug for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accounts, holds) = (self.accounts.len(), self.holds.len());
        write!(f, "Sheet({accounts} accounts, {holds} holds)")
    }
}

impl Sheet {
    /// Reads what these moves are about.
    pub(super) async fn read(core: &Core, moves: &[&Move], mover: Mover) -> Result<Self, CommandError> {
        let now = core.environment.clock.now();
        let holds = moves.iter().filter_map(|one| hold_of(one)).collect();
        let mut holds = Cells::<Hold>::read(core, holds).await?;
        for one in moves {
            if let Move::Reserve(Reservation { id, is_new: true, .. }) = one {
                holds.add_new(*id);
            }
        }
        let mut paths = Vec::new();
        let mut days = Vec::new();
        for one in moves {
            match one {
                Move::Reserve(wanted) => paths.extend(wanted.chain.paths()),
                Move::TakeSlot { agent, .. } | Move::FreeSlot { agent, .. } => {
                    paths.push(AccountPath::Agent(agent.clone()));
                }
                Move::Set(path, ..) | Move::Forget(path) => paths.push(path.clone()),
                Move::Raise(ask, ..) | Move::Deny(ask, _) => paths.push(ask.account.clone()),
                // Nothing is charged by it.
                Move::Hasten(_) => {}
                Move::Grow(id, _)
                | Move::Meter(id, _)
                | Move::Reconcile(id, _)
                | Move::Release(id)
                | Move::Sweep(id, _) => {
                    let Ok(Some(hold)) = holds.get(id) else { continue };
                    let own = hold.chain.paths();
                    days.extend(own.iter().map(|path| UsageId::at(path.clone(), now)));
                    paths.extend(own);
                }
            }
        }
        let accounts = Cells::<Account>::read(core, paths).await?;
        // Most accounts are nobody's: those that count nothing have no days either.
        days.retain(|day| {
            let account = accounts.get(&day.path);
            account.is_ok_and(|account| account.is_some_and(Account::is_limited))
        });
        Ok(Self {
            now,
            options: core.budgets,
            accounts,
            holds,
            usage: Cells::read(core, days).await?,
            told: Vec::new(),
            told_before: 0,
            freed: 0,
            freed_before: 0,
            leaves: false,
            mover,
        })
    }

    /// Does all that a command does, or nothing of it.
    pub(super) fn apply(&mut self, mover: Mover, moves: &[Move]) -> Result<Vec<Moved>, Refused> {
        self.mover = mover;
        self.begin();
        let moved: Result<Vec<Moved>, Refused> = moves.iter().map(|one| self.one(one)).collect();
        if let Err(refused) = &moved {
            self.undo();
            if let Refused::Limit {
                refusal,
                is_told: true,
            } = refused
            {
                self.note_denial(refusal);
            }
        }
        moved
    }

    /// What the command at hand changes, or what is noted of its refusal.
    pub(super) fn touched(&self) -> Touched {
        Touched {
            accounts: self.accounts.touched(),
            holds: self.holds.touched(),
            usage: self.usage.touched(),
        }
    }

    fn begin(&mut self) {
        self.accounts.begin();
        self.holds.begin();
        self.usage.begin();
        self.told_before = self.told.len();
        self.freed_before = self.freed;
    }

    /// What the command at hand did is undone.
    pub(super) fn undo(&mut self) {
        self.accounts.undo();
        self.holds.undo();
        self.usage.undo();
        self.told.truncate(self.told_before);
        self.freed = self.freed_before;
    }

    fn one(&mut self, one: &Move) -> Result<Moved, Refused> {
        self.leaves = match one {
            Move::Sweep(..) | Move::Hasten(_) | Move::FreeSlot { .. } | Move::Forget(_) => true,
            Move::Reserve(_)
            | Move::Grow(..)
            | Move::Meter(..)
            | Move::Reconcile(..)
            | Move::Release(_)
            | Move::TakeSlot { .. }
            | Move::Set(..)
            | Move::Raise(..)
            | Move::Deny(..) => false,
        };
        match one {
            Move::Reserve(wanted) => self.reserve(wanted),
            Move::Grow(id, more) => self.grow(*id, more),
            Move::Meter(id, actual) => self.meter(*id, actual),
            Move::Reconcile(id, actual) => self.reconcile(*id, actual),
            Move::Release(id) => self.release(*id),
            Move::Sweep(id, known) => self.sweep(*id, known),
            Move::Hasten(id) => self.hasten(*id),
            Move::TakeSlot {
                agent,
                incarnation,
                free_below,
            } => self.take_slot(&Chain::of_agent(agent, *incarnation), *free_below),
            Move::FreeSlot { agent, incarnation } => self.free_slot(&Chain::of_agent(agent, *incarnation)),
            Move::Forget(path) => Ok(self.forget(path)?),
            Move::Set(path, incarnation, setting) => self.set(path, *incarnation, setting),
            Move::Raise(ask, limit, gate) => self.raise(ask, *limit, *gate),
            Move::Deny(ask, gate) => self.deny(ask, *gate),
        }
    }

    /// An account as it is now; none where there is none, or that of a former agent. What is given back is not charged to
    /// one that cannot be believed.
    pub(super) fn account(&self, path: &AccountPath, chain: &Chain) -> Result<Option<Account>, CommandError> {
        if self.leaves && self.accounts.is_doubted(path) {
            return Ok(None);
        }
        let Some(account) = self.accounts.get(path)? else {
            return Ok(None);
        };
        let is_former = matches!(path, AccountPath::Agent(_))
            && account.agent_incarnation != Some(chain.agent_incarnation);
        Ok((!is_former).then(|| account.at(self.now)))
    }

    /// An account that is no agent's.
    pub(super) fn any_account(&self, path: &AccountPath) -> Result<Option<Account>, CommandError> {
        Ok(self.accounts.get(path)?.map(|account| account.at(self.now)))
    }

    pub(super) fn put_account(&mut self, account: Account) {
        let (updated_at, op) = (self.now, self.mover.op);
        self.accounts.put(Account {
            updated_at,
            op,
            ..account
        });
    }

    /// An account that holds nothing goes.
    fn forget(&mut self, path: &AccountPath) -> Result<Moved, CommandError> {
        if self.accounts.is_doubted(path) {
            return Ok(Moved::Done(false));
        }
        let account = self.accounts.get(path)?;
        let goes = account.is_some_and(|account| account.reserved.is_zero());
        if goes {
            self.accounts.remove(path);
        }
        Ok(Moved::Done(goes))
    }

    pub(super) fn hold(&self, id: HoldId) -> Result<Option<Hold>, CommandError> {
        Ok(self.holds.get(&id)?.cloned())
    }

    pub(super) fn put_hold(&mut self, hold: Hold) {
        let (updated_at, op) = (self.now, self.mover.op);
        self.holds.put(Hold {
            updated_at,
            op,
            ..hold
        });
    }

    /// What an account uses on this day. A row that cannot be believed counts nothing more: no spend is refused for it.
    pub(super) fn change_usage(&mut self, path: &AccountPath, change: impl FnOnce(&mut Usage)) {
        let id = UsageId::at(path.clone(), self.now);
        if let Ok(usage) = self.usage.get(&id) {
            let mut usage = usage.cloned().unwrap_or_else(|| Usage::new(&id));
            change(&mut usage);
            self.usage.put(usage);
        }
    }

    pub(super) fn tell(&mut self, about: About, change: Change) {
        let Mover { by, op } = self.mover.clone();
        self.told.push(Told {
            by,
            op,
            about,
            change,
        });
    }

    /// That an account refused is told once in its period, though the command did nothing.
    fn note_denial(&mut self, refusal: &Refusal) {
        self.begin();
        let Ok(Some(account)) = self.accounts.get(&refusal.account) else {
            return;
        };
        let mut account = account.at(self.now);
        if account.is_first_denial(refusal.dimension) {
            let change = Change::BudgetDenied(BudgetDenial {
                dimension: refusal.dimension,
                used: refusal.used,
                reserved: refusal.reserved,
                estimate: refusal.estimate,
                limit: refusal.limit,
            });
            self.tell(account.about(), change);
            self.put_account(account);
        }
    }

    /// Stages all that changed, and tells of it.
    pub(super) async fn stage(self, core: &Core, draft: &mut Draft) -> Result<(), CommandError> {
        self.accounts.stage(core, draft).await?;
        self.holds.stage(core, draft).await?;
        self.usage.stage(core, draft).await?;
        for told in self.told {
            draft.act_for(&told.by, told.op);
            draft.tell(&told.about, &told.change)?;
        }
        Ok(())
    }
}

fn hold_of(one: &Move) -> Option<HoldId> {
    match one {
        Move::Reserve(Reservation { is_new: true, .. }) => None,
        Move::Reserve(Reservation { id, .. })
        | Move::Grow(id, _)
        | Move::Meter(id, _)
        | Move::Reconcile(id, _)
        | Move::Release(id)
        | Move::Sweep(id, _)
        | Move::Hasten(id) => Some(*id),
        Move::TakeSlot { .. }
        | Move::FreeSlot { .. }
        | Move::Forget(_)
        | Move::Set(..)
        | Move::Raise(..)
        | Move::Deny(..) => None,
    }
}
