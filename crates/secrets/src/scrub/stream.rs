//! The scrubber of one stream: any chunking gives what the whole would give.
//!
//! How it works. The automaton's state is carried over from chunk to chunk, so every occurrence of
//! every form is seen where it ends. Its depth says how far back a beginning of a form reaches: what
//! lies before that is *settled*, no later byte changes what it belongs to. Settled spans are decided
//! from left to right, settled bytes outside of spans go out, and the rest is held back.
//!
//! * Spans that overlap or touch become one marker, named after the span that starts first, the longest
//!   on a tie.
//! * A span that meets the literal marker of a registered name is dropped: markers are not looked into,
//!   so scrubbing twice is scrubbing once.
//! * Spans widen to whole characters.

use std::{collections::VecDeque, fmt, ops::Range, sync::Arc};

use aho_corasick::automaton::StateID;
use zeroize::Zeroizing;

use super::{
    chars,
    set::{Pattern, Set},
};
use crate::ScrubbedBytes;

/// Scrubs what arrives in chunks; made by [`Scrubber::stream`](crate::Scrubber::stream).
///
/// What may still be part of a value is held back, at most a few hundred bytes, until more arrives or
/// the stream ends. No timer releases it, else dripping bytes would get a value out.
#[must_use = "what is held back comes out with finish"]
pub struct ScrubStream(Option<Work>);

impl ScrubStream {
    pub(super) fn new(set: Option<Arc<Set>>) -> ScrubStream {
        ScrubStream(set.map(Work::new))
    }

    /// Takes the next bytes of the stream and gives those that are settled.
    #[must_use = "these bytes are in no later answer"]
    pub fn push(&mut self, chunk: &[u8]) -> ScrubbedBytes {
        match &mut self.0 {
            None => ScrubbedBytes::from_clean(chunk.to_vec()),
            Some(work) => ScrubbedBytes::from_clean(work.push(chunk)),
        }
    }

    /// Ends the stream and gives what was held back.
    #[must_use = "these bytes are the end of the stream"]
    pub fn finish(self) -> ScrubbedBytes {
        match self.0 {
            None => ScrubbedBytes::default(),
            Some(mut work) => ScrubbedBytes::from_clean(work.settle(Tail::Ended)),
        }
    }

    /// How many bytes are held back now.
    #[must_use]
    pub fn held_len(&self) -> usize {
        self.0.as_ref().map_or(0, Work::held_len)
    }
}

impl fmt::Debug for ScrubStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is held back may be most of a value.
        f.debug_struct("ScrubStream")
            .field("held_len", &self.held_len())
            .finish_non_exhaustive()
    }
}

/// Whether more bytes may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Open,
    Ended,
}

/// An occurrence of a form that is not decided yet. Its places count from the start of the buffer.
#[derive(Clone, Debug)]
struct Span {
    place: Range<usize>,
    marker: usize,
}

struct Work {
    set: Arc<Set>,
    state: StateID,
    /// The newest bytes: those held back, and the few before them that may belong to a character cut
    /// by the edge.
    buffer: Zeroizing<Vec<u8>>,
    /// Up to here the buffer went out, or stands behind a marker.
    gone: usize,
    /// The end of the last marker's span, while a span that touches it could still come.
    marked: Option<usize>,
    /// Undecided spans, by start, the longest first.
    spans: VecDeque<Span>,
    /// Literal markers that an undecided span may meet.
    literals: VecDeque<Range<usize>>,
}

impl Work {
    fn new(set: Arc<Set>) -> Work {
        Work {
            state: set.start(),
            set,
            buffer: Zeroizing::default(),
            gone: 0,
            marked: None,
            spans: VecDeque::new(),
            literals: VecDeque::new(),
        }
    }

    fn held_len(&self) -> usize {
        self.buffer.len() - self.gone
    }

    fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut at = self.buffer.len();
        self.buffer.extend_from_slice(chunk);
        while at < self.buffer.len() {
            if self.state == self.set.start() {
                let Some(skipped) = self.set.find_beginning(&self.buffer[at..]) else {
                    break;
                };
                at += skipped;
            }
            self.state = self.set.next(self.state, self.buffer[at]);
            at += 1;
            self.note(at);
        }
        self.settle(Tail::Open)
    }

    /// Takes down what ends at `end`.
    fn note(&mut self, end: usize) {
        for found in self.set.found(self.state) {
            let place = end - found.length..end;
            match found.pattern {
                Pattern::Marker => self.literals.push_back(place),
                Pattern::Form(marker) => {
                    // Ends only grow, so of one start the longest comes last and goes in front.
                    let index = self.spans.partition_point(|span| span.place.start < place.start);
                    self.spans.insert(index, Span { place, marker });
                }
            }
        }
    }

    fn settle(&mut self, tail: Tail) -> Vec<u8> {
        let settled = self.settled(tail);
        let mut out = Vec::with_capacity(self.buffer.len());
        while let Some(span) = self.spans.pop_front_if(|span| span.place.end <= settled) {
            self.decide(&span, &mut out);
        }
        let open = self
            .spans
            .front()
            .map(|span| chars::floor(&self.buffer, span.place.start));
        self.release(open.map_or(settled, |start| start.min(settled)), &mut out);
        self.forget();
        out
    }

    /// Up to here no later byte changes what a byte belongs to.
    fn settled(&self, tail: Tail) -> usize {
        match tail {
            Tail::Ended => self.buffer.len(),
            Tail::Open => {
                let beginning = self.buffer.len() - self.set.depth(self.state);
                chars::floor_unfinished(&self.buffer, beginning)
            }
        }
    }

    fn decide(&mut self, span: &Span, out: &mut Vec<u8>) {
        let meets = |literal: &Range<usize>| literal.start < span.place.end && span.place.start < literal.end;
        if self.literals.iter().any(meets) {
            return;
        }
        let start = chars::floor(&self.buffer, span.place.start);
        let end = chars::ceil(&self.buffer, span.place.end);
        match self.marked {
            Some(marked) if start <= marked => self.marked = Some(marked.max(end)),
            _ => {
                self.release(start, out);
                out.extend_from_slice(self.set.marker(span.marker).as_bytes());
                self.marked = Some(end);
            }
        }
        self.gone = self.gone.max(end);
    }

    /// Lets the bytes before `until` out.
    fn release(&mut self, until: usize, out: &mut Vec<u8>) {
        if self.gone < until {
            out.extend_from_slice(&self.buffer[self.gone..until]);
            self.gone = until;
        }
    }

    /// Drops what nothing can ask for any more and counts places anew.
    fn forget(&mut self) {
        let first_open = self
            .spans
            .front()
            .map_or(self.gone, |span| span.place.start.min(self.gone));
        self.literals.retain(|literal| literal.end > first_open);
        let literal = self.literals.front().map_or(first_open, |literal| literal.start);
        let cut = first_open.min(literal).saturating_sub(CONTEXT);
        if cut == 0 {
            return;
        }
        self.buffer.drain(..cut);
        self.gone -= cut;
        // A marker whose span ended before the cut is touched by nothing.
        self.marked = self.marked.and_then(|end| end.checked_sub(cut));
        for span in &mut self.spans {
            span.place = span.place.start - cut..span.place.end - cut;
        }
        for literal in &mut self.literals {
            *literal = literal.start - cut..literal.end - cut;
        }
    }
}

/// The bytes of a character that may lie before a place inside it.
const CONTEXT: usize = 3;
