//! What a secret may be used for: its category, the purposes, and the origins a value may be typed into.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most origins of a secret.
pub const ORIGINS_MAX: usize = 16;
/// Longest origin, in bytes.
pub const ORIGIN_MAX: usize = 300;

/// Whom a secret serves. The caller states it; it is never guessed from a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretCategory {
    /// Consumers inside the program.
    System,
    /// Those, and workers' environments.
    Tool,
}

impl SecretCategory {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Tool => "tool",
        }
    }
}

/// A web origin: `scheme://host` or `scheme://host:port`, lower case, nothing behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

/// A text that is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an origin is http:// or https://, a host in lower case and perhaps a port, with nothing behind it")]
pub struct InvalidOrigin;

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let rest = rest.ok_or(InvalidOrigin)?;
        let (host, port) = rest.split_once(':').unwrap_or((rest, "443"));
        let is_host = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        let is_plain = !host.is_empty() && host.bytes().all(is_host) && text.len() <= ORIGIN_MAX;
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
        if is_plain && is_port {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidOrigin)
        }
    }
}

impl TryFrom<String> for Origin {
    type Error = InvalidOrigin;

    fn try_from(text: String) -> Result<Self, InvalidOrigin> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a value is wanted for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A worker's environment.
    Env,
    /// A reference in configuration, headers, webhooks.
    Reference,
    /// Typed into a web page of this origin.
    Fill(Origin),
}

/// What a secret does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    Purpose,
    Origin,
}

/// Whether a secret of this category and these origins serves this purpose.
pub(crate) fn serves(category: SecretCategory, origins: &[Origin], purpose: &Purpose) -> Result<(), Unfit> {
    match (category, purpose) {
        (_, Purpose::Reference) | (SecretCategory::Tool, Purpose::Env) => Ok(()),
        (SecretCategory::Tool, Purpose::Fill(origin)) if origins.contains(origin) => Ok(()),
        (SecretCategory::Tool, Purpose::Fill(_)) => Err(Unfit::Origin),
        (SecretCategory::System, Purpose::Env | Purpose::Fill(_)) => Err(Unfit::Purpose),
    }
}
