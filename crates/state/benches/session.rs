//! What a session costs: an event beside a match written by hand over the same rows, a snapshot beside serde_json.
//!
//! Both sides get the same events of a turn: a prompt, twenty calls, a compaction, an end, and each of them told twice.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dormouse_state::{
    Completion, Event, Evidence, Observed, Options, Position, Row, Session, Snapshot, SourceId, Step,
};
use jiff::Timestamp;

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
const CALLS: u64 = 20;

/// The events of a turn.
fn turn() -> Vec<Observed> {
    let mut events = vec![Event::SessionStarted, Event::Thinking];
    for _ in 0..CALLS {
        let (started, finished) = (Step::Started, Step::Finished);
        events.extend([started, finished].map(|step| Event::Working { call: None, step }));
        events.push(Event::Thinking);
    }
    events.extend([Step::Started, Step::Finished].map(Event::Compaction));
    events.push(Event::TurnCompleted(Completion::Completed));
    let told = events.into_iter().zip(1..).map(|(event, seq)| Observed {
        incarnation: 1,
        run: None,
        source: SourceId::new("stream"),
        position: Position { spawn: 1, seq },
        subagent: false,
        starts_turn: false,
        evidence: Evidence::Formal,
        at: NOW,
        event,
    });
    told.flat_map(|observed| [observed.clone(), observed]).collect()
}

/// The rows that these events reach, moved by a match written by hand.
#[derive(Debug, Clone)]
struct ByHand {
    row: Row,
    turn: u32,
    sequence: u64,
    sources: BTreeMap<SourceId, Position>,
    idle_at: Option<Timestamp>,
    activity_at: Timestamp,
}

impl ByHand {
    fn new() -> Self {
        Self {
            row: Row::Initializing,
            turn: 0,
            sequence: 0,
            sources: BTreeMap::new(),
            idle_at: None,
            activity_at: NOW,
        }
    }

    /// Whether it moved.
    fn observe(&mut self, observed: &Observed, now: Timestamp) -> bool {
        if observed.incarnation != 1 || observed.run.is_some() {
            return false;
        }
        match self.sources.get_mut(&observed.source) {
            Some(last) if observed.position <= *last => return false,
            Some(last) => *last = observed.position,
            None => drop(self.sources.insert(observed.source.clone(), observed.position)),
        }
        let next = match (self.row, &observed.event) {
            (Row::Initializing, Event::SessionStarted) => Row::Idle,
            (Row::Thinking | Row::Working | Row::Compacting, Event::TurnCompleted(_)) => Row::Completed,
            (Row::Compacting, Event::Compaction(Step::Finished)) => Row::Thinking,
            (_, Event::Thinking) => Row::Thinking,
            (_, Event::Working { .. }) => Row::Working,
            (Row::Thinking | Row::Working, Event::Compaction(Step::Started)) => Row::Compacting,
            _ => self.row,
        };
        if next == self.row {
            return false;
        }
        if matches!(self.row, Row::Initializing | Row::Idle | Row::Completed) && next == Row::Thinking {
            self.turn += 1;
        }
        self.idle_at = (next == Row::Completed).then(|| now + std::time::Duration::from_secs(3));
        (self.row, self.activity_at) = (next, now);
        self.sequence += 1;
        true
    }
}

fn observe(c: &mut Criterion) {
    let events = turn();
    let mut group = c.benchmark_group("observe");
    group.throughput(Throughput::Elements(events.len() as u64));
    let session = Session::new(Options::default(), NOW);
    group.bench_function("session", |b| {
        b.iter_batched(
            || session.clone(),
            |mut session| {
                for event in &events {
                    let _told = black_box(session.observe(event, NOW));
                }
                session
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("by hand", |b| {
        b.iter_batched(
            ByHand::new,
            |mut hand| {
                for event in &events {
                    black_box(hand.observe(event, NOW));
                }
                hand
            },
            BatchSize::SmallInput,
        );
    });
    let mut over = session.clone();
    for event in &events {
        let _told = over.observe(event, NOW);
    }
    group.bench_function("all ignored", |b| {
        b.iter(|| {
            for event in &events {
                let _told = black_box(over.observe(event, NOW));
            }
        });
    });
    group.finish();
}

fn snapshot(c: &mut Criterion) {
    let mut session = Session::new(Options::default(), NOW);
    for event in &turn() {
        let _told = session.observe(event, NOW);
    }
    let json = serde_json::to_vec(session.view()).expect("a snapshot is plain data");
    let mut group = c.benchmark_group("snapshot and restore");
    group.bench_function("session", |b| {
        b.iter(|| {
            let json = serde_json::to_vec(&session.snapshot()).expect("a snapshot is plain data");
            let snapshot = Snapshot::from_json(&json).expect("it was written here");
            Session::restore(snapshot, Options::default(), NOW).expect("it was written here")
        });
    });
    group.bench_function("serde_json alone", |b| {
        b.iter(|| {
            let json = serde_json::to_vec(session.view()).expect("a snapshot is plain data");
            serde_json::from_slice::<Snapshot>(&json).expect("it was written here")
        });
    });
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.finish();
}

criterion_group!(benches, observe, snapshot);
criterion_main!(benches);
