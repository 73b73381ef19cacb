//! A store whose flushes take time, and are shared: one after the other, each with so many commits as it has room for. The
//! time is made up, so what anybody waits for is exact.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_filesystem::capability::Reach;
use dormouse_filesystem::wrapper::Between;
use dormouse_filesystem::{
    Batch, BusyCause, Capabilities, CommitError, Committed, Deadline, Expected, Memory, Prefix, Put,
    RecordStore, between,
};
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Whose commits go into the next flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// One of each lane in turn, as stores do.
    Fair,
    /// Those that came first, whoever's they are.
    AsTheyCame,
}

/// How slow it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long a flush takes.
    pub(super) flush: Duration,
    /// Most commits of one.
    pub(super) group: usize,
    pub(super) order: Order,
}

type Answer = Result<Committed, CommitError>;

struct Waiting {
    batch: Batch,
    deadline: Deadline,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Queue {
    lanes: BTreeMap<String, VecDeque<Waiting>>,
    /// The lane of the next commit, of each lane once.
    turns: VecDeque<String>,
    is_flushing: bool,
    /// How long each commit took that wrote a heartbeat.
    beats: Vec<Duration>,
}

/// Memory behind a slow disk, which processes of several machines may write.
pub(super) struct Disk {
    inner: Arc<dyn RecordStore>,
    pace: Pace,
    queue: Arc<Mutex<Queue>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disk({:?})", self.pace)
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Disk {
    pub(super) fn new(pace: Pace) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(Memory::new(Timestamp::UNIX_EPOCH)),
            pace,
            queue: Arc::default(),
        })
    }

    /// How long the commits took that wrote heartbeats, the longest last.
    pub(super) fn beats(&self) -> Vec<Duration> {
        let mut beats = self.queue.lock().unwrap().beats.clone();
        beats.sort_unstable();
        beats
    }

    /// Flushes until nobody waits.
    fn flush(&self) {
        let (inner, pace, queue) = (Arc::clone(&self.inner), self.pace, Arc::clone(&self.queue));
        tokio::spawn(async move {
            // Ends when nobody waits.
            loop {
                let group = queue.lock().unwrap().group(pace.group);
                if group.is_empty() {
                    return;
                }
                tokio::time::sleep(pace.flush).await;
                for Waiting { batch, answer, .. } in group {
                    let committed = inner
                        .commit(batch, Deadline::after(Duration::from_secs(60)))
                        .await;
                    // Who asked may have gone.
                    let _ = answer.send(committed);
                }
            }
        });
    }
}

impl Queue {
    fn enter(&mut self, order: Order, waiting: Waiting) {
        let lane = match order {
            Order::Fair => format!("{:?}", waiting.batch.lane),
            Order::AsTheyCame => String::new(),
        };
        let of_lane = self.lanes.entry(lane.clone()).or_default();
        if of_lane.is_empty() {
            self.turns.push_back(lane);
        }
        of_lane.push_back(waiting);
    }

    /// What is flushed next; nothing, when nobody waits and nobody flushes any more.
    fn group(&mut self, most: usize) -> Vec<Waiting> {
        let mut group = Vec::new();
        while group.len() < most
            && let Some(lane) = self.turns.pop_front()
        {
            let of_lane = self.lanes.get_mut(&lane).unwrap();
            match of_lane.pop_front() {
                Some(late) if late.deadline.has_passed() => {
                    let cause = BusyCause::Deadline;
                    let _ = late.answer.send(Err(CommitError::Busy { cause }));
                }
                next => group.extend(next),
            }
            if !of_lane.is_empty() {
                self.turns.push_back(lane);
            }
        }
        self.is_flushing = !group.is_empty();
        group
    }
}

#[async_trait]
impl Between for Disk {
    fn beneath(&self) -> &dyn RecordStore {
        &*self.inner
    }

    fn capabilities(&self, at: &Prefix) -> Capabilities {
        Capabilities {
            reach: Reach::Cluster,
            ..self.inner.capabilities(at)
        }
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Answer {
        // A claim makes the row, and a heartbeat writes it anew.
        let is_anew = |put: &Put| matches!(put.expected, Expected::At(_));
        let mut puts = batch.puts.iter();
        let is_beat = puts.any(|put| put.kind.as_str() == "heartbeat" && is_anew(put));
        let (answer, answered) = oneshot::channel();
        let begins = {
            let mut queue = self.queue.lock().unwrap();
            let waiting = Waiting {
                batch,
                deadline,
                answer,
            };
            queue.enter(self.pace.order, waiting);
            !std::mem::replace(&mut queue.is_flushing, true)
        };
        if begins {
            self.flush();
        }
        let began = Instant::now();
        let committed = answered.await.expect("each is answered");
        if is_beat {
            self.queue.lock().unwrap().beats.push(began.elapsed());
        }
        committed
    }
}

between!(Disk);
