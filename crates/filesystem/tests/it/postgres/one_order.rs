//! Whether what many processes saw and wrote fits one order, of all records and logs together, that is also the order
//! of time.
//!
//! Each record holds how often it was written, and each write raises what it saw by one: so the order of the operations
//! on one record is known, and what is to be found out is whether those of all records and that of time agree.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// One operation: what it saw, at one point between its beginning and its end, and whether it raised all that by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) began: i128,
    pub(super) ended: i128,
    pub(super) saw: Vec<Saw>,
    /// The version of the write.
    pub(super) wrote: Option<u64>,
}

/// A record or its log as it was seen, by its version or its value or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Saw {
    pub(super) key: u64,
    pub(super) version: Option<u64>,
    pub(super) value: Option<u64>,
}

/// The version at which a record had a value, of every record and value.
pub(super) type Written = BTreeMap<(u64, u64), u64>;

/// An operation whose place among those of each record is known.
struct Placed {
    op: Op,
    /// A record, and twice the value seen; a write is between that and the next.
    places: Vec<(u64, u64)>,
}

impl Placed {
    /// What was seen must have been written.
    fn of(op: Op, written: &Written) -> Result<Self, String> {
        let mut places = Vec::new();
        for saw in &op.saw {
            let by_version = |version| {
                let mut of_key = written.range((saw.key, 0)..=(saw.key, u64::MAX));
                of_key.find_map(|(&(_, value), &of)| (of == version).then_some(value))
            };
            let value = match (saw.version, saw.value) {
                (Some(version), _) => by_version(version),
                (None, value) => value.filter(|value| written.contains_key(&(saw.key, *value))),
            };
            let is_one = value.is_some() && saw.value.is_none_or(|of| Some(of) == value);
            let value = value
                .filter(|_| is_one)
                .ok_or(format!("{op:?} saw what nobody wrote"))?;
            if op.wrote.is_some() && written.get(&(saw.key, value + 1)) != op.wrote.as_ref() {
                return Err(format!("{op:?} is not what was written behind {value}"));
            }
            places.push((saw.key, 2 * value + u64::from(op.wrote.is_some())));
        }
        Ok(Self { op, places })
    }

    fn is_before(&self, other: &Self) -> bool {
        let is_earlier = self.op.ended < other.op.began;
        is_earlier
            || self.places.iter().any(|(key, place)| {
                let of_other = other.places.iter().find(|(of, _)| of == key);
                of_other.is_some_and(|(_, behind)| place < behind)
            })
    }
}

/// Looks for the order.
pub(super) fn check(ops: Vec<Op>, written: &Written) -> Result<(), String> {
    let writes: usize = ops
        .iter()
        .filter(|op| op.wrote.is_some())
        .map(|op| op.saw.len())
        .sum();
    let made = written.keys().filter(|(_, value)| *value > 0).count();
    if writes != made {
        return Err(format!("{writes} writes were told of and {made} are there"));
    }
    let placed: Result<Vec<_>, _> = ops.into_iter().map(|op| Placed::of(op, written)).collect();
    let mut left = placed?;
    left.sort_by_key(|placed| placed.op.began);
    let waits_for = |one: &Placed| left.iter().filter(|other| other.is_before(one)).count();
    let mut waits: Vec<usize> = left.iter().map(waits_for).collect();
    let mut ready: Vec<usize> = (0..left.len()).filter(|at| waits[*at] == 0).collect();
    let mut ordered = 0;
    while let Some(next) = ready.pop() {
        ordered += 1;
        for (at, other) in left.iter().enumerate() {
            if left[next].is_before(other) {
                waits[at] -= 1;
                if waits[at] == 0 {
                    ready.push(at);
                }
            }
        }
    }
    if ordered == left.len() {
        return Ok(());
    }
    let stuck = left.iter().zip(&waits).filter(|(_, waits)| **waits > 0);
    let mut text = format!(
        "no order has all {} operations; among those left out:",
        left.len()
    );
    for (placed, _) in stuck.take(8) {
        write!(text, "\n{:?}", placed.op).expect("a text takes all");
    }
    Err(text)
}

/// One line, which [`parse`] reads.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        write!(f, "op {} {} {}", self.began, self.ended, number(self.wrote))?;
        for Saw { key, version, value } in &self.saw {
            write!(f, " {key}:{}:{}", number(*version), number(*value))?;
        }
        Ok(())
    }
}

/// The operation of a line, if it has one.
pub(super) fn parse(line: &str) -> Option<Op> {
    let number = |text: &str| (text != "-").then(|| text.parse::<u64>().unwrap());
    let mut words = line.strip_prefix("op ")?.split(' ');
    let mut word = || words.next().unwrap();
    let (began, ended) = (word().parse().unwrap(), word().parse().unwrap());
    let wrote = number(word());
    let saw = words.map(|word| {
        let parts: Vec<&str> = word.split(':').collect();
        Saw {
            key: parts[0].parse().unwrap(),
            version: number(parts[1]),
            value: number(parts[2]),
        }
    });
    let saw = saw.collect();
    Some(Op {
        began,
        ended,
        saw,
        wrote,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions are ten times the value.
    fn written(values: &[u64]) -> Written {
        let of_key = |(key, last): (usize, &u64)| {
            let key = u64::try_from(key).unwrap();
            (0..=*last).map(move |value| ((key, value), 10 * value + 1))
        };
        values.iter().enumerate().flat_map(of_key).collect()
    }

    fn read(began: i128, ended: i128, saw: &[(u64, u64)]) -> Op {
        let saw = saw.iter().map(|&(key, value)| Saw {
            key,
            version: Some(10 * value + 1),
            value: None,
        });
        Op {
            began,
            ended,
            saw: saw.collect(),
            wrote: None,
        }
    }

    fn write(began: i128, ended: i128, saw: &[(u64, u64)]) -> Op {
        Op {
            wrote: Some(10 * (saw[0].1 + 1) + 1),
            ..read(began, ended, saw)
        }
    }

    #[test]
    fn what_is_in_one_order_is_found_to_be() {
        let both = [(0, 0), (1, 0)];
        let ops = vec![
            write(0, 9, &both),
            // Beside the write: before or behind it.
            read(1, 2, &both),
            read(3, 4, &[(0, 1)]),
            read(5, 8, &[(1, 1)]),
        ];
        assert_eq!(check(ops, &written(&[1, 1])), Ok(()));
    }

    #[test]
    fn what_is_in_no_order_is_found_out() {
        let both = [(0, 0), (1, 0)];
        let cases = [
            (
                "a write seen, and then not",
                vec![write(0, 9, &both), read(1, 2, &[(0, 1)]), read(3, 4, &[(0, 0)])],
            ),
            (
                "a write of two records, one half of it seen",
                vec![write(0, 9, &both), read(1, 8, &[(0, 1), (1, 0)])],
            ),
            (
                "a write not seen behind its end",
                vec![write(0, 1, &both), read(2, 3, &[(1, 0)])],
            ),
            (
                "the halves of a write, one after the other",
                vec![write(0, 9, &both), read(1, 2, &[(0, 1)]), read(3, 4, &[(1, 0)])],
            ),
            ("a write told twice", vec![write(0, 1, &both), write(2, 3, &both)]),
            ("a write nobody told of", vec![read(0, 1, &both)]),
            (
                "what nobody wrote",
                vec![write(0, 9, &both), read(1, 2, &[(0, 2)])],
            ),
        ];
        for (name, ops) in cases {
            assert!(check(ops, &written(&[1, 1])).is_err(), "{name}");
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let mut op = write(-3, 4, &[(0, 7), (2, 7)]);
        op.saw[1].version = None;
        op.saw[1].value = Some(7);
        assert_eq!(parse(&op.to_string()), Some(op));
        assert_eq!(parse("running 1 test"), None);
    }
}
