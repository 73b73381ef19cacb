//! The control token: 256 bits in a file of ours, made with the store. Who shows it may do everything.

use std::fmt;
use std::path::Path;

use subtle::ConstantTimeEq;

use crate::edge;
use crate::place::{Refusal, check_file, read_bounded, write_new_file};
use crate::problem::Problem;

/// Bytes of a token.
const BYTES: usize = 32;

/// A control token.
#[derive(Clone)]
pub struct ControlToken([u8; BYTES]);

impl ControlToken {
    /// A new token.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn make() -> Result<Self, Problem> {
        edge::random_bytes().map(Self)
    }

    /// Reads the token of a store, or makes it. Only the holder of the owner lock calls this.
    ///
    /// # Errors
    /// When the file is not ours alone, or the system refuses.
    pub fn ensure(path: &Path) -> Result<Self, Problem> {
        match Self::read(path) {
            Err(refusal) if refusal.is_missing() => {}
            read => return Ok(read?),
        }
        let token = Self::make()?;
        let temporary = path.with_extension(format!("{:016x}", edge::random_number()?));
        write_new_file(path, &temporary, token.expose().as_bytes())?;
        Ok(token)
    }

    /// Reads a token from its file.
    ///
    /// # Errors
    /// When there is none, when it is not ours alone, when it is no token.
    pub fn read(path: &Path) -> Result<Self, Refusal> {
        let bytes = read_bounded(path, 1024, check_file)?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        Self::parse(text.trim_end()).ok_or(Refusal::Kind {
            path: path.to_owned(),
            should: "control token",
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// Whether a presented text is this token, in a time that does not depend on where it differs.
    #[must_use]
    pub fn is(&self, presented: &str) -> bool {
        Self::parse(presented).is_some_and(|presented| self.0.ct_eq(&presented.0).into())
    }

    /// The token's text, for the one header and the one file it belongs in.
    #[must_use]
    pub fn expose(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

impl fmt::Debug for ControlToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlToken(***)")
    }
}
