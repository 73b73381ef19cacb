//! Whose a secret is, and what names it: parsed once, by one parser.

use std::fmt;
use std::str::FromStr;

use dormouse_filesystem::Segment;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{InvalidName, SecretName};

/// Longest id of an agent, in bytes.
pub const AGENT_ID_MAX: usize = 63;

/// A text that names no secret and no scope. The input is not repeated: it may be hostile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRef {
    /// An agent's id has another form.
    #[error("the id of an agent has 1 to {AGENT_ID_MAX} of a-z 0-9 _ - . and begins with one of a-z 0-9 _")]
    Agent,
    /// A scope that there is not.
    #[error("a reference is shared:NAME or agent:ID:NAME")]
    Form,
    /// The name has another form.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

/// The id of an agent: `[a-z0-9_][a-z0-9_.-]{0,62}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(Segment);

impl AgentId {
    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn segment(&self) -> Segment {
        self.0.clone()
    }
}

impl FromStr for AgentId {
    type Err = InvalidRef;

    fn from_str(text: &str) -> Result<Self, InvalidRef> {
        if text.len() > AGENT_ID_MAX {
            return Err(InvalidRef::Agent);
        }
        Segment::parse(text).map(Self).map_err(|_| InvalidRef::Agent)
    }
}

/// Which life of an agent: an agent made again under an old id has another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(Uuid);

impl Incarnation {
    /// The incarnation of these 128 bits.
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Self(Uuid::from_u128(bits))
    }

    pub(crate) fn segment(self) -> Segment {
        Segment::parse(&self.to_string()).expect("32 hexadecimal digits are a segment")
    }
}

impl FromStr for Incarnation {
    type Err = InvalidRef;

    /// 32 lower-case hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, InvalidRef> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(InvalidRef::Form);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidRef::Form)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

/// Whose a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "agent_id", rename_all = "snake_case")]
pub enum SecretScope {
    /// Every agent's of one tenant.
    InstanceShared,
    /// One agent's.
    Agent(AgentId),
}

impl fmt::Display for SecretScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InstanceShared => f.write_str("shared"),
            Self::Agent(agent) => write!(f, "agent:{agent}"),
        }
    }
}

/// A secret of a tenant: `shared:NAME` or `agent:ID:NAME`.
///
/// ```
/// use dormouse_secrets::SecretRef;
/// let at: SecretRef = "agent:alice:GH_TOKEN".parse()?;
/// assert_eq!(at.to_string(), "agent:alice:GH_TOKEN");
/// assert!("agent:alice:gh_token".parse::<SecretRef>().is_err());
/// # Ok::<(), dormouse_secrets::InvalidRef>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef {
    /// Whose.
    pub scope: SecretScope,
    /// Its name there.
    pub name: SecretName,
}

impl SecretRef {
    /// The tenant's secret of this name.
    #[must_use]
    pub fn shared(name: SecretName) -> Self {
        Self {
            scope: SecretScope::InstanceShared,
            name,
        }
    }

    /// The agent's secret of this name.
    #[must_use]
    pub fn agent(agent: AgentId, name: SecretName) -> Self {
        Self {
            scope: SecretScope::Agent(agent),
            name,
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scope, self.name)
    }
}

impl FromStr for SecretRef {
    type Err = InvalidRef;

    fn from_str(text: &str) -> Result<Self, InvalidRef> {
        if let Some(name) = text.strip_prefix("shared:") {
            return Ok(Self::shared(SecretName::parse(name)?));
        }
        let agent = text.strip_prefix("agent:").ok_or(InvalidRef::Form)?;
        let (agent, name) = agent.split_once(':').ok_or(InvalidRef::Form)?;
        Ok(Self::agent(agent.parse()?, SecretName::parse(name)?))
    }
}

macro_rules! text_form {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
text_form!(AgentId, Incarnation, SecretRef);

macro_rules! printed_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
printed_debug!(AgentId, Incarnation);

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
