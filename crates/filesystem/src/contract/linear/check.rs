//! The search for an order: Wing and Gong's, with Lowe's memory of where it has been.
//!
//! At each point any operation may be next that began before all others that are left, and were answered, ended. One
//! that nobody was answered may be next at any later point, or never. The order is found when every answered
//! operation is in it. Where the same operations led to the same records before, nothing new can follow.

use std::collections::HashSet;

use super::history::Event;
use super::known::Known;
use super::register::{Refusals, Register, after};

/// Most points looked at. A history of some hundred operations has about as many, since their versions order them.
const POINTS_MAX: usize = 1_000_000;

/// Looks for an order of these operations on so many records, absent at first, that is the order of time, and in
/// which each was answered as it would be if there were no other at the same time.
///
/// # Errors
/// Says how far an order came, and what could not be next there; or that a value has two versions; or that it was
/// given up after a million points.
pub fn check(mut events: Vec<Event>, records: usize, refusals: Refusals) -> Result<(), String> {
    events.sort_by_key(|event| event.began);
    let known = Known::of(&events)?;
    events.retain(|event| event.is_answered() || known.may_have_been_seen(event));
    Search {
        known,
        refusals,
        points: HashSet::new(),
        furthest: (0, Point::start(events.len(), records)),
        events,
    }
    .run(records)
}

/// Which operations are in the order so far, and what they made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Point {
    taken: Vec<u64>,
    records: Vec<Register>,
}

impl Point {
    fn start(events: usize, records: usize) -> Self {
        Self {
            taken: vec![0; events.div_ceil(64)],
            records: vec![Register::default(); records],
        }
    }

    fn has(&self, event: usize) -> bool {
        self.taken[event / 64] & (1 << (event % 64)) != 0
    }

    fn with(&self, event: usize, records: Vec<Register>) -> Self {
        let mut taken = self.taken.clone();
        taken[event / 64] |= 1 << (event % 64);
        Self { taken, records }
    }
}

struct Search {
    events: Vec<Event>,
    known: Known,
    refusals: Refusals,
    points: HashSet<Point>,
    /// Where most answered operations are in an order.
    furthest: (usize, Point),
}

impl Search {
    fn run(mut self, records: usize) -> Result<(), String> {
        let answered = self.events.iter().filter(|event| event.is_answered()).count();
        let mut left = vec![(0, Point::start(self.events.len(), records))];
        // Ends when every point was looked at, or too many.
        while let Some((count, point)) = left.pop() {
            if count == answered {
                return Ok(());
            }
            if self.points.len() == POINTS_MAX {
                return Err(format!(
                    "no order found in {POINTS_MAX} points: {}",
                    self.explain()
                ));
            }
            if count > self.furthest.0 {
                self.furthest = (count, point.clone());
            }
            for at in self.next(&point).into_iter().rev() {
                let event = &self.events[at];
                let Some(records) = after(&point.records, event, &self.known, self.refusals) else {
                    continue;
                };
                let next = point.with(at, records);
                if self.points.insert(next.clone()) {
                    left.push((count + usize::from(event.is_answered()), next));
                }
            }
        }
        Err(self.explain())
    }

    /// What may be next by its time.
    fn next(&self, point: &Point) -> Vec<usize> {
        let mut ended = u64::MAX;
        let mut next = Vec::new();
        for (at, event) in self.events.iter().enumerate() {
            if event.began > ended {
                break;
            }
            if !point.has(at) {
                next.push(at);
                if event.is_answered() {
                    ended = ended.min(event.ended);
                }
            }
        }
        next
    }

    fn explain(&self) -> String {
        let (count, point) = &self.furthest;
        let next: Vec<&Event> = self.next(point).into_iter().map(|at| &self.events[at]).collect();
        format!(
            "after {count} operations the records are {:?}, and none of these can be next: {next:#?}",
            point.records
        )
    }
}
