//! Listing: one page of keys or entries, in order.

use crate::{Entry, Key, Prefix, ReadError, Version};

/// Most items of a page, entries of a tail.
pub const PAGE_MAX: usize = 1000;
/// A page or tail ends before this many bytes, but holds at least one item.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Most keys of a `get_many`.
pub const GET_MANY_MAX: usize = 256;
/// Most pages of a `list_many`: one thread or connection answers them all.
pub const LIST_MANY_MAX: usize = 16;

/// Which way a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Ascending.
    #[default]
    Up,
    /// Descending.
    Down,
}

/// What a list returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Want {
    /// Whole entries.
    #[default]
    Entries,
    /// Keys and versions; no value is read.
    Keys,
}

/// A question for one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Keys below this.
    pub prefix: Prefix,
    /// Strictly behind this key, in the page's order; it may be gone.
    pub after: Option<Key>,
    /// Which way.
    pub order: Order,
    /// What.
    pub want: Want,
    /// 1 to [`PAGE_MAX`].
    pub limit: usize,
}

impl Page {
    /// The first [`PAGE_MAX`] entries below a prefix.
    #[must_use]
    pub fn of(prefix: Prefix) -> Self {
        Self {
            prefix,
            after: None,
            order: Order::Up,
            want: Want::Entries,
            limit: PAGE_MAX,
        }
    }

    /// What every backend refuses before any I/O.
    ///
    /// # Errors
    /// `Invalid` when the limit is 0 or over [`PAGE_MAX`].
    pub fn validate(&self) -> Result<(), ReadError> {
        if (1..=PAGE_MAX).contains(&self.limit) {
            Ok(())
        } else {
            Err(ReadError::Invalid {
                reason: "a page has 1 to 1000 items",
            })
        }
    }
}

/// What every backend refuses of several pages before any I/O.
///
/// # Errors
/// `Invalid` when there are over [`LIST_MANY_MAX`], or one of them is.
pub(crate) fn validate_many(pages: &[Page]) -> Result<(), ReadError> {
    if pages.len() > LIST_MANY_MAX {
        return Err(ReadError::Invalid {
            reason: "at most 16 pages are listed at once",
        });
    }
    pages.iter().try_for_each(Page::validate)
}

/// One item of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An entry ([`Want::Entries`]).
    Entry(Entry),
    /// A key alone ([`Want::Keys`]).
    Key {
        /// The key.
        key: Key,
        /// Its version.
        version: Version,
    },
    /// In an entry's place: its bytes cannot be believed. They are kept.
    Corrupt {
        /// The key of the damaged entry.
        key: Key,
    },
}

impl Item {
    /// The key of the item, whichever it is.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Entry(entry) => &entry.key,
            Self::Key { key, .. } | Self::Corrupt { key } => key,
        }
    }
}

/// One page, read at one point.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// In the page's order.
    pub items: Vec<Item>,
    /// What to give as `after` for the next page; none only at the end.
    pub next: Option<Key>,
}
