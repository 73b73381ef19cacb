//! The committer: one thread that writes. Read, decide, write, flush, publish, acknowledge: in that order.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::answer::{Answer, indeterminate, refuse_closed};
use super::apply::{Mode, apply};
use super::audit::Audit;
use super::cleaner::{Cleaner, Step, Unclean};
use super::decide::{Group, Undecided};
use super::index::{Index, Patience};
use super::queue::{Ending, Next, Waiting};
use super::shared::{INDEX_FAILED, Shared};
use super::tally::Tally;
use super::work::Work;
use crate::commit_log::checkpoint::Checkpoint;
use crate::commit_log::{Appender, NoRoom, Purpose};
use crate::{BusyCause, CommitError};

/// When writing has stopped for this long a checkpoint is made, once; then the committer sleeps without a timer.
const IDLE: Duration = Duration::from_secs(1);

/// The part of a flush's time that may go by while those just told come back.
const GATHER_PART: u32 = 8;
/// And never more than this, whatever a flush took.
const GATHER_MAX: Duration = Duration::from_millis(2);

pub(super) const FLUSH_FAILED: &str = "a flush failed; opening it again decides what was written";
const LOCK_LOST: &str = "its lock file was replaced";
const COMMITTER_FAILED: &str = "its committer failed";
pub(crate) const SHUT_DOWN: &str = "it was shut down";

/// The one writer of an open store.
#[derive(Debug)]
pub(crate) struct Committer<I: Index> {
    pub(super) shared: Arc<Shared<I>>,
    pub(super) appender: Appender,
    pub(super) store: [u8; 16],
    /// The version of the next commit.
    next: u64,
    pub(super) tally: Tally,
    /// Bytes of the operations that are live.
    pub(super) live: i64,
    group: Group,
    /// Whether something was written since the last checkpoint, or since the round under way began.
    pub(super) is_behind: bool,
    /// The round under way: its checkpoint, once all that was there when it began is durable behind the log.
    pub(super) round: Option<Checkpoint>,
    /// What the last flush took.
    flush_time: Duration,
    pub(super) cleaner: Option<Cleaner>,
    pub(super) audit: Option<Audit>,
}

/// What a committer begins with.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) appender: Appender,
    pub(crate) store: [u8; 16],
    /// The version of the first commit.
    pub(crate) next: u64,
    pub(crate) tally: Tally,
    pub(crate) live: i64,
    pub(crate) is_behind: bool,
    /// None where nothing stays in the log.
    pub(crate) cleaner: Option<Cleaner>,
    /// None where the index is known to be what it must.
    pub(crate) audit: Option<Audit>,
}

impl<I: Index> Committer<I> {
    pub(crate) fn new(shared: Arc<Shared<I>>, begun: Begun) -> Self {
        let group = Group::new(begun.appender.seed());
        shared.noted.show(begun.next - 1);
        Self {
            shared,
            appender: begun.appender,
            store: begun.store,
            next: begun.next,
            tally: begun.tally,
            live: begun.live,
            group,
            is_behind: begun.is_behind,
            round: None,
            flush_time: Duration::ZERO,
            cleaner: begun.cleaner,
            audit: begun.audit,
        }
    }

    /// Runs until the queue ends. A panic in it closes the store and leaves the process alive.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let ran = catch_unwind(AssertUnwindSafe(|| self.work()));
        if ran.is_err() {
            shared.refuse_writes(COMMITTER_FAILED);
        }
        shared.refuse_writes(SHUT_DOWN);
        I::abandon(&shared);
        shared.watches.close();
    }

    /// Ends when the queue does.
    fn work(&mut self) {
        loop {
            match self.shared.queue.next(self.idle()) {
                Next::Group(waiting) => {
                    let told = waiting.len();
                    let came_meanwhile = self.commit(waiting);
                    self.audit();
                    if self.round.is_some() {
                        self.settle(Patience::None);
                    }
                    self.gather(told + came_meanwhile);
                }
                Next::Idle if self.audit.is_some() => self.audit(),
                Next::Idle => self.settle(Patience::None),
                Next::Closed(Ending::Clean) => return self.end(),
                Next::Closed(Ending::Dropped) => return,
            }
        }
    }

    /// How long it waits for work before it makes what was written durable behind the log; none when it is.
    fn idle(&self) -> Option<Duration> {
        match (&self.audit, &self.round) {
            (Some(_), _) => Some(Duration::ZERO),
            (None, Some(_)) if self.waits_for_export() => Some(IDLE),
            (None, Some(_)) => Some(I::BETWEEN_STEPS),
            (None, None) => self.is_behind.then_some(IDLE),
        }
    }

    /// Lets those just told come back with their next commit, so that callers who write one thing after the other
    /// share one flush, and do not split into groups that take turns at it.
    ///
    /// It ends as soon as as many wait as were told or came meanwhile, and in any case within a small part of what a
    /// flush takes: it is no timer, and one caller alone never waits for another.
    fn gather(&self, callers: usize) {
        let at_most = (self.flush_time / GATHER_PART).min(GATHER_MAX);
        self.shared.queue.gather(callers, at_most);
    }

    /// Tells the queue what a group took that was flushed: its flush and all else, waiting for the index and from judging it
    /// to telling its callers. One that is all refused says nothing of that, nor does what is done for the log's sake.
    fn took(&self, time: Duration, commits: usize) {
        // A few commits say little of what one takes of many.
        if let Ok(commits @ 16..) = u32::try_from(commits) {
            let each = time.saturating_sub(self.flush_time) / commits;
            self.shared.queue.took(self.flush_time, each);
        }
    }

    /// Commits a group; tells how many came while it was written.
    fn commit(&mut self, waiting: Vec<Waiting>) -> usize {
        let works = in_time(waiting);
        if !self.shared.holds_lock() {
            return self.without_lock(works);
        }
        let behind = Instant::now();
        if let Err(error) = I::keep_up(&self.shared) {
            self.shared.index_failed(&error);
            works
                .into_iter()
                .for_each(|work| work.refuse(CommitError::Closed { reason: INDEX_FAILED }));
            return 0;
        }
        let waited = behind.elapsed();
        let works = self.with_room(works);
        let step = match self.clean(&works) {
            Ok(step) => step,
            Err(error) => {
                self.without_log(works, &error);
                return 0;
            }
        };
        let (begin, told) = (Instant::now(), works.len());
        self.group.begin(self.appender.next_place(), self.next);
        let moved = step.as_ref().map_or(0, |step| self.group.move_again(&step.moves));
        let answers = self.decide(works);
        if self.group.places.is_empty() {
            self.acknowledge(answers);
            return 0;
        }
        let flushed = self.flush();
        let came_meanwhile = self.shared.queue.waiting();
        match flushed {
            // Somebody may have opened it meanwhile, with or without what was written just now.
            Ok(()) if !self.shared.holds_lock() => {
                self.without_lock(Vec::new());
                indeterminate(answers, LOCK_LOST);
            }
            Ok(()) => {
                if let Some(cleaner) = &mut self.cleaner {
                    cleaner.earn(self.group.bytes.len() - moved);
                    step.into_iter().for_each(|step| cleaner.taken(step));
                }
                self.publish(answers);
                self.took(waited + begin.elapsed(), told);
            }
            Err(error) => self.lost(answers, &error),
        }
        came_meanwhile
    }

    /// Makes room for all of it. Where there is none, what only gives space back may use the reserve.
    fn with_room(&mut self, works: Vec<Work>) -> Vec<Work> {
        let bytes = encoded_max(&works);
        let purpose = if works.iter().all(Work::is_reclaim) {
            Purpose::Reclaim
        } else {
            Purpose::Growth
        };
        match self.make_room(bytes, purpose) {
            Ok(()) => return works,
            Err(NoRoom::NoSpace) => {}
            Err(NoRoom::Failed(error)) => return self.without_log(works, &error),
        }
        let (reclaiming, growing): (Vec<Work>, Vec<Work>) = works.into_iter().partition(Work::is_reclaim);
        refuse_busy(growing, BusyCause::NoSpace);
        match self.make_room(encoded_max(&reclaiming), Purpose::Reclaim) {
            Ok(()) => reclaiming,
            Err(NoRoom::NoSpace) => {
                refuse_busy(reclaiming, BusyCause::NoSpace);
                Vec::new()
            }
            Err(NoRoom::Failed(error)) => self.without_log(reclaiming, &error),
        }
    }

    fn make_room(&mut self, bytes: u64, purpose: Purpose) -> Result<(), NoRoom> {
        if bytes == 0 {
            return Ok(());
        }
        if let Some(cleaner) = &self.cleaner {
            self.appender
                .set_segment_bytes(cleaner.segment_bytes(self.live()));
        }
        let has_rolled = self.appender.make_room(bytes, self.next, purpose)?;
        if let Some(cleaner) = &mut self.cleaner {
            cleaner.add(self.appender.take_whole());
        }
        if has_rolled && self.is_behind && self.round.is_none() {
            self.settle(Patience::None);
        }
        Ok(())
    }

    /// Bytes of what is live, as counted.
    pub(super) fn live(&self) -> u64 {
        u64::try_from(self.live).unwrap_or(0)
    }

    /// The cleaner's step in this group, with room for it beside what is to be committed. None when nothing is
    /// committed: it works while commits come.
    ///
    /// # Errors
    /// The log must not be written any more, though there had been room for what is to be committed: the segment that
    /// was to follow may have been begun, and says that nothing more comes before it.
    fn clean(&mut self, works: &[Work]) -> Result<Option<Step>, io::Error> {
        let Some(cleaner) = &self.cleaner else {
            return Ok(None);
        };
        let bytes = encoded_max(works);
        // What is live is what the index says. Until it was compared with the log, nothing goes on its word.
        if bytes == 0 || self.audit.is_some() {
            return Ok(None);
        }
        let (live, open_bytes) = (self.live(), self.appender.bytes());
        let step =
            self.shared.with_index(
                |index| match cleaner.step(&self.shared, index, live, open_bytes) {
                    Ok(step) => Ok(step),
                    Err(Unclean::Index(error)) => Err(error),
                    Err(Unclean::Io(error)) => {
                        tracing::warn!(%error, "a segment of the store could not be cleaned now");
                        Ok(None)
                    }
                },
            );
        let Some(step) = step.ok().flatten() else {
            return Ok(None);
        };
        if step.moves.is_empty() {
            if let Some(cleaner) = &mut self.cleaner {
                cleaner.taken(step);
            }
            return Ok(None);
        }
        // It gives space back: it may use the reserve.
        match self.make_room(bytes + step.encoded_max(), Purpose::Reclaim) {
            Ok(()) => Ok(Some(step)),
            Err(NoRoom::NoSpace) => Ok(None),
            Err(NoRoom::Failed(error)) => Err(error),
        }
    }

    /// Somebody replaced the lock file: another process may believe that it holds the store.
    fn without_lock(&self, works: Vec<Work>) -> usize {
        tracing::error!("the lock file of the store was replaced; the store is closed for writing");
        self.shared.refuse_writes(LOCK_LOST);
        for work in works {
            work.refuse(CommitError::Closed { reason: LOCK_LOST });
        }
        0
    }

    /// The log cannot be made longer and not for want of space: nothing of this was written.
    fn without_log(&self, works: Vec<Work>, error: &io::Error) -> Vec<Work> {
        tracing::error!(%error, "the log of the store cannot be made longer; the store is closed");
        self.shared.refuse_writes(FLUSH_FAILED);
        for work in works {
            work.refuse(CommitError::Closed { reason: FLUSH_FAILED });
        }
        Vec::new()
    }

    fn decide(&mut self, works: Vec<Work>) -> Vec<Answer> {
        let group = &mut self.group;
        let mut left = works.into_iter();
        let mut answers = Vec::with_capacity(left.len());
        let decided = self.shared.with_index(|index| {
            for work in left.by_ref() {
                match work {
                    Work::Commit(batch, to) => match group.commit(index, &batch) {
                        Ok(committed) => answers.push(Answer::Commit(to, Ok(committed))),
                        Err(Undecided::Refused(error)) => answers.push(Answer::Commit(to, Err(error))),
                        Err(Undecided::Past(_)) => unreachable!("a batch truncates nothing"),
                        Err(Undecided::Index(error)) => return Err(error),
                    },
                    Work::Truncate(truncate, to) => match group.truncate(index, &truncate) {
                        Ok(truncated) => answers.push(Answer::Truncate(to, Ok(truncated))),
                        Err(Undecided::Refused(error)) => {
                            answers.push(Answer::Truncate(to, Err(error.into())));
                        }
                        Err(Undecided::Past(error)) => answers.push(Answer::Truncate(to, Err(error))),
                        Err(Undecided::Index(error)) => return Err(error),
                    },
                }
            }
            Ok(())
        });
        if decided.is_err() {
            // The index failed, and with it the store: nothing of this group is written.
            self.group.begin(self.appender.next_place(), self.next);
            refuse_closed(answers, INDEX_FAILED);
            left.for_each(|work| work.refuse(CommitError::Closed { reason: INDEX_FAILED }));
            return Vec::new();
        }
        answers
    }

    fn flush(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        self.appender
            .write(&self.group.bytes, self.group.next_version() - 1)?;
        self.flush_time = begin.elapsed();
        self.next = self.group.next_version();
        self.is_behind = true;
        self.shared.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The group is durable: now it is shown, hinted, and its callers are told.
    fn publish(&mut self, answers: Vec<Answer>) {
        let Self {
            shared,
            group,
            tally,
            live,
            audit,
            ..
        } = self;
        let highest = group.next_version() - 1;
        let changed = shared.change_index(|index| {
            index.begin(highest)?;
            for (place, frame) in group.frames() {
                shared.noted.note(index, &frame)?;
                *live += apply(index, place, &frame, Mode::Live)?;
                tally.count(&frame);
                audit.iter_mut().for_each(|audit| audit.count(&frame));
            }
            shared.noted.show(highest);
            Ok(())
        });
        if let Err(error) = changed {
            shared.index_failed(&error);
            return indeterminate(answers, "the index failed behind the flush");
        }
        shared.watches.ring(group.changed.iter());
        self.acknowledge(answers);
    }

    /// Tells the callers.
    fn acknowledge(&self, answers: Vec<Answer>) {
        let done = answers.iter().filter(|answer| answer.is_done()).count();
        self.shared.commits.fetch_add(done as u64, Ordering::Relaxed);
        answers.into_iter().for_each(Answer::tell);
    }

    /// A flush that failed is never retried and believed: reopening decides what was written.
    fn lost(&self, answers: Vec<Answer>, error: &io::Error) {
        tracing::error!(%error, "a flush of the store failed; it is closed for writing");
        self.shared.refuse_writes(FLUSH_FAILED);
        indeterminate(answers, &error.to_string());
    }
}

/// What is still in time. What is not was never written, and is told so.
fn in_time(waiting: Vec<Waiting>) -> Vec<Work> {
    let now = Instant::now();
    let mut works = Vec::with_capacity(waiting.len());
    for waiting in waiting {
        if waiting.deadline.is_some_and(|deadline| deadline <= now) {
            refuse_busy(vec![waiting.work], BusyCause::Deadline);
        } else {
            works.push(waiting.work);
        }
    }
    works
}

fn encoded_max(works: &[Work]) -> u64 {
    works.iter().map(|work| work.encoded_max() as u64).sum()
}

fn refuse_busy(works: Vec<Work>, cause: BusyCause) {
    for work in works {
        work.refuse(CommitError::Busy { cause });
    }
}
