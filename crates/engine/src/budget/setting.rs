//! Setting accounts, and what a person says of their limits.

use super::moves::{Moved, Setting};
use super::options::check_lines;
use super::sheet::{Refused, Sheet};
use super::{Account, AccountPath, Bucket, BudgetAsk, Chain, Period};
use crate::event::{BudgetDenial, Change};
use crate::{CommandError, GateId, Incarnation};

impl Sheet {
    /// Sets what is said of an account, and makes it where there is none.
    pub(super) fn set(
        &mut self,
        path: &AccountPath,
        incarnation: Option<Incarnation>,
        setting: &Setting,
    ) -> Result<Moved, Refused> {
        let before = self.account_of(path, incarnation)?;
        let mut account = before
            .clone()
            .unwrap_or_else(|| Account::new(path.clone(), incarnation, self.now, self.mover.op));
        for (dimension, limit) in &setting.limits {
            if account.limits.named(*dimension) != *limit {
                account.relimit(*dimension, *limit);
            }
        }
        account.warn = setting.warn.unwrap_or(account.warn);
        account.pause = setting.pause.unwrap_or(account.pause);
        let (warn, pause) = (self.options.warn, self.options.pause);
        check_lines(account.warn.unwrap_or(warn), account.pause.unwrap_or(pause))?;
        if let Some(period) = &setting.period {
            self.enter_period(&mut account, period);
        }
        if before.as_ref() == Some(&account) {
            return Ok(Moved::Done(false));
        }
        let change = Change::BudgetSet {
            limits: account.limits.clone(),
            period: account.period.clone(),
        };
        self.tell(account.about(), change);
        self.put_account(account);
        self.freed += 1;
        Ok(Moved::Done(true))
    }

    /// What was used counts on in the new period.
    fn enter_period(&self, account: &mut Account, period: &Period) {
        if account.period == *period {
            return;
        }
        account.period = period.clone();
        account.period_started_at = period.started_at(self.now, account.created_at);
        account.raised = super::Amounts::none();
        account.denied.clear();
        account.notified = super::Notified::default();
        let used = account.used.clone();
        let bucket = period.bucket(self.now);
        account.buckets = bucket
            .into_iter()
            .map(|index| Bucket {
                index,
                used: used.clone(),
            })
            .collect();
    }

    /// A person raised a limit, for the period in which they were asked.
    pub(super) fn raise(&mut self, ask: &BudgetAsk, limit: u64, gate: GateId) -> Result<Moved, Refused> {
        let Some(mut account) = self.asked_about(ask)? else {
            return Ok(Moved::Done(false));
        };
        account.raised.set(ask.dimension, limit);
        account.denied.remove(&ask.dimension);
        let change = Change::BudgetRaised {
            dimension: ask.dimension,
            limit,
            gate,
        };
        self.tell(account.about(), change);
        self.put_account(account);
        self.freed += 1;
        Ok(Moved::Done(true))
    }

    /// A person said no, or nobody said anything in time.
    pub(super) fn deny(&mut self, ask: &BudgetAsk, gate: GateId) -> Result<Moved, Refused> {
        let Some(mut account) = self.asked_about(ask)? else {
            return Ok(Moved::Done(false));
        };
        account.denied.insert(ask.dimension, gate);
        if account.is_first_denial(ask.dimension) {
            let change = Change::BudgetDenied(BudgetDenial {
                dimension: ask.dimension,
                used: account.used.get(ask.dimension),
                reserved: account.reserved.get(ask.dimension),
                estimate: ask.needed.saturating_sub(ask.used),
                limit: ask.limit,
            });
            self.tell(account.about(), change);
        }
        self.put_account(account);
        // Whoever waits for an answer has one.
        self.freed += 1;
        Ok(Moved::Done(true))
    }

    /// The account that a person was asked about, if it is in that period still.
    fn asked_about(&self, ask: &BudgetAsk) -> Result<Option<Account>, CommandError> {
        let account = self.account_of(&ask.account, ask.agent_incarnation)?;
        Ok(account.filter(|account| {
            account.period_started_at == ask.period_started_at
                && account.limits.named(ask.dimension).is_some()
        }))
    }

    fn account_of(
        &self,
        path: &AccountPath,
        incarnation: Option<Incarnation>,
    ) -> Result<Option<Account>, CommandError> {
        match (path, incarnation) {
            (AccountPath::Agent(name), Some(incarnation)) => {
                self.account(path, &Chain::of_agent(name, incarnation))
            }
            (AccountPath::Agent(_), None) => Ok(None),
            _ => self.any_account(path),
        }
    }
}
