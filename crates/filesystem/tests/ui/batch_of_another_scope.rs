//! A batch is of one namespace's scope.
use dormouse_filesystem::{Agent, Namespace, Tenant};

async fn committed(tenant: Namespace<Tenant>, agent: Namespace<Agent>) {
    let batch = agent.batch();
    let _ = tenant.commit(batch).await;
}

fn main() {}
