//! A redaction set, built once: the automaton that finds every form of every value.

use std::{collections::HashMap, fmt};

use aho_corasick::{
    Anchored, MatchKind,
    automaton::{Automaton, StateID},
    nfa::contiguous::NFA,
};

use crate::{Redaction, marker};

/// A value up to this many bytes is matched whole.
const WHOLE_MAX: usize = 256;

/// A longer value is matched in pieces of this many bytes …
const PIECE: usize = 64;

/// … one every so many bytes, so that any fragment of 96 bytes holds a piece.
const STRIDE: usize = 32;

/// What a pattern of the automaton is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// A form of a value; the index of its marker.
    Form(usize),
    /// The marker of a registered name.
    Marker,
}

/// An occurrence of a pattern that ends where the automaton stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) pattern: Pattern,
    pub(super) length: usize,
}

/// The values of one scrubber, in the shape that finds them.
pub(super) struct Set {
    automaton: NFA,
    patterns: Vec<Pattern>,
    markers: Vec<String>,
    /// How many bytes back the longest beginning of a pattern reaches, by state.
    depths: HashMap<StateID, usize>,
    start: StateID,
    /// Which bytes a pattern begins with; others leave the automaton where it starts.
    beginnings: [bool; 256],
}

impl Set {
    pub(super) fn new(mut redactions: Vec<Redaction>) -> Set {
        redactions.sort_by(|left, right| left.name().cmp(right.name()));
        let mut markers = Vec::new();
        // The first name in order keeps a form that two values share.
        let mut forms: HashMap<Vec<u8>, Pattern> = HashMap::new();
        for redaction in redactions {
            for form in pieces(redaction.value()) {
                forms.entry(form.to_vec()).or_insert(Pattern::Form(markers.len()));
            }
            markers.push(marker::of(redaction.name().as_str()));
        }
        for marker in &markers {
            forms.insert(marker.clone().into_bytes(), Pattern::Marker);
        }
        let (texts, patterns): (Vec<Vec<u8>>, Vec<Pattern>) = forms.into_iter().unzip();
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(&texts)
            .expect("a set of at most 1,024 values of 32 KiB is far below 2^31 states");
        let start = automaton
            .start_state(Anchored::No)
            .expect("standard matching starts anywhere");
        let depths = depths(&automaton, start, &texts);
        let mut beginnings = [false; 256];
        for text in &texts {
            beginnings[usize::from(text[0])] = true;
        }
        Set {
            automaton,
            patterns,
            markers,
            depths,
            start,
            beginnings,
        }
    }

    pub(super) fn start(&self) -> StateID {
        self.start
    }

    pub(super) fn next(&self, state: StateID, byte: u8) -> StateID {
        self.automaton.next_state(Anchored::No, state, byte)
    }

    /// How many bytes can be skipped while the automaton is at its start; none if all can.
    pub(super) fn find_beginning(&self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|byte| self.beginnings[usize::from(*byte)])
    }

    /// How many of the newest bytes may still be the beginning of an occurrence, or are one.
    pub(super) fn depth(&self, state: StateID) -> usize {
        self.depths.get(&state).copied().unwrap_or(0)
    }

    /// All occurrences that end here, overlapping ones too.
    pub(super) fn found(&self, state: StateID) -> impl Iterator<Item = Found> {
        let count = if self.automaton.is_match(state) {
            self.automaton.match_len(state)
        } else {
            0
        };
        (0..count).map(move |index| {
            let id = self.automaton.match_pattern(state, index);
            Found {
                pattern: self.patterns[id.as_usize()],
                length: self.automaton.pattern_len(id),
            }
        })
    }

    pub(super) fn marker(&self, index: usize) -> &str {
        &self.markers[index]
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Set")
            .field("markers", &self.markers)
            .finish_non_exhaustive()
    }
}

/// The parts in which a value is sought.
fn pieces(value: &[u8]) -> Vec<&[u8]> {
    if value.len() <= WHOLE_MAX {
        return vec![value];
    }
    let last = value.len() - PIECE;
    let starts = (0..last).step_by(STRIDE).chain([last]);
    starts.map(|start| &value[start..start + PIECE]).collect()
}

/// Walking a pattern from the start visits the states of its beginnings, one byte deeper each time.
fn depths(automaton: &NFA, start: StateID, patterns: &[Vec<u8>]) -> HashMap<StateID, usize> {
    let mut depths = HashMap::from([(start, 0)]);
    for pattern in patterns {
        let mut state = start;
        for (index, byte) in pattern.iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, *byte);
            depths.insert(state, index + 1);
        }
    }
    depths
}
