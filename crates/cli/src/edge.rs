//! What only the operating system can say: the time, and bytes nobody can guess.

use jiff::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::problem::{Code, Problem};

/// The time now.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge: here the machine's time becomes a value"
)]
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Bytes nobody can guess.
///
/// # Errors
/// When the operating system gives none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("the system gives no random bytes: {error}"),
        )
    })?;
    Ok(bytes)
}

/// A number nobody can guess.
///
/// # Errors
/// As [`random_bytes`].
pub fn random_number() -> Result<u64, Problem> {
    random_bytes().map(u64::from_le_bytes)
}

/// The name of the user this process runs as; its number where it has none.
#[must_use]
pub fn user() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.filter(|name| !name.is_empty() && name.len() <= 32 && name.is_ascii())
        .unwrap_or_else(|| format!("user {uid}"))
}
