//! A tenant's namespace makes agents' alone: neither the system's nor another tenant's.
use dormouse_filesystem::{Namespace, Segment, System, Tenant};

fn widened(tenant: Namespace<Tenant>) -> Namespace<System> {
    tenant
}

fn another(tenant: Namespace<Tenant>, id: &Segment) -> Namespace<Tenant> {
    tenant.tenant(id)
}

fn main() {}
