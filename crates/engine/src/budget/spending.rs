//! Spending: what was used is recorded whatever the limits, and known spend is never given back.

use super::decide::{Metered, meter};
use super::moves::Moved;
use super::reserving::{rejected, share};
use super::sheet::{Refused, Sheet};
use super::{Account, Amounts, Hold, HoldEvent, HoldState, decide_hold};
use crate::event::Change;
use crate::{CommandError, Decision, HoldId, Subject};

impl Sheet {
    /// So much is used by now: what was said before never falls.
    pub(super) fn meter(&mut self, id: HoldId, actual: &Amounts) -> Result<Moved, Refused> {
        let mut hold = self.open_hold(id, HoldEvent::Meter)?;
        self.spend(&mut hold, actual)?;
        let mut said = Metered::Continue;
        for mut account in self.charged(&hold)? {
            for (dimension, _) in actual.iter() {
                if let Some(line) = account.line(dimension, &self.options) {
                    said = said.max(meter(&line));
                }
            }
            self.warn(&mut account, &named(actual));
            self.put_account(account);
        }
        self.put_hold(hold);
        Ok(Moved::Metered(said))
    }

    /// So much was used in all: it is recorded, and the rest is given back.
    pub(super) fn reconcile(&mut self, id: HoldId, actual: &Amounts) -> Result<Moved, Refused> {
        let hold = self.open_hold(id, HoldEvent::Reconcile)?;
        self.close(hold, actual, HoldState::Reconciled)?;
        Ok(Moved::Done(true))
    }

    /// Nothing was used, unless something is known to have been.
    pub(super) fn release(&mut self, id: HoldId) -> Result<Moved, Refused> {
        let hold = self.hold(id)?;
        let has_spent = hold.as_ref().is_some_and(|hold| !hold.metered.is_zero());
        let event = HoldEvent::Release { has_spent };
        match (decide_hold(hold.as_ref().map(|hold| hold.state), event), hold) {
            (Decision::Apply(state), Some(hold)) => self.close(hold, &Amounts::none(), state)?,
            (Decision::Reject(reason), hold) => {
                return Err(rejected(id, hold.as_ref(), event.word(), reason).into());
            }
            (decision, _) => unreachable!("no cell of release is {decision:?}"),
        }
        Ok(Moved::Done(true))
    }

    /// Nobody closes it any more: what is known to be used is recorded, and of a call in flight all that was expected.
    pub(super) fn sweep(&mut self, id: HoldId, known: &Amounts) -> Result<Moved, Refused> {
        let Some(mut hold) = self.hold(id)? else {
            return Ok(Moved::Done(false));
        };
        let known = known.largest(&hold.metered);
        let actual = if hold.is_in_flight {
            known.largest(&hold.estimate.flows())
        } else {
            known.clone()
        };
        let has_spent = !actual.is_zero();
        let state = match decide_hold(Some(hold.state), HoldEvent::Sweep { has_spent }) {
            Decision::Apply(state) => state,
            Decision::Ignore(_) => return Ok(Moved::Done(false)),
            decision => unreachable!("no cell of sweep is {decision:?}"),
        };
        hold.is_estimated = !actual.beyond(&known).is_zero();
        // What a run gives back at its end is no news.
        if hold.is_in_flight || hold.is_old(&self.options, self.now) {
            let change = Change::BudgetSwept {
                run: hold.chain.run,
                charged: actual.clone(),
                estimated: hold.is_estimated,
            };
            let about =
                crate::event::About::of(Subject::Hold(id), &hold.chain.agent, hold.chain.agent_incarnation);
            self.tell(about, change);
        }
        self.close(hold, &actual, state)?;
        Ok(Moved::Done(true))
    }

    /// It is looked at as soon as may be, if it stands.
    pub(super) fn hasten(&mut self, id: HoldId) -> Result<Moved, Refused> {
        let Some(hold) = self.hold(id)?.filter(Hold::is_open) else {
            return Ok(Moved::Done(false));
        };
        let expires_at = hold.expires_at.min(self.now);
        self.put_hold(Hold { expires_at, ..hold });
        Ok(Moved::Done(true))
    }

    /// Closes a hold: what was used is charged, the rest given back.
    fn close(&mut self, mut hold: Hold, actual: &Amounts, state: HoldState) -> Result<(), CommandError> {
        let known = hold.metered.clone();
        self.spend(&mut hold, actual)?;
        let rest = hold.rest();
        for mut account in self.held(&hold)? {
            account.reserved.take(&share(&account.path, &rest));
            self.put_account(account);
        }
        let estimated = match hold.is_estimated {
            true => hold.metered.beyond(&known),
            false => Amounts::none(),
        };
        for account in self.charged(&hold)? {
            self.change_usage(&account.path, |usage| {
                usage.closed += 1;
                usage.estimated.add(&estimated);
            });
        }
        hold.state = state;
        hold.closed_at = Some(self.now);
        self.put_hold(hold);
        self.freed += 1;
        Ok(())
    }

    /// Charges what is used beyond what was known, and gives back as much of what was held for it.
    fn spend(&mut self, hold: &mut Hold, actual: &Amounts) -> Result<(), CommandError> {
        let (known, held) = (hold.metered.clone(), hold.rest());
        hold.metered = known.largest(&actual.flows());
        let more = hold.metered.beyond(&known);
        let back = held.beyond(&hold.rest());
        for mut account in self.charged(hold)? {
            account.charge(&more, self.now);
            if hold.held.contains(&account.path) {
                account.reserved.take(&share(&account.path, &back));
            }
            let path = account.path.clone();
            self.put_account(account);
            if !more.is_zero() {
                self.change_usage(&path, |usage| usage.used.add(&more));
            }
        }
        Ok(())
    }

    /// The accounts that what a hold is for counts in: those that hold something for it, and those limited since.
    fn charged(&self, hold: &Hold) -> Result<Vec<Account>, CommandError> {
        let mut charged = Vec::new();
        for path in hold.chain.paths() {
            let Some(account) = self.account(&path, &hold.chain)? else {
                continue;
            };
            let is_limited = account.is_limited() && !account.is_of_each_run();
            if is_limited || hold.held.contains(&path) {
                charged.push(account);
            }
        }
        Ok(charged)
    }
}

/// These dimensions, and nothing of them.
fn named(amounts: &Amounts) -> Amounts {
    amounts.iter().map(|(dimension, _)| (dimension, 0)).collect()
}
