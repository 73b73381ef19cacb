//! Opening: a question is durable before anybody is shown it, and the same call asked again finds its gate.

use dormouse_filesystem::{Digest, Records, Versioned};
use dormouse_secrets::Scrubber;
use dormouse_state::{Answer, CallId, Event, GateKind, Ignored, Observed, Position, Rejected, SourceId};

use super::adopt::{Before, adopted, asked_before, found, new_key};
use super::asked::Asked;
use super::link::{Heard, Word, tell_session};
use super::resolve::{IsAwaited, is_live, stage_consequences, state_id};
use super::{
    Asker, Author, AuthorKind, Caller, Content, End, Gate, GateError, GateKey, GateStatus, InTurn, KeyId,
    NewGate, Reply, Said, Scope, SeenIn, StandingGrant, author, pending,
};
use crate::agent::{Agent, Agents};
use crate::budget::BudgetAsk;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::{About, BudgetPause, Change, GateOpening};
use crate::run::Run;
use crate::session::SessionRow;
use crate::{CommandError, GateId, PrefixedId, Reason, Subject};

/// A gate that is there now.
#[derive(Debug, Clone)]
pub struct Opened {
    /// It, pending or decided.
    pub gate: Gate,
    /// How it came to be this one.
    pub how: OpenedHow,
}

/// How opening found its gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenedHow {
    /// It was made.
    New,
    /// It was made as approved, by a grant for the session.
    Granted,
    /// The same call asked before.
    Found,
    /// An equal call asked before, which no longer waits.
    Adopted,
}

/// What is to be opened, checked, scrubbed and digested.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    new: &'a NewGate,
    content: Content,
    origin: Subject,
    digest: Digest,
    key: Option<KeyId>,
    timeout_ms: Option<u64>,
}

impl<'a> Prepared<'a> {
    pub(super) fn of(core: &Core, new: &'a NewGate, scrubber: &Scrubber) -> Result<Self, GateError> {
        let origin = new.origin()?;
        let digest = new.call.digest(Asker {
            tenant: &core.tenant,
            agent: &new.agent,
            kind: new.kind,
        });
        Ok(Self {
            content: new.content(scrubber)?,
            key: match &new.budget {
                Some(ask) => Some(budget_key(ask)),
                None => new
                    .call_id
                    .as_deref()
                    .map(|call| KeyId::of(&origin, call, &digest)),
            },
            timeout_ms: new.timeout_ms(&core.gate_options)?,
            new,
            origin,
            digest,
        })
    }

    /// The key of the call, where it has a name.
    pub(super) fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// What is to be opened.
    pub(super) fn new_gate(&self) -> &NewGate {
        self.new
    }

    /// Who asks.
    pub(super) fn caller(&self) -> Option<Caller> {
        self.new.caller
    }

    /// Whether it is asked in the session of this gate, in the same life of it.
    pub(super) fn is_in_life_of(&self, gate: &Gate) -> bool {
        let seen = self.new.session.as_ref();
        seen.map(|seen| (seen.session, seen.incarnation))
            == gate.session.map(|turn| (turn.session, turn.incarnation))
    }

    /// What the call belongs to.
    pub(super) fn origin(&self) -> &Subject {
        &self.origin
    }

    /// The digest of the call.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }
}

type Answered = Verdict<Result<Opened, GateError>>;

pub(super) async fn staged(
    core: &Core,
    agents: &Agents,
    mut draft: Draft,
    wanted: &Prepared<'_>,
) -> Result<Answered, CommandError> {
    let agent = agents.require(&mut draft, &wanted.new.agent).await?;
    let Asked { key, usable, is_full } = Asked::read(core, wanted).await?;
    let mut previous = None;
    if let Some(key) = &key {
        // A key whose gate was left to a later call names nothing any more: a further equal call has its own.
        if !key.is_adopted {
            match asked_before(core, key, wanted).await? {
                Before::Is(gate) => return found(core, draft, key, wanted, *gate).await,
                Before::Was(gate) => previous = gate,
            }
        }
    } else if let Some(key) = wanted.key
        && let Some(gate) = adopted(core, &mut draft, key, wanted, usable).await?
    {
        expect_caller(core, &mut draft, wanted).await?;
        let how = OpenedHow::Adopted;
        return Ok(Verdict::Commit(draft, Ok(Opened { gate, how })));
    }
    let making = Making {
        core,
        wanted,
        agent: &agent,
        key,
        previous,
        is_full,
    };
    making.staged(draft).await
}

/// Whoever asks is at work, and still is when the gate is there: what a run asks ends with it, and nobody would see to a
/// gate that came after its end.
async fn expect_caller(core: &Core, draft: &mut Draft, wanted: &Prepared<'_>) -> Result<(), CommandError> {
    let Some(caller) = wanted.caller() else {
        return Ok(());
    };
    let runs = Records::<Run>::new(&core.space);
    let Some(run) = runs.get(&caller.run).await? else {
        return Err(CommandError::not_found("run", &caller.run));
    };
    if !is_live(&run) {
        return Err(CommandError::Rejected {
            subject: run.subject(),
            state: run.state.word(),
            event: "ask",
            reason: Reason::State,
        });
    }
    if draft.is_first_to_expect(run.id) {
        runs.stage_check(draft.batch(), &run);
    }
    Ok(())
}

/// The source of questions that come behind later ones of their own source.
const OWN_SOURCE: &str = "gates";

/// The next place of that source in this session.
async fn next_own_place(core: &Core, seen: &SeenIn) -> Result<Option<(SourceId, Position)>, CommandError> {
    let Some(row) = Records::<SessionRow>::new(&core.space).get(&seen.session).await? else {
        return Ok(None);
    };
    let own = SourceId::new(OWN_SOURCE);
    let last = row.state.sources.get(&own).map(|mark| mark.position);
    let next = last.map_or(1, |last| last.seq.saturating_add(1));
    Ok(Some((own, Position { spawn: 1, seq: next })))
}

/// The turn in which the session waits, or why it does not.
fn in_turn(heard: Heard, seen: &SeenIn) -> Result<InTurn, GateError> {
    let session = seen.session;
    let (answer, turn) = match heard {
        Heard::Unknown => return Err(GateError::UnknownSession { session }),
        Heard::Stale { current } => return Err(GateError::StaleIncarnation { session, current }),
        Heard::Answered { answer, turn } => (answer, turn),
    };
    let reason = match answer {
        Answer::Applied(_) => return Ok(seen.turn(turn)),
        Answer::Rejected(Rejected::Full) => {
            return Err(GateError::Full {
                limit: "gates.pending_max",
            });
        }
        Answer::Rejected(reason) => reason.name(),
        Answer::Ignored(reason) => reason.name(),
    };
    Err(GateError::Rejected { session, reason })
}

fn paused(ask: &BudgetAsk, gate: GateId) -> Change {
    Change::BudgetPaused(BudgetPause {
        dimension: ask.dimension,
        used: ask.used,
        limit: ask.limit,
        needed: ask.needed,
        gate,
    })
}

/// The key of the gate at a line of an account in its period.
pub(crate) fn budget_key(ask: &BudgetAsk) -> KeyId {
    let parts = ask.key_parts();
    KeyId::of_parts(&parts.each_ref().map(String::as_str))
}

/// A gate in the making.
struct Making<'a> {
    core: &'a Core,
    wanted: &'a Prepared<'a>,
    agent: &'a Agent,
    key: Option<Versioned<GateKey>>,
    previous: Option<GateId>,
    is_full: bool,
}

impl Making<'_> {
    async fn staged(&self, mut draft: Draft) -> Result<Answered, CommandError> {
        let id = GateId::make(draft.now(), &self.core.environment.random);
        let grant = self.grant().await?;
        if let Some(grant) = &grant {
            // Taken back meanwhile, it approves nothing.
            Records::<StandingGrant>::new(&self.core.space).stage_check(draft.batch(), grant);
        }
        if grant.is_none() && pending::is_full(self.core).await? {
            return self.full(draft, "gates.pending_tenant_max");
        }
        let session = match (&self.wanted.new.session, &grant) {
            (None, _) if self.is_full => return self.full(draft, "gates.pending_max"),
            (None, _) => None,
            (Some(seen), Some(_)) => Some(seen.turn(0)),
            (Some(seen), None) => match self.in_session(&mut draft, id, seen).await? {
                Ok(turn) => Some(turn),
                Err(GateError::Full { .. }) => return self.full(draft, "gates.pending_max"),
                Err(refused) => return Ok(Verdict::Nothing(Err(refused))),
            },
        };
        expect_caller(self.core, &mut draft, self.wanted).await?;
        let gate = self.made(&draft, id, session, grant.as_deref());
        if gate.is_pending() {
            pending::opened(self.core);
        }
        self.stage(&mut draft, &gate).await?;
        let how = if grant.is_some() {
            OpenedHow::Granted
        } else {
            OpenedHow::New
        };
        Ok(Verdict::Commit(draft, Ok(Opened { gate, how })))
    }

    /// The grant by which it needs no approval.
    async fn grant(&self) -> Result<Option<Versioned<StandingGrant>>, CommandError> {
        let Some(seen) = &self.wanted.new.session else {
            return Ok(None);
        };
        if self.wanted.new.kind != GateKind::Approval {
            return Ok(None);
        }
        let key = StandingGrant::key_of(&seen.turn(0), &self.wanted.digest);
        let grant = Records::<StandingGrant>::new(&self.core.space).get(&key).await?;
        Ok(grant.filter(|grant| grant.agent_incarnation == self.agent.incarnation))
    }

    fn full(&self, mut draft: Draft, limit: &'static str) -> Result<Answered, CommandError> {
        let about = About::of(
            self.wanted.origin.clone(),
            &self.agent.name,
            self.agent.incarnation,
        );
        let change = Change::LimitReached {
            limit: limit.to_owned(),
        };
        let full = Err(GateError::Full { limit });
        if !self.core.gates.may_tell_full(draft.now()) {
            return Ok(Verdict::Nothing(full));
        }
        draft.tell(&about, &change)?;
        Ok(Verdict::Commit(draft, full))
    }

    /// Tells the session that a person is asked.
    async fn in_session(
        &self,
        draft: &mut Draft,
        id: GateId,
        seen: &SeenIn,
    ) -> Result<Result<InTurn, GateError>, CommandError> {
        let mut place = (seen.source.clone(), seen.position);
        let mut heard = self.told(draft, id, seen, &place).await?;
        if matches!(
            &heard,
            Heard::Answered {
                answer: Answer::Ignored(Ignored::Duplicate),
                ..
            }
        ) && self.wanted.key.is_some()
            && let Some(later) = next_own_place(self.core, seen).await?
        {
            // Its key says that this call was never asked, so it is no repetition: a later one of its source was
            // quicker.
            place = later;
            heard = self.told(draft, id, seen, &place).await?;
        }
        Ok(in_turn(heard, seen))
    }

    async fn told(
        &self,
        draft: &mut Draft,
        id: GateId,
        seen: &SeenIn,
        (source, position): &(SourceId, Position),
    ) -> Result<Heard, CommandError> {
        let new = self.wanted.new;
        let observed = Observed {
            incarnation: seen.incarnation,
            run: new
                .caller
                .map(|caller| dormouse_state::RunId::new(caller.run.to_string())),
            source: source.clone(),
            position: *position,
            subagent: false,
            starts_turn: false,
            evidence: seen.evidence,
            at: draft.now(),
            event: Event::AwaitingHuman {
                gate: state_id(id),
                kind: new.kind,
                call: new.call_id.clone().map(CallId::new),
                blocking: new.blocking,
            },
        };
        let word = Word::Event(&observed);
        tell_session(&self.core.space, draft, seen.turn(0), word, Some(id)).await
    }

    fn made(
        &self,
        draft: &Draft,
        id: GateId,
        session: Option<InTurn>,
        grant: Option<&StandingGrant>,
    ) -> Gate {
        let new = self.wanted.new;
        let end = grant.map(|_| End {
            status: GateStatus::Approved,
            by: Author::engine(AuthorKind::Grant),
            at: draft.now(),
            cause: None,
            said: Some(Said {
                scope: Scope::Session,
                ..Said::default()
            }),
        });
        Gate {
            id,
            agent: self.agent.name.clone(),
            agent_incarnation: self.agent.incarnation,
            session,
            origin: self.wanted.origin.clone(),
            caller: new.caller,
            call: new.call_id.clone(),
            kind: new.kind,
            blocking: new.blocking,
            decidable: !matches!(new.reply, Reply::Elsewhere { .. }),
            reply: new.reply.clone(),
            content: Some(self.wanted.content.clone()),
            digest: self.wanted.digest,
            on_timeout: new.on_timeout,
            opened_at: draft.now(),
            expires_at: self.wanted.timeout_ms.map(|ms| author::expiry(draft.now(), ms)),
            timeout_ms: self.wanted.timeout_ms,
            end,
            previous: self.previous,
            budget: new.budget.clone(),
            updated_at: draft.now(),
            op: draft.op(),
        }
    }

    async fn stage(&self, draft: &mut Draft, gate: &Gate) -> Result<(), CommandError> {
        let space = &self.core.space;
        Records::new(space).stage_create(draft.batch(), gate)?;
        if let (Some(at), true) = (gate.expires_at, gate.is_pending()) {
            draft.note_due(at);
        }
        let keys = Records::<GateKey>::new(space);
        if let Some(key) = self.wanted.key {
            let key = new_key(draft, key, self.wanted, gate.id);
            match &self.key {
                Some(read) => keys.stage_replace(draft.batch(), read, &key).await?,
                None => keys.stage_create(draft.batch(), &key)?,
            }
        }
        let opened = Change::GateOpened(GateOpening {
            session: gate.session.map(|turn| turn.session),
            run: gate.caller.map(|caller| caller.run),
            kind: gate.kind,
            blocking: gate.blocking,
            decidable: gate.decidable,
            expires_at: gate.expires_at,
            previous: gate.previous,
        });
        draft.tell(&gate.about(), &opened)?;
        if let Some(ask) = &gate.budget {
            let about = About {
                subject: Subject::Account(ask.account.clone()),
                agent: Some((gate.agent.clone(), gate.agent_incarnation)),
            };
            draft.tell(&about, &paused(ask, gate.id))?;
        }
        if gate.end.is_some() {
            stage_consequences(space, draft, gate, IsAwaited::Yes)?;
        }
        Ok(())
    }
}
