//! Whether a form stands at a place where its kept bytes do, and what the span is.

use super::table::is_dropped;
use crate::VALUE_MIN;

/// A form with fewer bytes left, when those of wrapping are dropped, is only sought as it is.
pub(super) const WRAP_KEPT_MIN: usize = 12;

/// More dropped bytes than this between two kept ones are no wrapping.
pub(super) const WRAP_GAP_MAX: usize = 32;

/// So many bytes of the form have to stand unbroken.
const WRAP_RUN_MIN: usize = VALUE_MIN;

/// More dropped bytes than this at either edge of a form are not part of its span.
const EDGE_MAX: usize = 64;

/// The dropped bytes in front of the form's first kept one.
pub(super) fn lead(form: &[u8]) -> &[u8] {
    let length = form.iter().take_while(|byte| is_dropped(**byte)).count();
    &form[length.saturating_sub(EDGE_MAX)..length]
}

/// The dropped bytes behind the form's last kept one.
pub(super) fn trail(form: &[u8]) -> &[u8] {
    let length = form.iter().rev().take_while(|byte| is_dropped(**byte)).count();
    let start = form.len() - length;
    &form[start..start + length.min(EDGE_MAX)]
}

/// What a form makes of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It does not stand there.
    No,
    /// It stands from one place to the other.
    Span(usize, usize),
    /// The next byte may belong to it.
    Open,
}

/// `start..end` of `text` has the kept bytes of `form`, in order, and nothing but dropped ones between.
pub(super) fn wrapped(form: &[u8], text: &[u8], start: usize, end: usize, is_ended: bool) -> Fit {
    let (lead, trail) = (lead(form), trail(form));
    let has_lead = !lead.is_empty() && text[..start].ends_with(lead);
    let mut run = Run::default();
    if has_lead {
        run.unbroken(lead.len());
    }
    if !inner(form, &text[start..end], &mut run) {
        return Fit::No;
    }
    let behind = common(trail, &text[end..]);
    if behind < trail.len() && end + behind == text.len() && !is_ended {
        return Fit::Open;
    }
    run.unbroken(behind);
    if run.longest < WRAP_RUN_MIN {
        return Fit::No;
    }
    Fit::Span(start - if has_lead { lead.len() } else { 0 }, end + behind)
}

/// Goes over form and text side by side, gap by gap; false if a gap is too wide.
fn inner(form: &[u8], text: &[u8], run: &mut Run) -> bool {
    let first = form.iter().position(|byte| !is_dropped(*byte)).unwrap_or(0);
    let (mut form, mut text) = (&form[first..], text);
    while !text.is_empty() {
        run.unbroken(1);
        (form, text) = (&form[1..], &text[1..]);
        if text.is_empty() {
            break;
        }
        let (theirs, ours) = (gap(text), gap(form));
        if theirs == ours {
            run.unbroken(ours.len());
        } else if theirs.len() > WRAP_GAP_MAX {
            return false;
        } else {
            run.unbroken(common(ours, theirs));
            run.broken();
            run.unbroken(common_end(ours, theirs));
        }
        (form, text) = (&form[ours.len()..], &text[theirs.len()..]);
    }
    true
}

fn gap(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().take_while(|byte| is_dropped(**byte)).count();
    &bytes[..length]
}

fn common(left: &[u8], right: &[u8]) -> usize {
    left.iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count()
}

fn common_end(left: &[u8], right: &[u8]) -> usize {
    let pairs = left.iter().rev().zip(right.iter().rev());
    pairs.take_while(|(left, right)| left == right).count()
}

/// How many bytes of the form stand unbroken, now and at most.
#[derive(Default)]
struct Run {
    now: usize,
    longest: usize,
}

impl Run {
    fn unbroken(&mut self, bytes: usize) {
        self.now += bytes;
        self.longest = self.longest.max(self.now);
    }

    fn broken(&mut self) {
        self.now = 0;
    }
}

/// Takes the characters of base64 beside a span in.
pub(super) fn shared_edges(text: &[u8], start: usize, end: usize, is_ended: bool) -> Fit {
    if end == text.len() && !is_ended {
        return Fit::Open;
    }
    let before = usize::from(start > 0 && is_base64(text[start - 1]));
    let behind = usize::from(text.get(end).is_some_and(|byte| is_base64(*byte)));
    Fit::Span(start - before, end + behind)
}

pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}
