//! For how many more wakes there certainly is room, so that asking for one need not count those that are due.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::limits::WAKES_RECOUNT;

/// What is known of the room below `wakes.due_max`.
#[derive(Debug, Default)]
pub(crate) struct DueRoom(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// For so many more there is room.
    left: usize,
    /// How many places were taken, and rows became due, here since this process began; only differences of it mean something.
    made: usize,
    /// There was none when it was counted last, and it is not counted again before.
    full_until: Option<Instant>,
}

/// Whether one more may be woken, by what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It may: its place is taken.
    Place,
    /// It may not: a moment ago there was no place.
    Full,
    /// It is to be counted, from this mark on.
    Unknown {
        /// How many rows had become due when the count began.
        made: usize,
    },
}

impl DueRoom {
    /// Takes a place, if it is known that there is one.
    pub(super) fn take(&self) -> Taken {
        self.with(|known| {
            if known.left > 0 {
                known.left -= 1;
                known.made = known.made.wrapping_add(1);
                return Taken::Place;
            }
            match known.full_until {
                Some(until) if Instant::now() < until => Taken::Full,
                Some(_) | None => Taken::Unknown { made: known.made },
            }
        })
    }

    /// There was room for so many when the count began. One place is taken, if those that came meanwhile left one.
    pub(super) fn counted(&self, room: usize, made_before: usize) -> bool {
        self.with(|known| {
            let made_meanwhile = known.made.wrapping_sub(made_before);
            let free = room.saturating_sub(made_meanwhile);
            known.left = free.saturating_sub(1);
            known.full_until = None;
            known.made = known.made.wrapping_add(usize::from(free > 0));
            free > 0
        })
    }

    /// There was none: whoever asks within a second is told so without another count.
    pub(super) fn found_full(&self) {
        self.with(|known| (known.left, known.full_until) = (0, Some(Instant::now() + WAKES_RECOUNT)));
    }

    /// So many more rows are due, or may be, beside those of which a place was taken.
    pub(crate) fn made(&self, more: usize) {
        if more > 0 {
            self.with(|known| {
                known.made = known.made.wrapping_add(more);
                known.left = known.left.saturating_sub(more);
            });
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Known) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_count_gives_as_many_places_as_it_found_less_those_that_were_taken_meanwhile() {
        let room = DueRoom::default();
        assert_eq!(room.take(), Taken::Unknown { made: 0 });
        room.made(2);
        assert!(room.counted(5, 0));
        assert_eq!([room.take(), room.take()], [Taken::Place, Taken::Place]);
        assert_eq!(room.take(), Taken::Unknown { made: 5 });
        // Two count at once, and there is room for one.
        assert_eq!([room.counted(1, 5), room.counted(1, 5)], [true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_place_it_is_counted_once_a_second() {
        let room = DueRoom::default();
        room.found_full();
        assert_eq!(room.take(), Taken::Full);
        tokio::time::advance(WAKES_RECOUNT).await;
        assert_eq!(room.take(), Taken::Unknown { made: 0 });
        assert!(room.counted(1, 0));
        assert_eq!(room.take(), Taken::Unknown { made: 1 }, "its one place was taken");
    }
}
