//! Names of records: segments, keys, prefixes and streams, with an order every backend shares.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Longest segment, in bytes.
pub const SEGMENT_MAX: usize = 128;
/// Most segments of a key.
pub const SEGMENTS_MAX: usize = 16;
/// Longest key, in bytes, separators included.
pub const KEY_MAX: usize = 512;
/// [`Segment::ordered`] keeps this many bytes whole; longer input is cut and given a digest.
pub const ORDERED_MAX: usize = 64;
/// How many bytes of a longer input stay readable in [`Segment::ordered`].
const ORDERED_KEPT: usize = 40;
/// Separates segments in the stored form. It sorts below every legal byte, so byte order is segment order.
const SEPARATOR: char = '!';
/// The byte after [`SEPARATOR`]: the exclusive end of a prefix's range.
const SEPARATOR_NEXT: char = '"';

/// Why a name was refused. The input is never repeated in the text: it may be hostile or secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing between two separators, or an empty key.
    #[error("a name is empty")]
    Empty,
    /// A byte outside `a-z 0-9 _ - .`, or a first byte outside `a-z 0-9 _`.
    #[error("a name holds a byte outside `a-z 0-9 _ - .`, or begins with `-` or `.`")]
    Byte,
    /// A segment over [`SEGMENT_MAX`].
    #[error("a name is longer than {SEGMENT_MAX} bytes")]
    SegmentTooLong,
    /// More than [`SEGMENTS_MAX`] segments in a key.
    #[error("a key has more than {SEGMENTS_MAX} segments")]
    TooDeep,
    /// A key over [`KEY_MAX`].
    #[error("a key is longer than {KEY_MAX} bytes")]
    KeyTooLong,
}

/// One part of a key: `a-z 0-9 _ - .`, beginning with `a-z 0-9 _`, at most [`SEGMENT_MAX`] bytes.
///
/// ```
/// use dormouse_filesystem::Segment;
/// assert!(Segment::parse("alice").is_ok());
/// assert!(Segment::parse("..").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment(Arc<str>);

impl Segment {
    /// Parses a name; it is never escaped or altered.
    ///
    /// # Errors
    /// [`InvalidName`], which does not repeat the input.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        check_segment(name).map(|()| Self(name.into()))
    }

    /// Any bytes, in an encoding that keeps their order (lower-case base32hex).
    ///
    /// Over [`ORDERED_MAX`] bytes the first 40 and a digest are kept: still ordered by those 40, still distinct. Beside
    /// shorter input with the same 40 it sorts first.
    #[must_use]
    pub fn ordered(bytes: &[u8]) -> Self {
        let mut encoding = data_encoding::BASE32HEX_NOPAD.encode(bytes).to_ascii_lowercase();
        if bytes.len() > ORDERED_MAX {
            let digest = data_encoding::BASE32HEX_NOPAD
                .encode(&Sha256::digest(bytes))
                .to_ascii_lowercase();
            let kept = data_encoding::BASE32HEX_NOPAD
                .encode(&bytes[..ORDERED_KEPT])
                .to_ascii_lowercase();
            encoding = format!("{kept}.{}", &digest[..26]);
        }
        // The prefix keeps the empty input legal and changes no order.
        Self(format!("_{encoding}").into())
    }

    /// A number as 20 digits, so that byte order is numeric order.
    #[must_use]
    pub fn number(value: u64) -> Self {
        Self(format!("{value:020}").into())
    }

    /// The segment's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_segment(name: &str) -> Result<(), InvalidName> {
    let first = *name.as_bytes().first().ok_or(InvalidName::Empty)?;
    if !matches!(first, b'a'..=b'z' | b'0'..=b'9' | b'_') {
        return Err(InvalidName::Byte);
    }
    if !name
        .bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.'))
    {
        return Err(InvalidName::Byte);
    }
    if name.len() > SEGMENT_MAX {
        return Err(InvalidName::SegmentTooLong);
    }
    Ok(())
}

fn join<'a>(segments: impl IntoIterator<Item = &'a str>) -> Result<Arc<str>, InvalidName> {
    let mut joined = Joined::below("");
    for segment in segments {
        check_segment(segment)?;
        joined.push(segment)?;
    }
    Ok(joined.end())
}

/// A stored form in the making. Whatever it is made of was checked before: every write and every look-up makes some.
struct Joined {
    text: String,
    count: usize,
}

impl Joined {
    /// Begins with a stored form.
    fn below(above: &str) -> Self {
        let mut text = String::with_capacity(KEY_MAX);
        text.push_str(above);
        Self {
            count: segments_of(above),
            text,
        }
    }

    /// Adds a legal segment.
    fn push(&mut self, segment: &str) -> Result<(), InvalidName> {
        if self.count >= SEGMENTS_MAX {
            return Err(InvalidName::TooDeep);
        }
        if self.text.len() + segment.len() + usize::from(self.count > 0) > KEY_MAX {
            return Err(InvalidName::KeyTooLong);
        }
        if self.count > 0 {
            self.text.push(SEPARATOR);
        }
        self.text.push_str(segment);
        self.count += 1;
        Ok(())
    }

    fn end(self) -> Arc<str> {
        self.text.as_str().into()
    }
}

/// How many segments a stored form has.
fn segments_of(stored: &str) -> usize {
    let separators = stored.bytes().filter(|byte| *byte == SEPARATOR as u8);
    separators.count() + usize::from(!stored.is_empty())
}

/// The name of a record: 1 to [`SEGMENTS_MAX`] segments, printed with `/`.
///
/// ```
/// use dormouse_filesystem::Key;
/// let key = Key::parse("t/default/r/task/tsk_1").unwrap();
/// assert_eq!(key.to_string(), "t/default/r/task/tsk_1");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Parses `a/b/c`.
    ///
    /// # Errors
    /// [`InvalidName`], which does not repeat the input.
    pub fn parse(path: &str) -> Result<Self, InvalidName> {
        join(path.split('/')).map(Self)
    }

    /// Joins segments.
    ///
    /// # Errors
    /// [`InvalidName::Empty`] without a segment, `TooDeep` and `KeyTooLong` over the limits.
    pub fn from_segments<'a>(segments: impl IntoIterator<Item = &'a Segment>) -> Result<Self, InvalidName> {
        let joined = join(segments.into_iter().map(Segment::as_str))?;
        if joined.is_empty() {
            Err(InvalidName::Empty)
        } else {
            Ok(Self(joined))
        }
    }

    /// The stored form, segments joined by `!`: its byte order is the order of keys.
    #[must_use]
    pub fn stored(&self) -> &str {
        &self.0
    }

    /// Reads the stored form back.
    ///
    /// # Errors
    /// [`InvalidName`] when the bytes are no key: they did not come from [`Key::stored`].
    pub fn from_stored(stored: &str) -> Result<Self, InvalidName> {
        for (count, segment) in stored.split(SEPARATOR).enumerate() {
            check_segment(segment)?;
            if count >= SEGMENTS_MAX {
                return Err(InvalidName::TooDeep);
            }
        }
        if stored.len() > KEY_MAX {
            return Err(InvalidName::KeyTooLong);
        }
        Ok(Self(stored.into()))
    }

    /// The narrowest prefix that holds this key.
    #[must_use]
    pub fn parent(&self) -> Prefix {
        let above = self.0.rfind(SEPARATOR).map_or("", |end| &self.0[..end]);
        Prefix(above.into())
    }

    /// The key's segments, outermost first.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> + '_ {
        self.0.split(SEPARATOR)
    }
}

/// By its stored form, which has the same order: so a map of keys can be searched by a prefix's range.
impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.stored()
    }
}

/// A place above keys: 0 to 15 segments. It holds the keys below it on segment boundary.
///
/// ```
/// use dormouse_filesystem::{Key, Prefix};
/// let prefix = Prefix::parse("a/b").unwrap();
/// assert!(prefix.holds(&Key::parse("a/b/c").unwrap()));
/// assert!(!prefix.holds(&Key::parse("a/bc").unwrap()));
/// assert!(!prefix.holds(&Key::parse("a/b").unwrap()));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// The prefix of everything.
    #[must_use]
    pub fn root() -> Self {
        Self("".into())
    }

    /// Parses `a/b`; the empty text is [`Prefix::root`].
    ///
    /// # Errors
    /// [`InvalidName`]; a prefix leaves room for one segment more.
    pub fn parse(path: &str) -> Result<Self, InvalidName> {
        if path.is_empty() {
            Ok(Self::root())
        } else {
            join(path.split('/')).and_then(Self::checked)
        }
    }

    fn checked(joined: Arc<str>) -> Result<Self, InvalidName> {
        if segments_of(&joined) < SEGMENTS_MAX {
            Ok(Self(joined))
        } else {
            Err(InvalidName::TooDeep)
        }
    }

    /// This prefix, narrowed by one segment.
    ///
    /// # Errors
    /// `TooDeep` and `KeyTooLong` over the limits.
    pub fn child(&self, segment: &Segment) -> Result<Self, InvalidName> {
        self.beneath([segment.as_str()])
    }

    /// This prefix, narrowed by names that are segments.
    ///
    /// # Errors
    /// As [`Segment::parse`] and [`child`](Self::child).
    pub(crate) fn under(&self, names: &[&str]) -> Result<Self, InvalidName> {
        names.iter().try_for_each(|name| check_segment(name))?;
        self.beneath(names.iter().copied())
    }

    /// This prefix, narrowed by legal segments.
    fn beneath<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidName> {
        let mut joined = Joined::below(&self.0);
        segments
            .into_iter()
            .try_for_each(|segment| joined.push(segment))?;
        Self::checked(joined.end())
    }

    /// The key made of this prefix and further segments.
    ///
    /// # Errors
    /// `Empty` without any segment at all, `TooDeep` and `KeyTooLong` over the limits.
    pub fn key<'a>(&'a self, segments: impl IntoIterator<Item = &'a Segment>) -> Result<Key, InvalidName> {
        let mut joined = Joined::below(&self.0);
        for segment in segments {
            joined.push(segment.as_str())?;
        }
        match joined.count {
            0 => Err(InvalidName::Empty),
            _ => Ok(Key(joined.end())),
        }
    }

    /// The stored form, segments joined by `!`; empty for the root.
    #[must_use]
    pub fn stored(&self) -> &str {
        &self.0
    }

    /// The prefix's segments, outermost first; none for the root.
    pub fn segments(&self) -> impl Iterator<Item = &str> + '_ {
        self.0.split(SEPARATOR).filter(|s| !s.is_empty())
    }

    /// Whether the key lies below this prefix.
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        self.0.is_empty()
            || key
                .0
                .strip_prefix(&*self.0)
                .is_some_and(|rest| rest.starts_with(SEPARATOR))
    }

    /// The stored keys below this prefix are those in `start..end`; no end means to the last.
    #[must_use]
    pub fn range(&self) -> (String, Option<String>) {
        if self.0.is_empty() {
            return (String::new(), None);
        }
        (
            format!("{}{SEPARATOR}", self.0),
            Some(format!("{}{SEPARATOR_NEXT}", self.0)),
        )
    }
}

/// The name of a log: a key of another space, so a log and a record of one name never meet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stream(Key);

impl Stream {
    /// The log of this name.
    #[must_use]
    pub fn new(name: Key) -> Self {
        Self(name)
    }

    /// The log's name.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! printed_with_slashes {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.replace(SEPARATOR, "/"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}
printed_with_slashes!(Segment, Key, Prefix);

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Segment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_by_segment_and_not_by_printed_text() {
        let mut keys: Vec<Key> = ["a/b", "a-b", "a", "a.b", "ab", "a/b/c"]
            .iter()
            .map(|k| Key::parse(k).unwrap())
            .collect();
        keys.sort();
        let printed: Vec<String> = keys.iter().map(Key::to_string).collect();
        assert_eq!(printed, ["a", "a/b", "a/b/c", "a-b", "a.b", "ab"]);
    }

    /// FS-47
    #[test]
    fn what_is_no_name_is_refused_and_not_repeated() {
        let deep = ["a"; 17].join("/");
        let long = "a".repeat(129);
        for bad in [
            "", "..", "a//b", "a/", "/a", "A", "a\0", "a!b", "-a", ".a", "ä", &deep, &long,
        ] {
            let refused = Key::parse(bad).expect_err(bad);
            assert!(bad.len() < 3 || !refused.to_string().contains(bad), "{refused}");
        }
    }

    proptest::proptest! {
        #[test]
        fn ordered_segments_keep_the_order_of_bytes(a: Vec<u8>, b: Vec<u8>) {
            let (a, b) = (&a[..a.len().min(ORDERED_MAX)], &b[..b.len().min(ORDERED_MAX)]);
            proptest::prop_assert_eq!(a.cmp(b), Segment::ordered(a).cmp(&Segment::ordered(b)));
        }
    }
}
