//! Which values are covered, and which of them are in a set yet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;

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
pub(super) struct Held {
    key: [u8; 32],
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
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        // It need not be secret from this process. Without randomness of the system nothing else works either.
        let _ = SysRng.try_fill_bytes(&mut key);
        Self {
            key,
            values: HashMap::new(),
            sets: Vec::new(),
            singly: BTreeMap::new(),
            is_building: false,
            openings: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn open(&mut self, name: &SecretName, value: &Secret) -> Step {
        self.openings += 1;
        let print = self.print(name, value);
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
        if self.is_building || self.singly.len() < SINGLY_MAX {
            return Step::Covered;
        }
        self.is_building = true;
        self.let_go();
        Step::Due(self.due())
    }

    /// What is searched singly, and sets of no more values than that: each value is built anew a few times, however
    /// many there are, and there are few sets.
    fn due(&self) -> Rebuild {
        let mut prints: Vec<Print> = self.singly.keys().copied().collect();
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

    /// Takes over what a rebuild made. What was opened meanwhile is still searched singly.
    pub(super) fn built(&mut self, taken: Taken) {
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

    fn print(&self, name: &SecretName, value: &Secret) -> Print {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length is one");
        mac.update(name.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(value.expose());
        mac.finalize().into_bytes().into()
    }
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
