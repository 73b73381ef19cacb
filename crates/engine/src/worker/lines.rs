//! Lines out of chunks of bytes: framed on bytes, bounded, and never stopped by what is no text.

/// Longest line, in bytes, its end left out.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its bytes, without the end of line (`\n`, `\r\n`).
    pub bytes: Vec<u8>,
    /// Bytes of it beyond the limit, which are not here.
    pub cut: u64,
}

impl Line {
    /// As text; what is not UTF-8 becomes `U+FFFD`.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Cuts a stream into lines.
///
/// ```
/// use dormouse_engine::worker::lines::Lines;
///
/// let mut lines = Lines::default();
/// assert_eq!(lines.push(b"one\ntw").iter().map(|l| l.text()).collect::<Vec<_>>(), ["one"]);
/// assert_eq!(lines.push(b"o\n").iter().map(|l| l.text()).collect::<Vec<_>>(), ["two"]);
/// ```
#[derive(Debug)]
pub struct Lines {
    max: usize,
    begun: Vec<u8>,
    cut: u64,
    lines_cut: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self::with_max(LINE_BYTES_MAX)
    }
}

impl Lines {
    /// Lines of at most `max` bytes.
    #[must_use]
    pub fn with_max(max: usize) -> Self {
        Self {
            max,
            begun: Vec::new(),
            cut: 0,
            lines_cut: 0,
        }
    }

    /// More of the stream, and the lines that are whole now.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<Line> {
        let mut whole = Vec::new();
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            self.extend(&rest[..end]);
            whole.push(self.take());
            rest = &rest[end + 1..];
        }
        self.extend(rest);
        whole
    }

    /// The stream is over: what was begun and had no end.
    pub fn finish(&mut self) -> Option<Line> {
        (!self.begun.is_empty() || self.cut > 0).then(|| self.take())
    }

    /// Lines so far that were longer than the limit.
    #[must_use]
    pub fn lines_cut(&self) -> u64 {
        self.lines_cut
    }

    fn extend(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(self.max - self.begun.len());
        self.begun.extend_from_slice(&bytes[..kept]);
        self.cut += (bytes.len() - kept) as u64;
    }

    fn take(&mut self) -> Line {
        let mut bytes = std::mem::take(&mut self.begun);
        let cut = std::mem::take(&mut self.cut);
        if cut > 0 {
            self.lines_cut += 1;
        } else if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Line { bytes, cut }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(lines: &mut Lines, chunks: &[&[u8]]) -> Vec<Line> {
        let mut found: Vec<Line> = chunks.iter().flat_map(|c| lines.push(c)).collect();
        found.extend(lines.finish());
        found
    }

    #[test]
    fn a_line_one_byte_too_long_is_cut_and_counted_and_the_next_one_is_whole() {
        let mut lines = Lines::default();
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let found = all(&mut lines, &[&long, b"\nnext\n"]);
        assert_eq!(found[0].bytes.len(), LINE_BYTES_MAX);
        assert_eq!(found[0].cut, 1);
        assert_eq!(
            found[1],
            Line {
                bytes: b"next".to_vec(),
                cut: 0
            }
        );
        assert_eq!(lines.lines_cut(), 1);
    }

    #[test]
    fn bad_text_and_nul_are_a_line_like_any_other() {
        let found = all(&mut Lines::default(), &[b"a\xff\0b\r\n", b"next"]);
        assert_eq!(
            found.iter().map(Line::text).collect::<Vec<_>>(),
            ["a\u{fffd}\0b", "next"]
        );
    }

    proptest! {
        #[test]
        fn where_the_chunks_are_cut_makes_no_difference(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            cuts in prop::collection::vec(0usize..200, 0..5),
        ) {
            let whole = all(&mut Lines::with_max(7), &[&bytes]);
            let mut at: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).chain([0, bytes.len()]).collect();
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(all(&mut Lines::with_max(7), &chunks), whole);
        }
    }
}
