use dormouse_engine::GateId;
use dormouse_engine::capability::{Approved, Capabilities};

struct Publish;

fn forge(gate: GateId, capabilities: Capabilities) -> Approved<Publish> {
    Approved { action: Publish, gate, capabilities }
}

fn copy(approved: &Approved<Publish>) -> Approved<Publish> {
    approved.clone()
}

fn main() {}
