//! What a ciphertext is bound to beside its key.

use std::fmt;

/// A domain word and fields, each with its length in front, so that no two lists of fields give the same bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct AssociatedData(Vec<u8>);

impl AssociatedData {
    /// Begins with what kind of thing is sealed.
    #[must_use]
    pub fn new(domain: &'static str) -> Self {
        Self(Vec::new()).field(domain.as_bytes())
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, field: &[u8]) -> Self {
        let length = u32::try_from(field.len()).expect("fields are names and numbers");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.field(&number.to_be_bytes())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn raw(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for AssociatedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssociatedData({} bytes)", self.0.len())
    }
}
