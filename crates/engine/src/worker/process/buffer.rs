//! What a worker wrote and nobody has read yet: bounded, in order, and a full one never stalls the worker.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use super::Gone;
use super::live::LiveEvent;
use crate::outcome::Exit;

/// Most output that waits for its reader, in bytes, all streams together.
pub const BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// Largest piece that is handed on, in bytes.
const PIECE_MAX: usize = 64 * 1024;
/// Most pieces that wait: streams that take turns byte by byte must not cost more than their bytes.
const PIECES_MAX: usize = 4096;

/// What a worker writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The report channel, its descriptor 3.
    Report,
}

const OUTPUTS: [Output; 3] = [Output::Stdout, Output::Stderr, Output::Report];

#[derive(Debug)]
enum Item {
    Piece(Output, BytesMut),
    Exited(Exit),
    Gone(Gone),
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    /// What went of each stream before the first item, since that was told last.
    lost: [u64; OUTPUTS.len()],
    elided: u64,
    exit: Option<Exit>,
    is_closed: bool,
}

/// Between the pump that fills it and the one reader.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    state: Mutex<State>,
    changed: Notify,
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// More output. Where there is no room for it, the oldest that waits goes and is counted: what a worker says last is
    /// what its reader wants most.
    pub(super) fn push(&self, output: Output, bytes: &[u8]) {
        let mut state = self.lock();
        let kept = &bytes[bytes.len().saturating_sub(BUFFER_BYTES_MAX)..];
        make_room(&mut state, kept.len());
        state.elide(output, bytes.len() - kept.len());
        store(&mut state, output, kept);
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn exited(&self, exit: Exit) {
        let mut state = self.lock();
        state.exit = Some(exit);
        state.items.push_back(Item::Exited(exit));
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn gone(&self, gone: Gone) {
        self.lock().items.push_back(Item::Gone(gone));
        self.changed.notify_one();
    }

    /// Nothing comes any more: a reader that waits is told.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// How the first process left, as soon as that is known, however much output waits.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.lock().exit
    }

    /// Output that found no room, in bytes.
    pub(super) fn elided_bytes(&self) -> u64 {
        self.lock().elided
    }

    /// The next event; none after the last one. Dropping the future loses nothing.
    pub(super) async fn next(&self) -> Option<LiveEvent> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if let Some(lost) = state.take_lost() {
                    return Some(lost);
                }
                if let Some(item) = state.items.pop_front() {
                    return Some(event(&mut state, item));
                }
                if state.is_closed {
                    return None;
                }
            }
            changed.await;
        }
    }
}

impl State {
    /// This much of a stream is lost before what waits.
    fn elide(&mut self, output: Output, bytes: usize) {
        self.elided += bytes as u64;
        self.lost[output as usize] += bytes as u64;
    }

    /// What was lost and not told yet, a stream at a time.
    fn take_lost(&mut self) -> Option<LiveEvent> {
        for output in OUTPUTS {
            let bytes = std::mem::take(&mut self.lost[output as usize]);
            if bytes > 0 {
                return Some(LiveEvent::Elided { output, bytes });
            }
        }
        None
    }

    /// Lets the oldest piece go, a report only where nothing else is; false when there is none. What a worker prints keeps
    /// nothing from its reader that it reports.
    fn lose_oldest(&mut self) -> bool {
        let is_piece = |item: &Item| matches!(item, Item::Piece(..));
        let is_print = |item: &Item| matches!(item, Item::Piece(Output::Stdout | Output::Stderr, _));
        let prints = self.items.iter().position(is_print);
        let Some(at) = prints.or_else(|| self.items.iter().position(is_piece)) else {
            return false;
        };
        if let Some(Item::Piece(output, bytes)) = self.items.remove(at) {
            self.bytes -= bytes.len();
            self.elide(output, bytes.len());
        }
        true
    }
}

/// Makes room for so many bytes, at most as many as the buffer holds, and for a piece of its own.
fn make_room(state: &mut State, bytes: usize) {
    while state.bytes + bytes > BUFFER_BYTES_MAX || state.items.len() >= PIECES_MAX {
        if !state.lose_oldest() {
            return;
        }
    }
}

/// Appends to the last piece where that is possible.
fn store(state: &mut State, output: Output, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match state.items.back_mut() {
        Some(Item::Piece(of, piece)) if *of == output && piece.len() + bytes.len() <= PIECE_MAX => {
            piece.extend_from_slice(bytes);
        }
        _ => state.items.push_back(Item::Piece(output, BytesMut::from(bytes))),
    }
    state.bytes += bytes.len();
}

fn event(state: &mut State, item: Item) -> LiveEvent {
    match item {
        Item::Piece(output, bytes) => {
            state.bytes -= bytes.len();
            let bytes: Bytes = bytes.freeze();
            match output {
                Output::Stdout => LiveEvent::Stdout(bytes),
                Output::Stderr => LiveEvent::Stderr(bytes),
                Output::Report => LiveEvent::Report(bytes),
            }
        }
        Item::Exited(exit) => LiveEvent::Exited(exit),
        Item::Gone(gone) => LiveEvent::Gone(gone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::process::Ended;

    #[tokio::test]
    async fn where_there_is_no_room_the_oldest_goes_and_is_counted_where_it_was() {
        let buffer = Buffer::default();
        let piece = |byte| vec![byte; PIECE_MAX];
        buffer.push(Output::Stderr, b"the oldest");
        for _ in 0..BUFFER_BYTES_MAX / PIECE_MAX {
            buffer.push(Output::Stdout, &piece(b'a'));
        }
        buffer.push(Output::Stdout, b"the last");
        let elided = |output, bytes: usize| {
            let bytes = bytes as u64;
            Some(LiveEvent::Elided { output, bytes })
        };
        assert_eq!(buffer.next().await, elided(Output::Stdout, PIECE_MAX));
        assert_eq!(buffer.next().await, elided(Output::Stderr, "the oldest".len()));
        for _ in 1..BUFFER_BYTES_MAX / PIECE_MAX {
            let next = buffer.next().await;
            assert_eq!(next, Some(LiveEvent::Stdout(Bytes::from(piece(b'a')))));
        }
        let last = Bytes::from_static(b"the last");
        assert_eq!(buffer.next().await, Some(LiveEvent::Stdout(last)));
        assert_eq!(buffer.elided_bytes(), (PIECE_MAX + "the oldest".len()) as u64);
    }

    #[tokio::test]
    async fn single_bytes_are_gathered() {
        let buffer = Buffer::default();
        for byte in b"one piece" {
            buffer.push(Output::Stderr, &[*byte]);
        }
        assert_eq!(
            buffer.next().await,
            Some(LiveEvent::Stderr(Bytes::from_static(b"one piece")))
        );
    }

    #[tokio::test]
    async fn streams_that_take_turns_cost_no_more_than_their_share() {
        let buffer = Buffer::default();
        for _ in 0..PIECES_MAX * 2 {
            buffer.push(Output::Stdout, b"o");
            buffer.push(Output::Stderr, b"e");
        }
        buffer.gone(Gone::lost());
        buffer.close();
        let (mut seen, mut elided) = (0, 0);
        while let Some(event) = buffer.next().await {
            match event {
                LiveEvent::Stdout(b) | LiveEvent::Stderr(b) | LiveEvent::Report(b) => seen += b.len() as u64,
                LiveEvent::Elided { bytes, .. } => elided += bytes,
                LiveEvent::Exited(_) | LiveEvent::Gone(_) => {}
            }
        }
        assert_eq!(seen as usize, PIECES_MAX);
        assert_eq!(seen + elided, 4 * PIECES_MAX as u64);
    }

    impl Gone {
        fn lost() -> Self {
            Self {
                ended: Ended::KeeperLost,
                usage: Default::default(),
                strays: 0,
                left: 0,
                elided_bytes: 0,
            }
        }
    }
}
