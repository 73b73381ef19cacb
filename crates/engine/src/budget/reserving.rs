//! Reserving: every level of the chain admits, or none is charged.

use super::decide::{Answer, judge};
use super::moves::{Moved, Reservation};
use super::sheet::{Refused, Sheet};
use super::{
    Account, AccountPath, Amounts, Chain, Dimension, Hold, HoldEvent, HoldState, Period, Refusal, Warning,
    decide_hold,
};
use crate::event::Change;
use crate::{CommandError, Decision, HoldId, Reason, Subject};

/// What of these an account counts by holds: of runs at once, an agent's counts each by itself.
pub(super) fn share(path: &AccountPath, amounts: &Amounts) -> Amounts {
    let mut share = amounts.clone();
    if matches!(path, AccountPath::Agent(_)) {
        share.remove(Dimension::Concurrency);
    }
    share
}

impl Sheet {
    /// Reserves, if something of the chain is limited.
    pub(super) fn reserve(&mut self, wanted: &Reservation) -> Result<Moved, Refused> {
        let Reservation {
            id, chain, estimate, ..
        } = wanted;
        let before = self.hold(*id)?;
        let is_replay = before.as_ref().is_some_and(|hold| is_same(hold, wanted));
        match decide_hold(
            before.as_ref().map(|hold| hold.state),
            HoldEvent::Reserve { is_replay },
        ) {
            Decision::Apply(_) | Decision::Same => {}
            Decision::Ignore(_) => {
                let (hold, warnings) = (Some(*id), Vec::new());
                return Ok(Moved::Reserved { hold, warnings });
            }
            Decision::Reject(reason) => return Err(rejected(*id, before.as_ref(), "reserve", reason).into()),
        }
        let levels = self.levels(chain)?;
        if levels.is_empty() {
            let (hold, warnings) = (None, Vec::new());
            return Ok(Moved::Reserved { hold, warnings });
        }
        let warnings = self.admitted(&levels, estimate)?;
        let held = levels.iter().map(|level| level.path.clone()).collect();
        for mut account in levels {
            let more = share(&account.path, estimate);
            self.warn(&mut account, &more);
            account.reserved.add(&more);
            self.put_account(account);
        }
        self.put_hold(self.opened(wanted, held));
        let hold = Some(*id);
        Ok(Moved::Reserved { hold, warnings })
    }

    /// Reserves more under a hold, as if it were one of its own.
    pub(super) fn grow(&mut self, id: HoldId, more: &Amounts) -> Result<Moved, Refused> {
        let mut hold = self.open_hold(id, HoldEvent::Grow)?;
        let levels = self.held(&hold)?;
        let warnings = self.admitted(&levels, more)?;
        // What is used beyond what was expected takes from what it grows by.
        let before = hold.rest();
        hold.estimate = sum(&hold.estimate, more);
        let held_more = hold.rest().beyond(&before);
        for mut account in levels {
            let held_more = share(&account.path, &held_more);
            self.warn(&mut account, &held_more);
            account.reserved.add(&held_more);
            self.put_account(account);
        }
        self.put_hold(hold);
        let hold = Some(id);
        Ok(Moved::Reserved { hold, warnings })
    }

    /// Takes a slot of an agent, whether or not something else limits it.
    pub(super) fn take_slot(&mut self, chain: &Chain, free_below: Option<u64>) -> Result<Moved, Refused> {
        let mut account = self.of_agent(chain)?;
        let own = account.limits.named(Dimension::Concurrency);
        let own = own.filter(|_| !account.is_of_each_run());
        let taken = account.reserved.get(Dimension::Concurrency);
        let limit = [own, free_below].into_iter().flatten().min();
        if let Some(limit) = limit.filter(|limit| taken >= *limit) {
            let refusal = Box::new(Refusal::of_slots(&account, taken, limit));
            return Err(Refused::Limit {
                refusal,
                is_told: false,
            });
        }
        account.reserved.add(&one_run());
        self.put_account(account);
        Ok(Moved::Done(true))
    }

    /// Gives one back.
    pub(super) fn free_slot(&mut self, chain: &Chain) -> Result<Moved, Refused> {
        let mut account = self.of_agent(chain)?;
        if account.reserved.get(Dimension::Concurrency) == 0 {
            return Ok(Moved::Done(false));
        }
        account.reserved.take(&one_run());
        self.put_account(account);
        self.freed += 1;
        Ok(Moved::Done(true))
    }

    fn of_agent(&self, chain: &Chain) -> Result<Account, CommandError> {
        let path = AccountPath::Agent(chain.agent.clone());
        let account = self.account(&path, chain)?;
        Ok(account.unwrap_or_else(|| {
            let incarnation = Some(chain.agent_incarnation);
            Account::new(path, incarnation, self.now, self.mover.op)
        }))
    }

    /// The accounts of a chain that limit something, the widest first. What is each run's is the run's.
    pub(super) fn levels(&self, chain: &Chain) -> Result<Vec<Account>, CommandError> {
        let mut levels = Vec::new();
        let mut of_run: Option<Account> = None;
        for path in chain.paths() {
            let found = self.account(&path, chain)?;
            if matches!(path, AccountPath::Run(_))
                && found.is_none()
                && let Some(of_run) = of_run.take()
            {
                levels.push(Account { path, ..of_run });
                continue;
            }
            let Some(account) = found.filter(Account::is_limited) else {
                continue;
            };
            if account.is_of_each_run() {
                of_run = Some(self.each_run(of_run, &account));
            } else {
                levels.push(account);
            }
        }
        Ok(levels)
    }

    /// The limits of one run, as the accounts above have them for each.
    fn each_run(&self, narrower: Option<Account>, above: &Account) -> Account {
        let mut run =
            narrower.unwrap_or_else(|| Account::new(AccountPath::Tenant, None, self.now, self.mover.op));
        for (dimension, limit) in above.limits.iter() {
            let least = run
                .limits
                .named(dimension)
                .map_or(limit, |least| least.min(limit));
            run.limits.set(dimension, least);
        }
        run.warn = above.warn.or(run.warn);
        run.pause = above.pause.or(run.pause);
        run.period = Period::Lifetime;
        run
    }

    /// The accounts in which a hold holds something.
    pub(super) fn held(&self, hold: &Hold) -> Result<Vec<Account>, CommandError> {
        let found = hold.held.iter().map(|path| self.account(path, &hold.chain));
        let found: Vec<Option<Account>> = found.collect::<Result<_, _>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Whether all of them admit so much more: with what, or the first that does not.
    fn admitted(&self, levels: &[Account], estimate: &Amounts) -> Result<Vec<Warning>, Refused> {
        let mut warnings = Vec::new();
        let mut first: Option<(Answer, Refusal)> = None;
        for account in levels {
            for (dimension, more) in share(&account.path, estimate).iter() {
                let Some(line) = account.line(dimension, &self.options) else {
                    continue;
                };
                let answer = judge(&line, more);
                match answer {
                    Answer::Admitted => {}
                    Answer::Warned => warnings.push(Warning::of(&account.path, &line, more)),
                    Answer::NeedsApproval | Answer::Exceeded if first.is_some() => {}
                    Answer::NeedsApproval | Answer::Exceeded => {
                        let refusal = Refusal::of(account, &line, more);
                        first = Some((answer, refusal));
                    }
                }
            }
        }
        match first {
            None => Ok(warnings),
            Some((answer, refusal)) => {
                let refusal = Box::new(Refusal { warnings, ..refusal });
                Err(match answer {
                    Answer::NeedsApproval => Refused::Ask(refusal),
                    Answer::Exceeded | Answer::Admitted | Answer::Warned => Refused::Limit {
                        refusal,
                        is_told: true,
                    },
                })
            }
        }
    }

    /// That an account comes near a limit is told once in its period.
    pub(super) fn warn(&mut self, account: &mut Account, more: &Amounts) {
        for (dimension, more) in more.iter() {
            let Some(line) = account.line(dimension, &self.options) else {
                continue;
            };
            if judge(&line, more) != Answer::Admitted && account.is_first_warning(dimension) {
                let change = Change::BudgetWarned {
                    dimension,
                    used: line.used,
                    reserved: line.reserved.saturating_add(more),
                    limit: line.limit,
                };
                self.tell(account.about(), change);
            }
        }
    }

    /// A hold that takes this event.
    pub(super) fn open_hold(&self, id: HoldId, event: HoldEvent) -> Result<Hold, CommandError> {
        let hold = self.hold(id)?;
        match (decide_hold(hold.as_ref().map(|hold| hold.state), event), hold) {
            (Decision::Apply(_) | Decision::Same, Some(hold)) => Ok(hold),
            (Decision::Reject(reason), hold) => Err(rejected(id, hold.as_ref(), event.word(), reason)),
            (decision, _) => unreachable!("no cell of {} is {decision:?}", event.word()),
        }
    }

    fn opened(&self, wanted: &Reservation, held: Vec<AccountPath>) -> Hold {
        let age = jiff::SignedDuration::try_from(self.options.hold_age_max);
        let age = age.unwrap_or(jiff::SignedDuration::MAX);
        Hold {
            id: wanted.id,
            chain: wanted.chain.clone(),
            held,
            asked: wanted.estimate.clone(),
            estimate: wanted.estimate.clone(),
            metered: Amounts::none(),
            is_in_flight: wanted.is_in_flight,
            state: HoldState::Open,
            is_estimated: false,
            opened_at: self.now,
            expires_at: self.now.checked_add(age).unwrap_or(jiff::Timestamp::MAX),
            closed_at: None,
            updated_at: self.now,
            op: self.mover.op,
        }
    }
}

fn is_same(hold: &Hold, wanted: &Reservation) -> bool {
    hold.chain == wanted.chain && hold.asked == wanted.estimate && hold.is_in_flight == wanted.is_in_flight
}

fn sum(one: &Amounts, more: &Amounts) -> Amounts {
    let mut sum = one.clone();
    sum.add(more);
    sum
}

fn one_run() -> Amounts {
    Amounts::none().with(Dimension::Concurrency, 1)
}

/// What a hold does not take.
pub(super) fn rejected(id: HoldId, hold: Option<&Hold>, event: &'static str, reason: Reason) -> CommandError {
    match hold {
        None => CommandError::not_found("hold", &id),
        Some(hold) => CommandError::Rejected {
            subject: Subject::Hold(id),
            state: hold.state.word(),
            event,
            reason,
        },
    }
}
