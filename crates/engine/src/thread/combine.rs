//! Appends share commits. Each takes the version of its thread, so fighting for that would let one of them through per
//! flush: those that come while a commit is in flight go together in the next, in the order in which they came. No
//! delay is added.

use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;

use dormouse_filesystem::Versioned;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::append::{Ready, Work};
use super::{Append, Appended};
use crate::agent::{Agent, Agents};
use crate::bad::heed;
use crate::combine::{Combiner, Waits};
use crate::core::Core;
use crate::credentials::Credentials;
use crate::draft::{Draft, Verdict};
use crate::idempotency::{self, Before, IdempotencyId, Once};
use crate::limits::{APPENDS_BYTES_MAX, APPENDS_MAX, APPENDS_WAITING_MAX};
use crate::resolve::{the_same, unknown};
use crate::task::Numbers;
use crate::{AgentName, CommandError, OpId, PrefixedId, Principal, Subject, ThreadId};

/// The appends of a tenant that wait for a commit.
pub(crate) type Appends = Combiner<Waiting>;

/// One append, and where its answer is waited for.
pub(crate) struct Waiting {
    by: Principal,
    op: OpId,
    thread: ThreadId,
    ready: Ready,
    once: Option<Arc<Once>>,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Appended, CommandError>;

/// Appends a message, in a commit with the others that wait. A caller that is dropped while it waits appends none.
pub(super) async fn append(core: &Arc<Core>, by: &Principal, thread: ThreadId, new: &Append) -> Answer {
    let once = core.once.clone().filter(|once| once.is_open());
    if let Some(once) = &once {
        // Before its content is written for nothing.
        idempotency::before(core, once, core.environment.clock.now()).await?;
    }
    let agent = match super::service::get(core, thread).await {
        Ok(thread) => thread.agent.clone(),
        Err(error) => {
            heed(core, &error).await;
            return Err(error);
        }
    };
    let scrubber = Credentials::new(core).scrubber(&agent).await?;
    let ready = Ready::of(core, new, &scrubber).await?;
    let op = OpId::make(core.environment.clock.now(), &core.environment.random);
    let (answer, answered) = oneshot::channel();
    let waiting = Waiting {
        by: by.clone(),
        op,
        thread,
        ready,
        once,
        answer,
    };
    enter(core, waiting)?;
    // Without an answer the process is ending: the commit may have been sent.
    answered.await.unwrap_or_else(|_| Err(unknown(Some(op))))
}

fn enter(core: &Arc<Core>, waiting: Waiting) -> Result<(), CommandError> {
    if core.appends.enter(waiting, APPENDS_WAITING_MAX)? {
        core.background.spawn(serve(Arc::clone(core)));
    }
    Ok(())
}

/// Commits group after group. Ends when nobody waits.
async fn serve(core: Arc<Core>) {
    let room = || {
        let (mut count, mut bytes) = (0, 0);
        move |waiting: &Waiting| {
            count += 1;
            bytes += waiting.ready.content.bytes();
            count <= APPENDS_MAX && bytes <= APPENDS_BYTES_MAX
        }
    };
    let served = &core;
    let settle = |group| async move {
        answer(served, group).await;
        Vec::new()
    };
    core.appends.serve(room, settle).await;
}

impl Waits for Waiting {
    fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }

    fn not_before(&self) -> Option<Instant> {
        None
    }
}

/// Commits a group and tells each its answer. One that spoils the commit of all is found by committing each alone.
async fn answer(core: &Arc<Core>, group: Vec<Waiting>) {
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
                .map(|waiting| Err(the_same(&error, Some(waiting.op))))
                .collect();
            tell(group, answers);
        }
        Err(_) => {
            for waiting in group {
                let alone = [waiting];
                let answers = commit(core, &alone).await;
                let answers = answers.unwrap_or_else(|error| vec![Err(error)]);
                tell(alone, answers);
            }
        }
    }
}

fn tell(group: impl IntoIterator<Item = Waiting>, answers: Vec<Answer>) {
    for (waiting, answer) in group.into_iter().zip(answers) {
        if let (Some(once), Ok(_)) = (&waiting.once, &answer) {
            once.written();
        }
        // Nobody waits any more: the message is there all the same.
        drop(waiting.answer.send(answer));
    }
}

async fn commit(core: &Arc<Core>, group: &[Waiting]) -> Result<Vec<Answer>, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |draft| staged(core, draft, group)).await?;
    Ok(done.answer)
}

/// Stages a group. One that is refused drops out alone.
async fn staged(
    core: &Arc<Core>,
    mut draft: Draft,
    group: &[Waiting],
) -> Result<Verdict<Vec<Answer>>, CommandError> {
    let mut threads = Threads {
        core,
        agents: HashMap::new(),
        works: HashMap::new(),
        keys: HashMap::new(),
        numbers: Numbers::read(core).await?,
    };
    let mut answers = Vec::with_capacity(group.len());
    for waiting in group {
        match threads.append(&mut draft, waiting).await {
            Err(error) if error.is_congestion() => return Err(error),
            answer => answers.push(answer),
        }
    }
    if answers.iter().all(Result::is_err) {
        return Ok(Verdict::Nothing(answers));
    }
    draft.act_for(&Principal::engine(), draft.op());
    threads.end(&mut draft).await?;
    Ok(Verdict::Commit(draft, answers))
}

/// The threads of a group, each read once.
struct Threads<'c> {
    core: &'c Arc<Core>,
    agents: HashMap<AgentName, Versioned<Agent>>,
    works: HashMap<ThreadId, Work>,
    keys: HashMap<IdempotencyId, Before>,
    numbers: Numbers,
}

impl Threads<'_> {
    async fn append(&mut self, draft: &mut Draft, waiting: &Waiting) -> Answer {
        let core = self.core;
        self.look(draft, waiting).await?;
        if let Entry::Vacant(place) = self.works.entry(waiting.thread) {
            place.insert(Work::begin(core, waiting.thread).await?);
        }
        let name = self.works[&waiting.thread].thread.agent.clone();
        let incarnation = self.works[&waiting.thread].thread.agent_incarnation;
        if !self.agents.contains_key(&name) {
            let agent = Agents::new(core).require(draft, &name).await?;
            self.agents.insert(name.clone(), agent);
        }
        let agent = &self.agents[&name];
        if agent.incarnation != incarnation {
            return Err(CommandError::not_found("thread", &waiting.thread));
        }
        let work = self.works.get_mut(&waiting.thread).expect("it was begun");
        // From here on it is staged: nothing refuses it any more.
        let status = work.arrival(&waiting.ready)?;
        draft.act_for(&waiting.by, waiting.op);
        let message = work.append(core, draft, (agent, &mut self.numbers), (&waiting.ready, status));
        let message = message.await?;
        if let Some(once) = &waiting.once {
            let before = self.keys.get(&once.id()).expect("each key was looked at");
            let task = message.task.map(Subject::Task);
            let results: Vec<Subject> = std::iter::once(Subject::Message(message.id))
                .chain(task)
                .collect();
            idempotency::stage(core, draft, once, before, &results).await?;
        }
        Ok(Appended::of(&message))
    }

    /// Whether nothing was done under its key yet. Of two under one key the first is appended, and the other is told to
    /// look again: then it finds it.
    async fn look(&mut self, draft: &Draft, waiting: &Waiting) -> Result<(), CommandError> {
        let Some(once) = &waiting.once else { return Ok(()) };
        if self.keys.contains_key(&once.id()) {
            return Err(CommandError::DoneBefore { results: Vec::new() });
        }
        let before = idempotency::before(self.core, once, draft.now()).await?;
        self.keys.insert(once.id(), before);
        Ok(())
    }

    async fn end(self, draft: &mut Draft) -> Result<(), CommandError> {
        for work in self.works.into_values().filter(Work::has_changed) {
            work.end(self.core, draft).await?;
        }
        self.numbers.stage(self.core, draft).await
    }
}
