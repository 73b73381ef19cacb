//! What is to be so of an agent, as a body of the API or a file says it.

use dormouse_engine::AgentName;
use dormouse_engine::agent::{AgentConfig, AgentMode};
use dormouse_engine::command::{ClockSettings, Effects, Timer};
use dormouse_secrets::{Formats, SecretName};
use serde::Deserialize;

use super::view::{FormatsView, TimerView};

/// What of an agent's configuration is to be so; the rest stays, of a new one as is the default.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentChange {
    /// Of a new one, and of no other.
    #[serde(default)]
    pub(super) name: Option<AgentName>,
    #[serde(default)]
    concurrency: Option<u32>,
    #[serde(default)]
    delegates_to: Option<Vec<AgentName>>,
    #[serde(default)]
    secrets: Option<Vec<SecretName>>,
    #[serde(default, deserialize_with = "said")]
    scrub_formats: Option<Option<FormatsView>>,
    #[serde(default, deserialize_with = "said")]
    effects: Option<Option<Effects>>,
    #[serde(default)]
    mode: Option<AgentMode>,
    #[serde(default, deserialize_with = "said")]
    wall_clock_ms: Option<Option<u64>>,
    #[serde(default, deserialize_with = "said")]
    idle_timeout_ms: Option<Option<TimerView>>,
    #[serde(default, deserialize_with = "said")]
    stall_after_ms: Option<Option<TimerView>>,
    #[serde(default, deserialize_with = "said")]
    grace_ms: Option<Option<u64>>,
}

impl AgentChange {
    /// Sets what is said.
    pub(crate) fn apply(&self, config: &mut AgentConfig) {
        config.concurrency = self.concurrency.unwrap_or(config.concurrency);
        if let Some(agents) = &self.delegates_to {
            config.delegates_to.clone_from(agents);
        }
        if let Some(secrets) = &self.secrets {
            config.secrets.clone_from(secrets);
        }
        config.effects = self.effects.unwrap_or(config.effects);
        config.mode = self.mode.unwrap_or(config.mode);
        if let Some(formats) = self.scrub_formats {
            config.formats = formats.map(Formats::from);
        }
        self.set_clocks(&mut config.clocks);
    }

    fn set_clocks(&self, clocks: &mut ClockSettings) {
        let timer = |given: Option<TimerView>| given.map(Timer::from);
        clocks.wall_clock_ms = self.wall_clock_ms.unwrap_or(clocks.wall_clock_ms);
        clocks.idle_timeout_ms = self.idle_timeout_ms.map_or(clocks.idle_timeout_ms, timer);
        clocks.stall_after_ms = self.stall_after_ms.map_or(clocks.stall_after_ms, timer);
        clocks.grace_ms = self.grace_ms.unwrap_or(clocks.grace_ms);
    }
}

/// A field that is there, also where it says nothing.
fn said<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}
