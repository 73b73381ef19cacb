//! The keys of older layouts.

use super::LegacyOwner;
use crate::{AgentId, SecretName, SecretRef, SecretScope};

/// The newest layout that is understood: 1 has names alone, 2 has tags for scopes.
pub const LEGACY_LAYOUT_MAX: u32 = 2;

/// What a key of an older layout says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LegacyKey {
    /// A name, before there were scopes.
    Unscoped(SecretName),
    /// The tenant's, or an agent's.
    Scoped(SecretRef),
    /// A part of it is no name or no agent's id.
    Invalid,
    /// Its tag is none of these.
    UnknownTag,
}

impl LegacyKey {
    /// Reads `NAME`, `s NUL NAME`, `a NUL AGENT NUL NAME`. No two keys with another meaning than `Invalid` and
    /// `UnknownTag` have the same.
    #[must_use]
    pub fn read(key: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(key) else {
            // A tag is a letter of ASCII: what is before the first NUL decides.
            return if key.contains(&0) {
                Self::UnknownTag
            } else {
                Self::Invalid
            };
        };
        let parts: Vec<&str> = text.split('\0').collect();
        match parts.as_slice() {
            [name] => SecretName::parse(name).map_or(Self::Invalid, Self::Unscoped),
            ["s", name] => scoped(Some(SecretScope::InstanceShared), name),
            ["a", agent, name] => scoped(agent.parse::<AgentId>().ok().map(SecretScope::Agent), name),
            ["s" | "a", ..] => Self::Invalid,
            _ => Self::UnknownTag,
        }
    }

    /// Where it leads in a store of this owner; `None` if it can lead nowhere.
    pub(super) fn leads_to(&self, owner: &LegacyOwner) -> Option<SecretRef> {
        let scope = match owner {
            LegacyOwner::Keys | LegacyOwner::Shared => SecretScope::InstanceShared,
            LegacyOwner::Agent(agent) => SecretScope::Agent(agent.clone()),
        };
        match (self, owner) {
            (Self::Unscoped(name), _) => Some(SecretRef {
                scope,
                name: name.clone(),
            }),
            (Self::Scoped(at), LegacyOwner::Keys) => Some(at.clone()),
            // The store was one agent's: what it held as shared was that agent's too.
            (Self::Scoped(at), LegacyOwner::Agent(agent)) => match &at.scope {
                SecretScope::Agent(other) if other != agent => None,
                SecretScope::Agent(_) | SecretScope::InstanceShared => Some(SecretRef {
                    scope,
                    name: at.name.clone(),
                }),
            },
            (Self::Scoped(at), LegacyOwner::Shared) => (at.scope == scope).then(|| at.clone()),
            (Self::Invalid | Self::UnknownTag, _) => None,
        }
    }
}

fn scoped(scope: Option<SecretScope>, name: &str) -> LegacyKey {
    match (scope, SecretName::parse(name)) {
        (Some(scope), Ok(name)) => LegacyKey::Scoped(SecretRef { scope, name }),
        (None, _) | (_, Err(_)) => LegacyKey::Invalid,
    }
}
