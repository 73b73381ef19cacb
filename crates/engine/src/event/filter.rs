//! Which events are wanted.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Event, Glob};
use crate::{AgentName, TenantId};

/// Which events are wanted. An event without a field that is asked for is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventFilter {
    /// Only types that fit this; every type where none is said.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Glob>,
    /// Only those of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
}

impl EventFilter {
    /// Whether this one is wanted.
    #[must_use]
    pub fn fits(&self, event: &Event) -> bool {
        let has_kind = self.kind.as_ref().is_none_or(|glob| glob.fits(&event.kind));
        has_kind
            && self
                .agent
                .as_ref()
                .is_none_or(|agent| event.agent.as_ref() == Some(agent))
    }

    /// What a cursor is bound to.
    pub(super) fn digest(&self, tenant: Option<&TenantId>) -> [u8; 8] {
        let text = serde_json::to_vec(&(tenant, self)).expect("a filter is plain data");
        Sha256::digest(text)[..8]
            .try_into()
            .expect("a digest has more than 8 bytes")
    }
}
