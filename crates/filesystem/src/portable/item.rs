//! What frames hold. Pure functions; no input makes them panic.

use bytes::{Buf, Bytes};

use super::frame::encode;
use crate::{
    Digest, Entry, ExportCounts, Key, LOG_ENTRY_MAX, LogHead, Logged, Position, Predecessor, Prefix,
    RecordKind, Stream, VALUE_MAX, Version,
};

const HEADER: u8 = 1;
const RECORD: u8 = 2;
const LOG: u8 = 3;
const ENTRY: u8 = 4;
pub(super) const TRAILER: u8 = 5;

/// The first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) store: [u8; 16],
    pub(super) version: Version,
    pub(super) milliseconds: i64,
    pub(super) prefix: Prefix,
}

/// The last frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) counts: ExportCounts,
    pub(super) bytes: u64,
    pub(super) highest: Version,
    pub(super) digest: Digest,
}

/// One frame of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileItem {
    Header(Header),
    Record(Entry),
    Log(Stream, LogHead),
    Entry(Logged),
    Trailer(Trailer),
}

impl FileItem {
    /// Adds the item's frame.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Header(header) => encode(HEADER, out, |out| {
                out.extend_from_slice(&header.store);
                out.extend_from_slice(&header.version.get().to_le_bytes());
                out.extend_from_slice(&header.milliseconds.to_le_bytes());
                out.extend_from_slice(header.prefix.stored().as_bytes());
            }),
            Self::Record(entry) => encode(RECORD, out, |out| encode_record(entry, out)),
            Self::Log(log, head) => encode(LOG, out, |out| {
                let predecessor = head.predecessor.map(|p| [p.incarnation.get(), p.next.get()]);
                let [incarnation, ended] = predecessor.unwrap_or([0, 0]);
                let own = head.incarnation.map_or(0, Version::get);
                for number in [
                    own,
                    head.first.get(),
                    head.next.get(),
                    head.bytes,
                    incarnation,
                    ended,
                ] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                out.extend_from_slice(log.key().stored().as_bytes());
            }),
            Self::Entry(logged) => encode(ENTRY, out, |out| {
                out.extend_from_slice(&logged.position.get().to_le_bytes());
                out.extend_from_slice(&logged.version.get().to_le_bytes());
                out.extend_from_slice(&logged.entry);
            }),
            Self::Trailer(trailer) => encode(TRAILER, out, |out| {
                let ExportCounts {
                    records,
                    logs,
                    entries,
                } = trailer.counts;
                for number in [records, logs, entries, trailer.bytes, trailer.highest.get()] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                out.extend_from_slice(trailer.digest.as_bytes());
            }),
        }
    }

    /// Reads a frame of this kind, from behind the kind to its end; what is wrong with it if it is none.
    pub(super) fn decode(kind: u8, body: Bytes) -> Result<Self, &'static str> {
        let decoded = match kind {
            HEADER => header(body).map(Self::Header),
            RECORD => record(body).map(Self::Record),
            LOG => log(body).map(|(log, head)| Self::Log(log, head)),
            ENTRY => logged(body).map(Self::Entry),
            TRAILER => trailer(body).map(Self::Trailer),
            _ => return Err("a frame is of no known kind"),
        };
        decoded.ok_or("a frame does not hold what it must")
    }
}

fn encode_record(entry: &Entry, out: &mut Vec<u8>) {
    let (key, kind) = (entry.key.stored(), entry.kind.as_str());
    out.extend_from_slice(&entry.version.get().to_le_bytes());
    out.extend_from_slice(
        &u16::try_from(key.len())
            .expect("a key has at most 512 bytes")
            .to_le_bytes(),
    );
    out.push(u8::try_from(kind.len()).expect("a kind has at most 63 bytes"));
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(&entry.value);
}

fn number(body: &mut Bytes) -> Option<u64> {
    body.try_get_u64_le().ok()
}

/// A number as stores give them out.
fn counted(body: &mut Bytes) -> Option<u64> {
    number(body).filter(|number| (1..1 << 53).contains(number))
}

fn text(body: &mut Bytes, len: usize) -> Option<Bytes> {
    (body.len() >= len).then(|| body.split_to(len))
}

fn key(bytes: &[u8]) -> Option<Key> {
    Key::from_stored(std::str::from_utf8(bytes).ok()?).ok()
}

fn header(mut body: Bytes) -> Option<Header> {
    let store = text(&mut body, 16)?.as_ref().try_into().ok()?;
    let version = Version::new(number(&mut body).filter(|number| *number < 1 << 53)?);
    let milliseconds = body.try_get_i64_le().ok()?;
    jiff::Timestamp::from_millisecond(milliseconds).ok()?;
    let prefix = std::str::from_utf8(&body).ok()?;
    // A prefix is told with `/` and stored with `!`, which is in no name.
    let prefix = (!prefix.contains('/'))
        .then(|| Prefix::parse(&prefix.replace('!', "/")))?
        .ok()?;
    Some(Header {
        store,
        version,
        milliseconds,
        prefix,
    })
}

fn record(mut body: Bytes) -> Option<Entry> {
    let version = Version::new(counted(&mut body)?);
    let key_len = usize::from(body.try_get_u16_le().ok()?);
    let kind_len = usize::from(body.try_get_u8().ok()?);
    let key = key(&text(&mut body, key_len)?)?;
    let kind = text(&mut body, kind_len)?;
    let kind = RecordKind::parse(std::str::from_utf8(&kind).ok()?)?;
    (body.len() <= VALUE_MAX).then_some(Entry {
        key,
        value: body,
        version,
        kind,
    })
}

fn log(mut body: Bytes) -> Option<(Stream, LogHead)> {
    let incarnation = Some(Version::new(counted(&mut body)?));
    let (first, next) = (
        Position::new(counted(&mut body)?),
        Position::new(counted(&mut body)?),
    );
    let bytes = number(&mut body)?;
    let predecessor = match (number(&mut body)?, number(&mut body)?) {
        (0, 0) => None,
        (incarnation, next) => Some(Predecessor {
            incarnation: Version::new(incarnation),
            next: Position::new(next),
        }),
    };
    let is_possible = predecessor.is_none_or(|p| {
        let is_counted = |number: u64| (1..1 << 53).contains(&number);
        is_counted(p.incarnation.get()) && is_counted(p.next.get())
    });
    let head = LogHead {
        incarnation,
        first,
        next,
        bytes,
        predecessor,
    };
    (is_possible && first <= next && first <= crate::LOG_FIRST_MAX)
        .then_some((Stream::new(key(&body)?), head))
}

fn logged(mut body: Bytes) -> Option<Logged> {
    let position = Position::new(counted(&mut body)?);
    let version = Version::new(counted(&mut body)?);
    (body.len() <= LOG_ENTRY_MAX).then_some(Logged {
        position,
        version,
        entry: body,
    })
}

fn trailer(mut body: Bytes) -> Option<Trailer> {
    let counts = ExportCounts {
        records: number(&mut body)?,
        logs: number(&mut body)?,
        entries: number(&mut body)?,
    };
    let bytes = number(&mut body)?;
    let highest = Version::new(number(&mut body).filter(|number| *number < 1 << 53)?);
    let digest = Digest::new(body.as_ref().try_into().ok()?);
    Some(Trailer {
        counts,
        bytes,
        highest,
        digest,
    })
}
