//! Taking output without waiting, and making it durable in chunks.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dormouse_filesystem::{CommitError, LogError, Namespace, Position, ScopedBatch, Segment, Tenant};
use dormouse_secrets::ScrubbedBytes;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::follow::Follower;
use super::frame::{Channel, Frame, HEADER};
use super::logs::{Durable, TailExtent, TranscriptLogs};
use super::{CHUNK_DELAY, CHUNK_MAX, HEAD_MAX, PENDING_MAX, TAIL_MAX, TAIL_SLACK};

/// Most bytes of frames one commit carries: several chunks, and room for keys within a batch.
const COMMIT_MAX: usize = 12 * CHUNK_MAX;

/// The transcript of a run that is going on. Cloning is cheap; every clone is the same transcript.
#[derive(Clone)]
pub struct Transcript {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// Rings the writer.
    work: Notify,
    /// Rings the followers: the offset behind the last byte taken, and whether it has ended.
    pub(super) progress: watch::Sender<Progress>,
    pub(super) logs: TranscriptLogs,
    /// Bytes in the head from before; [`HEAD_MAX`] once the tail has begun.
    head_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    pub(super) offset: u64,
    pub(super) has_ended: bool,
}

/// What is not yet durable, as seen from an offset.
pub(super) enum Pending {
    /// The offset is within it or at its end.
    Frames(Vec<Frame>),
    /// The offset lies before it: what is between is durable or was left out.
    BeginsAt(u64),
}

#[derive(Default)]
struct State {
    /// Taken and not yet durable, in order. Removed only after their commit.
    pending: VecDeque<Frame>,
    /// Their size as they are stored.
    pending_bytes: usize,
    /// How many of them, from the front, are being committed: those are not changed any more.
    in_flight: usize,
    offset: u64,
    elided_bytes: u64,
    /// What lies in the tail from before, until the writer takes it.
    tail: TailExtent,
    is_closed: bool,
}

/// What a transcript came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TranscriptEnd {
    /// Bytes printed in all.
    pub bytes: u64,
    /// Bytes left out of the middle.
    pub elided_bytes: u64,
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        write!(
            f,
            "Transcript({} bytes, {} pending)",
            state.offset, state.pending_bytes
        )
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pending_from(&self, offset: u64) -> Pending {
        let state = self.lock();
        let begins = state.pending.front().map_or(state.offset, |frame| frame.offset);
        if offset < begins {
            return Pending::BeginsAt(begins);
        }
        Pending::Frames(
            state
                .pending
                .iter()
                .filter_map(|frame| frame.rest_from(offset))
                .collect(),
        )
    }
}

impl Transcript {
    /// An empty transcript of this run.
    #[must_use]
    pub fn new(tenant: &Namespace<Tenant>, run: &Segment) -> Self {
        Self::behind(TranscriptLogs::of(tenant, run), Durable::default())
    }

    /// The transcript of a run that goes on: behind what its former processes printed, which is read through. Its tail is
    /// kept within the same bounds, and what was left out before is counted on.
    ///
    /// # Errors
    /// As any tail of the logs.
    pub async fn resumed(tenant: &Namespace<Tenant>, run: &Segment) -> Result<Self, LogError> {
        let logs = TranscriptLogs::of(tenant, run);
        let durable = logs.durable().await?;
        Ok(Self::behind(logs, durable))
    }

    fn behind(logs: TranscriptLogs, durable: Durable) -> Self {
        let Durable {
            offset,
            elided_bytes,
            head_bytes,
            tail,
        } = durable;
        let progress = Progress {
            offset,
            has_ended: false,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    offset,
                    elided_bytes,
                    tail,
                    ..State::default()
                }),
                work: Notify::new(),
                progress: watch::Sender::new(progress),
                logs,
                head_bytes,
            }),
        }
    }

    /// Takes output. It never waits: over [`PENDING_MAX`] bytes not yet durable it leaves out and counts, the oldest first.
    pub fn push(&self, at: Timestamp, channel: Channel, bytes: ScrubbedBytes) {
        let bytes = Bytes::from(bytes.into_vec());
        let at = to_milliseconds(at);
        let mut state = self.shared.lock();
        let offset = state.offset;
        state.offset += bytes.len() as u64;
        if state.is_closed || !state.makes_room(bytes.len()) {
            state.elided_bytes += bytes.len() as u64;
        } else {
            state.add(Frame {
                offset,
                at,
                channel,
                bytes,
            });
        }
        let progress = Progress {
            offset: state.offset,
            has_ended: false,
        };
        drop(state);
        self.shared.work.notify_one();
        self.shared.progress.send_replace(progress);
    }

    /// Counts output that was left out before it came here.
    pub fn elide(&self, bytes: u64) {
        let mut state = self.shared.lock();
        state.offset += bytes;
        state.elided_bytes += bytes;
    }

    /// Nothing more comes: what is pending is made durable at once, and [`write`](Self::write) returns.
    pub fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.work.notify_one();
    }

    /// Reads from an offset on, and goes on with the run.
    #[must_use]
    pub fn follow_from(&self, offset: u64) -> Follower {
        Follower::live(self.clone(), offset)
    }

    /// Nothing more is written, durable or not: followers learn that it has ended. What was not made durable is
    /// counted as left out. The same answer however often it is asked.
    pub fn end(&self) -> TranscriptEnd {
        let mut state = self.shared.lock();
        state.is_closed = true;
        let undurable: u64 = state.pending.iter().map(|frame| frame.bytes.len() as u64).sum();
        let end = TranscriptEnd {
            bytes: state.offset,
            elided_bytes: state.elided_bytes + undurable,
        };
        drop(state);
        self.shared
            .progress
            .send_modify(|progress| progress.has_ended = true);
        end
    }

    /// Makes what is taken durable, until it is closed and nothing is pending. One task calls it, once.
    ///
    /// `guard` adds the holder's lease to each commit, so that a holder that was replaced writes nothing.
    ///
    /// # Errors
    /// As a commit; congestion is waited out, with output being left out meanwhile.
    pub async fn write<G>(&self, tenant: &Namespace<Tenant>, guard: G) -> Result<TranscriptEnd, CommitError>
    where
        G: Fn(&mut ScopedBatch<Tenant>) + Send + Sync,
    {
        let ends = EndsFollowers(self);
        let mut writer = Writer {
            shared: &self.shared,
            tail: std::mem::take(&mut self.shared.lock().tail),
            head_bytes: self.shared.head_bytes,
        };
        while writer.wait_for_chunk().await {
            let mut batch = tenant.batch();
            guard(&mut batch);
            match writer.commit_pending(tenant, batch).await {
                Ok(()) => writer.cut_tail().await,
                Err(error) if error.is_congestion() => sleep(CHUNK_DELAY).await,
                Err(error) => return Err(error),
            }
        }
        drop(ends);
        Ok(self.end())
    }
}

/// On every exit of the writer the followers learn that nothing more comes.
struct EndsFollowers<'a>(&'a Transcript);

impl Drop for EndsFollowers<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl State {
    /// Adds a frame, or lengthens the last one, unless that is on its way to the store: a worker that prints byte by
    /// byte makes no frame a byte.
    fn add(&mut self, frame: Frame) {
        let is_free = self.pending.len() > self.in_flight;
        if let Some(last) = self.pending.back_mut().filter(|_| is_free)
            && last.joins(&frame)
        {
            self.pending_bytes += frame.bytes.len();
            last.join(&frame);
            return;
        }
        let mut rest = frame;
        while rest.encoded_len() > CHUNK_MAX {
            let bytes = rest.bytes.split_to(CHUNK_MAX - HEADER);
            let part = Frame {
                bytes,
                ..rest.clone()
            };
            rest.offset = part.end();
            self.add_whole(part);
        }
        self.add_whole(rest);
    }

    /// Leaves out the oldest that is not on its way to the store, until so many bytes have room. False when they have none.
    fn makes_room(&mut self, bytes: usize) -> bool {
        if bytes > PENDING_MAX {
            return false;
        }
        while self.pending_bytes + bytes > PENDING_MAX {
            let Some(oldest) = self.pending.remove(self.in_flight) else {
                return false;
            };
            self.pending_bytes -= oldest.encoded_len();
            self.elided_bytes += oldest.bytes.len() as u64;
        }
        true
    }

    fn add_whole(&mut self, frame: Frame) {
        self.pending_bytes += frame.encoded_len();
        self.pending.push_back(frame);
    }
}

/// As it is stored: what is finer could not be read back.
fn to_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).expect("it is coarser, not further away")
}

struct Writer<'a> {
    shared: &'a Shared,
    tail: TailExtent,
    head_bytes: u64,
}

impl Writer<'_> {
    /// Waits for [`CHUNK_MAX`] bytes, for [`CHUNK_DELAY`] after the first, or for the close. False when all is done.
    async fn wait_for_chunk(&self) -> bool {
        loop {
            let (pending, is_closed) = self.pending();
            if is_closed {
                return pending > 0;
            }
            if pending >= CHUNK_MAX {
                return true;
            }
            if pending == 0 {
                self.shared.work.notified().await;
            } else {
                let more = self.more_or_closed();
                let _ = timeout(CHUNK_DELAY, more).await;
                return true;
            }
        }
    }

    async fn more_or_closed(&self) {
        loop {
            let (pending, is_closed) = self.pending();
            if is_closed || pending >= CHUNK_MAX {
                return;
            }
            self.shared.work.notified().await;
        }
    }

    fn pending(&self) -> (usize, bool) {
        let state = self.shared.lock();
        (state.pending_bytes, state.is_closed)
    }

    /// One commit of up to [`COMMIT_MAX`] bytes; what it held leaves memory only once it is durable.
    async fn commit_pending(
        &mut self,
        tenant: &Namespace<Tenant>,
        mut batch: ScopedBatch<Tenant>,
    ) -> Result<(), CommitError> {
        let frames = self.take();
        let (mut head_bytes, mut in_tail) = (self.head_bytes, Vec::new());
        for chunk in chunks(&frames) {
            let printed = chunk.iter().map(|frame| frame.bytes.len() as u64).sum::<u64>();
            let mut entry = Vec::with_capacity(CHUNK_MAX);
            chunk.iter().for_each(|frame| frame.encode(&mut entry));
            let stored = entry.len() as u64;
            if head_bytes < HEAD_MAX {
                head_bytes += stored;
                batch.append(&self.shared.logs.head, entry);
            } else {
                in_tail.push((stored, printed));
                batch.append(&self.shared.logs.tail, entry);
            }
        }
        let committed = tenant
            .commit(batch)
            .await
            .inspect_err(|_| self.shared.lock().in_flight = 0)?;
        let first = committed
            .positions
            .iter()
            .find(|(log, _)| log == self.shared.logs.tail.stream());
        let first = first.map_or(Position::FIRST, |(_, position)| *position);
        for (place, (stored, printed)) in in_tail.into_iter().enumerate() {
            self.tail
                .add(Position::new(first.get() + place as u64), stored, printed);
        }
        self.head_bytes = head_bytes;
        self.forget(frames.len());
        Ok(())
    }

    fn take(&self) -> Vec<Frame> {
        let mut state = self.shared.lock();
        let mut bytes = 0;
        let fits = |frame: &&Frame| {
            bytes += frame.encoded_len();
            bytes <= COMMIT_MAX
        };
        let taken: Vec<Frame> = state.pending.iter().take_while(fits).cloned().collect();
        state.in_flight = taken.len();
        taken
    }

    fn forget(&self, frames: usize) {
        let mut state = self.shared.lock();
        let gone: usize = state
            .pending
            .drain(..frames)
            .map(|frame| frame.encoded_len())
            .sum();
        state.pending_bytes -= gone;
        state.in_flight = 0;
    }

    /// A tail that could not be cut is cut with the next chunk: it is only longer than it has to be.
    async fn cut_tail(&mut self) {
        if let Some((before, bytes)) = self.tail.cut(TAIL_MAX, TAIL_SLACK) {
            self.shared.lock().elided_bytes += bytes;
            if let Err(error) = self.shared.logs.tail.truncate(before).await {
                tracing::warn!(%error, "a transcript's tail was not cut");
            }
        }
    }
}

/// Cuts frames into runs of at most [`CHUNK_MAX`] encoded bytes.
fn chunks(frames: &[Frame]) -> Vec<&[Frame]> {
    let (mut chunks, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (at, frame) in frames.iter().enumerate() {
        if bytes + frame.encoded_len() > CHUNK_MAX && at > begin {
            chunks.push(&frames[begin..at]);
            (begin, bytes) = (at, 0);
        }
        bytes += frame.encoded_len();
    }
    if begin < frames.len() {
        chunks.push(&frames[begin..]);
    }
    chunks
}
