//! The spellings in which a value leaks: what programs make of it when they print, quote or encode it.
//!
//! Every encoder takes bytes that need not be text; what it does not know it passes as it is.

pub(super) mod base64;
mod hex;
mod json;
mod markup;
mod percent;
mod shell;

use std::collections::BTreeMap;

use super::parts;
use crate::VALUE_MIN;

/// A value up to this many bytes is matched whole.
pub(super) const WHOLE_MAX: usize = 256;

/// A longer value is matched in pieces of this many bytes …
pub(super) const PIECE: usize = 64;

/// … one every so many bytes, so that any fragment of 96 bytes holds a piece.
pub(super) const STRIDE: usize = 32;

/// A form longer than this gives way to the forms of the value's pieces. What is held back is bounded by it, and
/// by what the detector holds: together less than 8 KiB.
pub(super) const FORM_MAX: usize = 3_584;

/// Whether a span of a form takes in its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edges {
    /// The span is the form.
    Sharp,
    /// Base64: the character on either side holds bits of the value too.
    Shared,
}

/// Every form of `value`, of its pieces and of its parts, each once.
pub(super) fn of(value: &[u8]) -> BTreeMap<Vec<u8>, Edges> {
    let mut forms = Forms::default();
    forms.take_whole(value);
    for part in parts::of(value) {
        forms.take_whole(&part);
    }
    forms.0
}

#[derive(Default)]
struct Forms(BTreeMap<Vec<u8>, Edges>);

impl Forms {
    fn take_whole(&mut self, value: &[u8]) {
        if value.len() > WHOLE_MAX {
            return self.take_pieces(value);
        }
        if self.take(value) == Fit::TooLong {
            self.take_pieces(value);
        }
    }

    fn take_pieces(&mut self, value: &[u8]) {
        for piece in pieces(value) {
            self.take(piece);
        }
    }

    /// Takes all forms of `value` that are not too short; says whether one was too long.
    fn take(&mut self, value: &[u8]) -> Fit {
        let mut fit = Fit::Whole;
        let mut add = |form: Vec<u8>, edges: Edges| {
            if form.len() > FORM_MAX {
                fit = Fit::TooLong;
            } else if form.len() >= VALUE_MIN {
                self.0.entry(form).or_insert(edges);
            }
        };
        for (form, edges) in all(value) {
            add(form, edges);
        }
        fit
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Whole,
    TooLong,
}

fn all(value: &[u8]) -> Vec<(Vec<u8>, Edges)> {
    let mut forms = vec![(value.to_vec(), Edges::Sharp)];
    let mut sharp = |form: Vec<u8>| forms.push((form, Edges::Sharp));
    for style in json::STYLES {
        let mut nested = value.to_vec();
        for _depth in 0..3 {
            nested = json::escaped(&nested, style);
            sharp(nested.clone());
        }
    }
    let mixed = percent::all(value)
        .into_iter()
        .chain(shell::all(value))
        .chain(markup::all(value));
    for form in mixed {
        let once = json::escaped(&form, json::Style::Minimal);
        let twice = json::escaped(&once, json::Style::Minimal);
        sharp(form);
        sharp(once);
        sharp(twice);
    }
    hex::all(value).into_iter().for_each(sharp);
    for source in [
        value.to_vec(),
        json::escaped(value, json::Style::Minimal),
        json::escaped(value, json::Style::Ascii),
    ] {
        forms.extend(base64::all(&source).into_iter().map(|form| (form, Edges::Shared)));
    }
    forms
}

/// The pieces in which a long value is sought; of text they begin and end between characters.
fn pieces(value: &[u8]) -> Vec<&[u8]> {
    if value.len() <= PIECE {
        return vec![value];
    }
    let last = value.len() - PIECE;
    let starts = (0..last).step_by(STRIDE).chain([last]);
    let whole = |start: usize| match std::str::from_utf8(value) {
        Ok(text) => &value[text.floor_char_boundary(start)..text.ceil_char_boundary(start + PIECE)],
        Err(_) => &value[start..start + PIECE],
    };
    starts.map(whole).collect()
}

/// Writes each byte of `value` through `spell`.
fn spelled(value: &[u8], mut spell: impl FnMut(u8, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 2);
    for byte in value {
        spell(*byte, &mut out);
    }
    out
}
