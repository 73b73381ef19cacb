//! Hundreds of small histories, right ones and spoilt ones: the check says of each what stateright's tester says.
//!
//! The tester is not what the contract suite uses: it is a whole model checker to depend on for everyone who tests a
//! store of their own, and it remembers nothing of where it has been, so that a history of some hundred operations
//! with lost answers is not refused in anybody's lifetime.

use std::collections::BTreeMap;

use dormouse_filesystem::Version;
use dormouse_filesystem::contract::linear::{Answer, Event, Held, Makes, Needs, Refusals, Step, check};
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

const HISTORIES: usize = 600;
const TASKS: usize = 3;
const EVENTS: usize = 12;

/// One record, and the versions that anybody saw of each value.
#[derive(Debug, Clone)]
struct Record {
    held: Option<Held>,
    highest: u64,
    versions: BTreeMap<u64, Version>,
}

impl Record {
    fn new(versions: BTreeMap<u64, Version>) -> Self {
        Self {
            held: None,
            highest: 0,
            versions,
        }
    }

    fn version(&self) -> Option<Version> {
        self.held.map(|held| held.version)
    }

    fn is(&self, needs: Needs) -> bool {
        match needs {
            Needs::Absent => self.held.is_none(),
            Needs::At(version) => self.version() == Some(version),
        }
    }

    /// False when it cannot be done.
    fn does(&mut self, step: Step, version: Version) -> bool {
        if !self.is(step.needs) || version.get() <= self.highest {
            return false;
        }
        self.highest = version.get();
        self.held = match step.makes {
            Makes::Put(value) => Some(Held { value, version }),
            Makes::Deleted | Makes::Nothing => None,
        };
        true
    }
}

/// Either a read or one step.
#[derive(Debug, Clone)]
struct Call {
    saw: Option<Option<Held>>,
    step: Option<Step>,
}

impl SequentialSpec for Record {
    type Op = Call;
    type Ret = Answer;

    /// What was never answered: done if it can be.
    fn invoke(&mut self, call: &Call) -> Answer {
        if let Some(step) = call.step {
            let Makes::Put(value) = step.makes else {
                // A delete whose version nobody was told.
                if self.is(step.needs) {
                    self.held = None;
                }
                return Answer::Unknown;
            };
            if let Some(version) = self.versions.get(&value).copied() {
                self.does(step, version);
            }
        }
        Answer::Unknown
    }

    fn is_valid_step(&mut self, call: &Call, answer: &Answer) -> bool {
        let saw_it = call.saw.is_none_or(|saw| saw == self.held);
        let is_answer = match (answer, call.step) {
            (Answer::Done(None), None) => true,
            (Answer::Done(Some(version)), Some(step)) => self.does(step, *version),
            (Answer::Refused(failed), Some(step)) => {
                failed.as_slice() == [(0, self.version())] && !self.is(step.needs)
            }
            (Answer::Done(_) | Answer::Refused(_) | Answer::Unknown, _) => false,
        };
        saw_it && is_answer
    }
}

/// An operation under way.
struct Underway {
    began: u64,
    call: Call,
    answer: Option<Answer>,
}

/// What three tasks are told by a record that is right.
fn right(random: &mut StdRng) -> Vec<Event> {
    let mut record = Record::new(BTreeMap::new());
    let (mut tick, mut value) = (0, 0);
    let mut events: Vec<Event> = Vec::new();
    let mut tasks: [Option<Underway>; TASKS] = std::array::from_fn(|_| None);
    let mut believed = [None; TASKS];
    let mut late: Vec<Call> = Vec::new();
    while events.len() < EVENTS {
        tick += 1;
        let task = random.random_range(0..TASKS);
        match &mut tasks[task] {
            none @ None => {
                value += 1;
                let call = call(random, believed[task], value);
                *none = Some(Underway {
                    began: tick,
                    call,
                    answer: None,
                });
            }
            Some(Underway { call, answer, .. }) if answer.is_none() => {
                let is_lost = call.step.is_some() && random.random_range(0..4) == 0;
                *answer = Some(if is_lost {
                    late.push(call.clone());
                    Answer::Unknown
                } else {
                    happen(&mut record, call, tick)
                });
                believed[task] = record.version();
            }
            some @ Some(_) => {
                let mut ended = some.take().unwrap();
                let answer = ended.answer.take().unwrap();
                events.push(event(&ended, tick, answer));
            }
        }
        // What nobody was answered happens now, later or never.
        if !late.is_empty() && random.random_range(0..3) == 0 {
            let at = random.random_range(0..late.len());
            happen(&mut record, &mut late.swap_remove(at), tick);
        }
    }
    // What is under way at the end nobody was answered, and may have happened.
    let left = tasks
        .into_iter()
        .flatten()
        .filter(|left| left.call.step.is_some());
    events.extend(left.map(|left| event(&left, tick + 1, Answer::Unknown)));
    events
}

fn event(underway: &Underway, ended: u64, answer: Answer) -> Event {
    Event {
        began: underway.began,
        ended,
        saw: underway.call.saw.map(|saw| (0, saw)).into_iter().collect(),
        steps: underway.call.step.into_iter().collect(),
        answer,
    }
}

fn call(random: &mut StdRng, believed: Option<Version>, value: u64) -> Call {
    let needs = believed.map_or(Needs::Absent, Needs::At);
    let makes = match (random.random_range(0..5), needs) {
        (0 | 1, _) => {
            return Call {
                saw: Some(None),
                step: None,
            };
        }
        (2, Needs::At(_)) => Makes::Deleted,
        _ => Makes::Put(value),
    };
    let step = Some(Step {
        record: 0,
        needs,
        makes,
    });
    Call { saw: None, step }
}

fn happen(record: &mut Record, call: &mut Call, tick: u64) -> Answer {
    let Some(step) = call.step else {
        call.saw = Some(record.held);
        return Answer::Done(None);
    };
    let version = Version::new(tick);
    if record.does(step, version) {
        Answer::Done(Some(version))
    } else {
        Answer::Refused(vec![(0, record.version())])
    }
}

/// Tells one of the tasks something else.
fn spoil(events: &mut [Event], random: &mut StdRng) {
    let seen: Vec<Option<Held>> = versions(events)
        .into_iter()
        .map(|(value, version)| Some(Held { value, version }))
        .chain([None])
        .collect();
    let other = seen[random.random_range(0..seen.len())];
    let at = random.random_range(0..events.len());
    let event = &mut events[at];
    match &mut event.answer {
        Answer::Done(None) => event.saw = vec![(0, other)],
        Answer::Refused(failed) => *failed = vec![(0, other.map(|held| held.version))],
        Answer::Done(Some(_)) | Answer::Unknown => {
            let needs = other.map_or(Needs::Absent, |held| Needs::At(held.version));
            if needs != Needs::Absent || event.steps[0].makes != Makes::Deleted {
                event.steps[0].needs = needs;
            }
        }
    }
}

fn versions(events: &[Event]) -> BTreeMap<u64, Version> {
    let mut versions = BTreeMap::new();
    for event in events {
        let read = event.saw.iter().filter_map(|(_, held)| *held);
        versions.extend(read.map(|held| (held.value, held.version)));
        if let (Answer::Done(Some(version)), [step]) = (&event.answer, event.steps.as_slice())
            && let Makes::Put(value) = step.makes
        {
            versions.insert(value, *version);
        }
    }
    versions
}

/// Whether somebody was told a version whose value nobody was: the specification above does not know such.
fn has_nameless(events: &[Event]) -> bool {
    let known: Vec<Version> = versions(events).into_values().collect();
    let is_nameless = |version: &Version| !known.contains(version);
    events.iter().any(|event| {
        let refused = matches!(&event.answer, Answer::Refused(failed)
            if failed.iter().filter_map(|(_, actual)| actual.as_ref()).any(is_nameless));
        let needed = event
            .steps
            .iter()
            .any(|step| matches!(&step.needs, Needs::At(version) if is_nameless(version)));
        refused || needed
    })
}

fn stateright_says(events: &[Event]) -> bool {
    let mut tester = LinearizabilityTester::new(Record::new(versions(events)));
    let mut times: Vec<(u64, usize, bool)> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        times.push((event.began, at, false));
        if event.answer != Answer::Unknown {
            times.push((event.ended, at, true));
        }
    }
    times.sort_unstable();
    for (_, at, is_end) in times {
        let event = &events[at];
        if is_end {
            tester.on_return(at, event.answer.clone()).unwrap();
        } else {
            let call = Call {
                saw: event.saw.first().map(|(_, saw)| *saw),
                step: event.steps.first().copied(),
            };
            tester.on_invoke(at, call).unwrap();
        }
    }
    tester.is_consistent()
}

#[test]
fn small_histories_are_judged_as_stateright_judges_them() {
    let seed = SysRng.try_next_u64().unwrap();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut right_ones, mut wrong_ones) = (0, 0);
    for n in 0..HISTORIES {
        let mut events = right(&mut random);
        let is_right = random.random_range(0..3) == 0;
        if !is_right {
            spoil(&mut events, &mut random);
        }
        if has_nameless(&events) {
            continue;
        }
        let expected = stateright_says(&events);
        assert!(
            expected || !is_right,
            "history {n} of seed {seed} is right: {events:#?}"
        );
        let said = check(events.clone(), 1, Refusals::Exact);
        assert_eq!(
            said.is_ok(),
            expected,
            "history {n} of seed {seed}: {said:?} of {events:#?}"
        );
        if expected {
            right_ones += 1;
        } else {
            wrong_ones += 1;
        }
    }
    println!("{right_ones} right, {wrong_ones} wrong");
    assert!(right_ones > HISTORIES / 10 && wrong_ones > HISTORIES / 10);
}
