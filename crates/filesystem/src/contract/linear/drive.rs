//! Eight tasks that read, commit and update a few records at the same time, and write down what they were told.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use tokio::task::{JoinSet, yield_now};

use super::history::{Answer, Event, Held, Makes, Needs, Recorder, Step};
use crate::contract::kit::{KIND, PATIENCE, batch, key, seeded};
use crate::{
    Batch, Change, CommitError, Committed, Deadline, Entry, Expected, Key, RecordStore, Retry, UpdateError,
    Version, cas_update,
};

/// How many records a history has. Few, so that the tasks meet.
pub const RECORDS: usize = 3;
const TASKS: u64 = 8;
const STEPS: usize = 50;

/// What eight tasks do to an empty store, and are told.
///
/// # Panics
/// When the store answers what it must not; the text has the seed.
pub async fn record(store: &Arc<dyn RecordStore>, seed: u64) -> Vec<Event> {
    let recorder = Arc::new(Recorder::default());
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let own = seed.wrapping_add(task);
        let caller = Caller {
            store: Arc::clone(store),
            recorder: Arc::clone(&recorder),
            seed,
            retry: Retry::seeded(own),
            believed: [None; RECORDS],
        };
        tasks.spawn(caller.run(own));
    }
    tasks.join_all().await;
    let end = Caller {
        store: Arc::clone(store),
        recorder: Arc::clone(&recorder),
        seed,
        retry: Retry::seeded(seed),
        believed: [None; RECORDS],
    };
    end.read_to_the_end().await;
    recorder.take()
}

fn name(record: usize) -> Key {
    key(&format!("r/{record}"))
}

fn record_of(key: &Key) -> usize {
    (0..RECORDS)
        .find(|record| name(*record) == *key)
        .expect("the store names what it was asked for")
}

fn held(entry: Option<&Entry>) -> Option<Held> {
    entry.map(|entry| Held {
        value: std::str::from_utf8(&entry.value)
            .ok()
            .and_then(|text| text.parse().ok())
            .expect("the values are the history's own"),
        version: entry.version,
    })
}

/// How long a caller cares for its answer.
enum Patience {
    /// To the end.
    Whole,
    /// For a deadline that may pass anywhere on the way.
    Short(Duration),
    /// For so many polls: then the commit is dropped.
    Polls(u64),
}

struct Caller {
    store: Arc<dyn RecordStore>,
    recorder: Arc<Recorder>,
    seed: u64,
    retry: Retry,
    /// The version each record had when the task last heard of it.
    believed: [Option<Version>; RECORDS],
}

impl Caller {
    async fn run(mut self, own: u64) {
        let mut random = seeded(own);
        for _ in 0..STEPS {
            let record = below(&mut random, RECORDS);
            match random(10) {
                0..=2 => self.get(record).await,
                3 => self.get_many().await.unwrap_or_default(),
                4..=7 => self.commit(&mut random).await,
                _ => self.update(record, random(5)).await,
            }
        }
    }

    async fn get(&mut self, record: usize) {
        let began = self.recorder.tick();
        if let Ok(entry) = self.store.get(&name(record)).await {
            self.saw(began, vec![(record, held(entry.as_ref()))]);
        }
    }

    /// None when the store does not answer.
    async fn get_many(&mut self) -> Option<()> {
        let keys: Vec<Key> = (0..RECORDS).map(name).collect();
        let began = self.recorder.tick();
        let entries = self.store.get_many(&keys).await.ok()?;
        self.saw(
            began,
            entries
                .iter()
                .map(|entry| held(entry.as_ref()))
                .enumerate()
                .collect(),
        );
        Some(())
    }

    /// Whatever is still under way is seen now or never.
    async fn read_to_the_end(mut self) {
        // Ends when the store answers.
        while self.get_many().await.is_none() {}
    }

    fn saw(&mut self, began: u64, saw: Vec<(usize, Option<Held>)>) {
        for (record, held) in &saw {
            self.believed[*record] = held.map(|held| held.version);
        }
        self.recorder.ended(began, saw, Vec::new(), Answer::Done(None));
    }

    async fn commit(&mut self, random: &mut impl FnMut(u64) -> u64) {
        let steps = self.steps(random);
        let batch = batch_of(&steps);
        let patience = match random(10) {
            0 => Patience::Short(Duration::from_micros(random(3_000))),
            1 => Patience::Polls(1 + random(5)),
            _ => Patience::Whole,
        };
        let began = self.recorder.tick();
        let answer = match patience {
            Patience::Whole => Some(self.store.commit(batch, Deadline::after(PATIENCE)).await),
            Patience::Short(time) => Some(self.store.commit(batch, Deadline::after(time)).await),
            Patience::Polls(polls) => self.dropped(batch, polls).await,
        };
        let answer = match answer {
            None | Some(Err(CommitError::Indeterminate { .. })) => Answer::Unknown,
            Some(Ok(committed)) => self.done(&steps, committed.version),
            Some(Err(CommitError::Conflict { failed })) => {
                let failed = failed
                    .into_iter()
                    .map(|failed| (record_of(&failed.key), failed.actual));
                self.refused(failed.collect())
            }
            // It is certain that nothing was done, and that is what no later read may deny.
            Some(Err(CommitError::Busy { .. } | CommitError::Unavailable { .. })) => return,
            Some(Err(other)) => panic!("seed {}: {other}", self.seed),
        };
        self.recorder.ended(began, Vec::new(), steps, answer);
    }

    /// None when it was dropped before its answer.
    async fn dropped(&self, batch: Batch, polls: u64) -> Option<Result<Committed, CommitError>> {
        let mut commit = pin!(self.store.commit(batch, Deadline::after(PATIENCE)));
        for _ in 0..polls {
            if let Poll::Ready(answer) = poll!(&mut commit) {
                return Some(answer);
            }
            yield_now().await;
        }
        None
    }

    /// Mostly of one record, in a third of the cases of each with some chance.
    fn steps(&self, random: &mut impl FnMut(u64) -> u64) -> Vec<Step> {
        let one = below(random, RECORDS);
        let is_of_more = random(3) == 0;
        let mut steps = Vec::new();
        for record in 0..RECORDS {
            if record == one || (is_of_more && random(2) == 0) {
                let needs = self.believed[record].map_or(Needs::Absent, Needs::At);
                let makes = match (random(8), needs) {
                    (0, _) => Makes::Nothing,
                    (1 | 2, Needs::At(_)) => Makes::Deleted,
                    _ => Makes::Put(self.recorder.value()),
                };
                steps.push(Step { record, needs, makes });
            }
        }
        steps
    }

    fn done(&mut self, steps: &[Step], version: Option<Version>) -> Answer {
        for step in steps {
            match step.makes {
                Makes::Nothing => {}
                Makes::Put(_) => self.believed[step.record] = version,
                Makes::Deleted => self.believed[step.record] = None,
            }
        }
        Answer::Done(version)
    }

    fn refused(&mut self, failed: Vec<(usize, Option<Version>)>) -> Answer {
        for (record, actual) in &failed {
            self.believed[*record] = *actual;
        }
        Answer::Refused(failed)
    }

    /// An update is its reads, and the commit on what the last of them saw.
    async fn update(&mut self, record: usize, what: u64) {
        let mut began = self.recorder.tick();
        let mut step = None;
        let name = name(record);
        let updated = cas_update(&*self.store, &name, &self.retry, |entry| {
            let saw = held(entry);
            self.recorder
                .ended(began, vec![(record, saw)], Vec::new(), Answer::Done(None));
            began = self.recorder.tick();
            let (change, makes) = match what {
                0 => (Change::keep(), Makes::Nothing),
                1 => (Change::delete(), Makes::Deleted),
                _ => {
                    let value = self.recorder.value();
                    (Change::put(KIND, value.to_string()), Makes::Put(value))
                }
            };
            let needs = saw.map_or(Needs::Absent, |held| Needs::At(held.version));
            step = Some(Step { record, needs, makes });
            Ok::<_, Infallible>((change, ()))
        })
        .await;
        let steps: Vec<Step> = step.into_iter().collect();
        let answer = match updated {
            Ok(updated) => {
                let version = updated.entry.as_ref().map(|entry| entry.version);
                assert!(
                    is_made(&steps, held(updated.entry.as_ref())),
                    "seed {}: {updated:?}",
                    self.seed
                );
                self.believed[record] = version;
                match updated.committed {
                    Some(committed) => Answer::Done(committed.version),
                    // Nothing was to be done, so it was one read, which is written down.
                    None => return,
                }
            }
            Err(UpdateError::Write(CommitError::Indeterminate { .. })) => Answer::Unknown,
            Err(UpdateError::Contended { .. } | UpdateError::Read(_) | UpdateError::Deadline) => return,
            Err(UpdateError::Write(CommitError::Busy { .. } | CommitError::Unavailable { .. })) => return,
            Err(other) => panic!("seed {}: {other}", self.seed),
        };
        self.recorder.ended(began, Vec::new(), steps, answer);
    }
}

/// Whether what an update says is stored is what it made.
fn is_made(steps: &[Step], stored: Option<Held>) -> bool {
    steps.iter().all(|step| match step.makes {
        Makes::Nothing => step.needs == stored.map_or(Needs::Absent, |held| Needs::At(held.version)),
        Makes::Put(value) => stored.is_some_and(|held| held.value == value),
        Makes::Deleted => stored.is_none(),
    })
}

fn batch_of(steps: &[Step]) -> Batch {
    let mut all = batch();
    for step in steps {
        let key = name(step.record);
        let expected = match step.needs {
            Needs::Absent => Expected::Absent,
            Needs::At(version) => Expected::At(version),
        };
        match (step.makes, step.needs) {
            (Makes::Put(value), _) => all.put(key, expected, KIND, value.to_string()),
            (Makes::Deleted, Needs::At(version)) => all.delete(key, version),
            (Makes::Nothing, _) | (Makes::Deleted, Needs::Absent) => all.check(key, expected),
        };
    }
    all
}

fn below(random: &mut impl FnMut(u64) -> u64, bound: usize) -> usize {
    usize::try_from(random(bound as u64)).expect("it is small")
}
