//! The block of a private key, taken out line by line.

/// The most bytes of a block: one without an end stops here.
pub(super) const PEM_MAX: usize = 16 * 1024;

/// The most bytes of a character behind its first.
const CHAR_REST_MAX: usize = 3;

/// What the END line begins with.
const END: &[u8] = b"-----END";

/// How the lines of a block are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    Marker,
    AsItIs,
}

/// Inside of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    left: usize,
    /// Bytes taken of the character at the limit.
    rest: usize,
    has_marker: bool,
}

/// Where a block stands after some text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Now {
    /// It goes on; so many bytes were taken.
    Within(usize),
    /// It is over; so many bytes were taken.
    Over(usize),
}

impl Block {
    pub(super) fn new() -> Block {
        Block {
            left: PEM_MAX,
            rest: 0,
            has_marker: false,
        }
    }

    /// Takes lines of `text` up to the end line, or all but what may begin one.
    pub(super) fn take(&mut self, text: &[u8], is_ended: bool, show: Show, out: &mut Vec<u8>) -> Now {
        let whole = text;
        let text = &text[..text.len().min(self.left)];
        let end = text.windows(END.len()).position(|window| window == END);
        let is_full = text.len() == self.left;
        let length = match end {
            Some(end) => end,
            None if is_ended || is_full => text.len(),
            None => text.len() - begun(text),
        };
        for byte in &text[..length] {
            match (show, byte) {
                (Show::AsItIs, byte) => out.push(*byte),
                (Show::Marker, b'\n' | b'\r') => {
                    out.push(*byte);
                    self.has_marker = false;
                }
                (Show::Marker, _) if self.has_marker => {}
                (Show::Marker, _) => {
                    out.extend_from_slice(b"[redacted:~private_key]");
                    self.has_marker = true;
                }
            }
        }
        self.left -= length;
        if end.is_some() {
            Now::Over(length)
        } else if self.left > 0 {
            Now::Within(length)
        } else {
            self.rest_of_char(&whole[length..], length, is_ended, show, out)
        }
    }

    /// A block that stops at its limit stops between characters.
    fn rest_of_char(
        &mut self,
        text: &[u8],
        taken: usize,
        is_ended: bool,
        show: Show,
        out: &mut Vec<u8>,
    ) -> Now {
        let is_continuation = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
        let most = CHAR_REST_MAX - self.rest;
        let rest = text.iter().take(most).take_while(is_continuation).count();
        self.rest += rest;
        if show == Show::AsItIs {
            out.extend_from_slice(&text[..rest]);
        }
        if rest == text.len() && rest < most && !is_ended {
            Now::Within(taken + rest)
        } else {
            Now::Over(taken + rest)
        }
    }
}

/// How many bytes at the end of `text` may begin the end line.
fn begun(text: &[u8]) -> usize {
    (1..END.len())
        .rev()
        .find(|length| text.ends_with(&END[..*length]))
        .unwrap_or(0)
}
