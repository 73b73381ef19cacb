//! A redaction set, built once: what finds every form of every value.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    fit::{self, Fit, WRAP_GAP_MAX, WRAP_KEPT_MIN},
    forms::{self, Edges, FORM_MAX},
    grams::Grams,
    table::{Reading, Table, Walk, is_dropped},
};
use crate::{Redaction, marker};

/// An occurrence spread over more bytes of text than this is none: what is held back is bounded by it.
pub(super) const EXTENT_MAX: usize = FORM_MAX;

/// What a string that is sought is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// A form of a value; the index of its marker.
    Form(usize, Edges),
    /// The marker of a registered name.
    Marker,
}

/// An occurrence of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pattern: Pattern,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Whether the filter skips what cannot be part of a form. The outcome is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    On,
    #[cfg(test)]
    Off,
}

/// A form that is also sought in wrapped text, and what it is.
type Wrapped = (Box<[u8]>, Pattern);

/// The values of one scrubber, in the shape that finds them.
pub(super) struct Set {
    filter: Filter,
    markers: Vec<String>,
    grams: Grams,
    /// Strings that are sought as they are, and what each is.
    exact: Table,
    exact_patterns: Vec<Pattern>,
    /// Forms without the bytes that wrapping puts in, and the forms that each is left of.
    wrapped: Table,
    wrapped_forms: Vec<Vec<Wrapped>>,
    /// What stands in front of the first byte that counts, in some form.
    leads: Vec<Box<[u8]>>,
    /// No two bytes that count are further apart in any form, or in wrapped text.
    gap_max: usize,
    /// No form has more bytes that count.
    longest: usize,
}

impl Set {
    pub(super) fn new(redactions: Vec<Redaction>, filter: Filter) -> Set {
        let (markers, patterns) = patterns(redactions);
        let grams = Grams::new(patterns.keys().map(|form| (form.as_slice(), reach(form))));
        let mut exact = Vec::new();
        let mut exact_patterns = Vec::new();
        let mut by_kept: BTreeMap<Vec<u8>, Vec<Wrapped>> = BTreeMap::new();
        let mut leads = BTreeSet::new();
        let mut gap_max = WRAP_GAP_MAX;
        for (form, pattern) in patterns {
            gap_max = gap_max.max(widest_gap(&form));
            let kept: Vec<u8> = form.iter().copied().filter(|byte| !is_dropped(*byte)).collect();
            if kept.len() < WRAP_KEPT_MIN || pattern == Pattern::Marker {
                exact.push(form.into_boxed_slice());
                exact_patterns.push(pattern);
            } else {
                leads.insert(Box::from(fit::lead(&form)));
                by_kept.entry(kept).or_default().push((form.into(), pattern));
            }
        }
        leads.remove(&b""[..]);
        let (kept, wrapped_forms): (Vec<Vec<u8>>, Vec<_>) = by_kept.into_iter().unzip();
        let kept = kept.into_iter().map(Vec::into_boxed_slice).collect();
        let exact = Table::new(Reading::Exact, exact);
        let wrapped = Table::new(Reading::Unwrapped { gap_max }, kept);
        Set {
            filter,
            markers,
            grams,
            longest: exact.longest().max(wrapped.longest()),
            exact,
            exact_patterns,
            wrapped,
            wrapped_forms,
            leads: leads.into_iter().collect(),
            gap_max,
        }
    }

    pub(super) fn marker(&self, index: usize) -> &str {
        &self.markers[index]
    }

    /// How many markers there are.
    pub(super) fn markers(&self) -> usize {
        self.markers.len()
    }

    /// Tells `found` each occurrence that begins at `from` or behind it, some of them more than once, and
    /// gives the first place where one may begin of which the text ends too early to say.
    pub(super) fn find(
        &self,
        text: &[u8],
        from: usize,
        is_ended: bool,
        mut found: impl FnMut(Found),
    ) -> usize {
        let tail = match self.filter {
            Filter::On => self.back(text, text.len(), self.longest + 1, from),
            #[cfg(test)]
            Filter::Off => from,
        };
        let mut tried = from;
        let mut sample = from;
        while tried < tail
            && let Some(at) = self.grams.next(text, sample)
        {
            sample = Grams::behind(at);
            for place in at.saturating_sub(3 + 1).max(from)..=at {
                let Some(reach) = self.grams.reach(text, place) else {
                    continue;
                };
                let first = self.back(text, place, reach as usize, tried);
                for start in first..(place + 1).min(tail) {
                    if self.exact.may_begin(text, start) || self.wrapped.may_begin(text, start) {
                        self.begin(text, start, is_ended, &mut found);
                    }
                }
                tried = tried.max((place + 1).min(tail));
            }
        }
        let mut open = text.len();
        for start in tail..text.len() {
            if self.begin(text, start, is_ended, &mut found) == Walk::Open {
                open = open.min(start).min(self.led_from(text, start, from));
            }
        }
        if is_ended {
            text.len()
        } else {
            open.min(self.lead_at_end(text, from))
        }
    }

    /// The first place before `place` with at most `reach` bytes that count between, but not before `floor`.
    fn back(&self, text: &[u8], place: usize, reach: usize, floor: usize) -> usize {
        let (mut at, mut kept, mut gap) = (place, 0, 0);
        let floor = floor.max(place.saturating_sub(EXTENT_MAX));
        while at > floor {
            if is_dropped(text[at - 1]) {
                gap += 1;
            } else {
                (kept, gap) = (kept + 1, 0);
            }
            if kept > reach || gap > self.gap_max {
                break;
            }
            at -= 1;
        }
        at
    }

    /// Tells all occurrences that begin at `start`.
    fn begin(&self, text: &[u8], start: usize, is_ended: bool, found: &mut impl FnMut(Found)) -> Walk {
        let mut is_open = false;
        let mut fits = |pattern: Pattern, fit: Fit| {
            let fit = match (fit, pattern) {
                (Fit::Span(start, end), Pattern::Form(_, Edges::Shared)) => {
                    fit::shared_edges(text, start, end, is_ended)
                }
                (fit, _) => fit,
            };
            match fit {
                Fit::Span(start, end) => found(Found { pattern, start, end }),
                Fit::Open => is_open = true,
                Fit::No => {}
            }
        };
        let exact = self.exact.walk(text, start, EXTENT_MAX, |index, end| {
            fits(self.exact_patterns[index], Fit::Span(start, end));
        });
        let mut wrapped = Walk::Over;
        if !is_dropped(text[start]) {
            wrapped = self.wrapped.walk(text, start, EXTENT_MAX, |index, end| {
                for (form, pattern) in &self.wrapped_forms[index] {
                    fits(*pattern, fit::wrapped(form, text, start, end, is_ended));
                }
            });
        }
        if is_open || exact == Walk::Open || wrapped == Walk::Open {
            Walk::Open
        } else {
            Walk::Over
        }
    }

    /// Where the longest lead begins that ends at `start`.
    fn led_from(&self, text: &[u8], start: usize, from: usize) -> usize {
        let before = &text[from..start];
        let leads = self.leads.iter().filter(|lead| before.ends_with(lead));
        start - leads.map(|lead| lead.len()).max().unwrap_or(0)
    }

    /// Where the longest beginning of a lead begins that the text ends with.
    fn lead_at_end(&self, text: &[u8], from: usize) -> usize {
        let text = &text[from..];
        let begun = |lead: &[u8]| {
            (1..=lead.len())
                .rev()
                .find(|length| text.ends_with(&lead[..*length]))
        };
        let longest = self.leads.iter().filter_map(|lead| begun(lead)).max();
        from + text.len() - longest.unwrap_or(0)
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Set")
            .field("markers", &self.markers)
            .finish_non_exhaustive()
    }
}

/// The markers, and every string that is sought. The first name in order keeps a form that two values share.
fn patterns(mut redactions: Vec<Redaction>) -> (Vec<String>, BTreeMap<Vec<u8>, Pattern>) {
    redactions.sort_by(|left, right| left.name().cmp(right.name()));
    let mut markers: Vec<String> = Vec::new();
    let mut patterns = BTreeMap::new();
    for redaction in redactions {
        for (form, edges) in forms::of(redaction.value()) {
            patterns
                .entry(form)
                .or_insert(Pattern::Form(markers.len(), edges));
        }
        markers.push(marker::of(redaction.name().as_str()));
    }
    for marker in &markers {
        patterns.insert(marker.clone().into_bytes(), Pattern::Marker);
    }
    (markers, patterns)
}

/// For each byte of a form, how many that count stand before it.
fn reach(form: &[u8]) -> Vec<u32> {
    let mut kept = 0;
    let count = |byte: &u8| {
        let before = kept;
        kept += u32::from(!is_dropped(*byte));
        before
    };
    form.iter().map(count).collect()
}

/// The longest run of bytes of a form that do not count.
fn widest_gap(form: &[u8]) -> usize {
    let runs = form.split(|byte| !is_dropped(*byte));
    runs.map(<[u8]>::len).max().unwrap_or(0)
}
