//! Tells what was heard of a stream, in its order: the session its events, the run's budgets what is used.

use std::sync::Arc;

use dormouse_secrets::Scrubbed;
use dormouse_state::{Observed, Position, SourceId};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::attempt::Parts;
use super::hearing::amounts;
use super::heart::insist;
use crate::adapter::{Provider, SessionEvent, Tokens};
use crate::budget::{Amounts, Chain, Metered, Reserve};
use crate::{CommandError, HoldId, Principal};

/// The source of what a stream says.
const SOURCE: &str = "stream";

/// Something to tell.
#[derive(Debug)]
pub(super) enum Told {
    /// To the session.
    Session {
        /// Its place in the stream.
        seq: u64,
        /// When it was heard.
        at: Timestamp,
        /// What.
        event: SessionEvent,
    },
    /// So much is used by now.
    Used(Tokens),
    /// The provider's session is this.
    Bound(Scrubbed),
}

/// Tells until nothing comes any more; then what was used is settled. What cannot be told is logged: a run does not fail for it.
pub(super) async fn tell(parts: Arc<Parts>, provider: Provider, mut events: mpsc::Receiver<Told>) {
    let mut hold = None;
    let mut used = Amounts::none();
    // Ends when the stream does.
    while let Some(told) = events.recv().await {
        let done = match told {
            Told::Session { seq, at, event } => observe(&parts, seq, at, event).await,
            Told::Bound(session) => {
                let runs = &parts.tenant.runs;
                insist(&parts, "a session", || runs.bind(&parts.claimed, &session)).await
            }
            Told::Used(tokens) => {
                used = amounts(provider, tokens);
                meter(&parts, &mut hold, &used).await
            }
        };
        if let Err(error) = done {
            let run = parts.claimed.run.id;
            tracing::warn!(%run, %error, "what the stream says was not written down");
        }
    }
    if let Some(hold) = hold {
        let settled = parts.tenant.budgets.reconcile(&engine(), hold, &used).await;
        if let Err(error) = settled {
            tracing::warn!(run = %parts.claimed.run.id, %error, "what was used was not settled");
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
