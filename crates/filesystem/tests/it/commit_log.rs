//! The commit log by itself: its bytes, and its recovery from disks that lost power, bytes, or their mind.

use std::collections::BTreeMap;
use std::sync::Arc;

use dormouse_filesystem::commit_log::checkpoint::Checkpoint;
use dormouse_filesystem::commit_log::frame::{Ended, Frame, Header, Operation, Seed, aligned, encode};
use dormouse_filesystem::commit_log::segment::{self, SegmentHeader, Unreadable};
use dormouse_filesystem::commit_log::{
    Appender, AppenderOptions, Begins, FileLayer, Plan, Purpose, Recovered, RecoveryError, recover,
};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::sim_files::SimFiles;

const STORE: [u8; 16] = [7; 16];

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn frame_of(header: Header, operations: &[Operation<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let len = encode(header, Seed::of(STORE), operations.iter().copied(), &mut bytes);
    bytes.truncate(len);
    bytes
}

const HEADER: Header = Header {
    version: 0x0102_0304_0506_0708,
    group: 0x0000_0003_0000_0038,
    segment: 3,
};

/// The bytes of format 1. A change here is a new format.
#[test]
fn a_frame_is_these_bytes() {
    let operations = [
        Operation::Put {
            key: "a!b",
            was: 5,
            kind: "note",
            value: b"hi",
        },
        Operation::Delete { key: "c", was: 6 },
        Operation::Append {
            log: "l",
            position: 1,
            entry: b"e",
        },
        Operation::Truncate {
            log: "l",
            first: 1,
            before: 2,
            bytes: 9,
        },
        Operation::Begin {
            log: "l",
            first: 4,
            predecessor: Some(Ended {
                incarnation: 7,
                next: 5,
            }),
        },
    ];
    let expected = concat!(
        "9e000000",
        "CRCCRCCR",
        "0807060504030201",
        "3800000003000000",
        "03000000",
        "05000000",
        "01040300",
        "02000000",
        "0500000000000000",
        "612162",
        "6e6f7465",
        "6869",
        "02000100",
        "00000000",
        "0600000000000000",
        "63",
        "03000100",
        "01000000",
        "0100000000000000",
        "6c",
        "65",
        "04000100",
        "00000000",
        "0200000000000000",
        "0100000000000000",
        "0900000000000000",
        "6c",
        "05000100",
        "00000000",
        "0400000000000000",
        "0700000000000000",
        "0500000000000000",
        "6c",
    );
    let bytes = frame_of(HEADER, &operations);
    let mut crc = crc32c::crc32c(&STORE);
    crc = crc32c::crc32c_append(crc, &bytes[..4]);
    crc = crc32c::crc32c_append(crc, &bytes[8..]);
    let expected = expected.replace("CRCCRCCR", &hex(&crc.to_le_bytes()));
    assert_eq!(hex(&bytes), expected);
    let frame = Frame::decode(&bytes, Seed::of(STORE)).unwrap();
    assert!(frame.is_whole());
    assert_eq!(frame.header(), HEADER);
    assert_eq!(frame.operations().map(|(_, o)| o).collect::<Vec<_>>(), operations);
}

#[test]
fn a_segment_header_and_a_checkpoint_are_these_bytes() {
    let header = SegmentHeader {
        segment: 2,
        store: STORE,
        floor: 9,
        previous: 8,
    };
    let bytes = header.encode();
    let fields = concat!(
        "646f726d7365670a",
        "01000000",
        "02000000",
        "07070707070707070707070707070707",
        "0900000000000000",
        "0800000000000000",
    );
    assert!(hex(&bytes).starts_with(fields), "{}", hex(&bytes));
    assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
    assert_eq!(segment::name(9), "00000000000000000009.seg");
    assert_eq!(segment::floor_of("00000000000000000009.seg"), Some(9));

    let checkpoint = Checkpoint {
        clean: true,
        store: STORE,
        boot: [8; 16],
        version: 1,
        segment: 2,
        offset: 3,
        items: 4,
        digest: 5,
        live: 6,
        first: 7,
        index: 8,
    };
    let bytes = checkpoint.encode();
    let fields = concat!(
        "646f726d63686b0a",
        "01000000",
        "01000000",
        "07070707070707070707070707070707",
        "08080808080808080808080808080808",
        "0100000000000000",
        "02000000",
        "03000000",
        "0400000000000000",
        "0500000000000000",
        "0600000000000000",
        "0800000000000000",
        "07000000",
    );
    assert!(hex(&bytes).starts_with(fields), "{}", hex(&bytes));
    assert_eq!(Checkpoint::decode(&bytes), Some(checkpoint));
}

#[test]
fn a_newer_segment_is_told_from_a_damaged_one() {
    let header = SegmentHeader {
        segment: 1,
        store: STORE,
        floor: 1,
        previous: 0,
    };
    let mut bytes = header.encode();
    bytes[8] = 2;
    assert_eq!(
        SegmentHeader::decode(&bytes),
        Err(Unreadable::TooNew { found: 2 })
    );
    bytes[0] = 0;
    assert_eq!(SegmentHeader::decode(&bytes), Err(Unreadable::Damaged));
}

/// An operation that owns its parts.
#[derive(Debug, Clone)]
enum Owned {
    Put(String, u64, String, Vec<u8>),
    Delete(String, u64),
    Append(String, u64, Vec<u8>),
    Truncate(String, u64, u64, u64),
    Begin(String, u64, u64, u64),
}

impl Owned {
    fn borrowed(&self) -> Operation<'_> {
        match self {
            Self::Put(key, was, kind, value) => Operation::Put {
                key,
                was: *was,
                kind,
                value,
            },
            Self::Delete(key, was) => Operation::Delete { key, was: *was },
            Self::Append(log, position, entry) => Operation::Append {
                log,
                position: *position,
                entry,
            },
            Self::Truncate(log, first, before, bytes) => Operation::Truncate {
                log,
                first: *first,
                before: *before,
                bytes: *bytes,
            },
            Self::Begin(log, first, incarnation, next) => Operation::Begin {
                log,
                first: *first,
                predecessor: (*incarnation > 0).then_some(Ended {
                    incarnation: *incarnation,
                    next: *next,
                }),
            },
        }
    }
}

fn operation() -> impl Strategy<Value = Owned> {
    let key = || "[a-z!]{1,40}";
    prop_oneof![
        (key(), any::<u64>(), "[a-z]{1,63}", any::<Vec<u8>>())
            .prop_map(|(k, w, i, v)| Owned::Put(k, w, i, v)),
        (key(), any::<u64>()).prop_map(|(k, w)| Owned::Delete(k, w)),
        (key(), any::<u64>(), any::<Vec<u8>>()).prop_map(|(k, p, e)| Owned::Append(k, p, e)),
        (key(), any::<[u64; 3]>()).prop_map(|(k, [f, b, n])| Owned::Truncate(k, f, b, n)),
        (key(), any::<[u64; 3]>()).prop_map(|(k, [f, i, n])| Owned::Begin(k, f, i, n)),
    ]
}

proptest! {
    #[test]
    fn a_frame_reads_back_as_written_and_no_flipped_bit_passes(
        operations in proptest::collection::vec(operation(), 1..8),
        flip: proptest::sample::Index,
    ) {
        let borrowed: Vec<_> = operations.iter().map(Owned::borrowed).collect();
        let mut bytes = frame_of(HEADER, &borrowed);
        let frame = Frame::decode(&bytes, Seed::of(STORE)).unwrap();
        prop_assert!(frame.is_whole());
        prop_assert_eq!(frame.operations().map(|(_, o)| o).collect::<Vec<_>>(), borrowed.clone());
        for (at, operation) in frame.operations() {
            prop_assert_eq!(frame.operation(at), Some(operation));
        }
        prop_assert!(Frame::decode(&bytes, Seed::of([8; 16])).is_none(), "of another store");
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Frame::decode(&bytes, Seed::of(STORE)).is_none());
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes: Vec<u8>, at: usize) {
        let _ = SegmentHeader::decode(&bytes);
        let _ = Checkpoint::decode(&bytes);
        if let Some(frame) = Frame::verified(&bytes).or_else(|| Frame::decode(&bytes, Seed::of(STORE))) {
            let _ = frame.is_whole();
            let _ = frame.operation(at);
        }
    }

    #[test]
    fn operations_of_garbage_do_not_panic(rest: Vec<u8>, count: u32, at in 0_usize..64) {
        let mut bytes = vec![0; 32];
        bytes.extend_from_slice(&rest);
        let len = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        bytes[28..32].copy_from_slice(&count.to_le_bytes());
        let frame = Frame::verified(&bytes).unwrap();
        let _ = frame.is_whole();
        let _ = frame.operation(at);
    }
}

/// A log over a simulated disk, and the commits it was given: version to value.
struct Log {
    files: Arc<dyn FileLayer>,
    segment_bytes: u64,
    appender: Option<Appender>,
    next: u64,
}

/// What a recovery showed.
type Shown = BTreeMap<u64, Vec<u8>>;

impl Log {
    fn on(disk: &SimFiles, segment_bytes: u64) -> Self {
        Self {
            files: Arc::new(disk.clone()),
            segment_bytes,
            appender: None,
            next: 1,
        }
    }

    fn recover(&self) -> Result<Recovered, RecoveryError> {
        let plan = Plan {
            store: STORE,
            from: None,
            proved: None,
            begins: Begins::AtNeeded,
            is_clean: false,
        };
        recover(&self.files, plan)
    }

    /// Recovers, shows every commit, and makes ready to go on.
    fn open(&mut self) -> Result<(Shown, Vec<String>), RecoveryError> {
        let recovered = self.recover()?;
        let mut shown = Shown::new();
        recovered.replay(None, |_, frame| {
            let (_, operation) = frame.operations().next().unwrap();
            let Operation::Put { value, .. } = operation else {
                panic!("{operation:?}");
            };
            assert!(shown.insert(frame.header().version, value.to_vec()).is_none());
            Ok::<(), RecoveryError>(())
        })?;
        self.next = self.next.max(recovered.highest + 1);
        let options = AppenderOptions {
            store: STORE,
            segment_bytes: self.segment_bytes,
            reserve_bytes: 0,
        };
        let (files, reader) = (Arc::clone(&self.files), Arc::clone(&recovered.reader));
        let (tail, version) = (recovered.tail.as_ref(), recovered.last_version);
        self.appender = Some(Appender::resume(files, reader, options, tail, version)?);
        Ok((shown, recovered.notices))
    }

    /// Writes a group of these values; true when it was acknowledged.
    fn write(&mut self, values: &[Vec<u8>], commits: &mut Shown) -> bool {
        let appender = self.appender.as_mut().unwrap();
        let bytes: usize = values.iter().map(|value| aligned(value.len() + 64)).sum();
        if appender
            .make_room(bytes as u64, self.next, Purpose::Growth)
            .is_err()
        {
            return false;
        }
        let (segment, offset) = appender.next_place();
        let mut group = Vec::new();
        for value in values {
            let header = Header {
                version: self.next,
                group: u64::from(segment) << 32 | u64::from(offset),
                segment,
            };
            let put = Operation::Put {
                key: "k",
                was: 0,
                kind: "k",
                value,
            };
            encode(header, appender.seed(), std::iter::once(put), &mut group);
            commits.insert(self.next, value.clone());
            self.next += 1;
        }
        appender.write(&group, self.next - 1).is_ok()
    }
}

fn values(random: &mut StdRng) -> Vec<Vec<u8>> {
    let count = random.random_range(1..6);
    (0..count)
        .map(|_| {
            let len = random.random_range(0..700);
            vec![random.random::<u8>(); len]
        })
        .collect()
}

/// One life of a disk: commits, and ends of every kind; after each, what was acknowledged or shown is there.
fn live_through(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let disk = SimFiles::default();
    let mut log = Log::on(&disk, 4096);
    let mut commits = Shown::new();
    let mut sure: Shown = Shown::new();
    for life in 0..3 {
        let Ok((shown, _)) = log.open() else {
            panic!("seed {seed} life {life}: the log did not open");
        };
        for (version, value) in &sure {
            assert_eq!(
                shown.get(version),
                Some(value),
                "seed {seed} life {life}: version {version}"
            );
        }
        for (version, value) in &shown {
            assert_eq!(
                commits.get(version),
                Some(value),
                "seed {seed} life {life}: version {version}"
            );
        }
        sure.extend(shown);
        match random.random_range(0..4_u8) {
            0 => disk.fail_sync(random.random_range(0..8)),
            _ => disk.light_fuse(random.random_range(0..40)),
        }
        for _ in 0..10 {
            let first = log.next;
            if !log.write(&values(&mut random), &mut commits) {
                break;
            }
            sure.extend(
                commits
                    .range(first..)
                    .map(|(version, value)| (*version, value.clone())),
            );
        }
        log.appender = None;
        // A failed flush, or a kill: the next opening sees the page cache. And then the power goes.
        if random.random_range(0..3_u8) == 0 {
            disk.light_fuse(u64::MAX);
            let Ok((shown, _)) = log.open() else {
                panic!("seed {seed} life {life}: the log did not open again");
            };
            sure.extend(shown);
            log.appender = None;
        }
        disk.cut_power(random.random());
    }
    let Ok((shown, _)) = log.open() else {
        panic!("seed {seed}: the log did not open at the end");
    };
    for (version, value) in &sure {
        assert_eq!(
            shown.get(version),
            Some(value),
            "seed {seed}: version {version} at the end"
        );
    }
}

/// FS-54, at the log, which has all that was acknowledged: the index is rebuilt from it after every cut (the stores over
/// such a disk are in `power`). Eighths of ten thousand seeds, so that they run beside each other; `SIM_ROUNDS` makes it
/// longer, `SIM_SEED` begins elsewhere.
fn power_cuts_lose_nothing_acknowledged_and_show_no_half(eighth: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|s| s.parse::<u64>().ok());
    let rounds = number("SIM_ROUNDS").unwrap_or(10_000).div_ceil(8);
    let begin = number("SIM_SEED").unwrap_or(0) + eighth * rounds;
    for seed in begin..begin + rounds {
        live_through(seed);
    }
}

macro_rules! eighths {
    ($($test:ident: $eighth:literal),*) => {$(
        #[test]
        fn $test() {
            power_cuts_lose_nothing_acknowledged_and_show_no_half($eighth);
        }
    )*};
}
eighths! {
    power_cuts_lose_nothing_acknowledged_and_show_no_half_1: 0,
    power_cuts_lose_nothing_acknowledged_and_show_no_half_2: 1,
    power_cuts_lose_nothing_acknowledged_and_show_no_half_3: 2,
    power_cuts_lose_nothing_acknowledged_and_show_no_half_4: 3,
    power_cuts_lose_nothing_acknowledged_and_show_no_half_5: 4,
    power_cuts_lose_nothing_acknowledged_and_show_no_half_6: 5,
    power_cuts_lose_nothing_acknowledged_and_show_no_half_7: 6,
    power_cuts_lose_nothing_acknowledged_and_show_no_half_8: 7
}

/// A log with two groups in its last segment, and where the second begins.
fn two_groups() -> (SimFiles, Shown, usize, usize) {
    let disk = SimFiles::default();
    let mut log = Log::on(&disk, 4096);
    let mut commits = Shown::new();
    log.open().unwrap();
    assert!(log.write(&[vec![1; 30], vec![2; 50]], &mut commits));
    let begin = log.appender.as_ref().unwrap().next_place().1 as usize;
    assert!(log.write(&[vec![3; 30], vec![4; 9], vec![5; 40]], &mut commits));
    let end = log.appender.as_ref().unwrap().next_place().1 as usize;
    (disk, commits, begin, end)
}

/// FS-56, with the repair in `sled/repair.rs`.
#[test]
fn a_last_group_torn_at_any_byte_is_cut_and_reported() {
    let (disk, commits, begin, end) = two_groups();
    let name = disk.segments().pop().unwrap();
    let acknowledged: Vec<u64> = commits.keys().copied().take(2).collect();
    for at in begin..end {
        let tears: [fn(&mut Vec<u8>, usize, usize); 3] = [
            |bytes, at, _| bytes[at] ^= 0x41,
            |bytes, at, end| bytes[at..end].fill(0),
            |bytes, at, _| bytes.truncate(at),
        ];
        for tear in tears {
            let torn = disk.fork();
            let before = torn.bytes();
            torn.damage(&name, |bytes| tear(bytes, at, end));
            let is_torn = torn.bytes()[&name].get(begin..end) != before[&name].get(begin..end);
            let (shown, notices) = Log::on(&torn, 4096).open().unwrap();
            let versions: Vec<u64> = shown.keys().copied().collect();
            assert!(versions.starts_with(&acknowledged), "byte {at}: {versions:?}");
            assert!(
                commits.keys().copied().collect::<Vec<_>>().starts_with(&versions),
                "byte {at}"
            );
            // What is cut at the end of a frame leaves nothing to see; so does a flip in the padding.
            let is_whole_frame = versions.len() < 5 || !is_torn;
            assert!(is_whole_frame || notices.is_empty(), "byte {at}: {notices:?}");
        }
    }
}

/// FS-56, with the repair in `sled/repair.rs`.
#[test]
fn a_bad_byte_before_a_later_group_is_refused_and_nothing_changed() {
    let (disk, _, begin, _) = two_groups();
    let name = disk.segments().pop().unwrap();
    let mut refused = 0;
    for at in 0..begin {
        let damaged = disk.fork();
        damaged.damage(&name, |bytes| bytes[at] ^= 0x41);
        let before = damaged.bytes();
        match Log::on(&damaged, 4096).open() {
            Err(RecoveryError::Damaged { place }) => {
                assert!(place.starts_with(&name), "{place}");
                assert_eq!(damaged.bytes(), before, "byte {at}");
                refused += 1;
            }
            // The format number alone says that a newer build wrote it.
            Err(RecoveryError::TooNew { .. }) => assert_eq!(damaged.bytes(), before, "byte {at}"),
            Err(error) => panic!("byte {at}: {error}"),
            // Padding is in no frame and tells nothing.
            Ok((shown, _)) => assert_eq!(shown.len(), 5, "byte {at}"),
        }
    }
    assert!(refused > begin * 3 / 4, "{refused} of {begin}");
}

#[test]
fn a_segment_that_lost_its_end_is_refused_when_another_follows() {
    let disk = SimFiles::default();
    let mut log = Log::on(&disk, 1024);
    let mut commits = Shown::new();
    log.open().unwrap();
    while disk.segments().len() < 3 {
        assert!(log.write(&[vec![1; 200]], &mut commits));
    }
    let first = disk.segments().remove(0);
    disk.damage(&first, |bytes| {
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[end - 200..].fill(0);
    });
    assert!(matches!(log.recover(), Err(RecoveryError::Damaged { .. })));
}

#[test]
fn a_frame_within_a_value_is_not_taken_for_one() {
    let disk = SimFiles::default();
    let mut log = Log::on(&disk, 4096);
    let mut commits = Shown::new();
    log.open().unwrap();
    let (segment, offset) = log.appender.as_ref().unwrap().next_place();
    // A caller guesses everything but the store's id, and aligns the copy for every place it may come to lie.
    let mut forged = Vec::new();
    for _ in 0..8 {
        let header = Header {
            version: 99,
            group: u64::from(segment + 1) << 32 | u64::from(offset + 64),
            segment: segment + 1,
        };
        let put = Operation::Put {
            key: "k",
            was: 0,
            kind: "k",
            value: b"forged",
        };
        encode(header, Seed::of([9; 16]), std::iter::once(put), &mut forged);
        forged.push(0);
        forged.resize(aligned(forged.len()), 0);
    }
    assert!(log.write(&[forged], &mut commits));
    let name = disk.segments().pop().unwrap();
    disk.damage(&name, |bytes| bytes[60] ^= 1);
    let (shown, notices) = log.open().unwrap();
    assert_eq!((shown.len(), notices.len()), (0, 1));
}
