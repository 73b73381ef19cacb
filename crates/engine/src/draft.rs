//! The draft of one commit: rows staged by the services, and the events that tell of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use dormouse_filesystem::{Log, ScopedBatch, Tenant};
use dormouse_secrets::Scrubber;
use jiff::Timestamp;

use crate::budget::Move;
use crate::core::Core;
use crate::event::{About, Change, EVENT_SCHEMA, Event, clean};
use crate::limits::EVENT_DATA_MAX;
use crate::rest::Rest;
use crate::thread::TurnNote;
use crate::wake::WakeCause;
use crate::{
    AgentName, CommandError, EventId, OpId, PrefixedId, Principal, Random, RunId, SessionId, Subject,
    TenantId,
};

/// What a command answers, with or without a commit.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per attempt of a command, and it moves once"
)]
pub(crate) enum Verdict<T> {
    /// Commit this, then answer.
    Commit(Draft, T),
    /// Nothing is to be done: answer.
    Nothing(T),
}

/// One commit in the making: the rows and the events of one command.
pub struct Draft {
    batch: ScopedBatch<Tenant>,
    log: Log,
    tenant: TenantId,
    now: Timestamp,
    op: OpId,
    /// The commands that share it.
    ops: Vec<OpId>,
    actor: Principal,
    random: Arc<Random>,
    /// Cleans what events say, whoever made it.
    scrubber: Scrubber,
    session_options: dormouse_state::Options,
    capability_ttl: std::time::Duration,
    hints: Hints,
    /// The runs that are to be as they were read: a row is named once in a batch.
    expected: Vec<RunId>,
    /// The agents of which that holds, likewise.
    expected_agents: Vec<AgentName>,
    /// What its events are about, each once, in their order.
    told: Vec<Subject>,
    /// What is to become of threads by it: staged at its end, since a row is named once in a batch.
    turns: Vec<TurnNote>,
    /// What it does to accounts: the ledger stages it.
    moves: Vec<Move>,
    /// Whether it only tells that nothing was done.
    is_refusal: bool,
}

/// What is to be said in this process when the commit is done.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    /// The sessions whose rows it writes.
    pub(crate) sessions: Vec<SessionId>,
    /// The earliest deadline it stages.
    pub(crate) due: Option<Timestamp>,
    /// The agents that it gives something to do, and why, as long as their wake rows are not staged.
    pub(crate) rings: BTreeMap<AgentName, BTreeSet<WakeCause>>,
    /// Whether wake rows are staged.
    pub(crate) is_rung: bool,
    /// How many of them were not due before, beside those whose places were taken.
    pub(crate) newly_due: usize,
    /// The agents whose runs it ends or parks.
    pub(crate) freed: BTreeSet<AgentName>,
    /// Whether it leaves something to be settled.
    pub(crate) settles: bool,
    /// What does not fit it, and is done behind it.
    pub(crate) rest: Vec<Rest>,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({} of {}, {:?})", self.op, self.actor, self.batch)
    }
}

impl Draft {
    pub(crate) fn new(core: &Core, by: &Principal, now: Timestamp, op: OpId) -> Self {
        Self {
            batch: core.space.batch(),
            log: core.events.clone(),
            tenant: core.tenant.clone(),
            now,
            op,
            ops: vec![op],
            actor: by.clone(),
            random: Arc::clone(&core.environment.random),
            scrubber: core.scrubber.clone(),
            session_options: core.sessions.machine(),
            capability_ttl: core.gate_options.capability_ttl,
            hints: Hints::default(),
            expected: Vec::new(),
            expected_agents: Vec::new(),
            told: Vec::new(),
            turns: Vec::new(),
            moves: Vec::new(),
            is_refusal: false,
        }
    }

    /// Does this to accounts, in the commit.
    pub(crate) fn move_accounts(&mut self, one: Move) {
        self.moves.push(one);
    }

    /// Whether it does anything to accounts.
    pub(crate) fn moves_accounts(&self) -> bool {
        !self.moves.is_empty()
    }

    /// How many of the moves so far close a hold.
    pub(crate) fn moves_closing(&self) -> usize {
        let closes = |one: &&Move| matches!(one, Move::Sweep(..));
        self.moves.iter().filter(closes).count()
    }

    /// It answers a refusal: what it tells of that is committed, and no key of the request stands for it.
    pub(crate) fn refuse(&mut self) {
        self.is_refusal = true;
    }

    /// Whether nothing of what was asked is done by it.
    pub(crate) fn is_refusal(&self) -> bool {
        self.is_refusal
    }

    /// What it does to accounts.
    pub(crate) fn take_moves(&mut self) -> Vec<Move> {
        std::mem::take(&mut self.moves)
    }

    /// Whether this run is not yet among those that are to be as they were read; from here on it is.
    pub(crate) fn is_first_to_expect(&mut self, run: RunId) -> bool {
        let is_first = !self.expected.contains(&run);
        if is_first {
            self.expected.push(run);
        }
        is_first
    }

    /// The same of an agent.
    pub(crate) fn is_first_to_expect_agent(&mut self, agent: &AgentName) -> bool {
        let is_first = !self.expected_agents.contains(agent);
        if is_first {
            self.expected_agents.push(agent.clone());
        }
        is_first
    }

    /// The time of the command: that of every row it writes.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The command: what its rows carry as `op`.
    #[must_use]
    pub fn op(&self) -> OpId {
        self.op
    }

    /// Who wants it.
    #[must_use]
    pub fn actor(&self) -> &Principal {
        &self.actor
    }

    /// From here on, rows and events are of this command: one of several that share the commit.
    pub(crate) fn act_for(&mut self, by: &Principal, op: OpId) {
        self.actor.clone_from(by);
        self.op = op;
        if !self.ops.contains(&op) {
            self.ops.push(op);
        }
    }

    /// The commands that share it, and the one whose rows and events are written last.
    pub(crate) fn ops(&self) -> (Vec<OpId>, OpId) {
        (self.ops.clone(), self.op)
    }

    /// The batch, for records to stage their rows in.
    pub fn batch(&mut self) -> &mut ScopedBatch<Tenant> {
        &mut self.batch
    }

    /// Tells of a change, in the commit of the change.
    ///
    /// # Errors
    /// `TooLarge` when its data is over 16 KiB.
    pub fn tell(&mut self, about: &About, change: &Change) -> Result<(), CommandError> {
        let (kind, mut data) = parts(change);
        clean(&mut data, &self.scrubber);
        let event = Event {
            id: EventId::make(self.now, &self.random),
            kind,
            schema: EVENT_SCHEMA,
            at: self.now,
            tenant: self.tenant.clone(),
            agent: about.agent.as_ref().map(|(name, _)| name.clone()),
            agent_incarnation: about.agent.as_ref().map(|(_, incarnation)| *incarnation),
            subject: about.subject.to_string(),
            op: self.op,
            actor: self.actor.clone(),
            cause: None,
            data,
        };
        let bytes = serde_json::to_vec(&event).expect("an event is plain data");
        if bytes.len() > EVENT_DATA_MAX {
            return Err(CommandError::TooLarge {
                limit: "events.data_max",
            });
        }
        self.batch.append(&self.log, bytes);
        if !self.told.contains(&about.subject) {
            self.told.push(about.subject.clone());
        }
        Ok(())
    }

    /// What its events are about.
    pub(crate) fn told(&self) -> &[Subject] {
        &self.told
    }

    /// Something of a turn is done by it.
    pub(crate) fn note_turn(&mut self, note: TurnNote) {
        self.turns.push(note);
    }

    /// What of turns is done by it; from here on nothing.
    pub(crate) fn take_turns(&mut self) -> Vec<TurnNote> {
        std::mem::take(&mut self.turns)
    }

    /// How the machines of sessions behave.
    pub(crate) fn session_options(&self) -> dormouse_state::Options {
        self.session_options
    }

    /// How long what it approves can be used.
    pub(crate) fn capability_ttl(&self) -> std::time::Duration {
        self.capability_ttl
    }

    /// The row of this session is written by it: a driver of this process looks at it again.
    pub(crate) fn note_session(&mut self, id: SessionId) {
        self.hints.sessions.push(id);
    }

    /// Whether the row of this session is written by it.
    pub(crate) fn writes_session(&self, id: SessionId) -> bool {
        self.hints.sessions.contains(&id)
    }

    /// Something is due at this time, once it is committed.
    pub(crate) fn note_due(&mut self, at: Timestamp) {
        let due = self.hints.due.get_or_insert(at);
        *due = at.min(*due);
    }

    /// An agent has something to do, once it is committed.
    pub(crate) fn ring(&mut self, agent: &AgentName, cause: WakeCause) {
        self.hints.rings.entry(agent.clone()).or_default().insert(cause);
    }

    /// One more run of an agent may begin, once it is committed.
    pub(crate) fn free(&mut self, agent: &AgentName) {
        self.hints.freed.insert(agent.clone());
    }

    /// It leaves something to be settled, once it is committed.
    pub(crate) fn note_settlement(&mut self) {
        self.hints.settles = true;
    }

    /// It leaves this to be done, once it is committed.
    pub(crate) fn leave(&mut self, rest: Rest) {
        self.hints.rest.push(rest);
    }

    pub(crate) fn hints(&mut self) -> &mut Hints {
        &mut self.hints
    }

    pub(crate) fn into_batch(self) -> ScopedBatch<Tenant> {
        self.batch
    }
}

/// The type and the data of a change.
pub(crate) fn parts(change: &Change) -> (String, serde_json::Map<String, serde_json::Value>) {
    use serde_json::Value;
    let Value::Object(mut tagged) = serde_json::to_value(change).expect("a change is plain data") else {
        unreachable!("a change is tagged, so it is an object")
    };
    match (tagged.remove("type"), tagged.remove("data")) {
        (Some(Value::String(kind)), Some(Value::Object(data))) => (kind, data),
        parts => unreachable!("every change has a type and fields, not {parts:?}"),
    }
}
