//! Comparing what an index holds with what the log says it must, behind an opening, while commits go on.
//!
//! The committer takes a step of it between two groups. What has been walked over and changes then is counted as it
//! changes; so at the end the count is of what there is.

use std::ops::Bound;

use super::apply::{entry_bytes, head_bytes, record_bytes};
use super::index::{Index, IndexError, Spotted, Walk};
use super::tally::{Of, Tally, Thing};
use crate::Order;
use crate::commit_log::frame::Frame;

/// Most items counted in a step: about a millisecond.
const STEP_ITEMS: usize = 1000;

/// How far it has come.
#[derive(Debug)]
enum At {
    Records(Option<String>),
    Heads(Option<String>),
    Entries(Option<(String, u64)>),
}

/// A comparison under way.
#[derive(Debug)]
pub(crate) struct Audit {
    at: At,
    seen: Tally,
    live: i64,
}

/// What a whole index was found to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) tally: Tally,
    pub(crate) live: i64,
}

impl Audit {
    /// One that begins.
    pub(crate) fn new() -> Self {
        Self {
            at: At::Records(None),
            seen: Tally::default(),
            live: 0,
        }
    }

    /// A frame was applied to the index.
    pub(crate) fn count(&mut self, frame: &Frame<'_>) {
        let at = &self.at;
        self.seen.count_where(frame, |thing| at.is_behind(thing));
    }

    /// Goes on for a while; the count at the end.
    pub(crate) fn step<I: Index>(&mut self, index: &I) -> Result<Option<Counted>, IndexError> {
        let Self { at, seen, live } = self;
        let mut left = STEP_ITEMS;
        let mut goes_on = || {
            left -= 1;
            left > 0
        };
        match at {
            At::Records(last) => {
                let mut now = None;
                index.walk_records(behind(last.as_deref()), |key, spot| {
                    seen.record(key, spot.version());
                    *live += record_bytes(key, spot.weight());
                    let goes_on = goes_on();
                    if !goes_on {
                        now = Some(key.to_owned());
                    }
                    goes_on
                })?;
                *at = now.map_or(At::Heads(None), |now| At::Records(Some(now)));
            }
            At::Heads(last) => {
                let mut now = None;
                index.walk_heads(behind(last.as_deref()), |log, head| {
                    seen.head(log, &head);
                    *live += head_bytes(log);
                    let goes_on = goes_on();
                    if !goes_on {
                        now = Some(log.to_owned());
                    }
                    goes_on
                })?;
                *at = now.map_or(At::Entries(None), |now| At::Heads(Some(now)));
            }
            At::Entries(last) => {
                let mut now = None;
                let after = last.as_ref().map(|(log, position)| (log.as_str(), *position));
                index.walk_all_entries(after, |log, position, spot| {
                    seen.entry(log, position);
                    *live += entry_bytes(log, spot.weight());
                    let goes_on = goes_on();
                    if !goes_on {
                        now = Some((log.to_owned(), position));
                    }
                    goes_on
                })?;
                let Some(now) = now else {
                    return Ok(Some(Counted {
                        tally: *seen,
                        live: *live,
                    }));
                };
                *at = At::Entries(Some(now));
            }
        }
        Ok(None)
    }
}

impl At {
    /// Whether a thing was walked over.
    fn is_behind(&self, thing: Thing<'_>) -> bool {
        match (self, thing.of) {
            (Self::Records(last), Of::Record) | (Self::Heads(last), Of::First | Of::Next) => {
                last.as_deref().is_some_and(|last| thing.name <= last)
            }
            (Self::Entries(last), Of::Entry) => last
                .as_ref()
                .is_some_and(|(log, position)| (thing.name, thing.number) <= (log.as_str(), *position)),
            (Self::Heads(_) | Self::Entries(_), Of::Record) | (Self::Entries(_), Of::First | Of::Next) => {
                true
            }
            (Self::Records(_), Of::First | Of::Next | Of::Entry) | (Self::Heads(_), Of::Entry) => false,
        }
    }
}

fn behind(last: Option<&str>) -> Walk<'_> {
    Walk {
        low: last.map_or(Bound::Unbounded, |last| Bound::Excluded(last.as_bytes())),
        high: Bound::Unbounded,
        order: Order::Up,
    }
}
