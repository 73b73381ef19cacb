//! What may be done with the bytes of a credential.

use subtle::ConstantTimeEq;

use crate::Secret;

/// No credential goes where text goes: none is serialised, none is a `&str`.
///
/// ```compile_fail,E0277
/// fn json(secret: &dormouse_secrets::Secret) -> String {
///     serde_json::to_string(secret).unwrap()
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn json(lease: &dormouse_secrets::Lease) -> String {
///     serde_json::to_string(lease).unwrap()
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn json(env: &dormouse_secrets::WorkerEnv) -> String {
///     serde_json::to_string(env).unwrap()
/// }
/// ```
///
/// ```compile_fail,E0308
/// fn sink(_: &str) {}
/// fn leak(secret: &dormouse_secrets::Secret) {
///     sink(secret);
/// }
/// ```
impl Secret {
    /// The bytes. Who writes them anywhere answers for it: a lease is the only way to have a [`Secret`] of the store,
    /// and it has registered the value with the scrubber.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.as_slice()
    }

    /// The bytes as text; `None` when they are not UTF-8.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(self.as_slice()).ok()
    }

    /// Another holder of the same bytes, each wiped on its own.
    pub(crate) fn duplicate(&self) -> Self {
        Self::new(self.as_slice().to_vec())
    }
}

impl PartialEq for Secret {
    /// In a time that depends on the lengths alone.
    fn eq(&self, other: &Self) -> bool {
        self.as_slice().ct_eq(other.as_slice()).into()
    }
}

impl Eq for Secret {}
