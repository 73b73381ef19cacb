//! How a store is: for health pages and `doctor`.

/// Whether a store takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does.
    Open,
    /// It does not any more; reads may go on.
    Closed {
        /// Why.
        reason: &'static str,
    },
}

/// How a store is. Counts are since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether it takes writes.
    pub state: State,
    /// Commits waiting.
    pub queued: usize,
    /// Bytes on disk or in memory; 0 when not known.
    pub bytes: u64,
    /// Commits acknowledged.
    pub commits: u64,
    /// Flushes made for them: their ratio is the group's mean size.
    pub flushes: u64,
    /// Keys and empty pages that were answered for without asking a thread that may wait for a disk.
    pub reads_at_once: u64,
    /// What is worth telling an operator, one sentence each: a torn tail cut at opening, a weak filesystem.
    pub notices: Vec<String>,
}
