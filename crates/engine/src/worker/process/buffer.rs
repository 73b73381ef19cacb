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

#[derive(Debug)]
enum Item {
    Piece(Output, BytesMut),
    Elided(Output, u64),
    Exited(Exit),
    Gone(Gone),
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
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

    /// More output. What finds no room is counted, and the place where it was is kept.
    pub(super) fn push(&self, output: Output, bytes: &[u8]) {
        let mut state = self.lock();
        let room = BUFFER_BYTES_MAX.saturating_sub(state.bytes);
        let kept = &bytes[..room.min(bytes.len())];
        let stored = store(&mut state, output, kept);
        elide(&mut state, output, (bytes.len() - stored) as u64);
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

/// Appends to the last piece where that is possible, and returns how many bytes found a place.
fn store(state: &mut State, output: Output, bytes: &[u8]) -> usize {
    if bytes.is_empty() {
        return 0;
    }
    let is_full = state.items.len() >= PIECES_MAX;
    match state.items.back_mut() {
        Some(Item::Piece(of, piece)) if *of == output && piece.len() + bytes.len() <= PIECE_MAX => {
            piece.extend_from_slice(bytes);
        }
        _ if is_full => return 0,
        _ => state.items.push_back(Item::Piece(output, BytesMut::from(bytes))),
    }
    state.bytes += bytes.len();
    bytes.len()
}

fn elide(state: &mut State, output: Output, lost: u64) {
    if lost == 0 {
        return;
    }
    state.elided += lost;
    // One mark for each stream at most since the last piece: a full buffer does not grow by being full.
    let marks = state.items.iter_mut().rev().map_while(|item| match item {
        Item::Elided(of, bytes) => Some((*of, bytes)),
        Item::Piece(..) | Item::Exited(_) | Item::Gone(_) => None,
    });
    for (of, bytes) in marks {
        if of == output {
            *bytes += lost;
            return;
        }
    }
    state.items.push_back(Item::Elided(output, lost));
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
        Item::Elided(output, bytes) => LiveEvent::Elided { output, bytes },
        Item::Exited(exit) => LiveEvent::Exited(exit),
        Item::Gone(gone) => LiveEvent::Gone(gone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::process::Ended;

    #[tokio::test]
    async fn what_finds_no_room_is_counted_where_it_was() {
        let buffer = Buffer::default();
        buffer.push(Output::Stdout, &vec![b'a'; BUFFER_BYTES_MAX]);
        buffer.push(Output::Stdout, b"lost");
        buffer.push(Output::Stderr, b"lost too");
        buffer.push(Output::Stdout, b"lost");
        assert!(matches!(buffer.next().await, Some(LiveEvent::Stdout(b)) if b.len() == BUFFER_BYTES_MAX));
        buffer.push(Output::Stdout, b"there is room again");
        assert_eq!(
            buffer.next().await,
            Some(LiveEvent::Elided {
                output: Output::Stdout,
                bytes: 8
            })
        );
        assert_eq!(
            buffer.next().await,
            Some(LiveEvent::Elided {
                output: Output::Stderr,
                bytes: 8
            })
        );
        assert_eq!(
            buffer.next().await,
            Some(LiveEvent::Stdout(Bytes::from_static(b"there is room again")))
        );
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
