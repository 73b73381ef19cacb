//! Text of workers, made harmless for a terminal: what would move the cursor, set a title, fill the clipboard or turn
//! the writing direction is shown instead of sent.

use std::fmt::Write as _;

use dormouse_engine::gate::deceives;

/// Makes a stream of bytes visible. It keeps the beginning of a character until the rest of it comes.
#[derive(Debug, Default)]
pub struct Cleaner {
    unfinished: Vec<u8>,
}

impl Cleaner {
    /// The next bytes, made visible.
    pub fn clean(&mut self, bytes: &[u8]) -> String {
        self.unfinished.extend_from_slice(bytes);
        let whole = whole_characters(&self.unfinished);
        let text = visible(&String::from_utf8_lossy(&self.unfinished[..whole]));
        self.unfinished.drain(..whole);
        text
    }

    /// What was kept and will have no rest.
    pub fn finish(&mut self) -> String {
        visible(&String::from_utf8_lossy(&std::mem::take(&mut self.unfinished)))
    }
}

/// How many bytes may be decoded now: all, unless the last ones begin a character that is not whole yet.
fn whole_characters(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    for at in (from..bytes.len()).rev() {
        let needs = match bytes[at] {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return bytes.len(),
        };
        return if bytes.len() - at < needs { at } else { bytes.len() };
    }
    bytes.len()
}

/// Text with every control made visible but line feed and tab.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            '\r' => shown.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(shown, "\\x{:02x}", u32::from(c));
            }
            c if deceives(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Text for one line: as [`visible`], with line feed and tab shown too.
#[must_use]
pub fn one_line(text: &str) -> String {
    visible(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// A cell of a tab-separated row: controls, separators and the backslash that shows them are escaped, so that a
/// reader can undo it.
#[must_use]
pub fn cell(text: &str) -> String {
    one_line(&text.replace('\\', "\\\\"))
}
