//! The gates of a tenant: the one service that writes their rows.

use std::sync::Arc;

use dormouse_filesystem::{Cursor, Records, Versioned};
use dormouse_secrets::{Scrubbed, Scrubber};
use dormouse_state::{Invalidation, Mode};

use super::decide::{expired, forbidden, may_decide, not_pending, on as decide_on, staged as decide_staged};
use super::list::list;
use super::mode::deny;
use super::open::Prepared;
use super::resolve::{Left, invalidated, leave};
use super::turns::{Next, Turn};
use super::{
    Author, AuthorKind, Decide, End, Gate, GateCell, GateCursor, GateDisplay, GateError, GateEvent,
    GateFilter, GateIndex, GatePage, GateStatus, NewGate, Opened, RuleEffect, Said, StandingGrant, Surface,
    decide, display, grant, open, wait,
};
use crate::agent::Agents;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::find::resolve;
use crate::{CommandError, GateId, Principal, SessionId};

/// What came of asking for a call.
#[derive(Debug, Clone)]
pub enum Asked {
    /// A rule lets it be made.
    Allowed,
    /// The mode or a rule does not.
    Denied {
        /// Which mode.
        mode: Mode,
    },
    /// A person is asked: this is the gate.
    Person(Box<Opened>),
}

/// A tenant's gates.
#[derive(Debug, Clone)]
pub struct Gates {
    pub(super) core: Arc<Core>,
    agents: Agents,
    rows: Records<Gate>,
}

impl Gates {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            agents: Agents::new(core),
            rows: Records::new(&core.space),
        }
    }

    /// Opens a gate: it is durable when this returns, and may be shown then. The same call asked again finds its gate
    /// and decision; an equal call of an earlier attempt that no longer waits is taken over.
    ///
    /// # Errors
    /// `Invalid` for its fields; `UnknownSession`, `StaleIncarnation` and `Rejected` by its session; `Full` denies the
    /// call; `NotFound` and `AgentDeleting` for its agent.
    pub async fn open(
        &self,
        by: &Principal,
        new: &NewGate,
        scrubber: &Scrubber,
    ) -> Result<Opened, GateError> {
        let wanted = &Prepared::of(&self.core, new, scrubber)?;
        let done = self
            .core
            .command(by, |draft| open::staged(&self.core, &self.agents, draft, wanted));
        done.await?.answer
    }

    /// Asks whether a call may be made under this mode: a rule may say so without a person, and what it denies is an
    /// event of the session.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn ask(
        &self,
        by: &Principal,
        mode: Mode,
        new: &NewGate,
        scrubber: &Scrubber,
    ) -> Result<Asked, GateError> {
        match self.core.gate_options.modes.of(mode, new) {
            RuleEffect::Allow => Ok(Asked::Allowed),
            RuleEffect::Deny => {
                deny(&self.core, by, new, scrubber).await?;
                Ok(Asked::Denied { mode })
            }
            RuleEffect::Ask => Ok(Asked::Person(Box::new(self.open(by, new, scrubber).await?))),
        }
    }

    /// A gate, pending or ended.
    ///
    /// # Errors
    /// `UnknownGate`, `Corrupt`.
    pub async fn get(&self, gate: GateId) -> Result<Versioned<Gate>, GateError> {
        let row = self.rows.get(&gate).await.map_err(CommandError::from)?;
        row.ok_or(GateError::UnknownGate { gate })
    }

    /// The id that is meant by a whole id or its first 8 digits or more.
    ///
    /// # Errors
    /// `InvalidId`; `NotFound` and `Ambiguous` for a short form. A whole id is not looked up.
    pub async fn resolve(&self, given: &str) -> Result<GateId, CommandError> {
        resolve(&self.rows, GateIndex::Id, given).await
    }

    /// One page of gates, the pending ones first.
    ///
    /// # Errors
    /// `Invalid` for a limit that is not 1 to 1,000, `CursorScope`.
    pub async fn list(
        &self,
        filter: &GateFilter,
        after: Option<GateCursor>,
        limit: usize,
    ) -> Result<GatePage, CommandError> {
        list(&self.core, filter, after, limit).await
    }

    /// Decides a gate as it was shown, with everything that follows in one commit. The same decision by the same person
    /// is answered as the first time.
    ///
    /// # Errors
    /// In this order: `UnknownGate`, `Forbidden`, `NotDecidable`, `WrongType` and `Invalid`, `Changed` for the digest,
    /// `NotPending`, `Changed` for the version, `TooLate`.
    pub async fn decide(&self, by: &Principal, wanted: &Decide) -> Result<Gate, GateError> {
        let core = &self.core;
        let turn = match core.gates.deciding.enter(wanted.gate).await? {
            Next::Turn(turn) => turn,
            Next::Ended(read) => {
                let read = &*read;
                let done = core.command(by, |draft| decide_on(core, draft, by, wanted, read));
                return Ok(self.told(done.await?.answer?).await);
            }
        };
        let done = core.command(by, |draft| decide_staged(core, draft, by, wanted));
        let decided = match done.await {
            Ok(done) => match done.answer {
                Ok(decided) => Ok(self.told(decided).await),
                Err(refused) => Err(refused),
            },
            Err(error) => Err(error.into()),
        };
        self.tell_behind(turn, wanted.gate).await;
        decided
    }

    /// Tells who waits to decide how the gate ended; where it did not, or that cannot be read, the next one decides.
    async fn tell_behind(&self, turn: Turn, gate: GateId) {
        if turn.is_waited_for()
            && let Ok(Some(read)) = self.rows.get(&gate).await
            && !read.is_pending()
        {
            turn.tell(read);
        }
    }

    /// Withdraws a pending gate as if it had never been: its content is erased, and its key stays taken. Again changes
    /// nothing.
    ///
    /// # Errors
    /// `Forbidden` for who may not decide it, a run first of all; `UnknownGate`; `NotPending` when it was decided, so that no decision is lost.
    pub async fn discard(&self, by: &Principal, gate: GateId) -> Result<Gate, GateError> {
        let done = self.core.command(by, |draft| async move {
            let Some(read) = self.rows.get(&gate).await? else {
                return Ok(Verdict::Nothing(Err(GateError::UnknownGate { gate })));
            };
            if !may_decide(&self.core, by, &read).await {
                return forbidden(&self.core, draft, &read, by);
            }
            let end = End {
                status: GateStatus::Discarded,
                by: Author::person(by),
                at: draft.now(),
                cause: None,
                said: None,
            };
            self.ended(draft, gate, GateEvent::Discard, end).await
        });
        Ok(self.told(done.await?.answer?).await)
    }

    /// Ends a gate whose time is up. Whether it was ended by this.
    ///
    /// # Errors
    /// As any read and any commit. A gate that is not there, not pending or not due is left as it is.
    pub async fn expire(&self, gate: GateId) -> Result<bool, CommandError> {
        let by = Principal::engine();
        let done = self.core.command(&by, |draft| async move {
            let is_due = self
                .rows
                .get(&gate)
                .await?
                .is_some_and(|gate| gate.is_due(draft.now()));
            let end = expired(&draft);
            self.ended(draft, gate, GateEvent::Expire { is_due }, end).await
        });
        self.was_ended(done.await?).await
    }

    /// Rejects a pending gate as the engine, because of a rule of whoever started what asks. Whether it was ended by this.
    ///
    /// # Errors
    /// As any read and any commit. A gate that is not there or not pending is left as it is.
    pub(crate) async fn reject(&self, gate: GateId, comment: Scrubbed) -> Result<bool, CommandError> {
        let by = Principal::engine();
        let done = self.core.command(&by, |draft| {
            let end = End {
                status: GateStatus::Rejected,
                by: Author::engine(AuthorKind::Rule),
                at: draft.now(),
                cause: None,
                said: Some(Said {
                    comment: Some(comment.clone()),
                    ..Said::default()
                }),
            };
            self.ended(draft, gate, GateEvent::Reject { is_replay: false }, end)
        });
        self.was_ended(done.await?).await
    }

    /// Ends a gate that lost its meaning. Whether it was ended by this.
    ///
    /// # Errors
    /// As any read and any commit. A gate that is not there or not pending is left as it is.
    pub async fn invalidate(&self, gate: GateId, cause: Invalidation) -> Result<bool, CommandError> {
        let by = Principal::engine();
        let done = self.core.command(&by, |draft| async move {
            let end = invalidated(&draft, cause);
            self.ended(draft, gate, GateEvent::Invalidate, end).await
        });
        self.was_ended(done.await?).await
    }

    async fn was_ended(
        &self,
        done: crate::core::Done<Result<Left, GateError>>,
    ) -> Result<bool, CommandError> {
        match done.answer {
            Ok(decided) => {
                self.told(decided).await;
                Ok(done.version.is_some())
            }
            Err(GateError::Command(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Stages what the table says of this event.
    async fn ended(
        &self,
        mut draft: Draft,
        gate: GateId,
        event: GateEvent,
        end: End,
    ) -> Result<Verdict<Result<Left, GateError>>, CommandError> {
        let Some(read) = self.rows.get(&gate).await? else {
            return Ok(Verdict::Nothing(Err(GateError::UnknownGate { gate })));
        };
        match decide(read.state(), event) {
            GateCell::End(_) => {
                let left = leave(&self.core, &mut draft, &read, end).await?;
                Ok(Verdict::Commit(draft, Ok(left)))
            }
            GateCell::Ignore(_) => Ok(Verdict::Nothing(Ok(Left::before(read.into_inner())))),
            GateCell::Refuse(_) => {
                let end = read.end.as_ref().expect("what is pending can be ended");
                Ok(Verdict::Nothing(Err(not_pending(end))))
            }
            GateCell::OpenNew => unreachable!("only opening again says so"),
        }
    }

    /// Tells a run of this process that it is to stop, and waits until those are woken that wait for what is said of an
    /// account: they are also where nobody waits for that.
    async fn told(&self, left: Left) -> Gate {
        if let Some(stopped) = left.stopped {
            self.core.live.tell(stopped.run, stopped.reason);
        }
        if let Some(woken) = left.woken {
            woken.cancelled().await;
        }
        left.gate
    }

    /// Keeps that a gate was shown at a surface, and how that finds it again; again replaces. The gate is as it was.
    ///
    /// # Errors
    /// `UnknownGate`; `Full` for more than 8 surfaces; as any commit.
    pub async fn shown(
        &self,
        by: &Principal,
        gate: GateId,
        surface: &Surface,
        reference: Option<&Scrubbed>,
    ) -> Result<(), GateError> {
        display::shown(&self.core, by, gate, surface, reference).await
    }

    /// Where a gate was shown, at most 8 places.
    ///
    /// # Errors
    /// As any read.
    pub async fn displays(&self, gate: GateId) -> Result<Vec<Versioned<GateDisplay>>, CommandError> {
        display::of(&self.core, gate).await
    }

    /// Waits until a gate has left pending, at once when it has. Decided in another process, it is seen after 5 s at
    /// the latest. Dropping the future ends the wait and decides nothing.
    ///
    /// # Errors
    /// `AlreadyAwaited` when somebody in this process waits for it; `UnknownGate`.
    pub async fn wait(&self, gate: GateId) -> Result<Gate, GateError> {
        wait::wait(&self.core, gate).await
    }

    /// How many wait in this process.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.core.gates.waiting.count()
    }

    /// One page of the grants of a session, or of all, oldest first in each.
    ///
    /// # Errors
    /// `Invalid` for a limit that is not 1 to 1,000, `CursorScope`.
    pub async fn grants(
        &self,
        session: Option<SessionId>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<Versioned<StandingGrant>>, Option<Cursor>), CommandError> {
        grant::list(&self.core, session, after, limit).await
    }

    /// Takes back the grant that the approval of this gate gave: equal calls ask again. Whether there was one.
    ///
    /// # Errors
    /// As any read and any commit.
    pub async fn revoke(&self, by: &Principal, gate: GateId) -> Result<bool, CommandError> {
        grant::revoke(&self.core, by, gate).await
    }
}
