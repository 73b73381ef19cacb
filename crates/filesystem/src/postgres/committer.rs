//! Takes what waits and lets it run, as many transactions at once as there are connections for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::claims::Claims;
use super::failure::NotDone;
use super::fate::{Fate, fate};
use super::queue::{Answer, Group, Waiting};
use super::session::Session;
use super::shared::Shared;
use super::transaction::{Ended, grouped, lone};
use super::{prune, read};
use crate::judge::judge;
use crate::{BusyCause, CommitError, Committed, Key, Source};

/// Most tries of one transaction.
const ATTEMPTS_MAX: u32 = 6;
/// How much longer than its commits' deadlines a transaction is waited for before its connection is given up.
const GRACE: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs until the queue is closed and empty.
pub(super) async fn commit_all(shared: Arc<Shared>) {
    let mut running = JoinSet::new();
    // Ends when the queue is closed and everything it had is answered.
    loop {
        while running.len() < shared.transactions_max {
            let group = shared.queue.take();
            if group.commits.is_empty() {
                break;
            }
            running.spawn(run(Arc::clone(&shared), group));
        }
        if running.len() < shared.transactions_max && prune::falls_due(&shared) {
            running.spawn(prune::prune(Arc::clone(&shared)));
        }
        if shared.queue.refusal().is_some() && running.is_empty() && shared.queue.waiting() == 0 {
            return;
        }
        tokio::select! {
            () = shared.queue.changed.notified() => {}
            Some(ended) = running.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a transaction of the store panicked");
                }
            }
        }
    }
}

/// Gives a group's names free at its end, whichever that is.
struct Release {
    shared: Arc<Shared>,
    claims: Vec<Claims>,
}

impl Release {
    fn now(&mut self) {
        self.shared.queue.release(self.claims.drain(..));
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        self.now();
    }
}

/// One group to its end. Congestion is tried again within the deadlines.
async fn run(shared: Arc<Shared>, mut group: Group) {
    let mut release = Release {
        shared: Arc::clone(&shared),
        claims: group
            .commits
            .iter()
            .map(|waiting| waiting.claims.clone())
            .collect(),
    };
    let mut why = NotDone::Congestion;
    for attempt in 1..=ATTEMPTS_MAX {
        match try_once(&shared, group, &mut release).await {
            Tried::Answered(lost) => return tell_lost(&shared, lost).await,
            Tried::NotDone(waiting, reason) => (group, why) = (waiting, reason),
        }
        if attempt < ATTEMPTS_MAX {
            sleep(shared.delay(attempt)).await;
        }
    }
    refuse(group, why);
}

enum Tried {
    /// And these lost to it while it was under way.
    Answered(Vec<Waiting>),
    NotDone(Group, NotDone),
}

async fn try_once(shared: &Arc<Shared>, mut group: Group, release: &mut Release) -> Tried {
    answer_late(&mut group);
    if group.commits.is_empty() {
        return Tried::Answered(Vec::new());
    }
    let mut held = match shared.checkout().await {
        Ok(held) => held,
        Err(error) => return Tried::NotDone(group, NotDone::of_checkout(error)),
    };
    answer_late(&mut group);
    group.commits.retain(|waiting| waiting.ticket.send());
    let Some(last) = group.commits.iter().map(|waiting| waiting.deadline).max() else {
        held.give_back();
        return Tried::Answered(Vec::new());
    };
    let identity = held.session().identity.clone();
    let transaction = transact(held.session(), shared, &group.commits);
    match timeout_at(last + GRACE, transaction).await {
        Ok(Ended::Answered(answers)) => {
            held.give_back();
            Tried::Answered(finish(shared, group, answers, release))
        }
        Ok(Ended::NotDone(why)) => {
            held.give_back();
            not_done(group, why)
        }
        Ok(Ended::Lost(lost)) => {
            drop(held);
            match fate(shared, &group.commits, lost, identity, last).await {
                Fate::Done(answers) => Tried::Answered(finish(shared, group, answers, release)),
                Fate::NotDone => not_done(group, NotDone::Unavailable(None)),
                Fate::Unknown(source) => lose(shared, group, source),
            }
        }
        Err(_) => lose(shared, group, None),
    }
}

/// Answers those whose deadline passed before they were sent.
fn answer_late(group: &mut Group) {
    let now = Instant::now();
    for late in group.commits.extract_if(.., |waiting| waiting.deadline <= now) {
        late.answer(Err(CommitError::Busy {
            cause: BusyCause::Deadline,
        }));
    }
}

fn not_done(group: Group, why: NotDone) -> Tried {
    for waiting in &group.commits {
        waiting.ticket.take_back();
    }
    Tried::NotDone(group, why)
}

async fn transact(session: &mut Session, shared: &Shared, group: &[Waiting]) -> Ended {
    match group {
        [one] => lone(session, &shared.sql, &one.batch).await,
        several => {
            let batches: Vec<_> = several.iter().map(|waiting| &waiting.batch).collect();
            grouped(session, &shared.sql, &batches).await
        }
    }
}

/// Publishes what was done, then acknowledges it.
fn finish(shared: &Shared, group: Group, answers: Vec<Answer>, release: &mut Release) -> Vec<Waiting> {
    let mut settled = group.settled();
    let is_shared = group.commits.len() > 1;
    for (waiting, answer) in group.commits.iter().zip(&answers) {
        // What fails alone leaves nothing; beside others that are done, the rows it locked stay.
        if answer.is_ok() || is_shared {
            let left = prune::rows_left(&waiting.batch, answer.is_ok());
            shared.leftover.fetch_add(left, Ordering::Relaxed);
        }
        let Ok(Committed {
            version: Some(version),
            ..
        }) = answer
        else {
            continue;
        };
        shared.commits.fetch_add(1, Ordering::Relaxed);
        shared.hint(waiting.claims.changed());
        settled.add(waiting, *version);
    }
    if answers.iter().any(Result::is_ok) {
        shared.flushes.fetch_add(1, Ordering::Relaxed);
    }
    let lost = shared.queue.settle(&settled);
    // Readers that waited for this write come first: its writer would win against them for ever.
    release.now();
    for (waiting, answer) in group.commits.into_iter().zip(answers) {
        waiting.answer(answer);
    }
    lost
}

/// Each expects a version that is past, of one record. One read tells all what is there instead.
async fn tell_lost(shared: &Shared, lost: Vec<Waiting>) {
    if lost.is_empty() {
        return;
    }
    let mut keys: Vec<Key> = lost
        .iter()
        .flat_map(|waiting| waiting.batch.keys().map(|(key, _)| key.clone()))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let names: Vec<&str> = keys.iter().map(Key::stored).collect();
    let versions = read::versions(shared, &names).await;
    for waiting in lost {
        let judged = versions.as_ref().map(|versions| {
            judge(
                &waiting.batch,
                |key| versions.get(key.stored()).copied(),
                |_| None,
            )
        });
        waiting.answer(match judged {
            Ok(Err(conflict)) => Err(conflict),
            // It was not sent, so it was not done.
            Ok(Ok(())) | Err(_) => Err(CommitError::Busy {
                cause: BusyCause::Contention,
            }),
        });
    }
}

/// It may have been done: whoever watches looks.
fn lose(shared: &Shared, group: Group, source: Option<Source>) -> Tried {
    let mut source = source;
    for waiting in group.commits {
        shared.hint(waiting.claims.changed());
        waiting.answer(Err(CommitError::Indeterminate {
            source: source.take(),
        }));
    }
    Tried::Answered(Vec::new())
}

fn refuse(group: Group, why: NotDone) {
    let cause = why.cause();
    let mut source = why.source();
    for waiting in group.commits {
        waiting.answer(Err(match cause {
            Some(cause) => CommitError::Busy { cause },
            None => CommitError::Unavailable {
                source: source.take(),
            },
        }));
    }
}
