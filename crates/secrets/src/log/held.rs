//! Which values are covered, and which of them are in a set yet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::open_values::OPEN_MAX;
use crate::{Formats, Redaction, SET_VALUES_MAX, Scrubber, Secret, SecretName};

/// So many values are searched one by one, at most, while no rebuild runs.
const SINGLY_MAX: usize = 32;

/// Tells a value from others without being it.
type Print = [u8; 32];

/// A value that is covered.
#[derive(Clone)]
struct Value {
    name: SecretName,
    value: Arc<Secret>,
    /// When it was last opened, as a count of openings.
    opened: u64,
}

/// All values that are covered.
#[derive(Default)]
pub(super) struct Held {
    values: HashMap<Print, Value>,
    /// What finds those that rebuilds took in.
    sets: Vec<Taken>,
    /// What finds each of the others, by print.
    singly: BTreeMap<Print, Scrubber>,
    is_building: bool,
    openings: u64,
}

/// What an opening asks for.
pub(super) enum Step {
    /// Nothing: the value is covered.
    Known,
    /// The scrubber is another one.
    Covered,
    /// So it is, and it is time for a rebuild.
    Due(Rebuild),
}

/// What a rebuild takes in.
pub(super) struct Rebuild(Vec<(Print, Value)>);

/// Values that are found together.
pub(super) struct Taken {
    set: Scrubber,
    prints: Vec<Print>,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    #[cfg(test)]
    pub(super) fn singly(&self) -> usize {
        self.singly.len()
    }

    pub(super) fn open(&mut self, name: &SecretName, value: &Secret) -> Step {
        self.openings += 1;
        let print = print(name, value);
        if let Some(known) = self.values.get_mut(&print) {
            known.opened = self.openings;
            return Step::Known;
        }
        let Ok(redaction) = Redaction::new(name.clone(), value.duplicate()) else {
            return Step::Known;
        };
        let single = Scrubber::new(vec![redaction]).expect("one value is not too many");
        self.singly.insert(print, single);
        self.values.insert(
            print,
            Value {
                name: name.clone(),
                value: Arc::new(value.duplicate()),
                opened: self.openings,
            },
        );
        if self.is_building {
            return Step::Covered;
        }
        match self.next() {
            Some(work) => {
                self.is_building = true;
                Step::Due(work)
            }
            None => Step::Covered,
        }
    }

    /// The next rebuild, when it is time for one.
    fn next(&mut self) -> Option<Rebuild> {
        if self.singly.len() < SINGLY_MAX {
            return None;
        }
        self.let_go();
        Some(self.due())
    }

    /// What is searched singly, as much as one set takes, and sets of no more values than that: each value is built anew
    /// a few times, however many there are, and there are few sets.
    fn due(&self) -> Rebuild {
        let mut prints: Vec<Print> = self.singly.keys().copied().take(SET_VALUES_MAX).collect();
        let mut sets: Vec<&Taken> = self.sets.iter().collect();
        sets.sort_by_key(|set| set.prints.len());
        for set in sets {
            let together = prints.len() + set.prints.len();
            if set.prints.len() <= prints.len() && together <= SET_VALUES_MAX {
                prints.extend(&set.prints);
            }
        }
        let values = prints.into_iter();
        Rebuild(
            values
                .filter_map(|print| Some((print, self.values.get(&print)?.clone())))
                .collect(),
        )
    }

    /// Takes over what a rebuild made. What was opened meanwhile is still searched singly, and is the next rebuild's when
    /// it is much.
    pub(super) fn built(&mut self, taken: Taken) -> Option<Rebuild> {
        for print in &taken.prints {
            self.singly.remove(print);
        }
        let values = &self.values;
        let now: HashSet<&Print> = taken.prints.iter().collect();
        self.sets.retain(|set| {
            let is_in = |print: &Print| now.contains(print) || !values.contains_key(print);
            !set.prints.iter().all(is_in)
        });
        self.sets.push(taken);
        self.next()
    }

    /// No rebuild runs any more: the next opening may ask for one.
    pub(super) fn rests(&mut self) {
        self.is_building = false;
    }

    /// What finds all of them.
    pub(super) fn scrubber(&self) -> Scrubber {
        let sets = self.sets.iter().map(|taken| &taken.set);
        Scrubber::all(sets.chain(self.singly.values())).with_formats(Formats::Strict)
    }

    /// The values that were opened longest ago, when there are too many.
    fn let_go(&mut self) {
        let over = self.values.len().saturating_sub(OPEN_MAX);
        if over == 0 {
            return;
        }
        let mut openings: Vec<u64> = self.values.values().map(|value| value.opened).collect();
        openings.sort_unstable();
        let oldest = openings[over];
        self.values.retain(|_, value| value.opened >= oldest);
        let values = &self.values;
        self.singly.retain(|print, _| values.contains_key(print));
    }
}

/// It stays in this process, which has the value beside it.
fn print(name: &SecretName, value: &Secret) -> Print {
    let hash = Sha256::new()
        .chain_update(name.as_str())
        .chain_update([0])
        .chain_update(value.expose());
    hash.finalize().into()
}

impl Rebuild {
    pub(super) fn build(self) -> Taken {
        let redaction = |value: &Value| {
            Redaction::new(value.name.clone(), value.value.duplicate())
                .expect("it was one when it was opened")
        };
        let redactions = self.0.iter().map(|(_, value)| redaction(value)).collect();
        Taken {
            set: Scrubber::new(redactions).expect("no more are taken together"),
            prints: self.0.into_iter().map(|(print, _)| print).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
