//! Recovery of the log: whatever its files hold, it is opened as it was written, cut where nobody had been told of the
//! rest, or refused.

use std::sync::Arc;

use super::Input;
use super::files::Files;
use super::frames::{STORE, header, operation};
use crate::commit_log::frame::{self, Header, Seed};
use crate::commit_log::segment::{self, SegmentHeader};
use crate::commit_log::{Begins, FileLayer, Plan, Recovered, RecoveryError, recover};

/// A few are enough for everything that one does to another.
const SEGMENTS_MAX: usize = 4;
const PADDING_MAX: usize = 64;

/// A log made by any bytes, and recovered twice.
///
/// # Panics
/// When recovery panics, shows frames out of order, loses a frame of a log that is right, or finds another log the
/// second time.
pub fn segments(bytes: &[u8]) {
    let input = Input::new(bytes);
    let plan = plan(&input);
    let mut written = Written::default();
    while !input.is_at_end() {
        written.act(&input);
    }
    let files = Arc::new(Files::default());
    for (at, bytes) in written.segments.iter().enumerate() {
        files.put(
            &format!("log/{}", segment::name(written.floors[at])),
            bytes.clone(),
        );
    }
    let before = files.content();
    let layer: Arc<dyn FileLayer> = Arc::clone(&files) as Arc<dyn FileLayer>;
    let recovered = match recover(&layer, plan) {
        Ok(recovered) => recovered,
        Err(error) => {
            assert!(!(written.is_right && is_of_all(plan)), "{error}");
            // A copy that was not put in place is the next opening's to remove.
            let mut left = files.content();
            left.retain(|name, _| before.contains_key(name));
            assert_eq!(left, before, "refused, and changed");
            return;
        }
    };
    let frames = replayed(&recovered, plan.from);
    if is_of_all(plan) && written.is_right {
        assert_eq!(frames, written.versions, "a frame of a right log is missing");
    }
    // A clean end is trusted for what lies before it: it is trusted again, or not again.
    let again = Plan {
        is_clean: recovered.is_clean,
        ..plan
    };
    recovered_again(&layer, again, &frames);
}

/// Whether all of the log is verified and shown.
fn is_of_all(plan: Plan) -> bool {
    plan.from.is_none() && plan.begins == Begins::AtNeeded
}

fn recovered_again(layer: &Arc<dyn FileLayer>, plan: Plan, frames: &[u64]) {
    let second = recover(layer, plan).expect("what was recovered is recovered again");
    assert_eq!(replayed(&second, plan.from), frames);
}

fn replayed(recovered: &Recovered, from: Option<(u32, u32)>) -> Vec<u64> {
    let mut versions = Vec::new();
    let shown = recovered.replay::<RecoveryError>(from, |_, frame| {
        versions.push(frame.header().version);
        assert!(frame.is_whole());
        Ok(())
    });
    if shown.is_ok() {
        assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
        assert!(from.is_some() || versions.last().is_none_or(|last| recovered.highest >= *last));
    }
    versions
}

fn plan(input: &Input<'_>) -> Plan {
    let choice = input.byte();
    let from = (choice & 1 == 1).then(|| (u32::from(input.byte() % 6), u32::from(input.byte()) * 8));
    Plan {
        store: STORE,
        from,
        proved: None,
        begins: if choice & 2 == 2 {
            Begins::AtReplayed
        } else {
            Begins::AtNeeded
        },
        is_clean: from.is_some() && choice & 4 == 4,
    }
}

/// A log on its way.
#[derive(Default)]
struct Written {
    segments: Vec<Vec<u8>>,
    floors: Vec<u64>,
    versions: Vec<u64>,
    version: u64,
    /// Where the last group began.
    group: usize,
    /// Whether nothing was written but what a store writes.
    is_right: bool,
}

impl Written {
    fn act(&mut self, input: &Input<'_>) {
        if self.segments.is_empty() {
            self.is_right = true;
            self.begin(SegmentHeader {
                segment: 1,
                store: STORE,
                floor: 1,
                previous: 0,
            });
        }
        match input.byte() % 8 {
            0..=2 => self.frame(input),
            3 => self.next(),
            4 => self.pad(input),
            5 => self.any_header(input),
            6 => self.any_frame(input),
            _ => self.spoil(input),
        }
    }

    fn begin(&mut self, header: SegmentHeader) {
        self.segments.push(header.encode().to_vec());
        self.floors.push(header.floor);
        self.group = segment::HEADER_BYTES;
    }

    fn last(&mut self) -> &mut Vec<u8> {
        self.segments.last_mut().expect("one was begun")
    }

    fn number(&self) -> u32 {
        u32::try_from(self.segments.len()).expect("they are few")
    }

    /// The next frame, of the same group as the last or of the next.
    fn frame(&mut self, input: &Input<'_>) {
        let choice = input.byte();
        let at = self.last().len();
        if !at.is_multiple_of(frame::ALIGNMENT) {
            return;
        }
        if choice & 1 == 1 {
            self.group = at;
        }
        self.version += 1 + u64::from(choice >> 4);
        self.versions.push(self.version);
        let header = Header {
            version: self.version,
            group: (u64::from(self.number()) << 32) | self.group as u64,
            segment: self.number(),
        };
        let operations: Vec<_> = (0..choice % 3).map(|_| operation(input)).collect();
        // A frame that says of segments that they are gone is right only of a log without them.
        self.is_right &= operations
            .iter()
            .all(|o| !matches!(o, frame::Operation::Cleaned { .. }));
        frame::encode(header, Seed::of(STORE), operations.into_iter(), self.last());
    }

    /// The next segment.
    fn next(&mut self) {
        if self.segments.len() < SEGMENTS_MAX {
            let header = SegmentHeader {
                segment: self.number() + 1,
                store: STORE,
                floor: self.version + 1,
                previous: self.version,
            };
            // One that nothing was written to is not followed.
            let floor = *self.floors.last().expect("one was begun");
            if header.floor > floor {
                self.begin(header);
            }
        }
    }

    /// Nothing, as a store makes room ahead.
    fn pad(&mut self, input: &Input<'_>) {
        let len = usize::from(input.byte()) % PADDING_MAX * frame::ALIGNMENT;
        let is_last = len > 0;
        let padded = self.last().len() + len;
        self.last().resize(padded, 0);
        // What is written behind a gap is written by nobody.
        self.is_right &= !is_last || input.is_at_end();
    }

    fn any_header(&mut self, input: &Input<'_>) {
        self.is_right = false;
        if self.segments.len() < SEGMENTS_MAX {
            self.begin(SegmentHeader {
                segment: u32::try_from(input.number() & u64::from(u32::MAX)).expect("it is masked"),
                store: STORE,
                floor: input.number(),
                previous: input.number(),
            });
        }
    }

    fn any_frame(&mut self, input: &Input<'_>) {
        self.is_right = false;
        let header = header(input);
        let operations = [operation(input)];
        frame::encode(header, Seed::of(STORE), operations.into_iter(), self.last());
    }

    /// Other bytes, or fewer.
    fn spoil(&mut self, input: &Input<'_>) {
        self.is_right = false;
        let choice = input.byte();
        let at = usize::from(input.byte()) * 8 + usize::from(choice >> 5);
        let some = input.some();
        let bytes = self.last();
        match choice % 4 {
            0 => bytes.extend_from_slice(some),
            1 => bytes.truncate(at),
            2 => bytes
                .iter_mut()
                .skip(at)
                .zip(some)
                .for_each(|(byte, other)| *byte ^= other),
            _ => bytes
                .iter_mut()
                .skip(at)
                .zip(some)
                .for_each(|(byte, other)| *byte = *other),
        }
    }
}
