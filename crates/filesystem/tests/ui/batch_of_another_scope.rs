//! A batch is of one namespace's scope.
use dormouse_filesystem::{Agent, Namespace, ScopedBatch, Tenant};

fn batch(agent: Namespace<Agent>) -> ScopedBatch<Tenant> {
    agent.batch()
}

fn main() {}
