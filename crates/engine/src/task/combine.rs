//! Creations share commits. Each writes the one row of numbers, so fighting for it would let one of them through per
//! flush: those that come while a commit is in flight go together in the next. No delay is added.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::create::{Clean, numbered};
use super::sight::Sight;
use super::standing::{Maker, Standing};
use super::{NewTask, Numbers, Receiver, Task};
use crate::agent::AgentState;
use crate::bad::heed;
use crate::combine::{Combiner, Waits};
use crate::core::Core;
use crate::credentials::Credentials;
use crate::draft::{Draft, Verdict};
use crate::idempotency::{self, Before, IdempotencyId, Once};
use crate::limits::{CREATIONS_BYTES_MAX, CREATIONS_MAX, CREATIONS_OPERATIONS_MAX, CREATIONS_WAITING_MAX};
use crate::resolve::{the_same, unknown};
use crate::{CommandError, OpId, PrefixedId, Principal, RunId, Subject};

/// The creations of a tenant that wait for a commit.
pub(crate) type Creations = Combiner<Creation>;

/// One creation, and where its answer is waited for.
pub(crate) struct Creation {
    by: Principal,
    op: OpId,
    maker: Maker,
    new: NewTask,
    clean: Clean,
    once: Option<Arc<Once>>,
    answer: oneshot::Sender<Answer>,
}

impl Creation {
    /// At most how many operations of a batch it takes. What gives it away has rows of its own.
    fn operations(&self) -> usize {
        let of_giver = match self.maker {
            Maker::Seen(_) => 0,
            Maker::Run(_) => 12,
        };
        self.new.operations() + of_giver
    }
}

/// A task that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) task: Task,
    /// How the agent is that is to do it.
    pub(super) receiver: Receiver,
}

type Answer = Result<Made, CommandError>;

/// Makes a task for whoever sees this, in a commit with the others that wait. A caller that is dropped while it waits
/// makes none.
pub(super) async fn create(core: &Arc<Core>, by: &Principal, sight: Sight, new: NewTask) -> Answer {
    enqueue(core, by, Maker::Seen(sight), new).await
}

/// The same in the name of a live run, which gives it away.
pub(super) async fn delegate(core: &Arc<Core>, by: &Principal, run: RunId, new: NewTask) -> Answer {
    enqueue(core, by, Maker::Run(run), new).await
}

async fn enqueue(core: &Arc<Core>, by: &Principal, maker: Maker, new: NewTask) -> Answer {
    let scrubber = Credentials::new(core).scrubber(&new.assignee).await?;
    let clean = Clean::of(&new, &scrubber);
    let op = OpId::make(core.environment.clock.now(), &core.environment.random);
    let (answer, answered) = oneshot::channel();
    let by = by.clone();
    let creation = Creation {
        by,
        op,
        maker,
        new,
        clean,
        once: core.once.clone().filter(|once| once.is_open()),
        answer,
    };
    enter(core, creation)?;
    // Without an answer the process is ending: the commit may have been sent.
    answered.await.unwrap_or_else(|_| Err(unknown(Some(op))))
}

fn enter(core: &Arc<Core>, waiting: Creation) -> Result<(), CommandError> {
    if core.creations.enter(waiting, CREATIONS_WAITING_MAX)? {
        core.background.spawn(serve(Arc::clone(core)));
    }
    Ok(())
}

/// Commits group after group. Ends when nobody waits.
async fn serve(core: Arc<Core>) {
    let room = || {
        let (mut count, mut bytes, mut operations) = (0, 0_usize, 0);
        move |creation: &Creation| {
            count += 1;
            bytes = creation.new.bytes().saturating_add(bytes);
            operations += creation.operations();
            count <= CREATIONS_MAX && bytes <= CREATIONS_BYTES_MAX && operations <= CREATIONS_OPERATIONS_MAX
        }
    };
    let served = &core;
    let settle = |group| async move {
        answer(served, group).await;
        Vec::new()
    };
    core.creations.serve(room, settle).await;
}

impl Waits for Creation {
    fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }

    fn not_before(&self) -> Option<Instant> {
        None
    }
}

/// Commits a group and tells each its answer. One that spoils the commit of all is found by committing each alone.
async fn answer(core: &Arc<Core>, group: Vec<Creation>) {
    match commit(core, &group).await {
        Ok(answers) => {
            for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                heed(core, error).await;
            }
            tell(group, answers);
        }
        Err(error) if group.len() == 1 && !matches!(error, CommandError::Indeterminate { .. }) => {
            tell(group, vec![Err(error)]);
        }
        Err(
            error @ (CommandError::Indeterminate { .. }
            | CommandError::Unavailable(_)
            | CommandError::Contended { .. }),
        ) => {
            let answers = group
                .iter()
                .map(|creation| Err(the_same(&error, Some(creation.op))))
                .collect();
            tell(group, answers);
        }
        Err(_) => {
            for creation in group {
                let alone = [creation];
                let answers = commit(core, &alone).await;
                let answers = answers.unwrap_or_else(|error| vec![Err(error)]);
                tell(alone, answers);
            }
        }
    }
}

fn tell(group: impl IntoIterator<Item = Creation>, answers: Vec<Answer>) {
    for (creation, answer) in group.into_iter().zip(answers) {
        if let (Some(once), Ok(_)) = (&creation.once, &answer) {
            once.written();
        }
        // Nobody waits any more: the task is there all the same.
        drop(creation.answer.send(answer));
    }
}

async fn commit(core: &Arc<Core>, group: &[Creation]) -> Result<Vec<Answer>, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |draft| staged(core, draft, group)).await?;
    Ok(done.answer)
}

/// Stages a group. One that is refused drops out alone.
async fn staged(
    core: &Arc<Core>,
    mut draft: Draft,
    group: &[Creation],
) -> Result<Verdict<Vec<Answer>>, CommandError> {
    let mut standing = Standing::new(core);
    let mut found = Vec::with_capacity(group.len());
    let mut keys = Keys::default();
    for creation in group {
        if let Err(error) = keys.look(core, &draft, creation).await {
            if error.is_congestion() {
                return Err(error);
            }
            found.push(Err(error));
            continue;
        }
        let grounds = standing.grounds(&mut draft, &creation.maker, &creation.new, creation.op);
        match grounds.await {
            Err(error) if error.is_congestion() => return Err(error),
            grounds => found.push(grounds),
        }
    }
    let made = found.iter().filter(|grounds| grounds.is_ok()).count();
    if made == 0 {
        let refused = found.into_iter().filter_map(|grounds| grounds.err().map(Err));
        return Ok(Verdict::Nothing(refused.collect()));
    }
    standing.stage(&mut draft).await?;
    let mut numbers = Numbers::read(core).await?;
    let mut answers = Vec::with_capacity(group.len());
    for (creation, grounds) in group.iter().zip(found) {
        answers.push(match grounds {
            Err(error) => Err(error),
            Ok(grounds) => {
                draft.act_for(&creation.by, creation.op);
                let new = (&creation.new, &creation.clean);
                let task = numbered(core, &mut draft, &grounds, new, numbers.take())?;
                keys.stage(core, &mut draft, creation, &task).await?;
                let receiver = match grounds.agent.state {
                    AgentState::Paused => Receiver::Paused,
                    AgentState::Active | AgentState::Deleting | AgentState::Deleted => Receiver::Active,
                };
                Ok(Made { task, receiver })
            }
        });
    }
    numbers.stage(core, &mut draft).await?;
    Ok(Verdict::Commit(draft, answers))
}

/// The idempotency keys of a group.
#[derive(Default)]
struct Keys(HashMap<IdempotencyId, Before>);

impl Keys {
    /// Whether nothing was done under the creation's key yet. Of two under one key the first is made, and the other is
    /// told to come again: then it finds it.
    async fn look(&mut self, core: &Core, draft: &Draft, creation: &Creation) -> Result<(), CommandError> {
        let Some(once) = &creation.once else { return Ok(()) };
        if self.0.contains_key(&once.id()) {
            return Err(CommandError::DoneBefore { results: Vec::new() });
        }
        let before = idempotency::before(core, once, draft.now()).await?;
        self.0.insert(once.id(), before);
        Ok(())
    }

    async fn stage(
        &self,
        core: &Core,
        draft: &mut Draft,
        creation: &Creation,
        task: &Task,
    ) -> Result<(), CommandError> {
        let Some(once) = &creation.once else { return Ok(()) };
        let before = self.0.get(&once.id()).expect("each key was looked at");
        let results = [Subject::Task(task.id)];
        idempotency::stage(core, draft, once, before, &results).await
    }
}
