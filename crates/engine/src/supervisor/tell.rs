//! Tells what was heard of a stream, in its order: the session its events, the run's budgets what is used.

use std::collections::BTreeMap;
use std::sync::Arc;

use dormouse_secrets::Scrubbed;
use dormouse_state::{Observed, Position, SourceId};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::attempt::Parts;
use super::hearing::amounts;
use super::heart::insist;
use crate::adapter::{Provider, SessionEvent, Tokens};
use crate::budget::{Amounts, Chain, Metered, Reserve};
use crate::{CommandError, HoldId, Principal};

/// The source of what a stream says.
const SOURCE: &str = "stream";

/// Something to tell the session.
#[derive(Debug)]
pub(super) struct Told {
    /// Its place in the stream.
    pub(super) seq: u64,
    /// When it was heard.
    pub(super) at: Timestamp,
    /// What.
    pub(super) event: SessionEvent,
}

/// That of which only the latest counts: it waits in no queue, so it is lost in none.
#[derive(Debug)]
pub(super) struct Latest {
    /// So much is used by now.
    pub(super) used: watch::Sender<Option<Tokens>>,
    /// The provider's session is this.
    pub(super) bound: watch::Sender<Option<Scrubbed>>,
    /// Its threads show this.
    pub(super) shown: watch::Sender<BTreeMap<String, Tokens>>,
}

/// The other end of it.
#[derive(Debug)]
pub(super) struct Seen {
    used: watch::Receiver<Option<Tokens>>,
    bound: watch::Receiver<Option<Scrubbed>>,
}

impl Latest {
    /// Nothing yet, with its other end.
    pub(super) fn new() -> (Self, Seen) {
        let (used, bound) = (watch::Sender::new(None), watch::Sender::new(None));
        let seen = Seen {
            used: used.subscribe(),
            bound: bound.subscribe(),
        };
        let shown = watch::Sender::default();
        (Self { used, bound, shown }, seen)
    }
}

/// Tells until nothing comes any more; then what was used is settled. What cannot be told is logged: a run does not fail for it.
pub(super) async fn tell(
    parts: Arc<Parts>,
    provider: Provider,
    mut events: mpsc::Receiver<Told>,
    mut seen: Seen,
) {
    let mut teller = Teller {
        parts,
        provider,
        hold: None,
        bound: None,
        used: None,
    };
    // Ends when the stream does.
    loop {
        tokio::select! {
            biased;
            Ok(()) = seen.bound.changed() => {
                let bound = seen.bound.borrow_and_update().clone();
                teller.bind(bound).await;
            }
            Ok(()) = seen.used.changed() => {
                let used = *seen.used.borrow_and_update();
                teller.meter(used).await;
                // However often something is used: what was said is told meanwhile.
                if let Ok(told) = events.try_recv() {
                    teller.observe(told).await;
                }
            }
            told = events.recv() => match told {
                Some(told) => teller.observe(told).await,
                None => break,
            },
        }
    }
    let (bound, used) = (seen.bound.borrow().clone(), *seen.used.borrow());
    teller.bind(bound).await;
    teller.meter(used).await;
    teller.settle().await;
}

struct Teller {
    parts: Arc<Parts>,
    provider: Provider,
    hold: Option<HoldId>,
    /// What was written down of the latest.
    bound: Option<Scrubbed>,
    used: Option<Tokens>,
}

impl Teller {
    async fn observe(&self, told: Told) {
        let done = observe(&self.parts, told.seq, told.at, told.event).await;
        self.log(done);
    }

    async fn bind(&mut self, session: Option<Scrubbed>) {
        let Some(session) = session.filter(|session| self.bound.as_ref() != Some(session)) else {
            return;
        };
        let runs = &self.parts.tenant.runs;
        let done = insist(&self.parts, "a session", || {
            runs.bind(&self.parts.claimed, &session)
        });
        let done = done.await;
        self.log(done);
        self.bound = Some(session);
    }

    async fn meter(&mut self, used: Option<Tokens>) {
        let Some(tokens) = used.filter(|_| used != self.used) else {
            return;
        };
        let done = meter(&self.parts, &mut self.hold, &amounts(self.provider, tokens)).await;
        // What was not metered is tried again with the next reading, and at the end.
        if done.is_ok() {
            self.used = used;
        }
        self.log(done);
    }

    async fn settle(self) {
        let (Some(hold), Some(used)) = (self.hold, self.used) else {
            return;
        };
        let used = amounts(self.provider, used);
        let settled = self.parts.tenant.budgets.reconcile(&engine(), hold, &used).await;
        if let Err(error) = settled {
            tracing::warn!(run = %self.parts.claimed.run.id, %error, "what was used was not settled");
        }
    }

    fn log(&self, done: Result<(), CommandError>) {
        if let Err(error) = done {
            let run = self.parts.claimed.run.id;
            tracing::warn!(%run, %error, "what the stream says was not written down");
        }
    }
}

fn engine() -> Principal {
    Principal::engine()
}

async fn observe(parts: &Parts, seq: u64, at: Timestamp, told: SessionEvent) -> Result<(), CommandError> {
    let run = &parts.claimed.run;
    let Some(session) = run.session else { return Ok(()) };
    let observed = Observed {
        incarnation: parts.tenant.sessions.require(session).await?.state.incarnation,
        run: Some(dormouse_state::RunId::new(run.id.to_string())),
        source: SourceId::new(SOURCE),
        position: Position {
            spawn: run.spawn,
            seq,
        },
        subagent: told.subagent,
        starts_turn: told.starts_turn,
        evidence: told.evidence,
        at,
        event: told.event,
    };
    parts.tenant.sessions.observe(session, &observed).await.map(drop)
}

/// Nothing is reserved: what a provider's call comes to is known when it is over. What was used counts all the same.
async fn meter(parts: &Parts, hold: &mut Option<HoldId>, used: &Amounts) -> Result<(), CommandError> {
    let budgets = &parts.tenant.budgets;
    let by = engine();
    let id = match *hold {
        Some(id) => id,
        None => {
            let wanted = Reserve {
                hold: None,
                chain: Chain::of_run(&parts.claimed.run),
                estimate: Amounts::none(),
                is_in_flight: false,
            };
            // Without a limit anywhere nothing is counted.
            let Some(id) = budgets.reserve(&by, &wanted).await?.hold else {
                return Ok(());
            };
            *hold = Some(id);
            id
        }
    };
    if budgets.meter(&by, id, used).await? == Metered::Stop {
        tracing::warn!(run = %parts.claimed.run.id, "the run is over a limit of its budgets, and is stopped");
        parts.over_budget.notify_one();
    }
    Ok(())
}
