//! What was used: the last value of each counter, less what it showed before this process.

use std::collections::BTreeMap;

use super::event::{Reading, Tokens};

/// Most counters that are told apart; what further ones show is added to the last.
pub const COUNTERS_MAX: usize = 10_000;

/// Makes of absolute readings what a run used.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    counters: BTreeMap<String, Counter>,
    base: Tokens,
    has_usd: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    before: Tokens,
    last: Tokens,
    is_read: bool,
}

impl Meter {
    /// Counters known from before the process: what they showed then is not this run's.
    #[must_use]
    pub fn resumed(known: impl IntoIterator<Item = (String, Tokens)>) -> Self {
        let counter = |(name, shown)| {
            (
                name,
                Counter {
                    before: shown,
                    last: shown,
                    is_read: false,
                },
            )
        };
        Self {
            counters: known.into_iter().map(counter).collect(),
            ..Self::default()
        }
    }

    /// A counter shows this now. False when it shows less than before: then it began anew, and what it showed is kept.
    pub fn read(&mut self, reading: &Reading) -> bool {
        self.has_usd |= reading.absolute.usd_micros.is_some();
        if self.counters.len() >= COUNTERS_MAX && !self.counters.contains_key(&reading.counter) {
            self.base = sum(self.base, reading.absolute);
            return true;
        }
        let counter = self.counters.entry(reading.counter.clone()).or_default();
        let fell = has_fallen(counter.last, reading.absolute);
        if fell {
            self.base = sum(self.base, less(counter.last, counter.before));
            counter.before = Tokens::default();
        }
        counter.last = reading.absolute;
        counter.is_read = true;
        !fell
    }

    /// What each counter shows that was read.
    pub fn shown(&self) -> impl Iterator<Item = (&str, Tokens)> {
        let read = self.counters.iter().filter(|(_, counter)| counter.is_read);
        read.map(|(name, counter)| (name.as_str(), counter.last))
    }

    /// What was used by now.
    #[must_use]
    pub fn used(&self) -> Tokens {
        let used = |counter: &Counter| less(counter.last, counter.before);
        let mut total = self.counters.values().map(used).fold(self.base, sum);
        if !self.has_usd {
            total.usd_micros = None;
        }
        total
    }
}

impl Tokens {
    /// These and those of another process: money where either tells it.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        let tells = self.usd_micros.is_some() || more.usd_micros.is_some();
        let total = sum(self, more);
        Self {
            usd_micros: total.usd_micros.filter(|_| tells),
            ..total
        }
    }
}

fn has_fallen(last: Tokens, now: Tokens) -> bool {
    now.input < last.input || now.output < last.output || now.cached < last.cached
}

fn each(a: Tokens, b: Tokens, with: impl Fn(u64, u64) -> u64) -> Tokens {
    Tokens {
        input: with(a.input, b.input),
        cached: with(a.cached, b.cached),
        cache_write: with(a.cache_write, b.cache_write),
        output: with(a.output, b.output),
        reasoning: with(a.reasoning, b.reasoning),
        usd_micros: Some(with(
            a.usd_micros.unwrap_or_default(),
            b.usd_micros.unwrap_or_default(),
        )),
    }
}

fn less(a: Tokens, b: Tokens) -> Tokens {
    each(a, b, u64::saturating_sub)
}

fn sum(a: Tokens, b: Tokens) -> Tokens {
    each(a, b, u64::saturating_add)
}
