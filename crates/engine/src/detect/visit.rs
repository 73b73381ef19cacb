//! What is known of a visit to a page.

/// A visit, as a browser tool or an HTTP client saw it. What is not known is left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visit<'a> {
    /// The address that was asked for; for a click or a key, the one before it. Without it no redirect is judged.
    pub requested_url: Option<&'a str>,
    /// The address that came of it; empty where it is not known.
    pub final_url: &'a str,
    /// The HTTP status.
    pub status: Option<u16>,
    /// Names and values of the answer's headers; names in any case of letters.
    pub headers: &'a [(String, String)],
    /// The page. Bytes that are no UTF-8 are replaced.
    pub html: Option<&'a [u8]>,
}

impl Visit<'_> {
    /// The first value of a header, without space around it.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter();
        let found = values.find(|(known, _)| known.trim().eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }
}
