//! What a provider's threads had used before: its counters go on where they were when a thread is resumed, and what they
//! showed then was another run's.

use std::collections::BTreeMap;

use super::attempt::Parts;
use crate::adapter::{Adapted, Tokens};
use crate::run::RunFilter;

/// Most runs of the agent that are looked through, the latest first.
const RUNS_MAX: usize = 1_000;

/// The last readings of threads: those of the run's own former processes, and of others for a command line that resumes one.
/// Where they cannot be read, what is used counts from nothing.
pub(super) async fn known(parts: &Parts, adapted: &Adapted) -> Vec<(String, Tokens)> {
    if !adapted.provider.counts_by_thread() {
        return Vec::new();
    }
    let mut known = BTreeMap::new();
    if adapted.argv.iter().any(|word| word == "resume") {
        known = of_agent(parts).await;
    }
    if let Some(before) = &parts.claimed.run.used_before {
        known.extend(before.counters.clone());
    }
    known.into_iter().collect()
}

/// Those beside the outcomes of the agent's runs.
async fn of_agent(parts: &Parts) -> BTreeMap<String, Tokens> {
    let filter = RunFilter::Agent(parts.claimed.run.agent.clone());
    let page = match parts.tenant.runs.list(&filter, None, RUNS_MAX).await {
        Ok(page) => page,
        Err(error) => {
            tracing::warn!(run = %parts.claimed.run.id, %error, "what a thread had used was not read");
            return BTreeMap::new();
        }
    };
    let mut known = BTreeMap::new();
    let streams = page
        .rows
        .into_iter()
        .filter_map(|row| row.outcome?.into_inner().facts?.stream);
    for (thread, shown) in streams.flat_map(|stream| stream.counters) {
        known.entry(thread).or_insert(shown);
    }
    known
}
