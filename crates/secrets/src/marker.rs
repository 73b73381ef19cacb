//! The marker that stands for a redacted span: `[redacted:NAME]`.

/// How every marker begins. No value may hold it, so that no marker can be looked into.
pub(crate) const START: &str = "[redacted:";

/// The marker of `name`.
pub(crate) fn of(name: &str) -> String {
    format!("{START}{name}]")
}

/// Where to cut `text` so that at most `cut` bytes stay and no marker is cut.
pub(crate) fn cut_before(text: &str, cut: usize) -> usize {
    // A marker holds one bracket that opens, its first byte: the last one before the cut is the only
    // place where a marker that spans the cut can begin.
    match text.as_bytes()[..cut].iter().rposition(|byte| *byte == b'[') {
        Some(start) if length_at(&text[start..]).is_some_and(|length| start + length > cut) => start,
        _ => cut,
    }
}

/// The length of the marker `text` begins with.
fn length_at(text: &str) -> Option<usize> {
    let name = text.strip_prefix(START)?;
    let end = name.find(']')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'~');
    (end > 0 && name.as_bytes()[..end].iter().all(|byte| is_name(*byte))).then_some(START.len() + end + 1)
}
