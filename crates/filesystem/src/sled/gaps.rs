//! Where no records are: stretches of keys between two neighbours, as they were seen of late. A key within one is known to have
//! no record, and a page within one to be empty, without a look into the trees, which may wait for the disk.
//!
//! Most keys that are looked for in vain are new ones, of which each is asked for once: but they fall into few gaps, since
//! names that count up have theirs behind the last, and kinds without a record have one gap for all their names.
//!
//! It is never old: each record that comes is told here with the index held alone, and what a reader adds is what it found
//! with the index held.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most gaps that are kept: at most 4 MiB where all keys have their 512 bytes, a tenth of it as keys are.
const GAPS_MAX: usize = 4096;

/// The gaps.
#[derive(Debug, Default)]
pub(super) struct Gaps(Mutex<BTreeMap<Box<[u8]>, Gap>>);

/// From behind its key in the map, which the empty one stands for the beginning of, to before its end.
#[derive(Debug, PartialEq, Eq)]
struct Gap {
    /// None where nothing comes behind it.
    end: Option<Box<[u8]>>,
    /// Whether it was asked for since it was last counted: others are forgotten first.
    is_used: bool,
}

impl Gap {
    fn reaches(&self, key: &[u8]) -> bool {
        self.end.as_deref().is_none_or(|end| key < end)
    }
}

impl Gaps {
    /// Whether it is known that a key has no record.
    pub(super) fn holds(&self, key: &[u8]) -> bool {
        self.within(Bound::Excluded(key), |gap| gap.reaches(key))
    }

    /// Whether it is known that nothing is between these.
    pub(super) fn is_empty(&self, low: Bound<&[u8]>, high: Bound<&[u8]>) -> bool {
        let begins = match low {
            // The first gap has the empty key, which no record has.
            Bound::Included([]) => Bound::Included([].as_slice()),
            // A gap begins behind its key.
            Bound::Included(low) => Bound::Excluded(low),
            Bound::Excluded(low) => Bound::Included(low),
            Bound::Unbounded => return false,
        };
        self.within(begins, |gap| match (gap.end.as_deref(), high) {
            (None, _) => true,
            (Some(end), Bound::Excluded(high)) => high <= end,
            (Some(end), Bound::Included(high)) => high < end,
            (Some(_), Bound::Unbounded) => false,
        })
    }

    /// Whether the last gap that begins not behind there, if there is one, is such a one.
    ///
    /// Nobody waits for it: while another looks nothing is known.
    fn within(&self, begins: Bound<&[u8]>, is_such: impl FnOnce(&Gap) -> bool) -> bool {
        let Ok(mut gaps) = self.0.try_lock() else {
            return false;
        };
        let mut before = gaps.range_mut::<[u8], _>((Bound::Unbounded, begins));
        let Some((_, gap)) = before.next_back() else {
            return false;
        };
        let is_such = is_such(gap);
        gap.is_used |= is_such;
        is_such
    }

    /// Two neighbours were found, with the index held: nothing is between them. None is the beginning, and the end.
    pub(super) fn add(&self, below: Option<Box<[u8]>>, above: Option<Box<[u8]>>) {
        let mut gaps = self.gaps();
        let start = below.unwrap_or_default();
        // What lies within it was one of records that are gone.
        while let Some((within, _)) = gaps
            .range::<[u8], _>((Bound::Excluded(&*start), Bound::Unbounded))
            .next()
            .filter(|(within, _)| above.as_deref().is_none_or(|above| ***within < *above))
        {
            let within = within.clone();
            gaps.remove(&within);
        }
        let gap = Gap {
            end: above,
            is_used: false,
        };
        gaps.insert(start, gap);
        forget(&mut gaps);
    }

    /// A key has no record any more: the gaps before it and behind it are one.
    pub(super) fn join(&self, key: &[u8]) {
        let mut gaps = self.gaps();
        let mut before = gaps.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(key)));
        let touches = |gap: &Gap| gap.end.as_deref() == Some(key);
        let Some(start) = before
            .next_back()
            .filter(|(_, gap)| touches(gap))
            .map(|(start, _)| start.clone())
        else {
            return;
        };
        let behind = gaps.remove(key);
        if let (Some(behind), Some(gap)) = (behind, gaps.get_mut(&start)) {
            gap.end = behind.end;
            gap.is_used |= behind.is_used;
        }
    }

    /// A key has a record now.
    pub(super) fn fill(&self, key: &[u8]) {
        let mut gaps = self.gaps();
        let mut before = gaps.range_mut::<[u8], _>((Bound::Unbounded, Bound::Excluded(key)));
        let Some((_, gap)) = before.next_back().filter(|(_, gap)| gap.reaches(key)) else {
            return;
        };
        let behind = Gap {
            end: gap.end.replace(key.into()),
            is_used: std::mem::take(&mut gap.is_used),
        };
        gaps.insert(key.into(), behind);
        forget(&mut gaps);
    }

    fn gaps(&self) -> MutexGuard<'_, BTreeMap<Box<[u8]>, Gap>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets those that nobody asked for since it was last done, when there are too many; all, when everything is asked for.
fn forget(gaps: &mut BTreeMap<Box<[u8]>, Gap>) {
    if gaps.len() <= GAPS_MAX {
        return;
    }
    gaps.retain(|_, gap| std::mem::take(&mut gap.is_used));
    if gaps.len() > GAPS_MAX / 2 {
        gaps.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Put(u8),
        Remove(u8),
        Look(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..20_u8).prop_map(Step::Put),
            (1..20_u8).prop_map(Step::Remove),
            (1..20_u8).prop_map(Step::Look),
        ]
    }

    fn neighbours(records: &BTreeSet<u8>, key: u8) -> [Option<Box<[u8]>>; 2] {
        let boxed = |key: &u8| Box::from([*key].as_slice());
        let below = records.range(..key).next_back().map(boxed);
        [below, records.range(key + 1..).next().map(boxed)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever comes and goes: what is said to be nowhere is nowhere.
        #[test]
        fn a_gap_never_holds_a_record(steps in prop::collection::vec(step(), 1..200)) {
            let (gaps, mut records) = (Gaps::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Put(key) => {
                        records.insert(key);
                        gaps.fill(&[key]);
                    }
                    Step::Remove(key) => {
                        records.remove(&key);
                        if key % 3 > 0 {
                            gaps.join(&[key]);
                        }
                    }
                    Step::Look(key) if records.contains(&key) => {}
                    Step::Look(key) => {
                        let [below, above] = neighbours(&records, key);
                        gaps.add(below, above);
                        prop_assert!(gaps.holds(&[key]), "{}", key);
                        let all = gaps.is_empty(Bound::Included([].as_slice()), Bound::Unbounded);
                        prop_assert!(!all || records.is_empty());
                    }
                }
                for key in 1..20 {
                    prop_assert!(!(gaps.holds(&[key]) && records.contains(&key)), "{}", key);
                    let lows = [Bound::Included(key), Bound::Excluded(key)];
                    let highs = (key + 1..21).flat_map(|high| [Bound::Included(high), Bound::Excluded(high)]);
                    let highs = highs.chain([Bound::Unbounded]);
                    for (high, low) in highs.flat_map(|high| lows.map(|low| (high, low))) {
                        let is_empty = records.range((low, high)).next().is_none();
                        let [low, high] = [low, high].map(|bound| bound.map(|key| [key]));
                        let said = gaps.is_empty(low.as_ref().map(AsRef::as_ref), high.as_ref().map(AsRef::as_ref));
                        prop_assert!(is_empty || !said, "{:?}, {:?}", low, high);
                    }
                }
            }
        }
    }

    #[test]
    fn names_that_count_up_stay_in_the_gap_behind_the_last() {
        let gaps = Gaps::default();
        gaps.add(Some((*b"a").into()), Some((*b"c").into()));
        for nth in 0..10 * GAPS_MAX {
            let name = format!("b/{nth:06}").into_bytes();
            assert!(gaps.holds(&name), "{nth}");
            assert!(
                gaps.is_empty(Bound::Included(&name), Bound::Excluded(b"c")),
                "{nth}"
            );
            gaps.fill(&name);
            assert!(!gaps.holds(&name), "{nth}");
        }
        assert!(gaps.gaps().len() <= GAPS_MAX);
        let from = Bound::Included(b"b".as_slice());
        assert!(!gaps.is_empty(from, Bound::Excluded(b"c")));
        let behind = Bound::Excluded(b"bz".as_slice());
        assert!(!gaps.is_empty(behind, Bound::Unbounded), "c is behind it");
    }

    #[test]
    fn nothing_at_all_is_one_gap() {
        let gaps = Gaps::default();
        let from = |low| gaps.is_empty(Bound::Included(low), Bound::Unbounded);
        assert!(!from(b"a"), "it is not known yet");
        gaps.add(None, None);
        assert!(gaps.holds(b"a") && from(b"a") && from(b""));
        gaps.fill(b"m");
        assert!(gaps.is_empty(Bound::Included(b"a"), Bound::Excluded(b"m")) && from(b"n"));
        assert!(gaps.is_empty(Bound::Excluded(b"m"), Bound::Unbounded));
        assert!(!from(b"a") && !from(b"m"));
    }
}
