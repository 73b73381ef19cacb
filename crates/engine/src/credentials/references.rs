//! Variables that have the value of a secret under a name of their own: `NAME=secret:OTHER`.

use std::collections::BTreeMap;

use dormouse_secrets::{InvalidName, SecretName};

/// What a value begins with that names a secret.
const WORD: &str = "secret:";

/// The secret that the value of a variable names, as in `secret:GH_TOKEN`; none of a value that stands for itself.
#[must_use]
pub fn secret_reference(value: &str) -> Option<Result<SecretName, InvalidName>> {
    value.strip_prefix(WORD).map(SecretName::parse)
}

/// Whether the value names a secret.
pub(crate) fn is_reference(value: &str) -> bool {
    matches!(secret_reference(value), Some(Ok(_)))
}

/// The variables that name secrets, by their own names.
pub(super) fn references(env: &BTreeMap<String, String>) -> BTreeMap<&str, SecretName> {
    let named = env.iter().filter_map(|(variable, value)| {
        let secret = secret_reference(value)?.ok()?;
        Some((variable.as_str(), secret))
    });
    named.collect()
}
