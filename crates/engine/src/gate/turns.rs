//! Decisions on one gate take turns in this process. The first decides; who came meanwhile is told how the gate ended, and
//! so needs no commit to lose and no reads of its own: many cost about as much as one. Rows are the truth: who has no
//! turn, in another process, is refused by the commit.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_filesystem::Versioned;
use dormouse_filesystem::update::DEADLINE;
use tokio::sync::oneshot;

use super::Gate;
use crate::limits::GATE_DECIDERS_MAX;
use crate::{CommandError, GateId};

/// The gates on which somebody decides, and who waits to.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<GateId, VecDeque<oneshot::Sender<Next>>>>);

/// What a decision comes to.
#[derive(Debug)]
pub(super) enum Next {
    /// It is its turn.
    Turn(Turn),
    /// The gate has left pending, as it was read then.
    Ended(Arc<Versioned<Gate>>),
}

/// The turn to decide. Dropped, it is the next one's.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    gate: GateId,
    is_over: bool,
}

impl Turns {
    /// Waits for its turn, or for the end of the gate: behind as many as [`GATE_DECIDERS_MAX`], for as long as an update
    /// may take.
    ///
    /// # Errors
    /// `Contended` where that is too many, or too long: nothing was done.
    pub(super) async fn enter(self: &Arc<Self>, gate: GateId) -> Result<Next, CommandError> {
        let Some(told) = self.line_up(gate)? else {
            return Ok(Next::Turn(self.turn(gate)));
        };
        match tokio::time::timeout(DEADLINE, told).await {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(_)) | Err(_) => Err(CommandError::LOST_RACE),
        }
    }

    /// Where it will be told; none when nobody is before it.
    fn line_up(&self, gate: GateId) -> Result<Option<oneshot::Receiver<Next>>, CommandError> {
        self.with(|lines| {
            let Some(line) = lines.get_mut(&gate) else {
                lines.insert(gate, VecDeque::new());
                return Ok(None);
            };
            line.retain(|waiting| !waiting.is_closed());
            if line.len() >= GATE_DECIDERS_MAX {
                return Err(CommandError::LOST_RACE);
            }
            let (tell, told) = oneshot::channel();
            line.push_back(tell);
            Ok(Some(told))
        })
    }

    fn turn(self: &Arc<Self>, gate: GateId) -> Turn {
        Turn {
            turns: Arc::clone(self),
            gate,
            is_over: false,
        }
    }

    /// The next in line; with the last of them the line goes.
    fn next(&self, gate: GateId) -> Option<oneshot::Sender<Next>> {
        self.with(|lines| {
            let line = lines.get_mut(&gate)?;
            while let Some(next) = line.pop_front() {
                if !next.is_closed() {
                    return Some(next);
                }
            }
            lines.remove(&gate);
            None
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<GateId, VecDeque<oneshot::Sender<Next>>>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Turn {
    /// Whether somebody waits for it.
    pub(super) fn is_waited_for(&self) -> bool {
        self.turns
            .with(|lines| lines.get(&self.gate).is_some_and(|line| !line.is_empty()))
    }

    /// Tells all who wait for it how the gate ended.
    pub(super) fn tell(mut self, ended: Versioned<Gate>) {
        self.is_over = true;
        let line = self.turns.with(|lines| lines.remove(&self.gate));
        let ended = Arc::new(ended);
        for waiting in line.into_iter().flatten() {
            // Who has gone need not know.
            drop(waiting.send(Next::Ended(Arc::clone(&ended))));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if let Some(next) = self.turns.next(self.gate) {
            // Who has gone since drops it, and so hands it on.
            drop(next.send(Next::Turn(self.turns.turn(self.gate))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PrefixedId, Random};

    fn gate() -> GateId {
        GateId::make(jiff::Timestamp::UNIX_EPOCH, &Random::seeded(1))
    }

    #[tokio::test]
    async fn a_turn_that_is_dropped_is_the_next_ones_and_at_rest_there_is_no_line() {
        let (turns, gate) = (Arc::new(Turns::default()), gate());
        let Next::Turn(first) = turns.enter(gate).await.unwrap() else {
            panic!("nobody is before it")
        };
        let mut gone = Box::pin(turns.enter(gate));
        let mut second = Box::pin(turns.enter(gate));
        assert!(futures::poll!(gone.as_mut()).is_pending());
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(gone);
        drop(first);
        assert!(matches!(second.await, Ok(Next::Turn(_))));
        assert!(turns.with(|lines| lines.is_empty()));
    }

    #[tokio::test]
    async fn a_turn_given_to_who_goes_before_taking_it_is_handed_on() {
        let (turns, gate) = (Arc::new(Turns::default()), gate());
        let first = turns.enter(gate).await.unwrap();
        let mut second = Box::pin(turns.enter(gate));
        let mut third = Box::pin(turns.enter(gate));
        assert!(futures::poll!(second.as_mut()).is_pending());
        assert!(futures::poll!(third.as_mut()).is_pending());
        drop(first);
        drop(second);
        assert!(matches!(third.await, Ok(Next::Turn(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_or_behind_too_many_is_told_to_come_again() {
        let (turns, gate) = (Arc::new(Turns::default()), gate());
        let _first = turns.enter(gate).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..GATE_DECIDERS_MAX {
            let mut one = Box::pin(turns.enter(gate));
            assert!(futures::poll!(one.as_mut()).is_pending());
            waiting.push(one);
        }
        let is_contended = |next| matches!(next, Err(CommandError::Contended { .. }));
        assert!(is_contended(turns.enter(gate).await));
        assert!(is_contended(waiting.pop().unwrap().await));
    }
}
