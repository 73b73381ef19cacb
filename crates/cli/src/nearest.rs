//! The nearest known name to one that is not known.

/// Most edits between a typo and what was meant.
pub const EDITS_MAX: usize = 2;

/// The known name within [`EDITS_MAX`] edits (a letter added, lost, changed, or two swapped), the nearest first.
///
/// The name itself is no typo of itself, and neither is one that differs in its numbers only: `worker-2` beside `worker-1`
/// is what people call a second one.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .filter(|candidate| numberless(candidate) != numberless(name))
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= EDITS_MAX && *edits < candidate.chars().count().max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The name with a `#` for each number.
fn numberless(name: &str) -> String {
    let mut rest = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '0'..='9' if rest.ends_with('#') => {}
            '0'..='9' => rest.push('#'),
            c => rest.push(c),
        }
    }
    rest
}
