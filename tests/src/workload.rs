//! What the child of the crash test writes: batches whose every part tells which batch it is of.
//!
//! Batch `n` of a writer replaces its keys `left` and `right`, creates `odd` or removes it, and appends entry `n` to
//! its log. So a store is right when all four say the same `n`, and the bytes are those that only `n` has.

use bytes::Bytes;
use dormouse_filesystem::{Batch, Expected, Key, Lane, RecordKind, Stream, Version};
use rand::{Rng, RngExt};

use crate::seed;

/// Writers of one child, each with keys and a log of its own.
pub const WRITERS: u64 = 6;
/// Tasks of one child that fight for the one hot key.
pub const FIGHTERS: u64 = 4;
/// What the records are.
pub const KIND: RecordKind = RecordKind::of("crash");

/// Most values are of a row's size; one in [`LARGE_EVERY`] is larger than a page of any disk.
const VALUE_BYTES_MAX: usize = 600;
const LARGE_BYTES_MAX: usize = 48 * 1024;
const LARGE_EVERY: u32 = 24;

/// The parts of a writer's batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A record that every batch replaces.
    Left,
    /// Its neighbour.
    Right,
    /// A record that is there after odd batches only.
    Odd,
    /// The entry of the log.
    Entry,
}

/// A writer's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The key of [`Part::Left`].
    pub left: Key,
    /// The key of [`Part::Right`].
    pub right: Key,
    /// The key of [`Part::Odd`].
    pub odd: Key,
    /// The log.
    pub log: Stream,
}

impl Names {
    /// Those of this writer.
    #[must_use]
    pub fn of(writer: u64) -> Self {
        let key = |part: &str| Key::parse(&format!("crash/w{writer}/{part}")).expect("a short plain name");
        Self {
            left: key("left"),
            right: key("right"),
            odd: key("odd"),
            log: Stream::new(key("log")),
        }
    }
}

/// The key that the fighters share: its value is a count for each of them.
#[must_use]
pub fn hot_key() -> Key {
    Key::parse("crash/hot").expect("a short plain name")
}

/// The bytes of a part of batch `n`: its number first, then noise that only it has.
#[must_use]
pub fn bytes(seed: u64, writer: u64, n: u64, part: Part) -> Bytes {
    let mut random = seed::part(seed ^ (writer << 56) ^ ((part as u64) << 48), n);
    let most = if random.random_ratio(1, LARGE_EVERY) {
        LARGE_BYTES_MAX
    } else {
        VALUE_BYTES_MAX
    };
    let mut bytes = vec![0; 8 + random.random_range(0..most)];
    random.fill_bytes(&mut bytes[8..]);
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes.into()
}

/// Which batch these bytes say they are of.
#[must_use]
pub fn number_in(bytes: &[u8]) -> Option<u64> {
    let head = bytes.get(..8)?;
    Some(u64::from_be_bytes(
        head.try_into().expect("eight bytes were taken"),
    ))
}

/// The versions that the next batch has to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Of [`Part::Left`].
    pub left: Option<Version>,
    /// Of [`Part::Right`].
    pub right: Option<Version>,
    /// Of [`Part::Odd`].
    pub odd: Option<Version>,
}

impl Held {
    /// After batch `n` was committed at this version.
    #[must_use]
    pub fn after(n: u64, version: Version) -> Self {
        Self {
            left: Some(version),
            right: Some(version),
            odd: is_odd(n).then_some(version),
        }
    }
}

/// Whether [`Part::Odd`] is there after batch `n`.
#[must_use]
pub fn is_odd(n: u64) -> bool {
    n % 2 == 1
}

/// Batch `n` of a writer over what it holds.
#[must_use]
pub fn batch(seed: u64, writer: u64, n: u64, held: Held) -> Batch {
    let names = Names::of(writer);
    let part = |part: Part| bytes(seed, writer, n, part);
    let mut batch = Batch::new(Lane::System);
    batch.put(names.left, expected(held.left), KIND, part(Part::Left));
    batch.put(names.right, expected(held.right), KIND, part(Part::Right));
    match held.odd {
        Some(version) => batch.delete(names.odd, version),
        None if is_odd(n) => batch.put(names.odd, Expected::Absent, KIND, part(Part::Odd)),
        None => &mut batch,
    };
    batch.append(names.log, part(Part::Entry));
    batch
}

fn expected(version: Option<Version>) -> Expected {
    version.map_or(Expected::Absent, Expected::At)
}

/// The counts of the fighters, as the hot key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts(pub [u64; FIGHTERS as usize]);

impl Counts {
    /// Reads a value.
    #[must_use]
    pub fn read(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let counts: Vec<u64> = text.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        counts.try_into().ok().map(Self)
    }

    /// As a value.
    #[must_use]
    pub fn write(self) -> Bytes {
        let counts: Vec<String> = self.0.iter().map(u64::to_string).collect();
        counts.join(" ").into()
    }
}

/// One line from child to parent, written only after what it says is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The store is open, and every `Found` was said.
    Ready,
    /// A writer read batch `n` at the start. What is read is as durable as what is acknowledged.
    Found {
        /// The writer.
        writer: u64,
        /// Its last batch.
        n: u64,
    },
    /// Batch `n` of a writer was acknowledged.
    Done {
        /// The writer.
        writer: u64,
        /// Its batch.
        n: u64,
        /// The version of the commit.
        version: u64,
        /// The position of its entry.
        position: u64,
    },
    /// An update of the hot key was acknowledged.
    Hot {
        /// The fighter.
        fighter: u64,
        /// Its own count after it.
        count: u64,
        /// The version of the commit.
        version: u64,
    },
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Found { writer, n } => write!(f, "found {writer} {n}"),
            Self::Done {
                writer,
                n,
                version,
                position,
            } => write!(f, "done {writer} {n} {version} {position}"),
            Self::Hot {
                fighter,
                count,
                version,
            } => write!(f, "hot {fighter} {count} {version}"),
        }
    }
}

impl Report {
    /// Reads a line back; none for half a line, which a kill leaves.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let word = words.next()?;
        let numbers: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
        match (word, numbers.as_slice()) {
            ("ready", []) => Some(Self::Ready),
            ("found", &[writer, n]) => Some(Self::Found { writer, n }),
            ("done", &[writer, n, version, position]) => Some(Self::Done {
                writer,
                n,
                version,
                position,
            }),
            ("hot", &[fighter, count, version]) => Some(Self::Hot {
                fighter,
                count,
                version,
            }),
            _ => None,
        }
    }
}
