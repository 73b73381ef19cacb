//! `/v1/health`.

use axum::extract::State as Shared;
use axum::http::StatusCode;
use dormouse_engine::relay::SinkState;
use dormouse_engine::worker::isolation::{self, Offered, Policy};
use dormouse_filesystem::{Capabilities, State};
use serde::{Deserialize, Serialize};

use super::body;
use super::house::{Asker, House};
use super::refusal::Answered;
use crate::owner::Role;

/// How the owner and its store are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthView {
    /// The program's version.
    pub version: String,
    /// The owner's process.
    pub pid: u32,
    /// Whether it runs workers.
    pub supervises: bool,
    /// Runs at work in it.
    pub live_runs: usize,
    /// The store's backend.
    pub backend: String,
    /// What the store promises.
    pub capabilities: CapabilitiesView,
    /// How the store is, in a word.
    pub store: String,
    /// Bytes of the store.
    pub store_bytes: u64,
    /// What is worth knowing of the store, a sentence each.
    pub notices: Vec<String>,
    /// How workers are walled in.
    pub isolation: IsolationView,
}

/// What a store promises, each in a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilitiesView {
    /// How much one commit covers.
    pub atomicity: String,
    /// Who may write at once.
    pub reach: String,
    /// What an acknowledged commit survives.
    pub durability: String,
    /// How records are listed.
    pub listing: String,
    /// Which logs there are.
    pub logs: String,
    /// What can be taken out as a whole.
    pub export: String,
    /// Who is told of changes.
    pub watch: String,
}

impl CapabilitiesView {
    /// In words.
    #[must_use]
    pub fn of(capabilities: &Capabilities) -> Self {
        fn word(capability: impl std::fmt::Debug) -> String {
            let mut word = String::new();
            for letter in format!("{capability:?}").chars() {
                if letter.is_ascii_uppercase() && !word.is_empty() {
                    word.push('_');
                }
                word.push(letter.to_ascii_lowercase());
            }
            word
        }
        Self {
            atomicity: word(capabilities.atomicity),
            reach: word(capabilities.reach),
            durability: word(capabilities.durability),
            listing: word(capabilities.listing),
            logs: word(capabilities.logs),
            export: word(capabilities.export),
            watch: word(capabilities.watch),
        }
    }
}

impl std::fmt::Display for CapabilitiesView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "atomicity {}, reach {}, durability {}, listing {}, logs {}, export {}, watch {}",
            self.atomicity, self.reach, self.durability, self.listing, self.logs, self.export, self.watch
        )
    }
}

/// How workers are walled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolationView {
    /// What was asked for; none asks for a wall wherever the kernel has one.
    pub policy: Option<Policy>,
    /// The level, in words.
    pub level: String,
    /// Whether something that was wanted is missing.
    pub is_degraded: bool,
    /// What the level leaves open that a later kernel closes.
    pub open: Vec<String>,
    /// What of others a worker can get at.
    pub exposes: Vec<String>,
}

impl IsolationView {
    /// What this host gives under a policy.
    #[must_use]
    pub fn of_host(policy: Option<Policy>) -> Self {
        Self::of(policy, isolation::offered())
    }

    /// What a kernel gives that has this.
    #[must_use]
    pub fn of(policy: Option<Policy>, offered: Offered) -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match isolation::decide(policy, offered) {
            Ok(level) => Self {
                policy,
                level: level.to_string(),
                is_degraded: level.is_degraded(),
                open: words(&level.open()),
                exposes: words(level.exposes()),
            },
            Err(error) => Self {
                policy,
                level: error.to_string(),
                is_degraded: true,
                open: Vec::new(),
                exposes: Vec::new(),
            },
        }
    }
}

pub(super) async fn get(Shared(house): Shared<House>, asker: Asker) -> Answered {
    let mut health = house.store_health().await;
    health.notices.extend(of_sinks(&asker).await);
    health.notices.extend(house.missing_loops());
    let view = HealthView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        supervises: house.role() == Role::Supervisor,
        live_runs: house.live_count(),
        backend: house.backend().to_string(),
        capabilities: CapabilitiesView::of(&house.capabilities()),
        store: match health.state {
            State::Open => "open".to_owned(),
            State::Closed { reason } => format!("closed: {reason}"),
        },
        store_bytes: health.bytes,
        notices: health.notices,
        isolation: IsolationView::of(house.isolation(), house.offered()),
    };
    Ok(body::json(StatusCode::OK, &view))
}

/// What is to be known of sinks that are told nothing, a sentence each.
async fn of_sinks(asker: &Asker) -> Vec<String> {
    let sinks = match asker.tenant.sinks.list().await {
        Ok(sinks) => sinks,
        Err(error) => return vec![format!("the sinks of events cannot be told: {error}")],
    };
    let told = sinks.iter().filter_map(|sink| {
        let (name, after) = (sink.consumer.id(), sink.after);
        match sink.state {
            SinkState::Active | SinkState::BackingOff | SinkState::Paused => None,
            SinkState::Disabled => Some(format!(
                "sink {name} of events is disabled behind position {after}; dormouse events sink resume {name}"
            )),
            SinkState::Detached => Some(format!(
                "sink {name} of events was too far behind position {after}, and events are not kept for it; dormouse events sink resume {name}"
            )),
        }
    });
    told.collect()
}
