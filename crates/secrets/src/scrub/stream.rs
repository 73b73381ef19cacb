//! The scrubber of one stream: any chunking gives what the whole would give.
//!
//! How it works. Every occurrence of every form is found when its end is seen, and with it the first place
//! where one may begin whose end is yet to come. What lies before that is *settled*: no later byte changes
//! what it belongs to. Settled spans are decided from left to right, settled bytes outside of spans go out,
//! and the rest is held back.
//!
//! * Spans that overlap or touch become one marker, named after the span that starts first, the longest
//!   on a tie.
//! * A span that meets the literal marker of a registered name is dropped: markers are not looked into,
//!   so scrubbing twice is scrubbing once.
//! * Spans widen to whole characters.

use std::{cmp::Reverse, collections::VecDeque, fmt, ops::Range};

use zeroize::Zeroizing;

use super::{
    chars, fit,
    set::{Found, Pattern},
    sets::Sets,
};
use crate::{FormatCounts, Formats, ScrubbedBytes, detect};

/// The most bytes a stream holds back.
pub const HOLD_MAX: usize = 8 * 1024;

/// After a silence a live view may show what is held back, if it is not more than this.
pub const PROVISIONAL_MAX: usize = 3;

/// A chunk is worked on in blocks of this size, which stay in the processor's cache.
const BLOCK: usize = 64 * 1024;

/// Scrubs what arrives in chunks; made by [`Scrubber::stream`](crate::Scrubber::stream).
///
/// What may still be part of a value is held back, at most [`HOLD_MAX`] bytes, until more arrives or the
/// stream ends. No timer releases it, else dripping bytes would get a value out.
#[must_use = "what is held back comes out with finish"]
pub struct ScrubStream {
    values: Option<Work>,
    formats: Option<detect::Work>,
}

impl ScrubStream {
    pub(super) fn new(sets: Sets, formats: Formats) -> ScrubStream {
        ScrubStream {
            values: (!sets.is_empty()).then(|| Work::new(sets)),
            formats: detect::Work::new(formats),
        }
    }

    /// Takes the next bytes of the stream and gives those that are settled.
    #[must_use = "these bytes are in no later answer"]
    pub fn push(&mut self, chunk: &[u8]) -> ScrubbedBytes {
        let mut out = Vec::with_capacity(self.held_len() + chunk.len());
        match (&mut self.values, &mut self.formats) {
            (None, None) => out.extend_from_slice(chunk),
            (Some(values), None) => values.push(chunk, &mut out),
            (None, Some(formats)) => {
                for block in chunk.chunks(BLOCK) {
                    formats.push(block, &mut out);
                }
            }
            (Some(values), Some(formats)) => {
                let mut clean = Zeroizing::new(Vec::with_capacity(BLOCK));
                for block in chunk.chunks(BLOCK) {
                    clean.clear();
                    values.push(block, &mut clean);
                    formats.push(&clean, &mut out);
                }
            }
        }
        ScrubbedBytes::from_clean(out)
    }

    /// Ends the stream and gives what was held back.
    #[must_use = "these bytes are the end of the stream"]
    pub fn finish(self) -> ScrubbedBytes {
        self.finish_counted().0
    }

    /// Ends the stream; gives what was held back, and how many unregistered credentials of each kind were seen.
    #[must_use = "these bytes are the end of the stream"]
    pub fn finish_counted(mut self) -> (ScrubbedBytes, FormatCounts) {
        let clean = self.values.as_mut().map(Work::end).unwrap_or_default();
        let Some(mut work) = self.formats else {
            return (ScrubbedBytes::from_clean(clean), FormatCounts::new());
        };
        let mut end = Vec::with_capacity(work.held().len() + clean.len());
        work.push(&clean, &mut end);
        work.end(&mut end);
        (ScrubbedBytes::from_clean(end), work.counts().clone())
    }

    /// What a live view may show after a silence, and must never store: the bytes held back, if they are at
    /// most [`PROVISIONAL_MAX`], else none. When that is, the caller's clock says. They come again with what
    /// follows.
    #[must_use]
    pub fn provisional(&self) -> Vec<u8> {
        if self.held_len() > PROVISIONAL_MAX {
            return Vec::new();
        }
        [self.held_formats(), self.held_values()].concat()
    }

    /// How many bytes are held back now.
    #[must_use]
    pub fn held_len(&self) -> usize {
        self.held_formats().len() + self.held_values().len()
    }

    fn held_values(&self) -> &[u8] {
        self.values.as_ref().map_or(&[], Work::held)
    }

    fn held_formats(&self) -> &[u8] {
        self.formats.as_ref().map_or(&[], detect::Work::held)
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
    sets: Sets,
    /// The newest bytes: those held back, and the few before them that may belong to a character cut
    /// by the edge.
    buffer: Zeroizing<Vec<u8>>,
    /// Up to here the buffer went out, or stands behind a marker.
    gone: usize,
    /// No occurrence that begins before this place is still to be found.
    open: usize,
    /// The end of the last marker's span, while a span that touches it could still come.
    marked: Option<usize>,
    /// Undecided spans, by start, the longest first.
    spans: VecDeque<Span>,
    /// Literal markers that an undecided span may meet.
    literals: VecDeque<Range<usize>>,
}

impl Work {
    fn new(sets: Sets) -> Work {
        Work {
            sets,
            buffer: Zeroizing::default(),
            gone: 0,
            open: 0,
            marked: None,
            spans: VecDeque::new(),
            literals: VecDeque::new(),
        }
    }

    fn held(&self) -> &[u8] {
        &self.buffer[self.gone..]
    }

    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        for block in chunk.chunks(BLOCK) {
            self.buffer.extend_from_slice(block);
            self.find(Tail::Open);
            self.settle(Tail::Open, out);
        }
    }

    fn end(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.held().len());
        self.find(Tail::Ended);
        self.settle(Tail::Ended, &mut out);
        out
    }

    /// Takes down every occurrence whose end is there.
    fn find(&mut self, tail: Tail) {
        let (spans, literals) = (&mut self.spans, &mut self.literals);
        self.open = self
            .sets
            .find(&self.buffer, self.open, tail == Tail::Ended, |found| {
                note(found, spans, literals);
            });
    }

    fn settle(&mut self, tail: Tail, out: &mut Vec<u8>) {
        let settled = self.settled(tail);
        while let Some(span) = self.spans.pop_front_if(|span| span.place.end <= settled) {
            self.decide(&span, out);
        }
        let open = self
            .spans
            .front()
            .map(|span| chars::floor(&self.buffer, span.place.start));
        self.release(open.map_or(settled, |start| start.min(settled)), out);
        self.forget();
    }

    /// Up to here no later byte changes what a byte belongs to.
    fn settled(&self, tail: Tail) -> usize {
        match tail {
            Tail::Ended => self.buffer.len(),
            // A base64 form takes the character before it in.
            Tail::Open
                if self.buffer[..self.open]
                    .last()
                    .is_some_and(|byte| fit::is_base64(*byte)) =>
            {
                self.open - 1
            }
            Tail::Open => chars::floor_unfinished(&self.buffer, self.open),
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
                out.extend_from_slice(self.sets.marker(span.marker).as_bytes());
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
        let undecided = self.spans.front().map_or(self.gone, |span| span.place.start);
        let first_open = undecided.min(self.gone).min(self.open);
        self.literals.retain(|literal| literal.end > first_open);
        let literal = self.literals.front().map_or(first_open, |literal| literal.start);
        let cut = first_open.min(literal).saturating_sub(CONTEXT);
        if cut == 0 {
            return;
        }
        self.buffer.drain(..cut);
        self.gone -= cut;
        self.open -= cut;
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

/// Keeps spans by start, the longest first, and each once.
fn note(found: Found, spans: &mut VecDeque<Span>, literals: &mut VecDeque<Range<usize>>) {
    let place = found.start..found.end;
    let Pattern::Form(marker, _) = found.pattern else {
        if !literals.contains(&place) {
            literals.push_back(place);
        }
        return;
    };
    let order = |span: &Span| (span.place.start, Reverse(span.place.end), span.marker);
    let span = Span { place, marker };
    if let Err(index) = spans.binary_search_by_key(&order(&span), order) {
        spans.insert(index, span);
    }
}
