//! The limits of the stores, by the name a config key gives them.

use std::time::Duration;

/// `tasks.failures_max`: the failure that quarantines a task.
pub const FAILURES_MAX: u32 = 5;
/// `tasks.reclaims_max`: how often a lapsed task is made ready again; the next lapse fails it.
pub const RECLAIMS_MAX: u32 = 3;
/// `tasks.backoff_base`: the delay after a first failure, before jitter.
pub const BACKOFF_BASE: Duration = Duration::from_secs(10);
/// `tasks.backoff_max`: the longest such delay.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60 * 60);
/// `tasks.retry_at_max`: a provider's wish to wait is honoured up to this.
pub const RETRY_AT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// `tasks.title_max`: longest title, in characters.
pub const TITLE_MAX: usize = 200;
/// `tasks.body_max`: longest body, in bytes.
pub const BODY_MAX: usize = 256 * 1024;
/// `tasks.creations_max`: most creations of one commit.
pub const CREATIONS_MAX: usize = 64;
/// `tasks.creations_bytes_max`: most bytes of creations that share a commit.
pub const CREATIONS_BYTES_MAX: usize = 256 * 1024;
/// `tasks.creations_operations_max`: most operations of creations that share a commit, as they are estimated.
pub const CREATIONS_OPERATIONS_MAX: usize = 960;
/// `tasks.creations_waiting_max`: most creations of a tenant that wait; more are told to come again.
pub const CREATIONS_WAITING_MAX: usize = 1024;
/// `tasks.metadata_max`: largest metadata, in bytes of JSON.
pub const METADATA_MAX: usize = 16 * 1024;
/// `tasks.metadata_depth_max`: deepest metadata.
pub const METADATA_DEPTH_MAX: usize = 8;
/// `tasks.dependencies_max`: most tasks that a task waits for.
pub const DEPENDENCIES_MAX: usize = 64;
/// `tasks.settled_max`: most dependents that are settled in one commit.
pub const SETTLED_MAX: usize = 64;
/// `tasks.settled_bytes_max`: most bytes of dependents that are settled in one commit, unless it is one.
pub const SETTLED_BYTES_MAX: usize = 256 * 1024;
/// `tasks.depth_max`: how deep tasks are given away by tasks that were given away.
pub const TREE_DEPTH_MAX: u32 = 8;
/// `tasks.tree_open_max`: most tasks given away below one root whose result nobody took yet.
pub const TREE_OPEN_MAX: u32 = 64;
/// `tasks.tree_total_max`: most tasks ever given away below one root.
pub const TREE_TOTAL_MAX: u32 = 1000;
/// How often what other machines left to settle is looked for.
pub const SETTLE_POLL: Duration = Duration::from_secs(5);

/// `lease.ttl`: how long a run's lease lives after a heartbeat.
pub const LEASE_TTL: Duration = Duration::from_secs(90);
/// `lease.heartbeat`: how often its holder renews it; at most a third of the time to live.
pub const LEASE_HEARTBEAT: Duration = Duration::from_secs(20);
/// `lease.skew`: a lease is taken over this long after its expiry, since clocks differ.
pub const LEASE_SKEW: Duration = Duration::from_secs(5);
/// `lease.self_stop`: a holder without a durable heartbeat for so long stops its work.
pub const LEASE_SELF_STOP: Duration = Duration::from_secs(45);
/// `lease.runway`: what must be left of a lease before a side effect.
pub const LEASE_RUNWAY: Duration = Duration::from_secs(15);
/// `lease.batch_max`: most heartbeats of one commit.
pub const HEARTBEATS_MAX: usize = 256;
/// The longest time to live of a lease that can be set.
pub const LEASE_TTL_MAX: Duration = Duration::from_secs(60 * 60);
/// Most heartbeats of a tenant that wait for a commit; more are told to come again.
pub const HEARTBEATS_WAITING_MAX: usize = 65_536;
/// How long after a heartbeat that was not written the next one is tried; sooner where they are more frequent.
pub const HEARTBEAT_RETRY: Duration = Duration::from_secs(2);
/// `lease.stop_margin`: beyond a worker's grace and until its holder hears of the stop, what killing, draining and the
/// terminal commit may take.
pub const STOP_MARGIN: Duration = Duration::from_secs(20);

/// `steps.result_max`: largest result of a step, in bytes of JSON. A larger one is told as such, now and later.
pub const STEP_RESULT_MAX: usize = 256 * 1024;
/// Results over this are blobs, in bytes.
pub const STEP_BLOB_OVER: usize = 64 * 1024;
/// `steps.count_max`: most steps of a task, until they are done afresh.
pub const STEPS_MAX: u64 = 10_000;
/// Longest name of a step, in characters.
pub const STEP_NAME_MAX: usize = 63;
/// Longest key of a step, in bytes.
pub const STEP_KEY_MAX: usize = 1024;
/// Longest message of a step that failed, in bytes.
pub const STEP_MESSAGE_MAX: usize = 4 * 1024;

/// Rows of one kind that go in a page of an agent's deletion.
pub const AGENT_PAGE: usize = 64;
/// How many of them are committed at once: they share a flush.
pub const AGENT_PAGE_COMMITS: usize = 16;
/// How soon an agent that is being deleted is looked at again, when what is left of it goes by itself.
pub const AGENT_LOOK: Duration = Duration::from_millis(250);
/// The longest time between two tries of a deletion that fails.
pub const AGENT_RETRY_MAX: Duration = Duration::from_secs(60);
/// `agents.concurrency_max`: most runs of an agent at once.
pub const AGENT_CONCURRENCY_MAX: u32 = 10_000;
/// `agents.delegates_max`: most agents that one may give tasks to.
pub const DELEGATES_MAX: usize = 64;

/// `commands.reason_max`: longest reason somebody gives, in bytes. It is part of events, where each byte may need six.
pub const REASON_MAX: usize = 1024;
/// `events.data_max`: largest data of an event, in bytes of JSON.
pub const EVENT_DATA_MAX: usize = 16 * 1024;
/// `events.page_max`: most events or rows of a page.
pub const PAGE_MAX: usize = 1000;
/// Most entries of the log that one filtered page looks through; the next goes on where it ended.
pub const EVENT_SCAN_MAX: usize = 10_000;

/// `relay.batch_max`: most events that a sink is sent at once.
pub const RELAY_BATCH_MAX: usize = 256;
/// `relay.lag_max`: a sink that is further behind is detached.
pub const RELAY_LAG_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a sink has to be found that far behind without getting on: who was switched off for a week is served first.
pub const RELAY_LAG_GRACE: Duration = Duration::from_secs(10 * 60);
/// `relay.timeout_max`: longest time that a sink has for a batch; two thirds of `lease.self_stop` where that is less, so that
/// its relay holds its lease all the while.
pub const RELAY_TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// How long a relay that has nothing more to send keeps its lease, and what its filter left out unsaid.
pub const RELAY_LINGER: Duration = Duration::from_secs(10);
/// How often events and tenants are looked for without a hint, where other processes write the store too.
pub const RELAY_POLL: Duration = Duration::from_secs(30);
/// How often a relay asks again for a lease that another holds.
pub const RELAY_HELD_RETRY: Duration = Duration::from_secs(15);
/// Most events that are left out before the cursor says so.
pub const RELAY_PASSED_MAX: u64 = 256;
/// Longest text of what a sink said, in bytes.
pub const RELAY_ERROR_MAX: usize = 1024;

/// `retention.tasks`: how long an ended task is kept, with its runs, outcomes and output.
pub const TASKS_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// `retention.tombstones`: how long it is known that something was there.
pub const TOMBSTONES_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// `retention.steps`: how long the steps of an ended task, or of an ended run without one, are kept.
pub const STEPS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// `retention.holds`: how long closed holds are kept.
pub const HOLDS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// `retention.usage`: how long it is known what an account used on a day.
pub const USAGE_KEPT: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// `retention.events`: how long events are kept.
pub const EVENTS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// `retention.events_max`: most events that are kept of a tenant.
pub const EVENTS_MAX: u64 = 1_000_000;
/// Rows or events of one page of a sweep.
pub const SWEEP_PAGE: usize = 500;
/// Pages of events that one look walks over.
pub const SWEEP_EVENT_PAGES: usize = 20;
/// Most operations of a sweep's commit, but for those of its last row.
pub const SWEEP_OPERATIONS: usize = 512;
/// How often the events of a tenant are looked at where their number, or a sink, may be the reason.
pub const SWEEP_EVENTS_EVERY: Duration = Duration::from_secs(60 * 60);

/// `sessions.auto_idle`: for how long the end of a turn is news, when nothing else is said; 100 ms to 10 min.
pub const SESSION_AUTO_IDLE: Duration = Duration::from_secs(3);
/// `sessions.live_flush`: what a session does within a turn is saved at most once in so long.
pub const SESSION_LIVE_FLUSH: Duration = Duration::from_secs(1);
/// `sessions.mailbox_max`: events that wait for a session's driver; who sends another one waits too.
pub const SESSION_MAILBOX_MAX: usize = 256;
/// `sessions.linger`: a driver without anything to do ends after so long.
pub const SESSION_LINGER: Duration = Duration::from_secs(5);
/// `sessions.history_max`: edges of a session that are served; its log is trimmed to them above twice as many.
pub const SESSION_HISTORY_MAX: usize = 100;
/// `sessions.open_max`: most sessions of an agent that have not ended.
pub const SESSIONS_OPEN_MAX: usize = 1000;
/// `sessions.stale_page`: sessions of a page that are closed because nothing was heard of them.
pub const SESSIONS_STALE_PAGE: usize = 100;
/// `janitor.session_stale`: for how long nothing is heard of a session that is closed; zero is never.
pub const SESSION_STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// `janitor.every`: how often what is old is looked for.
pub const JANITOR_EVERY: Duration = Duration::from_secs(10 * 60);
/// How soon after its start a janitor looks first, and how soon again where a look did not come to its end.
pub const JANITOR_SOON: Duration = Duration::from_secs(10);
/// How often it is written on which days secrets were used.
pub const USED_EVERY: Duration = Duration::from_secs(60);
/// `sessions.todo_max`: items of a session's plan that are kept.
pub const SESSION_TODO_MAX: usize = dormouse_state::TODO_MAX;
/// `sessions.denials_max`: refused calls of a session that are kept.
pub const SESSION_DENIALS_MAX: usize = dormouse_state::DENIALS_MAX;
/// `sessions.error_text_max`: longest text of a session's failure, in bytes.
pub const SESSION_ERROR_TEXT_MAX: usize = dormouse_state::ERROR_TEXT_BYTES_MAX;
/// Longest key a session is made by, and longest name at its provider, in bytes.
pub const SESSION_KEY_MAX: usize = 1024;
/// Ends of a session's former lives that are kept.
pub const SESSION_LIVES_MAX: usize = 100;
/// How often deadlines that another machine may have set are looked for.
pub const DUE_POLL: Duration = Duration::from_secs(5);
/// How long a deadline is slept towards before the clock is looked at again: timers stand while a machine sleeps.
pub const DUE_LOOK: Duration = Duration::from_secs(60);
/// Most rows that cannot be served and are left alone meanwhile; more are tried at each look.
pub const DUE_LEFT_MAX: usize = 10_000;
/// For how long a look at what is due goes on while the store answers nothing, beside the tries of one row.
pub const DUE_UNANSWERED_MAX: Duration = Duration::from_secs(5);
/// How soon what is due and could not be served is looked at again.
pub const DUE_RETRY: Duration = Duration::from_secs(1);

/// `runs.instance_max`: most runs at work in a process that claims by itself.
pub const INSTANCE_MAX: usize = 32;
/// Most claims of a process under way at once.
pub const CLAIMS_AT_ONCE: usize = 16;
/// `claim.candidates_max`: most ready tasks of a lane that are read at a time.
pub const CANDIDATES_MAX: usize = 64;
/// `claim.recheck`: how soon a lane without a free place is looked at again where several processes share the store.
pub const FULL_RECHECK: Duration = Duration::from_secs(5);
/// How soon a ready task that was refused for a reason of its own is tried again.
pub const REFUSED_RECHECK: Duration = Duration::from_secs(60);
/// How long a process has a lane for itself without saying so again.
pub const PICK_TTL: Duration = Duration::from_secs(30);
/// Most lanes of which a process keeps what it knows; the rest stay in their rows.
pub const LANES_MAX: usize = 100_000;
/// `worker.agent_intensity`: so many runs of an agent that end badly pause it.
pub const INTENSITY_RUNS: usize = 10;
/// Within so long.
pub const INTENSITY_WITHIN: Duration = Duration::from_secs(10 * 60);
/// Most such runs that can be named: they are looked for on one page of runs.
pub const INTENSITY_RUNS_MAX: usize = 250;
/// Shortest time within which they are counted.
pub const INTENSITY_WITHIN_MIN: Duration = Duration::from_secs(1);
/// Longest.
pub const INTENSITY_WITHIN_MAX: Duration = Duration::from_secs(24 * 3600);
/// How often a loop of the engine that panics is begun again.
pub const RESTARTS_MAX: usize = 3;
/// Within so long.
pub const RESTARTS_WITHIN: Duration = Duration::from_secs(60);
/// How long a future that was told to end may keep its thread before its run ends without it.
pub const ABANDON_AFTER: Duration = Duration::from_secs(1);
/// `wakes.due_max`: most agents that are to be woken, before asking for one more is refused.
pub const WAKES_DUE_MAX: usize = 1_000_000;
/// How soon those that are to be woken are counted again where there was no room for one more.
pub const WAKES_RECOUNT: Duration = Duration::from_secs(1);
/// `wakes.timed_max`: most timed wakes of an agent that wait.
pub const TIMED_WAKES_MAX: usize = 1000;
/// How far ahead a timed wake may be.
pub const WAKE_AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// How long before it is committed the time of a ring may be read, clocks included.
pub const RING_AGE_MAX: Duration = Duration::from_secs(60);

/// `gates.timeout.approval`: for how long an approval can be decided, when nothing else is said.
pub const APPROVAL_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// `gates.timeout.question`: the same of a question.
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// `gates.timeout.notification`: the same of a notification.
pub const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The shortest time a gate can be decided for.
pub const GATE_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// The longest, but for ever.
pub const GATE_TIMEOUT_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// `gates.pending_max`: most pending gates of a session, or of a run without one.
pub const GATES_PENDING_MAX: usize = dormouse_state::PENDING_MAX;
/// `gates.pending_tenant_max`: most pending gates of a tenant.
pub const GATES_PENDING_TENANT_MAX: usize = 10_000;
/// `gates.rules_max`: most rules of the mode that has some.
pub const RULES_MAX: usize = 256;
/// Longest name of a tool in a rule, in characters.
pub const RULE_MAX: usize = 200;
/// Most places a gate is known to be shown at.
pub const SURFACES_MAX: usize = 8;
/// `gates.capability_ttl`: how long an approval can be used.
pub const CAPABILITY_TTL: Duration = Duration::from_secs(60 * 60);
/// `gates.wait_max`: how long in all the clocks of a process of a run stand still while it waits for answers.
pub const GATES_WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// `gates.batch_max`: most decisions of a batch.
pub const GATES_BATCH_MAX: usize = 100;
/// Most decisions on one gate that wait for their turn in a process.
pub const GATE_DECIDERS_MAX: usize = 1000;
/// How often who waits for a gate reads it without a hint.
pub const WAIT_POLL: Duration = Duration::from_secs(5);
/// Most refused decisions told as events in a minute.
pub const REFUSALS_TOLD_MAX: usize = 10;
/// `retention.gates`: how long an ended gate keeps its content, and then its row.
pub const GATES_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Ended gates of a session that keep their content.
pub const GATES_WHOLE_MAX: usize = 100;
/// Longest summary of a gate, in characters.
pub const GATE_SUMMARY_MAX: usize = 200;
/// Longest detail of a gate, and longest answer, in bytes.
pub const GATE_DETAIL_MAX: usize = 64 * 1024;
/// Longest input of a gate's call, in bytes.
pub const GATE_INPUT_MAX: usize = 256 * 1024;
/// Deepest input of a gate's call.
pub const GATE_INPUT_DEPTH_MAX: usize = 64;
/// Most options of a question.
pub const GATE_OPTIONS_MAX: usize = 16;
/// Longest option, in characters.
pub const GATE_OPTION_MAX: usize = 200;
/// Longest comment of a decision, in bytes.
pub const GATE_COMMENT_MAX: usize = 4 * 1024;

/// `threads.message_max`: largest text of a message, in bytes.
pub const MESSAGE_MAX: usize = 4 * 1024 * 1024;
/// Texts of a message are kept in its row up to so many bytes together; what goes beyond is a blob.
pub const MESSAGE_INLINE_MAX: usize = 64 * 1024;
/// `threads.draft_every`: a draft is written at most once in so long.
pub const DRAFT_EVERY: Duration = Duration::from_millis(500);
/// `threads.queued_max`: most messages of a thread that wait for their turn.
pub const QUEUED_MAX: u32 = 100;
/// Most attachments of a message.
pub const ATTACHMENTS_MAX: usize = 32;
/// Longest id of an attachment, and longest name, in bytes.
pub const ATTACHMENT_NAME_MAX: usize = 200;
/// Most characters that are extracted of all attachments of a message.
pub const EXTRACTED_MAX: usize = 200_000;
/// Largest metadata that a provider gives with a message, in bytes of JSON.
pub const PROVIDER_MAX: usize = 16 * 1024;
/// Most messages that a summary covers, and most summaries that it replaces.
pub const COVERS_MAX: usize = 256;
/// Most standing summaries of a thread.
pub const SUMMARIES_MAX: usize = 1000;
/// Most appends of one commit.
pub const APPENDS_MAX: usize = 32;
/// Most bytes of appends that share a commit.
pub const APPENDS_BYTES_MAX: usize = 256 * 1024;
/// Most appends of a tenant that wait; more are told to come again.
pub const APPENDS_WAITING_MAX: usize = 1024;
/// Messages that go in one commit when their thread is deleted.
pub const ERASED_PAGE: usize = 32;

/// `retention.idempotency`: for how long a key is remembered.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Longest idempotency key, in characters.
pub const IDEMPOTENCY_KEY_MAX: usize = 128;
/// Longest answer that is kept under a key, in bytes.
pub const IDEMPOTENCY_ANSWER_MAX: usize = 64 * 1024;
/// Most results of a command that its key names.
pub const IDEMPOTENCY_RESULTS_MAX: usize = 16;
/// `budget.warn`: from which share of a limit on it is said, in percent.
pub const BUDGET_WARN: u8 = 75;
/// `budget.pause`: from which share of a limit on a person is asked, in percent.
pub const BUDGET_PAUSE: u8 = 90;
/// `budget.hold_age_max`: what a run that has ended holds still is given back after so long.
pub const BUDGET_HOLD_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// `budget.approval_ttl`: for how long a person can raise a limit before that is a no.
pub const BUDGET_APPROVAL_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// `budget.ledger_mailbox`: most commands of a tenant that wait for its ledger; more are told to come again.
pub const BUDGET_LEDGER_MAILBOX: usize = 1024;
/// `budget.ledger_batch`: most commands of one commit of the ledger.
pub const BUDGET_LEDGER_BATCH: usize = 64;
/// Most tasks that one commit wakes when a gate is decided that many wait for.
pub const GATE_WAKES_MAX: usize = 32;

/// How often the commit of a command is asked for again when its answer was lost, before its caller is told so.
pub const RESOLVE_ATTEMPTS_MAX: u32 = 4;
/// Most commits of which a process remembers that it does not know whether they were done.
pub const UNSETTLED_MAX: usize = 64;
