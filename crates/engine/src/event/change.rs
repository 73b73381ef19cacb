//! The catalogue of events: each names its data, which is ids, enums, numbers and scrubbed text.

use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::part::{
    BadRecord, BudgetDenial, BudgetPause, Ending, GateEnding, GateOpening, InThread, Rejection, Truncation,
};
use crate::budget::{Amounts, Dimension, Period};
use crate::capability::CapabilityEnd;
use crate::gate::AuthorKind;
use crate::run::OutcomeKind;
use crate::task::{ChildEnd, Priority, Wait};
use crate::thread::{MessageKind, MessageStatus};
use crate::{AgentName, EventId, GateId, LeaseId, Reason, RunId, SessionId, TaskId};

/// The schema of the data of every event here; raised when a reader of the former could no longer read it.
pub const EVENT_SCHEMA: u32 = 1;

/// A change, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Change {
    /// An agent was made.
    #[serde(rename = "agent.created")]
    AgentCreated {
        /// The digest of its configuration.
        config_digest: String,
    },
    /// An agent's configuration was set.
    #[serde(rename = "agent.configured")]
    AgentConfigured {
        /// The digest of its configuration.
        config_digest: String,
    },
    /// An agent claims and fires nothing any more.
    #[serde(rename = "agent.paused")]
    AgentPaused {
        /// Why, as somebody said it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Scrubbed>,
    },
    /// An agent works again.
    #[serde(rename = "agent.resumed")]
    AgentResumed {},
    /// An agent is to go, and what is its goes before it.
    #[serde(rename = "agent.deleting")]
    AgentDeleting {},
    /// An agent is gone, with all that was its.
    #[serde(rename = "agent.deleted")]
    AgentDeleted {},
    /// An agent is to be woken at a time.
    #[serde(rename = "wake.added")]
    WakeAdded {
        /// When.
        due: Timestamp,
    },
    /// That time came.
    #[serde(rename = "wake.fired")]
    WakeFired {
        /// The task that it became.
        task: TaskId,
    },
    /// Nothing becomes of it: it was called off, or its agent went.
    #[serde(rename = "wake.cancelled")]
    WakeCancelled {},
    /// A task was made.
    #[serde(rename = "task.created")]
    TaskCreated {
        /// Its number.
        number: u64,
        /// Its priority.
        priority: Priority,
        /// The word of its first state.
        state: String,
        /// The task that gave it away, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<TaskId>,
    },
    /// A task's text or metadata was changed.
    #[serde(rename = "task.edited")]
    TaskEdited {
        /// The names of the fields.
        fields: Vec<String>,
    },
    /// A task was given to another agent.
    #[serde(rename = "task.assigned")]
    TaskAssigned {
        /// Whose it was.
        from: AgentName,
        /// Whose it is.
        to: AgentName,
    },
    /// A task is gone.
    #[serde(rename = "task.deleted")]
    TaskDeleted {
        /// Its number, which is never given again.
        number: u64,
        /// The word of its last state.
        state: String,
    },
    /// A task was approved.
    #[serde(rename = "task.approved")]
    TaskApproved {
        /// The word of its state.
        state: String,
    },
    /// A task was refused, and so is cancelled.
    #[serde(rename = "task.refused")]
    TaskRefused {},
    /// A task was put aside.
    #[serde(rename = "task.shelved")]
    TaskShelved {},
    /// A task can be claimed.
    #[serde(rename = "task.ready")]
    TaskReady {
        /// The word of what made it so.
        cause: String,
    },
    /// A task waits.
    #[serde(rename = "task.waiting")]
    TaskWaiting {
        /// The word of what made it so.
        cause: String,
        /// What for; none for an approval.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<Wait>,
        /// How the run before ended, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Ending>,
    },
    /// A task was done.
    #[serde(rename = "task.done")]
    TaskDone {
        /// By its last run.
        by: Ending,
    },
    /// A task failed and is not tried again.
    #[serde(rename = "task.failed")]
    TaskFailed {
        /// By its last run, if a run ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Ending>,
        /// The task it waited for that was not done, if that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dependency: Option<TaskId>,
    },
    /// A task failed too often.
    #[serde(rename = "task.quarantined")]
    TaskQuarantined {
        /// By its last run.
        by: Ending,
        /// How often it failed.
        failures: u32,
    },
    /// A task was called off.
    #[serde(rename = "task.cancelled")]
    TaskCancelled {
        /// Its last run, if that was ended by it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// The task it waited for that was not done, if that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dependency: Option<TaskId>,
        /// Why, as somebody said it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Scrubbed>,
    },
    /// The end of a task that was given away is there for whoever gave it.
    #[serde(rename = "delegation.delivered")]
    DelegationDelivered {
        /// The task that gave it.
        parent: TaskId,
        /// How it ended.
        end: ChildEnd,
    },
    /// Whoever gave a task away took its result.
    #[serde(rename = "delegation.consumed")]
    DelegationConsumed {
        /// The task that gave it.
        parent: TaskId,
    },
    /// Nobody waits for the result of a task that was given away.
    #[serde(rename = "delegation.abandoned")]
    DelegationAbandoned {
        /// The task that gave it.
        parent: TaskId,
    },
    /// A run was claimed.
    #[serde(rename = "run.started")]
    RunStarted {
        /// For which task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        /// Which attempt at it, from 1.
        attempt: u32,
        /// The lease it is held by.
        lease: LeaseId,
    },
    /// A run was told to stop.
    #[serde(rename = "run.stopping")]
    RunStopping {
        /// The word of the cause.
        cause: String,
    },
    /// A run has its outcome.
    #[serde(rename = "run.ended")]
    RunEnded {
        /// For which task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        /// Which attempt at it, from 1.
        attempt: u32,
        /// How.
        outcome: OutcomeKind,
        /// From claim to end, in milliseconds.
        clock_ms: u64,
        /// The level of isolation, where a wall was wanted and there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        isolation: Option<String>,
    },
    /// A session was made.
    #[serde(rename = "session.created")]
    SessionCreated {
        /// Whose conversation it is, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<String>,
        /// The rule its calls are made under.
        mode: dormouse_state::Mode,
    },
    /// The provider's process of a session is ready.
    #[serde(rename = "session.started")]
    SessionStarted {
        /// What the provider calls the session, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external: Option<String>,
    },
    /// A turn of a session began.
    #[serde(rename = "session.turn_started")]
    SessionTurnStarted {
        /// Its number.
        turn: u32,
        /// The run that works on it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
    },
    /// A turn of a session ended.
    #[serde(rename = "session.turn_ended")]
    SessionTurnEnded {
        /// Its number.
        turn: u32,
        /// How.
        result: dormouse_state::TurnResult,
        /// How long it ran.
        duration_ms: u64,
    },
    /// A session waits for a person.
    #[serde(rename = "session.awaiting_human")]
    SessionAwaitingHuman {
        /// The gate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gate: Option<GateId>,
        /// How many it waits for now.
        pending: usize,
    },
    /// A session can go on.
    #[serde(rename = "session.resumed")]
    SessionResumed {
        /// The word of why: decided, expired, settled, invalidated, restarted, operator.
        by: String,
    },
    /// Nothing was heard of a session's worker for long.
    #[serde(rename = "session.stalled")]
    SessionStalled {
        /// For how long, in milliseconds.
        silent_for_ms: u64,
    },
    /// What a session does within a turn, told at most once in a second.
    #[serde(rename = "session.activity")]
    SessionActivity {
        /// What its worker does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<dormouse_state::Execution>,
        /// The one word to show.
        display: dormouse_state::Display,
        /// How many changes were gathered since its row was written.
        changes: usize,
    },
    /// A call of a session was refused without asking anybody.
    #[serde(rename = "session.permission_denied")]
    SessionPermissionDenied {
        /// The tool.
        tool: String,
    },
    /// What a session said of others was not so, and was mended.
    #[serde(rename = "session.repaired")]
    SessionRepaired {
        /// The field.
        field: String,
        /// How many there were.
        from: usize,
        /// How many there are.
        to: usize,
    },
    /// A session failed.
    #[serde(rename = "session.errored")]
    SessionErrored {
        /// A word for the kind of failure.
        reason: String,
    },
    /// The end of a session's turn is no longer news.
    #[serde(rename = "session.idle")]
    SessionIdle {},
    /// No turn of a session is to begin.
    #[serde(rename = "session.paused")]
    SessionPaused {
        /// Whether a turn had to end first.
        after_turn: bool,
    },
    /// A session's calls are made under another rule.
    #[serde(rename = "session.mode_changed")]
    SessionModeChanged {
        /// The rule until now.
        from: dormouse_state::Mode,
        /// The rule from now on.
        to: dormouse_state::Mode,
    },
    /// A session is over.
    #[serde(rename = "session.ended")]
    SessionEnded {
        /// The word of why: observed, operator, stale, agent_deleted.
        reason: String,
        /// How many turns it had.
        turns: u32,
    },
    /// An ended session began its next life.
    #[serde(rename = "session.reopened")]
    SessionReopened {
        /// Which life it is.
        incarnation: u32,
    },
    /// A person is asked.
    #[serde(rename = "gate.opened")]
    GateOpened(GateOpening),
    /// A gate left pending.
    #[serde(rename = "gate.resolved")]
    GateResolved(GateEnding),
    /// A later attempt took a gate over.
    #[serde(rename = "gate.adopted")]
    GateAdopted {
        /// The run that waits for it now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
    },
    /// A decision was refused.
    #[serde(rename = "gate.refused")]
    GateRefused {
        /// Who wanted it.
        principal: String,
        /// The word of why: forbidden, too_late, changed, not_decidable.
        reason: String,
    },
    /// Equal calls of the session need no approval any more.
    #[serde(rename = "gate.granted")]
    GateGranted {
        /// The gate the grant is known by.
        grant: GateId,
    },
    /// They need one again.
    #[serde(rename = "gate.grant_revoked")]
    GateGrantRevoked {
        /// The gate the grant is known by.
        grant: GateId,
        /// The word of what kind of author took it back.
        by: AuthorKind,
    },
    /// What an approval allowed is done, or no more allowed.
    #[serde(rename = "capability.closed")]
    CapabilityClosed {
        /// How.
        end: CapabilityEnd,
    },
    /// A thread was made.
    #[serde(rename = "thread.created")]
    ThreadCreated {
        /// The session that shows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
    },
    /// A thread takes no more messages.
    #[serde(rename = "thread.closed")]
    ThreadClosed {},
    /// A thread is deleted; its messages go.
    #[serde(rename = "thread.deleted")]
    ThreadDeleted {},
    /// A message is there.
    #[serde(rename = "message.accepted")]
    MessageAccepted {
        /// Where.
        #[serde(flatten)]
        at: InThread,
        /// What kind of message.
        kind: MessageKind,
        /// Where it begins.
        status: MessageStatus,
        /// The task of its turn, if that is to be done now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
    },
    /// A message waits for the turns before it.
    #[serde(rename = "message.queued")]
    MessageQueued {
        /// Where.
        #[serde(flatten)]
        at: InThread,
    },
    /// The turn of a message is to be done now.
    #[serde(rename = "message.submitted")]
    MessageSubmitted {
        /// Where.
        #[serde(flatten)]
        at: InThread,
        /// The task that does it.
        task: TaskId,
    },
    /// A message was not taken up, since a run was at its thread.
    #[serde(rename = "message.rejected_busy")]
    MessageRejectedBusy {
        /// Where.
        #[serde(flatten)]
        at: InThread,
        /// That run.
        run: RunId,
    },
    /// A message's content is final.
    #[serde(rename = "message.final")]
    MessageFinal {
        /// Where.
        #[serde(flatten)]
        at: InThread,
        /// The run that wrote it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
    },
    /// A draft was left as it is.
    #[serde(rename = "message.interrupted")]
    MessageInterrupted {
        /// Where.
        #[serde(flatten)]
        at: InThread,
        /// The run that wrote it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
    },
    /// Another message stands for this one.
    #[serde(rename = "message.superseded")]
    MessageSuperseded {
        /// Where.
        #[serde(flatten)]
        at: InThread,
        /// The sequence of the one that stands for it; none when what it told of is gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<u64>,
    },
    /// A message's content is gone.
    #[serde(rename = "message.redacted")]
    MessageRedacted {
        /// Where.
        #[serde(flatten)]
        at: InThread,
    },
    /// A message is deleted.
    #[serde(rename = "message.deleted")]
    MessageDeleted {
        /// Where.
        #[serde(flatten)]
        at: InThread,
    },
    /// What an account may use was set.
    #[serde(rename = "budget.set")]
    BudgetSet {
        /// Its limits.
        limits: Amounts,
        /// How long what is used counts.
        period: Period,
    },
    /// An account came near its limit: told once in its period.
    #[serde(rename = "budget.warned")]
    BudgetWarned {
        /// In what.
        dimension: Dimension,
        /// What was used in the period.
        used: u64,
        /// What is held.
        reserved: u64,
        /// The limit.
        limit: u64,
    },
    /// An account came to the line from where a person is asked, and is.
    #[serde(rename = "budget.paused")]
    BudgetPaused(BudgetPause),
    /// An account refused more: told once in its period.
    #[serde(rename = "budget.denied")]
    BudgetDenied(BudgetDenial),
    /// A person raised the limit of an account, for its period.
    #[serde(rename = "budget.raised")]
    BudgetRaised {
        /// In what.
        dimension: Dimension,
        /// The limit from now on.
        limit: u64,
        /// By which gate.
        gate: GateId,
    },
    /// A hold was closed that nobody closed any more.
    #[serde(rename = "budget.swept")]
    BudgetSwept {
        /// Of which run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// What is charged for it.
        charged: Amounts,
        /// Whether that is not known, and taken for what was expected.
        estimated: bool,
    },
    /// A limit was reached, and what was asked for was not done.
    #[serde(rename = "limit.reached")]
    LimitReached {
        /// Its name.
        limit: String,
    },
    /// A lease's holder vanished.
    #[serde(rename = "lease.expired")]
    LeaseExpired {
        /// Which lease.
        lease: LeaseId,
        /// Why it is taken for gone.
        reason: Reason,
    },
    /// A lease whose holder vanished has another one.
    #[serde(rename = "lease.taken")]
    LeaseTaken {
        /// The holding from now on.
        lease: LeaseId,
        /// The one that is over.
        former: LeaseId,
        /// Why it is taken for gone.
        reason: Reason,
    },
    /// A row that could not be believed, and that nothing depends on, was moved aside with its bytes.
    #[serde(rename = "record.dead_lettered")]
    RecordDeadLettered(BadRecord),
    /// A row that could not be believed stays where it is, and its bytes were copied. Each use of it is refused.
    #[serde(rename = "record.quarantined")]
    RecordQuarantined(BadRecord),
    /// A sink that was too far behind is told nothing more, until somebody resumes it.
    #[serde(rename = "sink.detached")]
    SinkDetached {
        /// The last position that it has.
        after: u64,
        /// The word of why: behind, gap.
        reason: String,
    },
    /// An event that a sink refused for good lies apart.
    #[serde(rename = "sink.dead_lettered")]
    SinkDeadLettered {
        /// Its position.
        position: u64,
        /// Which event; none where the entry is no event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event: Option<EventId>,
        /// What the sink said.
        reason: Scrubbed,
    },
    /// A sink is told nothing more, until somebody resumes it.
    #[serde(rename = "sink.disabled")]
    SinkDisabled {
        /// The last position that it has.
        after: u64,
        /// What it said.
        reason: Scrubbed,
    },
    /// Somebody lets a sink wait.
    #[serde(rename = "sink.paused")]
    SinkPaused {
        /// The last position that it has.
        after: u64,
    },
    /// A sink is told again.
    #[serde(rename = "sink.resumed")]
    SinkResumed {
        /// The position behind which it goes on.
        after: u64,
    },
    /// A sink is forgotten: one of its name begins anew.
    #[serde(rename = "sink.removed")]
    SinkRemoved {
        /// The last position that it had.
        after: u64,
    },
    /// The settings were read again and could not be taken: those before them hold.
    #[serde(rename = "config.rejected")]
    ConfigRejected(Rejection),
    /// Old events went.
    #[serde(rename = "events.truncated")]
    EventsTruncated(Truncation),
}
