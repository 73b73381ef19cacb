//! An agent's namespace is no tenant's.
use dormouse_filesystem::{Agent, Namespace, Tenant};

fn widened(agent: Namespace<Agent>) -> Namespace<Tenant> {
    agent
}

fn main() {}
