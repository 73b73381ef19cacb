//! The lines of an export: a head, one entry a line, a tail that says how many there were and what they hash to.

use std::collections::BTreeSet;

use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::IMPORT_MAX;
use crate::{ImportError, Origin, Secret, SecretCategory, SecretName, SecretRef, SecretScope};

const FORMAT: &str = "dormouse-secrets";
/// The version that is written.
const VERSION: u64 = 2;

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    version: u64,
    tenant: String,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tail {
    count: u64,
    sha256: String,
}

/// A value in base64, wiped when dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Text(String);

impl Drop for Text {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Missing in version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<SecretScope>,
    name: SecretName,
    category: SecretCategory,
    value: Text,
    #[serde(default)]
    origins: Vec<Origin>,
    #[serde(default)]
    note: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    times_known: bool,
}

/// A secret on its way.
pub(super) struct Entry {
    /// The line it was read from, from 1; 0 when it is to be written.
    pub(super) line: usize,
    pub(super) at: SecretRef,
    pub(super) category: SecretCategory,
    pub(super) value: Secret,
    pub(super) origins: Vec<Origin>,
    pub(super) note: String,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) times_known: bool,
}

/// What was read.
pub(super) struct Parsed {
    pub(super) entries: Vec<Entry>,
    /// Those of version 1, which has no scopes: they become the tenant's.
    pub(super) unscoped: Vec<SecretName>,
}

pub(super) fn write(tenant: &str, at: Timestamp, entries: Vec<Entry>) -> Zeroizing<Vec<u8>> {
    // Room from the start, so that it never moves and leaves no copy.
    let room: usize = entries
        .iter()
        .map(|entry| entry.value.expose().len() * 2 + 8 * 1024)
        .sum();
    let mut out = Zeroizing::new(Vec::with_capacity(room + 4 * 1024));
    let head = Head {
        format: FORMAT.to_owned(),
        version: VERSION,
        tenant: tenant.to_owned(),
        at,
    };
    line(&mut out, &head);
    let count = u64::try_from(entries.len()).expect("entries are few");
    for entry in entries {
        let value = Text(BASE64.encode(entry.value.expose()));
        let written = Line {
            scope: Some(entry.at.scope),
            name: entry.at.name,
            category: entry.category,
            value,
            origins: entry.origins,
            note: entry.note,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
            times_known: entry.times_known,
        };
        line(&mut out, &written);
    }
    let sha256 = HEXLOWER.encode(&Sha256::digest(&*out));
    line(&mut out, &Tail { count, sha256 });
    out
}

fn line(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(&mut *out, value).expect("plain data is written to memory");
    out.push(b'\n');
}

/// Reads and checks all of it before anything is believed.
pub(super) fn read(bytes: &[u8]) -> Result<Parsed, ImportError> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let head = lines.first().ok_or(ImportError::Truncated)?;
    let head: Head = serde_json::from_slice(head).map_err(|_| ImportError::Malformed { line: 1 })?;
    if head.format != FORMAT {
        return Err(ImportError::Malformed { line: 1 });
    }
    if !(1..=VERSION).contains(&head.version) {
        return Err(ImportError::Version { found: head.version });
    }
    let (tail, body) = lines[1..].split_last().ok_or(ImportError::Truncated)?;
    check_tail(bytes, tail, body.len())?;
    if body.len() > IMPORT_MAX {
        return Err(ImportError::TooLarge { max: IMPORT_MAX });
    }
    let mut parsed = Parsed {
        entries: Vec::with_capacity(body.len()),
        unscoped: Vec::new(),
    };
    let mut seen = BTreeSet::new();
    for (at, line) in body.iter().enumerate() {
        add(&mut parsed, &mut seen, head.version, at + 2, line)?;
    }
    Ok(parsed)
}

fn check_tail(bytes: &[u8], tail: &[u8], count: usize) -> Result<(), ImportError> {
    let before = &bytes[..bytes.len() - tail.len()];
    let tail: Tail = serde_json::from_slice(tail).map_err(|_| ImportError::Truncated)?;
    let is_whole = tail.sha256 == HEXLOWER.encode(&Sha256::digest(before)) && tail.count == count as u64;
    if is_whole {
        Ok(())
    } else {
        Err(ImportError::Truncated)
    }
}

fn add(
    parsed: &mut Parsed,
    seen: &mut BTreeSet<SecretRef>,
    version: u64,
    number: usize,
    line: &[u8],
) -> Result<(), ImportError> {
    let malformed = || ImportError::Malformed { line: number };
    let read: Line = serde_json::from_slice(line).map_err(|_| malformed())?;
    let value = BASE64.decode(read.value.0.as_bytes()).map_err(|_| malformed())?;
    let scope = match (read.scope, version) {
        (Some(scope), _) => scope,
        (None, 1) => {
            parsed.unscoped.push(read.name.clone());
            SecretScope::InstanceShared
        }
        (None, _) => return Err(malformed()),
    };
    let at = SecretRef {
        scope,
        name: read.name,
    };
    if !seen.insert(at.clone()) {
        return Err(malformed());
    }
    parsed.entries.push(Entry {
        line: number,
        at,
        category: read.category,
        value: Secret::new(value),
        origins: read.origins,
        note: read.note,
        created_at: read.created_at,
        updated_at: read.updated_at,
        times_known: read.times_known,
    });
    Ok(())
}

/// An export, written.
#[cfg(feature = "fuzz")]
pub(crate) type Written = Zeroizing<Vec<u8>>;

/// What was read, written, and what is read and written of that: for fuzzing. None for what is not believed.
#[cfg(feature = "fuzz")]
pub(crate) fn read_lines(bytes: &[u8]) -> Option<(Written, Written)> {
    let written = |bytes: &[u8]| {
        let parsed = read(bytes).ok()?;
        Some(write("t", Timestamp::UNIX_EPOCH, parsed.entries))
    };
    let first = written(bytes)?;
    let second = written(&first).expect("what is written is read");
    Some((first, second))
}

/// The lines with the tail that belongs to them.
#[cfg(feature = "fuzz")]
pub(crate) fn with_tail(lines: &[&[u8]]) -> Vec<u8> {
    let mut out = lines.concat();
    if out.last().is_some_and(|last| *last != b'\n') {
        out.push(b'\n');
    }
    let count = u64::try_from(lines.len().saturating_sub(1)).expect("lines are few");
    let sha256 = HEXLOWER.encode(&Sha256::digest(&out));
    line(&mut out, &Tail { count, sha256 });
    out
}
