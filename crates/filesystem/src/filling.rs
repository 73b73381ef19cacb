//! Filling a page or a tail: up to its limit and [`PAGE_BYTES_MAX`], but always one item.

use crate::{Entry, Logged, PAGE_BYTES_MAX, PAGE_MAX, ReadError};

/// How full a page is. Every backend cuts its pages with it, so they are cut alike.
#[derive(Debug)]
pub(crate) struct Filling {
    room_items: usize,
    bytes: usize,
}

impl Filling {
    /// An empty page of this many items.
    ///
    /// # Errors
    /// `Invalid` when the limit is 0 or over [`PAGE_MAX`].
    pub(crate) fn of(limit: usize) -> Result<Self, ReadError> {
        if (1..=PAGE_MAX).contains(&limit) {
            Ok(Self {
                room_items: limit,
                bytes: 0,
            })
        } else {
            Err(ReadError::Invalid {
                reason: "a page has 1 to 1000 items",
            })
        }
    }

    /// Takes an item of this size into the page; false when it must wait for the next one.
    pub(crate) fn takes(&mut self, bytes: usize) -> bool {
        let fits = self.room_items > 0 && (self.bytes == 0 || self.bytes + bytes <= PAGE_BYTES_MAX);
        if fits {
            self.room_items -= 1;
            // An item weighs something even when it is empty, so "nothing yet" stays 0.
            self.bytes += bytes.max(1);
        }
        fits
    }
}

/// What an entry weighs in a page: its key, kind and value.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    entry.key.stored().len() + entry.kind.as_str().len() + entry.value.len()
}

/// What a log entry weighs in a tail: its bytes.
pub(crate) fn logged_bytes(logged: &Logged) -> usize {
    logged.entry.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_at_its_limit_or_its_bytes_but_holds_one_item() {
        assert!(Filling::of(0).is_err());
        assert!(Filling::of(PAGE_MAX + 1).is_err());
        let mut two = Filling::of(2).unwrap();
        assert_eq!([two.takes(0), two.takes(0), two.takes(0)], [true, true, false]);
        let mut large = Filling::of(PAGE_MAX).unwrap();
        assert_eq!([large.takes(PAGE_BYTES_MAX + 1), large.takes(1)], [true, false]);
        let mut exact = Filling::of(PAGE_MAX).unwrap();
        assert_eq!(
            [exact.takes(PAGE_BYTES_MAX - 1), exact.takes(1), exact.takes(1)],
            [true, true, false]
        );
    }
}
