//! Text as a person is shown it: nothing in it can move, hide or reverse what stands beside it.

/// What becomes of line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// They stay: the text has room of its own.
    Keep,
    /// They are escaped: the text is one line among others.
    Escape,
}

/// The text with every control, bidirectional and invisible character escaped, as in `\u{202e}`.
#[must_use]
pub fn escaped(text: &str, lines: Lines) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if (c == '\n' && lines == Lines::Keep) || !deceives(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

/// Whether a character changes how others are seen, or is not seen itself.
#[must_use]
pub const fn deceives(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' // controls
        | '\u{ad}' | '\u{180e}'      // soft hyphen, a vowel's separator
        | '\u{61c}' | '\u{200e}' | '\u{200f}' // marks of direction
        | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{feff}' // of no width
        | '\u{2028}' | '\u{2029}'     // line ends that are no control characters
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' // embeddings, overrides, isolates, what they became
        | '\u{e0000}'..='\u{e007f}') // tags
}
