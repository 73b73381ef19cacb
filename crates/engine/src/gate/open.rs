//! Opening: a question is durable before anybody is shown it, and the same call asked again finds its gate.

use dormouse_filesystem::{Digest, IndexValue, Query, Records, Versioned};
use dormouse_secrets::Scrubber;
use dormouse_state::{Answer, CallId, Event, GateKind, Observed, Rejected};

use super::link::{Heard, Word, tell_session};
use super::resolve::{stage_consequences, state_id};
use super::{
    Asker, Author, AuthorKind, Caller, Content, End, Gate, GateCell, GateError, GateEvent, GateIndex,
    GateKey, GateKeyIndex, GateStatus, InTurn, KeyId, NewGate, Reply, Said, Scope, SeenIn, StandingGrant,
    author, decide,
};
use crate::agent::{Agent, Agents};
use crate::capability::{Capability, CapabilityEnd, CapabilityState};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::{About, Change};
use crate::limits::{GATES_PENDING_MAX, PAGE_MAX};
use crate::run::{Run, RunState};
use crate::{CommandError, GateId, PrefixedId, Subject};

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
            key: new
                .call_id
                .as_deref()
                .map(|call| KeyId::of(&origin, call, &digest)),
            timeout_ms: new.timeout_ms()?,
            new,
            origin,
            digest,
        })
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
    let key = match wanted.key {
        Some(key) => Records::<GateKey>::new(&core.space).get(&key).await?,
        None => None,
    };
    let mut previous = None;
    if let Some(key) = &key {
        match asked_before(core, key).await? {
            Before::Is(gate) => {
                let how = OpenedHow::Found;
                return Ok(Verdict::Nothing(Ok(Opened { gate: *gate, how })));
            }
            Before::Was(gate) => previous = gate,
        }
    } else if let Some(key) = wanted.key
        && let Some(gate) = adopted(core, &mut draft, key, wanted).await?
    {
        let how = OpenedHow::Adopted;
        return Ok(Verdict::Commit(draft, Ok(Opened { gate, how })));
    }
    let making = Making {
        core,
        wanted,
        agent: &agent,
        key,
        previous,
    };
    making.staged(draft).await
}

/// What became of the gate that the same call opened before.
enum Before {
    /// It, and what it says, is the answer.
    Is(Box<Gate>),
    /// It lost its meaning, and a new one is asked; none when its row is gone.
    Was(Option<GateId>),
}

async fn asked_before(core: &Core, key: &GateKey) -> Result<Before, CommandError> {
    let Some(gate) = Records::<Gate>::new(&core.space).get(&key.gate).await? else {
        return Ok(Before::Was(None));
    };
    let is_spent = match gate.end.as_ref().map(|end| end.status) {
        Some(GateStatus::Approved) => is_spent(core, gate.id).await?,
        _ => false,
    };
    match decide(gate.state(), GateEvent::OpenAgain { is_spent }) {
        GateCell::OpenNew => Ok(Before::Was(Some(gate.id))),
        GateCell::Ignore(_) => Ok(Before::Is(Box::new(gate.into_inner()))),
        cell @ (GateCell::End(_) | GateCell::Refuse(_)) => {
            unreachable!("no cell of opening again is {cell:?}")
        }
    }
}

/// Whether an approval was closed without being known to have done anything.
async fn is_spent(core: &Core, gate: GateId) -> Result<bool, CommandError> {
    let capability = Records::<Capability>::new(&core.space).get(&gate).await?;
    Ok(match capability.map(|capability| capability.state) {
        None => true,
        Some(CapabilityState::Closed { end }) => match end {
            CapabilityEnd::Done | CapabilityEnd::Failed => false,
            CapabilityEnd::Unknown | CapabilityEnd::Revoked | CapabilityEnd::Expired => true,
        },
        Some(
            CapabilityState::Active | CapabilityState::Claimed { .. } | CapabilityState::Dispatching { .. },
        ) => false,
    })
}

/// The gate of an equal call that no longer waits: it is this call's now, under a key of its own.
async fn adopted(
    core: &Core,
    draft: &mut Draft,
    key: KeyId,
    wanted: &Prepared<'_>,
) -> Result<Option<Gate>, CommandError> {
    let keys = Records::<GateKey>::new(&core.space);
    let values = [&wanted.origin.id(), &wanted.digest.to_string()].map(|value| IndexValue::name(value));
    let query = Query::of(GateKeyIndex::Origin).equals(values).limit(PAGE_MAX);
    for former in keys.find(&query).await?.rows {
        if waits(core, former.caller, wanted.new.caller).await? {
            continue;
        }
        let Some(gate) = Records::<Gate>::new(&core.space).get(&former.gate).await? else {
            continue;
        };
        if gate.digest != wanted.digest || !can_adopt(core, &gate).await? {
            continue;
        }
        let left = GateKey {
            is_adopted: true,
            op: draft.op(),
            ..GateKey::clone(&former)
        };
        keys.stage_replace(draft.batch(), &former, &left).await?;
        let mine = new_key(draft, key, wanted, gate.id);
        keys.stage_create(draft.batch(), &mine)?;
        let run = wanted.new.caller.map(|caller| caller.run);
        draft.tell(&gate.about(), &Change::GateAdopted { run })?;
        return Ok(Some(gate.into_inner()));
    }
    Ok(None)
}

/// Whether it is pending, or approved and not used.
async fn can_adopt(core: &Core, gate: &Gate) -> Result<bool, CommandError> {
    match gate.end.as_ref().map(|end| end.status) {
        None => Ok(true),
        Some(GateStatus::Approved) => {
            let capability = Records::<Capability>::new(&core.space).get(&gate.id).await?;
            Ok(capability.is_some_and(|capability| capability.state == CapabilityState::Active))
        }
        Some(_) => Ok(false),
    }
}

/// Whether whoever made a call still waits for its answer, as seen by a later caller.
async fn waits(core: &Core, former: Option<Caller>, now: Option<Caller>) -> Result<bool, CommandError> {
    let Some(former) = former else { return Ok(true) };
    if let Some(now) = now
        && now.run == former.run
    {
        return Ok(now.spawn <= former.spawn);
    }
    let run = Records::<Run>::new(&core.space).get(&former.run).await?;
    Ok(run.is_some_and(|run| !matches!(run.state, RunState::Waiting | RunState::Ended)))
}

fn new_key(draft: &Draft, key: KeyId, wanted: &Prepared<'_>, gate: GateId) -> GateKey {
    GateKey {
        key,
        origin: wanted.origin.clone(),
        digest: wanted.digest,
        gate,
        caller: wanted.new.caller,
        is_adopted: false,
        created_at: draft.now(),
        op: draft.op(),
    }
}

/// A gate in the making.
struct Making<'a> {
    core: &'a Core,
    wanted: &'a Prepared<'a>,
    agent: &'a Agent,
    key: Option<Versioned<GateKey>>,
    previous: Option<GateId>,
}

impl Making<'_> {
    async fn staged(&self, mut draft: Draft) -> Result<Answered, CommandError> {
        let id = GateId::make(draft.now(), &self.core.environment.random);
        let grant = self.grant().await?;
        let session = match (&self.wanted.new.session, &grant) {
            (None, _) if self.is_full().await? => return self.full(draft),
            (None, _) => None,
            (Some(seen), Some(_)) => Some(InTurn {
                session: seen.session,
                incarnation: seen.incarnation,
                turn: 0,
            }),
            (Some(seen), None) => match self.in_session(&mut draft, id, seen).await? {
                Ok(turn) => Some(turn),
                Err(GateError::Full { .. }) => return self.full(draft),
                Err(refused) => return Ok(Verdict::Nothing(Err(refused))),
            },
        };
        let gate = self.made(&draft, id, session, grant.as_deref());
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
        let turn = InTurn {
            session: seen.session,
            incarnation: seen.incarnation,
            turn: 0,
        };
        let key = StandingGrant::key_of(&turn, &self.wanted.digest);
        let grant = Records::<StandingGrant>::new(&self.core.space).get(&key).await?;
        Ok(grant.filter(|grant| grant.agent_incarnation == self.agent.incarnation))
    }

    /// Whether a run without session has as many pending as it may.
    async fn is_full(&self) -> Result<bool, CommandError> {
        let Some(caller) = self.wanted.new.caller else {
            return Ok(false);
        };
        let query = Query::of(GateIndex::Run)
            .equals([IndexValue::name(&caller.run.to_string())])
            .limit(GATES_PENDING_MAX);
        let found = Records::<Gate>::new(&self.core.space).find(&query).await?;
        Ok(found.rows.len() >= GATES_PENDING_MAX)
    }

    fn full(&self, mut draft: Draft) -> Result<Answered, CommandError> {
        let limit = "gates.pending_max";
        let about = About::of(
            self.wanted.origin.clone(),
            &self.agent.name,
            self.agent.incarnation,
        );
        let change = Change::LimitReached {
            limit: limit.to_owned(),
        };
        draft.tell(&about, &change)?;
        Ok(Verdict::Commit(draft, Err(GateError::Full { limit })))
    }

    /// Tells the session that a person is asked.
    async fn in_session(
        &self,
        draft: &mut Draft,
        id: GateId,
        seen: &SeenIn,
    ) -> Result<Result<InTurn, GateError>, CommandError> {
        let new = self.wanted.new;
        let turn = InTurn {
            session: seen.session,
            incarnation: seen.incarnation,
            turn: 0,
        };
        let observed = Observed {
            incarnation: seen.incarnation,
            run: new
                .caller
                .map(|caller| dormouse_state::RunId::new(caller.run.to_string())),
            source: seen.source.clone(),
            position: seen.position,
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
        let (session, word) = (seen.session, Word::Event(&observed));
        Ok(
            match tell_session(&self.core.space, draft, turn, word, Some(id)).await? {
                Heard::Unknown => Err(GateError::UnknownSession { session }),
                Heard::Stale { current } => Err(GateError::StaleIncarnation { session, current }),
                Heard::Answered { answer, turn: number } => match answer {
                    Answer::Applied(_) => Ok(InTurn { turn: number, ..turn }),
                    Answer::Rejected(Rejected::Full) => Err(GateError::Full {
                        limit: "gates.pending_max",
                    }),
                    Answer::Rejected(reason) => Err(GateError::Rejected {
                        session,
                        reason: reason.name(),
                    }),
                    Answer::Ignored(reason) => Err(GateError::Rejected {
                        session,
                        reason: reason.name(),
                    }),
                },
            },
        )
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
            updated_at: draft.now(),
            op: draft.op(),
        }
    }

    async fn stage(&self, draft: &mut Draft, gate: &Gate) -> Result<(), CommandError> {
        let space = &self.core.space;
        Records::new(space).stage_create(draft.batch(), gate)?;
        let keys = Records::<GateKey>::new(space);
        if let Some(key) = self.wanted.key {
            let key = new_key(draft, key, self.wanted, gate.id);
            match &self.key {
                Some(read) => keys.stage_replace(draft.batch(), read, &key).await?,
                None => keys.stage_create(draft.batch(), &key)?,
            }
        }
        let opened = Change::GateOpened {
            session: gate.session.map(|turn| turn.session),
            run: gate.caller.map(|caller| caller.run),
            kind: gate.kind,
            blocking: gate.blocking,
            decidable: gate.decidable,
            expires_at: gate.expires_at,
            previous: gate.previous,
        };
        draft.tell(&gate.about(), &opened)?;
        if gate.end.is_some() {
            stage_consequences(space, draft, gate)?;
        }
        Ok(())
    }
}
