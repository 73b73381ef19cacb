//! One round of a queue: its members applied in order to one entry, as one commit. No I/O.

use std::collections::{HashMap, HashSet};

use super::member::{Applied, Ending, Member, Members};
use crate::update::{OwnStep, Step, check_supported};
use crate::{
    BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, Batch, Capabilities, Check, CommitError, Committed, Entry,
    Expected, Failed, Key, Lane, Position, Stream, Version,
};

/// Who goes, what they commit together, and who waits for the next round.
pub(super) struct Round {
    read: Option<Entry>,
    taken: Vec<Taken>,
    step: Step,
    pub(super) left: Members,
}

struct Taken {
    member: Box<dyn Member>,
    /// Whether it has a part in the commit.
    writes: bool,
    /// The further keys it names.
    beside: Vec<Key>,
    /// Its logs, each with how many entries of the commit go before its own.
    appends: Vec<(Stream, u64)>,
}

/// Whose round it is.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) key: Key,
    pub(super) lane: Lane,
    pub(super) has: Capabilities,
}

/// A round while members join it.
struct Forming<'a> {
    of: &'a Subject,
    /// The record as the members so far leave it. Its version is that of the entry read: no other is known yet.
    current: Option<Entry>,
    /// Bytes of what goes beside the record.
    bytes: usize,
    beside: HashSet<Key>,
    /// What is only expected, so that several may expect it alike.
    checks: HashMap<Key, Expected>,
    /// The logs begun or appended to.
    logs: HashSet<Stream>,
    entries: HashMap<Stream, u64>,
    round: Round,
}

impl Round {
    /// Applies members in order, until one has to wait for the next round.
    pub(super) fn form(of: &Subject, read: Option<Entry>, members: Members) -> Self {
        let mut forming = Forming {
            of,
            current: read.clone(),
            bytes: 0,
            beside: HashSet::new(),
            checks: HashMap::new(),
            logs: HashSet::new(),
            entries: HashMap::new(),
            round: Self {
                read,
                taken: Vec::new(),
                step: Step {
                    own: OwnStep::Unchanged,
                    more: Batch::default(),
                    gone: Vec::new(),
                },
                left: Vec::new(),
            },
        };
        let mut members = members.into_iter();
        for member in members.by_ref() {
            if let Some(waits) = forming.join(member) {
                forming.round.left.push(waits);
                break;
            }
        }
        forming.round.left.extend(members);
        forming.round
    }

    /// The one commit; none when nobody has anything to write.
    pub(super) fn batch(&self, of: &Subject) -> Option<Batch> {
        (!self.step.is_nothing()).then(|| self.step.batch(&of.key, self.read.as_ref(), &of.lane))
    }

    /// Tells everyone what is stored, and each its own part. Returns who waits for the next round.
    pub(super) fn stored(self, key: &Key, committed: Option<&Committed>) -> Members {
        let version = committed.and_then(|committed| committed.version);
        let entry = self.step.stored(key, self.read.as_ref(), version);
        for taken in self.taken {
            let own = committed.filter(|_| taken.writes).map(|c| taken.part(c));
            taken.member.answer(Ending::Stored {
                entry: entry.clone(),
                committed: own,
            });
        }
        self.left
    }

    /// Tells everyone who went the same. Returns who waits for the next round.
    pub(super) fn ended(self, mut ending: impl FnMut() -> Ending) -> Members {
        for taken in self.taken {
            taken.member.answer(ending());
        }
        self.left
    }

    /// Everyone who went again, in order, but for those whose further writes are among what failed: they go on by
    /// themselves. And who waits for the next round.
    pub(super) fn again(self, key: &Key, failed: &[Failed]) -> (Members, Members) {
        // Where the record itself was changed all must look again, whatever else failed.
        let is_own = failed.iter().any(|failed| failed.key == *key);
        let mut again = Vec::new();
        for mut taken in self.taken {
            let is_culprit = !is_own && failed.iter().any(|failed| taken.beside.contains(&failed.key));
            taken.member.release();
            if is_culprit {
                taken.member.answer(Ending::Alone);
            } else {
                again.push(taken.member);
            }
        }
        (again, self.left)
    }
}

impl Taken {
    fn part(&self, committed: &Committed) -> Committed {
        let place = |(log, before): &(Stream, u64)| {
            let first = committed.positions.iter().find(|(named, _)| named == log)?.1;
            Some((log.clone(), Position::new(first.get() + before)))
        };
        Committed {
            version: committed.version,
            positions: self.appends.iter().filter_map(place).collect(),
        }
    }
}

impl Forming<'_> {
    /// Applies one member; gives it back when it has to wait for the next round.
    fn join(&mut self, mut member: Box<dyn Member>) -> Option<Box<dyn Member>> {
        if !member.claim() {
            return None;
        }
        match member.apply(self.current.as_ref(), self.round.step.is_nothing()) {
            Applied::Panicked => None,
            Applied::Refused => {
                self.take(member, Vec::new(), Vec::new(), false);
                None
            }
            // It has more to read before it can be written; its neighbours do not wait for that.
            Applied::Step(step) if !step.gone.is_empty() => {
                member.release();
                member.answer(Ending::Alone);
                None
            }
            Applied::Step(step) => {
                // What no store would take is the member's own error.
                if let Err(error) = self.alone(&step) {
                    member.answer(Ending::Write(error));
                    return None;
                }
                if !self.has_room_for(&step) {
                    member.release();
                    return Some(member);
                }
                self.merge(member, *step);
                None
            }
        }
    }

    fn alone(&self, step: &Step) -> Result<(), CommitError> {
        if step.is_nothing() {
            return Ok(());
        }
        check_supported(&self.of.has, Some(step))?;
        let Subject { key, lane, .. } = self.of;
        step.batch(key, self.round.read.as_ref(), lane).validate()
    }

    fn has_room_for(&self, step: &Step) -> bool {
        let operations = self.round.step.more.operations() + step.more.operations() + 1;
        // The record's own bytes go once, however often members change it.
        let own = match (&step.own, &self.round.step.own) {
            (OwnStep::Put(kind, value), _) | (OwnStep::Unchanged, OwnStep::Put(kind, value)) => {
                kind.as_str().len() + value.len()
            }
            (OwnStep::Unchanged | OwnStep::Delete, _) => 0,
        };
        let bytes = self.bytes + step.more.bytes() + self.of.key.stored().len() + own;
        operations <= BATCH_OPERATIONS_MAX
            && bytes <= BATCH_BYTES_MAX
            && !self.clashes(step)
            // A log is begun before anything is appended to it, and by one member alone.
            && step.more.begins.iter().all(|begin| !self.logs.contains(&begin.log))
    }

    /// Whether a step names a key that another one names, unless both only expect the same of it.
    fn clashes(&self, step: &Step) -> bool {
        let is_known = |check: &Check| self.checks.get(&check.key) == Some(&check.expected);
        let more = &step.more;
        let puts = more.puts.iter().map(|put| &put.key);
        let mut writes = puts.chain(more.deletes.iter().map(|delete| &delete.key));
        let clashes = |check: &Check| self.beside.contains(&check.key) && !is_known(check);
        writes.any(|key| self.beside.contains(key)) || more.checks.iter().any(clashes)
    }

    fn merge(&mut self, member: Box<dyn Member>, mut step: Step) {
        let writes = !step.is_nothing();
        let keys = step.more.keys().map(|(key, _)| key);
        let begun = step.more.begins.iter().map(|begin| begin.log.key());
        let beside: Vec<Key> = keys.chain(begun).cloned().collect();
        self.bytes += step.more.bytes();
        self.beside.extend(beside.iter().cloned());
        self.logs.extend(step.more.logs().cloned());
        let appends = self.count(&step);
        self.take(member, beside, appends, writes);
        let checks = &mut self.checks;
        step.more
            .checks
            .retain(|check| checks.insert(check.key.clone(), check.expected).is_none());
        let more = &mut self.round.step.more;
        more.extend(step.more);
        match step.own {
            OwnStep::Unchanged => {}
            OwnStep::Put(kind, value) => {
                self.current = Some(Entry {
                    key: self.of.key.clone(),
                    value: value.clone(),
                    version: self.round.read.as_ref().map_or(Version::new(0), |e| e.version),
                    kind: kind.clone(),
                });
                self.round.step.own = OwnStep::Put(kind, value);
            }
            OwnStep::Delete => {
                self.current = None;
                self.round.step.own = OwnStep::Delete;
            }
        }
    }

    /// The member's logs, each with how many entries go before its first; its own are counted from now on.
    fn count(&mut self, step: &Step) -> Vec<(Stream, u64)> {
        let mut appends: Vec<(Stream, u64)> = Vec::new();
        for append in &step.more.appends {
            let before = self.entries.entry(append.log.clone()).or_default();
            if appends.iter().all(|(log, _)| *log != append.log) {
                appends.push((append.log.clone(), *before));
            }
            *before += 1;
        }
        appends
    }

    fn take(&mut self, member: Box<dyn Member>, beside: Vec<Key>, appends: Vec<(Stream, u64)>, writes: bool) {
        self.round.taken.push(Taken {
            member,
            writes,
            beside,
            appends,
        });
    }
}
