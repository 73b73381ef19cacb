//! What the services of one tenant share, and the one loop in which commands read, decide and commit.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::update::{ATTEMPTS_MAX, DEADLINE, DELAY_MAX, DELAY_MIN};
use dormouse_filesystem::{Deadline, Log, Namespace, RecordStore, Records, Tenant, Version, Versioned};
use dormouse_secrets::{Call, Formats, OnAgentDelete, Scrubber, Secrets};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::adjust::Adjusted;
use crate::agent::{Agent, AgentState, Removals};
use crate::bad;
use crate::budget::{BudgetOptions, Entered, Freed, Ledger, Moved, enter};
use crate::credentials::EventJournal;
use crate::draft::{Draft, Verdict};
use crate::due::DueHint;
use crate::idempotency::{self, Once};
use crate::lease::LeaseOptions;
use crate::resolve::{Unsettled, settled};
use crate::run::{Beats, Claiming, Companion, LiveRuns};
use crate::session::{Drivers, Rooms, SessionOptions, Switches};
use crate::step::Workers;
use crate::task::{Creations, SettleHint};
use crate::telling::{Landing, Telling};
use crate::thread::{self, Appends};
use crate::wake::Bell;
use crate::{
    AgentName, Channel, CommandError, Environment, Incarnation, OpId, PrefixedId, Principal, TenantId,
};

/// One tenant's part of the store, and what commands need beside it.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    pub(crate) tenant: TenantId,
    pub(crate) space: Namespace<Tenant>,
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) events: Log,
    pub(crate) environment: Environment,
    pub(crate) companions: Vec<Arc<dyn Companion>>,
    /// What may be set otherwise at any time.
    pub(crate) adjusted: Arc<Adjusted>,
    /// Where futures of runs are polled.
    pub(crate) workers: Arc<Workers>,
    pub(crate) live: Arc<LiveRuns>,
    pub(crate) creations: Arc<Creations>,
    pub(crate) appends: Arc<Appends>,
    /// How its leases behave.
    pub(crate) lease: LeaseOptions,
    /// Heartbeats share commits.
    pub(crate) beats: Arc<Beats>,
    /// What is being claimed in this process.
    pub(crate) claiming: Arc<Claiming>,
    /// Who waits for gates, and who may decide them.
    pub(crate) gates: Arc<crate::gate::Shared>,
    /// How gates behave.
    pub(crate) gate_options: Arc<crate::gate::GateOptions>,
    /// How its sessions behave.
    pub(crate) sessions: SessionOptions,
    /// The drivers of those at work.
    pub(crate) drivers: Arc<Drivers>,
    /// For how many more there certainly is room.
    pub(crate) rooms: Arc<Rooms>,
    /// The switches of the contexts of sessions.
    pub(crate) switches: Arc<Switches>,
    /// Where deadlines are said.
    pub(crate) due: Arc<DueHint>,
    /// Where it is said that an agent has something to do.
    pub(crate) bell: Arc<Bell>,
    /// Where it is said that something is to be settled.
    pub(crate) settling: Arc<SettleHint>,
    /// Its credentials.
    pub(crate) secrets: Secrets,
    /// What is done about credentials that nobody registered, where an agent's configuration does not say.
    pub(crate) formats: Formats,
    /// Takes out of a text what needs no vault: shapes of credentials.
    pub(crate) scrubber: Scrubber,
    /// What becomes of the secrets of an agent that is deleted.
    pub(crate) on_agent_delete: OnAgentDelete,
    /// The agents that are being removed here.
    pub(crate) removals: Arc<Removals>,
    /// The events of the installation.
    pub(crate) system_events: Log,
    /// The engine's own tasks, joined by its close.
    pub(crate) background: TaskTracker,
    /// Said when the engine closes: what may go on without end stops at its next step.
    pub(crate) leaving: CancellationToken,
    /// Whether no other process can write the store meanwhile.
    pub(crate) is_exclusive: bool,
    /// The request under whose key its commands are done, if there is one.
    pub(crate) once: Option<Arc<Once>>,
    /// How its budgets behave.
    pub(crate) budgets: BudgetOptions,
    /// The commands that touch its accounts share commits.
    pub(crate) ledger: Arc<Ledger>,
    /// Rings when accounts have more to give.
    pub(crate) freed: Freed,
    /// Commits of which it is not known whether they were done.
    pub(crate) unsettled: Arc<Unsettled>,
}

/// What a command answered, and the commit it made; none when there was nothing to do.
#[derive(Debug)]
pub(crate) struct Done<T> {
    pub(crate) answer: T,
    pub(crate) version: Option<Version>,
    /// What each of its moves of accounts answered.
    pub(crate) moved: Vec<Moved>,
}

impl Core {
    /// The same, for what is done beside a request: it stands under no key of one.
    pub(crate) fn unasked(&self) -> Self {
        Self {
            once: None,
            ..self.clone()
        }
    }

    /// The same, read through this namespace of it, in which some is known.
    pub(crate) fn reading(&self, space: Namespace<Tenant>) -> Self {
        Self {
            space,
            ..self.clone()
        }
    }

    /// Runs a command: `decide` reads, decides and stages, and the draft is committed; after a lost race all of it
    /// is done again on fresh rows. Time and operation stay those of the first attempt.
    pub(crate) async fn command<T, F, D>(&self, by: &Principal, decide: F) -> Result<Done<T>, CommandError>
    where
        F: Fn(Draft) -> D,
        D: Future<Output = Result<Verdict<T>, CommandError>>,
    {
        let now = self.environment.clock.now();
        let op = OpId::make(now, &self.environment.random);
        let deadline = Instant::now() + DEADLINE;
        let mut delay = DELAY_MIN;
        // What the engine does by itself is nobody's request.
        let once = self.once.as_deref().filter(|_| by.channel != Channel::Engine);
        // Ends after ATTEMPTS_MAX attempts at the latest.
        for attempt in 1.. {
            let draft = Draft::new(self, by, now, op);
            // What a command decides is deep: on the stack of whoever asks it would be there several times.
            let decided = || Box::pin(decide(draft));
            let error = match self.attempt(once, decided, op, deadline).await {
                Err(error) if error.is_congestion() => error,
                // What was in its way is moved aside: it is decided again without it.
                Err(error) if bad::heed(self, &error).await => error,
                answered => return answered,
            };
            if attempt == ATTEMPTS_MAX || Instant::now() + delay >= deadline {
                return Err(match error {
                    CommandError::Contended { .. } => CommandError::Contended { attempts: attempt },
                    other => other,
                });
            }
            tokio::time::sleep(self.jittered(delay)).await;
            delay = (delay * 2).min(DELAY_MAX);
        }
        unreachable!("the loop returns at its last attempt")
    }

    async fn attempt<T, D>(
        &self,
        once: Option<&Once>,
        decide: impl FnOnce() -> D,
        op: OpId,
        deadline: Instant,
    ) -> Result<Done<T>, CommandError>
    where
        D: Future<Output = Result<Verdict<T>, CommandError>>,
    {
        // Its first commit writes the row of its key; what follows belongs to the same request.
        let once = once.filter(|once| once.is_open());
        let before = match once {
            Some(once) => Some(idempotency::before(self, once, self.environment.clock.now()).await?),
            None => None,
        };
        match decide().await? {
            Verdict::Nothing(answer) => Ok(Done {
                answer,
                version: None,
                moved: Vec::new(),
            }),
            Verdict::Commit(mut draft, answer) => {
                self.finish(&mut draft).await?;
                // What is refused did nothing: the next try is judged afresh.
                let once = once.filter(|_| !draft.is_refusal());
                if let (Some(once), Some(before)) = (once, &before) {
                    let results = draft.told().to_vec();
                    idempotency::stage(self, &mut draft, once, before, &results).await?;
                }
                let landed = self.land(draft, Deadline::at(deadline)).await;
                let landed = landed.map_err(|error| of_command(error, op))?;
                if let Some(once) = once {
                    once.written();
                }
                Ok(Done {
                    answer,
                    version: landed.version,
                    moved: landed.moved,
                })
            }
        }
    }

    /// Commits a draft that is no command's, as commands are committed. It is not tried again.
    pub(crate) async fn commit(&self, mut draft: Draft, deadline: Deadline) -> Result<Entered, CommandError> {
        self.finish(&mut draft).await?;
        self.land(draft, deadline).await
    }

    /// Commits a draft of rows that were set aside, and of nothing else: no wake row and no thread follows from it.
    pub(crate) async fn commit_aside(
        &self,
        draft: Draft,
        deadline: Deadline,
    ) -> Result<Entered, CommandError> {
        self.land(draft, deadline).await
    }

    /// Stages what each commit has at its end, whoever makes it: what becomes of threads, which may make tasks ready, and
    /// then the wake row of every agent that it gives something to do.
    async fn finish(&self, draft: &mut Draft) -> Result<(), CommandError> {
        thread::settle(self, draft).await?;
        crate::wake::stage(self, draft).await
    }

    /// Commits what is finished, by the ledger where it touches accounts. Whom it concerns in this process is told when it
    /// is done, also where the caller is gone by then.
    async fn land(&self, mut draft: Draft, deadline: Deadline) -> Result<Entered, CommandError> {
        debug_assert!(draft.hints().rings.is_empty(), "it is finished");
        if draft.moves_accounts() {
            return enter(self, draft).await;
        }
        let telling = Telling::of(self, &mut draft);
        let (space, unsettled) = (self.space.clone(), Arc::clone(&self.unsettled));
        let (ops, op) = draft.ops();
        let batch = draft.into_batch();
        let commit = async move {
            let committed = settled(&space, batch, op, deadline).await;
            let committed = committed.map_err(|(error, unknown)| {
                if let Some(batch) = unknown {
                    unsettled.keep(&ops, op, &batch);
                    telling.doubted();
                }
                error
            });
            // All are told before the caller is.
            drop(telling);
            committed
        };
        let committed = Landing::new(commit, &self.background).await?;
        Ok(Entered {
            version: committed.version,
            moved: Vec::new(),
        })
    }

    /// A call of the secrets' verbs, now, which is told as a command of its own.
    pub(crate) fn call_of_secrets(&self, by: &Principal) -> Call {
        let now = self.environment.clock.now();
        self.told_call(by, now, OpId::make(now, &self.environment.random))
    }

    /// The same, as a part of a draft's command.
    pub(crate) fn call_of_draft(&self, draft: &Draft) -> Call {
        self.told_call(draft.actor(), draft.now(), draft.op())
    }

    fn told_call(&self, by: &Principal, now: Timestamp, op: OpId) -> Call {
        let journal = EventJournal {
            tenant: self.tenant.clone(),
            events: self.events.clone(),
            system: self.system_events.clone(),
            now,
            op,
            actor: by.clone(),
            random: Arc::clone(&self.environment.random),
        };
        Call::told(now, Arc::new(journal))
    }

    /// An agent that is there and stays.
    pub(crate) async fn agent_if_there(
        &self,
        name: &AgentName,
    ) -> Result<Option<Versioned<Agent>>, CommandError> {
        let row = Records::<Agent>::new(&self.space).get(name).await?;
        Ok(row.filter(|agent| match agent.state {
            AgentState::Active | AgentState::Paused => true,
            AgentState::Deleting | AgentState::Deleted => false,
        }))
    }

    /// Which life of an agent is the present one; none when there is none of that name. What a former one wrote is missing
    /// for whoever asks by the name.
    pub(crate) async fn living(&self, name: &AgentName) -> Result<Option<Incarnation>, CommandError> {
        let row = Records::<Agent>::new(&self.space).get(name).await?;
        let there = row.filter(|agent| agent.state != AgentState::Deleted);
        Ok(there.map(|agent| agent.incarnation))
    }

    /// The delay and up to as much again.
    pub(crate) fn jittered(&self, delay: Duration) -> Duration {
        let micros = u64::try_from(delay.as_micros()).expect("delays are short");
        delay + Duration::from_micros(self.environment.random.up_to(micros))
    }
}

/// What is not known is asked for by the command's operation.
fn of_command(error: CommandError, op: OpId) -> CommandError {
    match error {
        CommandError::Indeterminate { source, .. } => CommandError::Indeterminate { op: Some(op), source },
        other => other,
    }
}
