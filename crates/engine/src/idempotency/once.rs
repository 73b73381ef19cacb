//! A request under its key.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use dormouse_filesystem::Digest;

use super::IdempotencyId;
use crate::limits::IDEMPOTENCY_KEY_MAX;
use crate::{Principal, TenantId};

/// The key under which a client asks: 1 to 128 printable characters of ASCII. It is not stored.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientKey(String);

impl ClientKey {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whoever knows it can tell whether a request was made.
impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(***)")
    }
}

/// A text that is no key. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has 1 to {IDEMPOTENCY_KEY_MAX} printable ASCII characters")]
pub struct InvalidClientKey;

impl FromStr for ClientKey {
    type Err = InvalidClientKey;

    fn from_str(text: &str) -> Result<Self, InvalidClientKey> {
        let is_printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let is_key = !text.trim().is_empty() && text.len() <= IDEMPOTENCY_KEY_MAX && is_printable;
        is_key.then(|| Self(text.to_owned())).ok_or(InvalidClientKey)
    }
}

/// One request under its key, and what became of it so far.
#[derive(Debug)]
pub struct Once {
    pub(super) id: IdempotencyId,
    pub(super) request: Digest,
    pub(super) operation: String,
    stage: AtomicU8,
}

/// Nothing was committed under it yet.
const OPEN: u8 = 0;
/// Its row is there, by another who asked the same.
const FOUND: u8 = 1;
/// Its row was written by this one.
const WRITTEN: u8 = 2;
/// It was answered: nothing more is done under it.
const CLOSED: u8 = 3;

impl Once {
    /// The request of these parts, for this operation, by this principal. Two requests under one key are the same when
    /// their parts are: leave out ids and times that were made for the call.
    ///
    /// The digest that is kept of the parts is mixed with the key, which is not kept: what was asked cannot be guessed
    /// from the store.
    #[must_use]
    pub fn new(
        tenant: &TenantId,
        by: &Principal,
        operation: &str,
        key: &ClientKey,
        request: &[&[u8]],
    ) -> Self {
        let kind = format!("{:?}", by.kind);
        let name = [tenant.as_str(), &kind, &by.name, operation, key.as_str()].map(str::as_bytes);
        let parts: Vec<&[u8]> = std::iter::once(key.as_str().as_bytes())
            .chain(request.iter().copied())
            .collect();
        Self {
            id: IdempotencyId::of(digest(&name)),
            request: digest(&parts),
            operation: operation.to_owned(),
            stage: AtomicU8::new(OPEN),
        }
    }

    /// What names its row.
    #[must_use]
    pub fn id(&self) -> IdempotencyId {
        self.id
    }

    /// Whether somebody else's row was found under its key.
    #[must_use]
    pub fn was_found(&self) -> bool {
        self.stage.load(Ordering::Acquire) == FOUND
    }

    /// Whether a change was committed under it.
    #[must_use]
    pub fn was_written(&self) -> bool {
        self.stage.load(Ordering::Acquire) == WRITTEN
    }

    /// Nothing more is done under it: what goes on behind its answer is its own.
    pub fn close(&self) {
        self.stage.store(CLOSED, Ordering::Release);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stage.load(Ordering::Acquire) == OPEN
    }

    pub(crate) fn found(&self) {
        self.stage.store(FOUND, Ordering::Release);
    }

    pub(crate) fn written(&self) {
        let _ = self
            .stage
            .compare_exchange(OPEN, WRITTEN, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Each part behind its length, so that no two sequences of parts are the same bytes.
fn digest(parts: &[&[u8]]) -> Digest {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Channel;

    fn once(operation: &str, key: &str, request: &[&[u8]]) -> Once {
        let by = Principal::operator("olga", Channel::Cli);
        Once::new(
            &"default".parse().unwrap(),
            &by,
            operation,
            &key.parse().unwrap(),
            request,
        )
    }

    #[test]
    fn a_key_is_one_operations_and_its_request_is_of_all_its_parts() {
        let first = once("tasks.create", "k", &[b"ab", b"c"]);
        assert_eq!(first.id, once("tasks.create", "k", &[]).id);
        assert_ne!(first.id, once("tasks.cancel", "k", &[]).id);
        assert_ne!(first.request, once("tasks.create", "k", &[b"a", b"bc"]).request);
        assert_ne!(first.request, once("tasks.create", "l", &[b"ab", b"c"]).request);
    }

    #[test]
    fn what_cannot_be_printed_is_no_key() {
        for text in ["", " ", "ä", "a\n", &"k".repeat(129)] {
            assert_eq!(text.parse::<ClientKey>(), Err(InvalidClientKey), "{text:?}");
        }
        assert!("k".repeat(128).parse::<ClientKey>().is_ok());
    }
}
